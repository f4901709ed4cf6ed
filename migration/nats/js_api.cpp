#include "migration/nats/js_api.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include <nlohmann/json.hpp>

#include "router/protocol/base64.hpp"

namespace kedge::migration::js_api {
namespace {

using nlohmann::json;

std::uint64_t number(json const& from, char const* name, std::uint64_t otherwise = 0)
{
    auto const found = from.find(name);
    if (found == from.end() || !found->is_number_integer()) return otherwise;
    // NATS says "no bound" with -1.
    if (found->is_number_unsigned()) return found->get<std::uint64_t>();
    auto const value = found->get<std::int64_t>();
    return value < 0 ? otherwise : static_cast<std::uint64_t>(value);
}

std::int64_t bound(json const& from, char const* name)
{
    auto const found = from.find(name);
    if (found == from.end() || !found->is_number_integer()) return -1;
    auto const value = found->get<std::int64_t>();
    return value < 0 ? -1 : value;
}

std::string text(json const& from, char const* name)
{
    auto const found = from.find(name);
    return found != from.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag(json const& from, char const* name)
{
    auto const found = from.find(name);
    return found != from.end() && found->is_boolean() && found->get<bool>();
}

template <typename Number>
bool take_number(std::string_view from, Number& out)
{
    auto const parsed = std::from_chars(from.data(), from.data() + from.size(), out);
    return parsed.ec == std::errc{} && parsed.ptr == from.data() + from.size();
}

constexpr std::uint64_t ns_of_ms = 1'000'000;

backend_event::problem problem_of(json const& error)
{
    backend_event::problem out;
    // `err_code` is exact; servers before 2.3 had the HTTP-like `code` alone.
    out.code = static_cast<int>(std::min<std::uint64_t>(number(error, "err_code", number(error, "code")), 1'000'000));
    out.why = text(error, "description");
    if (out.why.empty()) out.why = "JetStream refused it";
    constexpr int stream_not_found = 10059, message_not_found = 10037;
    out.missing = out.code == stream_not_found || out.code == message_not_found;
    return out;
}

}  // namespace

answer_json parse_answer(std::string_view said)
{
    auto parsed = json::parse(said, nullptr, false);
    if (!parsed.is_object()) return backend_event::problem{0, "the answer is not JSON: is this a NATS server with JetStream?", false, false};
    if (auto const error = parsed.find("error"); error != parsed.end() && error->is_object()) return problem_of(*error);
    return parsed;
}

std::string prefix(std::string const& domain)
{
    return domain.empty() ? "$JS.API." : "$JS." + domain + ".API.";
}

json config_json(jet_config const& config)
{
    auto const or_unbounded = [](std::uint64_t value) { return value == 0 ? json(-1) : json(value); };
    return {
        {"name", config.name},
        {"description", config.description},
        {"subjects", config.subjects},
        {"retention", "limits"},
        {"storage", "file"},
        {"discard", "old"},
        {"max_consumers", -1},
        {"max_age", config.max_age_ms * ns_of_ms},
        {"max_bytes", or_unbounded(config.max_bytes)},
        {"max_msgs", or_unbounded(config.max_msgs)},
        {"max_msgs_per_subject", or_unbounded(config.max_msgs_per_subject)},
        {"max_msg_size", or_unbounded(config.max_msg_bytes)},
        {"duplicate_window", config.duplicates_ms * ns_of_ms},
        {"num_replicas", config.replicas},
    };
}

json merged_config(json there, jet_config const& config)
{
    auto const ours = config_json(config);
    for (auto const* name : {"description", "subjects", "max_age", "max_bytes", "max_msgs", "max_msgs_per_subject", "max_msg_size",
                             "duplicate_window", "num_replicas"})
        there[name] = ours.at(name);
    return there;
}

std::optional<jet_info> parse_info(json const& from)
{
    auto const config = from.find("config");
    auto const state = from.find("state");
    if (config == from.end() || state == from.end() || !config->is_object() || !state->is_object()) return std::nullopt;
    jet_info out;
    out.config.name = text(*config, "name");
    out.config.description = text(*config, "description");
    if (auto const subjects = config->find("subjects"); subjects != config->end() && subjects->is_array())
        for (auto const& each : *subjects)
            if (each.is_string()) out.config.subjects.push_back(each.get<std::string>());
    out.config.max_age_ms = number(*config, "max_age") / ns_of_ms;
    out.config.max_bytes = number(*config, "max_bytes");
    out.config.max_msgs = number(*config, "max_msgs");
    out.config.max_msgs_per_subject = number(*config, "max_msgs_per_subject");
    out.config.max_msg_bytes = number(*config, "max_msg_size");
    out.config.duplicates_ms = number(*config, "duplicate_window") / ns_of_ms;
    out.config.replicas = static_cast<unsigned>(std::min<std::uint64_t>(number(*config, "num_replicas", 1), 100));
    out.limits_retention = text(*config, "retention") == "limits";
    out.discard_old = text(*config, "discard") != "new";
    out.deny_delete = flag(*config, "deny_delete");
    out.deny_purge = flag(*config, "deny_purge");
    out.sealed = flag(*config, "sealed");
    auto const sources = config->find("sources");
    out.mirror_or_sources = (config->contains("mirror") && !config->at("mirror").is_null()) ||
                            (sources != config->end() && sources->is_array() && !sources->empty());
    out.first = number(*state, "first_seq");
    out.last = number(*state, "last_seq");
    out.messages = number(*state, "messages");
    out.bytes = number(*state, "bytes");
    out.created_ns = parse_time(text(from, "created"));
    return out;
}

std::optional<bus_message> parse_message(json const& from)
{
    auto const message = from.find("message");
    if (message == from.end() || !message->is_object()) return std::nullopt;
    auto body = base64_decode(text(*message, "data"));
    auto const headers = base64_decode(text(*message, "hdrs"));
    if (!body || !headers) return std::nullopt;
    bus_message out;
    out.subject = text(*message, "subject");
    out.headers = parse_headers(*headers);
    out.body = std::move(*body);
    out.place = number(*message, "seq");
    out.time_ns = parse_time(text(*message, "time"));
    return out;
}

std::optional<backend_event::account_info> parse_account(json const& from)
{
    auto const limits = from.find("limits");
    if (limits == from.end() || !limits->is_object()) return std::nullopt;
    backend_event::account_info out;
    out.jetstream = true;
    out.storage = number(from, "storage");
    out.streams = number(from, "streams");
    out.storage_max = bound(*limits, "max_storage");
    out.streams_max = bound(*limits, "max_streams");
    return out;
}

std::optional<backend_event::bus_service> parse_service(std::string_view said)
{
    auto const parsed = json::parse(said, nullptr, false);
    if (!parsed.is_object()) return std::nullopt;
    backend_event::bus_service out;
    out.name = text(parsed, "name");
    // The first release of the protocol had one subject; later ones have endpoints.
    if (auto subject = text(parsed, "subject"); !subject.empty()) out.subjects.push_back(std::move(subject));
    if (auto const endpoints = parsed.find("endpoints"); endpoints != parsed.end() && endpoints->is_array())
        for (auto const& each : *endpoints)
            if (each.is_object())
                if (auto subject = text(each, "subject"); !subject.empty()) out.subjects.push_back(std::move(subject));
    if (out.name.empty()) return std::nullopt;
    return out;
}

json reader_json(std::string const& stream, std::string const& inbox, jet_place from)
{
    constexpr std::uint64_t second_ns = 1'000'000'000;
    return {{"stream_name", stream},
            {"config",
             {{"deliver_subject", inbox},
              {"deliver_policy", "by_start_sequence"},
              {"opt_start_seq", from},
              {"ack_policy", "none"},
              {"max_deliver", 1},
              {"replay_policy", "instant"},
              {"flow_control", true},
              {"idle_heartbeat", second_ns / 2},
              {"inactive_threshold", 10 * second_ns},
              {"mem_storage", true},
              {"num_replicas", 1}}}};
}

std::optional<delivery> parse_delivery(std::string_view reply)
{
    // $JS.ACK.STREAM.CONSUMER.DELIVERED.PLACE.CONSUMER_SEQ.TIME.PENDING, or with DOMAIN.ACCOUNT after ACK and one token more at the end.
    if (!reply.starts_with("$JS.ACK.")) return std::nullopt;
    std::array<std::string_view, 12> tokens;
    std::size_t count = 0;
    for (auto rest = reply; count < tokens.size();) {
        auto const dot = rest.find('.');
        tokens[count++] = rest.substr(0, dot);
        if (dot == rest.npos) break;
        rest.remove_prefix(dot + 1);
    }
    if (count != 9 && count < 11) return std::nullopt;
    auto const first = count == 9 ? std::size_t{5} : std::size_t{7};
    delivery out;
    if (!take_number(tokens[first], out.place) || !take_number(tokens[first + 1], out.consumer_seq) ||
        !take_number(tokens[first + 2], out.time_ns) || !take_number(tokens[first + 3], out.behind))
        return std::nullopt;
    return out;
}

std::variant<acknowledgement, backend_event::problem> parse_acknowledgement(std::string_view said)
{
    // The common one by hand, `{"stream":"CHAT", "seq":12}`: there is one a message.
    constexpr std::string_view seq = "\"seq\":";
    if (said.find('\\') == said.npos && said.find("\"error\"") == said.npos && said.find("duplicate") == said.npos) {
        if (auto const at = said.find(seq); at != said.npos) {
            auto digits = said.substr(at + seq.size());
            digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
            acknowledgement out;
            auto const parsed = std::from_chars(digits.data(), digits.data() + digits.size(), out.place);
            if (parsed.ec == std::errc{} && out.place != 0) return out;
        }
    }
    auto answer = parse_answer(said);
    if (auto* wrong = std::get_if<backend_event::problem>(&answer)) return std::move(*wrong);
    auto const& parsed = std::get<json>(answer);
    acknowledgement out;
    out.place = number(parsed, "seq");
    out.duplicate = flag(parsed, "duplicate");
    // A service that listens on the subject may answer before JetStream does.
    if (out.place == 0) return backend_event::problem{0, "the answer is no acknowledgement of JetStream: does a service listen on this subject?", false, false};
    return out;
}

std::uint64_t parse_time(std::string_view said)
{
    // 2026-11-21T15:04:05[.fraction]Z
    if (said.size() < 20 || said.back() != 'Z') return 0;
    int year = 0;
    unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
    auto const part = [&](std::size_t at, std::size_t size, auto& out) { return take_number(said.substr(at, size), out); };
    if (said[4] != '-' || said[7] != '-' || said[10] != 'T' || said[13] != ':' || said[16] != ':') return 0;
    if (!part(0, 4, year) || !part(5, 2, month) || !part(8, 2, day) || !part(11, 2, hour) || !part(14, 2, minute) || !part(17, 2, second))
        return 0;
    std::uint64_t fraction = 0;
    if (said[19] == '.') {
        auto const digits = said.substr(20, said.size() - 21);
        if (digits.empty() || digits.size() > 9 || !take_number(digits, fraction)) return 0;
        for (auto i = digits.size(); i < 9; ++i) fraction *= 10;
    } else if (said.size() != 20) {
        return 0;
    }
    std::chrono::year_month_day const date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
    if (!date.ok() || year < 1970 || hour > 23 || minute > 59 || second > 60) return 0;
    auto const days = std::chrono::sys_days(date).time_since_epoch().count();
    return (static_cast<std::uint64_t>(days) * 86'400 + hour * 3600 + minute * 60 + second) * 1'000'000'000 + fraction;
}

bus_headers parse_headers(std::string_view block)
{
    bus_headers out;
    // The first line is the version; those that begin with a space would continue another, which nobody writes.
    for (bool first = true; !block.empty(); first = false) {
        auto const end = std::min(block.find('\n'), block.size());
        auto const line = block.substr(0, end);
        block.remove_prefix(std::min(end + 1, block.size()));
        // Not find_first_of, which searches its set at each byte: all messages pass here.
        auto const colon = std::min(line.find(':'), line.find('\0'));
        if (first || colon == line.npos || colon == 0 || line.front() == ' ' || line.front() == '\r') continue;
        auto value = line.substr(colon + 1);
        value = value.substr(0, std::min(value.find('\r'), value.find('\0')));
        auto const from = value.find_first_not_of(' ');
        value = from == value.npos ? std::string_view{} : value.substr(from, value.find_last_not_of(' ') - from + 1);
        out.emplace_back(line.substr(0, colon), value);
    }
    return out;
}

}  // namespace kedge::migration::js_api
