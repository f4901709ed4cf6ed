#include "tests/bench/publisher.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <stdexcept>

#include "tests/bench/frames.hpp"

namespace kedge::bench {

namespace {

constexpr std::size_t number_digits = 10;
constexpr std::size_t block_bytes = 32 * 1024;  // what one write takes

}  // namespace

publisher::publisher(std::string_view subject, std::size_t body_bytes, answer how)
{
    std::string header = R"({"op":"pub","subject":")";
    header.append(subject).push_back('"');
    std::size_t digits_at = 0;
    if (how != answer::none) {
        header.append(how == answer::id ? R"(,"id":")" : R"(,"n":)");
        digits_at = header.size();
        header.append(number_digits, '0');
        if (how == answer::id)
            header.push_back('"');
    }
    header.push_back('}');
    std::string const frame = make_frame(header, std::string(std::max(body_bytes, body_peek), 'x'));
    frame_bytes_ = frame.size();
    block_ = std::max<std::size_t>(block_bytes / frame_bytes_, 1);
    number_at_ = how == answer::none ? 0 : 8 + digits_at;
    body_at_ = 8 + header.size();
    for (std::size_t i = 0; i < block_; ++i)
        frames_.append(frame);
}

std::string_view publisher::next(std::size_t count)
{
    assert(count <= block_);
    for (std::size_t i = 0; i < count; ++i, ++made_) {
        char* const frame = frames_.data() + i * frame_bytes_;
        std::memcpy(frame + body_at_, &made_, sizeof made_);
        if (number_at_ == 0)
            continue;
        std::uint64_t number = first_number + made_;
        for (std::size_t digit = number_digits; digit-- != 0; number /= 10)
            frame[number_at_ + digit] = static_cast<char>('0' + number % 10);
    }
    return std::string_view{frames_}.substr(0, count * frame_bytes_);
}

std::uint64_t number_of(std::string_view body_start)
{
    std::uint64_t number = ~std::uint64_t{0};
    if (body_start.size() >= sizeof number)
        std::memcpy(&number, body_start.data(), sizeof number);
    return number;
}

void dense_check::heard(std::uint64_t number)
{
    if (number != next_)
        throw std::runtime_error{"expected message " + std::to_string(next_) + ", heard " + std::to_string(number)};
    ++next_;
}

}  // namespace kedge::bench
