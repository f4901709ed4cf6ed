// The models of mail and administration alone, where no output of a core could be changed to break them.
#include "tests/catch.hpp"
#include "tests/sim/talk_model.hpp"

using namespace kedge;
using namespace kedge::sim;

namespace {

constexpr stream_id inbox{1};
constexpr link_id bobs{1};

struct talk_fixture {
    limits bounds;
    ledger messages{600'000};
    talk_model talk;

    explicit talk_fixture(limits l = {}) : bounds{l}, talk{bounds, messages}
    {
        store_contents contents;
        stream_state s;
        s.id = inbox;
        s.config.name = inbox_stream;
        messages.stream_exists(s);
        contents.streams.push_back(s);
        account_store::contents accounts;
        for (auto const* const name : {"ann", "bob", "cat"})
            accounts.users.push_back({name, "user", false, false, 0, {}});
        accounts.users.back().own_limits = {{"user_rate_messages", 2}, {"user_burst_ms", 1000}};
        accounts.aliases = {{"al", "bob"}};
        accounts.lists = {{"all", "ann", account_list::posting::owners, {"@all", "ann", "~al"}}};
        talk.started(contents, accounts);
        consumer_state c;
        c.id = consumer_id{1};
        c.config.stream = inbox;
        c.config.name = "bob/n";
        c.config.owner = "bob";
        talk.mail.inbox_made(c);
        auto who = std::make_shared<principal>();
        who->user = "bob";
        talk.before({bobs, link_event::opened{session_id{1}, std::move(who), encoding::lines, true}}, {1, 1});
        notice::welcome w;
        w.has_last = true;
        w.node = "n";
        talk.said(bobs, w, {1, 1});
    }
    store_request::append append(std::string const& from, std::vector<std::string> to, std::string_view recipients)
    {
        message::parts parts;
        std::string const id = "p" + std::to_string(messages.made());
        parts.id = id;
        auto const number = messages.make(parts, 0, {}, 3, std::move(to));
        ++messages.at(number).open_sends;
        store_request::append a;
        a.stream = inbox;
        a.sender = shared_bytes::copy_of(from);
        a.message = messages.at(number).message;
        a.recipients = shared_bytes::copy_of(recipients);
        return a;
    }
    void post(std::vector<std::string> to, std::string_view recipients, std::uint64_t at_ms = 1, std::string const& from = "ann/n")
    {
        auto const a = append(from, std::move(to), recipients);
        talk.appended(a, {at_ms, at_ms});
        messages.committed(inbox, {messages.logs().at(inbox).rows.size() + 1, at_ms, a.sender, a.message, a.recipients});
    }
    notice::msg delivery(message_seq seq)
    {
        auto const& r = messages.logs().at(inbox).rows.at(seq - 1);
        notice::msg m;
        m.subject = "inbox.bob";
        m.from = r.sender->view();
        m.time_ms = r.time_ms;
        m.stream = inbox_stream;
        m.consumer = "inbox";
        m.seq = seq;
        m.pub_id = r.message->id();
        m.body = r.message->body();
        return m;
    }
};

}  // namespace

TEST_CASE("a post goes to all whom its names mean, each once, and to nobody else")
{
    talk_fixture f;
    f.post({"@all", "bob", "bob/n"}, "ann bob");
    f.post({"bob/n", "ann"}, "ann bob/n");
    CHECK_THROWS_AS(f.post({"@all"}, "ann"), violation);
    CHECK_THROWS_AS(f.post({"~al"}, "ann bob"), violation);
    CHECK_THROWS_AS(f.post({"bob", "nobody"}, "bob"), violation);
    CHECK_THROWS_AS(f.post({"@none"}, ""), violation);
    CHECK_THROWS_AS(f.post({"@all"}, "ann bob", 1, "bob/n"), violation);  // only its owners may
    f.talk.mail.book.apply(account_change::remove_alias{"al"});
    CHECK_THROWS_AS(f.post({"@all"}, "ann"), violation);
}

TEST_CASE("mail is delivered to whom it is for, and had in order")
{
    talk_fixture f;
    f.post({"bob"}, "bob");
    f.post({"ann"}, "ann");
    f.post({"bob/other"}, "bob/other");
    f.post({"bob/n"}, "bob/n");
    f.talk.said(bobs, f.delivery(1), {1, 1});
    f.talk.said(bobs, f.delivery(4), {1, 1});
    CHECK_THROWS_AS(f.talk.said(bobs, f.delivery(2), {1, 1}), violation);
    CHECK_THROWS_AS(f.talk.said(bobs, f.delivery(3), {1, 1}), violation);
    CHECK_THROWS_AS(f.talk.mail.check_complete("bob/n"), violation);
    f.talk.mail.acted("bob/n", 4);
    CHECK_THROWS_AS(f.talk.mail.acted("bob/n", 1), violation);
    CHECK_THROWS_AS(f.talk.mail.check_complete("bob/n"), violation);
    CHECK_THROWS_AS(f.talk.mail.trimmed(2, {1, 1}), violation);
}

TEST_CASE("an inbox begins after what is there, and does not go by itself")
{
    talk_fixture f;
    f.post({"bob"}, "bob");
    consumer_state c;
    c.config.name = "bob/m";
    c.position.next = 1;
    f.talk.mail.batch_begins();
    CHECK_THROWS_AS(f.talk.mail.inbox_made(c), violation);
    CHECK_THROWS_AS(f.talk.mail.loaded({}), violation);
    f.talk.mail.inbox_removed(consumer_id{1});
    f.talk.mail.loaded({});
    CHECK_THROWS_AS(f.talk.mail.check_complete("bob/n"), violation);
}

TEST_CASE("no more mail than there is room for")
{
    limits bounds;
    bounds.mail_messages = 2;
    talk_fixture f{bounds};
    f.post({"bob"}, "bob");
    f.post({"bob"}, "bob");
    CHECK_THROWS_AS(f.post({"bob"}, "bob"), violation);
    op::ack a;
    a.consumer = "inbox";
    a.seqs = {2};
    f.talk.mail.acked("bob/n", a);
    f.post({"bob"}, "bob");
}

TEST_CASE("nothing is delivered of what is paused, and each command is answered once")
{
    talk_fixture f;
    f.post({"bob"}, "bob");
    auto const ask = [&](token t, char const* name) {
        f.talk.before({bobs, link_event::admin_request{t, {name, {{"stream", "INBOX"}, {"consumer", "bob/n"}}}}}, {1, 1});
    };
    ask(token{1}, "consumer pause");
    CHECK_THROWS_AS(f.talk.check_answered(), violation);
    f.talk.said(bobs, f.delivery(1), {1, 1});
    f.talk.answered(bobs, {token{1}, {}});
    CHECK_THROWS_AS(f.talk.answered(bobs, {token{1}, {}}), violation);
    CHECK_THROWS_AS(f.talk.said(bobs, f.delivery(1), {1, 1}), violation);
    ask(token{2}, "consumer resume");
    f.talk.said(bobs, f.delivery(1), {1, 1});
}

TEST_CASE("nobody publishes faster than its rate")
{
    talk_fixture f;
    f.post({"ann"}, "ann", 1000, "cat/n");
    f.post({"ann"}, "ann", 1000, "cat/n");
    CHECK_THROWS_AS(f.post({"ann"}, "ann", 1400, "cat/n"), violation);
    f.post({"ann"}, "ann", 1500, "cat/n");
}
