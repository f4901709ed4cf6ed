// How a stream's migration stands, as operators see it: figures, what is not ready and why, what comes next.

#include <algorithm>

#include "migration/mirror.hpp"

namespace kedge::migration {

namespace {

constexpr unsigned checks_wanted = 3;
constexpr std::uint64_t check_every_ms = 1'000;
constexpr std::uint64_t behind_rows = 10'000;  // that is catching up, whatever the time
constexpr std::uint64_t shown_after_ms = 500;  // a publish that waits for NATS so long is shown

}  // namespace

std::uint64_t mirror::lag_ms(instant now) const
{
    if (!replica_)
        return 0;
    auto const since = replica_->now().waiting_since_ms;
    return since == 0 || since >= now.wall_ms ? 0 : now.wall_ms - since;
}

bool mirror::small_lag(instant now) const
{
    if (!replica_)
        return false;
    auto const& facts = replica_->now();
    return facts.linked && facts.synchronous && lag_ms(now) <= context_.bounds.ready_lag_ms && facts.waiting_rows <= behind_rows
           && facts.unread <= context_.bounds.read_messages;
}

/// Once a second: rates, whether the lag is small, whether it is catching up.
void mirror::sample(instant now, effects& out)
{
    if (now.steady_ms < sampled_ms_ + check_every_ms)
        return;
    sampled_ms_ = now.steady_ms;
    published_rate_.sample(published_, now.steady_ms);
    if (!replica_)
        return;
    auto const& facts = replica_->now();
    copied_rate_.sample(facts.copied, now.steady_ms);
    imported_rate_.sample(facts.imported, now.steady_ms);
    ordered_rate_.sample(facts.own_publishes, now.steady_ms);
    // What waits at both ends of a second was copied as fast as it can be.
    crowded_ = facts.linked && facts.synchronous && replica_->running() && facts.waiting_rows > behind_rows ? crowded_ + 1 : 0;
    if (crowded_ > 2)
        carried_ = copied_rate_.a_second();
    small_lags_ = small_lag(now) ? std::min(small_lags_ + 1, checks_wanted) : 0;
    if (!copies_in(phase()))
        return;
    if (journal_.behind == 0) {
        if (facts.linked && replica_->running() && (facts.waiting_rows > behind_rows || lag_ms(now) > 5 * context_.bounds.ready_lag_ms))
            fall_behind(now, out);
    } else if (small_lags_ != 0) {
        journal_.behind = 0;
        note("caught up", {}, {}, now, out);
    } else if (auto const behind = facts.waiting_rows + facts.unread; behind > journal_.behind) {
        journal_.behind = behind;  // what was copied since is not known to be of it
        dirty_ = true;
    }
}

/// The measure is taken once, so that a bar goes one way.
void mirror::fall_behind(instant now, effects& out)
{
    auto const& facts = replica_->now();
    journal_.behind = std::max<std::uint64_t>(facts.waiting_rows + facts.unread, 1);
    note("catching up", count_of(journal_.behind, "message") + " behind", {}, now, out);
}

/// A start or resume with much to copy says so at once.
void mirror::look_behind(instant now, effects& out)
{
    if (replica_ && journal_.behind == 0 && replica_->now().waiting_rows > behind_rows)
        fall_behind(now, out);
}

std::vector<std::string> mirror::not_ready(instant now, bool for_command) const
{
    std::vector<std::string> why;
    if (!copies_in(phase())) {
        why.push_back(name() + " is not mirrored");
        return why;
    }
    if (phase() == stream_phase::complete || !replica_)
        return why;
    auto const& facts = replica_->now();
    auto const& bounds = context_.bounds;
    if (journal_.broken)
        why.push_back("the migration is broken: " + journal_.broken->why);
    if (journal_.paused)
        why.push_back("it is paused");
    if (!linked())
        why.push_back("there is no link to NATS: " + context_.link.why);
    else if (!journal_.broken && !journal_.paused && !facts.synchronous)
        why.push_back("what " + jet_name() + " held when the link came is still being read");
    if (!facts.refused_why.empty())
        why.push_back("the server refuses a message, which is tried again: " + facts.refused_why);
    if (auto const lag = lag_ms(now); lag > bounds.ready_lag_ms || facts.waiting_rows > behind_rows)
        why.push_back(count_of(facts.waiting_rows, "message waits", "messages wait") + " to be copied, the first for " + time_text(lag) + " (at most "
                      + time_text(bounds.ready_lag_ms) + " is ready)");
    if (facts.unread > bounds.read_messages)
        why.push_back(count_of(facts.unread, "message") + " of " + jet_name() + " are not read yet");
    if (for_command)
        return why;
    bool const may_change = linked() && !journal_.broken && !journal_.paused;
    if (may_change && rehearsal_.known && !rehearsal_.why_not.empty())
        why.push_back(rehearsal_.why_not);
    auto const& last = journal_.diff;
    if (diff_ && !diff_->finished())
        why.push_back("a diff is under way");
    else if (tail_differs())
        why.push_back("the last " + count_of(journal_.diff_tail.value("tail", std::uint64_t{0}), "message") + " differ: 'kedge migrate diff " + name() + '\'');
    else if (last.is_null() && !journal_.diff_failed.is_null())
        why.push_back("the last diff failed: " + journal_.diff_failed.value("error", "") + ": 'kedge migrate diff " + name() + '\'');
    else if (last.is_null())
        why.push_back((journal_.diff_tail.is_null() ? "no diff was made" : "only the newest messages were compared") + std::string{": 'kedge migrate diff "} + name() + '\'');
    else if (!same_messages(last))
        why.push_back("the last diff found differences: 'kedge migrate diff " + name() + '\'');
    else if (last.value("generation", facts.generation) != facts.generation)
        why.push_back(jet_name() + " went back to an older copy since the last diff: 'kedge migrate diff " + name() + '\'');
    else if (auto const at = last.value("at_ms", std::uint64_t{0}); at + bounds.diff_age_ms < now.wall_ms)
        why.push_back("the last diff is " + time_text(now.wall_ms - at) + " old: 'kedge migrate diff " + name() + '\'');
    // Last, because these pass by themselves: the first is what `next` tells.
    if (may_change && !rehearsal_.known)
        why.push_back("whether NATS would take a change, and let it be reversed, is being looked at");
    if (auto const rate = published_rate_.a_second(), carried = copied_rate_.a_second();
        phase() == stream_phase::mirroring && journal_.behind != 0 && rate > carried)
        why.push_back(count_of(static_cast<std::uint64_t>(rate), "message") + " a second are published and "
                      + std::to_string(static_cast<std::uint64_t>(carried)) + " copied: it cannot catch up");
    if (small_lags_ < checks_wanted)
        why.push_back("the lag has been small for " + std::to_string(small_lags_) + " of " + std::to_string(checks_wanted) + " checks in a row");
    return why;
}

std::string mirror::next_step(instant now) const
{
    auto const kedge = [&](char const* verb) { return "'kedge migrate " + std::string{verb} + ' ' + name() + '\''; };
    if (journal_.broken)
        return journal_.broken->next;
    if (journal_.paused)
        return kedge("resume") + " goes on copying";
    if (phase() == stream_phase::complete && !linked())
        return "it goes on by itself when NATS is back; publishes wait, then are answered 'unavailable'. There is no way back to SQLite: if NATS is lost for "
               "good, see that [nats] servers names a server with JetStream; then "
               + kedge("resume") + " with --adopt fills it with what the log still holds";
    if (copies_in(phase()) && !linked())
        return authority_in(phase()) == authority::jetstream
                   ? "it goes on by itself when NATS is back; publishes wait, then are answered 'unavailable'. If NATS is lost for good: "
                         + kedge("reverse") + " with --abandon"
                   : "it goes on by itself when NATS is back; publishes are not held up";
    switch (phase()) {
    case stream_phase::legacy: return kedge(recorded_ ? "start" : "plan") + (recorded_ ? " goes on with the copy" : " says what a migration would meet");
    case stream_phase::mirroring: {
        if (journal_.behind != 0)
            return "wait until it has caught up";
        auto const why = not_ready(now, false);
        return why.empty() ? "it is ready: " + kedge("switch") : "before a switch: " + why.front();
    }
    case stream_phase::switching: return "it is switched, or rolled back, within the hold";
    case stream_phase::nats:
        return "move the remaining clients; " + kedge("reverse") + " brings it back, " + kedge("complete") + " ends the way back";
    case stream_phase::reversing: return "it is reversed, or rolled back, within the hold";
    case stream_phase::complete: return "done: JetStream orders it for good";
    }
    return {};
}

bool mirror::lag_known() const
{
    return replica_ && copies_in(phase()) && linked() && replica_->now().linked && replica_->now().synchronous && !journal_.paused && !journal_.broken;
}

mirror_sample mirror::sample_of(instant now) const
{
    mirror_sample out{name(), std::string{to_string(phase())}, broken(), phase() != stream_phase::complete && not_ready(now, false).empty(), {}, {}};
    if (lag_known()) {
        auto const& facts = replica_->now();
        out.behind = {facts.waiting_rows, facts.waiting_bytes, lag_ms(now), facts.unread};
    }
    if (auto const& diff = journal_.diff; diff.is_object()) {
        auto& compared = out.compared.emplace(diff.value("at_ms", std::uint64_t{0}));
        for (auto const* const kind : {"missing", "extra", "different", "out_of_order"})
            compared.found += diff.value(kind, std::uint64_t{0});
    }
    return out;
}

nlohmann::json mirror::status(instant now) const
{
    using nlohmann::json;
    static replica::facts const nothing{};
    auto const& facts = replica_ ? replica_->now() : nothing;
    bool const copies = copies_in(phase());

    auto flags = json::array();
    if (journal_.paused)
        flags.push_back("paused");
    if (journal_.behind != 0)
        flags.push_back("catching_up");
    if (copies && !linked())
        flags.push_back("link_down");
    if (journal_.broken)
        flags.push_back("broken");

    json catching;
    if (journal_.behind != 0) {
        auto const behind = facts.waiting_rows + facts.unread;
        auto const rate = copied_rate_.a_second() + imported_rate_.a_second() + ordered_rate_.a_second();
        auto const gain = rate - (phase() == stream_phase::mirroring ? published_rate_.a_second() : 0);
        catching = {{"rows", behind}, {"total", std::max(journal_.behind, behind)}, {"rate", rate}};
        catching["eta_s"] = gain > 1 ? json(static_cast<std::uint64_t>(static_cast<double>(behind) / gain)) : json{};
    }

    json hold;
    auto const gate = context_.gates.look(stream_.id);
    if (gate.holding && job_) {
        auto const end = job_->held_ms + job_->hold_ms;
        hold = {{"messages", gate.held},
                {"bytes", gate.held_bytes},
                {"age_ms", now.steady_ms - (job_->held_ms != 0 ? job_->held_ms : job_->began_ms)},  // none has waited longer
                {"left_ms", end > now.steady_ms ? end - now.steady_ms : 0},
                {"waits_for", waits_for()}};
    } else if (auto const since = facts.unsettled_since_ms; authority_in(phase()) == authority::jetstream && since != 0) {
        auto const age = now.steady_ms - std::min(since, now.steady_ms);
        if (!linked() || age >= shown_after_ms)
            hold = {{"messages", replica_->unsettled()},
                    {"bytes", facts.queued_bytes},
                    {"age_ms", age},
                    {"left_ms", context_.bounds.hold_ms - std::min(age, context_.bounds.hold_ms)},
                    {"waits_for", !linked() ? "the link to NATS" : facts.synchronous ? "NATS to store and give it back" : "what " + jet_name() + " held when the link came"}};
    }

    auto parked = json::array();
    for (auto const& each : facts.last_parked)
        parked.push_back({{"place", each.place}, {"subject", each.subject}, {"why", each.why}});

    auto const why = not_ready(now, false);
    return {{"stream", name()},
            {"jet", jet_name()},
            {"state", to_string(phase())},
            {"authority", authority_in(phase()) == authority::sqlite ? "sqlite" : "nats"},
            {"authority_epoch", journal_.authority_epoch},
            {"flags", std::move(flags)},
            {"broken", journal_.broken ? json{{"reason", journal_.broken->reason}, {"why", journal_.broken->why}, {"next", journal_.broken->next}} : json{}},
            {"lag",
             {{"messages", facts.waiting_rows + facts.unread},
              {"bytes", facts.waiting_bytes},
              {"seconds", static_cast<double>(lag_ms(now)) / 1000},
              {"known", lag_known()}}},
            {"unread", facts.unread},
            {"rates",
             {{"published", published_rate_.a_second()},
              {"copied", copied_rate_.a_second()},
              {"ordered", ordered_rate_.a_second()},
              {"imported", imported_rate_.a_second()}}},
            {"catching_up", std::move(catching)},
            {"ready", copies && phase() != stream_phase::complete && why.empty()},
            {"not_ready", why},
            {"next", next_step(now)},
            {"diff", diff_figures(false)},
            {"tail", diff_figures(true)},
            {"hold", std::move(hold)},
            {"counters",
             {{"copied", facts.copied},
              {"imported", facts.imported},
              {"own_publishes", facts.own_publishes},
              {"refusals", facts.refusals},
              {"duplicates", facts.duplicates},
              {"reordered", facts.reordered},
              {"parked", facts.parked},
              {"taken_back", facts.taken_back},
              {"generation", facts.generation}}},
            {"parked", std::move(parked)},
            {"checkpoint", facts.checkpoint},
            {"jet_last", facts.jet_last},
            {"floor", facts.floor},
            {"last", last_},
            {"since_ms", journal_.since_ms}};
}

}  // namespace kedge::migration
