#pragma once
/// Bytes to structures, for both encodings and both directions. A decoder takes any split of its input, holds at most one
/// incomplete unit (bounded by the limits) and never throws on bad input.

#include <cstdint>
#include <optional>
#include <memory>
#include <string>
#include <string_view>

#include "router/protocol/encoding.hpp"
#include "router/protocol/limits.hpp"
#include "router/protocol/notice.hpp"
#include "router/protocol/operation.hpp"

namespace kedge {

/// One operation, and the bytes of input that it took (for flow control). What is not part of an operation (blank lines,
/// a line that is being dropped) is counted nowhere: count what comes out here and `held()`, not what went in.
struct decoded_operation {
    op::any operation;
    std::size_t bytes = 0;
};

/// What a server reads from one link. Owned by one thread. Use:
///
///     decoder.feed(bytes);
///     while (auto next = decoder.next()) handle(std::move(*next));
///     if (decoder.broken()) …  // the last operation was op::malformed with a code that ends the link
///
/// and at the end of input `finish()`, then `next()` as above: a last line without its LF is a line all the same, a frame
/// that is cut off is `bad_frame`.
///
/// A body or line that is too large is not held: it is dropped as it arrives, then told as `op::malformed`.
class operation_decoder {
public:
    operation_decoder(encoding, limits const&);
    ~operation_decoder();
    operation_decoder(operation_decoder&&) noexcept;
    operation_decoder& operator=(operation_decoder&&) noexcept;

    /// Copies `input`, which need not outlive the call.
    void feed(std::string_view input);
    /// No more input will come.
    void finish();
    /// The next whole operation. Nothing after `broken()`.
    std::optional<decoded_operation> next();
    /// The framing is lost for good (`bad_frame`, or a frame over the limit): the link must end.
    bool broken() const noexcept;
    /// No part of a unit is held: the input may end here.
    bool empty() const noexcept;
    /// Bytes held now, for bounds and metrics.
    std::size_t held() const noexcept;

private:
    struct state;
    std::unique_ptr<state> state_;
};

/// What a client reads from a server. The same use.
class notice_decoder {
public:
    /// `unit_bytes_max` bounds one frame or line.
    notice_decoder(encoding, std::size_t unit_bytes_max);
    ~notice_decoder();
    notice_decoder(notice_decoder&&) noexcept;
    notice_decoder& operator=(notice_decoder&&) noexcept;

    void feed(std::string_view input);
    /// The next notice; a failure if the server broke the protocol (then nothing more follows).
    std::optional<result<notice::any>> next();

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace kedge
