// Switch and reverse: one procedure, with the roles of the two sides exchanged. And the way out when the other side is lost.

#include <algorithm>
#include <utility>

#include "migration/mirror.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t tail_compared = 10'000;  // places, before and after
constexpr std::uint64_t compare_ms = 30'000;
constexpr std::uint64_t calm_lag_ms = 50, calm_wait_ms = 5'000;
constexpr std::uint64_t hold_least_ms = 50;      // the ways there and back and the journal, with nothing to copy
constexpr double carried_assumed = 60'000;       // messages a second, measured on two processors

}  // namespace

std::string mirror::label(char const* point) const { return std::string{to_string(job_->what.what)} + '.' + point; }

void mirror::change(instant now, effects& out)
{
    auto const done = forward() ? stream_phase::nats : stream_phase::mirroring;
    if (phase() == done && !job_->what.dry_run)
        return answer({0, {{"stream", name()}, {"state", to_string(phase())}, {"already", true}, {"held_ms", 0}, {"held_messages", 0}}, {}}, out);
    if (phase() != (forward() ? stream_phase::mirroring : stream_phase::nats))
        return refuse_job(name() + " is " + std::string{to_string(phase())} + ": only a stream that is "
                              + (forward() ? "MIRRORING can be switched" : "NATS can be reversed"),
                          out);
    if (auto const why = not_ready(now, true); !why.empty() && !job_->what.dry_run)
        return refuse_job(why.front(), out, {{"stream", name()}, {"state", to_string(phase())}, {"why_not", why}});
    job_->hold_ms = job_->what.hold_ms.value_or(context_.bounds.hold_ms);
    job_->checks = checks_of_change();
    go(stage::checking, now);
    job_->checks->run(context_.link, now, out);
    checked(now, out);
}

std::unique_ptr<preflight> mirror::checks_of_change()
{
    preflight::matter matter;
    matter.stream = stream_;
    matter.from = "now";
    matter.jet = jet_name();
    matter.self = self();
    matter.marked = journal_.marked;
    matter.created_ns = journal_.created_ns;
    matter.bridges = context_.bridges;
    return std::make_unique<preflight>(preflight::purpose::change, std::move(matter), context_.bounds, context_.server, numbers_);
}

void mirror::change_checked(instant now, effects& out)
{
    auto const& checks = *job_->checks;
    if (job_->what.dry_run) {
        auto why = not_ready(now, true);
        if (!checks.ok() && linked())  // without a link that is all, and it was said
            why.push_back(checks.why_not());
        if (auto too_much = too_fast(); !too_much.empty())
            why.push_back(std::move(too_much));
        if (auto const expected = expected_hold_ms(now); expected > job_->hold_ms)
            why.push_back("the hold is expected to last " + time_text(expected) + ", and may last " + time_text(job_->hold_ms) + ": allow more with --hold");
        return answer({0, {{"stream", name()}, {"ok", why.empty()}, {"steps", change_steps(now)}, {"why_not", why}}, {}}, out);
    }
    if (!checks.ok())
        return refuse_job(checks.why_not(), out, checks.result());
    if (auto too_much = too_fast(); carried_ != 0 && !too_much.empty())
        return refuse_job(std::move(too_much), out);
    if (diff_ && !diff_->finished() && diff_asked_)
        return refuse_job("a diff of " + name() + " is under way: wait for its end", out);
    begin_diff(tail_compared, nullptr, now, out);
    diff_for_job_ = true;
    go(stage::comparing, now);
}

void mirror::change_compared(instant now, effects& out)
{
    if (diff_for_job_ && now.steady_ms < job_->stage_ms + compare_ms)
        return;
    auto const end = [&](std::string why) {
        if (std::exchange(diff_for_job_, false) && diff_) {
            diff_->stop(out);
            diff_.reset();
        }
        refuse_job(std::move(why), out);
    };
    if (diff_for_job_)
        return end("the diff of the last " + count_of(tail_compared, "message") + " did not end within " + time_text(compare_ms));
    if (diff_ && !diff_->failed().empty())
        return end("the diff of the last messages failed: " + diff_->failed());
    if (diff_ && !diff_->same_messages())
        return end("the last messages differ: 'kedge migrate diff " + name() + "' says where");
    // The hold lasts as long as what is under way when it begins, and the diff was in the way of that: let it pass first.
    if (lag_ms(now) > calm_lag_ms && now.steady_ms < job_->stage_ms + calm_wait_ms)
        return;
    if (auto const why = not_ready(now, true); !why.empty())
        return end(why.front());
    change_intend(now, out);
}

void mirror::change_intend(instant now, effects& out)
{
    enter(forward() ? phase_event::switch_intended : phase_event::reverse_intended, {}, job_->user, now, out);
    wait(stage::intending, write(out), now);
}

void mirror::change_hold(instant now, effects& out)
{
    job_->held_ms = now.steady_ms;
    context_.gates.hold(stream_.id, context_.bounds.hold_bytes,
                        "the authority of " + name() + " is changing and too much waits for it: send it again with the same id");
    go(stage::draining, now);
    change_drain(now, out);
}

/// Until what was under way when the hold began is in the log, or is certainly not.
void mirror::change_drain(instant now, effects& out)
{
    auto const seen = context_.gates.look(stream_.id);
    if (seen.overflowed)
        return roll_back("more than " + bytes_text(context_.bounds.hold_bytes) + " of publishes had to be held", now, out);
    if (!linked())
        return roll_back("the link to NATS went down: " + context_.link.why, now, out);
    if (seen.in_flight != 0 || replica_->unsettled() != 0) {
        if (now.steady_ms >= job_->held_ms + job_->hold_ms)
            roll_back("not done within " + time_text(job_->hold_ms) + ": it waited for " + waits_for(), now, out);
        return;
    }
    out.reached.push_back(label("held"));
    job_->drained_ms = now.steady_ms;
    if (forward()) {
        job_->fence_row = last_;
        return go(stage::importing, now);
    }
    wait(stage::fencing, numbers_.next_token(), now);
    out.backend.emplace_back(backend_command::stream_info{job_->asked, jet_name()});
}

/// Until everything up to the fence is on both sides. Native messages go on: the fence stands.
void mirror::change_import(instant now, effects& out)
{
    auto const& facts = replica_->now();
    if (context_.gates.look(stream_.id).overflowed)
        return roll_back("more than " + bytes_text(context_.bounds.hold_bytes) + " of publishes had to be held", now, out);
    if (!linked())
        return roll_back("the link to NATS went down: " + context_.link.why, now, out);
    // The last messages may have been deleted there: then the checkpoint does not get so far, but nothing is left to be read.
    bool const read = facts.checkpoint >= job_->fence_place || (facts.unread == 0 && facts.jet_last >= job_->fence_place);
    bool const passed = facts.synchronous && facts.waiting_rows == 0 && (forward() ? facts.floor >= job_->fence_row : read);
    if (!passed) {
        if (now.steady_ms >= job_->held_ms + job_->hold_ms)
            roll_back("not done within " + time_text(job_->hold_ms) + ": it waited for " + waits_for(), now, out);
        return;
    }
    out.reached.push_back(label("fenced"));
    job_->fenced_ms = now.steady_ms;
    ++journal_.authority_epoch;
    enter(forward() ? phase_event::switch_committed : phase_event::reverse_committed, {}, job_->user, now, out);
    wait(stage::committing, write(out), now);
}

/// The commit stands: what was held goes to the new authority, in its order.
void mirror::change_open(instant now, effects& out)
{
    auto const to = authority_in(phase());
    auto const held = context_.gates.look(stream_.id).held;
    replica_->set_authority(to, journal_.authority_epoch);
    context_.gates.open(stream_.id, to == authority::sqlite ? ingress::way::store : ingress::way::jetstream, replica_->just_read());
    out.reached.push_back(label("released"));
    answer({0,
            {{"stream", name()},
             {"state", to_string(phase())},
             {"held_ms", now.steady_ms - job_->held_ms},
             {"held_messages", held},
             {"parts_ms",
              {{"under_way", job_->drained_ms - job_->held_ms}, {"copied", job_->fenced_ms - job_->drained_ms}, {"written", now.steady_ms - job_->fenced_ms}}}},
            {}},
           out);
    if (!diff_ || diff_->finished())
        begin_diff(tail_compared, nullptr, now, out);
}

void mirror::roll_back(std::string why, instant now, effects& out)
{
    auto const held = context_.gates.look(stream_.id).held;
    bool const switching = phase() == stream_phase::switching;
    enter(switching ? phase_event::switch_rolled_back : phase_event::reverse_rolled_back, why, job_->user, now, out);
    write(out);
    context_.gates.open(stream_.id, switching ? ingress::way::store : ingress::way::jetstream, replica_->just_read());
    auto const held_ms = job_->held_ms == 0 ? 0 : now.steady_ms - job_->held_ms;
    refuse_job("rolled back: " + why, out,
               {{"stream", name()}, {"state", to_string(phase())}, {"held_ms", held_ms}, {"held_messages", held}});
}

void mirror::abandon(instant now, effects& out)
{
    if (phase() == stream_phase::mirroring && !job_->what.dry_run)
        return answer({0, {{"stream", name()}, {"state", to_string(phase())}, {"already", true}, {"held_ms", 0}, {"held_messages", 0}}, {}}, out);
    if (phase() != stream_phase::nats)
        return refuse_job(name() + " is " + std::string{to_string(phase())} + ": only a stream that is NATS can be taken back from it", out);
    std::string const answers = linked() && !journal_.broken ? "NATS answers: 'kedge migrate reverse " + name() + "' brings the stream back without a loss" : "";
    if (!answers.empty() && !job_->what.dry_run)
        return refuse_job(answers, out);
    auto const& facts = replica_->now();
    std::vector<std::string> risk;
    risk.push_back("what NATS clients published to " + jet_name() + " behind message " + std::to_string(facts.checkpoint)
                   + (facts.jet_last > facts.checkpoint ? " (up to " + std::to_string(facts.jet_last) + " as last heard)" : " (how much is not known)")
                   + " is not here; it comes when that stream is back, and is lost if it never is");
    if (auto const unknown = replica_->unsettled())
        risk.push_back(count_of(unknown, "publish waits or may be", "publishes wait or may be") + " in " + jet_name()
                       + ": answered 'unavailable', and sent again by clients that keep ids");
    risk.push_back("NATS clients and SSH clients no longer see one order until the copy has caught up");
    if (job_->what.dry_run)
        return answer({0,
                       {{"stream", name()},
                        {"ok", answers.empty()},
                        {"steps", abandon_steps()},
                        {"risk", std::move(risk)},
                        {"why_not", answers.empty() ? nlohmann::json::array() : nlohmann::json::array({answers})}},
                       {}},
                      out);
    if (!confirmed(std::move(risk), out))
        return;
    // What is on its way to NATS ends before anything goes another way: it may come again behind what was published after it.
    context_.gates.hold(stream_.id, context_.bounds.hold_bytes,
                        name() + " is being taken back from NATS and too much waits for it: send it again with the same id");
    ++journal_.authority_epoch;
    enter(phase_event::abandoned, "messages of " + jet_name() + " behind " + std::to_string(facts.checkpoint) + " were given up", job_->user, now, out);
    out.reached.emplace_back("abandon.intent");
    wait(stage::committing, write(out), now);
}

void mirror::abandoned(instant now, effects& out)
{
    replica_->abandon(name() + " was taken back from NATS: it may have been stored there; send it again with the same id", now, out);
    replica_->set_authority(authority::sqlite, journal_.authority_epoch);
    steer(now, out);
    out.reached.emplace_back("abandon.committed");
    go(stage::opening, now);
}

/// Every publish that was meant for NATS has its answer, and bars what was pipelined behind it.
void mirror::abandon_open(instant now, effects& out)
{
    auto const seen = context_.gates.look(stream_.id);
    if (seen.in_flight != 0)
        return go(stage::opening, now);
    context_.gates.open(stream_.id, ingress::way::store, replica_->just_read());
    out.reached.emplace_back("abandon.released");
    answer({0,
            {{"stream", name()}, {"state", to_string(phase())}, {"held_ms", now.steady_ms - job_->began_ms}, {"held_messages", seen.held}},
            {}},
           out);
}

std::string mirror::waits_for() const
{
    auto const& facts = replica_->now();
    switch (job_->at) {
    case stage::draining: {
        auto const under_way = context_.gates.look(stream_.id).in_flight;
        return under_way != 0 ? count_of(under_way, "publish", "publishes") + " under way"
                              : count_of(replica_->unsettled(), "publish", "publishes") + " of unknown outcome";
    }
    case stage::fencing: return "the server to say how far " + jet_name() + " goes";
    case stage::importing:
        if (facts.waiting_rows != 0)
            return count_of(facts.waiting_rows, "message") + " to be copied and read back";
        if (!facts.synchronous)
            return "what " + jet_name() + " held when the link came to be read";
        return forward() ? "message " + std::to_string(job_->fence_row) + " to be read back"
                         : "message " + std::to_string(job_->fence_place) + " of " + jet_name() + " to be read";
    case stage::intending:
    case stage::committing: return "the journal";
    case stage::opening:
        if (auto const under_way = context_.gates.look(stream_.id).in_flight; under_way != 0)
            return count_of(under_way, "publish", "publishes") + " under way";
        break;
    case stage::checking:
    case stage::comparing:
    case stage::erasing:
    case stage::stamping:
    case stage::making:
    case stage::holding:
    case stage::counting:
    case stage::deleting:
    case stage::forgetting:
    case stage::freezing:
    case stage::trimming: break;
    }
    return "nothing";
}

/// So much a second goes there and comes back: as measured last while much waited, else what two processors are known to carry.
double mirror::carried() const { return carried_ != 0 ? carried_ : carried_assumed; }

/// Why a side could not keep up with what is published; empty = it can.
std::string mirror::too_fast() const
{
    auto const rate = published_rate_.a_second();
    if (rate <= std::max(carried(), 1.1 * (copied_rate_.a_second() + ordered_rate_.a_second())))
        return {};
    return count_of(static_cast<std::uint64_t>(rate), "message") + " a second are published, and " + count_of(static_cast<std::uint64_t>(carried()), "message")
           + (carried_ != 0 ? " were copied and read back when much waited" : " can be expected to be copied and read back") + ": switch when less is published";
}

/// What is on its way when the hold begins has to go there and come back: about the lag of now, or what waits.
std::uint64_t mirror::expected_hold_ms(instant now) const
{
    auto const waiting_ms = static_cast<std::uint64_t>(static_cast<double>(replica_->now().waiting_rows) * 1000 / carried());
    return std::max(lag_ms(now), waiting_ms) + hold_least_ms;
}

nlohmann::json mirror::abandon_steps() const
{
    auto const& facts = replica_->now();
    auto const unsettled = replica_->unsettled();
    auto steps = nlohmann::json::array();
    auto const add = [&](std::string text, nlohmann::json figures = nlohmann::json::object()) {
        steps.push_back({{"text", std::move(text)}, {"figures", std::move(figures)}});
    };
    add("hold what SSH clients publish to " + name() + " for a moment", {{"most_held_bytes", context_.bounds.hold_bytes}});
    add("write down that SQLite orders " + name() + ", without asking NATS: there is no taking it back but by switch",
        {{"authority_epoch", journal_.authority_epoch + 1}});
    add("answer 'unavailable' to what waits for NATS, or may be there", {{"publishes", unsettled}});
    add("give up what NATS clients published to " + jet_name() + " and was not read, unless that stream comes back",
        {{"read_up_to", facts.checkpoint}, {"last_heard_of", facts.jet_last}});
    add("hand what was held to SQLite, and copy again when NATS answers", {{"waiting", facts.waiting_rows}});
    return steps;
}

nlohmann::json mirror::change_steps(instant now) const
{
    auto steps = nlohmann::json::array();
    auto const add = [&](std::string text, nlohmann::json figures = nlohmann::json::object()) {
        steps.push_back({{"text", std::move(text)}, {"figures", std::move(figures)}});
    };
    auto const& facts = replica_->now();
    auto const rate = published_rate_.a_second();
    auto const expected_ms = expected_hold_ms(now);
    add("see that what is published can be carried: " + std::string{carried_ != 0 ? "as was copied and read back when much waited" : "as can be expected, it was not measured here yet"},
        {{"published_per_second", rate}, {"carried_per_second", carried()}});
    add("compare the last " + count_of(tail_compared, "message") + " of both sides", {{"messages", tail_compared}});
    add("write the intent into the journal: a crash from here on rolls back", {{"authority_epoch", journal_.authority_epoch + 1}});
    add("hold what SSH clients publish to " + name() + ", at most " + time_text(job_->hold_ms) + " and " + bytes_text(context_.bounds.hold_bytes),
        {{"longest_hold_ms", job_->hold_ms},
         {"most_held_bytes", context_.bounds.hold_bytes},
         {"expected_hold_ms", expected_ms},
         {"expected_held_messages", static_cast<std::uint64_t>(rate * static_cast<double>(expected_ms) / 1000)}});
    add("wait until nothing is under way or of unknown outcome",
        {{"under_way", context_.gates.look(stream_.id).in_flight}, {"unsettled", replica_->unsettled()}});
    if (forward())
        add("wait until every message of the log up to then was read back from " + jet_name(),
            {{"waiting", facts.waiting_rows}, {"in_flight", facts.in_flight}, {"copied_per_second", copied_rate_.a_second()}});
    else
        add("wait until every message of " + jet_name() + " up to then is in the log",
            {{"unread", facts.unread}, {"checkpoint", facts.checkpoint}, {"read_per_second", imported_rate_.a_second() + ordered_rate_.a_second()}});
    add("write down that " + std::string{forward() ? "JetStream" : "SQLite"} + " orders " + name() + ": the point of no return but by "
            + (forward() ? "reverse" : "switch"),
        {{"authority_epoch", journal_.authority_epoch + 1}});
    add("hand what was held to " + std::string{forward() ? "JetStream" : "SQLite"} + " in its order, and compare the last messages again");
    return steps;
}

}  // namespace kedge::migration
