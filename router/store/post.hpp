#pragma once
/// Whom a row belongs to: the recipients of a post, and the user who sent it.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "router/protocol/subject.hpp"
#include "router/store/store.hpp"

namespace kedge {

inline constexpr std::string_view inbox_prefix = "inbox.";

/// "alice" of "alice/laptop" and of "alice".
inline std::string_view user_part(std::string_view name)
{
    return name.substr(0, name.find('/'));
}

/// The users of a post's recipients (`store_request::append::recipients`), each once, sorted. Views into the argument.
inline std::vector<std::string_view> users_of(std::string_view recipients)
{
    std::vector<std::string_view> users;
    while (!recipients.empty()) {
        auto const entry = recipients.substr(0, recipients.find(' '));
        if (auto const user = user_part(entry); users.empty() || users.back() != user)
            users.push_back(user);
        recipients.remove_prefix(std::min(entry.size() + 1, recipients.size()));
    }
    std::ranges::sort(users);  // "al al-x al/n": the users of sorted entries need not be
    auto const rest = std::ranges::unique(users);
    users.erase(rest.begin(), rest.end());
    return users;
}

/// What `store_request::read::filter` means: empty takes all; a post stands under `inbox.USER` of each of its users.
inline bool takes(std::string_view filter, row const& stored)
{
    if (filter.empty())
        return true;
    if (stored.recipients == nullptr)
        return matches(filter, stored.message->subject());
    return std::ranges::any_of(users_of(stored.recipients->view()), [&](auto const user) {
        return matches(filter, std::string{inbox_prefix}.append(user));
    });
}

/// The user whose stored bytes the row counts in (`usage_state`); empty: nobody's (mail has totals of its own, and what the server
/// says or a NATS client publishes is not held against anyone: those senders have no `/`).
inline std::string_view usage_owner(stream_config const& stream, std::string_view sender)
{
    auto const user = user_part(sender);
    return stream.name == inbox_stream || user.size() == sender.size() ? std::string_view{} : user;
}

}  // namespace kedge
