#include "router/protocol/frame_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace kedge {
namespace {

constexpr std::size_t length_size = 4;
constexpr std::size_t header_size_size = 4;
constexpr std::size_t prefix_size = length_size + header_size_size;

std::uint32_t big_endian(std::string_view bytes) noexcept
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < length_size; ++i)
        value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

/// One to four hex digits of either case, then spaces only.
std::optional<std::size_t> header_size(std::string_view field) noexcept
{
    std::size_t value = 0;
    auto const [end, problem] = std::from_chars(field.data(), field.data() + field.size(), value, 16);
    if (problem != std::errc{} || !std::all_of(end, field.data() + field.size(), [](char c) { return c == ' '; }))
        return std::nullopt;
    return value;
}

}  // namespace

void frame_reader::feed(std::string_view input)
{
    if (broken_)
        return;
    input_.consume(std::exchange(taken_, 0));
    input_.append(input);
}

std::optional<frame> frame_reader::next()
{
    if (broken_)
        return std::nullopt;
    input_.consume(std::exchange(taken_, 0));
    if (dropping_ == 0)
        dropped_header_ = {};
    auto found = dropping_ != 0 ? drop() : read();
    if (!found && finished_ && !empty())
        return fail("the input ends within a frame");
    if (!found)
        input_.release();
    return found;
}

std::optional<frame> frame_reader::read()
{
    auto const bytes = input_.view();
    if (bytes.size() < length_size)
        return std::nullopt;
    std::size_t const length = big_endian(bytes);
    if (length > limits_.frame_bytes)
        return fail("the frame is longer than the limit");
    if (length < header_size_size)
        return fail("the frame is too short for a header size");
    if (bytes.size() < prefix_size)
        return std::nullopt;
    auto const header_bytes = header_size(bytes.substr(length_size, header_size_size));
    if (!header_bytes)
        return fail("the header size is not hexadecimal");
    if (*header_bytes > length - header_size_size)
        return fail("the header size is beyond the end of the frame");

    auto const whole = length_size + length;
    if (*header_bytes > limits_.header_bytes) {
        dropped_ = {frame::state::header_too_long, {}, {}, whole, {}};
        dropping_ = whole;
        dropped_header_.clear();
        return drop();
    }
    auto const body_bytes = whole - prefix_size - *header_bytes;
    if (body_bytes > limits_.body_bytes) {
        if (bytes.size() < prefix_size + *header_bytes)
            return std::nullopt;
        dropped_ = {frame::state::body_too_long, {}, {}, whole, {}};
        dropping_ = whole;
        dropped_header_.assign(bytes.substr(prefix_size, *header_bytes));
        dropped_header_.append(json_padding, '\0');
        return drop();
    }
    if (bytes.size() < whole)
        return std::nullopt;
    taken_ = whole;
    return frame{frame::state::whole, bytes.substr(prefix_size, *header_bytes),
                 bytes.substr(prefix_size + *header_bytes, body_bytes), whole, {}};
}

std::optional<frame> frame_reader::drop()
{
    auto const here = std::min(dropping_, input_.size());
    input_.consume(here);
    dropping_ -= here;
    if (dropping_ != 0)
        return std::nullopt;
    if (dropped_.is == frame::state::body_too_long)
        dropped_.header = std::string_view{dropped_header_}.substr(0, dropped_header_.size() - json_padding);
    return dropped_;
}

frame frame_reader::fail(std::string_view reason) noexcept
{
    broken_ = true;
    input_.consume(input_.size());
    input_.release();
    dropping_ = 0;
    return {frame::state::broken, {}, {}, 0, reason};
}

}  // namespace kedge
