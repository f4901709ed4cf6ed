#include "migration/preflight.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "migration/commands.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t services_ms = 500;
constexpr std::uint64_t rows_in_ms = 120'000;      // reading what would be copied

std::string hex(std::uint64_t n)
{
    std::array<char, 16> text{};
    auto const end = std::to_chars(text.data(), text.data() + text.size(), n, 16).ptr;
    return {text.data(), end};
}

/// A subject that the pattern covers and nobody else uses.
std::string instance_of(std::string_view pattern)
{
    std::string out;
    while (!pattern.empty()) {
        auto const dot = pattern.find('.');
        auto const token = pattern.substr(0, dot);
        out += (out.empty() ? "" : ".");
        out += token == "*" || token == ">" ? std::string_view{"KEDGE-PROBE"} : token;
        pattern.remove_prefix(dot == std::string_view::npos ? pattern.size() : dot + 1);
    }
    return out;
}

std::string word_of(check::verdict v) { return v == check::verdict::ok ? "ok" : v == check::verdict::warn ? "warn" : "bad"; }

}  // namespace

nlohmann::json to_json(check const& c) { return {{"what", c.what}, {"result", word_of(c.result)}, {"text", c.text}, {"do", c.remedy}}; }

jet_config jet_config_for(stream_config const& of, settings const& bounds, limits const& server)
{
    auto const with_slack = [&](std::uint64_t n) { return n == 0 ? 0 : n + std::max<std::uint64_t>(n * bounds.slack_percent / 100, 1); };
    jet_config config;
    config.subjects = of.subjects;
    config.max_age_ms = with_slack(of.max_age_ms);
    if (config.max_age_ms != 0)  // the server refuses a window that is longer
        config.duplicates_ms = std::min(config.duplicates_ms, config.max_age_ms);
    // A message there takes its subject and our headers too, which the bytes here do not count.
    config.max_bytes = of.max_bytes == 0 ? 0 : with_slack(of.max_bytes) * 2;
    config.max_msgs = with_slack(of.max_msgs);
    config.max_msgs_per_subject = of.max_msgs_per_subject;
    config.max_msg_bytes = server.body_bytes + preflight_own_bytes;
    config.replicas = static_cast<unsigned>(bounds.replicas);
    return config;
}

preflight::preflight(purpose why, matter what, settings const& s, limits const& l, number_source& numbers)
    : purpose_{why}, matter_{std::move(what)}, settings_{s}, limits_{l}, numbers_{numbers}
{
}

void preflight::add(std::string what, check::verdict result, std::string text, std::string remedy)
{
    checks_.push_back({std::move(what), result, std::move(text), std::move(remedy)});
}

bool preflight::ok() const noexcept
{
    return std::ranges::none_of(checks_, [](check const& c) { return c.result == check::verdict::bad; });
}

std::string preflight::why_not() const
{
    for (auto const& c : checks_)
        if (c.result == check::verdict::bad)
            return c.text + (c.remedy.empty() ? "" : ": " + c.remedy);
    return {};
}

nlohmann::json preflight::result() const
{
    auto list = nlohmann::json::array();
    for (auto const& c : checks_)
        list.push_back(to_json(c));
    return {{"stream", matter_.stream.config.name},
            {"ok", ok()},
            {"state", matter_.state.empty() ? "LEGACY" : matter_.state},
            {"checks", std::move(list)},
            {"copy", {{"from", copy_.from}, {"rows", copy_.rows}, {"bytes", copy_.bytes}}}};
}

void preflight::run(link_facts const& link, instant now, effects& out)
{
    now_ms_ = now.steady_ms;
    began_ms_ = now.wall_ms;
    give_up_ms_ = now.steady_ms + preflight_all_in_ms;
    look_at_stream();
    look_at_link(link);
    if (!link_)
        return go(purpose_ == purpose::change ? step::done : step::rows, out);
    go(step::account, out);
}

void preflight::go(step to, effects& out)
{
    step_ = to;
    asked_ = token::none;
    ticket_ = 0;
    proceed(out);
}

void preflight::proceed(effects& out)
{
    using namespace backend_command;
    auto const ask = [&](effects& to, backend_command::any what) { to.backend.push_back(std::move(what)); };
    switch (step_) {
    case step::account:
        asked_ = numbers_.next_token();
        return ask(out, account{asked_});
    case step::streams:
        asked_ = numbers_.next_token();
        return ask(out, list_streams{asked_});
    case step::services:
        if (purpose_ == purpose::change)
            return go(step::done, out);
        asked_ = numbers_.next_token();
        return ask(out, find_services{asked_, services_ms});
    case step::sweep:
        if (leftovers_.empty())
            return go(step::probe_create, out);
        asked_ = numbers_.next_token();
        ask(out, delete_stream{asked_, leftovers_.back()});
        leftovers_.pop_back();
        return;
    case step::probe_create: {
        asked_ = numbers_.next_token();
        // Of this home, time and process: no other plan draws the same, nor one of a process that was killed just before.
        probe_ = settings_.stream_prefix + std::string{preflight_probe} + matter_.self.home.substr(0, 8) + '-' + hex(began_ms_) + '-'
               + hex(static_cast<std::uint64_t>(asked_));
        // With what is asked for the real one, which is reserved beforehand: as many copies, as much room.
        auto config = jet_config_for(matter_.stream.config, settings_, limits_);
        config.name = probe_;
        config.description = describe_owner({matter_.self.home, matter_.self.incarnation, "probe"});
        config.subjects = {"kedge-probe." + probe_};
        config.max_msgs = 10;
        config.max_msgs_per_subject = 0;
        if (existing_)  // it has its room already
            config.max_bytes = 64 * 1024, config.replicas = 1;
        config.max_age_ms = 60'000;
        config.duplicates_ms = 60'000;
        return ask(out, create_stream{asked_, std::move(config)});
    }
    case step::probe_publish: {
        ticket_ = numbers_.next();
        bus_message probe;
        probe.subject = "kedge-probe." + probe_;
        probe.headers = {{"Kedge-From", "$sys"}};
        probe.body = "probe";
        return ask(out, publish{ticket_, link_->connection, std::move(probe)});
    }
    case step::probe_read:
        asked_ = numbers_.next_token();
        return ask(out, get_message{asked_, probe_, probe_place_});
    case step::probe_follow:
        reader_ = reader_id{numbers_.next()};
        step_due_ms_ = now_ms_ + settings_.answer_ms;
        return ask(out, backend_command::read{*reader_, probe_, 1, 16, 64 * 1024});
    case step::probe_flow: {
        ticket_ = numbers_.next();
        bus_message probe;
        probe.subject = "$JS.FC." + matter_.jet + "." + probe_ + ".0";  // of no consumer: that nobody listens is an answer
        return ask(out, publish{ticket_, link_->connection, std::move(probe)});
    }
    case step::subjects: {
        auto const& patterns = matter_.stream.config.subjects;
        // Where the stream exists it was done before; where something else is wrong this may be stored.
        if (tried_ == patterns.size() || existing_ || !ok())
            return go(step::rows, out);
        ticket_ = numbers_.next();
        bus_message probe;
        probe.subject = instance_of(patterns[tried_++]);
        probe.headers = {{"Nats-Expected-Stream", probe_}, {"Kedge-From", "$sys"}};
        return ask(out, publish{ticket_, link_->connection, std::move(probe)});
    }
    case step::probe_delete:
        if (!std::exchange(probe_made_, false))
            return go(step::subjects, out);
        asked_ = numbers_.next_token();
        return ask(out, delete_stream{asked_, probe_});
    case step::rows:
        if (copy_.from > matter_.stream.last || matter_.stream.config.name == inbox_stream) {
            add("copy", check::verdict::ok, "nothing of what is stored would be copied: the copy begins with the next message");
            return go(step::done, out);
        }
        return read_rows(out);
    case step::done: finished_ = true; return;
    }
}

void preflight::read_rows(effects& out)
{
    asked_ = numbers_.next_token();
    store_request::read read;
    read.request = asked_;
    read.stream = matter_.stream.id;
    read.from = next_row_;
    read.rows_max = 4096;
    read.bytes_max = 1024 * 1024;
    out.store.emplace_back(std::move(read));
}

bool preflight::on_backend(backend_event::any const& event, instant now, effects& out)
{
    if (finished_)
        return false;
    now_ms_ = now.steady_ms;
    if (auto const* const read = std::get_if<backend_event::messages>(&event)) {
        if (!reader_ || read->reader != *reader_)
            return false;
        out.backend.emplace_back(backend_command::stop_reading{*std::exchange(reader_, std::nullopt)});
        go(step::probe_flow, out);
        return true;
    }
    if (auto const* const ended = std::get_if<backend_event::reader_ended>(&event)) {
        if (!reader_ || ended->reader != *reader_)
            return false;
        reader_.reset();
        probe_failed("read a stream as it grows", ended->why, out);
        return true;
    }
    if (auto const* const answer = std::get_if<backend_event::answered>(&event)) {
        if (asked_ == token::none || answer->request != asked_)
            return false;
        answered(*answer, out);
        return true;
    }
    if (auto const* const acked = std::get_if<backend_event::acked>(&event)) {
        if (ticket_ == 0 || acked->ticket != ticket_)
            return false;
        if (step_ == step::subjects) {
            look_at_try(true, 0, {}, out);
            return true;
        }
        if (step_ == step::probe_flow) {
            flow_tried(true, {}, out);
            return true;
        }
        probe_place_ = acked->place;
        go(step::probe_read, out);
        return true;
    }
    if (auto const* const refused = std::get_if<backend_event::refused>(&event)) {
        if (ticket_ == 0 || refused->ticket != ticket_)
            return false;
        bool const answered = refused->answered || refused->code != 0;
        if (step_ == step::subjects) {
            look_at_try(answered, refused->code, refused->why, out);
        } else if (step_ == step::probe_flow) {
            flow_tried(answered, refused->why, out);
        } else {
            probe_failed("publish to it", refused->why, out);
        }
        return true;
    }
    return false;
}

void preflight::answered(backend_event::answered const& answer, effects& out)
{
    auto const* const problem = std::get_if<backend_event::problem>(&answer.what);
    switch (step_) {
    case step::account:
        look_at_account(answer);
        return problem ? go(step::done, out) : go(step::streams, out);
    case step::streams:
        if (auto const* const list = std::get_if<std::vector<jet_info>>(&answer.what))
            look_at_streams(*list);
        else
            add("streams", check::verdict::bad, "the server does not list its streams: " + (problem ? problem->why : std::string{"no answer"}),
                "give kedge the right to publish to $JS.API.> and to subscribe to _INBOX.>");
        return go(step::services, out);
    case step::services:
        if (auto const* const list = std::get_if<std::vector<backend_event::bus_service>>(&answer.what))
            look_at_services(*list);
        else
            add("services", check::verdict::warn, "services could not be looked for: " + (problem ? problem->why : std::string{"no answer"}),
                "see yourself that none listens on the stream's subjects: a request to it would be stored as a message");
        return go(step::sweep, out);
    case step::sweep: return go(step::sweep, out);
    case step::probe_create:
        if (problem)
            return not_made(*problem, out);
        probe_made_ = true;
        return go(step::probe_publish, out);
    case step::probe_read:
        if (problem)
            return probe_failed("read a message from it", problem->why, out);
        return go(step::probe_follow, out);
    case step::probe_delete:
        if (problem && !problem->missing)
            add("rights", check::verdict::warn, "the probe stream " + probe_ + " could not be deleted: " + problem->why,
                "delete it, and give kedge the right to delete streams");
        return go(step::subjects, out);
    case step::probe_publish:
    case step::probe_follow:
    case step::probe_flow:
    case step::subjects:
    case step::rows:
    case step::done: return;
    }
}

/// Anything that the server answers says that the publish was allowed.
void preflight::look_at_try(bool answered, int, std::string const& why, effects& out)
{
    auto const& pattern = matter_.stream.config.subjects[tried_ - 1];
    if (!answered)
        add("rights", check::verdict::bad, "kedge may not publish to '" + pattern + "', or cannot: " + why,
            "give its NATS user the right to publish to the stream's subjects");
    else if (tried_ == matter_.stream.config.subjects.size())
        add("rights", check::verdict::ok, "the stream's subjects can be published to (tried with an empty message to '" + instance_of(pattern) + "')");
    go(step::subjects, out);
}

void preflight::flow_tried(bool answered, std::string const& why, effects& out)
{
    if (!answered)
        return probe_failed("publish to $JS.FC.>", why, out);
    add("rights", check::verdict::ok, "a stream can be created, written and read");
    go(step::probe_delete, out);
}

void preflight::not_made(backend_event::problem const& why, effects& out)
{
    if (why.code == 0)  // no answer: that is how missing rights look
        return probe_failed("create a stream", why.why, out);
    auto const config = jet_config_for(matter_.stream.config, settings_, limits_);
    add("copy stream", check::verdict::bad,
        "the server makes no stream of " + count_of(config.replicas, "replica") + (config.max_bytes != 0 ? " and " + bytes_text(config.max_bytes) : "") + ": " + why.why,
        remedy_for(why.code, config));
    go(step::probe_delete, out);
}

void preflight::probe_failed(std::string what, std::string const& why, effects& out)
{
    add("rights", check::verdict::bad, "kedge may not " + what + ", or cannot: " + why,
        "give its NATS user the right to publish to $JS.API.>, $JS.ACK.>, $JS.FC.> and to the stream's subjects, and to subscribe to _INBOX.>");
    go(step::probe_delete, out);
}

bool preflight::on_store(store_event::any const& event, instant now, effects& out)
{
    if (finished_ || step_ != step::rows || asked_ == token::none)
        return false;
    if (auto const* const failed = std::get_if<store_event::failed>(&event); failed && failed->request == asked_) {
        add("copy", check::verdict::bad, "the log cannot be read: " + failed->why.message, "try again");
        go(step::done, out);
        return true;
    }
    auto const* const read = std::get_if<store_event::rows_read>(&event);
    if (!read || read->request != asked_)
        return false;
    give_up_ms_ = now.steady_ms + rows_in_ms;
    auto const most = link_ ? link_->max_payload : limits_.body_bytes + preflight_own_bytes;
    for (auto const& row : read->rows) {
        if (row.seq > matter_.stream.last)
            break;
        ++copy_.rows;
        copy_.bytes += row_bytes(*row.message);
        // Our own headers: names, a signature of 32 digits, numbers; the sender and what stands in the row beside the headers.
        auto const size = row.message->cost() + row.sender->size() + 512;
        if (size > most || row.message->body().size() > limits_.body_bytes) {
            if (too_large_++ == 0)
                first_too_large_ = row.seq;
        }
    }
    next_row_ = read->next;
    if (!read->end && next_row_ <= matter_.stream.last) {
        read_rows(out);
        return true;
    }
    if (too_large_ != 0)
        add("copy", check::verdict::bad,
            count_of(too_large_, "stored message is", "stored messages are") + " too large for the server (the first is " + std::to_string(first_too_large_) + ')',
            "raise max_payload of the server, or begin behind them: --from now");
    else
        add("copy", check::verdict::warn,
            count_of(copy_.rows, "message") + " (" + bytes_text(copy_.bytes) + ") would be copied, and shown to NATS clients that subscribe to these subjects now",
            "nothing, if they are to have them; else begin with the next message: --from now");
    go(step::done, out);
    return true;
}

void preflight::tick(instant now, effects& out)
{
    now_ms_ = now.steady_ms;
    if (finished_)
        return;
    if (reader_ && now.steady_ms >= step_due_ms_) {
        out.backend.emplace_back(backend_command::stop_reading{*std::exchange(reader_, std::nullopt)});
        return probe_failed("read a stream as it grows", "no message came in time", out);
    }
    if (now.steady_ms < give_up_ms_)
        return;
    add("time", check::verdict::bad, "the server did not answer in time", "try again");
    if (std::exchange(probe_made_, false))
        out.backend.emplace_back(backend_command::delete_stream{numbers_.next_token(), probe_});
    step_ = step::done;
    finished_ = true;
}

std::optional<std::uint64_t> preflight::due_ms() const
{
    if (finished_)
        return std::nullopt;
    return reader_ ? std::min(step_due_ms_, give_up_ms_) : give_up_ms_;
}

}  // namespace kedge::migration
