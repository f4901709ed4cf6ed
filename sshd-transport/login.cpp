#include <algorithm>

#include "router/protocol/names.hpp"
#include "sshd-transport/clock.hpp"
#include "sshd-transport/door.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/session.hpp"
#include "sshd-transport/transport_thread.hpp"

// The part of `session` that libssh calls: who may log in, who still may, and what a session may open.

namespace kedge {

ssh_server_callbacks_struct session::login_callbacks(session* owner)
{
    ssh_server_callbacks_struct table{};
    ssh_callbacks_init(&table);
    table.userdata = owner;
    // Methods without a callback are refused by libssh, but for GSSAPI, which it would serve by itself.
    table.gssapi_select_oid_function = [](ssh_session, char const*, int, ssh_string*, void*) -> ssh_string { return nullptr; };
    table.auth_pubkey_function = [](ssh_session, char const* user, ssh_key_struct* key, char state, void* data) -> int {
        if (state != SSH_PUBLICKEY_STATE_NONE && state != SSH_PUBLICKEY_STATE_VALID) return SSH_AUTH_DENIED;
        return static_cast<session*>(data)->on_key(user, key, state == SSH_PUBLICKEY_STATE_VALID);
    };
    table.channel_open_request_session_function = [](ssh_session, void* data) -> ssh_channel {
        return static_cast<session*>(data)->on_channel();
    };
    return table;
}

/// A probe asks, a signature decides; some clients do not ask. Nothing is bound before the signature.
int session::on_key(std::string_view user, ssh_key_struct* key, bool has_signed) noexcept
{
    if (phase_ != phase::login || !doomed_.empty()) return SSH_AUTH_DENIED;
    if (!valid_user(user)) return refuse_key(refusal::unknown_user);
    if (!key_type_accepted(key)) return refuse_key(refusal::key);
    auto blob = key_blob(key);
    auto const decision = thread_.directory()->admit(user, blob, address_, wall_ms());
    switch (decision.why) {
    case account_directory::verdict::admitted:
        break;
    case account_directory::verdict::unknown_user:
    case account_directory::verdict::removed:
        return refuse_key(refusal::unknown_user);
    case account_directory::verdict::banned:
        return refuse_key(refusal::banned);
    case account_directory::verdict::unknown_key:
    case account_directory::verdict::expired:
    case account_directory::verdict::wrong_address:
        return refuse_key(refusal::key);
    }
    if (!has_signed) return SSH_AUTH_SUCCESS;
    if (!thread_.shared().entrance.enter(address_, user)) {
        doom("too many sessions of this user", refusal::user_sessions);
        return SSH_AUTH_DENIED;
    }
    who_ = std::make_shared<principal const>(
        principal{std::string{user}, decision.role, decision.fingerprint, token_text(token_), address_});
    blob_ = std::move(blob);
    expires_ms_ = decision.expires_ms;
    phase_ = phase::live;
    log_info({.session = who_->session, .link = {}, .user = who_->user, .address = address_}, "logged in as {} with {}",
             who_->role, who_->key);
    return SSH_AUTH_SUCCESS;
}

int session::refuse_key(refusal why) noexcept
{
    // The worst of what was tried is what the address pays for at the end.
    if (offence_ != refusal::unknown_user) offence_ = why;
    if (++refused_keys_ >= bounds().login_tries) doom("too many keys that are not known here", refusal::tries);
    return SSH_AUTH_DENIED;
}

ssh_channel_struct* session::on_channel() noexcept
{
    if (phase_ != phase::live || channels_.size() >= bounds().session_links) return nullptr;
    auto* const made = ssh_channel_new(handle_.get());
    if (made) channels_.push_back(std::make_unique<channel>(*this, made));
    return made;
}

void session::check_admission()
{
    if (phase_ != phase::live) return;
    auto const decision = thread_.directory()->admit(who_->user, blob_, address_, wall_ms());
    if (decision.why == account_directory::verdict::admitted && decision.role == who_->role) {
        expires_ms_ = decision.expires_ms;
        return;
    }
    for (auto const& each : channels_)
        if (auto* const speaker = each->speaker()) speaker->revoke();
    log_info({.session = who_->session, .link = {}, .user = who_->user, .address = address_}, "access revoked");
    leave("your access was revoked");
}

}  // namespace kedge
