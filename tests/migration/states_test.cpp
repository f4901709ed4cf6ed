#include "migration/states.hpp"

#include <map>
#include <set>
#include <string>

#include "migration/commands.hpp"
#include "migration/journal.hpp"
#include "migration/owner.hpp"
#include "tests/catch.hpp"

using namespace kedge;
using namespace kedge::migration;

TEST_CASE("every pair of phase and event leads where the diagram says, and nowhere else")
{
    using enum stream_phase;
    using enum phase_event;
    std::map<std::pair<stream_phase, phase_event>, stream_phase> const diagram{
        {{legacy, started}, mirroring},
        {{mirroring, cancelled}, legacy},
        {{mirroring, switch_intended}, switching},
        {{switching, switch_committed}, nats},
        {{switching, switch_rolled_back}, mirroring},
        {{nats, reverse_intended}, reversing},
        {{nats, abandoned}, mirroring},
        {{nats, completed}, complete},
        {{reversing, reverse_committed}, mirroring},
        {{reversing, reverse_rolled_back}, nats},
        {{reversing, abandoned}, mirroring},
    };
    unsigned pairs = 0;
    for (unsigned p = 0; p < stream_phase_count; ++p)
        for (unsigned e = 0; e < phase_event_count; ++e, ++pairs) {
            auto const phase = static_cast<stream_phase>(p);
            auto const event = static_cast<phase_event>(e);
            auto const drawn = diagram.find({phase, event});
            INFO(to_string(phase) << " + " << to_string(event));
            auto const to = after(phase, event);
            CHECK(to.has_value() == (drawn != diagram.end()));
            if (to && drawn != diagram.end())
                CHECK(*to == drawn->second);
        }
    CHECK(pairs == stream_phase_count * phase_event_count);
}

TEST_CASE("the authority changes with a commit and with nothing else")
{
    for (unsigned p = 0; p < stream_phase_count; ++p)
        for (unsigned e = 0; e < phase_event_count; ++e) {
            auto const phase = static_cast<stream_phase>(p);
            auto const event = static_cast<phase_event>(e);
            auto const to = after(phase, event);
            if (!to)
                continue;
            bool const commits = event == phase_event::switch_committed || event == phase_event::reverse_committed || event == phase_event::abandoned;
            INFO(to_string(phase) << " + " << to_string(event));
            CHECK((authority_in(phase) != authority_in(*to)) == commits);
        }
}

TEST_CASE("an intent that a start finds rolls back, and what was decided stands")
{
    CHECK(recovered(stream_phase::switching) == stream_phase::mirroring);
    CHECK(recovered(stream_phase::reversing) == stream_phase::nats);
    for (auto const stands : {stream_phase::legacy, stream_phase::mirroring, stream_phase::nats, stream_phase::complete})
        CHECK(recovered(stands) == stands);
    for (unsigned p = 0; p < stream_phase_count; ++p)
        CHECK(authority_in(recovered(static_cast<stream_phase>(p))) == authority_in(static_cast<stream_phase>(p)));
}

TEST_CASE("names of phases are read back")
{
    std::set<std::string> names;
    for (unsigned p = 0; p < stream_phase_count; ++p) {
        auto const phase = static_cast<stream_phase>(p);
        CHECK((parse_phase(to_string(phase)) == phase));
        names.insert(std::string{to_string(phase)});
    }
    CHECK(names.size() == stream_phase_count);
    CHECK(!parse_phase("ELSEWHERE"));
}

TEST_CASE("a journal is read back as it was written")
{
    journal j;
    j.phase = stream_phase::nats;
    j.authority_epoch = 7;
    j.since_ms = 1'700'000'000'123;
    j.paused = true;
    j.broken = journal::breakdown{"backlog", "too much", "do this"};
    j.from = "unacked";
    j.jet = "P-CHAT";
    j.created_ns = 1'700'000'000'123'456'789;
    j.marked = "abc";
    j.diff = {{"clean", true}};
    j.diff_tail = {{"clean", false}, {"tail", 100}};
    j.diff_resume = {{"at", 5}};
    j.behind = 170'000;
    j.add({1, "MIRRORING", "started", "", "olga"});
    auto const read = read_journal(write_journal(j));
    REQUIRE(read.has_value());
    CHECK((*read == j));
}

TEST_CASE("a journal keeps the newest of its history")
{
    journal j;
    for (std::uint64_t i = 1; i <= journal::history_max + 1; ++i)
        j.add({i, "NATS", "x", "", ""});
    CHECK(j.history.size() == journal::history_max);
    CHECK(j.history.front().time_ms == 2);
}

TEST_CASE("what is no journal is refused")
{
    for (auto const* const text : {"", "{}", "[]", "{\"v\":2,\"state\":\"NATS\"}", "{\"v\":1,\"state\":\"ELSEWHERE\"}", "{\"v\":1,\"state\":3}",
                                   "{\"v\":1,\"state\":\"NATS\",\"history\":[[1]]}", "{\"v\":1,"})
        CHECK(read_journal(text).has_error());
}

TEST_CASE("whose a stream is stands in its description")
{
    owner_mark const self{home_of(std::string(32, 's')), "i2", "CHAT", 7};
    auto const by = [&](char const* home, char const* incarnation, char const* stream) {
        return describe_owner({home ? home : self.home, incarnation, stream, 0});
    };
    struct row {
        std::string description;
        std::string marked;
        ownership expected;
    };
    for (auto const& r : {row{by(nullptr, "i2", "CHAT"), "", ownership::ours}, row{by(nullptr, "i2", "CHAT"), "i2", ownership::ours},
                          row{"", "", ownership::unmarked}, row{"made by hand", "i2", ownership::unmarked}, row{"kedge", "", ownership::unmarked},
                          row{"kedge a b", "", ownership::unmarked}, row{by(nullptr, "i1", "CHAT"), "i1", ownership::renewed},
                          row{by(nullptr, "i1", "CHAT"), "", ownership::renewed}, row{by(nullptr, "i3", "CHAT"), "i2", ownership::taken},
                          row{by("0000000000000000", "i2", "CHAT"), "i2", ownership::foreign}, row{by(nullptr, "i2", "OTHER"), "", ownership::foreign},
                          row{by(nullptr, "i2", "CHAT/7"), "i2", ownership::ours}, row{by(nullptr, "i1", "CHAT/7"), "i1", ownership::renewed},
                          row{by(nullptr, "i2", "CHAT/8"), "i2", ownership::former}, row{by(nullptr, "i3", "CHAT/8"), "i2", ownership::former},
                          row{by(nullptr, "i2", "CHAT/x"), "i2", ownership::unmarked}, row{by("0000000000000000", "i2", "CHAT/8"), "", ownership::foreign}}) {
        INFO(r.description << " marked " << r.marked);
        CHECK((judge_owner(r.description, self, r.marked) == r.expected));
    }
    CHECK(self.home.size() == 16);
    CHECK(home_of(std::string(32, 's')) != home_of(std::string(32, 't')));
    CHECK((read_owner(describe_owner(self)) == self));
}

TEST_CASE("commands are understood or refused with a sentence")
{
    auto const of = [](char const* name, nlohmann::json args) { return parse_command({name, std::move(args)}); };
    auto const start = of("migrate start", {{"stream", "CHAT"}, {"from", "unacked"}});
    REQUIRE(start.has_value());
    CHECK(start->what == command::verb::start);
    CHECK(start->from == "unacked");
    auto const change = of("migrate switch", {{"stream", "CHAT"}, {"dry_run", true}, {"hold_ms", 200}});
    REQUIRE(change.has_value());
    CHECK(change->what == command::verb::switch_over);
    CHECK(change->dry_run);
    CHECK((change->hold_ms == 200u));
    CHECK(of("migrate status", nlohmann::json::object()).has_value());
    CHECK(of("migrate start", nlohmann::json::object()).has_error());
    CHECK(of("migrate start", {{"stream", 3}}).has_error());
    CHECK(of("migrate start", {{"stream", "CHAT"}, {"from", "never"}}).has_error());
    CHECK(of("migrate switch", {{"stream", "CHAT"}, {"hold_ms", 0}}).has_error());
    CHECK(of("migrate switch", {{"stream", "CHAT"}, {"hold_ms", 60'001}}).has_error());
    CHECK(of("migrate fly", {{"stream", "CHAT"}}).has_error());
    CHECK(of("stream add", {{"stream", "CHAT"}}).has_error());
}

TEST_CASE("figures read like figures")
{
    CHECK(count_of(0, "message") == "0 messages");
    CHECK(count_of(1, "message") == "1 message");
    CHECK(count_of(1'234'567, "message") == "1,234,567 messages");
    CHECK(count_of(2, "publish", "publishes") == "2 publishes");
    CHECK(bytes_text(1023) == "1023 B");
    CHECK(bytes_text(1536) == "1.5 KiB");
    CHECK(time_text(999) == "999 ms");
    CHECK(time_text(1500) == "1.5 s");
}
