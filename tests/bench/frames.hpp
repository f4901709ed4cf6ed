#pragma once
/// The least that a load generator needs of the frame encoding (PROTOCOL.md, "Frames"): frames written once and patched, and
/// a scanner that counts what comes back without reading JSON. Deliberately apart from router/protocol: it must cost less
/// than the server, and it sees the wire with other eyes.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace kedge::bench {

/// One whole frame. Throws std::length_error for a header that the size field cannot say.
std::string make_frame(std::string_view header, std::string_view body = {});

/// What begins a server's frame: `{"op":"…"`. Words that no scenario counts are `other`.
enum class heard : unsigned char { msg, ok, stored, pong, welcome, error, bye, reply, other };

struct heard_frame {
    heard what = heard::other;
    std::string_view header;
    std::string_view body_start;  ///< at most `body_peek` bytes of the body; of a `reply`, all
    std::size_t body_size = 0;
};
/// How much of a body a scanner shows: room for a counter.
inline constexpr std::size_t body_peek = 8;

/// Finds the frames in a byte stream, however it is cut; holds no body.
class frame_scanner {
public:
    using handler = std::function<void(heard_frame const&)>;
    explicit frame_scanner(handler h) : handle_{std::move(h)} {}

    /// Throws std::runtime_error if the bytes are no frames.
    void feed(std::string_view input);

private:
    /// How much of `bytes`, which begin with a frame, is needed for the next step: prefix, then header, then start of the body.
    static std::size_t needed(std::string_view bytes);
    /// Tells about the frame and returns its whole size.
    std::size_t tell(std::string_view bytes) const;

    handler handle_;
    std::string held_;       // the beginning of a frame that is not complete enough to be told
    std::size_t skip_ = 0;   // bytes of a told frame that are still to come
};

/// The number after `"name":` in a header; 0 if it is not there. Only for names that no value of this header contains.
std::uint64_t number_in(std::string_view header, std::string_view name) noexcept;
/// The string after `"name":"` in a header, up to the next quote; for values without escapes.
std::string_view text_in(std::string_view header, std::string_view name) noexcept;

}  // namespace kedge::bench
