// `migrate start`: from the checks to a copy that runs. A start that was interrupted begins anew; one that was cancelled goes on.

#include <algorithm>
#include <utility>

#include "migration/mirror.hpp"

namespace kedge::migration {

void mirror::start(instant now, effects& out)
{
    job_->resumed = recorded_ && journal_.created_ns != 0;
    if (phase() != stream_phase::mirroring && phase() != stream_phase::legacy)
        return refuse_job(name() + " is " + std::string{to_string(phase())} + ": it has been started long ago", out);
    // Where a copy began stays so: what was left out is not put in front of what is there.
    if (auto const& from = job_->what.from; job_->resumed && !from.empty() && from != journal_.from)
        return refuse_job(name() + (phase() == stream_phase::mirroring ? " is copied already, from '" : " has a copy from before, which would go on from '")
                              + journal_.from + "': to begin anew from '" + from + "', first 'kedge migrate cancel " + name() + " --delete-stream'",
                          out);
    if (phase() == stream_phase::mirroring) {
        auto data = status(now);
        data["already"] = true;
        return answer({0, std::move(data), {}}, out);
    }
    context_.gates.watch(stream_.id, ingress::way::store);
    if (job_->what.from.empty())
        job_->what.from = job_->resumed ? journal_.from : "now";
    preflight::matter matter;
    matter.stream = stream_;
    matter.unacked = job_->known.unacked;
    matter.from = job_->what.from;
    matter.jet = jet_name();
    matter.self = self();
    matter.marked = journal_.marked;
    matter.created_ns = journal_.created_ns;
    matter.bridges = context_.bridges;
    job_->checks = std::make_unique<preflight>(preflight::purpose::start, std::move(matter), context_.bounds, context_.server, numbers_);
    go(stage::checking, now);
    job_->checks->run(context_.link, now, out);
    checked(now, out);
}

void mirror::start_checked(instant now, effects& out)
{
    auto const& checks = *job_->checks;
    if (!checks.ok()) {
        context_.gates.forget(stream_.id);
        return refuse_job(checks.why_not(), out, checks.result());
    }
    if (recorded_ && !job_->resumed) {
        wait(stage::erasing, numbers_.next_token(), now);
        out.store.emplace_back(store_request::remove_mirror{job_->asked, stream_.id});
        return;
    }
    start_from(now, out);
}

/// Where the copy begins, on both sides.
void mirror::start_from(instant now, effects& out)
{
    journal_.jet = jet_name();
    if (job_->resumed)
        return start_intend(now, out);
    auto const& from = job_->what.from;
    journal_.from = from;
    job_->start = from == "first" ? stream_.first : from == "unacked" ? std::min(job_->known.unacked, last_ + 1) : last_ + 1;
    job_->start = std::max<message_seq>(job_->start, 1);
    // What an existing stream holds is history, unless it is to be taken over. Under our own mark too: it is of a start that came to
    // nothing, of a stream that was removed, or of another database of this home.
    auto const& existing = job_->checks->existing();
    if (!existing || from == "first" || existing->last == 0)
        return start_intend(now, out);
    job_->first_place = existing->last;
    wait(stage::stamping, numbers_.next_token(), now);
    out.backend.emplace_back(backend_command::get_message{job_->asked, jet_name(), existing->last});
}

void mirror::start_intend(instant now, effects& out)
{
    if (!job_->resumed)
        note("start intended", "from " + journal_.from, job_->user, now, out);
    wait(stage::intending, write(out), now);
}

void mirror::start_make(std::optional<jet_info> const& existing, instant now, effects& out)
{
    wait(stage::making, numbers_.next_token(), now);
    if (!existing) {
        out.backend.emplace_back(backend_command::create_stream{job_->asked, wanted()});
        return;
    }
    auto config = existing->config;
    config.description = describe_owner(self());
    out.backend.emplace_back(backend_command::update_stream{job_->asked, std::move(config)});
}

void mirror::start_made(jet_info const& info, instant now, effects& out)
{
    journal_.created_ns = info.created_ns;
    journal_.marked = context_.incarnation;
    if (job_->what.what == command::verb::resume) {
        out.reached.emplace_back("adopt.created");
        return resumed(now, out);
    }
    out.reached.emplace_back("start.created");
    enter(phase_event::started, job_->resumed ? "goes on with the earlier copy" : "from " + journal_.from, job_->user, now, out);
    wait(stage::committing, write(out), now);
}

/// The copy runs. `state` is of a record that was made just now; empty: of one that went on, or the store did not say.
void mirror::start_counted(mirror_state state, instant now, effects& out)
{
    if (!job_->resumed) {
        if (state.stream != stream_.id) {
            state = {};
            state.stream = stream_.id;
            state.start = job_->start;
            state.checkpoint = job_->first_place;
            state.stamp = job_->first_stamp;
            state.floor = job_->start - 1;
            state.waiting_rows = last_ >= job_->start ? last_ - job_->start + 1 : 0;
        }
        make_replica(state);
        replica_->loaded(now, out);
    } else if (replica_) {
        replica_->mend();
    }
    if (replica_)
        grant_backlog(state.waiting_bytes);
    steer(now, out);
    look_behind(now, out);
    ask_owner(now, out);
    auto const& copy = job_->checks->to_copy();
    answer({0,
            {{"stream", name()},
             {"state", to_string(phase())},
             {"jet", jet_name()},
             {"resumed", job_->resumed},
             {"copy", {{"from", copy.from}, {"rows", copy.rows}, {"bytes", copy.bytes}}}},
            {}},
           out);
}

}  // namespace kedge::migration
