#include "migration/nats/connect_options.hpp"

#include <cstdlib>
#include <cstring>
#include <fstream>

namespace kedge::migration {
namespace {

/// The first line of a file that holds a secret; a sentence if there is none.
std::variant<std::string, std::string> first_line(std::string const& path)
{
    std::ifstream file(path);
    std::string line;
    if (!file || !std::getline(file, line)) return std::variant<std::string, std::string>(std::in_place_index<1>, "cannot read " + path);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    return std::variant<std::string, std::string>(std::in_place_index<0>, std::move(line));
}

/// The line of the seed; nkey files may have comments and armour around it.
std::string seed_line(std::string const& path)
{
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
        if (line.starts_with("S") && line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == line.npos) return line;
    }
    return {};
}

/// The server's nonce, signed. libnats frees the signature.
natsStatus sign_nonce(char** error, unsigned char** signature, int* bytes, char const* nonce, void* closure) noexcept
{
    (void)error;
    auto const made = static_cast<nkey const*>(closure)->sign(nonce);
    *signature = static_cast<unsigned char*>(std::malloc(made.size()));
    if (*signature == nullptr) return NATS_NO_MEMORY;
    std::memcpy(*signature, made.data(), made.size());
    *bytes = static_cast<int>(made.size());
    return NATS_OK;
}

/// Empty = done.
std::string set_tls(natsOptions* options, settings const& settings, server_url const& server, greeting const& greeting)
{
    bool const wanted = server.tls || !settings.ca_file.empty() || !settings.certificate_file.empty() || !settings.expected_name.empty();
    if (wanted && !greeting.tls) return "the server offers no TLS, and the configuration wants it";
    if (!wanted && !greeting.tls) return {};
    if (auto const s = natsOptions_SetSecure(options, true); s != NATS_OK) return nats_sentence(s);
    if (!settings.ca_file.empty())
        if (auto const s = natsOptions_LoadCATrustedCertificates(options, settings.ca_file.c_str()); s != NATS_OK)
            return "cannot use " + settings.ca_file + ": " + nats_sentence(s);
    if (!settings.certificate_file.empty())
        if (auto const s = natsOptions_LoadCertificatesChain(options, settings.certificate_file.c_str(), settings.key_file.c_str()); s != NATS_OK)
            return "cannot use " + settings.certificate_file + " with " + settings.key_file + ": " + nats_sentence(s);
    // libnats may be built not to look at the name unless it is told one.
    auto const& name = settings.expected_name.empty() ? server.host : settings.expected_name;
    if (auto const s = natsOptions_SetExpectedHostname(options, name.c_str()); s != NATS_OK) return nats_sentence(s);
    return {};
}

/// Empty = done.
std::string set_login(connect_options& out, settings const& settings)
{
    auto* const options = out.options.get();
    natsStatus s = NATS_OK;
    if (!settings.credentials_file.empty()) {
        if (!std::ifstream(settings.credentials_file)) return "cannot read " + settings.credentials_file;
        s = natsOptions_SetUserCredentialsFromFiles(options, settings.credentials_file.c_str(), nullptr);
    } else if (!settings.nkey_file.empty()) {
        auto parsed = parse_nkey_seed(seed_line(settings.nkey_file));
        if (auto const* wrong = std::get_if<std::string>(&parsed)) return "cannot use " + settings.nkey_file + ": " + *wrong;
        out.key = std::make_unique<nkey>(std::get<nkey>(parsed));
        s = natsOptions_SetNKey(options, out.key->public_key.c_str(), sign_nonce, out.key.get());
    } else if (!settings.token_file.empty()) {
        auto const token = first_line(settings.token_file);
        if (token.index() == 1) return std::get<1>(token);
        s = natsOptions_SetToken(options, std::get<0>(token).c_str());
    } else if (!settings.user.empty()) {
        auto const password = first_line(settings.password_file);
        if (password.index() == 1) return std::get<1>(password);
        s = natsOptions_SetUserInfo(options, settings.user.c_str(), std::get<0>(password).c_str());
    }
    return s == NATS_OK ? std::string() : nats_sentence(s);
}

}  // namespace

std::variant<connect_options, std::string> make_connect_options(settings const& settings, server_url const& server, greeting const& greeting)
{
    // A write that finds no room for so long ends the link: a server that is frozen must not hold a thread for long.
    constexpr std::int64_t write_deadline_ms = 500;
    constexpr std::int64_t ping_ms = 1000;
    constexpr int pings_unanswered = 2;
    constexpr int buffer_bytes = 64 * 1024;

    connect_options out;
    natsOptions* made = nullptr;
    if (auto const s = natsOptions_Create(&made); s != NATS_OK) return nats_sentence(s);
    out.options.reset(made);
    auto plain = server;
    plain.tls = false;  // said by natsOptions_SetSecure
    auto const set = [](auto... statuses) {
        for (auto const s : {statuses...})
            if (s != NATS_OK) return s;
        return NATS_OK;
    };
    auto const name = settings.name.empty() ? std::string("kedge") : settings.name;
    // A link is one connection: what libnats keeps over a reconnect it may send out of order.
    auto const s = set(natsOptions_SetURL(made, plain.text().c_str()), natsOptions_SetName(made, name.c_str()),
                       natsOptions_SetAllowReconnect(made, false), natsOptions_SetIgnoreDiscoveredServers(made, true),
                       natsOptions_SetTimeout(made, static_cast<std::int64_t>(settings.connect_ms)),
                       natsOptions_SetWriteDeadline(made, write_deadline_ms), natsOptions_SetPingInterval(made, ping_ms),
                       natsOptions_SetMaxPingsOut(made, pings_unanswered), natsOptions_SetNoEcho(made, true),
                       natsOptions_SetIOBufSize(made, buffer_bytes), natsOptions_UseGlobalMessageDelivery(made, true));
    if (s != NATS_OK) return nats_sentence(s);
    if (auto wrong = set_tls(made, settings, server, greeting); !wrong.empty()) return wrong;
    if (auto wrong = set_login(out, settings); !wrong.empty()) return wrong;
    return out;
}

}  // namespace kedge::migration
