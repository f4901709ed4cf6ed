// Durable publishes: on their way to the sequencer, and the rows that arrive.

#include <algorithm>

#include "router/core/core.hpp"
#include "router/core/digest.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

namespace {

std::string sentence_with_n(std::string const& stream, std::uint64_t n, std::string const& text)
{
    return n ? stream + " n " + std::to_string(n) + ": " + text : text;
}

}  // namespace

void core::publish_durable(link& l, stream& s, op::publish&& what, std::size_t bytes, instant now, actions& out,
                           std::vector<std::string> const* to)
{
    auto const id = what.message->id();
    auto const sid = s.state.id;
    auto const refuse = [&](error_code code, std::string text) {
        refuse_publish(l, &s, id, {code, sentence_with_n(s.name(), what.n, text)}, bytes, out, what.n);
    };
    if (auto const* const turn = l.answers_of(sid); turn && turn->stuck)
        return refuse(*turn->stuck, "an earlier publish to " + s.name() + " failed: send a ping, then all that was not answered ok again");
    if (draining_)
        return refuse(error_code::draining, "the server is about to stop");
    if (store_queue_bytes_ + what.message->cost() > config_.limits.store_queue_bytes && store_queue_bytes_ > 0)
        return refuse(error_code::unavailable, "too much waits for the store");

    std::uint64_t digest = 0;
    if (l.node && !id.empty()) {
        digest = to ? digest_of(*what.message, *to) : digest_of(*what.message);
        if (auto const* const known = window_.find(l.node->name, id, now.wall_ms)) {
            if (known->digest != digest || known->stream != sid)
                return refuse(error_code::exists, "the id " + std::string{id} + " was used for another message");
            counts_.duplicates.add_alone();
            return answer_in_turn(l, sid, encode_ok(id, s.name(), known->seq, true, l.form), bytes, out);
        }
        if (auto const under_way = l.node->in_flight.find(id); under_way != l.node->in_flight.end()) {
            if (under_way->second.digest != digest || under_way->second.stream != sid)
                return refuse(error_code::exists, "the id " + std::string{id} + " is used for another message");
            auto const request = next_token();
            auto& first = s.in_flight.at(under_way->second.request);
            first.same.push_back({l.id, request});
            wait_for(l, sid, request, first.epoch, bytes);
            return;
        }
    }
    auto* const progress = what.n ? &l.node->of(sid) : nullptr;
    if (progress && (what.n <= progress->submitted || is_early(l, *progress, *what.message, what.n, out))) {
        // Known already. What is stored is told once more at the end of the batch; what is under way, by its commit.
        if (what.n > progress->stored.n) {
            progress->resent_by = l.id;
            progress->resent = what.n;
        } else if (std::exchange(progress->told, false)) {
            stored_.emplace_back(l.node, sid);
        }
        counts_.duplicates.add_alone();
        credit(l, bytes);
        return;
    }
    if (auto why = over_stored_bytes(l, s, *what.message); !why.empty())
        return refuse(error_code::quota, std::move(why));
    bytes_ptr recipients;
    if (to) {
        auto whom = address(l, *to, *what.message);
        if (whom.why)
            return refuse_publish(l, &s, id, std::move(*whom.why), bytes, out, 0, std::move(whom.unknown));
        recipients = shared_bytes::copy_of(whom.recipients);
        mail_.sent(whom.recipients, row_bytes(*what.message));
    }
    auto epoch = s.epoch;
    std::uint64_t previous_n = 0;
    if (progress) {
        if (!progress->stored.early.empty())
            digest = digest_of(*what.message);  // it may come to be early itself
        // Behind what is under way, also of an earlier link of the node: it must not be stored if that is not.
        if (progress->submitted > progress->stored.n)
            epoch = progress->epoch;
        previous_n = std::exchange(progress->submitted, what.n);
    }

    auto const request = next_token();
    epoch = wait_for(l, sid, request, epoch, bytes);
    if (l.node) {
        ++l.node->flights;
        if (!id.empty())
            l.node->in_flight.emplace(id, node::flight{request, sid, digest});
        if (progress && std::exchange(progress->epoch, epoch) != epoch)
            progress->resent = 0;
    }
    auto& f = s.in_flight.emplace(request, stream::flight{l.id, l.node, what.message, what.n, previous_n, digest, epoch, {}, nullptr, recipients}).first->second;
    storing(s, f, l);
    store_queue_bytes_ += f.cost();
    counts_.store_queue_bytes.set(store_queue_bytes_);

    store_request::append append;
    append.request = request;
    append.stream = sid;
    append.epoch = epoch;
    append.time_ms = now.wall_ms;
    append.sender = l.sender;
    append.named = l.node != nullptr;
    append.n = what.n;
    append.previous_n = previous_n;
    append.digest = digest;
    append.message = std::move(what.message);
    append.recipients = std::move(recipients);
    out.appends.push_back(std::move(append));
}

msg_view core::view_of(stream const& s, row const& r, std::string_view subject)
{
    auto const& m = *r.message;
    msg_view view;
    view.subject = subject;
    view.from = r.sender->view();
    view.time_ms = r.time_ms;
    view.stream = s.name();
    view.seq = r.seq;
    view.pub_id = m.id();
    view.reply_to = m.reply_to();
    view.headers = m.headers();
    view.body = m.body();
    return view;
}

void core::rows_arrived(store_event::rows_arrived&& e, instant now, actions& out)
{
    auto const at = streams_.find(e.stream);
    if (at == streams_.end())
        return;
    auto& s = *at->second;
    store_trouble_.reset();
    for (auto& arrival : e.rows) {
        auto const& row = arrival.stored;
        auto const& m = *row.message;
        s.state.last = row.seq;
        s.state.last_ms = row.time_ms;
        ++s.state.messages;
        s.state.bytes += row_bytes(m);
        counts_.published_durable.add_alone();

        if (s.attached)
            s.newest.push(row, config_.limits.tail_bytes);
        if (row.recipients) {
            mail_arrived(s, row, now, out);
        } else {
            if (auto& to = route_for(m.subject()); !to.links.empty() || !to.groups.empty())
                deliver_plain(to, view_of(s, row, m.subject()), out);
            if (s.attached)
                s.active.match(m.subject(), [&](consumer* c) { offer(*c, row, now, out); });
        }

        auto const flight = arrival.origin == token::none ? s.in_flight.end() : s.in_flight.find(arrival.origin);
        if (flight == s.in_flight.end()) {
            arrived_unasked(s, arrival, now);
            continue;
        }
        auto& f = flight->second;
        store_queue_bytes_ -= f.cost();
        stored(f, true);
        if (f.recipients)
            mail_.not_sent(f.recipients->view(), row_bytes(m));  // it counts as arrived
        if (f.node) {
            --f.node->flights;
            if (!m.id().empty()) {
                f.node->in_flight.erase(m.id());
                window_.add(f.node->name, m.id(), {e.stream, row.seq, f.digest}, now.wall_ms);
            }
            if (f.n)
                number_arrived(*f.node, e.stream, {f.n, f.previous_n, row.seq, arrival.digest ? arrival.digest : f.digest});
        }
        auto const ok = [&](link_id to, bool dup) -> bytes_ptr {
            auto const* const l = find(to);
            return !l || m.id().empty() ? nullptr : encode_ok(m.id(), s.name(), row.seq, dup, l->form);
        };
        answer_slot(f.link, e.stream, arrival.origin, ok(f.link, false), out);
        for (auto const& w : f.same) {
            counts_.duplicates.add_alone();
            answer_slot(w.link, e.stream, w.request, ok(w.link, true), out);
        }
        s.in_flight.erase(flight);
    }
    counts_.store_queue_bytes.set(store_queue_bytes_);
}

void core::arrived_unasked(stream const& s, store_event::rows_arrived::arrival const& arrival, instant now)
{
    auto const& row = arrival.stored;
    auto const sender = row.sender->view();
    if (auto const slash = sender.find('/'); slash != std::string_view::npos && s.name() != inbox_stream) {
        auto& budget = budget_of(std::string{sender.substr(0, slash)});
        ++budget.holders;
        ++budget.stored.messages;
        budget.stored.bytes += row_bytes(*row.message);
        let_go(budget);
    }
    auto const known = arrival.named ? nodes_.find(sender) : nodes_.end();
    if (known == nodes_.end())
        return;  // a removed node is forgotten with what it sent
    auto& n = *known->second;
    if (auto const id = row.message->id(); !id.empty())
        window_.add(n.name, id, {s.state.id, row.seq, arrival.digest}, now.wall_ms);
    if (arrival.n)
        number_arrived(n, s.state.id, {arrival.n, arrival.previous_n, row.seq, arrival.digest});
}

void core::number_arrived(node& n, stream_id stream, chained_number const& number)
{
    auto& progress = n.of(stream);
    if (!progress.stored.add(number))
        return;
    progress.submitted = std::max(progress.submitted, progress.stored.n);
    if (std::exchange(progress.told, false))
        stored_.emplace_back(&n, stream);
}

/// Whether the number is stored although one before it is not. A node that sends it next after what is stored has given up what is
/// missing between them.
bool core::is_early(link& l, node::progress& progress, message const& m, std::uint64_t n, actions& out)
{
    auto const* const early = progress.stored.find_early(n);
    if (!early || early->digest != digest_of(m))
        return false;
    if (progress.submitted == progress.stored.n)
        know_number(*l.node, progress, {n, progress.stored.n, early->seq, early->digest}, out);
    progress.submitted = n;
    return true;
}

void core::know_number(node& n, node::progress& progress, chained_number const& number, actions& out)
{
    out.requests.push_back(store_request::put_number{n.name, progress.stream, number});
    number_arrived(n, progress.stream, number);
}

void core::bar(link_id id, stream_id from, error_code code)
{
    if (auto* const l = find(id))
        answers_for(*l, from).stuck = code;
}

void core::append_failed(store_event::append_failed&& e, instant, actions& out)
{
    if (store_event::is_trouble(e.why.code))  // others are no failure of the store
        store_trouble_ = e.why;
    auto const at = streams_.find(e.stream);
    if (at == streams_.end())
        return;
    auto& s = *at->second;
    auto const flight = s.in_flight.find(e.request);
    if (flight == s.in_flight.end())
        return;
    auto f = std::move(flight->second);
    s.in_flight.erase(flight);
    store_queue_bytes_ -= f.cost();
    stored(f, false);
    if (f.recipients)
        mail_.not_sent(f.recipients->view(), row_bytes(*f.message));
    counts_.store_queue_bytes.set(store_queue_bytes_);
    if (f.epoch == s.epoch) {
        ++s.epoch;
        // The store refuses everything of the old epoch that is still under way. Those links must not publish in the new one
        // before they know, or what they publish now would overtake what they are about to send again.
        if (sticks_to_stream(e.why.code))
            for (auto const& [request, other] : s.in_flight) {
                bar(other.link, e.stream, e.why.code);
                for (auto const& w : other.same)
                    bar(w.link, e.stream, e.why.code);
            }
    }
    link* resent_by = nullptr;
    bool overtaken = false;
    if (f.node) {
        --f.node->flights;
        if (!f.message->id().empty())
            f.node->in_flight.erase(f.message->id());
        if (f.n) {
            auto& progress = f.node->of(e.stream);
            if (!sticks_to_stream(e.why.code)) {
                // It will not come again; what was sent behind it stands.
                overtaken = progress.submitted != f.n;
                if (!overtaken)
                    progress.submitted = std::max(f.previous_n, progress.stored.n);
            } else if (progress.epoch == f.epoch) {  // else a later link has begun again already
                progress.submitted = progress.stored.n;  // answers come in order: nothing below this n is still under way
            }
            if (f.n <= progress.resent && progress.resent_by != f.link)
                resent_by = find(progress.resent_by);
        }
    }
    auto const tell = [&](link_id to, token request) {
        auto* const l = find(to);
        if (!l)
            return;
        if (sticks_to_stream(e.why.code))
            answers_for(*l, e.stream).stuck = e.why.code;
        failure const why{e.why.code, sentence_with_n(s.name(), f.n, e.why.message)};
        answer_slot(to, e.stream, request, encode_error(*l, f.message->id(), why, &s, f.n), out);
    };
    tell(f.link, e.request);
    for (auto const& w : f.same)
        tell(w.link, w.request);
    if (resent_by) {
        // It was dropped as a repetition and has no place among the answers: without a word of the failure the link would
        // take the next `stored` for this one's.
        auto const waiting = next_token();
        wait_for(*resent_by, e.stream, waiting, f.epoch, 0);
        tell(resent_by->id, waiting);
    }
    if (overtaken)  // behind the error: what it tells covers this one too
        know_number(*f.node, f.node->of(e.stream), {f.n, f.previous_n, 0, 0}, out);
}

void core::tell_stored(actions& out)
{
    for (auto const& [n, sid] : std::exchange(stored_, {})) {
        if (n->at)
            tell_stored(*n->at, sid, out);
        else if (streams_.contains(sid))
            n->of(sid).told = true;  // the next `welcome` tells
    }
}

void core::tell_stored(link& l, stream_id sid, actions& out)
{
    if (!l.node)
        return;
    for (auto& progress : l.node->last)
        if (progress.stream == sid && !std::exchange(progress.told, true))
            send(l, encode_stored(streams_.at(sid)->name(), progress.stored.n, progress.stored.seq, l.form), out);
}

}  // namespace kedge
