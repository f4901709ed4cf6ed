#pragma once
/// Publishes in bulk: a block of frames is encoded once, then only its counters are rewritten for each use.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kedge::bench {

class publisher {
public:
    enum class answer : unsigned char {
        none,  ///< neither id nor n: nothing comes back
        id,    ///< an id of ten digits: one `ok` each
        n      ///< a rising n of ten digits: one `stored` per commit
    };
    /// The first n or id. Ten digits, so that every frame has the same size.
    static constexpr std::uint64_t first_number = 1'000'000'001;

    publisher(std::string_view subject, std::size_t body_bytes, answer);

    /// The frames of the next `count` messages (at most `block`); valid until the next call. The body begins with the
    /// message's number (8 bytes, host order, from 0).
    std::string_view next(std::size_t count);
    /// Messages made so far.
    std::uint64_t made() const noexcept { return made_; }
    std::size_t frame_bytes() const noexcept { return frame_bytes_; }
    std::size_t block() const noexcept { return block_; }

private:
    std::string frames_;
    std::size_t frame_bytes_ = 0;
    std::size_t block_ = 0;
    std::size_t number_at_ = 0;  // 0 = the header holds none
    std::size_t body_at_ = 0;
    std::uint64_t made_ = 0;
};

/// The number that a publisher put into a body.
std::uint64_t number_of(std::string_view body_start);

/// A publisher counts from 0 on its subject; whoever hears it checks that nothing is missing, doubled or out of order.
class dense_check {
public:
    explicit dense_check(std::uint64_t first = 0) : next_{first} {}
    /// Throws std::runtime_error.
    void heard(std::uint64_t number);
    std::uint64_t next() const noexcept { return next_; }

private:
    std::uint64_t next_;
};

}  // namespace kedge::bench
