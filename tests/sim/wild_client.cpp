// The client that does anything.
#include <algorithm>

#include "tests/sim/clients.hpp"

namespace kedge::sim {

namespace {

std::vector<std::string> const patterns{"p.>", "p.a", "p.*", "d.>", "d.a", "*.a", ">", "e.*", "$sys.>", "inbox.w0"};
std::vector<std::string> const subjects{"p.a", "p.b", "p.a.b", "d.a", "d.a", "d.b.c", "e.q", "e.x.y", "q.z", "$sys.x", "inbox.w0"};
std::vector<std::string> const groups{"", "", "g1", "g2"};
std::vector<std::string> const filters{"", "", "d.a", "d.>", "e.*", "p.a"};

}  // namespace

void wild_client::lost()
{
    subscribed_.clear();
    held_.clear();
    named_ = false;
}

void wild_client::act(world& w, random_source& random)
{
    if (link_ == link_id{}) {
        if (random.percent(50))
            return;
        connect(w);
        if (random.percent(60)) {
            tell(w, op::hello{next_id("hello"), "n" + std::to_string(random.below(3)), "sim", false, false});
            named_ = true;
        }
        return;
    }
    auto const die = random.below(100);
    if (die < 12) {
        op::subscribe s{next_id("sub"), random.pick(patterns), random.pick(groups)};
        subscribed_.push_back(s);
        tell(w, std::move(s));
    } else if (die < 16) {
        if (!subscribed_.empty()) {
            auto const& s = random.pick(subscribed_);
            tell(w, op::unsubscribe{next_id("unsub"), s.pattern, s.group});
        }
    } else if (die < 55) {
        publish(w, random);
    } else if (die < 63) {
        consume(w, random);
    } else if (die < 86) {
        answer_delivery(w, random);
    } else if (die < 91) {
        tell(w, op::ping{random.percent(80) ? next_id("ping") : std::string{}});
    } else if (die < 93) {
        op::who q;
        q.id = next_id("who");
        q.what = static_cast<op::who::kind>(random.below(5));
        tell(w, std::move(q));
    } else if (die < 95) {
        op::malformed m;
        m.id = random.percent(50) ? next_id("bad") : std::string{};
        m.subject = random.percent(50) ? random.pick(subjects) : std::string{};
        m.why = {error_code::bad_request, "simulated"};
        tell(w, std::move(m));
    } else if (die < 96) {
        op::call c;
        message::parts parts;
        std::string const id = next_id("call");
        parts.id = id;
        c.message = w.watch.messages.at(w.watch.messages.make(parts, 0, {}, 0)).message;
        c.service = "s";
        c.method = "m";
        tell(w, std::move(c));
    } else {
        end(w, random);
    }
}

void wild_client::publish(world& w, random_source& random)
{
    auto& messages = w.watch.messages;
    if (!published_.empty() && random.percent(20)) {  // the same once more
        auto const& m = messages.at(random.pick(published_));
        tell(w, op::publish{m.message, m.n}, 60 + m.message->body().size());
        return;
    }
    message::parts parts;
    std::string id;
    std::uint64_t n = 0;
    parts.subject = random.pick(subjects);
    if (!published_.empty() && random.percent(5)) {  // another message under an old id
        auto const& old = *messages.at(random.pick(published_)).message;
        id = old.id();
        parts.subject = old.subject();
    } else if (random.percent(60)) {
        id = "m" + std::to_string(messages.made());
    } else if (named_ && random.percent(30)) {
        n = messages.made() + 1;
    }
    parts.id = id;
    if (random.percent(10))
        parts.reply_to = "q.reply";
    if (random.percent(10))
        parts.headers = R"({"Kind":"wild"})";
    auto const number = messages.make(parts, n, {}, random.below(random.percent(10) ? 2000 : 100));
    if (!id.empty())
        published_.push_back(number);
    auto const& m = messages.at(number);
    tell(w, op::publish{m.message, m.n}, 60 + m.message->body().size());
}

void wild_client::consume(world& w, random_source& random)
{
    op::consume c;
    c.id = next_id("consume");
    c.stream = random.percent(95) ? random.pick(w.plan.streams).name : "NONE";
    c.consumer = "c" + std::to_string(random.below(3)) + c.stream;
    if (random.percent(30))
        c.filter = random.pick(filters);
    c.start.at = static_cast<op::start_position::kind>(random.below(4));
    if (c.start.at == op::start_position::kind::seq)
        c.start.value = random.between(1, 30);
    if (c.start.at == op::start_position::kind::time)
        c.start.value = w.now.wall_ms - random.below(100'000);
    if (random.percent(80))
        c.window = random.between(1, 8);
    // Mostly the same for one name, or hardly anybody could attach.
    c.ack_wait_ms = random.percent(90) ? 1000 + 1000 * (c.consumer[1] - '0') : 5000;
    c.max_deliver = random.percent(90) ? (c.consumer[1] - '0') * 2 : 1;
    auto const consumer = c.consumer;
    tell(w, std::move(c));
    if (random.percent(10)) {  // without waiting for the answer
        tell(w, op::detach{next_id("detach"), consumer, {}});
        if (random.percent(20))
            tell(w, op::quit{});
    }
}

void wild_client::answer_delivery(world& w, random_source& random)
{
    if (held_.empty())
        return;
    auto const at = random.percent(70) ? 0 : random.below(held_.size());
    auto const h = held_[at];
    auto const id = random.percent(40) ? next_id("done") : std::string{};
    auto const die = random.below(100);
    bool keep = false;
    if (die < 45) {
        op::ack a;
        a.id = id;
        a.consumer = h.consumer;
        a.seqs = {h.seq};
        if (random.percent(20))
            a.seqs.push_back(random.between(1, 50));  // perhaps not ours
        tell(w, std::move(a));
    } else if (die < 60) {
        op::ack a;
        a.id = id;
        a.consumer = h.consumer;
        a.upto = h.seq;
        tell(w, std::move(a));
    } else if (die < 75) {
        tell(w, op::nak{id, h.consumer, {}, h.seq, random.percent(50) ? 0 : random.between(1, 5000)});
        keep = random.percent(20);  // and a late ack
    } else if (die < 82) {
        tell(w, op::working{id, h.consumer, {}, h.seq});
        keep = true;
    } else if (die < 88) {
        tell(w, op::term{id, h.consumer, {}, h.seq, "simulated"});
    } else if (die < 93) {
        tell(w, op::detach{id, h.consumer, {}});
        keep = random.percent(50);
    }  // else it is forgotten: the ack wait will be over
    if (!keep)
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
}

void wild_client::end(world& w, random_source& random)
{
    switch (random.below(4)) {
    case 0: tell(w, op::quit{}); break;
    case 1:
        if (auto* const at = line(w))
            w.send_end_of_input(*at);
        break;
    case 2: drop(w); break;
    default: break;
    }
}

void wild_client::hear(world& w, random_source& random, notice::any const& n)
{
    if (auto const* const m = std::get_if<notice::msg>(&n)) {
        if (!m->consumer.empty())
            held_.push_back({m->stream, m->consumer, m->seq});
    } else if (auto const* const error = std::get_if<notice::error>(&n)) {
        if (sticks_to_stream(error->code) && random.percent(70))
            tell(w, op::ping{next_id("ping")});
    }
}

bool wild_client::finish(world& w, random_source& random)
{
    poll(w, random);
    return true;
}

}  // namespace kedge::sim
