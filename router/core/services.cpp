#include "router/core/services.hpp"

#include <algorithm>

namespace kedge {

// --- Instances -------------------------------------------------------------------------------------------------------

service_instance* service_registry::find(link_id at, std::string_view service) const
{
    auto const known = instances_.find(by_link{at, service});
    return known == instances_.end() ? nullptr : known->second.get();
}

service_instance& service_registry::add(service_instance what)
{
    auto key = std::pair{what.at, what.service};  // not in the call below: what is moved from may be read after
    auto& added = *instances_.emplace(std::move(key), std::make_unique<service_instance>(std::move(what))).first->second;
    by_load_[added.service].insert(&added);
    return added;
}

void service_registry::remove(service_instance& i)
{
    auto const known = by_load_.find(i.service);
    known->second.erase(&i);
    if (known->second.empty())
        by_load_.erase(known);
    instances_.erase(instances_.find(by_link{i.at, i.service}));
}

std::vector<service_instance*> service_registry::of(link_id at) const
{
    std::vector<service_instance*> found;
    for (auto i = instances_.lower_bound(by_link{at, {}}); i != instances_.end() && i->first.first == at; ++i)
        found.push_back(i->second.get());
    return found;
}

std::size_t service_registry::instances(std::string_view service) const
{
    auto const known = by_load_.find(service);
    return known == by_load_.end() ? 0 : known->second.size();
}

std::vector<std::string> service_registry::methods(std::string_view service) const
{
    std::set<std::string> all;
    if (auto const known = by_load_.find(service); known != by_load_.end())
        for (auto const* const i : known->second)
            all.insert(i->methods.begin(), i->methods.end());
    return {all.begin(), all.end()};
}

bool service_registry::has(service_instance const& i, std::string_view method)
{
    return std::binary_search(i.methods.begin(), i.methods.end(), method, std::less<>{});
}

template <class Change>
void service_registry::reorder(service_instance& i, Change&& change)
{
    auto& order = by_load_.find(i.service)->second;
    auto node = order.extract(&i);  // by the old values
    change();
    order.insert(std::move(node));
}

void service_registry::begin(service_instance& i)
{
    reorder(i, [&] {
        ++i.open;
        i.given = ++last_given_;
    });
}

void service_registry::end(service_instance& i)
{
    reorder(i, [&] { --i.open; });
}

// --- Calls -----------------------------------------------------------------------------------------------------------

open_call const& call_table::open(open_call c)
{
    c.number = call_number{++last_number_};
    callers_[c.caller].emplace(c.id, c.number);
    due_.emplace(c.due_ms, c.number);
    if (!c.service.empty())
        given_.emplace(c.at, c.number);
    auto const number = c.number;
    return calls_.emplace(number, std::move(c)).first->second;
}

open_call const* call_table::find(call_number n) const
{
    auto const at = calls_.find(n);
    return at == calls_.end() ? nullptr : &at->second;
}

bool call_table::has(link_id caller, std::string_view id) const
{
    auto const of = callers_.find(caller);
    return of != callers_.end() && of->second.contains(id);
}

std::size_t call_table::of_caller(link_id caller) const
{
    auto const of = callers_.find(caller);
    return of == callers_.end() ? 0 : of->second.size();
}

bool call_table::any_at(link_id at) const
{
    auto const first = given_.lower_bound({at, call_number::none});
    return first != given_.end() && first->first == at;
}

std::optional<std::uint64_t> call_table::due_ms() const
{
    return due_.empty() ? std::nullopt : std::optional{due_.begin()->first};
}

std::optional<open_call> call_table::take(call_number n)
{
    auto const at = calls_.find(n);
    if (at == calls_.end())
        return std::nullopt;
    auto c = std::move(at->second);
    calls_.erase(at);
    due_.erase({c.due_ms, n});
    given_.erase({c.at, n});
    auto const of = callers_.find(c.caller);
    of->second.erase(c.id);
    if (of->second.empty())
        callers_.erase(of);
    return c;
}

std::optional<open_call> call_table::take_due(std::uint64_t now_ms)
{
    if (due_.empty() || due_.begin()->first > now_ms)
        return std::nullopt;
    return take(due_.begin()->second);
}

std::optional<open_call> call_table::take_at(link_id at)
{
    if (!any_at(at))
        return std::nullopt;
    return take(given_.lower_bound({at, call_number::none})->second);
}

std::optional<open_call> call_table::take_of(link_id caller)
{
    auto const of = callers_.find(caller);
    if (of == callers_.end())
        return std::nullopt;
    return take(of->second.begin()->second);
}

}  // namespace kedge
