#include "router/store/sqlite/newest_rows.hpp"

#include <algorithm>
#include <string>

#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

newest_rows::newest_rows(database& on)
    : find_{on, "SELECT newest FROM subject WHERE id = ?"}, save_{on, "UPDATE subject SET newest = ? WHERE id = ?"}
{
}

void newest_rows::add(name_id subject, std::uint64_t round, std::uint64_t most, std::vector<message_seq> const& rows,
                      std::vector<message_seq>& surplus)
{
    std::vector<message_seq> list;
    {
        auto found = find_.query(subject);
        if (found.next()) {
            blob_reader reader{found.bytes(0)};
            if (!reader.empty() && reader.varint() == round)
                for (message_seq seq = 0; !reader.empty();)
                    list.push_back(seq += reader.varint());
        }
    }
    list.insert(list.end(), rows.begin(), rows.end());
    auto const keep = std::min<std::uint64_t>(most, list.size());
    auto const first_kept = list.end() - static_cast<std::ptrdiff_t>(keep);
    surplus.insert(surplus.end(), list.begin(), first_kept);
    std::string packed;
    put_varint(packed, round);
    message_seq before = 0;
    for (auto at = first_kept; at != list.end(); before = *at++)
        put_varint(packed, *at - before);
    save_.run(blob{packed}, subject);
}

}  // namespace kedge::sqlite
