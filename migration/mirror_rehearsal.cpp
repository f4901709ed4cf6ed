// What a change of the authority would meet, either way, tried again and again: a stream that could not be switched, or not be
// brought back, is not ready. It asks the server and changes nothing there.

#include "migration/mirror.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t every_ms = 300'000;  // it lists all streams of the account
constexpr std::uint64_t again_ms = 5'000;  // while something is wrong

}  // namespace

void mirror::rehearse(instant now, effects& out)
{
    if (rehearsal_.checks) {
        rehearsal_.checks->tick(now, out);
        return rehearsed(now);
    }
    if (rehearsal_.due_ms > now.steady_ms || job_ || !checked_ || !linked() || journal_.broken
        || (phase() != stream_phase::mirroring && phase() != stream_phase::nats))
        return;
    rehearsal_.checks = checks_of_change();
    rehearsal_.checks->run(context_.link, now, out);
    rehearsed(now);
}

void mirror::rehearsed(instant now)
{
    if (!rehearsal_.checks->finished())
        return;
    auto const done = std::move(rehearsal_.checks);
    rehearsal_.known = true;
    rehearsal_.why_not = done->why_not();
    rehearsal_.due_ms = now.steady_ms + (rehearsal_.why_not.empty() ? every_ms : again_ms);
}

}  // namespace kedge::migration
