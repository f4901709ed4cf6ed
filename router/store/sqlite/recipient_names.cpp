#include "router/store/sqlite/recipient_names.hpp"

#include <algorithm>

#include "router/store/post.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

constexpr std::size_t texts_bytes_max = 4 * 1024 * 1024;

std::vector<name_id> unpack_names(std::string_view packed)
{
    std::vector<name_id> names;
    name_id last = 0;
    for (blob_reader reader{packed}; !reader.empty();)
        names.push_back(last += static_cast<name_id>(reader.varint()));
    return names;
}

}  // namespace

recipient_names::numbers recipient_names::intern(stream_id stream, std::string_view recipients, std::uint64_t segment)
{
    numbers found;
    std::vector<name_id> entries;
    std::string name{inbox_prefix};
    auto const number_of = [&](std::string_view entry) {
        name.resize(inbox_prefix.size());
        name.append(entry);
        return subjects_.intern(stream, name, segment);
    };
    for (auto rest = recipients; !rest.empty();) {
        auto const entry = rest.substr(0, rest.find(' '));
        entries.push_back(number_of(entry));
        rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
    }
    for (auto const user : users_of(recipients))
        found.inboxes.push_back(number_of(user));
    std::ranges::sort(entries);
    name_id last = 0;
    for (auto const entry : entries) {
        put_varint(found.packed, entry - last);
        last = entry;
    }
    return found;
}

std::vector<name_id> recipient_names::inboxes(stream_id stream, std::string_view packed)
{
    std::vector<name_id> found;
    std::string const held{text(packed)->view()};
    std::string name{inbox_prefix};
    for (auto const user : users_of(held)) {
        name.resize(inbox_prefix.size());
        if (auto const id = subjects_.find(stream, name.append(user)); id != 0)
            found.push_back(id);
    }
    return found;
}

bytes_ptr recipient_names::text(std::string_view packed)
{
    std::string key{packed};
    if (auto const at = texts_.find(key); at != texts_.end())
        return at->second;
    std::vector<std::string> entries;
    for (auto const id : unpack_names(packed))
        entries.emplace_back(subjects_.text(id)->view().substr(inbox_prefix.size()));
    std::ranges::sort(entries);
    std::string all;
    for (auto const& entry : entries)
        all.append(all.empty() ? 0 : 1, ' ').append(entry);
    auto made = shared_bytes::copy_of(all);
    auto const cost = key.size() + all.size() + 200;
    if (texts_bytes_ + cost > texts_bytes_max)
        forget();
    texts_bytes_ += cost;
    texts_.emplace(std::move(key), made);
    return made;
}

void recipient_names::forget()
{
    texts_.clear();
    texts_bytes_ = 0;
}

}  // namespace kedge::sqlite
