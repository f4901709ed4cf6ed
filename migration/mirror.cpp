// Events, flags and the journal of a stream's migration.

#include "migration/mirror.hpp"

#include <algorithm>
#include <utility>

namespace kedge::migration {

namespace {

constexpr std::uint64_t rewrite_after_ms = 200;
constexpr std::uint64_t tick_ms = 1'000;
constexpr std::uint64_t hold_look_ms = 5;

}  // namespace

void rate_meter::sample(std::uint64_t total, std::uint64_t now_ms) noexcept
{
    if (at_ms_ != 0 && now_ms > at_ms_ && total >= total_) {
        auto const fresh = static_cast<double>(total - total_) * 1000 / static_cast<double>(now_ms - at_ms_);
        rate_ = rate_ == 0 || fresh == 0 ? fresh : rate_ * 0.5 + fresh * 0.5;
    }
    total_ = total;
    at_ms_ = now_ms;
}

mirror::mirror(mirror_context const& context, stream_state stream, message_seq last, std::optional<mirror_state> found)
    : context_{context},
      stream_{std::move(stream)},
      last_{std::max(last, stream_.last)},
      numbers_{static_cast<std::uint32_t>(stream_.id)},
      recorded_{found.has_value()}
{
    if (!found)
        return;
    if (auto read = read_journal(found->journal); read) {
        journal_ = std::move(*read);
    } else {
        // Nothing says which side ordered: nobody does until an operator has looked.
        journal_.phase = stream_phase::nats;
        journal_.broken = journal::breakdown{"journal", read.error().message, next_for("journal")};
    }
    make_replica(*found);
}

mirror::~mirror() = default;

std::string mirror::jet_name() const { return journal_.jet.empty() ? jet_name_of(context_.bounds, name()) : journal_.jet; }

replica_identity mirror::identity() const
{
    replica_identity id{stream_.id, name(), jet_name(), context_.incarnation, context_.secret};
    id.body_bytes_max = context_.server.body_bytes;
    id.header_bytes_max = context_.server.header_bytes;
    return id;
}

jet_config mirror::wanted() const
{
    auto config = jet_config_for(stream_.config, context_.bounds, context_.server);
    config.name = jet_name();
    config.description = describe_owner(self());
    return config;
}

void mirror::make_replica(mirror_state const& state)
{
    replica_ = std::make_unique<replica>(identity(), state, last_, context_.bounds, numbers_);
    replica_->set_authority(authority_in(recovered(journal_.phase)), journal_.authority_epoch);
    replica_->grant(journal_.granted_bytes);
}

void mirror::grant_backlog(std::uint64_t at_least)
{
    journal_.granted_bytes = std::max(at_least, replica_->now().waiting_bytes);
    replica_->grant(journal_.granted_bytes);
    dirty_ = true;
}

void mirror::recover(instant now, effects& out)
{
    replica_->loaded(now, out);
    auto const found = journal_.phase;
    auto const to = recovered(found);
    if (to != found)
        enter(found == stream_phase::switching ? phase_event::switch_rolled_back : phase_event::reverse_rolled_back,
              "the server ended before it was decided", {}, now, out);
    if (copies_in(to))
        context_.gates.watch(stream_.id, authority_in(to) == authority::sqlite ? ingress::way::store : ingress::way::jetstream);
    if (to == stream_phase::complete && stream_.config.keep != retention::interest) {
        stream_.config.keep = retention::interest;
        out.store.emplace_back(store_request::edit_stream{numbers_.next_token(), stream_.id, stream_.config});
    }
    steer(now, out);
    if (!journal_.diff_resume.is_null() && copies_in(to))
        resume_diff(now, out);
    if (unwritten())
        write(out);
}

void mirror::note(std::string what, std::string why, std::string by, instant now, effects& out)
{
    std::string const state{to_string(journal_.phase)};
    out.announcements.emplace_back(
        name(), nlohmann::json{{"stream", name()}, {"state", state}, {"what", what}, {"why", why}, {"time_ms", now.wall_ms}});
    journal_.add({now.wall_ms, state, std::move(what), std::move(why), std::move(by)});
    dirty_ = true;
}

void mirror::enter(phase_event what, std::string why, std::string by, instant now, effects& out)
{
    auto const to = after(journal_.phase, what);
    if (!to)
        return;  // whoever asks has looked at the phase before
    journal_.phase = *to;
    journal_.since_ms = now.wall_ms;
    note(std::string{to_string(what)}, std::move(why), std::move(by), now, out);
}

token mirror::write(effects& out)
{
    store_request::put_mirror put;
    put.request = numbers_.next_token();
    put.mirror.stream = stream_.id;
    if (job_ && job_->start != 0) {
        put.mirror.start = job_->start;
        put.mirror.checkpoint = job_->first_place;
        put.mirror.stamp = job_->first_stamp;
    }
    put.mirror.keep = journal_.phase != stream_phase::legacy && !(journal_.broken && journal_.broken->reason == "backlog");
    put.mirror.journal = write_journal(journal_);
    writing_ = put.request;
    dirty_ = false;
    out.store.emplace_back(std::move(put));
    return writing_;
}

void mirror::written(bool done, instant now, effects&)
{
    writing_ = token::none;
    if (done)
        return;
    dirty_ = true;
    rewrite_ms_ = now.steady_ms + rewrite_after_ms;
}

void mirror::steer(instant now, effects& out)
{
    if (!replica_)
        return;
    bool const wanted = copies_in(journal_.phase) && !journal_.paused && !journal_.broken;
    if (wanted == replica_->running())
        return;
    if (wanted) {
        replica_->run(now, out);
    } else {
        replica_->stop(now, out);
    }
}

void mirror::settle(instant now, effects& out)
{
    if (replica_ && !journal_.broken && copies_in(journal_.phase)) {
        auto const& facts = replica_->now();
        journal_.granted_bytes = std::min(journal_.granted_bytes, facts.waiting_bytes);
        if (facts.broken != breakage::none)
            break_down(std::string{to_string(facts.broken)}, facts.broken_why, now, out);
        else if (facts.waiting_bytes > context_.bounds.backlog_bytes + journal_.granted_bytes)
            break_down("backlog", bytes_text(facts.waiting_bytes) + " wait to be copied, and [nats] backlog_bytes is "
                                      + bytes_text(context_.bounds.backlog_bytes), now, out);
    }
    if (replica_)
        replica_->patient(patient());
    look_at_diff(now, out);
    // A labelled point ends a step: what comes after it is the next one.
    if (job_ && out.reached.empty()) {
        job_->looked_ms = now.steady_ms;
        advance(now, out);
    }
}

void mirror::break_down(std::string reason, std::string why, instant now, effects& out)
{
    if (journal_.broken)
        return;
    doubt(why, now, out);
    if (job_ && (journal_.phase == stream_phase::switching || journal_.phase == stream_phase::reversing))
        roll_back(why, now, out);
    auto next = next_for(reason);
    journal_.broken = journal::breakdown{std::move(reason), std::move(why), std::move(next)};
    note("broken", journal_.broken->why, {}, now, out);
    steer(now, out);
    if (replica_ && authority_in(journal_.phase) == authority::jetstream)
        replica_->abandon(unavailable().message, now, out);
    if (diff_)
        diff_->stop(out, journal_.broken->why);
    write(out);
}

void mirror::mended(std::string why, std::string by, instant now, effects& out)
{
    journal_.broken.reset();
    note("mended", std::move(why), std::move(by), now, out);
    if (replica_)
        replica_->mend();
    steer(now, out);
    write(out);
}

std::string mirror::next_for(std::string const& reason) const
{
    auto const& s = name();
    if (reason == to_string(breakage::log_rewound))
        return "the database here is older than the copy: if it was restored on purpose, 'kedge migrate resume " + s
             + " --adopt' takes over what JetStream holds and the log lacks";
    if (reason == to_string(breakage::foreign_owner))
        return "find out which kedged also writes to " + jet_name() + " and stop it; if that was started from a backup of this home, 'kedge migrate resume "
             + s + " --adopt' takes the stream back";
    if (reason == to_string(breakage::stream_gone) && journal_.phase == stream_phase::complete)
        return "when the old " + jet_name() + " is back it goes on by itself; if it is lost, 'kedge migrate resume " + s
             + " --adopt' makes another of what the log still holds, which is only what consumers were not done with";
    if (reason == to_string(breakage::stream_gone))
        return "if [nats] servers names the right cluster, 'kedge migrate resume " + s + " --adopt' makes " + jet_name()
             + " anew and fills it from the log; when the old one is back it goes on by itself";
    if (reason == to_string(breakage::backlog))
        return "retention has its way with what waits now: 'kedge migrate resume " + s
             + "' copies what is still there, 'kedge migrate cancel " + s + "' gives the copy up";
    if (reason == "journal")
        return "put back a backup of the database, or reset the stream with 'kedge migrate cancel " + s + "'";
    return "see to what the server says, then 'kedge migrate resume " + s + "'";
}

failure mirror::unavailable() const
{
    auto const say = [&](std::string const& why) {
        return failure{error_code::unavailable, name() + " is ordered by NATS JetStream, and " + why
                                                    + ": it may have been stored; send it again with the same id"};
    };
    if (journal_.broken)
        return say("its migration is broken (" + journal_.broken->reason + ')');
    if (!linked())
        return say("there is no link to it (" + context_.link.why + ')');
    return say("it does not take publishes now");
}

void mirror::lose(std::span<store_request::append const> batch, failure const& why, effects& out)
{
    for (auto const& each : batch)
        out.lost.push_back({each.request, each.stream, each.epoch, why});
}

void mirror::link_up(instant now, effects& out)
{
    checked_ = false;
    owner_asked_ = token::none;
    end_rehearsal();
    if (std::exchange(down_noted_, false) && recorded_)
        note("link up", "connected to " + context_.link.up->url, {}, now, out);
    if (job_ && job_->checks)
        job_->checks->tick(now, out);
    ask_owner(now, out);
    settle(now, out);
}

void mirror::link_down(std::string const& why, instant now, effects& out)
{
    checked_ = false;
    owner_asked_ = token::none;
    end_rehearsal();
    if (replica_)
        replica_->link_down(why, now, out);
    if (diff_)
        diff_->link_down();
    if (recorded_ && copies_in(journal_.phase) && !std::exchange(down_noted_, true))
        note("link down", why, {}, now, out);
    settle(now, out);
}

void mirror::on_backend(backend_event::any& event, instant now, effects& out)
{
    if (auto const* const answered = std::get_if<backend_event::answered>(&event)) {
        if (answered->request == owner_asked_ && owner_asked_ != token::none) {
            owner_answered(*answered, now, out);
            return settle(now, out);
        }
        if (job_ && job_->asked == answered->request) {
            job_answered(*answered, now, out);
            return settle(now, out);
        }
    }
    if (job_ && job_->checks && job_->checks->on_backend(event, now, out))
        checked(now, out);
    else if (rehearsal_.checks && rehearsal_.checks->on_backend(event, now, out))
        rehearsed(now);
    else if (!replica_ || !replica_->on_backend(event, now, out))
        if (diff_)
            diff_->on_backend(event, now, out);
    settle(now, out);
}

void mirror::on_store(store_event::any const& event, instant now, effects& out)
{
    if (auto const* const failed = std::get_if<store_event::append_failed>(&event)) {
        context_.gates.failed(stream_.id, failed->request, failed->why);
        return settle(now, out);
    }
    auto const of = [&](auto const& what) {
        if constexpr (requires { what.request; })
            return what.request;
        else
            return token::none;
    };
    auto const request = std::visit(of, event);
    if (request == token::none)
        return;
    bool const failed = std::holds_alternative<store_event::failed>(event);
    if (request == writing_)
        written(!failed, now, out);
    if (job_ && job_->asked == request)
        job_stored(event, now, out);
    else if (job_ && job_->checks && job_->checks->on_store(event, now, out))
        checked(now, out);
    else if (!replica_ || !replica_->on_store(event, now, out))
        if (diff_)
            diff_->on_store(event, now, out);
    settle(now, out);
}

void mirror::committed(std::vector<store_event::rows_arrived::arrival> const& rows, instant now, effects& out)
{
    if (rows.empty())
        return;
    last_ = rows.back().stored.seq;
    std::vector<token> origins;
    for (auto const& each : rows) {
        if (each.origin != token::none)
            origins.push_back(each.origin);
        if (each.stored.sender && each.stored.sender->view() != "nats")
            ++published_;
    }
    if (replica_)
        replica_->committed(rows, now, out);
    // Only now: who sees that nothing is under way may rely on the replica to know of all that was.
    if (!origins.empty())
        context_.gates.arrived(stream_.id, origins);
    settle(now, out);
}

void mirror::trimmed(store_event::stream_trimmed const& what)
{
    stream_.first = what.first;
    if (replica_)
        replica_->trimmed(what);
}

void mirror::publish(std::vector<store_request::append> batch, instant now, effects& out)
{
    batch = context_.gates.admit(std::move(batch));
    if (batch.empty())
        return;
    if (!replica_ || !replica_->running() || !context_.link.configured || authority_in(journal_.phase) != authority::jetstream)
        lose(batch, unavailable(), out);
    else
        replica_->publish(std::move(batch), now, out);
    settle(now, out);
}

void mirror::overflowed(instant now, effects& out) { settle(now, out); }

void mirror::limits_changed()
{
    if (replica_)
        replica_->set_limits(context_.server);
}

void mirror::tick(instant now, effects& out)
{
    if (replica_)
        if (auto const due = replica_->due_ms(); due && *due <= now.steady_ms)
            replica_->tick(now, out);
    if (diff_)
        if (auto const due = diff_->due_ms(); due && *due <= now.steady_ms)
            diff_->tick(now, out);
    if (job_ && job_->checks) {
        job_->checks->tick(now, out);
        if (job_->checks->finished())
            checked(now, out);
    }
    if (owner_due_ms_ <= now.steady_ms)
        ask_owner(now, out);
    rehearse(now, out);
    sample(now, out);
    settle(now, out);
    if (unwritten() && writing_ == token::none && rewrite_ms_ <= now.steady_ms)
        write(out);
}

std::uint64_t mirror::due_ms() const
{
    if (job_ && job_->at == stage::opening && job_->what.abandon)
        return job_->stage_ms + 1;  // it waits for others
    if (job_ && (job_->at == stage::holding || job_->at == stage::opening || job_->at == stage::freezing))
        return 0;
    auto due = sampled_ms_ + tick_ms;
    if (unwritten() && writing_ == token::none)
        due = std::min(due, rewrite_ms_);
    if (job_ && job_->checks)
        due = std::min(due, job_->checks->due_ms().value_or(due));
    if (rehearsal_.checks)
        due = std::min(due, rehearsal_.checks->due_ms().value_or(due));
    if (replica_)
        due = std::min(due, replica_->due_ms().value_or(due));
    if (diff_)
        due = std::min(due, diff_->due_ms().value_or(due));
    if (job_ && job_->held_ms != 0) {
        due = std::min(due, job_->held_ms + job_->hold_ms);
        if (job_->at == stage::draining || job_->at == stage::importing)
            due = std::min(due, job_->looked_ms + hold_look_ms);  // on an idle stream no event comes
    }
    return due;
}

void mirror::flush(effects& out)
{
    if (diff_ && !diff_->finished() && !diff_for_job_)
        keep_diff();
    dirty_ = dirty_ || !journal_.diff_resume.is_null();
    if (unwritten())
        write(out);
}

void mirror::removed(effects& out)
{
    removed_ = true;
    context_.gates.removed(stream_.id);
    if (job_)
        refuse_job("the stream " + name() + " was removed", out);
    if (diff_)
        diff_->stop(out);
    if (replica_ && replica_->running())
        replica_->stop({}, out);
    if (std::exchange(recorded_, false))
        out.store.emplace_back(store_request::remove_mirror{numbers_.next_token(), stream_.id});
    dirty_ = false;
}

}  // namespace kedge::migration
