#include "sshd-transport/door.hpp"

#include <utility>

#include "sshd-transport/clock.hpp"
#include "sshd-transport/log.hpp"

namespace kedge {
namespace {

constexpr std::uint64_t log_pause_ms = 60'000;
constexpr std::size_t logged_max = 4096;

}  // namespace

door::door(limits const& bounds, std::vector<std::string> exempt, metrics& counters)
    : metrics_{counters}, gate_{bounds, std::move(exempt)}, sessions_max_{bounds.sessions},
      user_sessions_max_{bounds.user_sessions}, random_{std::random_device{}()}
{
}

void door::set_limits(limits const& bounds)
{
    std::lock_guard const lock{mutex_};
    gate_.set_limits(bounds);
    sessions_max_ = bounds.sessions;
    user_sessions_max_ = bounds.user_sessions;
}

bool door::arrive(std::string_view address)
{
    auto const now = steady_ms();
    std::lock_guard const lock{mutex_};
    auto why = sessions_ >= sessions_max_ ? std::optional{refusal::sessions}
                                          : gate_.arrive(address, now, static_cast<unsigned>(random_() % 100));
    metrics_.penalised_sources.set(gate_.penalised_sources());  // those whose time is over were forgotten
    if (why) {
        refuse(address, *why, now);
        return false;
    }
    ++sessions_;
    metrics_.sessions_unauthenticated.add();
    return true;
}

void door::left(std::string_view address, std::optional<refusal> why)
{
    auto const now = steady_ms();
    std::lock_guard const lock{mutex_};
    gate_.settled(address);
    --sessions_;
    metrics_.sessions_unauthenticated.subtract();
    if (!why) return;
    gate_.penalise(address, *why, now);
    metrics_.penalised_sources.set(gate_.penalised_sources());
    refuse(address, *why, now);
}

bool door::enter(std::string_view address, std::string_view user)
{
    std::lock_guard const lock{mutex_};
    auto& count = by_user_[std::string{user}];
    if (count >= user_sessions_max_) {
        if (count == 0) by_user_.erase(std::string{user});
        return false;
    }
    ++count;
    gate_.settled(address);
    metrics_.sessions_unauthenticated.subtract();
    metrics_.sessions.add();
    metrics_.logins.add();
    return true;
}

void door::exit(std::string_view user)
{
    std::lock_guard const lock{mutex_};
    auto const found = by_user_.find(std::string{user});
    if (--found->second == 0) by_user_.erase(found);
    --sessions_;
    metrics_.sessions.subtract();
}

std::size_t door::penalised_sources() const
{
    std::lock_guard const lock{mutex_};
    return gate_.penalised_sources();
}

void door::refuse(std::string_view address, refusal why, std::uint64_t now_ms)
{
    metrics_.refused[static_cast<unsigned>(why)].add();
    auto const source = source_of(address);
    auto found = logged_.find(source);
    if (found == logged_.end()) {
        // Bounded without ceremony: after so many sources within minutes, some are logged again early.
        if (logged_.size() >= logged_max) logged_.clear();
        found = logged_.try_emplace(source).first;
    } else if (now_ms - found->second.at_ms < log_pause_ms) {
        ++found->second.since;
        return;
    }
    auto const more = std::exchange(found->second.since, 0);
    found->second.at_ms = now_ms;
    log_warning({.session = {}, .link = {}, .user = {}, .address = address}, "refused: {} ({} more from there since)",
                to_string(why), more);
}

}  // namespace kedge
