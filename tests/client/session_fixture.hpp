#pragma once
/// A client's session, and a server's end of the wire that does nothing by itself.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/lib/sansio/session.hpp"
#include "router/protocol/decoder.hpp"
#include "router/protocol/encoding.hpp"
#include "tests/catch.hpp"
#include "tests/client/printing.hpp"

namespace kedge::client_lib {

inline op::publish publish(std::string_view id, std::string_view body = "x", std::string_view subject = "a.b")
{
    return {message::make({subject, id, {}, {}, body}), 0};
}

inline op::consume consume(std::string id = {})
{
    op::consume c;
    c.id = std::move(id);
    c.stream = "S";
    c.consumer = "c";
    return c;
}

inline op::ack ack(std::vector<message_seq> seqs, std::string id = {})
{
    op::ack a;
    a.id = std::move(id);
    a.stream = "S";
    a.consumer = "c";
    a.seqs = std::move(seqs);
    return a;
}

inline notice::msg delivery(message_seq seq)
{
    notice::msg m;
    m.subject = "a.b";
    m.from = "u/n";
    m.stream = "S";
    m.consumer = "c";
    m.seq = seq;
    m.tries = 1;
    return m;
}

/// A session, and a server's end of the wire that does nothing by itself.
struct fixture {
    explicit fixture(std::string node = "n", session_options o = {}) : s{with_node(std::move(o), std::move(node))} {}

    static session_options with_node(session_options o, std::string node)
    {
        o.node = std::move(node);
        return o;
    }

    session s;
    std::uint64_t now = 1'000;

    /// Everything that the session wants to send now.
    std::vector<op::any> sent()
    {
        std::string bytes;
        s.fill(bytes, 1 << 24, now);
        operation_decoder d{encoding::frames, limits{}};
        d.feed(bytes);
        std::vector<op::any> all;
        while (auto next = d.next())
            all.push_back(std::move(next->operation));
        CHECK(d.empty());
        return all;
    }

    /// Each as a word: "pub 1", "sub a.>", "consume", "ack 1 2", …
    std::vector<std::string> said()
    {
        std::vector<std::string> words;
        for (auto const& o : sent()) {
            if (auto const* p = std::get_if<op::publish>(&o))
                words.push_back(p->n != 0 ? "pub #" + std::to_string(p->n) : "pub " + std::string{p->message->id()});
            else if (auto const* sub = std::get_if<op::subscribe>(&o))
                words.push_back("sub " + sub->pattern);
            else if (std::holds_alternative<op::unsubscribe>(o))
                words.push_back("unsub");
            else if (std::holds_alternative<op::consume>(o))
                words.push_back("consume");
            else if (std::holds_alternative<op::detach>(o))
                words.push_back("detach");
            else if (auto const* a = std::get_if<op::ack>(&o)) {
                std::string w = "ack";
                for (auto const seq : a->seqs)
                    w += ' ' + std::to_string(seq);
                words.push_back(w);
                last_ack = a->id;
            } else if (auto const* t = std::get_if<op::term>(&o))
                words.push_back("term " + std::to_string(t->seq));
            else if (std::holds_alternative<op::nak>(o))
                words.push_back("nak");
            else if (auto const* ping = std::get_if<op::ping>(&o))
                words.push_back("ping " + ping->id);
            else if (auto const* hello = std::get_if<op::hello>(&o))
                words.push_back(hello->inbox ? "hello inbox" : "hello");
            else if (auto const* post = std::get_if<op::post>(&o))
                words.push_back("post " + std::string{post->message->id()});
            else if (auto const* call = std::get_if<op::call>(&o))
                words.push_back("call " + std::string{call->message->id()});
            else if (auto const* reply = std::get_if<op::reply>(&o))
                words.push_back("reply " + reply->call);
            else if (auto const* serve = std::get_if<op::serve>(&o))
                words.push_back("serve " + serve->service);
            else if (std::holds_alternative<op::unserve>(o))
                words.push_back("unserve");
            else if (std::holds_alternative<op::quit>(o))
                words.push_back("quit");
            else
                words.push_back("other");
        }
        return words;
    }
    std::string last_ack;
    std::string greeting = "hello";

    void welcome(std::map<std::string, std::uint64_t> last = {})
    {
        notice::welcome w;
        w.id = "kedge~hello";
        w.last = std::move(last);
        w.has_last = true;
        hear(w);
    }
    void up(std::map<std::string, std::uint64_t> last = {})
    {
        s.link_up(now);
        REQUIRE(said() == std::vector<std::string>{greeting});
        hear(notice::welcome{});  // the server's first, before it knows the node
        welcome(std::move(last));
    }
    result<void> hear(notice::any n)
    {
        // Over the wire, so that the codec is in it.
        return s.receive(encode(n, encoding::frames)->view(), now);
    }
    /// Answers of the kind, by id.
    template <class Notice>
    std::vector<Notice> told()
    {
        std::vector<Notice> all;
        for (auto& n : s.take_notices())
            if (auto* x = std::get_if<Notice>(&n))
                all.push_back(std::move(*x));
        return all;
    }
};

using words = std::vector<std::string>;

}  // namespace kedge::client_lib
