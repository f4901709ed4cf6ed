#pragma once
/// Operations and notices as text, so that tests can compare and show them.

#include <stdexcept>
#include <string>
#include <vector>

#include "router/protocol/decoder.hpp"

namespace kedge {

inline std::string describe(op::any const& operation)
{
    if (auto const* const bad = std::get_if<op::malformed>(&operation))
        return "malformed id=" + bad->id + " subject=" + bad->subject + " code=" + std::string{wire_word(bad->why.code)} +
               " " + bad->why.message + "\n";
    std::string text;
    encode(operation, encoding::lines, text);
    return text;
}

inline std::string describe(result<notice::any> const& notice)
{
    if (!notice)
        return "failure " + std::string{wire_word(notice.error().code)} + " " + notice.error().message + "\n";
    return std::string{encode(*notice, encoding::lines)->view()};
}

/// Where the input is cut: fed in pieces of `piece` bytes, after a first one of `first`; everything is taken out after
/// each piece.
struct cut {
    std::size_t first = 0;
    std::size_t piece = std::string_view::npos;
};

template <class Feed>
void feed_in_pieces(std::string_view input, cut where, Feed const& feed)
{
    if (where.first != 0)
        feed(input.substr(0, where.first));
    for (auto at = std::min(where.first, input.size()); at < input.size(); at += std::min(where.piece, input.size() - at))
        feed(input.substr(at, where.piece));
}

/// Everything that a decoder says of `input`, a line each, with the bytes that it took.
inline std::string decode_operations(encoding form, limits const& l, std::string_view input, cut where = {})
{
    operation_decoder decoder{form, l};
    std::string all;
    auto const take = [&] {
        while (auto next = decoder.next())
            all += std::to_string(next->bytes) + " " + describe(next->operation);
    };
    feed_in_pieces(input, where, [&](std::string_view piece) {
        decoder.feed(piece);
        take();
    });
    decoder.finish();
    take();
    return all + (decoder.broken() ? "broken\n" : "");
}

inline std::string decode_notices(encoding form, std::size_t unit_bytes_max, std::string_view input, cut where = {})
{
    notice_decoder decoder{form, unit_bytes_max};
    std::string all;
    feed_in_pieces(input, where, [&](std::string_view piece) {
        decoder.feed(piece);
        while (auto next = decoder.next())
            all += describe(*next);
    });
    return all;
}

}  // namespace kedge
