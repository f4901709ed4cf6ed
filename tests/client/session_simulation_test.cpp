/// Thousands of seeds: a server that loses links at any byte, refuses for a while and answers late. Nothing is lost, nothing
/// doubled, the order holds.

#include <map>
#include <random>
#include <set>

#include "clients/lib/sansio/session.hpp"
#include "router/protocol/decoder.hpp"
#include "router/protocol/encoding.hpp"
#include "tests/catch.hpp"
#include "tests/client/printing.hpp"

using namespace kedge;
using client_lib::session;
using client_lib::session_options;

namespace {

/// One stream, one consumer, one node: enough of the contract to be unkind with.
struct server {
    explicit server(std::mt19937_64& r) : random{r} {}

    std::mt19937_64& random;
    std::vector<std::string> log;  // ids and numbers in the order of storage
    std::map<std::string, message_seq> by_id;
    std::uint64_t highest_n = 0;
    std::set<message_seq> acked;
    std::map<std::string, unsigned> bad;  // what must not happen

    // Of the link.
    std::optional<operation_decoder> decoder;
    std::string out;
    bool refusing = false;
    bool attached = false;
    std::set<message_seq> pending;
    message_seq next_new = 1;

    unsigned chance(unsigned n) { return static_cast<unsigned>(random() % n); }

    void open()
    {
        decoder.emplace(encoding::frames, limits{});
        out.clear();
        refusing = attached = false;
        pending.clear();
        say(notice::welcome{});
    }

    void say(notice::any const& n) { out += encode(n, encoding::frames)->view(); }

    void take(std::string_view bytes)
    {
        decoder->feed(bytes);
        while (auto next = decoder->next())
            handle(next->operation);
        deliver();
    }

    void handle(op::any const& o)
    {
        if (auto const* hello = std::get_if<op::hello>(&o)) {
            notice::welcome w;
            w.id = hello->id;
            w.has_last = true;
            w.last["S"] = highest_n;
            say(w);
        } else if (auto const* p = std::get_if<op::publish>(&o)) {
            publish(*p);
        } else if (auto const* post = std::get_if<op::post>(&o)) {
            publish({post->message, 0});  // one log will do: what is promised of both is the same
        } else if (auto const* c = std::get_if<op::consume>(&o)) {
            attached = true;
            // Everything that is not acknowledged comes again, lowest first.
            next_new = 1;
            say(notice::ok{c->id, {}, 0, false, {}});
        } else if (auto const* a = std::get_if<op::ack>(&o)) {
            for (auto const seq : a->seqs)
                if (pending.erase(seq) != 0)
                    acked.insert(seq);
            if (!a->id.empty())
                say(notice::ok{a->id, {}, 0, false, {}});
        } else if (auto const* ping = std::get_if<op::ping>(&o)) {
            refusing = false;
            say(notice::pong{ping->id});
        }
    }

    void publish(op::publish const& p)
    {
        std::string const id{p.message->id()};
        if (p.n == 0) {
            if (auto const found = by_id.find(id); found != by_id.end()) {
                say(notice::ok{id, "S", found->second, true, {}});
                return;
            }
        } else if (p.n <= highest_n) {
            say(notice::stored{"S", highest_n, log.size()});
            return;
        }
        if (refusing || chance(20) == 0) {
            refusing = true;
            say(notice::error{id, error_code::store_full, "full", {}});
            return;
        }
        log.push_back(std::string{p.message->body()});
        if (p.n == 0) {
            by_id[id] = log.size();
            say(notice::ok{id, "S", log.size(), false, {}});
        } else {
            highest_n = p.n;
            say(notice::stored{"S", p.n, log.size()});
        }
    }

    void deliver()
    {
        for (; attached && next_new <= log.size() && pending.size() < 4; ++next_new) {
            if (acked.contains(next_new))
                continue;
            pending.insert(next_new);
            notice::msg m;
            m.subject = "a";
            m.from = "u/n";
            m.stream = "S";
            m.consumer = "c";
            m.seq = next_new;
            m.tries = 1;
            m.body = log[next_new - 1];
            say(m);
        }
    }
};

void run(std::uint64_t seed, bool numbered)
{
    std::mt19937_64 random{seed};
    server srv{random};
    session_options o;
    o.node = "n";
    o.seed = seed;
    o.retry_ms = 100'000'000;
    session s{o};
    std::uint64_t now = 1;
    int const total = 40;
    int submitted = 0;
    std::map<std::string, int> answered;
    std::vector<std::string> shown;
    std::vector<message_seq> in_hand;
    bool up = false;
    auto const chance = [&](unsigned n) { return static_cast<unsigned>(random() % n); };

    REQUIRE(s.submit([] {
        op::consume c;
        c.stream = "S";
        c.consumer = "c";
        return c;
    }()));

    auto const program = [&] {
        for (auto& n : s.take_notices()) {
            if (auto const* ok = std::get_if<notice::ok>(&n))
                ++answered[ok->id];
            else if (auto const* m = std::get_if<notice::msg>(&n)) {
                shown.push_back(m->body);
                in_hand.push_back(m->seq);
            } else if (std::holds_alternative<notice::error>(n))
                FAIL("the program was told of an error");
        }
    };
    int steps = 0;
    auto const done = [&] {
        return submitted == total && shown.size() == static_cast<std::size_t>(total) && in_hand.empty() && s.idle() &&
               srv.acked.size() == static_cast<std::size_t>(total);
    };
    for (; steps < 20'000 && !done(); ++steps) {
        now += chance(50);
        switch (chance(8)) {
        case 0:
            if (submitted < total) {
                auto const name = std::to_string(++submitted);
                auto m = message::make({"a", numbered ? "" : name, {}, {}, name});
                if (numbered)
                    REQUIRE(s.submit_numbered("S", {std::move(m), 0}));
                else if (chance(3) == 0)
                    REQUIRE(s.submit(op::post{{"alice"}, std::move(m)}));
                else
                    REQUIRE(s.submit(op::publish{std::move(m), 0}));
            }
            break;
        case 1:
            if (!in_hand.empty()) {
                op::ack a;
                a.stream = "S";
                a.consumer = "c";
                auto const i = chance(static_cast<unsigned>(in_hand.size()));
                a.seqs = {in_hand[i]};
                in_hand.erase(in_hand.begin() + i);
                REQUIRE(s.submit(a));
            }
            break;
        case 2:
            if (!up) {
                up = true;
                srv.open();
                s.link_up(now);
            } else if (chance(6) == 0) {
                // The link breaks: some of what each side wrote arrives, cut anywhere.
                std::string bytes;
                s.fill(bytes, 1 + chance(4'000), now);
                srv.take(std::string_view{bytes}.substr(0, random() % (bytes.size() + 1)));
                REQUIRE(s.receive(std::string_view{srv.out}.substr(0, random() % (srv.out.size() + 1)), now));
                up = false;
                s.link_down(now);
                program();
            }
            break;
        case 3:
        case 4:
            if (up) {
                std::string bytes;
                s.fill(bytes, 1 + chance(500), now);
                srv.take(bytes);
            }
            break;
        case 5:
        case 6:
            if (up && !srv.out.empty()) {
                auto const n = 1 + random() % srv.out.size();
                REQUIRE(s.receive(std::string_view{srv.out}.substr(0, n), now));
                srv.out.erase(0, n);
                program();
            }
            break;
        case 7:
            REQUIRE(s.tick(now));
            break;
        }
    }
    INFO("seed " << seed << (numbered ? " numbered" : "") << ", steps " << steps << ", stored " << srv.log.size() << ", shown "
                 << shown.size() << ", acked " << srv.acked.size());
    REQUIRE(done());
    REQUIRE(srv.log.size() == static_cast<std::size_t>(total));
    for (int i = 0; i < total; ++i) {
        REQUIRE(srv.log[static_cast<std::size_t>(i)] == std::to_string(i + 1));
        REQUIRE(shown[static_cast<std::size_t>(i)] == std::to_string(i + 1));
        if (!numbered)
            REQUIRE(answered[std::to_string(i + 1)] == 1);
    }
}

}  // namespace

TEST_CASE("links that break anywhere: each message stored once, in order, shown once, acknowledged")
{
    for (std::uint64_t seed = 1; seed <= 1'500; ++seed) {
        run(seed, false);
        run(seed, true);
    }
}
