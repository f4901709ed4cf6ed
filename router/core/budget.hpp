#pragma once
/// What one user may do and store, and what is left of it. Pure; router thread; owned by the core, shared by the user's links.

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "router/account/directory.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// A token bucket that may be overdrawn: while it holds a token the next operation passes whole, and the debt is waited off. In thousandths, so
/// that one token a second is exact at a millisecond.
class rate_bucket {
public:
    /// `rate` a second, 0 = no limit; full again. At least one token fits, or nothing would ever pass.
    void configure(std::uint64_t rate, std::uint64_t burst_ms, std::uint64_t now_ms)
    {
        rate_ = rate;
        burst_ = static_cast<std::int64_t>(std::max<std::uint64_t>(rate * burst_ms, token));
        level_ = burst_;
        at_ms_ = now_ms;
    }
    bool limited() const noexcept { return rate_ != 0; }
    /// When something may be taken: not later than `now_ms` = at once.
    std::uint64_t ready_ms(std::uint64_t now_ms)
    {
        if (!rate_)
            return now_ms;
        fill(now_ms);
        return level_ >= token ? now_ms : now_ms + (static_cast<std::uint64_t>(token - level_) + rate_ - 1) / rate_;
    }
    /// Nothing would be lost by forgetting it.
    bool full(std::uint64_t now_ms)
    {
        if (rate_)
            fill(now_ms);
        return level_ == burst_;
    }
    void take(std::uint64_t tokens) noexcept
    {
        if (rate_)
            level_ -= static_cast<std::int64_t>(tokens) * token;
    }

private:
    void fill(std::uint64_t now_ms)
    {
        auto const passed = std::min(now_ms - at_ms_, static_cast<std::uint64_t>(burst_ - level_) / rate_ + 1);
        level_ = std::min(burst_, level_ + static_cast<std::int64_t>(passed * rate_));
        at_ms_ = now_ms;
    }

    static constexpr std::int64_t token = 1000;
    std::uint64_t rate_ = 0;
    std::int64_t burst_ = 0;
    std::int64_t level_ = 0;
    std::uint64_t at_ms_ = 0;
};

/// The user's own value of a limit, or the server's. Only for those of `user_limit_names()`.
inline std::uint64_t limit_of(account_user const* user, limits const& all, std::string_view name)
{
    if (user)
        if (auto const own = user->own_limits.find(std::string{name}); own != user->own_limits.end())
            return own->second;
    for (auto const& field : limit_fields())
        if (field.name == name)
            return all.*field.member;
    return 0;
}

struct user_budget {
    rate_bucket messages;
    rate_bucket bytes;
    std::uint64_t stored_bytes_max = 0;   ///< in all streams; 0 = no limit
    std::uint64_t mail_messages_max = 0;
    std::uint64_t mail_bytes_max = 0;
    usage_state stored;                   ///< of its publishes
    std::uint64_t storing_bytes = 0;      ///< of publishes under way
    std::string user;
    std::size_t holders = 0;              ///< links, and publishes under way

    /// Takes over the limits as they are now. Does not refill a bucket whose rate stays.
    void configure(account_user const* user, limits const& all, std::uint64_t now_ms)
    {
        auto const messages_rate = limit_of(user, all, "user_rate_messages");
        auto const bytes_rate = limit_of(user, all, "user_rate_bytes");
        auto const burst = limit_of(user, all, "user_burst_ms");
        if (std::exchange(rates_, {messages_rate, bytes_rate, burst}) != rates{messages_rate, bytes_rate, burst}) {
            messages.configure(messages_rate, burst, now_ms);
            bytes.configure(bytes_rate, burst, now_ms);
        }
        stored_bytes_max = limit_of(user, all, "user_stored_bytes");
        mail_messages_max = limit_of(user, all, "mail_messages");
        mail_bytes_max = limit_of(user, all, "mail_bytes");
    }
    bool limited() const noexcept { return messages.limited() || bytes.limited(); }
    /// Nobody needs it, and the user would get the same one again.
    bool spare(std::uint64_t now_ms) { return holders == 0 && stored.messages == 0 && messages.full(now_ms) && bytes.full(now_ms); }
    std::uint64_t ready_ms(std::uint64_t now_ms) { return std::max(messages.ready_ms(now_ms), bytes.ready_ms(now_ms)); }
    void take(std::size_t size) noexcept
    {
        messages.take(1);
        bytes.take(size);
    }

private:
    struct rates {
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
        std::uint64_t burst_ms = 0;
        friend bool operator==(rates const&, rates const&) = default;
    };
    rates rates_;
};

}  // namespace kedge
