#pragma once
/// Frames out of bytes (PROTOCOL.md, "Frames"); knows nothing of what a header says.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "router/protocol/input_buffer.hpp"

namespace kedge {

struct frame_limits {
    std::size_t frame_bytes = 0;
    std::size_t header_bytes = 0;
    std::size_t body_bytes = 0;
};

struct frame {
    enum class state : unsigned char {
        whole,
        header_too_long,  ///< dropped; neither header nor body are here
        body_too_long,    ///< the header is here, the body was dropped as it arrived
        broken,           ///< `reason` says why; nothing follows
    } is = state::whole;
    std::string_view header;  ///< followed by `json_padding` readable bytes
    std::string_view body;
    std::size_t bytes = 0;  ///< that it took of the input; 0 if broken
    std::string_view reason;
};

class frame_reader {
public:
    explicit frame_reader(frame_limits const& limits) : limits_{limits} {}

    void feed(std::string_view input);
    void finish() noexcept { finished_ = true; }
    /// Valid until the next call of any member.
    std::optional<frame> next();
    bool broken() const noexcept { return broken_; }
    bool empty() const noexcept { return input_.size() == taken_ && dropping_ == 0; }
    std::size_t held() const noexcept { return input_.size() - taken_ + dropped_header_.size(); }

private:
    std::optional<frame> read();
    std::optional<frame> drop();
    frame fail(std::string_view reason) noexcept;

    frame_limits limits_;
    input_buffer input_;
    std::size_t taken_ = 0;  ///< bytes of the frame given out last, still in `input_`
    // While a frame is dropped:
    std::size_t dropping_ = 0;     ///< bytes of it still to come
    frame dropped_;                ///< what to say of it
    std::string dropped_header_;   ///< its header, padded
    bool finished_ = false;
    bool broken_ = false;
};

}  // namespace kedge
