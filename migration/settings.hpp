#pragma once
/// `[nats]` of the configuration: where the NATS servers are, who kedge is there, and every bound of the migration. One table
/// (settings.cpp) names, bounds and documents them.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kedge::migration {

struct settings {
    std::vector<std::string> servers;  ///< "nats://host:4222", "tls://host:4222"; empty = no NATS
    std::string name;                  ///< of the connection, as NATS shows it; empty = "kedge"
    // TLS
    std::string ca_file;               ///< PEM; empty = the system's
    std::string certificate_file;      ///< with `key_file`: kedge's own
    std::string key_file;
    std::string expected_name;         ///< in the server's certificate; empty = the host of the URL
    // Who kedge is
    std::string credentials_file;      ///< .creds
    std::string nkey_file;             ///< a seed
    std::string user;
    std::string password_file;
    std::string token_file;
    // Streams
    std::vector<std::string> stream_names;  ///< "CHAT=TALK": JetStream's name of stream CHAT is TALK
    std::string stream_prefix;         ///< that of any other is PREFIX + its name
    std::string domain;                ///< of JetStream; empty = the account's own
    std::uint64_t replicas = 1;
    std::uint64_t slack_percent = 10;  ///< JetStream keeps so much more than the stream's limits here
    // Bounds
    std::uint64_t pump_messages = 4096;              ///< published and not read back, of one stream
    std::uint64_t pump_bytes = 16ull * 1024 * 1024;
    std::uint64_t ring_bytes = 32ull * 1024 * 1024;  ///< committed rows kept in memory for the pump, of one stream
    std::uint64_t import_messages = 4096;            ///< in one request to the store
    std::uint64_t import_bytes = 4ull * 1024 * 1024;
    std::uint64_t read_messages = 8192;              ///< on their way from the server, of one stream
    std::uint64_t read_bytes = 16ull * 1024 * 1024;
    std::uint64_t backlog_bytes = 8ull * 1024 * 1024 * 1024;  ///< waiting to be copied; beyond it the mirror is given up, never a publish
    std::uint64_t hold_ms = 5000;                    ///< publishes of a stream that is being switched, or whose authority is away
    std::uint64_t hold_bytes = 64ull * 1024 * 1024;
    std::uint64_t answer_ms = 5000;                  ///< to an acknowledgement or an answer
    std::uint64_t connect_ms = 2000;
    std::uint64_t ready_lag_ms = 1000;               ///< at most so much lag, three checks in a row, is ready for a switch
    std::uint64_t diff_age_ms = 3'600'000;           ///< a clean diff is not recent any more then
    std::uint64_t diff_messages_second = 100'000;    ///< a diff looks at no more, so that the traffic keeps its share
    std::uint64_t bridges = 64;
    std::uint64_t bridge_replies = 65'536;           ///< requests over bridges that wait for their reply
    std::uint64_t bridge_reply_ms = 60'000;
    std::uint64_t bridge_bytes = 8ull * 1024 * 1024; ///< waiting to cross, each way; beyond it messages are dropped and counted

    friend bool operator==(settings const&, settings const&) = default;
};

/// JetStream's name of a stream that is copied for the first time; later its journal knows it.
std::string jet_name_of(settings const&, std::string_view stream);
/// "STREAM=NAME", as in `settings::stream_names`.
bool valid_stream_name_pair(std::string_view) noexcept;

/// A number of `settings`, for the configuration and its text.
struct settings_number {
    std::string_view name;
    std::uint64_t settings::*member;
    std::uint64_t min;
    std::uint64_t max;
    std::string_view text;
};
std::span<settings_number const> settings_numbers() noexcept;

struct settings_text {
    std::string_view name;
    std::string settings::*member;
    std::string_view text;
};
std::span<settings_text const> settings_texts() noexcept;

/// What no single value can say: a certificate without its key, two ways to log in. Each a sentence that names its key. Empty = sound.
std::vector<std::string> check_settings(settings const&);
/// The files that are named: whether they are there and can be read, and the secret ones by nobody else. Looks at the disk.
std::vector<std::string> check_settings_files(settings const&);

}  // namespace kedge::migration
