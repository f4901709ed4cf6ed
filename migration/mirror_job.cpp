// Commands of one stream: the stages that they wait in, and what comes after each.

#include "migration/identity.hpp"
#include "migration/mirror.hpp"

#include <utility>

namespace kedge::migration {

void mirror::job_answered(backend_event::answered const& answer, instant now, effects& out)
{
    auto const* const problem = std::get_if<backend_event::problem>(&answer.what);
    auto const* const info = std::get_if<jet_info>(&answer.what);
    switch (job_->at) {
    case stage::making:
        if (info && job_->what.what == command::verb::resume && info->config.description != describe_owner(self())) {
            auto const whose = judge_owner(info->config.description, self(), journal_.marked);
            if (whose == ownership::foreign || whose == ownership::former) {
                disown(breakage::foreign_owner, jet_name() + " belongs to " + name_owner(info->config.description), now, out);
                return refuse_job(journal_.broken->why + ": " + journal_.broken->next, out);
            }
            return start_make(*info, now, out);
        }
        if (info)
            return start_made(*info, now, out);
        if (problem && problem->missing && job_->what.what == command::verb::resume)
            return start_make(std::nullopt, now, out);
        return job_failed("the server does not make " + jet_name() + ": "
                              + (problem ? problem->why + ": " + remedy_for(problem->code, wanted()) : "it gave no answer"),
                          now, out);
    case stage::stamping:
        if (auto const* const last = std::get_if<bus_message>(&answer.what))
            job_->first_stamp = stamp_of(*last);
        else if (problem && !problem->missing)
            return job_failed("the last message of " + jet_name() + " cannot be read: " + problem->why, now, out);
        return start_intend(now, out);
    case stage::fencing:
        if (!info)
            return roll_back("the server does not say how far " + jet_name() + " goes: " + (problem ? problem->why : "it gave no answer"), now, out);
        job_->fence_place = info->last;
        return go(stage::importing, now);
    case stage::deleting: {
        auto const kept = [&](std::string const& why) {
            refuse_job(name() + " is LEGACY, but " + jet_name() + " was not deleted: " + why, out);
        };
        if (problem && !problem->missing)
            return kept(problem->why);
        if (info) {
            auto const whose = judge_owner(info->config.description, self(), journal_.marked);
            if (whose != ownership::ours && whose != ownership::renewed)
                return kept("it belongs to " + name_owner(info->config.description));
            wait(stage::deleting, numbers_.next_token(), now);
            out.backend.emplace_back(backend_command::delete_stream{job_->asked, jet_name()});
            return;
        }
        job_->deleted = true;
        return forget(now, out);
    }
    case stage::checking:
    case stage::comparing:
    case stage::erasing:
    case stage::intending:
    case stage::committing:
    case stage::holding:
    case stage::counting:
    case stage::draining:
    case stage::importing:
    case stage::opening:
    case stage::forgetting:
    case stage::freezing:
    case stage::trimming: return;
    }
}

void mirror::job_stored(store_event::any const& event, instant now, effects& out)
{
    if (auto const* const failed = std::get_if<store_event::failed>(&event))
        return job_failed(failed->why.message, now, out);
    if (auto const* const imported = std::get_if<store_event::imported>(&event))
        return start_counted(imported->now, now, out);
    job_done(now, out);
}

void mirror::job_done(instant now, effects& out)
{
    switch (job_->at) {
    case stage::erasing:
        recorded_ = false;
        replica_.reset();
        return start_from(now, out);
    case stage::intending:
        recorded_ = true;
        out.reached.push_back(label("intent"));
        if (job_->what.what == command::verb::start)
            return start_make(job_->checks->existing(), now, out);
        return go(stage::holding, now);
    case stage::committing:
        switch (job_->what.what) {
        case command::verb::start:
            out.reached.emplace_back("start.committed");
            wait(stage::counting, numbers_.next_token(), now);
            if (job_->resumed)
                return start_counted({}, now, out);
            out.store.emplace_back(store_request::import_messages{job_->asked, stream_.id, {}, job_->first_place, job_->first_stamp, {}});
            return;
        case command::verb::switch_over: out.reached.push_back(label("committed")); return go(stage::opening, now);
        case command::verb::reverse:
            if (job_->what.abandon)
                return abandoned(now, out);
            out.reached.push_back(label("committed"));
            return go(stage::opening, now);
        case command::verb::pause: steer(now, out); return answer({0, status(now), {}}, out);
        case command::verb::resume:
            if (job_->what.adopt)
                out.reached.emplace_back("adopt.committed");
            steer(now, out);
            look_behind(now, out);
            ask_owner(now, out);
            return answer({0, status(now), {}}, out);
        case command::verb::complete: return completed(now, out);
        case command::verb::cancel: out.reached.emplace_back("cancel.intent"); return go(stage::freezing, now);
        case command::verb::plan:
        case command::verb::status:
        case command::verb::diff:
        case command::verb::events: return;
        }
        return;
    case stage::forgetting:
        recorded_ = false;
        dirty_ = false;
        replica_.reset();
        journal_ = {};
        out.reached.emplace_back("cancel.committed");
        return answer({0, {{"stream", name()}, {"state", to_string(phase())}, {"deleted", job_->deleted}}, {}}, out);
    case stage::trimming:
        out.reached.emplace_back("complete.committed");
        return answer({0, status(now), {}}, out);
    case stage::checking:
    case stage::comparing:
    case stage::stamping:
    case stage::making:
    case stage::holding:
    case stage::counting:
    case stage::draining:
    case stage::fencing:
    case stage::importing:
    case stage::opening:
    case stage::deleting:
    case stage::freezing: return;
    }
}

void mirror::job_failed(std::string why, instant now, effects& out)
{
    switch (job_->at) {
    case stage::intending:
    case stage::committing:
        // What the store holds now is not known: what holds here is written until it stands.
        if (phase() == stream_phase::switching || phase() == stream_phase::reversing)
            return roll_back("the journal could not be written: " + why, now, out);
        switch (job_->what.what) {
        case command::verb::switch_over:
        case command::verb::reverse:
            --journal_.authority_epoch;
            if (job_->what.abandon) {
                journal_.phase = stream_phase::nats;
                context_.gates.open(stream_.id, ingress::way::jetstream, {});
                break;
            }
            journal_.phase = forward() ? stream_phase::switching : stream_phase::reversing;
            return roll_back("the journal could not be written: " + why, now, out);
        case command::verb::start:
            if (!job_->resumed) {  // it has come to nothing: the next one begins anew
                journal_.created_ns = 0;
                journal_.marked.clear();
            }
            come_to_nothing(why, now, out);
            break;
        case command::verb::pause:
        case command::verb::resume:
        case command::verb::complete:
        case command::verb::cancel: come_to_nothing(why, now, out); break;
        case command::verb::plan:
        case command::verb::status:
        case command::verb::diff:
        case command::verb::events: break;
        }
        break;
    case stage::counting: return start_counted({}, now, out);
    case stage::making:
        if (job_->what.what == command::verb::start && journal_.created_ns == 0 && recorded_) {
            recorded_ = false;
            out.store.emplace_back(store_request::remove_mirror{numbers_.next_token(), stream_.id});
        }
        break;
    case stage::draining:
    case stage::fencing:
    case stage::importing: return roll_back(std::move(why), now, out);
    case stage::checking:
    case stage::comparing:
    case stage::erasing:
    case stage::stamping:
    case stage::holding:
    case stage::opening:
    case stage::deleting:
    case stage::forgetting:
    case stage::freezing:
    case stage::trimming: break;
    }
    dirty_ = recorded_;
    refuse_job(std::move(why), out);
}

/// The journal says again what it said before the command; but not that nothing has broken meanwhile.
void mirror::come_to_nothing(std::string const& why, instant now, effects& out)
{
    journal_.phase = job_->before.phase;
    journal_.since_ms = job_->before.since_ms;
    journal_.paused = job_->before.paused;
    if (!journal_.broken)
        journal_.broken = job_->before.broken;
    note(std::string{to_string(job_->what.what)} + " came to nothing", "the journal could not be written: " + why, {}, now, out);
}

void mirror::checked(instant now, effects& out)
{
    if (!job_ || job_->at != stage::checking || !job_->checks->finished())
        return;
    if (job_->what.what == command::verb::start)
        start_checked(now, out);
    else
        change_checked(now, out);
}

void mirror::advance(instant now, effects& out)
{
    switch (job_->at) {
    case stage::comparing: return change_compared(now, out);
    case stage::holding: return change_hold(now, out);
    case stage::draining: return change_drain(now, out);
    case stage::importing: return change_import(now, out);
    case stage::opening: return job_->what.abandon ? abandon_open(now, out) : change_open(now, out);
    case stage::freezing: return cancelled(now, out);
    case stage::fencing:
        if (now.steady_ms >= job_->held_ms + job_->hold_ms)
            return roll_back("the server did not say in time how far " + jet_name() + " goes", now, out);
        return;
    case stage::checking:
    case stage::erasing:
    case stage::stamping:
    case stage::intending:
    case stage::making:
    case stage::committing:
    case stage::counting:
    case stage::deleting:
    case stage::forgetting:
    case stage::trimming: return;
    }
}

}  // namespace kedge::migration
