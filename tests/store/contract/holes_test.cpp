/// Rows that go from the middle: purge, older rows of a subject. Streams that refuse when they are full. Bytes by user.

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "router/store/row_bytes.hpp"
#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

std::uint64_t purge(store_fixture& f, stream_id stream, std::string const& filter = {}, message_seq up_to = 0)
{
    store_request::purge const request{next_token(), stream, filter, up_to};
    CHECK(f.run({request}).empty());
    auto const purged = of<store_event::purged>(f.maintain());
    REQUIRE(purged.size() == 1);
    CHECK(purged.front().request == request.request);
    return purged.front().messages;
}

usage_state usage_of(store_contents const& all, std::string_view user)
{
    for (auto const& usage : all.usage)
        if (usage.user == user)
            return usage;
    return {};
}

store_request::append append_of(stream_id stream, std::string_view sender, std::string_view body = "x")
{
    auto request = append(stream, "s", body);
    request.sender = shared_bytes::copy_of(sender);
    return request;
}

}  // namespace

TEST_CASE("a purge takes what matches, up to a seq, and the rest is read as before")
{
    struct {
        char const* name;
        char const* filter;
        message_seq up_to;
        std::function<bool(message_seq)> goes;
    } const cases[] = {
        {"all", "", 0, [](auto) { return true; }},
        {"up to a seq", "", 5000, [](auto seq) { return seq <= 5000; }},
        {"one subject", "s.3", 0, [](auto seq) { return seq % 7 == 4; }},
        {"one subject up to a seq", "s.3", 4097, [](auto seq) { return seq % 7 == 4 && seq <= 4097; }},
        {"several", "*.3", 0, [](auto seq) { return seq % 7 == 4; }},
        {"all by a filter", "s.>", 0, [](auto) { return true; }},
        {"none", "t.>", 0, [](auto) { return false; }},
        {"far beyond the end", "s.0", 1'000'000, [](auto seq) { return seq % 7 == 1; }},
        {"the last row", "s.4", 0, [](auto seq) { return seq % 7 == 5; }},
    };
    on_both_stores([&](store_fixture& f) {
        for (auto const& c : cases) {
            INFO(c.name);
            auto const stream = add_stream(f, std::string{"P"} + std::to_string(&c - cases));
            constexpr message_seq rows = 10'002;  // the last is of s.5, in fill's batches of 500
            for (message_seq seq = 1; seq <= rows;) {
                std::vector<store_request::any> batch;
                for (; batch.size() < 500 && seq <= rows; ++seq)
                    batch.push_back(append(stream, "s." + std::to_string((seq - 1) % 7)));
                f.run(std::move(batch));
            }
            std::vector<message_seq> left;
            for (message_seq seq = 1; seq <= rows; ++seq)
                if (!c.goes(seq))
                    left.push_back(seq);
            CHECK(purge(f, stream, c.filter, c.up_to) == rows - left.size());
            for (int restarts = 0; restarts < 2; ++restarts) {
                CHECK((seqs_of(read_all(f, stream)) == left));
                CHECK((seqs_of(read_all(f, stream, "s.*")) == left));
                f.reopen();
                auto const state = state_of(f.load(), stream);
                CHECK(state.first == (left.empty() ? rows + 1 : left.front()));
                CHECK(state.last == rows);
                CHECK(state.messages == left.size());
                CHECK(state.bytes == left.size() * (row_bytes_fixed + 1));
            }
            CHECK(only<store_event::rows_arrived>(f.run({append(stream, "s.3")})).rows.front().stored.seq == rows + 1);
            CHECK(read_all(f, stream).size() == left.size() + 1);
            f.reopen();
            f.load();
        }
    });
}

TEST_CASE("reads, starts by time and retention pass over what is missing")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        std::vector<store_request::any> batch;
        for (std::uint64_t i = 1; i <= 20; ++i) {
            auto request = append(stream, i % 2 == 0 ? "s.even" : "s.odd");
            request.time_ms = start_ms + i * 100;
            batch.push_back(request);
        }
        f.run(std::move(batch));
        CHECK(purge(f, stream, "s.even") == 10);
        CHECK(seqs_of(read_all(f, stream, {}, 4, 2)) == std::vector<message_seq>{5, 7, 9, 11, 13, 15, 17, 19});
        auto const seqs = only<store_event::rows_read>(f.run({store_request::read_seqs{next_token(), stream, {}, {4, 5, 20}}}));
        CHECK(seqs_of(seqs.rows) == std::vector<message_seq>{5});
        struct {
            std::uint64_t time_ms;
            message_seq next;
        } const starts[] = {{start_ms, 1}, {start_ms + 600, 7}, {start_ms + 700, 7}, {start_ms + 701, 9}, {start_ms + 1901, 21}};
        for (auto const& s : starts) {
            auto const name = "C" + std::to_string(s.time_ms);
            add_consumer(f, stream, name, {op::start_position::kind::time, s.time_ms});
            for (auto const& c : f.load().consumers)
                if (c.config.name == name)
                    CHECK(c.position.next == s.next);
        }
        stream_config config{"S", {">"}, 0, 0, 4};
        f.run({store_request::edit_stream{next_token(), stream, config}});
        f.maintain();
        CHECK(seqs_of(read_all(f, stream)) == std::vector<message_seq>{13, 15, 17, 19});
    });
}

TEST_CASE("two purges of one stream go one after the other; one of a stream that is removed meanwhile is answered")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        auto const other = add_stream(f, "OTHER", {"", {"other"}});
        fill(f, stream, 5000);
        store_request::purge const first{next_token(), stream, "s.1", 0};
        store_request::purge const second{next_token(), stream, "", 100};
        store_request::purge const third{next_token(), other, "", 0};
        f.run({first, second, third, store_request::remove_stream{next_token(), other}});
        auto const purged = of<store_event::purged>(f.maintain());
        REQUIRE(purged.size() == 3);
        CHECK(purged[0].messages == 715);
        CHECK(purged[1].messages == 100 - 15);
        CHECK(purged[2].messages == 0);
        CHECK(failed_code(f.run({store_request::purge{next_token(), other, "", 0}})) == error_code::unknown_stream);
    });
}

TEST_CASE("a stream keeps the newest rows of each subject")
{
    on_both_stores([](store_fixture& f) {
        std::mt19937_64 random{7};
        for (std::uint64_t const most : {1, 3}) {
            INFO("most: " << most);
            stream_config config;
            config.max_msgs_per_subject = most;
            auto const stream = add_stream(f, "L" + std::to_string(most), config);
            std::map<std::string, std::vector<message_seq>> rows;
            for (message_seq seq = 1; seq <= 20'000;) {
                std::vector<store_request::any> batch;
                for (; batch.size() < 400 && seq <= 20'000; ++seq) {
                    auto const subject = "s." + std::to_string(random() % (random() % 500 + 1));
                    rows[subject].push_back(seq);
                    batch.push_back(append(stream, subject));
                }
                f.run(std::move(batch));
                if (random() % 4 == 0)
                    f.maintain();
                if (seq == 10'001) {
                    f.reopen();
                    f.load();
                }
            }
            f.maintain();
            std::vector<message_seq> left;
            for (auto& [subject, seqs] : rows)
                for (auto i = seqs.size() - std::min<std::size_t>(most, seqs.size()); i < seqs.size(); ++i)
                    left.push_back(seqs[i]);
            std::ranges::sort(left);
            CHECK((seqs_of(read_all(f, stream)) == left));
            CHECK((seqs_of(read_all(f, stream, "s.*")) == left));
            CHECK(read_all(f, stream, "s.0").size() == most);
            f.reopen();
            auto const state = state_of(f.load(), stream);
            CHECK(state.messages == left.size());
            CHECK(state.bytes == left.size() * (row_bytes_fixed + 1));
            CHECK(state.first == left.front());

            INFO("a lower bound holds for what is there");
            if (most == 3) {
                config.name = "L3";
                config.subjects = {">"};
                config.max_msgs_per_subject = 2;
                f.run({store_request::edit_stream{next_token(), stream, config}});
                f.maintain();
                CHECK(read_all(f, stream, "s.0").size() == 2);
                config.max_msgs_per_subject = 4;
                f.run({store_request::edit_stream{next_token(), stream, config}});
                f.run({append(stream, "s.0"), append(stream, "s.0"), append(stream, "s.0")});
                f.maintain();
                CHECK(read_all(f, stream, "s.0").size() == 4);
            }
        }
    });
}

TEST_CASE("a full stream that keeps the old refuses the new, row for row, until there is room")
{
    on_both_stores([](store_fixture& f) {
        auto const row = row_bytes_fixed + 1;
        struct {
            char const* name;
            stream_config config;
            std::size_t stored;  ///< of ten rows of one byte
        } const cases[] = {
            {"count", {"", {}, 0, 0, 7}, 7},
            {"bytes", {"", {}, 0, 7 * row, 0}, 7},
            {"one byte less", {"", {}, 0, 7 * row - 1, 0}, 6},
            {"just enough", {"", {}, 0, 0, 10}, 10},
        };
        for (auto const& c : cases) {
            INFO(c.name);
            auto config = c.config;
            config.when_full = discard::newest;
            auto const stream = add_stream(f, std::string{"F"} + std::to_string(&c - cases), config);
            std::vector<store_request::any> batch;
            for (std::uint64_t n = 1; n <= 10; ++n)
                batch.push_back(append_n(stream, n));
            auto const events = f.run(std::move(batch));
            REQUIRE_FALSE(events.empty());
            CHECK(std::get<store_event::rows_arrived>(events.front()).rows.size() == c.stored);
            auto const refused = of<store_event::append_failed>(events);
            CHECK(refused.size() == 10 - c.stored);
            for (auto const& each : refused)
                CHECK(each.why.code == error_code::quota);
            f.maintain();
            CHECK(read_all(f, stream).size() == c.stored);
            if (c.stored == 10)
                continue;

            INFO("what was pipelined behind a refusal stays out though it would fit");
            purge(f, stream, "", 1);
            CHECK(of<store_event::append_failed>(f.run({append_n(stream, 11)})).front().why.code == error_code::quota);
            auto retry = append_n(stream, c.stored + 1);
            retry.epoch = 2;
            CHECK(of<store_event::rows_arrived>(f.run({retry})).size() == 1);
            f.reopen();
            auto const all = f.load();
            CHECK(state_of(all, stream).messages == c.stored);
            for (auto const& highest : all.nodes.front().last)
                if (highest.stream == stream)
                    CHECK(highest.numbers.n == c.stored + 1);
        }
    });
}

TEST_CASE("options of streams and consumers are kept")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_msgs = 5;
        config.max_msgs_per_subject = 2;
        config.when_full = discard::newest;
        config.paused = true;
        auto const stream = add_stream(f, "S", config);
        config.name = "S";
        config.subjects = {">"};
        auto const consumer = add_consumer(f, stream);
        consumer_config edited;
        edited.stream = stream;
        edited.name = "C";
        edited.owner = "alice";
        edited.ack_wait_ms = 7000;
        edited.max_deliver = 4;
        edited.backoff_ms = {1000, 0, 86'400'000};
        edited.paused = true;
        only<store_event::done>(f.run({store_request::edit_consumer{next_token(), consumer, edited}}));
        auto other = edited;
        other.filter = "s.>";
        CHECK(failed_code(f.run({store_request::edit_consumer{next_token(), consumer, other}})) == error_code::bad_request);
        CHECK(failed_code(f.run({store_request::edit_consumer{next_token(), consumer_id{99}, edited}})) == error_code::unknown_consumer);
        f.reopen();
        auto const all = f.load();
        CHECK(state_of(all, stream).config == config);
        REQUIRE(all.consumers.size() == 1);
        auto const& kept = all.consumers.front().config;
        CHECK(kept.ack_wait_ms == 7000);
        CHECK(kept.max_deliver == 4);
        CHECK(kept.backoff_ms == edited.backoff_ms);
        CHECK(kept.paused);
    });
}

TEST_CASE("what is stored of each user's publishes follows the rows")
{
    on_both_stores([](store_fixture& f) {
        auto const one = row_bytes_fixed + 5;
        stream_config config;
        config.max_msgs = 4;
        auto const stream = add_stream(f, "S", config);
        auto const other = add_stream(f, "T", {"", {"t"}});
        f.run({append_of(stream, "alice/laptop", "12345"), append_of(stream, "alice/~0123456789abcdef", "12345"),
               append_of(stream, "bob/x", "12345"), append_of(stream, "$sys", "12345"), append_of(other, "bob/x", "12345")});
        CHECK(f.maintain().empty());
        for (int restarts = 0; restarts < 2; ++restarts) {
            auto const all = f.load();
            CHECK(all.usage.size() == 2);
            CHECK(usage_of(all, "alice").messages == 2);
            CHECK(usage_of(all, "alice").bytes == 2 * one);
            CHECK(usage_of(all, "bob").messages == 2);
            f.reopen();
        }
        f.load();
        f.run({append_of(stream, "bob/x", "12345")});
        auto changed = of<store_event::usage_changed>(f.maintain());
        REQUIRE(changed.size() == 1);
        REQUIRE(changed.front().users.size() == 1);
        CHECK(changed.front().users.front().user == "alice");
        CHECK(changed.front().users.front().messages == 1);
        CHECK(changed.front().users.front().bytes == one);

        purge(f, stream);
        auto all = f.load();
        CHECK(all.usage.size() == 1);
        CHECK(usage_of(all, "bob").messages == 1);
        f.run({store_request::remove_stream{next_token(), other}});
        changed = of<store_event::usage_changed>(f.maintain());
        REQUIRE(changed.size() == 1);
        CHECK(changed.front().users.front().user == "bob");
        CHECK(changed.front().users.front().messages == 0);
        CHECK(f.load().usage.empty());
    });
}

TEST_CASE("both stores come to the same, whatever is asked of them")
{
    constexpr unsigned seeds = 40;
    for (unsigned seed = 1; seed <= seeds; ++seed) {
        INFO("seed " << seed);
        std::vector<std::vector<std::string>> stories;
        on_both_stores([&](store_fixture& f) {
            auto& story = stories.emplace_back();
            std::mt19937 random{seed};
            auto const below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
            auto const name = [&](char const* prefix, unsigned of) { return prefix + std::to_string(below(of)); };
            stream_id const inbox{1};
            auto const some_config = [&](std::string const& stream) {
                stream_config config;
                config.name = stream;
                config.subjects = {stream + ".>"};
                config.max_msgs = below(2) * (20 + below(300));
                config.max_bytes = below(3) == 0 ? (20 + below(300)) * row_bytes_fixed : 0;
                config.max_age_ms = below(4) == 0 ? 1000 : 0;
                config.max_msgs_per_subject = below(2) * (1 + below(4));
                config.when_full = below(3) == 0 ? discard::newest : discard::oldest;
                return config;
            };
            std::vector<stream_id> const streams{add_stream(f, "A", some_config("A")), add_stream(f, "B", some_config("B"))};
            std::uint64_t epoch = 1;
            for (int step = 0; step < 60; ++step) {
                std::vector<store_request::any> batch;
                for (unsigned i = below(150); i > 0; --i) {
                    auto const post = below(4) == 0;
                    auto const& stream = streams[below(2)];
                    auto request = append(post ? inbox : stream, post ? "" : name(stream == streams[0] ? "A.s" : "B.s", 12),
                                          std::string(below(40), 'x'));
                    request.epoch = epoch;
                    request.time_ms = f.now_ms += below(20);
                    request.sender = shared_bytes::copy_of(name("user", 3) + "/n");
                    if (post) {
                        std::set<std::string> to;
                        for (unsigned k = 1 + below(4); k > 0; --k)
                            to.insert(name("user", 4) + (below(2) == 0 ? "" : "/n"));
                        std::string text;
                        for (auto const& each : to)
                            text += (text.empty() ? "" : " ") + each;
                        request.recipients = shared_bytes::copy_of(text);
                    }
                    batch.push_back(request);
                }
                if (below(6) == 0) {
                    auto const at = below(2);
                    batch.push_back(store_request::edit_stream{next_token(), streams[at], some_config(at == 0 ? "A" : "B")});
                }
                if (below(5) == 0)
                    batch.push_back(store_request::purge{next_token(), streams[below(2)], below(2) == 0 ? "" : name("*.s", 12), below(600)});
                if (below(12) == 0)
                    batch.push_back(store_request::purge{next_token(), inbox, name("inbox.user", 4), below(300)});
                auto const failed = of<store_event::append_failed>(f.run(std::move(batch))).size();
                epoch += failed != 0 ? 1 : 0;
                story.push_back("refused " + std::to_string(failed));
                for (auto const& purged : of<store_event::purged>(f.maintain()))
                    story.push_back("purged " + std::to_string(purged.messages));
                if (below(8) == 0)
                    f.reopen();
                else if (below(4) != 0)
                    continue;
                auto const all = f.load();
                for (auto const& s : all.streams)
                    story.push_back(s.config.name + " " + std::to_string(s.first) + " " + std::to_string(s.last) + " "
                                    + std::to_string(s.messages) + " " + std::to_string(s.bytes));
                for (auto const& u : all.usage)
                    story.push_back("usage " + u.user + " " + std::to_string(u.messages) + " " + std::to_string(u.bytes));
                for (auto const& u : all.mail)
                    story.push_back("mail " + u.user + " " + std::to_string(u.messages) + " " + std::to_string(u.bytes));
                for (auto const& [stream, filter] : {std::pair{streams[0], std::string{}}, {streams[1], "B.*"}, {streams[0], "A.s3"},
                                                     {inbox, ""}, {inbox, "inbox.user1"}})
                    for (auto const& r : read_all(f, stream, filter))
                        story.push_back(std::to_string(r.seq) + " " + std::string{r.sender->view()} + " "
                                        + std::string{r.message->subject()} + " "
                                        + (r.recipients == nullptr ? "" : std::string{r.recipients->view()}));
            }
        });
        REQUIRE(stories.size() == 2);
        REQUIRE(stories[0].size() == stories[1].size());
        for (std::size_t i = 0; i < stories[0].size(); ++i)
            REQUIRE(stories[0][i] == stories[1][i]);
    }
}
