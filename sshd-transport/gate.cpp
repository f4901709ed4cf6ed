#include "sshd-transport/gate.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <arpa/inet.h>

#include "router/account/directory.hpp"
#include "router/metrics.hpp"

namespace kedge {
namespace {

static_assert(refusal_count <= metrics::refusals_max);

struct refusal_row {
    std::string_view word;
    std::uint64_t penalty_ms;
};
// In the order of the enum. What a person mistypes costs less than what only a scanner does.
constexpr std::array<refusal_row, refusal_count> refusal_rows{{
    {"sessions", 0},
    {"unauthenticated", 0},
    {"early_drop", 0},
    {"address", 0},
    {"penalised", 0},
    {"grace", 10'000},
    {"tries", 5'000},
    {"flood", 30'000},
    {"protocol", 10'000},
    {"left", 1'000},
    {"unknown_user", 5'000},
    {"key", 5'000},
    {"user_sessions", 0},
    {"banned", 5'000},
}};

}  // namespace

std::string_view to_string(refusal why) noexcept
{
    return refusal_rows[static_cast<unsigned>(why)].word;
}

std::uint64_t penalty_ms(refusal why) noexcept
{
    return refusal_rows[static_cast<unsigned>(why)].penalty_ms;
}

std::string source_of(std::string_view address)
{
    std::string text{address.substr(0, address.find('%'))};  // without a zone
    in6_addr six{};
    if (inet_pton(AF_INET6, text.c_str(), &six) != 1) return std::string{address};
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
        char four[INET_ADDRSTRLEN];
        return inet_ntop(AF_INET, six.s6_addr + 12, four, sizeof four);
    }
    std::memset(six.s6_addr + 8, 0, 8);
    char prefix[INET6_ADDRSTRLEN];
    return std::string{inet_ntop(AF_INET6, &six, prefix, sizeof prefix)} + "/64";
}

gate::gate(limits const& bounds, std::vector<std::string> exempt) : exempt_{std::move(exempt)}, limits_{bounds} {}

void gate::set_limits(limits const& bounds)
{
    limits_ = bounds;
}

bool gate::exempt(std::string_view address) const
{
    return std::any_of(exempt_.begin(), exempt_.end(), [&](auto const& cidr) { return address_in(address, cidr); });
}

std::optional<refusal> gate::arrive(std::string_view address, std::uint64_t now_ms, unsigned random)
{
    if (unauthenticated_ >= limits_.unauthenticated) return refusal::unauthenticated;
    auto const source = source_of(address);
    if (!exempt(address)) {
        forget_expired(now_ms);
        if (auto const found = penalties_.find(source); found != penalties_.end() && found->second.refused)
            return refusal::penalised;
        if (auto const found = by_source_.find(source);
            found != by_source_.end() && found->second >= limits_.unauthenticated_address)
            return refusal::address;
        // Grows from the configured percentage, where early drop begins, to 100 at the limit.
        auto const begin = limits_.unauthenticated_early_drop;
        if (unauthenticated_ >= begin && limits_.unauthenticated > begin) {
            auto const percent = limits_.unauthenticated_early_percent;
            auto const chance =
                percent + (100 - percent) * (unauthenticated_ - begin) / (limits_.unauthenticated - begin);
            if (random < chance) return refusal::early_drop;
        }
    }
    ++unauthenticated_;
    ++by_source_[source];
    return std::nullopt;
}

void gate::settled(std::string_view address)
{
    --unauthenticated_;
    auto const found = by_source_.find(source_of(address));
    if (--found->second == 0) by_source_.erase(found);
}

void gate::penalise(std::string_view address, refusal offence, std::uint64_t now_ms)
{
    auto const cost = penalty_ms(offence);
    if (cost == 0 || limits_.penalty_sources == 0 || exempt(address)) return;
    forget_expired(now_ms);
    auto const source = source_of(address);
    auto found = penalties_.find(source);
    if (found == penalties_.end()) {
        // A full table forgets who would be free first: the many pass, the worst stay.
        while (penalties_.size() >= limits_.penalty_sources) {
            penalties_.erase(by_end_.begin()->second);
            by_end_.erase(by_end_.begin());
        }
        found = penalties_.emplace(source, penalty{now_ms, false}).first;
    } else {
        by_end_.erase({found->second.until_ms, source});
    }
    auto& now = found->second;
    now.until_ms = std::min(now.until_ms + cost, now_ms + limits_.penalty_ms_max);
    now.refused = now.refused || now.until_ms - now_ms >= penalty_threshold_ms;
    by_end_.emplace(now.until_ms, source);
}

void gate::forget_expired(std::uint64_t now_ms)
{
    while (!by_end_.empty() && by_end_.begin()->first <= now_ms) {
        penalties_.erase(by_end_.begin()->second);
        by_end_.erase(by_end_.begin());
    }
}

}  // namespace kedge
