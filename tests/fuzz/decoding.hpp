#pragma once
/// Properties of the decoders that hold for any input.

#include <algorithm>
#include <string>
#include <string_view>

#include "router/protocol/decoder.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/protocol/describe.hpp"

namespace kedge::fuzz {

/// So small that a short input reaches each of them.
inline limits tight_limits()
{
    limits l;
    l.body_bytes = 64;
    l.frame_bytes = 256;
    l.line_bytes = 256;
    l.header_bytes = 128;
    l.ack_seqs = 4;
    l.post_recipients = 4;
    return l;
}

/// What was decoded survives both encodings.
inline void check_round_trip(op::any const& operation)
{
    if (std::holds_alternative<op::malformed>(operation))
        return;
    for (auto const form : {encoding::frames, encoding::lines}) {
        std::string bytes;
        encode(operation, form, bytes);
        operation_decoder again{form, limits{}};
        again.feed(bytes);
        auto const same = again.next();
        require(same && again.empty() && same->bytes == bytes.size(), "an encoded operation is one whole unit");
        require(describe(same->operation) == describe(operation), "an operation survives encoding and decoding");
    }
}

/// The same operations come out wherever the input is cut, and no more is held than the limits allow.
inline void check_decoder(encoding form, limits const& l, std::string_view input)
{
    auto const whole = decode_operations(form, l, input);
    require(whole == decode_operations(form, l, input, {0, 1}), "byte by byte is as good as at once");
    require(whole == decode_operations(form, l, input, {input.size() / 3, 7}), "so is any other cut");
    require(decode_notices(form, l.frame_bytes, input) == decode_notices(form, l.frame_bytes, input, {0, 1}),
            "for notices too");

    operation_decoder decoder{form, l};
    std::size_t bytes = 0;
    for (char const c : input) {
        decoder.feed({&c, 1});
        while (auto const next = decoder.next()) {
            bytes += next->bytes;
            check_round_trip(next->operation);
        }
        require(decoder.held() <= std::max(l.frame_bytes + 4, l.line_bytes + 1), "what is held is bounded");
        require(!decoder.broken() || decoder.held() == 0, "a broken decoder holds nothing");
    }
    require(bytes <= input.size(), "no more bytes are told than came");
}

}  // namespace kedge::fuzz
