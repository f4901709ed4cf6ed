/// Any text as the header of a sound frame and as a sound line, under the limits that servers have.
#include "tests/fuzz/decoding.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
    using namespace kedge;
    using fuzz::require;
    if (size > 4096)
        return 0;
    std::string const header{reinterpret_cast<char const*>(data), size};

    char hex[5];
    std::snprintf(hex, sizeof hex, "%-4zx", size);
    auto const length = static_cast<std::uint32_t>(4 + size);
    std::string frame{static_cast<char>(length >> 24), static_cast<char>(length >> 16 & 0xff),
                      static_cast<char>(length >> 8 & 0xff), static_cast<char>(length & 0xff)};
    frame += hex + header;

    operation_decoder frames{encoding::frames, limits{}};
    frames.feed(frame);
    auto const in_frame = frames.next();
    require(in_frame && in_frame->bytes == frame.size(), "a sound frame is one operation or one error");
    require(!frames.broken(), "no header breaks a sound frame");
    fuzz::check_round_trip(in_frame->operation);

    notice_decoder notices{encoding::frames, 8192};
    notices.feed(frame);
    auto const notice = notices.next();
    require(notice.has_value(), "a sound frame is one notice or one failure");
    if (*notice)
        (void)describe(*notice);

    if (header.find('\n') != std::string::npos)
        return 0;
    operation_decoder lines{encoding::lines, limits{}};
    lines.feed(header + "\n");
    auto const in_line = lines.next();
    require(!lines.next() && lines.empty(), "a line is at most one operation");
    // Without data, a line and a frame's header say the same.
    if (in_line && header.find("data") == std::string::npos && header.find("\\u") == std::string::npos)
        require(describe(in_line->operation) == describe(in_frame->operation), "both encodings carry the same operations");
    if (in_line)
        fuzz::check_round_trip(in_line->operation);
    return 0;
}
