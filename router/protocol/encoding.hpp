#pragma once
/// Structures to bytes, for both encodings and both directions.

#include <string>
#include <string_view>

#include "router/protocol/bytes.hpp"
#include "router/protocol/notice.hpp"
#include "router/protocol/operation.hpp"

namespace kedge {

enum class encoding : unsigned char { frames, lines };

/// A delivery by reference to its parts: the hot path, nothing is copied but into the result.
struct msg_view {
    std::string_view subject;
    std::string_view from;
    std::uint64_t time_ms = 0;
    std::string_view stream;
    message_seq seq = 0;
    std::string_view consumer;
    std::string_view pub_id;
    std::uint32_t tries = 0;
    std::string_view group;
    std::string_view reply_to;
    std::string_view headers;
    std::string_view body;
};

/// One delivery, whole (frame or line), in one block. Empty and zero fields are left out, the body excepted. `headers`
/// holds `limits::header_bytes` at most, so that the frame's header fits.
bytes_ptr encode(msg_view const&, encoding);
/// Any notice, whole. Never fails: every field was checked on its way in. What has no bound of its own (a sentence, the
/// recipients that are unknown, the streams of `welcome::last`) is cut to what a frame's header holds.
bytes_ptr encode(notice::any const&, encoding);
/// The hot answers without a detour over `notice::any`.
bytes_ptr encode_ok(std::string_view id, std::string_view stream, message_seq, bool dup, encoding);
bytes_ptr encode_stored(std::string_view stream, std::uint64_t n, message_seq, encoding);

/// Client side: appends one operation to `out`; `op::malformed` is none and appends nothing. Throws `std::length_error`
/// if its header (headers, recipients, seqs) is longer than a frame can tell, 65,535 bytes; `out` is unchanged then.
void encode(op::any const&, encoding, std::string& out);

}  // namespace kedge
