// What must be true when all has healed.

#include <algorithm>
#include <charconv>

#include "migration/identity.hpp"
#include "tests/migration/replica_sim.hpp"

namespace kedge::migration::test {

namespace {

std::string sorted_headers(std::string_view json)
{
    // Whole pairs, in any order: enough to tell two messages apart.
    std::string text{json};
    std::ranges::sort(text);
    return text;
}

std::string key_of(message const& m)
{
    return std::string{m.subject()} + " " + std::string{m.body()} + " " + sorted_headers(m.headers());
}

std::pair<std::string, std::uint64_t> publish_of(std::string_view body)
{
    auto const hash = body.rfind('#');
    std::uint64_t number = 0;
    if (hash != std::string_view::npos)
        std::from_chars(body.data() + hash + 1, body.data() + body.size(), number);
    return {std::string{body.substr(0, hash)}, number};
}

}  // namespace

void replica_sim::check()
{
    auto const rows = world_.rows();
    auto const messages = world_.messages();
    check_both_sides(rows, messages);
    check_once(rows);
    check_order(rows, messages);
}

void replica_sim::check_both_sides(std::vector<row> const& rows, std::vector<bus_message> const& messages)
{
    identity const wire{world_.contents.secret, replica_world::name, world_.stream};
    std::map<std::string, int> difference;
    for (auto const& r : rows)
        ++difference[key_of(*r.message)];
    for (auto const& m : messages) {
        auto const held = wire.native(m);
        if (auto const* const message = std::get_if<message_ptr>(&held))
            --difference[key_of(**message)];
        else if (wire.look(m).what != sighting::kind::native)
            fail("a message of ours cannot be held: " + m.body);
    }
    for (auto const& [key, count] : difference)
        // What limits of the JetStream stream took is in the log alone.
        if (limited_ ? count < 0 : count != 0)
            fail(key + " is there " + std::to_string(count) + " times more in the log than in JetStream");
}

void replica_sim::check_once(std::vector<row> const& rows)
{
    std::map<std::string, std::uint64_t> ours, theirs;
    for (auto const& r : rows)
        ++(r.sender->view() == native_sender ? theirs : ours)[std::string{r.message->body()}];
    for (auto& p : publishers_) {
        for (std::uint64_t n = 1; n < p.next; ++n) {
            auto const times = ours[body_of(p, n)];
            auto const sure = p.how != publisher::kind::plain || p.oks.contains(n);
            if (times > 1 || (sure && times != 1))
                fail(body_of(p, n) + " is in the log " + std::to_string(times) + " times" + (p.oks.contains(n) ? ", answered ok" : ""));
            if (p.how != publisher::kind::plain && !p.oks.contains(n))
                fail(body_of(p, n) + " was never answered ok");
            ours.erase(body_of(p, n));
        }
    }
    for (auto const& [body, times] : ours)
        if (times != 0)
            fail(body + " is in the log as ours, and nobody published it");
    for (auto const& [body, times] : natives_stored_) {
        auto const in_log = theirs[body];
        if (body.find('#') == std::string::npos)
            continue;
        if (in_log > times)
            fail(body + " of a native is in the log " + std::to_string(in_log) + " times instead of " + std::to_string(times));
        theirs.erase(body);
    }
    for (auto const& [body, times] : theirs)
        if (times != 0)
            fail(body + " is in the log as a native's, and none published it");
}

void replica_sim::check_order(std::vector<row> const& rows, std::vector<bus_message> const& messages)
{
    identity const wire{world_.contents.secret, replica_world::name, world_.stream};
    std::uint64_t late = 0;
    std::string first_late;
    std::map<std::string, std::uint64_t> highest;
    std::set<std::string> seen;
    auto const look = [&](std::string const& side, std::string_view body) {
        auto const [who, number] = publish_of(body);
        if (number < highest[side + who]) {
            ++late;
            if (first_late.empty())
                first_late = side + " " + std::string{body} + " behind " + std::to_string(highest[side + who]);
        }
        highest[side + who] = std::max(highest[side + who], number);
    };
    for (auto const& r : rows)
        if (r.sender->view() != native_sender)
            look("log", r.message->body());
        else if (counts.rewinds == 0 && counts.replays == 0)
            look("log of natives", r.message->body());
    for (auto const& m : messages)
        if (auto const what = wire.look(m); what.what != sighting::kind::native && what.from != native_sender && seen.insert(m.body).second)
            look("JetStream", m.body);
    // A message that is late in JetStream is late in the log too, where JetStream orders.
    // A crash may take the count with it; of what was given up nobody knows whether it was refused; and what is restored stands behind what
    // was accepted before it was noticed that JetStream had gone back.
    if (late > 2 * counts.reordered && counts.crashes == 0 && counts.unavailable == 0 && counts.detached == 0 && !limited_)
        fail(std::to_string(late) + " late messages, " + std::to_string(counts.reordered) + " counted: " + first_late);
    // What limits took before it was read, and its answer lost or late, is sent again behind what came after it.
    if (late != 0 && !disorder_ && !limited_)
        fail("late without a refusal: " + first_late);
}

}  // namespace kedge::migration::test
