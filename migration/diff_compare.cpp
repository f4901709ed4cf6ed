#include "migration/diff_compare.hpp"

#include <algorithm>
#include <map>

#include <xxhash.h>

namespace kedge::migration {

namespace {

// Stored headers are compact JSON objects of strings; whoever stored them may have written the names in another order.
std::map<std::string, std::string> header_map(std::string_view text)
{
    std::map<std::string, std::string> made;
    if (text.empty())
        return made;
    auto const parsed = nlohmann::json::parse(text, nullptr, false);
    if (!parsed.is_object())
        return {{"", std::string{text}}};  // the log was tampered with: differs from everything that can be imported
    for (auto const& [name, value] : parsed.items())
        made.emplace(name, value.is_string() ? value.get<std::string>() : value.dump());
    return made;
}

std::optional<std::string> differing_header(std::string_view copy, std::string_view log)
{
    if (copy == log)
        return std::nullopt;
    auto const there = header_map(copy), here = header_map(log);
    for (auto const& [name, value] : here) {
        auto const found = there.find(name);
        if (found == there.end() || found->second != value)
            return name;
    }
    for (auto const& [name, value] : there)
        if (!here.contains(name))
            return name;
    return std::nullopt;
}

std::uint64_t digest(std::string_view sender, message const& m)
{
    std::string text;
    for (auto const part : {sender, m.subject(), m.id(), m.reply_to(), m.body()}) {
        text += std::to_string(part.size());
        text += ':';
        text += part;
    }
    for (auto const& [name, value] : header_map(m.headers()))
        text += name + '\0' + value + '\0';
    return XXH3_64bits(text.data(), text.size());
}

}  // namespace

std::optional<difference> compare(seen_message const& seen, store_event::placed_row const& row)
{
    auto const &there = *seen.message, &here = *row.message;
    if (there.body() != here.body())
        return difference{defect::body, "the body"};
    if (there.subject() != here.subject())
        return difference{defect::header, "the subject"};
    // A copy that was tampered with passes for a native message: what was changed comes before what that makes of it.
    if (auto const name = differing_header(there.headers(), here.headers()))
        return difference{defect::header, "header " + *name};
    if (there.id() != here.id())
        return difference{defect::header, "the id"};
    if (there.reply_to() != here.reply_to())
        return difference{defect::header, "the reply subject"};
    if (seen.sender != row.sender->view())
        return difference{defect::header, "the sender"};
    return std::nullopt;
}

message_seq publisher_order::look(std::string_view sender, message_seq seq)
{
    std::string name{sender};
    auto found = recent_.find(name);
    if (found == recent_.end()) {
        message_seq known = 0;
        if (auto const old = older_.find(name); old != older_.end())
            known = old->second;
        if (recent_.size() == senders_max) {
            older_ = std::move(recent_);
            recent_.clear();
        }
        found = recent_.emplace(std::move(name), known).first;
    }
    if (seq < found->second)
        return found->second;
    found->second = seq;
    return 0;
}

void displaced_rows::add(diff_finding changed, seen_message const& seen, store_event::placed_row const& row,
                         std::vector<diff_finding>& out)
{
    entry made{std::move(changed), digest(row.sender->view(), *row.message), digest(seen.sender, *seen.message)};
    auto const settle = [&](entry& e, jet_place right) {
        auto found = e.changed;
        found.kind = defect::order;
        found.text = "row " + std::to_string(found.seq) + " is noted at place " + std::to_string(found.place)
                   + ", but what it holds stands at " + std::to_string(right);
        out.push_back(std::move(found));
        e.settled = true;
    };
    for (auto& other : kept_) {
        if (!made.settled && other.message == made.row)
            settle(made, other.changed.place);
        if (!other.settled && made.message == other.row)
            settle(other, made.changed.place);
    }
    if (kept_.size() == kept_max)
        drop(1, out);
    kept_.push_back(std::move(made));  // settled or not: its message may be another row's
}

void displaced_rows::passed(jet_place place, std::vector<diff_finding>& out)
{
    auto const far = std::find_if(kept_.begin(), kept_.end(), [&](entry const& e) { return place == jet_place_max ? false : e.changed.place + near >= place; });
    drop(static_cast<std::size_t>(far - kept_.begin()), out);
}

void displaced_rows::drop(std::size_t count, std::vector<diff_finding>& out)
{
    auto const end = kept_.begin() + static_cast<std::ptrdiff_t>(count);
    for (auto e = kept_.begin(); e != end; ++e)
        if (!e->settled)
            out.push_back(std::move(e->changed));
    kept_.erase(kept_.begin(), end);
}

}  // namespace kedge::migration
