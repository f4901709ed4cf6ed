#include "sshd-transport/message_link.hpp"

#include <algorithm>

#include "sshd-transport/channel.hpp"
#include "sshd-transport/session.hpp"

namespace kedge {

message_link::message_link(session& owner, channel& on, encoding form)
    : session_{owner}, channel_{on}, form_{form}, id_{owner.open_link(*this)}, decoder_{form, owner.bounds()}
{
    session_.emit(id_, link_event::opened{session_.id(), session_.who(), form, true});
}

void message_link::on_input(std::string_view input)
{
    session_.counters().bytes_in.add(input.size());
    if (!deaf_) decoder_.feed(input);
}

bool message_link::wants_input() const
{
    if (deaf_) return true;
    auto const& bounds = session_.bounds();
    // A unit that is still incomplete does not count: the decoder bounds it, and it must be able to become whole.
    return inflight_ < bounds.link_inflight_bytes && channel_.out().bytes() < bounds.link_unsent_bytes;
}

void message_link::work()
{
    if (deaf_) return;
    while (auto next = decoder_.next()) {
        inflight_ += next->bytes;
        session_.emit(id_, link_event::operation{std::move(next->operation), next->bytes});
    }
    deaf_ = decoder_.broken();
}

void message_link::on_input_end()
{
    if (deaf_) return;
    decoder_.finish();
    work();
    deaf_ = true;
    session_.emit(id_, link_event::input_ended{});
}

void message_link::on_output(link_output::body&& what)
{
    if (auto* const credit = std::get_if<link_output::credit>(&what)) {
        inflight_ -= std::min<std::uint64_t>(inflight_, credit->bytes);
    } else if (mute_) {
        return;
    } else if (auto* const data = std::get_if<link_output::data>(&what)) {
        appended_ += data->bytes->size();
        channel_.out().append(std::move(data->bytes));
    } else if (auto* const close = std::get_if<link_output::close>(&what)) {
        deaf_ = mute_ = true;
        channel_.finish(close->exit_status);
    }
}

void message_link::on_flushed(std::uint64_t total)
{
    // Beyond `appended_` lies a `bye` of the transport's own.
    auto const mine = std::min(total, appended_);
    if (mine == reported_) return;
    session_.emit(id_, link_event::written{mine - reported_});
    reported_ = mine;
}

void message_link::revoke()
{
    if (mute_) return;
    deaf_ = mute_ = true;
    channel_.out().append(
        encode(notice::any{notice::bye{error_code::revoked, std::string{sentence(error_code::revoked)}}}, form_));
    channel_.finish(1);
}

void message_link::on_closed()
{
    session_.emit(id_, link_event::closed{reported_});
    session_.close_link(id_);
}

}  // namespace kedge
