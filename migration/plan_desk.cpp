#include "migration/plan_desk.hpp"

#include <algorithm>
#include <utility>

#include "migration/commands.hpp"

namespace kedge::migration {

namespace {

constexpr std::size_t plans_max = 16;

}  // namespace

plan_desk::plan_desk(settings const& s, limits const& l, number_source& numbers) : bounds_{s}, server_{l}, numbers_{numbers} {}

void plan_desk::begin(token request, preflight::matter matter, link_facts const& link, instant now, effects& out)
{
    if (plans_.size() >= plans_max) {
        out.answers.emplace_back(request, refused("too many plans are being made: try again"));
        return;
    }
    plans_.push_back({request, std::make_unique<preflight>(preflight::purpose::plan, std::move(matter), bounds_, server_, numbers_)});
    plans_.back().checks->run(link, now, out);
    end_those_done(out);
}

void plan_desk::on_backend(backend_event::any const& what, instant now, effects& out)
{
    for (auto& each : plans_)
        if (each.checks->on_backend(what, now, out))
            break;
    end_those_done(out);
}

void plan_desk::on_store(store_event::any const& what, instant now, effects& out)
{
    for (auto& each : plans_)
        if (each.checks->on_store(what, now, out))
            break;
    end_those_done(out);
}

void plan_desk::tick(instant now, effects& out)
{
    for (auto& each : plans_)
        each.checks->tick(now, out);
    end_those_done(out);
}

std::optional<std::uint64_t> plan_desk::due_ms() const
{
    std::optional<std::uint64_t> first;
    for (auto const& each : plans_)
        if (auto const ms = each.checks->due_ms())
            first = first ? std::min(*first, *ms) : *ms;
    return first;
}

void plan_desk::end_those_done(effects& out)
{
    std::erase_if(plans_, [&](plan& each) {
        if (each.checks->finished())
            out.answers.emplace_back(each.request, admin_result{0, each.checks->result(), {}});
        return each.checks->finished();
    });
}

}  // namespace kedge::migration
