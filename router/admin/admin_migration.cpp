// Commands of the migration, which carries them out itself; and what its streams and bridges forbid other commands.

#include <algorithm>
#include <array>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"
#include "router/protocol/subject.hpp"

namespace kedge {

namespace {

constexpr std::size_t asked_max = 1024;

constexpr std::array<std::string_view, 14> migration_commands{
    "migrate plan", "migrate start", "migrate status", "migrate diff", "migrate switch", "migrate reverse", "migrate pause",
    "migrate resume", "migrate complete", "migrate cancel", "migrate events", "bridge add", "bridge remove", "bridge list"};

std::string text_of(nlohmann::json const& args, char const* name)
{
    auto const at = args.find(name);
    return at != args.end() && at->is_string() ? at->get<std::string>() : std::string{};
}

nlohmann::json value_of(nlohmann::json const& from, char const* name)
{
    auto const at = from.is_object() ? from.find(name) : from.end();
    return at != from.end() ? *at : nlohmann::json{};
}

std::uint64_t number_of(nlohmann::json const& from, char const* name)
{
    auto const found = value_of(from, name);
    return found.is_number_integer() ? found.get<std::uint64_t>() : 0;
}

bool meets(std::vector<std::string> const& subjects, std::string const& pattern)
{
    return std::ranges::any_of(subjects, [&](auto const& subject) { return intersects(subject, pattern); });
}

}  // namespace

bool admin::is_of_migration(std::string_view name) noexcept
{
    return std::ranges::find(migration_commands, name) != migration_commands.end();
}

void admin::under_way(std::string stream, std::vector<std::string> subjects)
{
    running_->stream = std::move(stream);
    running_->subjects = std::move(subjects);
}

void admin::ask_migration(caller from, admin_call call, std::string const& user, actions& out)
{
    if (!core_.has_migration_)
        return refuse(from, "this server knows of no NATS: set [nats] servers in its configuration", out);
    if (asked_.size() >= asked_max)
        return refuse(from, "too many commands of the migration wait", out);
    auto const stream = text_of(call.args, "stream");
    auto const pattern = call.name == "bridge add" ? text_of(call.args, "pattern") : std::string{};
    // Both sides decide by what they know: neither may overtake what the other is at.
    if (running_ && changes(call)) {
        if (!stream.empty() && running_->stream == stream)
            return refuse(from, "another command changes " + stream + " at this moment: try again", out);
        if (valid_pattern(pattern) && meets(running_->subjects, pattern))
            return refuse(from, "the stream " + running_->stream + " is about to cover '" + pattern + "'", out);
    }
    auto const request = core_.next_token();
    migration_request asked;
    asked.request = request;
    asked.user = user;
    asked.streams = core_.known_streams();
    asked_.emplace(request, admin::asked{from, call.name, changes(call) ? stream : std::string{}, pattern});
    asked.call = std::move(call);
    out.migration.push_back(std::move(asked));
}

void admin::migration_answered(token request, admin_result result, actions& out)
{
    auto const at = asked_.find(request);
    if (at == asked_.end())
        return;
    auto const from = at->second.from;
    asked_.erase(at);
    answer(from, std::move(result), out);
}

std::string admin::kept_by_migration(stream const& s, std::string_view wanted) const
{
    for (auto const& [request, waiting] : asked_)
        if (waiting.stream == s.name())
            return "'" + waiting.name + " " + s.name() + "' is under way: " + s.name() + " cannot be " + std::string{wanted} + " now";
    auto const state = core_.migration_state(s);
    auto const is = s.name() + " cannot be " + std::string{wanted} + ": ";
    if (state == "LEGACY")
        return {};
    if (state == "MIRRORING")
        return is + "it is mirrored to JetStream. End that first: 'migrate cancel " + s.name() + "'";
    if (state == "NATS")
        return is + "JetStream orders it. Bring it back first: 'migrate reverse " + s.name() + "', then 'migrate cancel " + s.name() + "'";
    if (state == "COMPLETE")  // there is no way back, but one out
        return wanted == "removed" ? std::string{} : is + "JetStream has it for good";
    return is + "it is " + std::string{state} + " at this moment";
}

std::string admin::bridged(std::vector<std::string> const& subjects) const
{
    auto const overlaps = [](std::string const& pattern) { return "a bridge to NATS carries '" + pattern + "': no stream may cover it"; };
    if (core_.migration_)
        for (auto const& pattern : core_.migration_->bridges)
            if (meets(subjects, pattern))
                return overlaps(pattern);
    for (auto const& [request, waiting] : asked_)
        if (valid_pattern(waiting.pattern) && meets(subjects, waiting.pattern))
            return overlaps(waiting.pattern);
    return {};
}

nlohmann::json admin::migration_status(nlohmann::json& why) const
{
    auto states = nlohmann::json::object();
    auto streams = nlohmann::json::array();
    nlohmann::json worst;
    for (auto const& [id, s] : core_.streams_)
        if (s.get() != core_.inbox_) {
            auto& count = states[std::string{core_.migration_state(*s)}];
            count = count.is_null() ? 1 : count.get<int>() + 1;
        }
    auto const link = core_.migration_ ? core_.migration_->link : nlohmann::json{};
    if (core_.migration_)
        for (auto const& mirror : core_.migration_->streams) {
            auto const s = core_.streams_.find(mirror.stream);
            if (s == core_.streams_.end())
                continue;
            auto const& name = s->second->name();
            if (auto const broken = value_of(mirror.status, "broken"); broken.is_object())
                why.push_back("the migration of " + name + " is broken: " + text_of(broken, "why"));
            auto const lag = value_of(mirror.status, "lag");
            if (!lag.is_object() || mirror.state == "LEGACY")
                continue;
            streams.push_back(mirror.status);
            streams.back().erase("parked");  // `migrate status` lists them
            if (worst.is_null() || number_of(lag, "messages") > number_of(worst, "messages")) {
                worst = lag;
                worst["stream"] = name;
            }
        }
    if (!worst.is_null() && text_of(link, "state") == "down")
        why.push_back("there is no link to NATS: " + text_of(link, "why"));
    return {{"link", link},
            {"streams", std::move(streams)},
            {"states", std::move(states)},
            {"worst_lag", std::move(worst)},
            {"bridges", core_.migration_ ? core_.migration_->bridges.size() : 0}};
}

}  // namespace kedge
