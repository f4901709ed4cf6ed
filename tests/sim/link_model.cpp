#include "tests/sim/link_model.hpp"

#include <algorithm>

#include "router/protocol/subject.hpp"

namespace kedge::sim {

link_model::link_model(link_id link, principal_ptr whose, encoding form)
    : id{link}, who{std::move(whose)}, decoder_{form, 4 * 1024 * 1024}
{
}

void link_model::fail(std::string const& what) const
{
    throw violation{"link " + std::to_string(static_cast<std::uint64_t>(id)) + " of " + sender() + ": " + what};
}

bool link_model::subscribes(std::string_view subject) const
{
    return std::any_of(subscriptions.begin(), subscriptions.end(),
                       [&](auto const& s) { return s.group.empty() && matches(s.pattern, subject); });
}

asked& link_model::ask(asked a)
{
    forget_answered();
    asked_.push_back(std::move(a));
    return asked_.back();
}

void link_model::forget_answered()
{
    while (asked_.size() > 1 && (asked_.front().answered || asked_.front().id.empty()))
        asked_.pop_front();
}

asked& link_model::answered(std::string const& answer_id, std::optional<error_code> refused, bool pong, bool dup)
{
    auto const at = std::find_if(asked_.begin(), asked_.end(), [&](auto const& a) { return !a.answered && a.id == answer_id; });
    if (at == asked_.end())
        fail("an answer to id " + answer_id + ", which was not asked or is answered already");
    auto const position = static_cast<std::size_t>(at - asked_.begin());
    if (pong != (at->what == asked::kind::ping) && !refused)
        fail("id " + answer_id + " is answered by the wrong notice");
    if (at->what == asked::kind::publish && at->stream != stream_id{}) {
        // Answers to a link's publishes on one stream come in the order sent.
        for (std::size_t i = 0; i < position; ++i)
            if (asked_[i].what == asked::kind::publish && asked_[i].stream == at->stream && !asked_[i].answered
                && !asked_[i].id.empty())
                fail("publish " + answer_id + " is answered before publish " + asked_[i].id + ", which was sent earlier");
        for (auto const& s : stuck_)
            if (s == at->stream && !refused && !dup)  // what was stored before the failure may be told
                fail("publish " + answer_id + " is not refused like the one before it on this stream, but no ping was answered");
        if (refused && sticks_to_stream(*refused)
            && std::find(stuck_.begin(), stuck_.end(), at->stream) == stuck_.end())
            stuck_.push_back(at->stream);
    }
    if (pong) {
        for (std::size_t i = 0; i < position; ++i)
            if (!asked_[i].answered && !asked_[i].id.empty() && !asked_[i].may_wait)
                fail("pong " + answer_id + " overtakes the answer to " + asked_[i].id);
    }
    at->answered = true;
    at->refused = refused;
    return *at;
}

void link_model::ponged(std::string const& answer_id)
{
    if (!answer_id.empty())
        answered(answer_id, std::nullopt, true);
    stuck_.clear();
}

asked const* link_model::waits_at_once() const
{
    auto const at = std::find_if(asked_.begin(), asked_.end(), [](auto const& a) {
        return !a.answered && !a.id.empty() && !a.may_wait && a.what != asked::kind::ping;
    });
    return at == asked_.end() ? nullptr : &*at;
}

bool link_model::must_wait(op::any const& operation) const
{
    return std::visit(
        [&](auto const& what) {
            if constexpr (requires { what.consumer; })
                return std::any_of(asked_.begin(), asked_.end(), [&](auto const& a) {
                    return !a.answered && a.what == asked::kind::consume && a.name == what.consumer;
                });
            else
                return false;
        },
        operation);
}

void link_model::stored(notice::stored const& told)
{
    auto& last = last_stored_[told.stream];
    if (told.n < last)
        fail("`stored` n " + std::to_string(told.n) + " after " + std::to_string(last));
    last = told.n;
}

bool link_model::all_answered() const
{
    return std::all_of(asked_.begin(), asked_.end(), [](auto const& a) { return a.answered || a.id.empty(); });
}

std::string link_model::first_unanswered() const
{
    for (auto const& a : asked_)
        if (!a.answered && !a.id.empty())
            return a.id;
    return {};
}

}  // namespace kedge::sim
