#include "migration/diff.hpp"

#include <map>

#include "migration/identity.hpp"
#include "router/store/memory_store.hpp"
#include "tests/catch.hpp"
#include "tests/migration/memory_backend.hpp"

using namespace kedge;
using namespace kedge::migration;

namespace {

std::string const secret(32, 'k');
constexpr char jet_name[] = "CHAT";

// Both sides of a stream, filled as pump and importer do it, and a diff between them.
class two_sides {
public:
    explicit two_sides(std::uint64_t a_second = 1'000'000)
    {
        bounds.diff_messages_second = a_second;
        store.load(now.wall_ms);
        stream_config config;
        config.name = "CHAT";
        config.subjects = {"chat.>"};
        for (auto const& event : execute({store_request::create_stream{token{1}, config}}))
            if (auto const* const made = std::get_if<store_event::stream_created>(&event))
                stream = made->stream.id;
        words = identity{secret, "CHAT", stream};
        mirror_state mirror;
        mirror.stream = stream;
        execute({store_request::put_mirror{token{2}, mirror}});
        jet_config jet;
        jet.name = jet_name;
        jet.subjects = {"chat.>"};
        bus.create(jet);
        backend.open([this](backend_event::any event) { events.push_back(std::move(event)); });
        backend.run();
    }

    std::vector<store_event::any> execute(std::vector<store_request::any> batch)
    {
        std::vector<store_event::any> made;
        store.execute(std::move(batch), made);
        return made;
    }

    // A row of an SSH client. Not copied yet.
    row publish(std::string_view sender, std::string_view body, std::string_view headers = {})
    {
        store_request::append a;
        a.request = token{++requests};
        a.stream = stream;
        a.time_ms = now.wall_ms;
        a.sender = shared_bytes::copy_of(sender);
        auto const id = "id-" + std::to_string(requests);
        a.message = message::make({"chat.room", id, {}, headers, body});
        for (auto const& event : execute({std::move(a)}))
            if (auto const* const came = std::get_if<store_event::rows_arrived>(&event))
                return came->rows.front().stored;
        FAIL("not stored");
        return {};
    }
    jet_place copy(row const& r) { return bus.publish(words.copy("inc", r)).place; }
    jet_place native(std::string_view body)
    {
        bus_message m;
        m.subject = "chat.room";
        m.headers = {{"X-Kind", "news"}};
        m.body = body;
        return bus.publish(m).place;
    }
    bus_message& at(jet_place place) { return bus.find(jet_name)->messages.at(place); }

    void import(jet_place place, message_seq copy_of)
    {
        auto const& m = at(place);
        store_request::import_messages::item item;
        item.place = place;
        item.stamp = stamp_of(m);
        item.copy_of = copy_of;
        if (copy_of == 0) {
            auto made = words.native(m);
            REQUIRE(std::holds_alternative<message_ptr>(made));
            item.message = std::get<message_ptr>(made);
            item.sender = shared_bytes::copy_of(native_sender);
            item.time_ms = now.wall_ms;
        }
        look_past({item}, place);
    }
    void look_past(std::vector<store_request::import_messages::item> items, jet_place place)
    {
        store_request::import_messages request;
        request.request = token{++requests};
        request.stream = stream;
        request.items = std::move(items);
        request.checkpoint = checkpoint = place;
        execute({std::move(request)});
    }
    // Copied and read back.
    row both(std::string_view sender, std::string_view body, std::string_view headers = {})
    {
        auto const r = publish(sender, body, headers);
        import(copy(r), r.seq);
        return r;
    }
    void native_both(std::string_view body) { import(native(body), 0); }
    // SSH and native by turns.
    void fill(std::size_t count)
    {
        for (std::size_t i = 0; i < count; ++i) {
            if (i % 3 == 2)
                native_both("native " + std::to_string(i));
            else
                both(i % 2 == 0 ? "alice/laptop" : "bob/phone", "body " + std::to_string(i), R"({"X-Kind":"talk","A":"1"})");
        }
    }

    diff_run& begin(nlohmann::json const& resume = nullptr, std::uint64_t tail = 0, bool middle_taken = false)
    {
        diff = std::make_unique<diff_run>(replica_identity{stream, "CHAT", jet_name, "inc", secret},
                                          diff_run::range{checkpoint, tail, middle_taken}, bounds, numbers, resume);
        effects out;
        diff->run(now, out);
        diff->link_up(now, out);
        carry_out(std::move(out));
        return *diff;
    }
    // One round of what is under way. False: only time can bring more.
    bool step()
    {
        backend.run(16);
        effects out;
        auto const heard = std::exchange(events, {});
        for (auto const& event : heard)
            diff->on_backend(event, now, out);
        auto const came = std::exchange(stored, {});
        for (auto const& event : came)
            diff->on_store(event, now, out);
        bool const moved = !heard.empty() || !came.empty() || !out.backend.empty() || !out.store.empty();
        carry_out(std::move(out));
        return moved;
    }
    void pass(std::uint64_t ms)
    {
        now.steady_ms += ms;
        now.wall_ms += ms;
        bus.advance(ms);
        effects out;
        diff->tick(now, out);
        carry_out(std::move(out));
    }
    // Until it is over, in at most so many seconds of its time.
    void finish(std::uint64_t seconds = 60)
    {
        auto const end = now.steady_ms + seconds * 1000;
        while (!diff->finished() && now.steady_ms < end) {
            if (step())
                continue;
            auto const due = diff->due_ms();
            REQUIRE(due);  // nobody else wakes it
            pass(*due > now.steady_ms ? *due - now.steady_ms : 0);
        }
        REQUIRE(diff->finished());
        CHECK(diff->failed().empty());
    }
    std::vector<std::string> found() const
    {
        std::vector<std::string> list;
        for (auto const& f : diff->findings())
            list.push_back(std::string{to_string(f.kind)} + " " + std::to_string(f.seq) + " " + std::to_string(f.place) + (f.native ? " nats" : ""));
        return list;
    }

    instant now{1'000, 1'700'000'000'000};
    settings bounds;
    number_source numbers;
    memory_store store;
    std::vector<backend_event::any> events;
    memory_bus bus{7};
    memory_backend backend{bus};  // tells `events` to its end
    stream_id stream{};
    identity words{secret, "CHAT", stream};  // of the number that the store gives
    jet_place checkpoint = 0;
    std::unique_ptr<diff_run> diff;
    std::vector<store_event::any> stored;
    std::uint64_t requests = 100;
    std::size_t reads = 0;

private:
    void carry_out(effects out)
    {
        backend.submit(std::move(out.backend));
        reads += out.store.size();
        store.execute(std::move(out.store), stored);
    }
};

using findings = std::vector<std::string>;

}  // namespace

TEST_CASE("a diff of two equal sides finds nothing")
{
    two_sides sides;
    sides.fill(3000);
    sides.begin();
    sides.finish();
    CHECK(sides.found() == findings{});
    CHECK(sides.diff->clean());
    CHECK(sides.diff->now().compared == 3000);
    CHECK(sides.diff->now().done == sides.diff->now().total);
    auto const said = sides.diff->result();
    CHECK(said.at("stream") == "CHAT");
    CHECK(said.at("clean") == true);
    CHECK(said.at("running") == false);
    CHECK(said.at("total") == 3000);
    CHECK(said.at("findings").empty());
}

TEST_CASE("a diff goes on by itself whatever it finds, and however much of it")
{
    two_sides sides;
    sides.fill(2000);
    for (jet_place place = 1; place <= sides.checkpoint; ++place)
        sides.at(place).body += " changed";
    sides.begin();
    sides.finish();
    CHECK(sides.diff->counts().different == 2000);
    CHECK(sides.diff->now().compared == 2000);
}

TEST_CASE("a diff of nothing is over at once")
{
    two_sides sides;
    sides.begin();
    sides.finish();
    CHECK(sides.diff->clean());
    CHECK(sides.diff->now().total == 0);
}

TEST_CASE("a diff finds each planted defect, and nothing else")
{
    two_sides sides;
    sides.fill(50);
    auto const mine = sides.both("alice/laptop", "mine", R"({"X-Kind":"talk"})");
    auto const place = sides.checkpoint;
    findings expected;
    auto const expect = [&](std::string kind, message_seq seq, jet_place where, char const* origin = "") {
        expected.push_back(std::move(kind) + " " + std::to_string(seq) + " " + std::to_string(where) + origin);
    };

    SECTION("missing")
    {
        sides.bus.delete_message(jet_name, place);
        expect("missing", mine.seq, place);
    }
    SECTION("a native one missing")
    {
        sides.native_both("gone");
        sides.bus.delete_message(jet_name, sides.checkpoint);
        expect("missing", mine.seq + 1, sides.checkpoint, " nats");
    }
    SECTION("extra")
    {
        sides.look_past({}, sides.native("never imported"));
        expect("extra", 0, sides.checkpoint, " nats");
    }
    SECTION("changed body")
    {
        sides.at(place).body = "changed";
        expect("body", mine.seq, place);
    }
    SECTION("changed header")
    {
        for (auto& [name, value] : sides.at(place).headers)
            if (name == "X-Kind")
                value = "changed";
        expect("header", mine.seq, place);
    }
    SECTION("added header")
    {
        sides.at(place).headers.emplace_back("X-More", "added");
        expect("header", mine.seq, place);
    }
    SECTION("changed subject")
    {
        sides.at(place).subject = "chat.other";
        expect("header", mine.seq, place);
    }
    SECTION("changed sender")
    {
        for (auto& [name, value] : sides.at(place).headers)
            if (name == "Kedge-From")
                value = "eve/laptop";
        expect("header", mine.seq, place);
    }
    SECTION("changed header of a native one")
    {
        sides.native_both("native");
        sides.at(sides.checkpoint).headers.front().second = "changed";
        expect("header", mine.seq + 1, sides.checkpoint, " nats");
    }
    SECTION("copied out of order")
    {
        auto const first = sides.publish("alice/laptop", "first"), second = sides.publish("alice/laptop", "second");
        sides.import(sides.copy(second), second.seq);
        sides.import(sides.copy(first), first.seq);
        expect("order", first.seq, sides.checkpoint);
    }
    SECTION("places exchanged")
    {
        auto const first = sides.publish("alice/laptop", "first"), second = sides.publish("bob/phone", "second");
        auto const at = sides.copy(first), behind = sides.copy(second);
        sides.import(at, second.seq);
        sides.import(behind, first.seq);
        expect("order", first.seq, behind);
        expect("order", second.seq, at);
    }
    SECTION("three places exchanged in a ring")
    {
        auto const a = sides.publish("alice/laptop", "a"), b = sides.publish("alice/laptop", "b"), c = sides.publish("bob/phone", "c");
        auto const at_a = sides.copy(a), at_b = sides.copy(b), at_c = sides.copy(c);
        sides.import(at_a, b.seq);
        sides.import(at_b, c.seq);
        sides.import(at_c, a.seq);
        expect("order", a.seq, at_c);
        expect("order", c.seq, at_b);
        expect("order", b.seq, at_a);
    }
    SECTION("two of different senders, copied in another order than stored: no defect")
    {
        auto const first = sides.publish("alice/laptop", "first"), second = sides.publish("bob/phone", "second");
        sides.import(sides.copy(second), second.seq);
        sides.import(sides.copy(first), first.seq);
    }
    SECTION("what cannot be imported is parked, no defect")
    {
        bus_message m;
        m.subject = "chat.room";
        m.body = "\xff";
        m.headers = {{"X", "\xff\xfe"}};
        auto const parked = sides.bus.publish(m).place;
        if (std::holds_alternative<unrepresentable>(sides.words.native(sides.at(parked))))
            sides.look_past({}, parked);
        else
            sides.import(parked, 0);
    }
    sides.fill(40);
    sides.begin();
    sides.finish();
    auto found = sides.found();
    std::sort(found.begin(), found.end());
    std::sort(expected.begin(), expected.end());
    CHECK(found == expected);
    CHECK(sides.diff->clean() == expected.empty());
    CHECK(sides.diff->counts().all() == expected.size());
    CHECK(sides.diff->result().at("findings").size() == expected.size());
}

TEST_CASE("what waits, and what was not read yet, is no defect")
{
    two_sides sides;
    sides.fill(30);
    sides.copy(sides.publish("alice/laptop", "not read back"));
    sides.publish("alice/laptop", "waits");
    sides.native("not read yet");
    sides.begin();
    sides.finish();
    CHECK(sides.diff->clean());
    CHECK(sides.diff->now().compared == 30);
}

TEST_CASE("a diff of the tail looks at no more")
{
    two_sides sides;
    sides.fill(100);
    sides.at(10).body = "changed";
    sides.at(95).body = "changed";
    sides.begin(nullptr, 20);
    sides.finish();
    CHECK(sides.diff->now().total == 20);
    CHECK(sides.diff->now().compared == 20);
    CHECK(sides.found().size() == 1);
    CHECK(sides.diff->counts().different == 1);
}

TEST_CASE("a diff goes no faster than it may")
{
    two_sides sides{1000};
    sides.fill(3000);
    sides.begin();
    auto const began = sides.now.steady_ms;
    sides.finish();
    CHECK(sides.diff->clean());
    CHECK(sides.now.steady_ms - began >= 2800);
    CHECK(sides.now.steady_ms - began <= 3500);
}

TEST_CASE("a diff goes on where another process was killed")
{
    two_sides sides{1000};
    sides.fill(1000);
    sides.at(100).body = "changed";
    sides.at(900).body = "changed";
    auto const late = sides.publish("alice/laptop", "late"), early = sides.publish("alice/laptop", "early");
    sides.import(sides.copy(early), early.seq);
    std::vector<message_seq> between;
    for (int i = 0; i < 20; ++i)
        sides.both("bob/phone", "between");
    sides.import(sides.copy(late), late.seq);

    for (std::uint64_t const killed_after_ms : {1, 50, 500, 905, 1005}) {
        INFO("killed after " << killed_after_ms << " ms");
        sides.begin();
        auto const began = sides.now.steady_ms;
        while (!sides.diff->finished() && sides.now.steady_ms < began + killed_after_ms)
            if (!sides.step())
                sides.pass(1);
        auto const state = nlohmann::json::parse(sides.diff->resume_state().dump());
        auto const before = sides.diff->now().compared;
        sides.events.clear();
        sides.stored.clear();
        sides.begin(state);
        sides.finish();
        CHECK(sides.diff->counts().different == 2);
        CHECK(sides.diff->counts().out_of_order == 1);
        CHECK(sides.diff->counts().all() == 3);
        CHECK(sides.diff->now().compared == 1022);
        CHECK(before <= 1022);
        CHECK(sides.diff->findings().size() == 3);
    }
}

TEST_CASE("a state of a diff that nobody wrote is passed over")
{
    two_sides sides;
    sides.fill(10);
    for (auto const& state : {nlohmann::json::object(), nlohmann::json{{"begin", 1}, {"end", 99}, {"at", 3}, {"compared", 2}},
                              nlohmann::json{{"begin", 1}, {"end", 10}, {"at", "x"}}}) {
        sides.begin(state);
        sides.finish();
        CHECK(sides.diff->clean());
        CHECK(sides.diff->now().compared == 10);
    }
}

TEST_CASE("what retention takes during a diff is no defect")
{
    two_sides sides{1000};
    sides.fill(600);
    sides.begin();
    auto const walk_until = [&](std::uint64_t done) {
        while (sides.diff->now().done < done)
            if (!sides.step())
                sides.pass(1);
    };
    walk_until(100);
    SECTION("in JetStream")
    {
        jet_config less = sides.bus.find(jet_name)->config;
        less.max_msgs = 100;
        REQUIRE(!sides.bus.update(less));
    }
    SECTION("in the log")
    {
        stream_config config;
        config.name = "CHAT";
        config.subjects = {"chat.>"};
        config.max_msgs = 100;
        sides.execute({store_request::edit_stream{token{3}, sides.stream, config}});
        std::vector<store_event::any> ignored;
        while (sides.store.maintain(sides.now.wall_ms, ignored)) {
        }
    }
    sides.finish();
    CHECK(sides.found() == findings{});
    CHECK(sides.diff->clean());
}

TEST_CASE("a row that is missing is still found when retention has moved on")
{
    two_sides sides;
    sides.fill(600);
    sides.bus.delete_message(jet_name, 400);
    jet_config less = sides.bus.find(jet_name)->config;
    less.max_msgs = 300;
    REQUIRE(!sides.bus.update(less));
    sides.begin();
    sides.finish();
    CHECK(sides.found() == findings{"missing 400 400" + std::string{400 % 3 == 0 ? " nats" : ""}});
}

TEST_CASE("a diff of a stream that keeps the last of each subject compares what both have")
{
    two_sides sides;
    sides.fill(100);
    sides.bus.delete_message(jet_name, 40);
    sides.look_past({}, sides.native("the log has taken it"));
    sides.at(50).body = "changed";
    sides.begin(nullptr, 0, true);
    sides.finish();
    CHECK(sides.diff->counts().all() == 1);
    CHECK(sides.diff->counts().different == 1);
}

TEST_CASE("the end of the stream was deleted: the diff does not wait for it")
{
    two_sides sides;
    sides.fill(30);
    for (jet_place place = 21; place <= 30; ++place)
        sides.bus.delete_message(jet_name, place);
    sides.begin();
    sides.finish();
    CHECK(sides.diff->counts().missing == 10);
    CHECK(sides.diff->counts().all() == 10);
}

TEST_CASE("a diff outlives its link")
{
    two_sides sides{1000};
    sides.fill(500);
    sides.at(300).body = "changed";
    sides.begin();
    for (int cut = 0; cut < 5; ++cut) {
        auto const until = sides.diff->now().done + 50;
        while (sides.diff->now().done < until)
            if (!sides.step())
                sides.pass(1);
        sides.backend.cut("for the test");
        sides.diff->link_down();
        sides.events.clear();
        sides.backend.run();
        effects out;
        sides.diff->link_up(sides.now, out);
        sides.backend.submit(std::move(out.backend));
        sides.store.execute(std::move(out.store), sides.stored);
    }
    sides.finish();
    CHECK(sides.diff->counts().all() == 1);
    CHECK(sides.diff->now().compared == 500);
}

TEST_CASE("a diff begins anew when JetStream has gone back")
{
    two_sides sides{1000};
    sides.fill(300);
    sides.at(10).body = "changed";
    sides.begin();
    while (sides.diff->now().done < 150)
        if (!sides.step())
            sides.pass(1);
    effects out;
    sides.diff->rewound(100, sides.now, out);
    sides.backend.submit(std::move(out.backend));
    sides.store.execute(std::move(out.store), sides.stored);
    sides.finish();
    CHECK(sides.diff->now().total == 100);
    CHECK(sides.diff->now().compared == 100);
    CHECK(sides.diff->counts().all() == 1);
}

TEST_CASE("a diff says why it cannot go on")
{
    two_sides sides;
    sides.fill(10);
    SECTION("the stream is gone")
    {
        sides.bus.remove(jet_name);
        sides.begin();
    }
    SECTION("it has no mirror")
    {
        sides.execute({store_request::remove_mirror{token{4}, sides.stream}});
        sides.begin();
    }
    for (int i = 0; i < 100 && !sides.diff->finished(); ++i)
        if (!sides.step())
            sides.pass(100);
    CHECK(sides.diff->finished());
    CHECK(!sides.diff->clean());
    CHECK(!sides.diff->failed().empty());
    CHECK(sides.diff->result().contains("error"));
}

TEST_CASE("a store in trouble is asked again")
{
    two_sides sides;
    sides.fill(10);
    sides.store.fail(memory_store::fault::broken);
    sides.begin();
    sides.finish();
    CHECK(sides.diff->clean());
}

TEST_CASE("findings are bounded, counts are exact")
{
    two_sides sides;
    sides.fill(2000);
    for (jet_place place = 1; place <= 1500; ++place)
        sides.at(place).body = "changed";
    sides.begin();
    sides.finish();
    CHECK(sides.diff->counts().different == 1500);
    CHECK(sides.diff->findings().size() == diff_run::findings_max);
}
