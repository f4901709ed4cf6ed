// Whose the JetStream stream is: asked on each connection before anything is written, and every few seconds.

#include "migration/mirror.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t ask_every_ms = 10'000;
constexpr std::uint64_t ask_again_ms = 1'000;

}  // namespace

owner_mark mirror::self() const { return {home_of(context_.secret), context_.incarnation, name()}; }

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
        checked_ = false;
        owner_due_ms_ = now.steady_ms + ask_every_ms;
        break_down(std::string{to_string(breakage::stream_gone)}, "there is no JetStream stream " + jet_name() + " on the server", now, out);
    }
}

void mirror::owner_known(jet_info const& info, instant now, effects& out)
{
    if (!copies_in(journal_.phase))
        return;
    auto const gone = std::string{to_string(breakage::stream_gone)};
    auto const foreign = std::string{to_string(breakage::foreign_owner)};
    auto whose = judge_owner(info.config.description, self(), journal_.marked);
    taken_ = whose == ownership::taken;
    if (taken_ && reclaiming_)
        whose = ownership::renewed;
    if (info.created_ns != journal_.created_ns) {
        // nats-server 2.9 gives a stream that was updated another time of creation at its next start: ours bears our mark. What is
        // in it is for the replica to compare.
        if (whose != ownership::ours && whose != ownership::renewed) {
            checked_ = false;
            return break_down(gone, "the JetStream stream " + jet_name() + " was deleted and made anew", now, out);
        }
        journal_.created_ns = info.created_ns;
        dirty_ = true;
    }
    switch (whose) {
    case ownership::ours: break;
    case ownership::unmarked:
    case ownership::renewed: {
        // Ours from before a restore, taken back from another database of this home, or somebody edited the description away.
        auto config = info.config;
        config.description = describe_owner(self());
        owner_asked_ = numbers_.next_token();
        out.backend.emplace_back(backend_command::update_stream{owner_asked_, std::move(config)});
        return;
    }
    case ownership::taken:
    case ownership::foreign:
        checked_ = false;
        return break_down(foreign, jet_name() + " belongs to " + name_owner(info.config.description), now, out);
    }
    reclaiming_ = false;
    if (journal_.marked != context_.incarnation) {
        journal_.marked = context_.incarnation;
        dirty_ = true;
    }
    if (journal_.broken && (journal_.broken->reason == gone || journal_.broken->reason == foreign))
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
