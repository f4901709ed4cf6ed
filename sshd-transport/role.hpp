#pragma once
/// What a channel speaks once its request was accepted: a link, a command. One thread, the session's.

#include <cstdint>
#include <string_view>

#include "router/link_port.hpp"

namespace kedge {

class role {
public:
    virtual ~role() = default;

    /// Takes all of `input` (at most `input_bytes_max`); asked only while `wants_input`. May be called from inside libssh:
    /// it only queues.
    virtual void on_input(std::string_view input) = 0;
    static constexpr std::size_t input_bytes_max = 64 * 1024;
    /// Backpressure: while false, the client's window is not opened any further.
    virtual bool wants_input() const = 0;

    // Never from inside libssh:

    /// Handles what was queued.
    virtual void work() = 0;
    /// Something waited for room in the outboxes, and there is room now: `work` would get on.
    virtual bool has_work() const { return false; }
    /// Asked a few times a second: a time that was waited for has come, and `work` would get on.
    virtual bool is_due() const { return false; }
    /// After the last byte of input was taken.
    virtual void on_input_end() = 0;
    /// The router said something about this role's link.
    virtual void on_output(link_output::body&&) = 0;
    /// That many bytes of the channel's output, in its whole life, were handed to the kernel.
    virtual void on_flushed(std::uint64_t total) = 0;
    /// The client's terminal has another size.
    virtual void on_resize() {}
    /// The client sent a signal, or typed Ctrl-C.
    virtual void on_interrupt() = 0;
    /// The principal may not be here any more: say so and finish the channel.
    virtual void revoke() = 0;
    /// The channel is gone, after `on_flushed`. Nothing is called any more.
    virtual void on_closed() = 0;
};

}  // namespace kedge
