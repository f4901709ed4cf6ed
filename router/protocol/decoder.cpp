#include "router/protocol/decoder.hpp"

#include <utility>
#include <variant>

#include "router/protocol/frame_reader.hpp"
#include "router/protocol/line_reader.hpp"
#include "router/protocol/notice_reader.hpp"
#include "router/protocol/operation_reader.hpp"

namespace kedge {

namespace {

/// Frames and lines behind one face: a link has one of them for its whole life.
using unit_reader = std::variant<frame_reader, line_reader>;

unit_reader make_reader(encoding form, frame_limits const& frames, std::size_t line_bytes_max)
{
    switch (form) {
    case encoding::frames: return frame_reader{frames};
    case encoding::lines: return line_reader{line_bytes_max};
    }
    return line_reader{line_bytes_max};
}

std::string longer_than(std::string_view what, std::uint64_t bytes)
{
    return std::string{what} + " is longer than " + std::to_string(bytes) + " bytes";
}

}  // namespace

struct operation_decoder::state {
    unit_reader reader;
    operation_limits syntax;
    std::uint64_t line_bytes_max = 0;

    std::optional<decoded_operation> next(frame_reader& frames) const
    {
        auto const found = frames.next();
        if (!found)
            return std::nullopt;
        using kind = body_source::kind;
        switch (found->is) {
        case frame::state::whole:
            return decoded_operation{read_operation(found->header, {kind::here, found->body}, syntax), found->bytes};
        case frame::state::body_too_long:
            return decoded_operation{read_operation(found->header, {kind::dropped, {}}, syntax), found->bytes};
        case frame::state::header_too_long:
            return refusal(error_code::too_large, longer_than("the header", syntax.header_bytes), found->bytes);
        case frame::state::broken: return refusal(error_code::bad_frame, std::string{found->reason}, found->bytes);
        }
        return std::nullopt;
    }

    std::optional<decoded_operation> next(line_reader& lines) const
    {
        auto const found = lines.next();
        if (!found)
            return std::nullopt;
        if (found->too_long)
            return refusal(error_code::too_large, longer_than("the line", line_bytes_max), found->bytes);
        return decoded_operation{read_operation(found->text, {body_source::kind::in_line, {}}, syntax), found->bytes};
    }

    static decoded_operation refusal(error_code code, std::string why, std::size_t bytes)
    {
        return {op::malformed{{}, {}, {code, std::move(why)}}, bytes};
    }
};

operation_decoder::operation_decoder(encoding form, limits const& l)
    : state_{new state{make_reader(form, {l.frame_bytes, l.header_bytes, l.body_bytes}, l.line_bytes),
                       {l.body_bytes, l.header_bytes, l.ack_seqs, l.post_recipients, l.service_methods},
                       l.line_bytes}}
{
}

operation_decoder::~operation_decoder() = default;
operation_decoder::operation_decoder(operation_decoder&&) noexcept = default;
operation_decoder& operation_decoder::operator=(operation_decoder&&) noexcept = default;

void operation_decoder::feed(std::string_view input)
{
    std::visit([&](auto& reader) { reader.feed(input); }, state_->reader);
}

void operation_decoder::finish()
{
    std::visit([](auto& reader) { reader.finish(); }, state_->reader);
}

std::optional<decoded_operation> operation_decoder::next()
{
    return std::visit([&](auto& reader) { return state_->next(reader); }, state_->reader);
}

bool operation_decoder::broken() const noexcept
{
    auto const* const frames = std::get_if<frame_reader>(&state_->reader);
    return frames != nullptr && frames->broken();
}

bool operation_decoder::empty() const noexcept
{
    return std::visit([](auto const& reader) { return reader.empty(); }, state_->reader);
}

std::size_t operation_decoder::held() const noexcept
{
    return std::visit([](auto const& reader) { return reader.held(); }, state_->reader);
}

struct notice_decoder::state {
    unit_reader reader;
    std::size_t unit_bytes_max = 0;
    bool failed = false;

    std::optional<result<notice::any>> next(frame_reader& frames) const
    {
        auto const found = frames.next();
        if (!found)
            return std::nullopt;
        switch (found->is) {
        case frame::state::whole: return read_notice(found->header, found->body);
        case frame::state::header_too_long:
        case frame::state::body_too_long: break;  // a frame within its limit has neither
        case frame::state::broken:
            return failure{error_code::bad_frame, "the server's framing is broken: " + std::string{found->reason}};
        }
        return failure{error_code::bad_frame, "the server's frame is too large"};
    }

    std::optional<result<notice::any>> next(line_reader& lines) const
    {
        auto const found = lines.next();
        if (!found)
            return std::nullopt;
        if (found->too_long)
            return failure{error_code::bad_frame, longer_than("the server's line", unit_bytes_max)};
        return read_notice(found->text, std::nullopt);
    }
};

notice_decoder::notice_decoder(encoding form, std::size_t unit_bytes_max)
    : state_{new state{make_reader(form, {unit_bytes_max, unit_bytes_max, unit_bytes_max}, unit_bytes_max), unit_bytes_max}}
{
}

notice_decoder::~notice_decoder() = default;
notice_decoder::notice_decoder(notice_decoder&&) noexcept = default;
notice_decoder& notice_decoder::operator=(notice_decoder&&) noexcept = default;

void notice_decoder::feed(std::string_view input)
{
    if (!state_->failed)
        std::visit([&](auto& reader) { reader.feed(input); }, state_->reader);
}

std::optional<result<notice::any>> notice_decoder::next()
{
    if (state_->failed)
        return std::nullopt;
    auto found = std::visit([&](auto& reader) { return state_->next(reader); }, state_->reader);
    state_->failed = found && !*found;
    return found;
}

}  // namespace kedge
