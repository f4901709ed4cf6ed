#include "migration/settings.hpp"

#include <algorithm>
#include <array>

namespace kedge::migration {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;
constexpr std::uint64_t second = 1000;
constexpr std::uint64_t hour = 3600 * second;
constexpr std::uint64_t day = 24 * hour;

constexpr std::array numbers{
    settings_number{"replicas", &settings::replicas, 1, 5, "servers that keep each JetStream stream"},
    settings_number{"slack_percent", &settings::slack_percent, 0, 1000, "percent by which JetStream keeps more than the stream's own limits"},

    settings_number{"pump_messages", &settings::pump_messages, 1, 65'536, "messages of one stream published and not read back"},
    settings_number{"pump_bytes", &settings::pump_bytes, 64 * kib, 1 * gib, "bytes of one stream published and not read back"},
    settings_number{"ring_bytes", &settings::ring_bytes, 64 * kib, 4 * gib, "bytes of one stream's committed rows kept in memory until they are published; beyond it they are read from the database"},
    settings_number{"import_messages", &settings::import_messages, 1, 65'536, "messages read from JetStream in one transaction"},
    settings_number{"import_bytes", &settings::import_bytes, 64 * kib, 256 * mib, "bytes of messages read from JetStream in one transaction"},
    settings_number{"read_messages", &settings::read_messages, 16, 1'000'000, "messages of one stream on their way from the server"},
    settings_number{"read_bytes", &settings::read_bytes, 64 * kib, 1 * gib, "bytes of one stream on their way from the server"},
    settings_number{"backlog_bytes", &settings::backlog_bytes, 1 * mib, 1024 * gib, "bytes of one stream that wait to be copied; beyond it its mirror is given up, never a publish"},
    settings_number{"hold_ms", &settings::hold_ms, 100, 60 * second, "milliseconds for which publishes wait during a switch, or while NATS orders the stream and is away"},
    settings_number{"hold_bytes", &settings::hold_bytes, 64 * kib, 4 * gib, "bytes of publishes that wait so, of one stream"},
    settings_number{"answer_ms", &settings::answer_ms, 100, 60 * second, "milliseconds within which NATS has to answer"},
    settings_number{"connect_ms", &settings::connect_ms, 100, 60 * second, "milliseconds within which a connection to NATS has to stand"},
    settings_number{"ready_lag_ms", &settings::ready_lag_ms, 10, 1 * hour, "milliseconds of lag with which a stream is still ready for a switch"},
    settings_number{"diff_age_ms", &settings::diff_age_ms, 1 * second, 7 * day, "milliseconds after which a clean diff is too old for a switch"},
    settings_number{"diff_messages_second", &settings::diff_messages_second, 100, 10'000'000, "messages a second that a diff looks at, at most"},
    settings_number{"bridges", &settings::bridges, 0, 10'000, "bridges for plain subjects"},
    settings_number{"bridge_replies", &settings::bridge_replies, 1, 10'000'000, "requests over bridges that wait for a reply"},
    settings_number{"bridge_reply_ms", &settings::bridge_reply_ms, 100, 1 * hour, "milliseconds for which a request over a bridge waits for replies"},
    settings_number{"bridge_bytes", &settings::bridge_bytes, 64 * kib, 1 * gib, "bytes that wait to cross the bridges, each way; beyond it messages are dropped and counted"},
};

constexpr std::array texts{
    settings_text{"name", &settings::name, "name of this server's connections in NATS's own lists; empty = \"kedge\""},
    settings_text{"ca_file", &settings::ca_file, "PEM file of the authorities that vouch for the NATS servers; empty = the system's"},
    settings_text{"certificate_file", &settings::certificate_file, "PEM file of this server's own certificate, with key_file; empty = none"},
    settings_text{"key_file", &settings::key_file, "PEM file of the certificate's key; nobody else may read it"},
    settings_text{"expected_name", &settings::expected_name, "name that has to stand in the NATS server's certificate; empty = the host of its address"},
    settings_text{"credentials_file", &settings::credentials_file, ".creds file with which to log in; nobody else may read it"},
    settings_text{"nkey_file", &settings::nkey_file, "file with the nkey seed with which to log in; nobody else may read it"},
    settings_text{"user", &settings::user, "user name with which to log in, with password_file"},
    settings_text{"password_file", &settings::password_file, "file whose first line is the password; nobody else may read it"},
    settings_text{"token_file", &settings::token_file, "file whose first line is the token with which to log in; nobody else may read it"},
    settings_text{"stream_prefix", &settings::stream_prefix, "what the JetStream streams' names begin with, before the stream's name here"},
    settings_text{"domain", &settings::domain, "JetStream domain; empty = the account's own"},
};

}  // namespace

std::string jet_name_of(settings const& set, std::string_view stream)
{
    for (std::string_view const pair : set.stream_names)
        if (auto const sign = pair.find('='); pair.substr(0, sign) == stream)
            return std::string{pair.substr(sign + 1)};
    return set.stream_prefix + std::string{stream};
}

bool valid_stream_name_pair(std::string_view pair) noexcept
{
    auto const sign = pair.find('=');
    if (sign == std::string_view::npos)
        return false;
    auto const is_name = [](std::string_view name) {
        constexpr std::string_view others = "-_";
        return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [&](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || others.find(c) != others.npos;
        });
    };
    return is_name(pair.substr(0, sign)) && is_name(pair.substr(sign + 1));
}

std::span<settings_number const> settings_numbers() noexcept
{
    return numbers;
}

std::span<settings_text const> settings_texts() noexcept
{
    return texts;
}

}  // namespace kedge::migration
