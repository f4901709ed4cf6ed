#pragma once
/// A channel that speaks the protocol itself, as frames or lines: decodes operations for the router, writes what the router
/// says, and keeps both within their bounds.

#include "router/protocol/decoder.hpp"
#include "sshd-transport/role.hpp"

namespace kedge {

class channel;
class session;

class message_link final : public role {
public:
    message_link(session&, channel&, encoding);

    void on_input(std::string_view) override;
    bool wants_input() const override;
    void work() override;
    void on_input_end() override;
    void on_output(link_output::body&&) override;
    void on_flushed(std::uint64_t total) override;
    void on_interrupt() override {}
    void revoke() override;
    void on_closed() override;

private:
    session& session_;
    channel& channel_;
    encoding const form_;
    link_id const id_;
    operation_decoder decoder_;
    std::uint64_t inflight_ = 0;  ///< bytes of operations that the router has not handled yet
    std::uint64_t appended_ = 0;  ///< bytes of the router's in the outbox, in the link's whole life
    std::uint64_t reported_ = 0;  ///< of these, told as written
    bool deaf_ = false;           ///< the framing is lost or the link ends: what still comes is dropped
    bool mute_ = false;           ///< `bye` was said: what the router still says is dropped
};

}  // namespace kedge
