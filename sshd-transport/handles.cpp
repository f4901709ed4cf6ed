#include "sshd-transport/handles.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <unistd.h>

#include "router/protocol/base64.hpp"

namespace kedge {
namespace {

// Names that the linked libssh does not know are passed over, so the post-quantum ones stand first for the day it does.
constexpr char const* key_exchange =
    "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,"
    "curve25519-sha256,curve25519-sha256@libssh.org";
constexpr char const* ciphers = "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr";
constexpr char const* macs = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com";
constexpr char const* user_keys =
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256";

void set(ssh_bind_struct* bind, ssh_bind_options_e option, void const* value, char const* what)
{
    if (ssh_bind_options_set(bind, option, value) != SSH_OK)
        throw std::runtime_error{std::string{"libssh does not take "} + what + ": " + ssh_get_error(bind)};
}

/// The beginning of libssh's channel, the same in 0.10 and 0.11. Nothing public tells a peer's maximum packet size.
struct channel_view {
    ssh_session_struct* session;
    std::uint32_t local_channel, local_window;
    int local_eof;
    std::uint32_t local_maxpacket;
    std::uint32_t remote_channel, remote_window;
    int remote_eof;
    std::uint32_t remote_maxpacket;
};

}  // namespace

host_bind::host_bind(std::string const& host_key_path) : bind_{ssh_bind_new()}
{
    if (!bind_) throw std::bad_alloc{};
    bool const process_config = false;  // else /etc/ssh/libssh_server_config has a say
    set(bind_.get(), SSH_BIND_OPTIONS_PROCESS_CONFIG, &process_config, "PROCESS_CONFIG");
    ssh_key key = nullptr;
    if (ssh_pki_import_privkey_file(host_key_path.c_str(), nullptr, nullptr, nullptr, &key) != SSH_OK)
        throw std::runtime_error{"the host key " + host_key_path + " cannot be read"};
    if (ssh_key_type(key) != SSH_KEYTYPE_ED25519) {
        ssh_key_free(key);
        throw std::runtime_error{"the host key " + host_key_path + " is not an ed25519 key"};
    }
    if (ssh_bind_options_set(bind_.get(), SSH_BIND_OPTIONS_IMPORT_KEY, key) != SSH_OK) {  // takes the key
        ssh_key_free(key);
        throw std::runtime_error{"libssh does not take the host key " + host_key_path};
    }
    int const rsa_bits_min = 2048;
    set(bind_.get(), SSH_BIND_OPTIONS_RSA_MIN_SIZE, &rsa_bits_min, "RSA_MIN_SIZE");
    set(bind_.get(), SSH_BIND_OPTIONS_KEY_EXCHANGE, key_exchange, "the key exchanges");
    set(bind_.get(), SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "ssh-ed25519", "the host key algorithm");
    set(bind_.get(), SSH_BIND_OPTIONS_CIPHERS_C_S, ciphers, "the ciphers");
    set(bind_.get(), SSH_BIND_OPTIONS_CIPHERS_S_C, ciphers, "the ciphers");
    set(bind_.get(), SSH_BIND_OPTIONS_HMAC_C_S, macs, "the MACs");
    set(bind_.get(), SSH_BIND_OPTIONS_HMAC_S_C, macs, "the MACs");
    set(bind_.get(), SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, user_keys, "the types of user keys");
}

session_handle host_bind::accept(int fd, limits const& bounds)
{
    session_handle session{ssh_new()};
    auto const rekey_bytes = bounds.rekey_bytes;
    auto const rekey_seconds = static_cast<std::uint32_t>(std::min<std::uint64_t>(bounds.rekey_ms / 1000, 4'000'000));
    if (session && ssh_options_set(session.get(), SSH_OPTIONS_COMPRESSION, "none") == SSH_OK &&
        ssh_options_set(session.get(), SSH_OPTIONS_REKEY_DATA, &rekey_bytes) == SSH_OK &&
        ssh_options_set(session.get(), SSH_OPTIONS_REKEY_TIME, &rekey_seconds) == SSH_OK) {
        ssh_set_blocking(session.get(), 0);
        ssh_set_auth_methods(session.get(), SSH_AUTH_METHOD_PUBLICKEY);
        if (ssh_bind_accept_fd(bind_.get(), session.get(), fd) == SSH_OK) return session;
        if (ssh_get_fd(session.get()) == fd) return nullptr;  // it owns the socket already and closes it
    }
    ::close(fd);
    return nullptr;
}

std::string key_blob(ssh_key_struct* key)
{
    char* text = nullptr;
    if (ssh_pki_export_pubkey_base64(key, &text) != SSH_OK) return {};
    auto blob = base64_decode(text);
    ssh_string_free_char(text);
    return blob ? std::move(*blob) : std::string{};
}

bool key_type_accepted(ssh_key_struct* key)
{
    switch (ssh_key_type(key)) {
    case SSH_KEYTYPE_ED25519:
    case SSH_KEYTYPE_SK_ED25519:
    case SSH_KEYTYPE_ECDSA_P256:
    case SSH_KEYTYPE_RSA:
        return true;
    default:  // libssh's enum differs between its versions
        return false;
    }
}

std::uint32_t peer_packet_bytes(ssh_channel_struct* channel)
{
    channel_view view{};
    std::memcpy(static_cast<void*>(&view), static_cast<void const*>(channel), sizeof view);
    // A libssh that lays its channel out in another way must not be misread; a test notices it.
    if (view.session != ssh_channel_get_session(channel) || view.remote_window != ssh_channel_window_size(channel))
        return packet_bytes_min;
    return view.remote_maxpacket;
}

}  // namespace kedge
