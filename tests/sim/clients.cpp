#include "tests/sim/clients.hpp"

#include <algorithm>

#include "router/protocol/subject.hpp"

namespace kedge::sim {

void client::tell(world& w, op::any what, std::size_t bytes)
{
    if (auto* const at = line(w))
        w.send(*at, std::move(what), bytes);
}

void client::poll(world& w, random_source& random)
{
    while (auto* const at = link_ == link_id{} ? nullptr : line(w)) {
        auto const n = w.read(*at);
        if (!n)
            return;
        hear(w, random, *n);
    }
    if (link_ != link_id{}) {
        link_ = {};
        lost();
    }
}

void client::turn(world& w, random_source& random)
{
    poll(w, random);
    act(w, random);
}

void client::drop(world& w)
{
    if (auto* const at = line(w))
        w.drop(*at);
    link_ = {};
    lost();
}

// --- reliable_publisher ----------------------------------------------------------------------------------------------------

reliable_publisher::reliable_publisher(std::string user, by how, std::vector<std::string> subjects, std::size_t messages)
    : client{std::move(user)}, how_{how}, subjects_{std::move(subjects)}, left_{messages}
{
}

void reliable_publisher::publish(world& w, std::size_t number)
{
    auto const& m = w.watch.messages.at(number);
    tell(w, op::publish{m.message, m.n}, 60 + m.message->body().size());
}

void reliable_publisher::resend(world& w)
{
    for (auto const number : unanswered_)
        publish(w, number);
    state_ = state::working;
}

void reliable_publisher::act(world& w, random_source& random)
{
    if (state_ == state::away) {
        connect(w);
        tell(w, op::hello{"hello", "pub", "sim", false, false});
        state_ = state::greeting;
    }
    for (auto count = random.between(1, 3); count != 0 && state_ == state::working && left_ != 0 && unanswered_.size() < 8; --count) {
        message::parts parts;
        parts.subject = random.pick(subjects_);
        auto const next = w.watch.messages.made();
        std::string const id = "r" + std::to_string(next);
        if (how_ == by::id)
            parts.id = id;
        unanswered_.push_back(
            w.watch.messages.make(parts, how_ == by::n ? next + 1 : 0, user_, random.below(random.percent(10) ? 2000 : 100)));
        publish(w, unanswered_.back());
        --left_;
    }
}

void reliable_publisher::hear(world& w, random_source&, notice::any const& n)
{
    auto const forget = [&](auto const& is_answered) { std::erase_if(unanswered_, is_answered); };
    auto const stream_is = [&](std::size_t number, std::string const& name) {
        auto const& messages = w.watch.messages;
        auto const stream = messages.stream_for(w.watch.messages.at(number).message->subject());
        return messages.logs().at(stream).config.name == name;
    };
    if (auto const* const welcome = std::get_if<notice::welcome>(&n)) {
        if (welcome->id.empty())
            return;
        for (auto const& [stream, last] : welcome->last)
            forget([&](std::size_t number) {
                return how_ == by::n && w.watch.messages.at(number).n <= last && stream_is(number, stream);
            });
        resend(w);
    } else if (auto const* const ok = std::get_if<notice::ok>(&n)) {
        forget([&](std::size_t number) { return w.watch.messages.at(number).message->id() == ok->id; });
    } else if (auto const* const stored = std::get_if<notice::stored>(&n)) {
        forget([&](std::size_t number) { return w.watch.messages.at(number).n <= stored->n && stream_is(number, stored->stream); });
    } else if (auto const* const error = std::get_if<notice::error>(&n)) {
        if (!sticks_to_stream(error->code))
            throw violation{user_ + " did everything right and is told " + std::string{wire_word(error->code)} + ": " + error->message};
        if (state_ == state::working) {
            state_ = state::recovering;
            ping_ = next_id("ping");
            tell(w, op::ping{ping_});
        }
    } else if (auto const* const pong = std::get_if<notice::pong>(&n)) {
        if (state_ == state::recovering && pong->id == ping_)
            resend(w);
    }
}

bool reliable_publisher::finish(world& w, random_source& random)
{
    turn(w, random);
    return left_ == 0 && unanswered_.empty() && state_ == state::working;
}

// --- exact_consumer --------------------------------------------------------------------------------------------------------

exact_consumer::exact_consumer(std::string user, std::string stream, std::string consumer, std::string filter)
    : client{std::move(user)}, stream_{std::move(stream)}, consumer_{std::move(consumer)}, filter_{std::move(filter)}
{
}

void exact_consumer::act(world& w, random_source& random)
{
    if (link_ == link_id{}) {
        connect(w);
        // The node makes sure that the last link is not served any more.
        tell(w, op::hello{"hello", "con", "sim", false, false});
        op::consume c;
        c.id = next_id("consume");
        c.stream = stream_;
        c.consumer = consumer_;
        if (!filter_.empty())
            c.filter = filter_;
        c.start.at = op::start_position::kind::first;
        c.window = random.between(1, 16);
        c.ack_wait_ms = 3'600'000;
        tell(w, std::move(c));
    }
    if (random.percent(50))
        ack(w, random);
}

void exact_consumer::ack(world& w, random_source& random)
{
    if (to_ack_.empty())
        return;
    op::ack a;
    a.consumer = consumer_;
    if (random.percent(40))
        a.id = next_id("ack");
    if (random.percent(50))
        a.upto = to_ack_.back();
    else
        a.seqs = to_ack_;
    to_ack_.clear();
    tell(w, std::move(a));
}

void exact_consumer::hear(world& w, random_source&, notice::any const& n)
{
    if (auto const* const m = std::get_if<notice::msg>(&n)) {
        if (m->seq > last_) {
            auto const& log = w.watch.messages.log_of(stream_);
            for (auto seq = last_ + 1; seq < m->seq; ++seq)
                if (!log.is_gone(seq) && (filter_.empty() || matches(filter_, log.rows[seq - 1].message->subject())))
                    throw violation{user_ + " acts on seq " + std::to_string(m->seq) + " of " + stream_ + " without having had "
                                    + std::to_string(seq)};
            last_ = m->seq;
        }
        to_ack_.push_back(m->seq);
    } else if (auto const* const error = std::get_if<notice::error>(&n)) {
        if (error->id.starts_with("ack") && outcome_unknown(error->code))
            return;  // it stays pending or it does not: both are fine
        if (error->id.starts_with("consume") && outcome_unknown(error->code))
            drop(w);  // and comes back
        else
            throw violation{user_ + " did everything right and is told " + std::string{wire_word(error->code)} + ": " + error->message};
    }
}

bool exact_consumer::finish(world& w, random_source& random)
{
    turn(w, random);
    ack(w, random);
    return true;
}

// --- drainer -----------------------------------------------------------------------------------------------------------------

drainer::drainer(std::string user, std::string stream, std::string consumer)
    : client{std::move(user)}, stream_{std::move(stream)}, consumer_{std::move(consumer)}
{
}

void drainer::hear(world& w, random_source&, notice::any const& n)
{
    if (auto const* const m = std::get_if<notice::msg>(&n)) {
        op::ack a;
        a.consumer = consumer_;
        a.seqs = {m->seq};
        tell(w, std::move(a));
    }
}

bool drainer::finish(world& w, random_source& random)
{
    if (link_ == link_id{}) {
        connect(w);
        op::consume c;
        c.id = "drain";
        c.stream = stream_;
        c.consumer = consumer_;
        c.window = 32;
        tell(w, std::move(c));
    }
    poll(w, random);
    return true;
}

}  // namespace kedge::sim
