// What users may do and store: rates, which hold operations back, and stored bytes.

#include "router/core/core.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

namespace {

/// What the rates count. The rest is small, and an ack that had to wait would only cost a redelivery.
bool costs(op::any const& operation)
{
    return std::holds_alternative<op::publish>(operation) || std::holds_alternative<op::post>(operation)
        || std::holds_alternative<op::call>(operation);
}

}  // namespace

user_budget& core::budget_of(std::string const& user)
{
    auto& known = budgets_[user];
    if (!known) {
        known = std::make_unique<user_budget>();
        known->user = user;
        known->configure(directory_ ? directory_->find_user(user) : nullptr, config_.limits, now_.steady_ms);
    }
    return *known;
}

void core::let_go(user_budget& budget)
{
    --budget.holders;
    if (budget.spare(now_.steady_ms))  // else a user would be as fast as it likes by coming anew
        budgets_.erase(std::string{budget.user});
}

void core::configure_budgets()
{
    erase_if(budgets_, [&](auto const& known) { return known.second->spare(now_.steady_ms); });
    for (auto const& [user, budget] : budgets_)
        budget->configure(directory_->find_user(user), config_.limits, now_.steady_ms);
}

bool core::over_rate(link& l, op::any const& operation)
{
    return l.budget->limited() && costs(operation) && l.budget->ready_ms(now_.steady_ms) > now_.steady_ms;
}

void core::throttle(link& l)
{
    counts_.throttles.add_alone();
    l.throttled = true;
    throttled_.push_back(l.id);
    auto const ready = l.budget->ready_ms(now_.steady_ms);
    throttle_due_ms_ = throttle_due_ms_ ? std::min(throttle_due_ms_, ready) : ready;
}

void core::take_from_rate(link& l, op::any const& operation, std::size_t bytes)
{
    if (l.budget->limited() && costs(operation))
        l.budget->take(bytes);
}

void core::release_throttled(instant now, actions& out)
{
    throttle_due_ms_ = 0;
    // In turn: a link that has to wait again goes to the end.
    for (auto const id : std::exchange(throttled_, {}))
        if (auto* const l = find(id); l && std::exchange(l->throttled, false))
            release_held(*l, now, out);
}

std::string core::over_stored_bytes(link const& l, stream const& s, message const& m) const
{
    if (s.name() == inbox_stream)
        return {};
    auto const& b = *l.budget;
    auto const max = b.stored_bytes_max;
    if (!max || b.stored.bytes + b.storing_bytes + row_bytes(m) <= max)
        return {};
    return "user " + l.who->user + " may store " + std::to_string(max) + " bytes, and " + std::to_string(b.stored.bytes + b.storing_bytes)
        + " are";
}

void core::storing(stream const& s, stream::flight& f, link& l)
{
    if (s.name() == inbox_stream)
        return;
    f.budget = l.budget;
    ++f.budget->holders;
    f.budget->storing_bytes += row_bytes(*f.message);
}

void core::stored(stream::flight& f, bool kept)
{
    if (!f.budget)
        return;
    auto& budget = *std::exchange(f.budget, nullptr);
    auto const bytes = row_bytes(*f.message);
    budget.storing_bytes -= bytes;
    if (kept) {
        ++budget.stored.messages;
        budget.stored.bytes += bytes;
    }
    let_go(budget);
}

void core::usage_changed(store_event::usage_changed const& e)
{
    for (auto const& state : e.users) {
        auto& budget = budget_of(state.user);
        ++budget.holders;
        budget.stored = state;
        let_go(budget);
    }
}

}  // namespace kedge
