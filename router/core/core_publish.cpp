// Publishing: routes, plain deliveries, and answers in their turn.

#include <algorithm>

#include "router/core/core.hpp"

namespace kedge {

namespace {

// Of the cache, in subjects and in targets: many subjects times many subscribers would not be bounded by the first alone.
constexpr std::size_t routes_max = 65'536;
constexpr std::size_t route_targets_max = 1'000'000;

}  // namespace

stream* core::stream_of(std::string_view subject)
{
    stream* found = nullptr;
    stream_index_.match(subject, [&](stream* s) {
        found = s;
    });
    return found;
}

route& core::route_for(std::string_view subject)
{
    auto at = routes_.find(subject);
    if (at != routes_.end() && at->second->generation == generation_)
        return *at->second;
    if (route_targets_ >= route_targets_max || (at == routes_.end() && routes_.size() >= routes_max)) {
        routes_.clear();
        route_targets_ = 0;
        ++generation_;  // links remember routes that are gone now
        at = routes_.end();
    }
    if (at == routes_.end())
        at = routes_.emplace(std::string{subject}, std::make_unique<route>()).first;
    auto& r = *at->second;
    r.generation = generation_;
    route_targets_ -= r.targets();
    r.of = stream_of(subject);
    r.links.clear();
    r.groups.clear();
    subscribers_.match(subject, [&](subscriber const& s) {
        if (!s.group) {
            r.links.push_back(s.at);
            return;
        }
        auto known = std::find_if(r.groups.begin(), r.groups.end(), [&](auto const& g) { return g.group == s.group; });
        if (known == r.groups.end())
            known = r.groups.insert(r.groups.end(), {s.group, {}});
        known->links.push_back(s.at);
    });
    auto const once = [](std::vector<link*>& links) {
        std::sort(links.begin(), links.end(), [](link* a, link* b) { return a->id < b->id; });
        links.erase(std::unique(links.begin(), links.end()), links.end());
    };
    once(r.links);
    for (auto& g : r.groups)
        once(g.links);
    route_targets_ += r.targets();
    return r;
}

void core::deliver_plain(route& to, msg_view what, actions& out)
{
    std::array<bytes_ptr, 2> encoded;  // once for each encoding, whatever the number of subscribers
    auto const hand = [&](link& l, bytes_ptr bytes) {
        if (l.closed)
            return;
        if (l.unsent() + bytes->size() > config_.limits.link_unsent_bytes && l.unsent() > 0) {
            slow_.push_back(l.id);
            return;
        }
        counts_.delivered.add_alone();
        send(l, std::move(bytes), out);
    };
    for (auto* const l : to.links) {
        auto& bytes = encoded[static_cast<std::size_t>(l->form)];
        if (!bytes)
            bytes = encode(what, l->form);
        hand(*l, bytes);
    }
    for (auto& g : to.groups) {
        what.group = g.group->name;
        auto& l = *g.links[g.group->turn++ % g.links.size()];
        hand(l, encode(what, l.form));
    }
}

void core::publish(link& l, op::publish&& what, std::size_t bytes, instant now, actions& out)
{
    auto const subject = what.message->subject();
    // Pipelined publishes mostly repeat their subject: then nothing is looked up.
    auto* to = l.last_route;
    if (!to || l.last_route_generation != generation_ || what.message->subject() != l.last_subject) {
        if (!what.n && reply_by_publish(l, *what.message, out)) {
            credit(l, bytes);
            return;
        }
        to = &route_for(subject);
        auto const decision = l.access->may_publish(subject);
        if (!decision.allowed) {
            l.last_route = nullptr;
            refuse_publish(l, to->of, what.message->id(), {error_code::denied, decision.why}, bytes, out, what.n);
            return;
        }
        l.last_route = to;
        l.last_route_generation = generation_;
        l.last_subject = subject;
    }
    if (what.n && !l.node) {
        refuse_publish(l, to->of, {}, {error_code::bad_request, "a publish with n needs a node: say hello with one first"}, bytes,
                       out, what.n);
        return;
    }
    if (to->of) {
        publish_durable(l, *to->of, std::move(what), bytes, now, out);
        return;
    }
    if (what.n) {
        refuse_publish(l, nullptr, {}, {error_code::bad_request, "a publish with n needs a stream, and none stores " + std::string{subject}},
                       bytes, out, what.n);
        return;
    }
    if (draining_) {
        refuse_publish(l, nullptr, what.message->id(), {error_code::draining, "the server is about to stop"}, bytes, out);
        return;
    }
    counts_.published.add_alone();
    auto const& m = *what.message;
    if (!to->links.empty() || !to->groups.empty()) {
        msg_view view;
        view.subject = subject;
        view.from = l.sender->view();
        view.time_ms = now.wall_ms;
        view.pub_id = m.id();
        view.reply_to = m.reply_to();
        view.headers = m.headers();
        view.body = m.body();
        deliver_plain(*to, view, out);
    }
    if (!m.id().empty())
        send(l, encode_ok(m.id(), {}, 0, false, l.form), out);
    credit(l, bytes);
}

// --- Answers in their turn -------------------------------------------------------------------------------------------

stream_answers& core::answers_for(link& l, stream_id id)
{
    if (auto* const known = l.answers_of(id))
        return *known;
    auto& added = l.answers.emplace_back();
    added.stream = id;
    return added;
}

void core::answer_in_turn(link& l, stream_id id, bytes_ptr answer, std::size_t bytes, actions& out)
{
    auto& turn = answers_for(l, id);
    ++l.unanswered;
    turn.slots.push_back({token::none, std::move(answer), bytes});
    flush_answers(l, turn, out);
}

void core::flush_answers(link& l, stream_answers& turn, actions& out)
{
    while (!turn.slots.empty() && turn.slots.front().request == token::none) {
        auto slot = std::move(turn.slots.front());
        turn.slots.pop_front();
        if (slot.bytes) {
            tell_stored(l, turn.stream, out);  // it came before
            send(l, std::move(slot.bytes), out);
        }
        credit(l, slot.credit);
        answered(l);
    }
    if (!l.pongs.empty())
        answer_pongs(l, out);
}

void core::answer_slot(link_id id, stream_id of, token request, bytes_ptr answer, actions& out)
{
    auto* const l = find(id);
    if (!l)
        return;
    auto* const turn = l->answers_of(of);
    if (!turn)
        return;
    for (auto& slot : turn->slots)
        if (slot.request == request) {
            slot.request = token::none;
            slot.bytes = std::move(answer);
            break;
        }
    flush_answers(*l, *turn, out);
}

void core::refuse_publish(link& l, stream* s, std::string_view id, failure why, std::size_t bytes, actions& out, std::uint64_t n,
                          std::vector<std::string> unknown)
{
    auto answer = encode_error(l, id, why, s, n, std::move(unknown));
    if (s) {
        if (sticks_to_stream(why.code))
            answers_for(l, s->state.id).stuck = why.code;
        answer_in_turn(l, s->state.id, std::move(answer), bytes, out);
        return;
    }
    send(l, std::move(answer), out);
    credit(l, bytes);
}

void core::malformed(link& l, op::malformed&& what, std::size_t bytes, instant now, actions& out)
{
    bool const ends = ends_link(what.why.code);
    auto* const s = ends ? nullptr : what.post ? inbox_ : what.subject.empty() ? nullptr : stream_of(what.subject);
    auto const message = what.why.message;
    auto const code = what.why.code;
    refuse_publish(l, s, what.id, std::move(what.why), bytes, out);
    if (ends)
        end(l, code, message, wire_word(code), now, out);
}

std::uint64_t core::wait_for(link& l, stream_id id, token request, std::uint64_t epoch, std::size_t bytes)
{
    auto& turn = answers_for(l, id);
    turn.epoch = turn.slots.empty() ? epoch : std::min(turn.epoch, epoch);
    ++l.unanswered;
    turn.slots.push_back({request, nullptr, bytes});
    return turn.epoch;
}

}  // namespace kedge
