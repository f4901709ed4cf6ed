#include "router/command/stored_line.hpp"

#include <utility>

#include "router/protocol/base64.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"

namespace kedge {
namespace {

failure wrong(std::string why) { return failure{error_code::bad_request, std::move(why)}; }

/// False if the field is there and of another kind.
bool take_text(nlohmann::json const& from, char const* name, std::string& to)
{
    auto const found = from.find(name);
    if (found == from.end() || found->is_null())
        return true;
    if (!found->is_string())
        return false;
    to = found->get_ref<std::string const&>();
    return true;
}

bool take_number(nlohmann::json const& from, char const* name, std::uint64_t& to)
{
    auto const found = from.find(name);
    if (found == from.end() || found->is_null())
        return true;
    if (!found->is_number_unsigned())
        return false;
    to = found->get<std::uint64_t>();
    return true;
}

std::string take_headers(nlohmann::json const& from, std::string& to)
{
    auto const found = from.find("headers");
    if (found == from.end() || found->is_null())
        return {};
    if (!found->is_object())
        return "'headers' is not an object";
    for (auto const& [name, value] : found->items())
        if (!valid_header_name(name) || !value.is_string() || !valid_header_value(value.get_ref<std::string const&>()))
            return "'" + name + "' is not a header with a text of 1 to 1024 bytes";
    if (!found->empty())
        to = found->dump();
    return {};
}

}  // namespace

result<stored_line> read_stored(nlohmann::json const& from)
{
    if (!from.is_object())
        return wrong("not a JSON object");
    stored_line line;
    for (auto const& [name, to] : {std::pair{"stream", &line.stream}, std::pair{"subject", &line.subject},
                                   std::pair{"reply_to", &line.reply_to}, std::pair{"data", &line.body}})
        if (!take_text(from, name, *to))
            return wrong("'" + std::string{name} + "' is not a text");
    for (auto const& [name, to] : {std::pair{"seq", &line.seq}, std::pair{"time_ms", &line.time_ms}})
        if (!take_number(from, name, *to))
            return wrong("'" + std::string{name} + "' is not a number");
    if (!valid_subject(line.subject))
        return wrong(line.subject.empty() ? "there is no 'subject'" : "'" + line.subject + "' is not a subject");
    if (!line.stream.empty() && !valid_name(line.stream))
        return wrong("'stream' is not the name of a stream");
    if (!line.reply_to.empty() && !valid_subject(line.reply_to))
        return wrong("'reply_to' is not a subject");
    if (auto why = take_headers(from, line.headers); !why.empty())
        return wrong(std::move(why));
    std::string text;
    if (!take_text(from, "data64", text))
        return wrong("'data64' is not a text");
    if (from.contains("data64")) {
        auto body = base64_decode(text);
        if (!body)
            return wrong("'data64' is not base64");
        line.body = std::move(*body);
    }
    return line;
}

result<stored_line> read_stored(std::string_view line)
{
    auto const parsed = nlohmann::json::parse(line, nullptr, false);
    if (parsed.is_discarded())
        return wrong("not JSON");
    return read_stored(parsed);
}

}  // namespace kedge
