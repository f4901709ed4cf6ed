#include "router/core/mailboxes.hpp"

#include <algorithm>

#include "router/store/post.hpp"

namespace kedge {

addressed addressed_to(std::string_view recipients, std::string_view user, std::string_view node)
{
    // Entries are sorted: halve what is left until it begins where `name` would stand.
    auto const from = [&](std::string_view name) {
        std::size_t low = 0;
        for (std::size_t high = recipients.size(); low < high;) {
            auto const middle = low + (high - low) / 2;
            auto const space = middle == low ? std::string_view::npos : recipients.rfind(' ', middle - 1);
            auto const begin = space == std::string_view::npos || space < low ? low : space + 1;
            auto const end = std::min(recipients.find(' ', begin), recipients.size());
            if (recipients.substr(begin, end - begin) < name)
                low = std::min(end + 1, recipients.size());
            else
                high = begin;
        }
        return recipients.substr(low);
    };
    auto const is_first = [](std::string_view text, std::string_view name) {
        return text.starts_with(name) && (text.size() == name.size() || text[name.size()] == ' ');
    };
    if (is_first(from(user), user) || is_first(from(node), node))
        return addressed::this_node;
    auto const prefix = std::string{user} + "/";
    return from(prefix).starts_with(prefix) ? addressed::other_nodes : addressed::not_at_all;
}

mailboxes::box& mailboxes::of(std::string_view user)
{
    auto const at = boxes_.find(user);
    return at == boxes_.end() ? boxes_.emplace(std::string{user}, box{}).first->second : at->second;
}

void mailboxes::load(mailbox_state const& state) { of(state.user).total = {state.messages, state.bytes}; }

void mailboxes::add_inbox(std::string_view user, mail_sum const* done)
{
    of(user).inboxes.push_back(done);
    ++inboxes_;
}

void mailboxes::remove_inbox(std::string_view user, mail_sum const* done) { inboxes_ -= std::erase(of(user).inboxes, done); }

void mailboxes::sent(std::string_view recipients, std::uint64_t bytes)
{
    for (auto const user : users_of(recipients)) {
        auto& sum = of(user).under_way;
        ++sum.messages;
        sum.bytes += bytes;
    }
}

void mailboxes::not_sent(std::string_view recipients, std::uint64_t bytes)
{
    for (auto const user : users_of(recipients)) {
        auto& sum = of(user).under_way;
        --sum.messages;
        sum.bytes -= bytes;
    }
}

void mailboxes::arrived(std::string_view user, std::uint64_t bytes)
{
    auto& sum = of(user).total;
    ++sum.messages;
    sum.bytes += bytes;
}

mail_sum mailboxes::slowest(box const& b)
{
    auto least = b.total;
    for (auto const* const done : b.inboxes) {
        least.messages = std::min(least.messages, done->messages);
        least.bytes = std::min(least.bytes, done->bytes);
    }
    return least;
}

mail_sum mailboxes::total(std::string_view user) const
{
    auto const at = boxes_.find(user);
    return at == boxes_.end() ? mail_sum{} : at->second.total;
}

mail_sum mailboxes::stored(std::string_view user) const
{
    auto const at = boxes_.find(user);
    if (at == boxes_.end() || at->second.inboxes.empty())
        return {};
    auto const done = slowest(at->second);
    return {at->second.total.messages - done.messages, at->second.total.bytes - done.bytes};
}

std::vector<std::string> mailboxes::full(std::string_view recipients, std::uint64_t bytes, std::size_t most,
                                         std::function<mail_sum(std::string_view)> const& bounds) const
{
    std::vector<std::string> names;
    for (auto const user : users_of(recipients)) {
        auto const at = boxes_.find(user);
        if (at == boxes_.end() || at->second.inboxes.empty())
            continue;
        auto const& b = at->second;
        auto const bound = bounds(user);
        auto const is_over = [&] {
            return (bound.messages && b.total.messages - b.slowest.messages + b.under_way.messages + 1 > bound.messages)
                || (bound.bytes && b.total.bytes - b.slowest.bytes + b.under_way.bytes + bytes > bound.bytes);
        };
        if (!is_over())
            continue;
        b.slowest = slowest(b);
        if (is_over())
            names.emplace_back(user);
        if (names.size() == most)
            break;
    }
    return names;
}

}  // namespace kedge
