// Commands of one stream: who asks, and pause, resume, complete and cancel.

#include "migration/mirror.hpp"

#include <utility>

namespace kedge::migration {

void mirror::ask(command what, token request, std::string const& user, migration_request::known_stream const& known, instant now,
                 effects& out)
{
    auto const say = [&](admin_result result) { out.answers.emplace_back(request, std::move(result)); };
    switch (what.what) {
    case command::verb::plan:
    case command::verb::status: return say({0, status(now), {}});
    case command::verb::events: {
        auto list = nlohmann::json::array();
        for (auto const& e : journal_.history)
            list.push_back({{"time_ms", e.time_ms}, {"state", e.state}, {"what", e.what}, {"why", e.why}, {"by", e.by}});
        return say({0, {{"stream", name()}, {"events", std::move(list)}}, {}});
    }
    case command::verb::diff:
        if (what.follow || (diff_ && !diff_->finished() && diff_asked_)) {
            if (diff_report().is_null())
                return say(refused("no diff of " + name() + " was made: 'kedge migrate diff " + name() + "' makes one"));
            return say({0, diff_report(), {}});
        }
        break;
    case command::verb::start:
    case command::verb::switch_over:
    case command::verb::reverse:
    case command::verb::pause:
    case command::verb::resume:
    case command::verb::complete:
    case command::verb::cancel: break;
    }
    if (job_)
        return say(refused("'migrate " + std::string{to_string(job_->what.what)} + ' ' + name() + "' is under way: try again"));
    job_.emplace();
    job_->what = std::move(what);
    job_->request = request;
    job_->user = user;
    job_->known = known;
    job_->began_ms = now.steady_ms;
    job_->before = {journal_.phase, journal_.since_ms, journal_.paused, journal_.broken};
    if (known.state.id == stream_.id && phase() == stream_phase::legacy)
        stream_ = known.state;  // it may have been edited since
    switch (job_->what.what) {
    case command::verb::plan:
    case command::verb::status:
    case command::verb::events: break;
    case command::verb::start: start(now, out); break;
    case command::verb::diff: diff(now, out); break;
    case command::verb::switch_over: change(now, out); break;
    case command::verb::reverse:
        if (job_->what.abandon)
            abandon(now, out);
        else
            change(now, out);
        break;
    case command::verb::pause: pause(now, out); break;
    case command::verb::resume: resume(now, out); break;
    case command::verb::complete: complete(now, out); break;
    case command::verb::cancel: cancel(now, out); break;
    }
    settle(now, out);
}

void mirror::answer(admin_result result, effects& out)
{
    if (job_ && job_->request != token::none)
        out.answers.emplace_back(job_->request, std::move(result));
    job_.reset();
}

void mirror::refuse_job(std::string why, effects& out, nlohmann::json data) { answer(refused(std::move(why), std::move(data)), out); }

/// The stage goes on by itself, at the next step.
void mirror::go(stage at, instant now) { wait(at, token::none, now); }

void mirror::wait(stage at, token asked, instant now)
{
    job_->at = at;
    job_->asked = asked;
    job_->stage_ms = now.steady_ms;
}

/// False: the person was asked to type the stream's name, and the job is over.
bool mirror::confirmed(std::vector<std::string> risk, effects& out)
{
    if (job_->what.confirm == name())
        return true;
    refuse_job(job_->what.confirm.empty() ? "this has to be confirmed with the stream's name"
                                          : "'" + job_->what.confirm + "' is not the stream's name",
               out, {{"confirm", name()}, {"risk", std::move(risk)}});
    return false;
}

void mirror::pause(instant now, effects& out)
{
    if (phase() == stream_phase::nats || phase() == stream_phase::complete)
        return refuse_job(name() + " is ordered by JetStream: a pause would end all publishing to it", out);
    if (phase() != stream_phase::mirroring)
        return refuse_job(name() + " is not mirrored: there is nothing to pause", out);
    if (journal_.paused)
        return answer({0, status(now), {}}, out);
    journal_.paused = true;
    note("paused", {}, job_->user, now, out);
    wait(stage::committing, write(out), now);
}

void mirror::resume(instant now, effects& out)
{
    if (!copies_in(phase()))
        return refuse_job(name() + " is not mirrored: 'kedge migrate start " + name() + "' begins, or goes on", out);
    if (!journal_.paused && !journal_.broken)
        return answer({0, status(now), {}}, out);
    if (damaged())
        return refuse_job(journal_.broken->why + ": " + journal_.broken->next, out);
    if (journal_.broken && journal_.broken->reason == to_string(breakage::foreign_owner)) {
        if (!taken_ || !job_->what.adopt)
            return refuse_job(journal_.broken->why + ": " + journal_.broken->next, out);
        reclaiming_ = true;
        owner_due_ms_ = now.steady_ms;
    }
    if (journal_.broken && journal_.broken->reason == to_string(breakage::stream_gone)) {
        owner_due_ms_ = now.steady_ms;  // it may be back
        if (!job_->what.adopt)
            return refuse_job(journal_.broken->why + ": " + journal_.broken->next, out);
        if (!linked())
            return refuse_job("there is no link to NATS: " + context_.link.why, out);
        if (phase() == stream_phase::complete && !confirmed(refill_risk(), out))
            return;
        wait(stage::making, numbers_.next_token(), now);
        out.backend.emplace_back(backend_command::stream_info{job_->asked, jet_name()});
        return;
    }
    resumed(now, out);
}

/// COMPLETE keeps history in JetStream only.
std::vector<std::string> mirror::refill_risk() const
{
    auto const rows = stream_.first <= last_ ? last_ - stream_.first + 1 : 0;
    return {jet_name() + " held the whole history of " + name() + ": the log here has at most " + count_of(rows, "message") + " of " + count_of(last_, "message")
                + ", those that consumers were not done with",
            "a new " + jet_name() + " is made of these alone; what else the old one held is lost, unless that one comes back instead"};
}

/// Whatever stopped it is over, as far as the operator can say.
void mirror::resumed(instant now, effects& out)
{
    bool const was_broken = journal_.broken.has_value();
    journal_.paused = false;
    journal_.broken.reset();
    note("resumed", job_->what.adopt ? "with --adopt" : "", job_->user, now, out);
    if (replica_ && was_broken) {
        replica_->adopt(job_->what.adopt);
        replica_->mend();
        grant_backlog();
    }
    wait(stage::committing, write(out), now);
}

void mirror::complete(instant now, effects& out)
{
    if (phase() == stream_phase::complete)
        return answer({0, status(now), {}}, out);
    if (phase() != stream_phase::nats)
        return refuse_job(name() + " is " + std::string{to_string(phase())} + ": only a stream that JetStream orders can be completed", out);
    auto const why = not_ready(now, true);
    auto const& facts = replica_->now();
    auto const rows = stream_.first <= last_ ? last_ - stream_.first + 1 : 0;
    if (job_->what.dry_run)
        return answer({0,
                       {{"stream", name()},
                        {"ok", why.empty()},
                        {"steps",
                         {{{"text", "write down that JetStream orders " + name() + " for good: there is no way back"}, {"figures", nlohmann::json::object()}},
                          {{"text", "keep rows in the log only until every consumer is done with them; while there is no consumer, the limits hold"},
                           {"figures", {{"rows", rows}, {"consumers", job_->known.consumers}}}},
                          {{"text", "go on copying what waits and reading what is published"}, {"figures", {{"waiting", facts.waiting_rows}}}}}},
                        {"why_not", why}},
                       {}},
                      out);
    if (!why.empty())
        return refuse_job(why.front(), out, {{"why_not", why}});
    if (!confirmed({"there is no way back: JetStream orders " + name() + " for good",
                    "the log keeps a message only until every consumer of " + name() + " is done with it"},
                   out))
        return;
    enter(phase_event::completed, {}, job_->user, now, out);
    wait(stage::committing, write(out), now);
}

/// The journal says so; the stream's retention follows.
void mirror::completed(instant now, effects& out)
{
    if (job_->known.state.id == stream_.id)
        stream_.config = job_->known.state.config;  // it may have been paused since
    stream_.config.keep = retention::interest;
    wait(stage::trimming, numbers_.next_token(), now);
    out.store.emplace_back(store_request::edit_stream{job_->asked, stream_.id, stream_.config});
    out.reached.emplace_back("complete.intent");
}

void mirror::cancel(instant now, effects& out)
{
    bool const also_there = job_->what.delete_stream;
    if (phase() == stream_phase::legacy && (!recorded_ || !also_there))
        return answer({0, {{"stream", name()}, {"state", to_string(phase())}, {"already", true}, {"recorded", recorded_}}, {}}, out);
    if (phase() == stream_phase::nats && !damaged())
        return refuse_job("JetStream orders " + name() + ": bring it back first with 'kedge migrate reverse " + name() + "'", out);
    if (phase() == stream_phase::complete)
        return refuse_job(name() + " is complete: there is no way back", out);
    if (also_there && !linked()) {
        auto const why = "there is no link to NATS, so " + jet_name() + " cannot be deleted: " + context_.link.why;
        if (phase() != stream_phase::legacy)
            return refuse_job(why + ": 'kedge migrate cancel " + name() + "' ends the copy, and leaves it there", out);
        if (!confirmed({why + ": it stays there with all that it holds", "what is known of the copy is forgotten here: a later start begins anew"}, out))
            return;
        return forget(now, out);
    }
    if (also_there) {
        if (journal_.broken && journal_.broken->reason == to_string(breakage::foreign_owner))
            return refuse_job(jet_name() + " is not this server's to delete: " + journal_.broken->why, out);
        if (!confirmed({"the JetStream stream " + jet_name() + " is deleted with all that it holds",
                        "NATS clients that read it lose their consumers"},
                       out))
            return;
    }
    if (damaged())
        journal_.phase = stream_phase::mirroring;
    journal_.paused = false;
    journal_.broken.reset();
    journal_.diff_resume = nullptr;
    journal_.behind = 0;
    if (diff_)
        diff_->stop(out);
    diff_.reset();
    if (phase() == stream_phase::mirroring)
        enter(phase_event::cancelled, {}, job_->user, now, out);
    wait(stage::committing, write(out), now);
}

/// The journal says LEGACY: the copy stops here, and is kept as it is, or goes.
void mirror::cancelled(instant now, effects& out)
{
    steer(now, out);
    doubt("it was cancelled", now, out);
    context_.gates.forget(stream_.id);
    if (!job_->what.delete_stream) {
        out.reached.emplace_back("cancel.committed");
        return answer({0, {{"stream", name()}, {"state", to_string(phase())}}, {}}, out);
    }
    // Whose it is may have changed, and was not asked while the copy was LEGACY.
    wait(stage::deleting, numbers_.next_token(), now);
    out.backend.emplace_back(backend_command::stream_info{job_->asked, jet_name()});
}

void mirror::forget(instant now, effects& out)
{
    wait(stage::forgetting, numbers_.next_token(), now);
    out.store.emplace_back(store_request::remove_mirror{job_->asked, stream_.id});
}

}  // namespace kedge::migration
