// Streams.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"
#include "router/protocol/names.hpp"

namespace kedge {

stream* admin::stream_named(std::string const& name) const
{
    for (auto const& [id, s] : core_.streams_)
        if (s->name() == name)
            return s.get();
    return nullptr;
}

stream* admin::stream_to_change(std::string const& name, std::string& why) const
{
    auto* const s = stream_named(name);
    if (!s)
        why = "there is no stream " + name;
    else if (s == core_.inbox_)
        why = "INBOX holds everybody's mail, and is the server's own";
    return why.empty() ? s : nullptr;
}

nlohmann::json admin::describe(stream const& s) const
{
    auto const consumers = std::count_if(core_.consumers_.begin(), core_.consumers_.end(),
                                         [&](auto const& entry) { return entry.second->config().stream == s.state.id; });
    auto const& c = s.state.config;
    return {{"stream", c.name},
            {"subjects", c.subjects},
            {"first_seq", s.state.first},
            {"last_seq", s.state.last},
            {"messages", s.state.messages},
            {"bytes", s.state.bytes},
            {"max_age_ms", c.max_age_ms},
            {"max_bytes", c.max_bytes},
            {"max_msgs", c.max_msgs},
            {"max_msgs_per_subject", c.max_msgs_per_subject},
            {"retention", c.keep == retention::limits ? "limits" : "interest"},
            {"discard", c.when_full == discard::oldest ? "old" : "new"},
            {"paused", c.paused},
            {"state", core_.migration_state(s)},
            {"authority", core_.authority_of(s)},
            {"consumers", consumers}};
}

std::string admin::check_stream(stream_config const& config, stream const* self) const
{
    if (!valid_name(config.name))
        return "'" + config.name + "' is not a name for a stream: letters, digits, '-' and '_', 64 at most";
    if (config.subjects.empty())
        return "a stream needs at least one subject";
    if (config.subjects.size() > core_.config_.limits.stream_subjects)
        return "a stream has at most " + std::to_string(core_.config_.limits.stream_subjects) + " subjects";
    for (auto const& pattern : config.subjects) {
        if (!valid_pattern(pattern))
            return "'" + pattern + "' is not a pattern of subjects";
        if (is_reserved(pattern))
            return "'" + pattern + "' is reserved: no stream may cover it";
        for (auto const& [id, other] : core_.streams_)
            if (other.get() != self)
                for (auto const& taken : other->state.config.subjects)
                    if (intersects(pattern, taken))
                        return "'" + pattern + "' overlaps '" + taken + "' of stream " + other->name();
    }
    return bridged(config.subjects);
}

std::string admin::read_limits(nlohmann::json const& args, stream_config& config) const
{
    auto const number = [&](char const* name, std::uint64_t& into) {
        if (auto const at = args.find(name); at != args.end() && at->is_number_unsigned())
            into = at->get<std::uint64_t>();
    };
    number("max_age_ms", config.max_age_ms);
    number("max_bytes", config.max_bytes);
    number("max_msgs", config.max_msgs);
    number("max_msgs_per_subject", config.max_msgs_per_subject);
    if (auto const at = args.find("subjects"); at != args.end())
        config.subjects = at->get<std::vector<std::string>>();
    if (auto const at = args.find("retention"); at != args.end()) {
        if (*at == "limits")
            config.keep = retention::limits;
        else if (*at == "interest")
            config.keep = retention::interest;
        else
            return "retention is 'limits' or 'interest'";
    }
    if (auto const at = args.find("discard"); at != args.end()) {
        if (*at == "old")
            config.when_full = discard::oldest;
        else if (*at == "new")
            config.when_full = discard::newest;
        else
            return "discard is 'old' or 'new'";
    }
    return {};
}

void admin::stream_add(caller from, nlohmann::json const& args, instant, actions& out)
{
    stream_config config;
    config.name = args.value("name", "");
    auto const* const asking = core_.find(from.link);
    if (asking && !asking->access->is_operator())
        if (auto decision = asking->access->may_create("stream." + config.name); !decision.allowed)
            return deny(from, decision.why, out);
    auto why = read_limits(args, config);
    if (why.empty() && stream_named(config.name))
        why = "there is a stream " + config.name + " already";
    if (why.empty())
        why = check_stream(config, nullptr);
    auto const own = core_.streams_.size() - (core_.inbox_ != nullptr);  // the server's does not count
    if (why.empty() && own >= core_.config_.limits.streams)
        why = "there are " + std::to_string(own) + " streams already";
    if (!why.empty())
        return refuse(from, why, out);
    auto const request = core_.next_token();
    ask_store(
        from, request, store_request::create_stream{request, config},
        [this, from](store_event::any const& e, instant, actions& o) {
            auto added = std::make_unique<stream>();
            added->state = std::get<store_event::stream_created>(e).stream;
            auto& s = *added;
            for (auto const& pattern : s.state.config.subjects)
                core_.stream_index_.add(pattern, &s);
            core_.streams_.emplace(s.state.id, std::move(added));
            ++core_.generation_;
            core_.counts_.streams.set(core_.streams_.size());
            done(from, describe(s), o);
        },
        out);
    under_way(config.name, config.subjects);
}

void admin::stream_list(caller from, nlohmann::json const&, instant, actions& out)
{
    auto list = nlohmann::json::array();
    for (auto const& [id, s] : core_.streams_)
        list.push_back(describe(*s));
    done(from, {{"streams", std::move(list)}}, out);
}

void admin::stream_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("name", "");
    if (auto const* const s = stream_named(name))
        return done(from, describe(*s), out);
    refuse(from, "there is no stream " + name, out);
}

void admin::stream_edit(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("name", "");
    std::string why;
    auto* const s = stream_to_change(name, why);
    if (!s)
        return refuse(from, why, out);
    auto config = s->state.config;
    why = read_limits(args, config);
    if (why.empty() && config != s->state.config)
        why = kept_by_migration(*s, "edited");
    if (why.empty())
        why = check_stream(config, s);
    if (!why.empty())
        return refuse(from, why, out);
    auto const request = core_.next_token();
    auto const id = s->state.id;
    ask_store(from, request, store_request::edit_stream{request, id, config}, when_done(from, [this, id, config](instant, actions&) {
                  auto& edited = *core_.streams_.at(id);
                  for (auto const& pattern : edited.state.config.subjects)
                      core_.stream_index_.remove(pattern, &edited);
                  edited.state.config = config;
                  for (auto const& pattern : config.subjects)
                      core_.stream_index_.add(pattern, &edited);
                  ++core_.generation_;
                  return describe(edited);
              }),
              out);
    under_way(name, config.subjects);
}

void admin::stream_remove(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("name", "");
    std::string why;
    auto* const s = stream_to_change(name, why);
    if (s)
        why = kept_by_migration(*s, "removed");
    if (!why.empty())
        return refuse(from, why, out);
    auto const request = core_.next_token();
    auto const id = s->state.id;
    ask_store(from, request, store_request::remove_stream{request, id}, when_done(from, [this, id](instant now, actions& o) {
                  core_.remove_stream(*core_.streams_.at(id), now, o);
                  return nlohmann::json::object();
              }),
              out);
    under_way(name);
}

void admin::pause_stream(caller from, nlohmann::json const& args, bool paused, actions& out)
{
    auto const name = args.value("stream", "");
    std::string why;
    auto* const s = stream_to_change(name, why);
    if (!s)
        return refuse(from, why, out);
    auto config = s->state.config;
    config.paused = paused;
    auto const request = core_.next_token();
    auto const id = s->state.id;
    ask_store(from, request, store_request::edit_stream{request, id, config}, when_done(from, [this, id, paused](instant, actions&) {
                  auto& edited = *core_.streams_.at(id);
                  edited.state.config.paused = paused;
                  for (auto const& [key, c] : core_.consumers_)
                      if (c->config().stream == id)
                          core_.changed_.insert(key);
                  return describe(edited);
              }),
              out);
}

void admin::stream_pause(caller from, nlohmann::json const& args, instant, actions& out) { pause_stream(from, args, true, out); }
void admin::stream_resume(caller from, nlohmann::json const& args, instant, actions& out) { pause_stream(from, args, false, out); }

void admin::stream_purge(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("stream", "");
    auto const filter = args.value("filter", "");
    std::string why;
    auto* const s = stream_to_change(name, why);
    if (!s)
        return refuse(from, why, out);
    if (!filter.empty() && !valid_pattern(filter))
        return refuse(from, "'" + filter + "' is not a pattern of subjects", out);
    if (auto const kept = kept_by_migration(*s, "purged"); !kept.empty())
        return refuse(from, kept, out);
    auto const request = core_.next_token();
    ask_store(
        from, request, store_request::purge{request, s->state.id, filter, args.value("up_to", message_seq{0})},
        [this, from, id = s->state.id](store_event::any const& e, instant, actions& o) {
            if (auto const at = core_.streams_.find(id); at != core_.streams_.end())
                core_.forget_rows(*at->second);
            done(from, {{"purged", std::get<store_event::purged>(e).messages}}, o);
        },
        out);
    under_way(name);
}

void admin::stream_peek(caller from, nlohmann::json const& args, instant, actions& out)
{
    constexpr std::uint64_t count_max = 1000;
    auto const name = args.value("stream", "");
    auto* const s = stream_named(name);
    if (!s)
        return refuse(from, "there is no stream " + name, out);
    if (s == core_.inbox_)
        return deny(from, "mail is read by its owner only", out);
    store_request::read read;
    read.stream = s->state.id;
    read.from = std::max<message_seq>(args.value("from", message_seq{1}), 1);
    read.filter = args.value("filter", "");
    read.rows_max = std::clamp<std::uint64_t>(args.value("count", std::uint64_t{10}), 1, count_max);
    if (!read.filter.empty() && !valid_pattern(read.filter))
        return refuse(from, "'" + read.filter + "' is not a pattern of subjects", out);
    read.request = core_.next_token();
    auto const request = read.request;
    ask_store(
        from, request, std::move(read),
        [this, from, name](store_event::any const& e, instant, actions& o) {
            auto const& found = std::get<store_event::rows_read>(e);
            auto list = nlohmann::json::array();
            for (auto const& r : found.rows) {
                auto entry = message_json(*r.message);
                entry["stream"] = name;
                entry["seq"] = r.seq;
                entry["from"] = r.sender->view();
                entry["time_ms"] = r.time_ms;
                list.push_back(std::move(entry));
            }
            done(from, {{"messages", std::move(list)}, {"next", found.next}, {"end", found.end}}, o);
        },
        out);
}

}  // namespace kedge
