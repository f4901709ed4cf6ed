// What comes of what a diff asks.
#include <algorithm>

#include "migration/diff_walk.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t again_after_ms = 1000;
constexpr unsigned failures_max = 30;

}  // namespace

bool diff_run::impl::on_messages(backend_event::messages const& m, instant now, effects& out)
{
    if (!reader || m.reader != *reader)
        return false;
    heard_ms = now.steady_ms;
    failures = 0;
    for (auto const& one : m.batch) {
        if (one.place <= messages_seen || one.place > end) {
            ++done_messages;
            done_bytes += one.bytes();
        } else {
            messages.push_back(one);
        }
        messages_seen = std::max(messages_seen, std::min(one.place, end));
    }
    // The stream reached `end` before the range was fixed: what it has not given by now is not there.
    if (m.behind == 0)
        messages_seen = end;
    go_on(now, out);
    return true;
}

bool diff_run::impl::on_answer(backend_event::answered const& a, instant now, effects& out)
{
    if (a.request == token::none || (a.request != jet_asked && a.request != probe_asked))
        return false;
    auto const* const bad = std::get_if<backend_event::problem>(&a.what);
    if (a.request == probe_asked) {
        probe_asked = token::none;
        heard_ms = now.steady_ms;  // if it is there, the reader is about to give it
        if (bad != nullptr && bad->missing && messages.empty())
            messages_seen = std::max(messages_seen, probed);
    } else {
        jet_asked = token::none;
        if (auto const* const info = std::get_if<jet_info>(&a.what)) {
            jet = *info;
            failures = 0;
        } else if (bad != nullptr && bad->missing) {
            fail("JetStream has no stream " + id.jet + " any more", out);
        } else {
            failed_once(bad != nullptr ? bad->why : "JetStream did not say how the stream is", now, out);
        }
    }
    go_on(now, out);
    return true;
}

bool diff_run::impl::on_reader_end(backend_event::reader_ended const& e, instant now, effects& out)
{
    if (!reader || e.reader != *reader)
        return false;
    reader.reset();
    done_messages = done_bytes = 0;
    if (e.gone)
        fail("JetStream has no stream " + id.jet + " any more", out);
    else
        failed_once(e.why, now, out);
    return true;
}

bool diff_run::impl::on_rows(store_event::placed_read const& r, instant now, effects& out)
{
    if (r.request == token::none || (r.request != lowest_place_asked && r.request != rows_asked))
        return false;
    failures = 0;
    if (r.request == lowest_place_asked) {
        lowest_place_asked = token::none;
        lowest_place = r.rows.empty() ? jet_place_max : r.rows.front().place;
    } else {
        rows_asked = token::none;
        bool const past = in == phase::ordering;
        rows_seen = !r.end && !r.rows.empty() ? r.rows.back().place : past ? at - 1 : end;
        for (auto const& row : r.rows) {
            if (!past)
                rows.push_back(row);
            else if (row.message && row.sender->view() != native_sender)
                order.look(row.sender->view(), row.seq);
        }
    }
    go_on(now, out);
    return true;
}

bool diff_run::impl::on_first_row(store_event::rows_read const& r, instant now, effects& out)
{
    if (r.request == token::none || r.request != first_row_asked)
        return false;
    first_row_asked = token::none;
    failures = 0;
    first_row = r.rows.empty() ? message_seq_max : r.rows.front().seq;
    go_on(now, out);
    return true;
}

bool diff_run::impl::on_failure(store_event::failed const& f, instant now, effects& out)
{
    if (f.request == token::none)
        return false;
    for (auto* const asked_for : {&rows_asked, &lowest_place_asked, &first_row_asked}) {
        if (*asked_for != f.request)
            continue;
        *asked_for = token::none;
        if (store_event::is_trouble(f.why.code))
            failed_once(f.why.message, now, out);
        else
            fail(f.why.message, out);
        return true;
    }
    return false;
}

bool diff_run::impl::failed_once(std::string const& sentence, instant now, effects& out)
{
    if (++failures > failures_max) {
        fail(sentence, out);
        return false;
    }
    again_ms = now.steady_ms + again_after_ms;
    return true;
}

void diff_run::impl::fail(std::string sentence, effects& out)
{
    if (over())
        return;
    in = phase::failed;
    why = std::move(sentence);
    end_reader(out);
}

void diff_run::impl::start_over(jet_place above, effects& out)
{
    end_reader(out);
    messages.clear();
    rows.clear();
    suspects.clear();
    displaced = {};
    order = {};
    report = {};
    rows_asked = jet_asked = lowest_place_asked = first_row_asked = probe_asked = token::none;
    forget_where_they_begin();
    compared = settled_compared = 0;
    located = false;
    rewound_to = std::min(above, rewound_to.value_or(above));
    if (in != phase::idle)
        in = phase::locating;
}

void diff_run::impl::resume(nlohmann::json const& state)
{
    try {
        begin = state.at("begin");
        end = state.at("end");
        at = settled_at = state.at("at");
        compared = settled_compared = state.at("compared");
        report = diff_report::load(state);
        located = begin != 0 && begin <= at && at <= end + 1 && end <= asked.checkpoint;
    } catch (nlohmann::json::exception const&) {
        located = false;  // another version's: from the beginning
    }
    if (!located) {
        report = {};
        compared = settled_compared = 0;
    }
}

}  // namespace kedge::migration
