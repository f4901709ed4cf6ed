#include "router/store/sqlite/user_totals.hpp"

#include <utility>

namespace kedge::sqlite {

user_totals::user_totals(database& on, std::string_view table)
    : all_{on, {"SELECT user, messages, bytes FROM ", table}},
      one_{on, {"SELECT messages, bytes FROM ", table, " WHERE user = ?"}},
      change_{on, {"INSERT INTO ", table, " VALUES (?, ?, ?) ON CONFLICT (user) DO UPDATE SET messages = messages +"
                   " excluded.messages, bytes = bytes + excluded.bytes RETURNING messages, bytes"}},
      remove_{on, {"DELETE FROM ", table, " WHERE user = ?"}}
{
}

std::vector<user_totals::total> user_totals::all()
{
    std::vector<total> found;
    auto rows = all_.query();
    while (rows.next())
        found.push_back({rows.string(0), rows.number(1), rows.number(2)});
    return found;
}

user_totals::total user_totals::of(std::string_view user)
{
    total found{std::string{user}};
    auto rows = one_.query(user);
    if (rows.next())
        found = {std::string{user}, rows.number(0), rows.number(1)};
    if (auto const at = gathered_.find(user); at != gathered_.end()) {
        found.messages += static_cast<std::uint64_t>(at->second.messages);
        found.bytes += static_cast<std::uint64_t>(at->second.bytes);
    }
    return found;
}

void user_totals::change(std::string_view user, std::int64_t messages, std::int64_t bytes)
{
    auto at = gathered_.find(user);
    if (at == gathered_.end())
        at = gathered_.emplace(user, difference{}).first;
    at->second.messages += messages;
    at->second.bytes += bytes;
}

std::vector<user_totals::total> user_totals::save()
{
    std::vector<total> changed;
    for (auto const& [user, by] : std::exchange(gathered_, {})) {
        total now{user};
        {
            auto rows = change_.query(std::string_view{user}, by.messages, by.bytes);
            if (rows.next() && rows.integer(0) > 0)
                now = {user, rows.number(0), rows.number(1)};
            while (rows.next()) {
            }
        }
        if (now.messages == 0)
            remove_.run(std::string_view{user});
        changed.push_back(std::move(now));
    }
    return changed;
}

}  // namespace kedge::sqlite
