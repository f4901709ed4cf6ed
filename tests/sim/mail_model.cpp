#include "tests/sim/mail_model.hpp"

#include <algorithm>
#include <sstream>

namespace kedge::sim {

namespace {

std::string user_of(std::string const& node) { return node.substr(0, node.find('/')); }

std::string where(std::string const& node, message_seq seq) { return "inbox of " + node + ", seq " + std::to_string(seq) + ": "; }

}  // namespace

// --- Aliases and lists -------------------------------------------------------------------------------------------------

void book_model::load(account_store::contents const& all)
{
    *this = {};
    for (auto const& u : all.users)
        if (!u.removed)
            users_.emplace(u.name, u.role);
    for (auto const& a : all.aliases)
        aliases_.emplace(a.alias, a.user);
    for (auto const& l : all.lists)
        lists_.emplace(l.name, l);
}

void book_model::apply(account_change::any const& change)
{
    if (auto const* const user = std::get_if<account_change::put_user>(&change))
        users_[user->user.name] = user->user.role;
    else if (auto const* const alias = std::get_if<account_change::put_alias>(&change))
        aliases_[alias->what.alias] = alias->what.user;
    else if (auto const* const no_alias = std::get_if<account_change::remove_alias>(&change))
        aliases_.erase(no_alias->alias);
    else if (auto const* const list = std::get_if<account_change::put_list>(&change))
        lists_[list->what.name] = list->what;
    else if (auto const* const no_list = std::get_if<account_change::remove_list>(&change))
        lists_.erase(no_list->name);
}

bool book_model::add(std::string const& name, std::string const& by, std::set<std::string>& lists, std::set<std::string>& found) const
{
    if (name.starts_with('~')) {
        auto const alias = aliases_.find(name.substr(1));
        return alias != aliases_.end() && add(alias->second, by, lists, found);
    }
    if (!name.starts_with('@')) {
        if (!users_.contains(user_of(name)))
            return false;
        found.insert(name);
        return true;
    }
    auto const list = lists_.find(name.substr(1));
    if (list == lists_.end())
        return false;
    if (!lists.insert(name).second)
        return true;
    auto const& l = list->second;
    bool may = by.empty() || l.who == account_list::posting::anyone || l.owner == by || users_.at(by) == role_operator;
    if (!may && l.who == account_list::posting::members) {
        std::set<std::string> below, members;
        add(name, {}, below, members);
        may = members.contains(by);
    }
    bool all = true;  // for who is a member, all are looked at
    for (auto const& member : l.members)
        all = add(member, by, lists, found) && all;
    return may && all;
}

std::optional<std::string> book_model::expand(std::vector<std::string> const& to, std::string const& by) const
{
    std::set<std::string> lists, found;
    for (auto const& name : to)
        if (!add(name, by, lists, found))
            return std::nullopt;
    std::string text;
    for (auto const& name : found)
        if (name.find('/') == std::string::npos || !found.contains(user_of(name)))
            text += (text.empty() ? "" : " ") + name;
    return text;
}

// --- Mail ----------------------------------------------------------------------------------------------------------------

ledger::log const* mail_model::log() const
{
    for (auto const& [id, l] : messages_.logs())
        if (l.config.name == inbox_stream)
            return &l;
    return nullptr;
}

bool mail_model::is_for(row const& r, std::string const& node)
{
    std::istringstream names{std::string{r.recipients->view()}};
    for (std::string name; names >> name;)
        if (name == node || name == user_of(node))
            return true;
    return false;
}

void mail_model::inbox_made(consumer_state const& c)
{
    if (auto const end = log()->rows.size() + 1; c.position.next < end_ || c.position.next > end)
        throw violation{where(c.config.name, c.position.next) + "it begins there, but the log ended before " + std::to_string(end_)};
    inboxes_[c.config.name] = {c.id, c.position.next, {}};
}

void mail_model::inbox_removed(consumer_id id)
{
    for (auto at = inboxes_.begin(); at != inboxes_.end(); ++at)
        if (at->second.id == id) {
            former_[at->first].emplace_back(at->second.begin, log()->rows.size() + 1);
            inboxes_.erase(at);
            return;
        }
}

void mail_model::loaded(store_contents const& contents)
{
    std::set<std::string> there;
    for (auto const& c : contents.consumers)
        for (auto const& s : contents.streams)
            if (s.id == c.config.stream && s.config.name == inbox_stream) {
                there.insert(c.config.name);
                auto const known = inboxes_.find(c.config.name);
                if (known == inboxes_.end() || known->second.id != c.id)
                    throw violation{where(c.config.name, c.position.next) + "nobody made it"};
            }
    for (auto const& [name, box] : inboxes_)
        if (!there.contains(name))
            throw violation{where(name, box.begin) + "it is gone after a restart"};
}

void mail_model::trimmed(message_seq first, instant now)
{
    auto const& rows = log()->rows;
    while (aged_to_ < first && rows[aged_to_ - 1].time_ms + limits_.node_idle_ms <= now.wall_ms)
        ++aged_to_;
    for (auto const& [name, box] : inboxes_)
        if (acted_.contains(name))
            for (auto seq = std::max(box.begin, aged_to_); seq < first && seq <= rows.size(); ++seq)
                if (is_for(rows[seq - 1], name) && !acted_.at(name).contains(seq))
                    throw violation{where(name, seq) + "is taken out of the log before the node has had it"};
}

void mail_model::addressed(store_request::append const& a)
{
    std::string const sender{a.sender->view()};
    auto const by = user_of(sender);
    auto const& m = messages_.of(a.message->body());
    auto const whom = book.expand(m.to, by);
    if (!whom)
        throw violation{"post " + std::to_string(m.number) + " of " + sender + " is taken, though it names somebody unknown or a list "
                        "that is not open to it"};
    if (*whom != a.recipients->view())
        throw violation{"post " + std::to_string(m.number) + " of " + sender + " goes to '" + std::string{a.recipients->view()}
                        + "' instead of '" + *whom + "'"};
    // Room: what the slowest node of a recipient has not done, for certain.
    auto const& rows = log()->rows;
    for (auto const& [name, box] : inboxes_) {
        auto const user = user_of(name);
        if (limits_.mail_messages == 0 || (" " + *whom + " ").find(" " + user + " ") == std::string::npos)
            continue;
        std::size_t undone = 0;
        for (auto seq = std::max(box.begin, aged_to_); seq <= rows.size(); ++seq)
            undone += is_for(rows[seq - 1], name) && !box.acked.contains(seq);
        if (undone >= limits_.mail_messages)
            throw violation{"post " + std::to_string(m.number) + " of " + sender + " is taken, though " + name + " has "
                            + std::to_string(undone) + " already"};
    }
}

void mail_model::delivered(std::string const& node, notice::msg const& m) const
{
    auto const& rows = log()->rows;
    if (m.consumer != "inbox" || m.subject != "inbox." + user_of(node))
        throw violation{where(node, m.seq) + "is delivered by " + m.consumer + " as " + m.subject};
    if (m.seq == 0 || m.seq > rows.size())
        throw violation{where(node, m.seq) + "is delivered, but not committed"};
    auto const& r = rows[m.seq - 1];
    if (m.body != r.message->body() || m.headers != r.message->headers() || m.pub_id != r.message->id() || m.from != r.sender->view()
        || m.time_ms != r.time_ms)
        throw violation{where(node, m.seq) + "is delivered with other contents than were posted"};
    if (!is_for(r, node))
        throw violation{where(node, m.seq) + "is delivered, but was for '" + std::string{r.recipients->view()} + "'"};
    auto const box = inboxes_.find(node);
    if (box != inboxes_.end() ? m.seq < box->second.begin : !former_.contains(node))
        throw violation{where(node, m.seq) + "is delivered, but was posted before the node had an inbox"};
}

void mail_model::acked(std::string const& node, op::ack const& a)
{
    auto const box = inboxes_.find(node);
    if (box == inboxes_.end())
        return;
    box->second.acked.insert(a.seqs.begin(), a.seqs.end());
    if (a.upto)
        if (auto const at = acted_.find(node); at != acted_.end())
            box->second.acked.insert(at->second.begin(), at->second.upper_bound(a.upto));
}

void mail_model::acted(std::string const& node, message_seq seq)
{
    auto& done = acted_[node];
    if (!done.empty() && seq <= *done.rbegin())
        throw violation{where(node, seq) + "comes after " + std::to_string(*done.rbegin())};
    done.insert(seq);
}

void mail_model::check_complete(std::string const& node) const
{
    auto const box = inboxes_.find(node);
    auto const done = acted_.find(node);
    auto const& l = *log();
    if (box == inboxes_.end())
        throw violation{"inbox of " + node + " is not there at the end"};
    for (auto seq = std::max(box->second.begin, aged_to_); seq <= l.rows.size(); ++seq)
        if (is_for(l.rows[seq - 1], node) && (done == acted_.end() || !done->second.contains(seq)))
            throw violation{where(node, seq) + "was never had"};
    if (done != acted_.end())
        for (auto const seq : done->second) {
            auto const in = [&](auto const& range) { return seq >= range.first && seq < range.second; };
            auto const old = former_.find(node);
            if (seq < box->second.begin && (old == former_.end() || std::none_of(old->second.begin(), old->second.end(), in)))
                throw violation{where(node, seq) + "was had while there was no inbox"};
        }
}

}  // namespace kedge::sim
