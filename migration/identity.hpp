#pragma once
/// What a message says of itself in NATS: rows and publishes as bus messages, and what a message that was read is. Headers of
/// ours, all of them signed by `Kedge-Row`, so that whoever copies one on another message proves nothing:
///
///     Kedge-Row      r INCARNATION SEQ MAC                            copy of a row
///                    p INCARNATION AUTHORITY_EPOCH LANE COUNTER MAC   a publish that JetStream orders; LANE in hex
///     Kedge-From     sender                 Kedge-Time     milliseconds since 1970, as it was published
///     Kedge-Id       the publisher's id     Kedge-Reply    reply subject
///     Kedge-N        N PREVIOUS: its number, and the one that its publisher sent before it (0 = none)
///     Kedge-Headers  NAME=VALUE joined by "&": headers that could not travel as they are (rows of older versions)
///     Nats-Msg-Id    by which JetStream knows that it has the message already
///
/// MAC = BLAKE2b-128 (RFC 7693) keyed with the home's secret, in hex, over all of these but Nats-Msg-Id, subject, stream and its number, the
/// other headers in any order, and the body. Pure; one thread at a time.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "migration/backend.hpp"
#include "router/protocol/limits.hpp"
#include "router/protocol/message.hpp"
#include "router/store/store.hpp"

namespace kedge::migration {

/// `from` of what NATS clients publish.
inline constexpr std::string_view native_sender = "nats";

/// What a message was, and when: two messages with one stamp are the same one. XXH3-64 over subject, headers in any order, body, place and
/// time; never 0.
std::uint64_t stamp_of(bus_message const&);

/// A `user/node`, that is: neither a link without a node, nor the server, nor NATS.
bool is_node(std::string_view sender) noexcept;

/// What a message that was read from the stream is. Views are into the message.
struct sighting {
    enum class kind : unsigned char {
        copy,   ///< of the row `seq` of `incarnation`, to the letter
        own,    ///< a publish of ours that JetStream ordered, to the letter
        native  ///< anything else, whatever its headers say
    } what = kind::native;
    std::string_view incarnation;
    message_seq seq = 0;
    std::uint64_t authority_epoch = 0;
    std::uint64_t lane = 0;
    std::uint64_t counter = 0;
    // Of a copy or an own publish:
    std::string_view from;
    std::uint64_t time_ms = 0;
    std::uint64_t n = 0;
    std::uint64_t previous_n = 0;
    std::string_view id, reply, odd_headers;  ///< as encoded
};

/// A message that kedge cannot hold.
struct unrepresentable {
    std::string why;  ///< a sentence
};

/// Of one stream.
class identity {
public:
    /// `secret`: 32 bytes. The number tells the stream from an earlier one of the same name, whose copies are not of its rows.
    identity(std::string secret, std::string stream, stream_id number, std::size_t body_bytes_max = limits{}.body_bytes,
             std::size_t header_bytes_max = limits{}.header_bytes);

    /// `attempt`: 0, then one more each time somebody else has used the message id.
    bus_message copy(std::string_view incarnation, row const&, unsigned attempt = 0) const;
    bus_message own(std::string_view incarnation, std::uint64_t authority_epoch, std::uint64_t lane, std::uint64_t counter,
                    store_request::append const&, unsigned attempt = 0) const;

    sighting look(bus_message const&) const;

    /// As a NATS client published it: no id, no reply subject; `Kedge-*` and `Nats-*` headers do not count, several values of one
    /// header are joined by ", ".
    std::variant<message_ptr, unrepresentable> native(bus_message const&) const;
    /// As it was published here. For a copy or an own publish.
    message_ptr ours(bus_message const&, sighting const&) const;

private:
    class hash;

    std::string secret_;
    std::string stream_;
    std::string signed_stream_;  ///< its name and number
    std::size_t body_bytes_max_;
    std::size_t header_bytes_max_;
};

}  // namespace kedge::migration
