/// Posts: one row for many, found by each; totals of all mail; an inbox's position.

#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"
#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

stream_id inbox_of(store_contents const& all)
{
    for (auto const& s : all.streams)
        if (s.config.name == inbox_stream)
            return s.id;
    FAIL("no INBOX");
    return {};
}

store_request::append post(stream_id inbox, std::string_view recipients, std::string_view body = "x")
{
    auto request = append(inbox, {}, body);
    request.recipients = shared_bytes::copy_of(recipients);
    return request;
}

mailbox_state mail_of(store_contents const& all, std::string_view user)
{
    for (auto const& mail : all.mail)
        if (mail.user == user)
            return mail;
    return {};
}

}  // namespace

TEST_CASE("the users of a post's recipients, each once")
{
    struct {
        char const* recipients;
        std::vector<std::string_view> users;
    } const cases[] = {
        {"", {}},
        {"alice", {"alice"}},
        {"alice/laptop", {"alice"}},
        {"alice alice-b alice/laptop bob/x bob/y", {"alice", "alice-b", "bob"}},
    };
    for (auto const& c : cases)
        CHECK(users_of(c.recipients) == c.users);
}

TEST_CASE("INBOX is there, keeps what some node has not finished, and for no longer than an idle node")
{
    limits bounds;
    bounds.node_idle_ms = 5000;
    on_both_stores(
        [](store_fixture& f) {
            for (int restarts = 0; restarts < 2; ++restarts) {
                auto const all = f.load();
                REQUIRE(all.streams.size() == 1);
                CHECK(all.streams.front().config.name == inbox_stream);
                CHECK(all.streams.front().config.subjects.empty());
                CHECK(all.streams.front().config.keep == retention::interest);
                CHECK(all.streams.front().config.max_age_ms == 5000);
                f.reopen();
            }
        },
        bounds);
}

TEST_CASE("a post is one row, and each of its users finds it")
{
    on_both_stores([](store_fixture& f) {
        auto const inbox = inbox_of(f.load());
        // More than the index takes at a time, so that both its parts are asked.
        constexpr message_seq posts = 9000;
        std::vector<message_seq> alices, bobs;
        for (message_seq seq = 1; seq <= posts;) {
            std::vector<store_request::any> batch;
            for (; batch.size() < 600 && seq <= posts; ++seq) {
                batch.push_back(seq % 3 == 0   ? post(inbox, "alice bob/desk bob/laptop")
                                : seq % 3 == 1 ? post(inbox, "alice/laptop carol")
                                               : post(inbox, "carol"));
                if (seq % 3 != 2)
                    alices.push_back(seq);
                if (seq % 3 == 0)
                    bobs.push_back(seq);
            }
            auto const size = batch.size();
            CHECK(only<store_event::rows_arrived>(f.run(std::move(batch))).rows.size() == size);
        }
        for (int restarts = 0; restarts < 2; ++restarts) {
            auto const alice = read_all(f, inbox, "inbox.alice");
            CHECK((seqs_of(alice) == alices));
            CHECK((seqs_of(read_all(f, inbox, "inbox.bob")) == bobs));
            CHECK((seqs_of(read_all(f, inbox, "inbox.bob", bobs[700], 7)) == std::vector(bobs.begin() + 700, bobs.end())));
            CHECK(read_all(f, inbox, "inbox.dave").empty());
            CHECK(read_all(f, inbox, "inbox.*").size() == posts);
            CHECK(read_all(f, inbox).size() == posts);
            REQUIRE(alice.size() > 2);
            CHECK(alice[0].recipients->view() == "alice/laptop carol");
            CHECK(alice[1].recipients->view() == "alice bob/desk bob/laptop");
            CHECK(alice[0].message->subject().empty());
            auto const one = only<store_event::rows_read>(f.run({store_request::read_seqs{next_token(), inbox, {}, {3}}}));
            CHECK(one.rows.front().recipients->view() == "alice bob/desk bob/laptop");
            f.reopen();
            f.load();
        }
    });
}

TEST_CASE("all mail of a user is counted, once a post, and only when it is stored")
{
    on_both_stores([](store_fixture& f) {
        auto const inbox = inbox_of(f.load());
        auto const one = row_bytes_fixed + 5;
        f.run({post(inbox, "alice alice/laptop bob", "12345"), post(inbox, "alice/laptop", "12345")});
        f.fail(store_fixture::fault::full);
        auto lost = post(inbox, "alice");
        lost.epoch = 2;
        f.run({lost});
        f.heal();
        for (int restarts = 0; restarts < 2; ++restarts) {
            auto const all = f.load();
            CHECK(all.mail.size() == 2);
            CHECK(mail_of(all, "alice").messages == 2);
            CHECK(mail_of(all, "alice").bytes == 2 * one);
            CHECK(mail_of(all, "bob").messages == 1);
            CHECK(all.usage.empty());
            f.reopen();
        }
    });
}

TEST_CASE("a new inbox has no old mail to do; its position is kept; totals outlive the rows")
{
    on_both_stores([](store_fixture& f) {
        auto const inbox = inbox_of(f.load());
        f.run({post(inbox, "alice"), post(inbox, "alice")});
        consumer_config config;
        config.stream = inbox;
        config.name = "alice/laptop";
        config.owner = "alice";
        config.filter = "inbox.alice";
        auto const made = of<store_event::consumer_created>(
            f.run({post(inbox, "alice"), store_request::create_consumer{next_token(), config, {op::start_position::kind::new_only, 0}}}));
        REQUIRE(made.size() == 1);
        CHECK(made.front().consumer.position.next == 4);
        CHECK(made.front().consumer.position.done_messages == 3);
        CHECK(made.front().consumer.position.done_bytes == 3 * (row_bytes_fixed + 1));
        cursor const moved{5, {}, 7, 777};
        f.run({post(inbox, "alice"), store_request::save_cursor{next_token(), made.front().consumer.id, moved, {}, start_ms}});
        f.maintain();
        CHECK(read_all(f, inbox).empty());
        f.reopen();
        auto const all = f.load();
        REQUIRE(all.consumers.size() == 1);
        CHECK(all.consumers.front().position == moved);
        CHECK(mail_of(all, "alice").messages == 4);
    });
}

TEST_CASE("a dead letter of an inbox keeps its recipients")
{
    on_both_stores([](store_fixture& f) {
        auto const inbox = inbox_of(f.load());
        f.run({post(inbox, "alice bob")});
        auto const consumer = add_consumer(f, inbox, "alice/laptop", {op::start_position::kind::first, 0});
        f.run({store_request::save_cursor{next_token(), consumer, {2, {}}, {{1, 3, "why"}}, start_ms}});
        f.reopen();
        f.load();
        auto const listed = only<store_event::dead_listed>(f.run({store_request::list_dead{next_token(), consumer}}));
        REQUIRE(listed.letters.size() == 1);
        REQUIRE(listed.letters.front().stored.recipients != nullptr);
        CHECK(listed.letters.front().stored.recipients->view() == "alice bob");
    });
}

TEST_CASE("posts that are purged are found by none of their users")
{
    on_both_stores([](store_fixture& f) {
        auto const inbox = inbox_of(f.load());
        for (int i = 0; i < 10; ++i) {
            std::vector<store_request::any> batch;
            for (int k = 0; k < 500; ++k)
                batch.push_back(post(inbox, k % 2 == 0 ? "alice bob" : "bob carol/x"));
            f.run(std::move(batch));
        }
        f.run({store_request::purge{next_token(), inbox, "inbox.alice", 4990}});
        auto const purged = of<store_event::purged>(f.maintain());
        REQUIRE(purged.size() == 1);
        CHECK(purged.front().messages == 2495);
        for (int restarts = 0; restarts < 2; ++restarts) {
            CHECK(read_all(f, inbox, "inbox.alice").size() == 5);
            CHECK(read_all(f, inbox, "inbox.bob").size() == 2505);
            CHECK(read_all(f, inbox, "inbox.carol").size() == 2500);
            f.reopen();
            CHECK(state_of(f.load(), inbox).messages == 2505);
        }
    });
}
