#include "router/protocol/message_reader.hpp"

#include <array>
#include <string>
#include <utility>

#include "router/protocol/base64.hpp"
#include "router/protocol/json_writer.hpp"
#include "router/protocol/text_kinds.hpp"

namespace kedge {
namespace {

/// The body of a line; if it has to be decoded, `storage` holds it.
std::string_view body_in_line(field_reader& in, operation_limits const& limits, std::string& storage)
{
    if (in.has(field::data) && in.has(field::data64)) {
        in.fail({error_code::bad_request, "\"data\" and \"data64\" exclude each other"});
        return {};
    }
    std::string_view body;
    if (in.has(field::data64)) {
        auto decoded = base64_decode(in.may(field::data64, kinds::any));
        if (!decoded) {
            in.fail(field::data64, "base64 with its padding");
            return {};
        }
        storage = std::move(*decoded);
        body = storage;
    } else {
        body = in.may(field::data, kinds::any);
    }
    if (body.size() > limits.body_bytes)
        in.fail(body_too_large(limits));
    return body;
}

bool check_header(field_reader& in, std::string_view name, simdjson::dom::element value)
{
    if (!valid_header_name(name)) {
        in.fail({error_code::bad_request,
                 "a header's name must be 1 to 64 of A-Z, a-z, 0-9 and -, and not begin with Nats- or Kedge-"});
        return false;
    }
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS || !valid_header_value(text)) {
        in.fail({error_code::bad_request,
                 "the header " + std::string{name} +
                     " must be a string of 1 to 1024 bytes without control characters or outer spaces"});
        return false;
    }
    return true;
}

/// Writes the headers as they will be delivered: compact, with no escapes but the needed ones.
std::string_view write_headers(field_reader& in, operation_limits const& limits, json_writer& out)
{
    if (!in.has(field::headers))
        return {};
    simdjson::dom::object object;
    if (in.at(field::headers).get(object) != simdjson::SUCCESS) {
        in.fail(field::headers, "an object of strings");
        return {};
    }
    std::array<std::string_view, headers_max> names;
    std::size_t count = 0;
    for (auto const [name, value] : object) {
        if (count == headers_max) {
            in.fail(field::headers, "an object of at most " + std::to_string(headers_max) + " strings");
            return {};
        }
        if (!check_header(in, name, value))
            return {};
        for (std::size_t i = 0; i < count; ++i) {
            if (names[i] == name) {
                in.fail({error_code::bad_request, "the header " + std::string{name} + " is given twice"});
                return {};
            }
        }
        names[count++] = name;
        out.field(name, std::string_view{value});
    }
    if (count == 0)
        return {};
    out.end_object();
    if (out.view().size() > limits.header_bytes)
        in.fail({error_code::too_large, "the headers are longer than " + std::to_string(limits.header_bytes) + " bytes"});
    return out.view();
}

}  // namespace

failure body_too_large(operation_limits const& limits)
{
    return {error_code::too_large, "the body is longer than " + std::to_string(limits.body_bytes) + " bytes"};
}

message_ptr read_message(field_reader& in, message_names const& names, body_source const& source,
                         operation_limits const& limits)
{
    json_writer header_text;
    std::string body_storage;
    auto const headers = write_headers(in, limits, header_text);
    auto const body =
        source.is == body_source::kind::in_line ? body_in_line(in, limits, body_storage) : source.bytes;
    return in.problem() ? nullptr : message::make({names.subject, names.id, names.reply_to, headers, body});
}

}  // namespace kedge
