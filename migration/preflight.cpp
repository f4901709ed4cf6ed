#include "migration/preflight.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "migration/commands.hpp"
#include "router/protocol/subject.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t own_bytes = 64 * 1024;     // room for headers, a client's and ours
constexpr std::uint64_t all_in_ms = 30'000;
constexpr std::uint64_t services_ms = 500;
constexpr std::uint64_t rows_in_ms = 120'000;      // reading what would be copied
constexpr std::string_view probe_name = "KEDGE-PROBE-";

std::string hex(std::uint64_t n)
{
    std::array<char, 16> text{};
    auto const end = std::to_chars(text.data(), text.data() + text.size(), n, 16).ptr;
    return {text.data(), end};
}

/// Whether NATS and kedge agree on what the pattern covers: for kedge a wildcard in front leaves out `$…` and `_…`.
bool begins_with_wildcard(std::string_view pattern) { return pattern.starts_with('*') || pattern.starts_with('>'); }

/// NATS's: a wildcard in front covers everything. So a placeholder that kedge takes for a plain token stands for the first one.
bool meet_in_nats(std::string_view a, std::string_view b)
{
    if (a == ">" || b == ">")
        return true;
    auto const behind = [](std::string_view pattern) { return std::pair{pattern.substr(0, pattern.find('.')), pattern.find('.')}; };
    auto const [first_a, dot_a] = behind(a);
    auto const [first_b, dot_b] = behind(b);
    if (first_a != "*" && first_b != "*" && first_a != first_b)
        return false;
    bool const ends_a = dot_a == std::string_view::npos;
    bool const ends_b = dot_b == std::string_view::npos;
    if (ends_a || ends_b)
        return ends_a && ends_b;
    return meet_in_nats(a.substr(dot_a + 1), b.substr(dot_b + 1));
}

std::string word_of(check::verdict v) { return v == check::verdict::ok ? "ok" : v == check::verdict::warn ? "warn" : "bad"; }

std::string list_of(std::vector<std::string> const& names)
{
    std::string out;
    for (auto const& each : names)
        out += (out.empty() ? "'" : ", '") + each + '\'';
    return out;
}

}  // namespace

nlohmann::json to_json(check const& c) { return {{"what", c.what}, {"result", word_of(c.result)}, {"text", c.text}, {"do", c.remedy}}; }

jet_config jet_config_for(stream_config const& of, settings const& bounds, limits const& server)
{
    auto const with_slack = [&](std::uint64_t n) { return n == 0 ? 0 : n + std::max<std::uint64_t>(n * bounds.slack_percent / 100, 1); };
    jet_config config;
    config.subjects = of.subjects;
    config.max_age_ms = with_slack(of.max_age_ms);
    // A message there takes its subject and our headers too, which the bytes here do not count.
    config.max_bytes = of.max_bytes == 0 ? 0 : with_slack(of.max_bytes) * 2;
    config.max_msgs = with_slack(of.max_msgs);
    config.max_msgs_per_subject = of.max_msgs_per_subject;
    config.max_msg_bytes = server.body_bytes + own_bytes;
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
            {"checks", std::move(list)},
            {"copy", {{"from", copy_.from}, {"rows", copy_.rows}, {"bytes", copy_.bytes}}}};
}

void preflight::run(link_facts const& link, instant now, effects& out)
{
    give_up_ms_ = now.steady_ms + all_in_ms;
    look_at_stream();
    look_at_link(link);
    if (!link_)
        return go(purpose_ == purpose::change ? step::done : step::rows, out);
    go(step::account, out);
}

/// What needs no server.
void preflight::look_at_stream()
{
    auto const& s = matter_.stream;
    auto const& from = matter_.from;
    copy_.from = from == "first" ? s.first : from == "unacked" ? std::min(matter_.unacked, s.last + 1) : s.last + 1;
    copy_.from = std::max<message_seq>(copy_.from, 1);
    next_row_ = copy_.from;
    if (purpose_ == purpose::change)
        return;
    if (s.config.name == inbox_stream)
        return add("stream", check::verdict::bad, "INBOX holds everybody's mail, which is kedge's own", "migrate the other streams");
    if (s.config.keep == retention::interest)
        add("stream", check::verdict::bad, s.config.name + " keeps messages only until its consumers are done with them",
            "give it limits: 'kedge stream edit " + s.config.name + " --retention limits'");
    else
        add("stream", check::verdict::ok, s.config.name + " covers " + list_of(s.config.subjects) + " and keeps messages by limits");
    for (auto const& pattern : s.config.subjects)
        if (pattern.starts_with('>'))
            add("subjects", check::verdict::bad, "'" + pattern + "' covers everything in NATS, its own subjects too",
                "give the stream subjects that begin with a name");
        else if (begins_with_wildcard(pattern))
            add("subjects", check::verdict::warn, "'" + pattern + "' covers in NATS also subjects that begin with '$' or '_', which kedge cannot hold",
                "such messages are parked, and shown by 'kedge migrate status'");
    for (auto const& bridge : matter_.bridges)
        for (auto const& pattern : s.config.subjects)
            if (intersects(bridge, pattern))
                add("bridges", check::verdict::bad, "the bridge '" + bridge + "' carries subjects of '" + pattern + "'",
                    "'kedge bridge remove " + bridge + "'");
}

void preflight::look_at_link(link_facts const& link)
{
    using enum check::verdict;
    if (!link.configured)
        return add("link", bad, "no NATS server is configured", "set servers under [nats] in the configuration, and start kedged again");
    if (!link.up)
        return add("link", bad, "there is no link to NATS: " + (link.why.empty() ? "it is being made" : link.why),
                   "see that a server of [nats] servers runs and can be reached, and that its certificate and kedge's credentials are right");
    auto const& up = *link.up;
    add("link", ok, "connected to " + up.url + (up.server_name.empty() ? "" : " (" + up.server_name + ')') + ", nats-server " + up.version);
    if (!up.headers) {
        add("headers", bad, "the server knows no message headers", "nats-server 2.2 or newer has them");
        return;
    }
    if (!up.jetstream) {
        add("jetstream", bad, "JetStream is off on " + up.url, "enable 'jetstream' in the server's configuration");
        return;
    }
    unsigned major = 0;
    unsigned minor = 0;
    auto const dot = up.version.find('.');
    if (dot != std::string::npos) {
        std::from_chars(up.version.data(), up.version.data() + dot, major);
        std::from_chars(up.version.data() + dot + 1, up.version.data() + up.version.size(), minor);
    }
    if (major == 2 && minor < 9)
        add("version", warn, "nats-server " + up.version + " is older than what kedge is tested with (2.9, 2.10)", "use 2.9 or newer");
    else if (major == 2 && minor == 9)
        add("version", warn, "nats-server " + up.version + " stores in a format that 2.10 upgrades; 2.9 cannot read it afterwards, and syncs only every two minutes",
            "back up the JetStream directory before the server is upgraded");
    else
        add("version", ok, "nats-server " + up.version + "; what it stores cannot be read by 2.9 any more");
    if (up.max_payload < limits_.body_bytes + own_bytes)
        add("max_payload", bad,
            "the server takes messages of " + bytes_text(up.max_payload) + ", headers included; kedge's may have a body of " + bytes_text(limits_.body_bytes)
                + " and " + bytes_text(own_bytes) + " of headers",
            "set max_payload of the server to at least " + std::to_string(limits_.body_bytes + own_bytes) + ", or [limits] body_bytes to at most "
                + std::to_string(up.max_payload > own_bytes ? up.max_payload - own_bytes : 0));
    else
        add("max_payload", ok, "the server takes messages of " + bytes_text(up.max_payload));
    link_ = up;
}

void preflight::go(step to, effects& out)
{
    step_ = to;
    asked_ = token::none;
    ticket_ = 0;
    proceed(out);
}

void preflight::ask(effects& out, backend_command::any what) { out.backend.push_back(std::move(what)); }

void preflight::proceed(effects& out)
{
    using namespace backend_command;
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
        // Of this home and process: no other plan draws the same.
        probe_ = settings_.stream_prefix + std::string{probe_name} + matter_.self.home.substr(0, 8) + '-' + hex(static_cast<std::uint64_t>(asked_));
        jet_config config;
        config.name = probe_;
        config.description = describe_owner({matter_.self.home, matter_.self.incarnation, "probe"});
        config.subjects = {"kedge-probe." + probe_};
        config.max_msgs = 10;
        config.max_bytes = 64 * 1024;
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
    case step::probe_delete:
        if (!std::exchange(probe_made_, false))
            return go(step::rows, out);
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

bool preflight::on_backend(backend_event::any const& event, instant, effects& out)
{
    if (finished_)
        return false;
    if (auto const* const answer = std::get_if<backend_event::answered>(&event)) {
        if (asked_ == token::none || answer->request != asked_)
            return false;
        answered(*answer, out);
        return true;
    }
    if (auto const* const acked = std::get_if<backend_event::acked>(&event)) {
        if (ticket_ == 0 || acked->ticket != ticket_)
            return false;
        probe_place_ = acked->place;
        go(step::probe_read, out);
        return true;
    }
    if (auto const* const refused = std::get_if<backend_event::refused>(&event)) {
        if (ticket_ == 0 || refused->ticket != ticket_)
            return false;
        probe_failed("publish to it", refused->why, out);
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
            return probe_failed("create a stream", problem->why, out);
        probe_made_ = true;
        return go(step::probe_publish, out);
    case step::probe_read:
        if (problem)
            return probe_failed("read a message from it", problem->why, out);
        add("rights", check::verdict::ok, "a stream can be created, written and read");
        return go(step::probe_delete, out);
    case step::probe_delete:
        if (problem && !problem->missing)
            add("rights", check::verdict::warn, "the probe stream " + probe_ + " could not be deleted: " + problem->why,
                "delete it, and give kedge the right to delete streams");
        return go(step::rows, out);
    case step::probe_publish:
    case step::rows:
    case step::done: return;
    }
}

void preflight::probe_failed(std::string what, std::string const& why, effects& out)
{
    add("rights", check::verdict::bad, "kedge may not " + what + ", or cannot: " + why,
        "give its NATS user the right to publish to $JS.API.> and to the stream's subjects, and to subscribe to _INBOX.>");
    go(step::probe_delete, out);
}

void preflight::look_at_account(backend_event::answered const& answer)
{
    using enum check::verdict;
    auto const* const info = std::get_if<backend_event::account_info>(&answer.what);
    if (!info) {
        auto const* const problem = std::get_if<backend_event::problem>(&answer.what);
        return add("account", bad, "JetStream does not answer: " + (problem ? problem->why : std::string{"no answer"}),
                   "enable JetStream for kedge's account, and allow it $JS.API.> and _INBOX.>");
    }
    if (!info->jetstream)
        return add("account", bad, "JetStream is not enabled for kedge's account", "enable it in the server's configuration of the account");
    auto const& s = matter_.stream;
    auto const needed = static_cast<std::int64_t>(s.config.max_bytes != 0 ? s.config.max_bytes : s.bytes) * static_cast<std::int64_t>(settings_.replicas);
    auto const left = info->storage_max - static_cast<std::int64_t>(info->storage);
    if (info->storage_max >= 0 && needed > left && purpose_ != purpose::change)
        add("account", s.config.max_bytes != 0 ? bad : warn,
            "the account has " + bytes_text(static_cast<std::uint64_t>(std::max<std::int64_t>(left, 0))) + " left and the stream may take "
                + bytes_text(static_cast<std::uint64_t>(needed)),
            "raise the account's storage, or lower max_bytes of the stream");
    else
        add("account", ok, "JetStream uses " + bytes_text(info->storage) + (info->storage_max >= 0 ? " of " + bytes_text(static_cast<std::uint64_t>(info->storage_max)) : ", with no bound")
                               + " of storage");
    if (info->streams_max >= 0 && purpose_ != purpose::change && static_cast<std::int64_t>(info->streams) + 1 >= info->streams_max)
        add("account", warn, "the account may have " + std::to_string(info->streams_max) + " streams and has " + std::to_string(info->streams),
            "raise the bound: this one, and a probe beside it, need room");
}

void preflight::look_at_streams(std::vector<jet_info> const& list)
{
    using enum check::verdict;
    bool apart = true;
    for (auto const& each : list) {
        if (each.config.name == matter_.jet) {
            existing_ = each;
            continue;
        }
        if (auto const mark = read_owner(each.config.description);
            mark && mark->home == matter_.self.home && mark->stream == "probe" && each.config.name.find(probe_name) != std::string::npos) {
            leftovers_.push_back(each.config.name);
            continue;
        }
        for (auto const& theirs : each.config.subjects)
            for (auto const& ours : matter_.stream.config.subjects)
                if (meet_in_nats(theirs, ours)) {
                    apart = false;
                    add("subjects", bad, "the JetStream stream " + each.config.name + " has '" + theirs + "', which overlaps '" + ours + '\'',
                        "delete that stream, or give it other subjects: a message can be in one stream only");
                }
    }
    if (apart && purpose_ != purpose::change)
        add("subjects", ok, "no other JetStream stream has these subjects");
    if (existing_)
        look_at_existing(*existing_);
    else if (purpose_ == purpose::change)
        add("copy", bad, "there is no JetStream stream " + matter_.jet, "see 'kedge migrate status'");
    else
        add("copy stream", ok, matter_.jet + " does not exist yet: it will be made");
}

void preflight::look_at_existing(jet_info const& info)
{
    using enum check::verdict;
    auto const& name = info.config.name;
    auto const refuse = [&](std::string text, std::string remedy) { add("copy stream", bad, std::move(text), std::move(remedy)); };
    std::string const another = "delete it, or set another [nats] stream_prefix";
    auto const whose = judge_owner(info.config.description, matter_.self, matter_.marked);
    if (whose == ownership::foreign || whose == ownership::taken)
        return refuse(name + " belongs to " + name_owner(info.config.description), "find out which kedged uses it; " + another);
    if (purpose_ == purpose::change && info.created_ns != matter_.created_ns)
        return refuse(name + " was deleted and made anew", "see 'kedge migrate status'");
    if (!info.limits_retention)
        return refuse(name + " is a work queue or keeps by interest: it forgets message ids", another);
    if (!info.discard_old)
        return refuse(name + " refuses messages when it is full", "set its discard policy to old");
    if (info.deny_delete || info.deny_purge || info.sealed)
        return refuse(name + " forbids to delete or purge, or is sealed: that can never be undone", another);
    if (info.mirror_or_sources)
        return refuse(name + " takes its messages from another stream", another);
    auto subjects = info.config.subjects;
    auto wanted = matter_.stream.config.subjects;
    std::ranges::sort(subjects);
    std::ranges::sort(wanted);
    if (subjects != wanted)
        return refuse(name + " has the subjects " + list_of(info.config.subjects) + " and not " + list_of(matter_.stream.config.subjects),
                      "give it the same, or " + another);
    if (info.config.max_msg_bytes != 0 && info.config.max_msg_bytes < limits_.body_bytes + own_bytes)
        return refuse(name + " takes messages of " + bytes_text(info.config.max_msg_bytes) + " at most",
                      "set its max_msg_size to " + std::to_string(limits_.body_bytes + own_bytes));
    if (purpose_ == purpose::change)
        return add("copy stream", ok, name + " is this server's, and as it was made");
    if (whose == ownership::unmarked)
        return add("copy stream", warn,
                   name + " exists and holds " + count_of(info.messages, "message") + ": "
                       + (matter_.from == "first" ? "all of them would be taken over" : "they would be left where they are, and what comes is taken over"),
                   "nothing, if that is what you want; else " + another);
    add("copy stream", ok, name + " is this server's from before, and holds " + count_of(info.messages, "message"));
}

void preflight::look_at_services(std::vector<backend_event::bus_service> const& list)
{
    bool quiet = true;
    for (auto const& service : list)
        for (auto const& subject : service.subjects)
            for (auto const& ours : matter_.stream.config.subjects)
                if (meet_in_nats(subject, ours)) {
                    quiet = false;
                    add("services", check::verdict::bad, "the NATS service " + service.name + " listens on '" + subject + "', which '" + ours + "' covers",
                        "requests to it would be stored, and answered by JetStream: give the service or the stream other subjects");
                }
    if (quiet)
        add("services", check::verdict::ok, "no NATS service listens on these subjects");
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
    auto const most = link_ ? link_->max_payload : limits_.body_bytes + own_bytes;
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
    if (finished_ || now.steady_ms < give_up_ms_)
        return;
    add("time", check::verdict::bad, "the server did not answer in time", "try again");
    if (std::exchange(probe_made_, false))
        ask(out, backend_command::delete_stream{numbers_.next_token(), probe_});
    step_ = step::done;
    finished_ = true;
}

std::optional<std::uint64_t> preflight::due_ms() const { return finished_ ? std::nullopt : std::optional{give_up_ms_}; }

}  // namespace kedge::migration
