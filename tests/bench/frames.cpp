#include "tests/bench/frames.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace kedge::bench {

namespace {

constexpr std::size_t length_size = 4;
constexpr std::size_t prefix_size = 8;

std::size_t length_of(std::string_view bytes)
{
    auto const at = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
    return at(0) << 24 | at(1) << 16 | at(2) << 8 | at(3);
}

std::size_t header_size_of(std::string_view bytes)
{
    std::size_t size = 0;
    char const* const begin = bytes.data() + length_size;
    auto const [end, error] = std::from_chars(begin, begin + 4, size, 16);
    if (error != std::errc{} || end == begin || length_of(bytes) < 4 || size > length_of(bytes) - 4)
        throw std::runtime_error{"the server sent a broken frame"};
    return size;
}

heard classify(std::string_view header)
{
    static constexpr struct { std::string_view start; heard what; } table[] = {
        {R"({"op":"msg")", heard::msg},         {R"({"op":"ok")", heard::ok},       {R"({"op":"stored")", heard::stored},
        {R"({"op":"pong")", heard::pong},       {R"({"op":"error")", heard::error}, {R"({"op":"welcome")", heard::welcome},
        {R"({"op":"bye")", heard::bye},         {R"({"op":"reply")", heard::reply},
    };
    for (auto const& row : table)
        if (header.starts_with(row.start))
            return row.what;
    return heard::other;
}

// A reply's body is what a check reads; all other bodies only pass by.
std::size_t shown_of(std::string_view header, std::size_t body)
{
    return classify(header) == heard::reply ? body : std::min(body, body_peek);
}

}  // namespace

std::string make_frame(std::string_view header, std::string_view body)
{
    if (header.size() > 0xffff)
        throw std::length_error{"a header of more than 65,535 bytes"};
    std::size_t const length = 4 + header.size() + body.size();
    std::string out;
    out.reserve(length_size + length);
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<char>(length >> shift & 0xff));
    char hex[4] = {' ', ' ', ' ', ' '};
    std::to_chars(hex, hex + 4, header.size(), 16);
    out.append(hex, 4).append(header).append(body);
    return out;
}

std::size_t frame_scanner::needed(std::string_view bytes)
{
    if (bytes.size() < prefix_size)
        return prefix_size;
    std::size_t const header = header_size_of(bytes);
    if (bytes.size() < prefix_size + header)
        return prefix_size + header;
    std::size_t const body = length_of(bytes) - 4 - header;
    return prefix_size + header + shown_of(bytes.substr(prefix_size, header), body);
}

std::size_t frame_scanner::tell(std::string_view bytes) const
{
    std::size_t const header = header_size_of(bytes);
    std::size_t const body = length_of(bytes) - 4 - header;
    auto const text = bytes.substr(prefix_size, header);
    handle_({classify(text), text, bytes.substr(prefix_size + header, shown_of(text, body)), body});
    return length_size + length_of(bytes);
}

void frame_scanner::feed(std::string_view input)
{
    while (!input.empty()) {
        if (skip_ != 0) {
            auto const part = std::min(skip_, input.size());
            skip_ -= part;
            input.remove_prefix(part);
            continue;
        }
        if (!held_.empty()) {  // complete the beginning, then go on without copying
            std::size_t const want = needed(held_);
            std::size_t const part = std::min(want - held_.size(), input.size());
            held_.append(input.substr(0, part));
            input.remove_prefix(part);
            if (held_.size() < want || needed(held_) > held_.size())
                continue;
            skip_ = tell(held_) - held_.size();
            held_.clear();
            continue;
        }
        if (needed(input) > input.size()) {
            held_.assign(input);
            return;
        }
        std::size_t const size = tell(input);
        std::size_t const part = std::min(size, input.size());
        skip_ = size - part;
        input.remove_prefix(part);
    }
}

std::uint64_t number_in(std::string_view header, std::string_view name) noexcept
{
    char key[32];
    std::size_t const size = name.size() + 3;
    if (size > sizeof key)
        return 0;
    key[0] = '"';
    std::memcpy(key + 1, name.data(), name.size());
    key[name.size() + 1] = '"';
    key[name.size() + 2] = ':';
    auto const at = header.find({key, size});
    std::uint64_t value = 0;
    if (at != std::string_view::npos)
        std::from_chars(header.data() + at + size, header.data() + header.size(), value);
    return value;
}

std::string_view text_in(std::string_view header, std::string_view name) noexcept
{
    std::string key{'"'};
    key.append(name).append("\":\"");
    auto const at = header.find(key);
    if (at == std::string_view::npos)
        return {};
    auto const rest = header.substr(at + key.size());
    return rest.substr(0, rest.find('"'));
}

}  // namespace kedge::bench
