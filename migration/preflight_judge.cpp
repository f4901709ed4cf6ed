// What is found is judged, and what to do about it is said.

#include <algorithm>
#include <charconv>

#include "migration/commands.hpp"
#include "migration/preflight.hpp"
#include "router/protocol/subject.hpp"

namespace kedge::migration {

namespace {

constexpr std::string_view probe_name = preflight_probe;
constexpr std::uint64_t own_bytes = preflight_own_bytes;

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

std::string list_of(std::vector<std::string> const& names)
{
    std::string out;
    for (auto const& each : names)
        out += (out.empty() ? "'" : ", '") + each + '\'';
    return out;
}

}  // namespace

std::string remedy_for(int code, jet_config const& wanted)
{
    auto const room = wanted.max_bytes == 0 ? std::string{"what is published"} : bytes_text(wanted.max_bytes * wanted.replicas);
    switch (code) {
    case 10005:    // no suitable peers
    case 10074:    // not in a cluster
        return "set [nats] replicas to what the servers can hold (1 without a cluster), or give them the servers and tags that are missing";
    case 10023:    // insufficient resources
    case 10047:    // insufficient storage
        return "give JetStream room for " + room + " (max_file, and what other streams reserve of it), or lower max_bytes of the stream";
    case 10002:    // limits of the account
    case 10122:    // its max_stream_bytes
        return "raise the account's limits of JetStream to " + room + ", or lower max_bytes of the stream";
    case 10113:    // the account wants max_bytes
        return "give the stream a bound, as the account demands one: 'kedge stream edit' with --max-bytes";
    case 10026:    // streams
        return "raise the number of streams that the account may have: this one, and a probe beside it while it is tried";
    case 10065:    // overlapping subjects
        return "see 'kedge migrate plan': another stream has these subjects";
    default: return "see what the server's log says, and 'kedge migrate plan'";
    }
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
    auto const config = jet_config_for(s.config, settings_, limits_);
    auto const needed = static_cast<std::int64_t>(config.max_bytes != 0 ? config.max_bytes : s.bytes) * static_cast<std::int64_t>(config.replicas);
    auto const left = info->storage_max - static_cast<std::int64_t>(info->storage);
    if (info->storage_max >= 0 && needed > left && purpose_ != purpose::change)
        add("account", s.config.max_bytes != 0 ? bad : warn,
            "the account has " + bytes_text(static_cast<std::uint64_t>(std::max<std::int64_t>(left, 0))) + " left and the stream may take "
                + bytes_text(static_cast<std::uint64_t>(needed)),
            "raise the account's storage, or lower max_bytes of the stream");
    else
        add("account", ok, "JetStream uses " + bytes_text(info->storage) + (info->storage_max >= 0 ? " of " + bytes_text(static_cast<std::uint64_t>(info->storage_max)) : "")
                               + " of storage" + (info->storage_max >= 0 ? "" : "; the account sets no bound"));
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
            if (each.created_ns / 1'000'000 + preflight_all_in_ms <= began_ms_)  // else it may be of one that runs now
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
    std::string const another = "delete it, or give this one another name with [nats] stream_names";
    auto const whose = judge_owner(info.config.description, matter_.self, matter_.marked);
    if (whose == ownership::foreign || whose == ownership::taken || (whose == ownership::former && purpose_ == purpose::change))
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
    bool const begun = matter_.created_ns != 0;  // a copy that goes on
    if (whose == ownership::unmarked || whose == ownership::former || (!begun && info.messages != 0))
        return add("copy stream", warn,
                   name + (whose == ownership::unmarked ? " exists" : " is this server's from before") + " and holds " + count_of(info.messages, "message") + ": "
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

}  // namespace kedge::migration
