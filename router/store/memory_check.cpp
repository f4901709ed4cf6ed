#include "router/store/memory_store.hpp"
#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

/// As the database's check: what is counted of rows is counted again. What it finds is a bug, not a damaged disk.
store_event::checked memory_store::check(token request) const
{
    store_event::checked report{request, 0, {}};
    auto const find = [&](std::string sentence) {
        if (report.findings.size() < store_event::checked::findings_max)
            report.findings.push_back(std::move(sentence));
    };
    std::map<std::string, usage_state, std::less<>> usage;
    std::map<std::string, mailbox_state, std::less<>> mail;
    for (auto const& [id, of] : disk_.streams) {
        auto const& state = of.state;
        std::uint64_t bytes = 0;
        message_seq before = 0;
        std::uint64_t time_ms = 0;
        for (auto const& stored : of.rows) {
            auto const size = row_bytes(*stored.message);
            bytes += size;
            if (stored.seq <= before || stored.seq < state.first || stored.seq > state.last || stored.time_ms < time_ms)
                find("row " + std::to_string(stored.seq) + " of stream " + state.config.name + " is out of place");
            before = stored.seq;
            time_ms = stored.time_ms;
            if (auto const owner = usage_owner(state.config, stored.sender->view()); !owner.empty()) {
                auto& used = usage[std::string{owner}];
                ++used.messages;
                used.bytes += size;
            }
            if (stored.recipients != nullptr)
                for (auto const user : users_of(stored.recipients->view())) {
                    auto& got = mail[std::string{user}];
                    ++got.messages;
                    got.bytes += size;
                }
        }
        report.rows += of.rows.size();
        if (of.rows.size() != state.messages || bytes != state.bytes)
            find("stream " + state.config.name + " has another number of messages or bytes than it says");
    }
    for (auto const& [id, copy] : disk_.mirrors) {
        auto const of = disk_.streams.find(id);
        if (of == disk_.streams.end()) {
            find("a mirror is of a stream that is not known");
            continue;
        }
        auto const& name = of->second.state.config.name;
        std::uint64_t waiting_rows = 0;
        std::uint64_t waiting_bytes = 0;
        for (auto const& stored : of->second.rows)
            if (stored.seq >= copy.state.start && !copy.rows.contains(stored.seq)) {
                ++waiting_rows;
                waiting_bytes += row_bytes(*stored.message);
                if (stored.seq <= copy.state.floor)
                    find("the mirror of stream " + name + " passes over messages that wait");
            }
        if (waiting_rows != copy.state.waiting_rows || waiting_bytes != copy.state.waiting_bytes)
            find("the mirror of stream " + name + " counts another number of messages that wait than there are");
        for (auto const& [seq, at] : copy.rows)
            if (find_row(of->second, seq) == nullptr || at.place > copy.state.checkpoint)
                find("row " + std::to_string(seq) + " of stream " + name + " has a place in JetStream that cannot be");
        if (copy.rows.size() != copy.places.size())
            find("the mirror of stream " + name + " has two messages at one place");
    }
    for (auto const& [user, said] : disk_.usage) {
        auto const at = usage.find(user);
        auto const found = at == usage.end() ? usage_state{} : at->second;
        if (found.messages != said.messages || found.bytes != said.bytes)
            find("what is stored of " + user + " is not what is counted");
        if (at != usage.end())
            usage.erase(at);
    }
    for (auto const& [user, found] : usage)
        find("what is stored of " + user + " is not counted");
    for (auto const& [user, found] : mail) {
        auto const said = disk_.mail.find(user);
        if (said == disk_.mail.end() || said->second.messages < found.messages || said->second.bytes < found.bytes)
            find("the mail of " + user + " is counted as less than is there");
    }
    for (auto const& [id, of] : disk_.consumers) {
        auto const& name = of.state.config.name;
        if (!disk_.streams.contains(of.state.config.stream))
            find("consumer " + name + " reads a stream that is not known");
        message_seq before = 0;
        for (auto const& pending : of.state.position.pending) {
            if (pending.seq <= before || pending.seq >= of.state.position.next)
                find("consumer " + name + " waits for row " + std::to_string(pending.seq) + ", which cannot be");
            before = pending.seq;
        }
    }
    return report;
}

}  // namespace kedge
