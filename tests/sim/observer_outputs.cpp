// What the core says: each notice is checked against the models when it is made.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "router/protocol/encoding.hpp"
#include "tests/sim/observer.hpp"

namespace kedge::sim {

namespace {

// What a link may hold unsent beyond its bound: answers to what it was allowed to send meanwhile, and one delivery.
constexpr std::uint64_t unsent_slack = 256 * 1024;

[[noreturn]] void fail(link_model const& l, std::string const& what)
{
    throw violation{"link " + std::to_string(static_cast<std::uint64_t>(l.id)) + " of " + l.sender() + ": " + what};
}

std::string text_of(std::size_t number, message_seq seq)
{
    return "message " + std::to_string(number) + (seq ? " (seq " + std::to_string(seq) + ")" : std::string{});
}

}  // namespace

void observer::output(link_output::any const& made, instant now, std::vector<std::pair<link_id, heard>>& to_clients)
{
    auto* const l = model(made.link);
    if (!l)
        return;
    if (auto const* const data = std::get_if<link_output::data>(&made.what)) {
        if (l->closed)
            fail(*l, "something is said after the link was closed");
        l->handed += data->bytes->size();
        l->said(data->bytes->view(), [&](notice::any const& n) {
            journal_.add([&] { return "    -> " + describe(l->id, n); });
            if (!coarse_)
                hear(*l, n, now);
            if (talking_)
                talk.said(l->id, n, now);
            l->ended = l->ended || std::holds_alternative<notice::bye>(n);
            to_clients.emplace_back(l->id, heard{n, l->handed});
        });
        // Only deliveries are bounded by it; answers are by what the link may send without credit.
        if (l->handed - l->written > limits_.link_unsent_bytes + unsent_slack)
            fail(*l, "holds " + std::to_string(l->handed - l->written) + " unsent bytes");
    } else if (auto const* const credit = std::get_if<link_output::credit>(&made.what)) {
        l->credited += credit->bytes;
        if (l->credited > l->given)
            fail(*l, "was credited more than it sent");
    } else if (std::holds_alternative<link_output::close>(made.what)) {
        if (l->closed)
            fail(*l, "was closed twice");
        if (!l->ended && l->greeted)
            fail(*l, "was closed without a bye");
        l->closed = true;
    } else if (auto const* const answer = std::get_if<link_output::admin_answer>(&made.what)) {
        talk.answered(made.link, *answer);
    }
}

void observer::hear(link_model& l, notice::any const& n, instant now)
{
    if (l.ended)
        fail(l, "something is said after bye");
    if (auto const* const ok = std::get_if<notice::ok>(&n)) {
        auto const& a = l.answered(ok->id, std::nullopt, false, ok->dup);
        hear_ok(l, a, *ok, now);
        if (a.what == asked::kind::consume)
            take_held(l, now);
    } else if (auto const* const pong = std::get_if<notice::pong>(&n)) {
        auto const& expected = expected_[l.id];
        auto const& emitted = emitted_[l.id];
        for (auto i = emitted.size(); i < expected.size(); ++i)
            if (expected[i].own)
                fail(l, "a pong overtakes " + text_of(expected[i].number, expected[i].seq) + ", which the link published before");
        l.ponged(pong->id);
    } else if (auto const* const error = std::get_if<notice::error>(&n)) {
        if (error->id.empty())
            return;
        auto const& a = l.answered(error->id, error->code);
        if (a.what == asked::kind::publish) {
            if (!outcome_unknown(error->code))
                messages.refused(a.number);
            if (a.stream == stream_id{} && may_publish(l, messages.at(a.number).message->subject()))
                fail(l, "plain publish " + a.id + " is refused: " + error->message);
        } else if (a.what == asked::kind::consume) {
            take_held(l, now);
        }
    } else if (auto const* const stored = std::get_if<notice::stored>(&n)) {
        l.stored(*stored);
        messages.stored(l.sender(), *stored);
    } else if (auto const* const welcome = std::get_if<notice::welcome>(&n)) {
        hear_welcome(l, *welcome);
    } else if (auto const* const reply = std::get_if<notice::reply>(&n)) {
        if (l.answered(reply->id, std::nullopt).what != asked::kind::who)
            fail(l, "a reply to what is no question");
        if (!nlohmann::json::accept(reply->body))
            fail(l, "`who` is answered by what is no JSON");
    } else if (auto const* const msg = std::get_if<notice::msg>(&n)) {
        hear_msg(l, *msg, now);
    } else if (std::holds_alternative<notice::bye>(n)) {
        l.ended = true;
        let_go(l, std::nullopt);
    }
}

void observer::hear_ok(link_model& l, asked const& a, notice::ok const& ok, instant now)
{
    switch (a.what) {
    case asked::kind::publish:
        messages.acknowledged(a.number, l.sender(), !l.node.empty(), ok);
        if (a.stream == stream_id{} && !may_publish(l, messages.at(a.number).message->subject()))
            fail(l, "may not publish that, but did");
        break;
    case asked::kind::consume: {
        auto* const c = consumer(a.extra, a.name);
        if (!c)
            fail(l, "`ok` to consume, but the store knows no such consumer");
        if (l.finishing)
            break;
        c->attached(l.id, a.window ? a.window : 256);
        c->ticked(now, batch_);  // what has expired meanwhile is for the link that comes
        break;
    }
    case asked::kind::ack:
        if (auto* const c = consumer(a.extra, a.name))
            c->committed(a.seqs);
        break;
    case asked::kind::hello:
    case asked::kind::who:
    case asked::kind::ping:
        fail(l, a.id + " is answered by `ok`");
    case asked::kind::subscribe: {
        link_model::subscription const wanted{a.name, a.extra};
        if (std::find(l.subscriptions.begin(), l.subscriptions.end(), wanted) == l.subscriptions.end())
            l.subscriptions.push_back(wanted);
        break;
    }
    case asked::kind::unsubscribe:
        std::erase(l.subscriptions, link_model::subscription{a.name, a.extra});
        break;
    case asked::kind::other:
        break;
    }
}

void observer::hear_welcome(link_model& l, notice::welcome const& w)
{
    ++l.welcomes;
    if (w.user != l.who->user || w.session != l.who->session)
        fail(l, "is welcomed as somebody else");
    if (l.welcomes == 1) {
        if (w.has_last || !w.node.empty())
            fail(l, "the first welcome knows a node");
        return;
    }
    auto const& a = l.answered(w.id, std::nullopt);
    if (a.what != asked::kind::hello || l.welcomes != 2)
        fail(l, "a welcome that nobody asked for");
    l.node = w.node;
    if (w.node != a.name)
        fail(l, "is welcomed as node " + w.node);
    for (auto const& [other_id, other] : links_)
        if (other_id != l.id && !other.ended && !l.node.empty() && other.sender() == l.sender())
            fail(l, "has taken a node that link " + std::to_string(static_cast<std::uint64_t>(other_id)) + " still bears");
    for (auto const& [id, log] : messages.logs()) {
        auto const told = w.last.find(log.config.name);
        auto const n = told == w.last.end() ? 0 : told->second;
        if (n < messages.told_n(l.sender(), id) || n > messages.highest_n(l.sender(), id))
            fail(l, "welcome says n " + std::to_string(n) + " of " + log.config.name + ", the log holds "
                        + std::to_string(messages.highest_n(l.sender(), id)));
    }
}

void observer::hear_msg(link_model& l, notice::msg const& m, instant now)
{
    ++deliveries_;
    if (!m.consumer.empty()) {
        auto* const c = consumer(m.stream, m.consumer);
        if (!c)
            fail(l, "a delivery of a consumer that does not exist");
        c->delivered(l.id, m, l.handed, now, batch_);
        return;
    }
    if (m.from == "$sys")
        return;
    auto const& source = messages.of(m.body);
    if (m.subject != source.message->subject() || m.pub_id != source.message->id() || m.headers != source.message->headers()
        || m.reply_to != source.message->reply_to() || m.body != source.message->body() || m.tries != 0)
        fail(l, text_of(source.number, m.seq) + " is delivered with other contents than were published");
    if (m.group.empty()) {
        emitted_[l.id].push_back({source.number, m.seq, false, m.from});
        return;
    }
    // Groups are checked off at the end of the batch: its members' turn may come before the event is noted here.
    emitted_groups_.push_back({m.group, {source.number, m.seq, false, m.from}, {l.id}});
}

void observer::end_batch(instant now)
{
    if (talking_)
        talk.end_batch(now);
    for (auto& [id, emitted] : emitted_)
        expected_[id];
    for (auto const& [id, expected] : expected_) {
        auto const* const l = find(id);
        auto const& emitted = emitted_[id];
        bool const may_lack = !l || l->ended || l->finishing;
        std::size_t at = 0;
        for (auto const& e : emitted) {
            while (may_lack && at < expected.size() && (expected[at].number != e.number || expected[at].seq != e.seq))
                ++at;
            if (at == expected.size())
                throw violation{"link " + std::to_string(static_cast<std::uint64_t>(id)) + " is sent " + text_of(e.number, e.seq)
                                + " once more, out of order, or without a subscription"};
            if (expected[at].number != e.number || expected[at].seq != e.seq || expected[at].from != e.from)
                throw violation{"link " + std::to_string(static_cast<std::uint64_t>(id)) + " is sent " + text_of(e.number, e.seq)
                                + " from " + e.from + ", where " + text_of(expected[at].number, expected[at].seq) + " from "
                                + expected[at].from + " was due"};
            ++at;
        }
        if (at != expected.size() && !may_lack)
            throw violation{"link " + std::to_string(static_cast<std::uint64_t>(id)) + " subscribes, but is not sent "
                            + text_of(expected[at].number, expected[at].seq)};
    }
    for (auto const& wanted : expected_groups_) {
        auto const got = std::find_if(emitted_groups_.begin(), emitted_groups_.end(), [&](auto const& e) {
            return e.group == wanted.group && e.what.number == wanted.what.number && e.what.seq == wanted.what.seq;
        });
        bool const may_lack = std::any_of(wanted.members.begin(), wanted.members.end(), [&](link_id id) {
            auto const* const l = find(id);
            return !l || l->ended || l->finishing;
        });
        if (got == emitted_groups_.end()) {
            if (may_lack)
                continue;
            throw violation{"nobody of group " + wanted.group + " is sent " + text_of(wanted.what.number, wanted.what.seq)};
        }
        if (std::find(wanted.members.begin(), wanted.members.end(), got->members.front()) == wanted.members.end())
            throw violation{"group " + wanted.group + ": " + text_of(wanted.what.number, wanted.what.seq)
                            + " is sent to a link that is no member"};
        emitted_groups_.erase(got);
    }
    if (!emitted_groups_.empty())
        throw violation{"group " + emitted_groups_.front().group + " is sent "
                        + text_of(emitted_groups_.front().what.number, emitted_groups_.front().what.seq) + " twice or unasked"};
    expected_.clear();
    emitted_.clear();
    expected_groups_.clear();
}

void observer::check_answered() const
{
    if (talking_)
        talk.check_answered();
    for (auto const& [id, l] : links_) {
        if (l.ended)
            continue;
        if (!coarse_ && !l.all_answered())
            fail(l, l.first_unanswered() + " was never answered");
        if (l.credited != l.given)
            fail(l, "was credited " + std::to_string(l.credited) + " of " + std::to_string(l.given) + " bytes");
    }
}

void observer::check_settled(std::vector<std::string> const& drained) const
{
    check_answered();
    for (auto const& [key, c] : consumers_)
        if (!coarse_ && std::find(drained.begin(), drained.end(), key.second) != drained.end())
            c.check_drained();
    messages.check_all_reliable_stored();
}

std::string observer::describe(link_id id, notice::any const& n) const
{
    auto const& l = links_.at(id);
    std::string text = "link " + std::to_string(static_cast<std::uint64_t>(id)) + " (" + l.sender() + "): ";
    auto const bytes = encode(n, encoding::lines);
    text.append(bytes->view().substr(0, std::min<std::size_t>(bytes->size() - 1, 300)));
    return text;
}

}  // namespace kedge::sim
