#include "router/account/directory.hpp"

#include <algorithm>

namespace kedge {

bool valid_role(std::string_view role) noexcept
{
    return role == role_operator || role == role_user || role == role_bot;
}

account_directory::account_directory(std::vector<account_user> users, std::vector<account_key> keys, std::vector<account_ban> bans)
    : users_{std::move(users)}, keys_{std::move(keys)}, bans_{std::move(bans)}
{
    for (std::size_t i = 0; i < users_.size(); ++i) {
        auto const [at, fresh] = by_name_.try_emplace(users_[i].name, i);
        if (!fresh && users_[i].removed)
            at->second = i;  // named twice: a removal is never widened by the other entry
    }
    for (std::size_t i = 0; i < keys_.size(); ++i)
        by_blob_.emplace(keys_[i].blob, i);
}

account_user const* account_directory::find_user(std::string_view name) const noexcept
{
    auto const at = by_name_.find(std::string{name});
    return at == by_name_.end() ? nullptr : &users_[at->second];
}

account_directory::decision account_directory::admit(std::string_view user, std::string_view blob, std::string_view address,
                                                     std::uint64_t now_ms) const
{
    auto const* const account = find_user(user);
    if (account == nullptr)
        return {verdict::unknown_user, {}, 0, {}};
    if (account->removed)
        return {verdict::removed, {}, 0, {}};
    auto const fingerprint = key_fingerprint(blob);
    for (auto const& ban : bans_)
        if ((ban.until_ms == 0 || now_ms < ban.until_ms)
            && (ban.user == user || ban.key == fingerprint || (!ban.address.empty() && address_in(address, ban.address))))
            return {verdict::banned, {}, 0, fingerprint};

    decision refused;
    // The map's order among equals is not promised; the order of the lines is what people see.
    std::vector<std::size_t> lines;
    auto const [begin, end] = by_blob_.equal_range(std::string{blob});
    for (auto at = begin; at != end; ++at)
        lines.push_back(at->second);
    std::ranges::sort(lines);
    for (auto const line : lines) {
        auto const& key = keys_[line];
        if (key.user != user)
            continue;
        refused.fingerprint = key.fingerprint;
        if (key.expires_ms != 0 && now_ms >= key.expires_ms) {
            refused.why = verdict::expired;
            continue;
        }
        if (!key.from.empty() && std::ranges::none_of(key.from, [&](auto const& net) { return address_in(address, net); })) {
            refused.why = verdict::wrong_address;
            continue;
        }
        return {verdict::admitted, key.role.empty() ? account->role : key.role, key.expires_ms, key.fingerprint};
    }
    return refused;
}

}  // namespace kedge
