/// Messages in files and again on the bus: export, import, replay.

#include "tests/command/harness.hpp"

using namespace kedge;

namespace {

admin_result bounds(std::uint64_t first, std::uint64_t last)
{
    return {0, {{"stream", "S"}, {"first_seq", first}, {"last_seq", last}}, {}};
}

nlohmann::json stored(std::uint64_t seq, std::uint64_t time_ms = 1000)
{
    return {{"stream", "S"}, {"seq", seq}, {"time_ms", time_ms}, {"subject", "a.b"}, {"from", "u/n"}, {"data", std::to_string(seq)}};
}

admin_result page_of(std::vector<nlohmann::json> messages, std::uint64_t next, bool end)
{
    return {0, {{"messages", messages}, {"next", next}, {"end", end}}, {}};
}

notice::any streams(char const* text) { return notice::reply{"who", "$sys", text}; }
notice::any stored_as(std::string id, bool dup = false, std::string stream = "S") { return notice::ok{std::move(id), std::move(stream), 1, dup, {}}; }

constexpr char known[] = R"({"streams":[{"stream":"S","subjects":["a.>"]},{"stream":"T","subjects":["t"]}]})";

/// Its clock is a number.
struct paced : runner {
    explicit paced(std::string const& line, std::uint64_t& clock) : runner{line, environment(clock)} {}
    static command_environment environment(std::uint64_t& clock)
    {
        command_environment e;
        e.now_us = [&clock] { return clock; };
        return e;
    }
};

}  // namespace

TEST_CASE("export asks for page after page and prints each message as it came")
{
    runner c{"stream export S --from 2 --to 2500"};
    CHECK(c.it->runs() == course::server);
    auto fx = c.begin();
    REQUIRE(fx.calls.size() == 1);
    CHECK(fx.calls[0].name == "stream show");
    fx = c.admin(bounds(1, 2100));  // nothing beyond what is there now
    REQUIRE(fx.calls.size() == 1);
    CHECK(fx.calls[0].name == "stream peek");
    CHECK(fx.calls[0].args == nlohmann::json{{"stream", "S"}, {"from", 2}, {"count", 1000}});
    fx = c.admin(page_of({stored(2), stored(3)}, 1500, false));
    CHECK(fx.out == stored(2).dump() + "\n" + stored(3).dump() + "\n");
    CHECK_FALSE(fx.exit_status);
    CHECK(fx.calls.at(0).args == nlohmann::json{{"stream", "S"}, {"from", 1500}, {"count", 601}});
    fx = c.admin(page_of({stored(2100), stored(2101)}, 2102, false));
    CHECK(fx.out == stored(2100).dump() + "\n");
    CHECK(fx.exit_status == 0);
}

TEST_CASE("export ends at the end, and at an empty stream at once")
{
    struct row {
        char const* name;
        admin_result first;
        std::optional<admin_result> second;
        int status;
    };
    row const rows[] = {
        {"empty", bounds(1, 0), std::nullopt, 0},
        {"all purged", bounds(9, 8), std::nullopt, 0},
        {"at the end", bounds(1, 5), page_of({stored(1)}, 2, true), 0},
        {"no such stream", {1, nullptr, "there is no stream S"}, std::nullopt, 1},
        {"denied later", bounds(1, 5), admin_result{1, nullptr, "denied"}, 1},
        {"nonsense", {0, 5, {}}, std::nullopt, 1},
        {"nonsense later", bounds(1, 5), admin_result{0, "x", {}}, 1},
        {"a server that does not get on", bounds(1, 5), page_of({}, 1, false), 1},
    };
    for (auto const& r : rows) {
        INFO(r.name);
        runner c{"stream export S"};
        c.begin();
        auto fx = c.admin(r.first);
        if (r.second) {
            CHECK_FALSE(fx.exit_status);
            fx = c.admin(*r.second);
        }
        CHECK(fx.exit_status == r.status);
        CHECK(fx.error.empty() == (r.status == 0));
    }
}

TEST_CASE("import publishes under ids that are the same each time")
{
    std::string const file = R"({"stream":"S","seq":7,"time_ms":1000,"subject":"a.b","from":"x","data":"hello","headers":{"A":"b"},"reply_to":"r.s"})"
                             "\n\r\n"
                             R"({"subject":"a.c","data64":"/wA="})"
                             "\n"
                             R"({"seq":8,"subject":"a.d"})";
    std::vector<std::string> ids;
    for (int run = 0; run < 2; ++run) {
        runner c{"stream import S"};
        CHECK(c.it->needs_link());
        CHECK(c.it->hello()->node == "import");
        CHECK(of<op::who>(c.begin()).size() == 1);
        CHECK_FALSE(c.it->wants_input());  // not before it knows the stream
        c.hear(streams(known));
        CHECK(c.it->wants_input());
        auto first = of<op::publish>(c.input(file));
        auto const last = of<op::publish>(c.input_end());
        first.insert(first.end(), last.begin(), last.end());
        REQUIRE(first.size() == 3);
        CHECK(first[0].message->subject() == "a.b");
        CHECK(first[0].message->body() == "hello");
        CHECK(first[0].message->headers() == R"({"A":"b"})");
        CHECK(first[0].message->reply_to() == "r.s");
        CHECK(first[1].message->body() == std::string_view{"\xff\0", 2});
        CHECK(first[2].message->body().empty());
        std::vector<std::string> made;
        for (auto const& p : first)
            made.emplace_back(p.message->id());
        if (run == 0)
            ids = made;
        CHECK(made == ids);
        for (auto const& id : made)
            CHECK(id.size() <= 64);
        c.hear(stored_as(made[0], run == 1));
        c.hear(stored_as(made[1], run == 1));
        auto const end = c.hear(stored_as(made[2], run == 1));
        CHECK(end.exit_status == 0);
        CHECK(end.out == (run == 0 ? "3 stored\n" : "0 stored, 3 were there already\n"));
    }
}

TEST_CASE("import says which line is wrong, and publishes nothing of it")
{
    struct row {
        char const* line;
        char const* why;
    };
    static row const rows[] = {
        {"not json", "line 2: not JSON"},
        {"[]", "line 2: not a JSON object"},
        {R"({"data":"x"})", "line 2: there is no 'subject'"},
        {R"({"subject":"a..b"})", "is not a subject"},
        {R"({"subject":5})", "'subject' is not a text"},
        {R"({"subject":"a.b","seq":-1})", "'seq' is not a number"},
        {R"({"subject":"a.b","data64":"x"})", "'data64' is not base64"},
        {R"({"subject":"a.b","headers":{"A":5}})", "is not a header"},
        {R"({"subject":"a.b","headers":[]})", "'headers' is not an object"},
        {R"({"subject":"t"})", "stream S does not store 't'"},
    };
    for (auto const& r : rows) {
        INFO(r.line);
        runner c{"stream import S"};
        c.begin();
        c.hear(streams(known));
        auto fx = c.input(std::string{R"({"subject":"a.b","data":"good"})"} + "\n" + r.line + "\n");
        auto const sent = of<op::publish>(fx);
        REQUIRE(sent.size() == 1);
        CHECK(fx.error.find(r.why) != std::string::npos);
        CHECK_FALSE(fx.exit_status);  // what is on its way is waited for
        fx = c.hear(stored_as(std::string{sent[0].message->id()}));
        CHECK(fx.exit_status == 1);
        CHECK(fx.out == "1 stored\n");
    }
}

TEST_CASE("import: what a server can answer")
{
    auto const begun = [](char const* line = "stream import S") {
        runner c{line};
        c.begin();
        return c;
    };
    SECTION("no such stream")
    {
        auto c = begun("stream import U");
        auto const fx = c.hear(streams(known));
        CHECK(fx.exit_status == 1);
        CHECK(fx.out.empty());
        CHECK(fx.error.find("there is no stream U") != std::string::npos);
    }
    SECTION("a refusal names the line, and where to go on")
    {
        auto c = begun();
        c.hear(streams(known));
        auto const sent = of<op::publish>(c.input("{\"subject\":\"a.b\",\"seq\":41}\n{\"subject\":\"a.b\",\"seq\":42}\n"));
        REQUIRE(sent.size() == 2);
        c.hear(stored_as(std::string{sent[0].message->id()}));
        auto const fx = c.hear(notice::error{std::string{sent[1].message->id()}, error_code::denied, "not you", {}});
        CHECK(fx.error == "kedge: line 2: not you\nkedge: go on with: --from 42\n");
        CHECK(fx.exit_status == 1);
    }
    SECTION("another stream took it")
    {
        auto c = begun();
        c.hear(streams(R"({"streams":[],"truncated":true})"));
        auto const sent = of<op::publish>(c.input("{\"subject\":\"t\"}\n"));
        REQUIRE(sent.size() == 1);
        c.input_end();
        auto const fx = c.hear(stored_as(std::string{sent[0].message->id()}, false, "T"));
        CHECK(fx.error.find("line 1: stream T stored it, not S") != std::string::npos);
        CHECK(fx.exit_status == 1);
    }
    SECTION("only a range of the file")
    {
        auto c = begun("stream import S --from 2 --to 3");
        c.hear(streams(known));
        auto const sent = of<op::publish>(c.input("{\"subject\":\"a.b\",\"seq\":1}\n{\"subject\":\"a.b\",\"seq\":2}\n"
                                                  "{\"subject\":\"a.b\",\"seq\":3}\n{\"subject\":\"a.b\",\"seq\":4}\n"));
        CHECK(sent.size() == 2);
    }
    SECTION("an empty file waits for the stream's name to be known")
    {
        auto c = begun();
        CHECK_FALSE(c.input_end().exit_status);
        CHECK(c.hear(streams(known)).exit_status == 0);
    }
    SECTION("interrupted: where to go on")
    {
        auto c = begun();
        c.hear(streams(known));
        c.input("{\"subject\":\"a.b\",\"seq\":9}\n");
        auto const fx = c.interrupt();
        CHECK(fx.exit_status == 130);
        CHECK(fx.error.find("--from 9") != std::string::npos);
    }
}

TEST_CASE("import stops reading while too much is unanswered")
{
    runner c{"stream import S"};
    c.begin();
    c.hear(streams(known));
    std::string lines;
    for (int i = 1; i <= 5000; ++i)
        lines += "{\"subject\":\"a.b\",\"seq\":" + std::to_string(i) + "}\n";
    auto const sent = of<op::publish>(c.input(lines));
    CHECK(sent.size() == 4096);
    CHECK_FALSE(c.it->wants_input());
    auto const more = of<op::publish>(c.hear(stored_as(std::string{sent[0].message->id()})));
    CHECK(more.size() == 1);
}

TEST_CASE("replay keeps the pace of then, or a given one")
{
    struct row {
        char const* options;
        std::vector<std::uint64_t> due_us;  ///< of the second and the third message
    };
    static row const rows[] = {{"", {1'500'000, 3'000'000}},
                               {"--speed 10", {1'050'000, 1'200'000}},
                               {"--speed 0.5", {2'000'000, 5'000'000}},
                               {"--rate 10", {1'100'000, 1'200'000}}};
    for (auto const& r : rows) {
        INFO(r.options);
        std::uint64_t clock = 1'000'000;
        paced c{std::string{"replay S --prefix again "} + r.options, clock};
        CHECK(c.it->needs_link());
        CHECK(c.it->runs() == course::server);
        c.begin();
        c.admin(bounds(1, 3));
        auto fx = c.admin(page_of({stored(1, 1000), stored(2, 1500), stored(3, 3000)}, 4, true));
        auto sent = of<op::publish>(fx);
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].message->subject() == "again.a.b");
        std::vector<std::string> ids{std::string{sent[0].message->id()}};
        for (auto const due : r.due_us) {
            REQUIRE(c.it->due_us());
            CHECK(*c.it->due_us() == due);
            clock = due - 1;
            CHECK(of<op::publish>(c.time()).empty());
            clock = due;
            sent = of<op::publish>(c.time());
            REQUIRE(sent.size() == 1);
            ids.emplace_back(sent[0].message->id());
        }
        CHECK_FALSE(c.it->due_us());
        c.hear(stored_as(ids[0], false, ""));
        c.hear(stored_as(ids[1], false, ""));
        fx = c.hear(stored_as(ids[2], false, ""));
        CHECK(fx.exit_status == 0);
        CHECK(fx.out.starts_with("3 messages published again in "));
    }
}

TEST_CASE("replay: time that ran backwards does not stop it, and an error does")
{
    std::uint64_t clock = 1;
    paced c{"replay S", clock};
    c.begin();
    c.admin(bounds(1, 2));
    auto const sent = of<op::publish>(c.admin(page_of({stored(1, 5000), stored(2, 1000)}, 3, true)));
    REQUIRE(sent.size() == 2);
    CHECK(sent[0].message->subject() == "a.b");
    auto const fx = c.hear(notice::error{std::string{sent[1].message->id()}, error_code::denied, "not there", {}});
    CHECK(fx.exit_status == 1);
    CHECK(fx.error == "kedge: seq 2: not there\n");
}
