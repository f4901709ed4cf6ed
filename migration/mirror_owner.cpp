// Whose the JetStream stream is: asked on each connection before anything is written, and every few seconds.

#include <utility>

#include "migration/mirror.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t ask_every_ms = 10'000;
constexpr std::uint64_t ask_again_ms = 1'000;

}  // namespace

owner_mark mirror::self() const
{
    return {home_of(context_.secret), context_.incarnation, name(), static_cast<std::uint64_t>(stream_.id)};
}

/// Whose the stream is has to be looked at again before anything more is written to it.
void mirror::doubt(std::string const& why, instant now, effects& out)
{
    if (std::exchange(checked_, false) && replica_)
        replica_->link_down(why, now, out);
}

/// It is not there, or not ours; which of them may have changed since it was found.
void mirror::disown(breakage what, std::string why, instant now, effects& out)
{
    doubt(why, now, out);
    auto const is = [&](breakage b) { return journal_.broken->reason == to_string(b); };
    if (journal_.broken && !is(what) && (is(breakage::stream_gone) || is(breakage::foreign_owner)))
        journal_.broken.reset();
    break_down(std::string{to_string(what)}, std::move(why), now, out);
}

void mirror::ask_owner(instant now, effects& out)
{
    owner_due_ms_ = now.steady_ms + ask_every_ms;
    if (!linked() || owner_asked_ != token::none || journal_.created_ns == 0 || !copies_in(journal_.phase))
        return;
    owner_asked_ = numbers_.next_token();
    out.backend.emplace_back(backend_command::stream_info{owner_asked_, jet_name()});
}

void mirror::owner_answered(backend_event::answered const& answer, instant now, effects& out)
{
    owner_asked_ = token::none;
    if (auto const* const info = std::get_if<jet_info>(&answer.what))
        return owner_known(*info, now, out);
    auto const* const problem = std::get_if<backend_event::problem>(&answer.what);
    owner_due_ms_ = now.steady_ms + ask_again_ms;
    if (problem && problem->missing && copies_in(journal_.phase)) {
        owner_due_ms_ = now.steady_ms + ask_every_ms;
        disown(breakage::stream_gone, "there is no JetStream stream " + jet_name() + " on the server", now, out);
    }
}

void mirror::owner_known(jet_info const& info, instant now, effects& out)
{
    if (!copies_in(journal_.phase))
        return;
    auto whose = judge_owner(info.config.description, self(), journal_.marked);
    taken_ = whose == ownership::taken;
    if (taken_ && reclaiming_)
        whose = ownership::renewed;
    // First of all: a stream that somebody else has made anew is somebody else's.
    if (whose == ownership::taken || whose == ownership::former || whose == ownership::foreign)
        return disown(breakage::foreign_owner, jet_name() + " belongs to " + name_owner(info.config.description), now, out);
    if (info.created_ns != journal_.created_ns) {
        // nats-server 2.9 gives a stream that was updated another time of creation at its next start: ours bears our mark. What is
        // in it is for the replica to compare.
        if (whose == ownership::unmarked)
            return disown(breakage::stream_gone, "the JetStream stream " + jet_name() + " was deleted and made anew", now, out);
        journal_.created_ns = info.created_ns;
        dirty_ = true;
    }
    if (whose != ownership::ours) {
        // Ours from before a restore, taken back from another database of this home, or somebody edited the description away.
        auto config = info.config;
        config.description = describe_owner(self());
        owner_asked_ = numbers_.next_token();
        out.backend.emplace_back(backend_command::update_stream{owner_asked_, std::move(config)});
        return;
    }
    reclaiming_ = false;
    if (journal_.marked != context_.incarnation) {
        journal_.marked = context_.incarnation;
        dirty_ = true;
    }
    if (journal_.broken
        && (journal_.broken->reason == to_string(breakage::stream_gone) || journal_.broken->reason == to_string(breakage::foreign_owner)))
        mended(jet_name() + " is there again, and is this server's", {}, now, out);
    if (checked_ || journal_.broken)
        return;
    checked_ = true;
    if (replica_)
        replica_->link_up(*context_.link.up, now, out);
    if (diff_)
        diff_->link_up(now, out);
}

}  // namespace kedge::migration
