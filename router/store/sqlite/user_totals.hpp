#pragma once
/// Messages and bytes by user: tables `mailbox` (all mail that a user ever got) and `usage` (what is stored of a user's).

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "router/store/sqlite/database.hpp"

namespace kedge::sqlite {

class user_totals {
public:
    struct total {
        std::string user;
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
    };

    user_totals(database&, std::string_view table);

    std::vector<total> all();
    /// As of now, with what is gathered.
    total of(std::string_view user);

    /// Gathers one more message, or one fewer, for `save`: a batch writes a user once.
    void add(std::string_view user, std::uint64_t bytes) { change(user, 1, static_cast<std::int64_t>(bytes)); }
    void take(std::string_view user, std::uint64_t bytes) { change(user, -1, -static_cast<std::int64_t>(bytes)); }
    /// Writes what was gathered; returns the new totals of these users.
    std::vector<total> save();
    /// Drops what was gathered: the transaction did not commit.
    void forget() { gathered_.clear(); }

private:
    struct difference {
        std::int64_t messages = 0;
        std::int64_t bytes = 0;
    };
    void change(std::string_view user, std::int64_t messages, std::int64_t bytes);

    statement all_;
    statement one_;
    statement change_;
    statement remove_;
    std::map<std::string, difference, std::less<>> gathered_;
};

}  // namespace kedge::sqlite
