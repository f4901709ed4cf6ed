#pragma once
/// The JSON of JetStream's API and of its acknowledgements, as text. Pure: no library of NATS, any thread. Sources: the NATS
/// documentation, "JetStream wire API reference"; ADR-1, ADR-8 and ADR-32 of the NATS architecture records.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "migration/backend.hpp"

namespace kedge::migration::js_api {

using answer_json = std::variant<nlohmann::json, backend_event::problem>;
/// The server's answer, or the error that it holds.
answer_json parse_answer(std::string_view text);

/// "$JS.API.", or with a domain "$JS.DOMAIN.API.".
std::string prefix(std::string const& domain);

nlohmann::json config_json(jet_config const&);
/// `config_json` over what the stream has: what kedge does not know of stays as it is.
nlohmann::json merged_config(nlohmann::json there, jet_config const&);
/// Of a `STREAM.INFO`, `CREATE`, `UPDATE` answer, or an entry of `LIST`. Nothing if it is not one.
std::optional<jet_info> parse_info(nlohmann::json const&);
/// Of a `STREAM.MSG.GET` answer.
std::optional<bus_message> parse_message(nlohmann::json const&);
std::optional<backend_event::account_info> parse_account(nlohmann::json const&);
/// Of one answer to `$SRV.INFO`.
std::optional<backend_event::bus_service> parse_service(std::string_view text);

/// An ordered consumer: pushed to `inbox`, no acks, flow control, gone by itself when nobody listens.
nlohmann::json reader_json(std::string const& stream, std::string const& inbox, jet_place from);

/// What a JetStream delivery tells in its reply subject.
struct delivery {
    jet_place place = 0;
    std::uint64_t consumer_seq = 0;
    std::uint64_t time_ns = 0;
    std::uint64_t behind = 0;
};
std::optional<delivery> parse_delivery(std::string_view reply);

/// The acknowledgement of a publish; or the refusal in it.
struct acknowledgement {
    jet_place place = 0;
    bool duplicate = false;
};
std::variant<acknowledgement, backend_event::problem> parse_acknowledgement(std::string_view text);

/// "2026-11-21T15:04:05.123456789Z" in nanoseconds since 1970; 0 if it is not a time in UTC.
std::uint64_t parse_time(std::string_view text);

/// "NATS/1.0\r\nName: value\r\n\r\n"; also as libnats leaves it once it has looked at it, with zeros for colons and for the ends of values.
bus_headers parse_headers(std::string_view block);

}  // namespace kedge::migration::js_api
