#include "tests/command/harness.hpp"

#include "router/protocol/limits.hpp"

using namespace kedge;

namespace {

notice::ok stored(std::string id, message_seq seq, bool dup = false) { return {std::move(id), "S", seq, dup, {}}; }

}  // namespace

TEST_CASE("pub: one message, answered, exit 0")
{
    runner c{"pub a.b hello --header 'A: 1' --header B:2 --reply-to r.x --node n1 --id-prefix p"};
    CHECK(c.it->needs_link());
    REQUIRE(c.it->hello());
    CHECK(c.it->hello()->node == "n1");
    CHECK_FALSE(c.it->wants_input());
    auto fx = c.begin();
    auto const sent = of<op::publish>(fx);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].message->subject() == "a.b");
    CHECK(sent[0].message->body() == "hello");
    CHECK(sent[0].message->id() == "p-1");
    CHECK(sent[0].message->reply_to() == "r.x");
    CHECK(sent[0].message->headers() == R"({"A":"1","B":"2"})");
    CHECK_FALSE(fx.exit_status);
    fx = c.hear(stored("p-1", 7));
    CHECK(fx.out == "S 7\n");
    CHECK(fx.exit_status == 0);
}

TEST_CASE("pub: a duplicate says so, a subject of no stream says nothing, --json says all, --quiet nothing")
{
    runner dup{"pub a x --id-prefix p"};
    dup.begin();
    CHECK(dup.hear(stored("p-1", 7, true)).out == "S 7 duplicate\n");
    runner plain{"pub a x --id-prefix p"};
    plain.begin();
    auto fx = plain.hear(notice::ok{"p-1", {}, 0, false, {}});
    CHECK(fx.out.empty());
    CHECK(fx.exit_status == 0);
    runner json{"pub a x --id-prefix p --json"};
    json.begin();
    CHECK(nlohmann::json::parse(json.hear(stored("p-1", 7)).out)["seq"] == 7);
    runner quiet{"pub a x --id-prefix p -q"};
    quiet.begin();
    CHECK(quiet.hear(stored("p-1", 7)).out.empty());
}

TEST_CASE("pub: refused is exit 1 with the reason")
{
    runner c{"pub a x --id-prefix p"};
    c.begin();
    auto const fx = c.hear(notice::error{"p-1", error_code::denied, "rule 3 denies it", {}});
    CHECK(fx.error == "kedge: denied: rule 3 denies it\n");
    CHECK(fx.exit_status == 1);
}

TEST_CASE("pub: without text an empty body; ids of two runs differ")
{
    runner a{"pub a"};
    runner b{"pub a"};
    auto const first = of<op::publish>(a.begin());
    auto const second = of<op::publish>(b.begin());
    CHECK(first[0].message->body().empty());
    CHECK(first[0].message->id() != second[0].message->id());
}

TEST_CASE("pub -: a message a line, wherever the input is cut")
{
    std::string const text = "one\ntwo\n\nlast without end";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        runner c{"pub a - --id-prefix p"};
        c.begin();
        CHECK(c.it->wants_input());
        std::vector<std::string> bodies;
        auto const take = [&](command_effects const& fx) {
            for (auto const& p : of<op::publish>(fx))
                bodies.emplace_back(p.message->body());
        };
        take(c.input(std::string_view{text}.substr(0, cut)));
        take(c.input(std::string_view{text}.substr(cut)));
        take(c.input_end());
        CHECK(bodies == std::vector<std::string>{"one", "two", "", "last without end"});
        for (int i = 1; i <= 3; ++i)
            CHECK_FALSE(c.hear(stored("p-" + std::to_string(i), 1)).exit_status);
        CHECK(c.hear(stored("p-4", 4)).exit_status == 0);
    }
}

TEST_CASE("pub -: nothing in, nothing out, exit 0")
{
    runner c{"pub a -"};
    c.begin();
    CHECK(c.input_end().exit_status == 0);
}

TEST_CASE("pub - --chunk: every so many bytes, the rest at the end")
{
    runner c{"pub a - --chunk 4 --id-prefix p"};
    c.begin();
    std::vector<std::string> bodies;
    for (auto const* piece : {"ab", "cdefg\n", "h"})
        for (auto const& p : of<op::publish>(c.input(piece)))
            bodies.emplace_back(p.message->body());
    for (auto const& p : of<op::publish>(c.input_end()))
        bodies.emplace_back(p.message->body());
    CHECK(bodies == std::vector<std::string>{"abcd", "efg\n", "h"});
}

TEST_CASE("pub -: no more is read while too much is unanswered, and all of it is sent in the end")
{
    runner c{"pub a - --id-prefix p -q"};
    c.begin();
    std::string lines;
    for (int i = 0; i < 10'000; ++i)
        lines += "x\n";
    auto sent = of<op::publish>(c.input(lines)).size();
    CHECK(sent == 4096);
    CHECK_FALSE(c.it->wants_input());
    sent += of<op::publish>(c.hear(stored("p-1", 1))).size();
    CHECK(sent == 4097);
    CHECK_FALSE(c.input_end().exit_status);
    std::optional<int> status;
    for (int i = 2; i <= 10'000; ++i) {
        CHECK_FALSE(status);
        auto const fx = c.hear(stored("p-" + std::to_string(i), 1));
        sent += of<op::publish>(fx).size();
        status = fx.exit_status;
    }
    CHECK(sent == 10'000);
    CHECK(status == 0);
}

TEST_CASE("pub: a body at the server's limit and one beyond")
{
    notice::welcome w;
    w.max_body = 10;
    for (bool const beyond : {false, true}) {
        std::string const body(beyond ? 11 : 10, 'x');
        runner text{"pub a " + body};
        text.hear(w);
        CHECK(text.begin().exit_status == (beyond ? std::optional<int>{1} : std::nullopt));
        runner line{"pub a -"};
        line.hear(w);
        line.begin();
        CHECK(of<op::publish>(line.input(body + "\n")).size() == (beyond ? 0 : 1));
        runner chunk{"pub a - --chunk " + std::to_string(body.size())};
        chunk.hear(w);
        chunk.begin();
        CHECK(of<op::publish>(chunk.input(body)).size() == (beyond ? 0 : 1));
        // A line without end is not gathered for ever.
        runner endless{"pub a -"};
        endless.hear(w);
        endless.begin();
        CHECK(endless.input(body).exit_status == (beyond ? std::optional<int>{1} : std::nullopt));
    }
}

TEST_CASE("pub -: after a failure nothing more is sent, what is under way is waited for")
{
    runner c{"pub a - --id-prefix p"};
    c.begin();
    c.input("1\n2\n3\n");
    auto fx = c.hear(notice::error{"p-1", error_code::denied, "no", {}});
    CHECK_FALSE(fx.exit_status);
    CHECK_FALSE(c.it->wants_input());
    CHECK(of<op::publish>(c.input("4\n")).empty());
    CHECK_FALSE(c.hear(stored("p-2", 1)).exit_status);
    CHECK(c.hear(stored("p-3", 2)).exit_status == 1);
}

TEST_CASE("pub -: interrupted, it waits for what was sent; twice, it goes")
{
    runner c{"pub a - --id-prefix p"};
    c.begin();
    c.input("1\n2");
    auto fx = c.interrupt();
    CHECK_FALSE(fx.exit_status);
    CHECK(fx.error.find("interrupted") != std::string::npos);
    CHECK(c.hear(stored("p-1", 1)).exit_status == 1);
    runner twice{"pub a - --id-prefix p"};
    twice.begin();
    twice.input("1\n");
    twice.interrupt();
    CHECK(twice.interrupt().exit_status == 130);
}

TEST_CASE("pub -: progress on a terminal only, in percent when the size is known")
{
    command_environment e;
    e.error_is_terminal = true;
    e.input_bytes = 8;
    runner c{"pub a - --id-prefix p", e};
    c.begin();
    c.input("1\n2\n");
    CHECK(c.hear(stored("p-1", 1)).error.find("50%") != std::string::npos);
    CHECK(c.hear(stored("p-2", 1)).error.empty());  // nothing new to show
    c.input("3\n4\n");
    c.input_end();
    CHECK(c.hear(stored("p-3", 3)).error.find("100%") != std::string::npos);
    auto const last = c.hear(stored("p-4", 4));
    CHECK(last.exit_status == 0);
    CHECK(last.error.find("4 messages, the last is S 4\n") != std::string::npos);

    runner pipe{"pub a - --id-prefix p"};
    pipe.begin();
    pipe.input("1\n");
    pipe.input_end();
    CHECK(pipe.hear(stored("p-1", 1)).error.empty());
}

TEST_CASE("pub: the link ends: exit 1")
{
    runner c{"pub a x"};
    c.begin();
    auto const fx = c.hear(notice::bye{error_code::revoked, "the key is gone"});
    CHECK(fx.exit_status == 1);
    CHECK(fx.error == "kedge: revoked: the key is gone\n");
}
