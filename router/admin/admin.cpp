#include "router/admin/admin.hpp"

#include <algorithm>
#include <array>

#include "router/core/core.hpp"

namespace kedge {

namespace {

constexpr std::size_t queue_max = 1024;
constexpr std::size_t audit_text_max = 4096;  // of each text of an entry

}  // namespace

admin::command const admin::commands[] = {
    {"user add", true, &admin::user_add},
    {"user list", false, &admin::user_list},
    {"user edit", true, &admin::user_edit},
    {"user show", false, &admin::user_show},
    {"user remove", true, &admin::user_remove},
    {"key add", true, &admin::key_add},
    {"key list", false, &admin::key_list},
    {"key remove", true, &admin::key_remove},
    {"rule add", true, &admin::rule_add},
    {"rule list", false, &admin::rule_list},
    {"rule remove", true, &admin::rule_remove},
    {"rule test", false, &admin::rule_test},
    {"ban add", true, &admin::ban_add},
    {"ban list", false, &admin::ban_list},
    {"ban remove", true, &admin::ban_remove},
    {"audit list", true, &admin::audit_list},
    {"stream add", true, &admin::stream_add, true},
    {"stream list", false, &admin::stream_list},
    {"stream show", false, &admin::stream_show},
    {"stream edit", true, &admin::stream_edit},
    {"stream remove", true, &admin::stream_remove},
    {"stream pause", true, &admin::stream_pause},
    {"stream resume", true, &admin::stream_resume},
    {"stream purge", true, &admin::stream_purge},
    {"stream peek", true, &admin::stream_peek},
    {"consumer list", false, &admin::consumer_list},
    {"consumer show", false, &admin::consumer_show},
    {"consumer edit", true, &admin::consumer_edit},
    {"consumer pause", true, &admin::consumer_pause},
    {"consumer resume", true, &admin::consumer_resume},
    {"consumer remove", true, &admin::consumer_remove},
    {"dead list", true, &admin::dead_list},
    {"dead show", true, &admin::dead_show},
    {"dead replay", true, &admin::dead_replay},
    {"dead drop", true, &admin::dead_drop},
    {"alias add", false, &admin::alias_add, true},
    {"alias remove", false, &admin::alias_remove, true},
    {"alias list", false, &admin::alias_list, true},
    {"list add", false, &admin::list_add, true},
    {"list edit", false, &admin::list_edit, true},
    {"list remove", false, &admin::list_remove, true},
    {"list show", false, &admin::list_show, true},
    {"node list", false, &admin::node_list, true},
    {"node show", false, &admin::node_show, true},
    {"node remove", true, &admin::node_remove, true},
    {"backup", true, &admin::backup},
    {"check", false, &admin::check},
    {"status", false, &admin::status},
};

bool admin::changes(admin_call const& call) noexcept
{
    if (auto const dry = call.args.find("dry_run"); dry != call.args.end() && *dry == true)
        return false;
    std::string_view const name = call.name;
    auto const verb = name.substr(name.rfind(' ') + 1);
    return std::ranges::none_of(std::array<std::string_view, 9>{"list", "show", "test", "peek", "status", "check", "plan", "diff", "events"},
                                [&](auto reads) { return verb == reads; });
}

void admin::handle(link& l, token request, admin_call call, instant now, actions& out)
{
    if (l.closed)
        return;
    caller from{l.id, request};
    ++l.unanswered;
    if (changes(call)) {
        audit_entry entry;
        entry.time_ms = now.wall_ms;
        entry.user = l.who->user;
        entry.key = l.who->key;
        entry.command = call.name.substr(0, audit_text_max);
        entry.args = call.args.dump().substr(0, audit_text_max);
        from.audited = std::make_shared<audit_entry const>(std::move(entry));
    }
    auto const known = std::find_if(std::begin(commands), std::end(commands), [&](auto const& c) { return c.name == call.name; });
    bool const of_migration = is_of_migration(call.name);
    if (known == std::end(commands) && !of_migration)
        return refuse(from, "there is no command '" + call.name + "'", out);
    if ((of_migration || !known->for_all) && !l.access->is_operator())
        return deny(from, "'" + call.name + "' is for operators, and " + l.who->user + " has the role " + l.who->role, out);
    if (of_migration)
        return ask_migration(from, std::move(call), l.who->user, out);
    if (!known->store) {
        (this->*known->carry_out)(from, call.args, now, out);
        return;
    }
    if (queue_.size() >= queue_max)
        return refuse(from, "too many administrative commands wait", out);
    queue_.push_back({from, std::move(call)});
    next(now, out);
}

void admin::next(instant now, actions& out)
{
    while (!running_ && !queue_.empty()) {
        auto const w = std::move(queue_.front());
        queue_.pop_front();
        auto const known =
            std::find_if(std::begin(commands), std::end(commands), [&](auto const& c) { return c.name == w.call.name; });
        (this->*known->carry_out)(w.from, w.call.args, now, out);
    }
}

void admin::answer(caller to, admin_result result, actions& out)
{
    if (to.audited) {
        auto entry = *to.audited;
        entry.outcome = result.exit_status == 0 ? "done" : result.error.substr(0, audit_text_max);
        out.accounts.push_back({token::none, {account_change::add_audit{std::move(entry)}}});
    }
    auto* const l = core_.find(to.link);
    if (!l)
        return;
    out.outputs.push_back({to.link, link_output::admin_answer{to.request, std::move(result)}});
    core_.answered(*l);
}

void admin::refuse(caller to, std::string why, actions& out) { answer(to, {1, nlohmann::json::object(), std::move(why)}, out); }

void admin::deny(caller to, std::string const& why, actions& out)
{
    core_.counts_.errors[static_cast<std::size_t>(error_code::denied)].add_alone();
    refuse(to, "denied: " + why, out);
}

void admin::done(caller to, nlohmann::json data, actions& out) { answer(to, {0, std::move(data), {}}, out); }

void admin::forget(link_id id)
{
    std::erase_if(queue_, [&](auto const& w) { return w.from.link == id; });
}

void admin::ask_store(caller from, token request, store_request::any what,
                      std::function<void(store_event::any const&, instant, actions&)> then, actions& out)
{
    running_ = running{from, request, std::move(then), nullptr, nullptr};
    out.requests.push_back(std::move(what));
}

void admin::on_store(store_event::any const& e, instant now, actions& out)
{
    if (on_checked(e, out) || !running_ || !running_->on_store)
        return;
    auto const request = std::visit(
        [](auto const& what) {
            if constexpr (requires { what.request; })
                return what.request;
            else
                return token::none;
        },
        e);
    if (request != running_->request)
        return;
    auto const mine = std::move(*running_);
    running_.reset();
    if (auto const* const failed = std::get_if<store_event::failed>(&e)) {
        if (mine.undo)
            mine.undo();
        refuse(mine.from, failed->why.message, out);
    } else {
        mine.on_store(e, now, out);
    }
    next(now, out);
}

std::function<void(store_event::any const&, instant, actions&)> admin::when_done(
    caller from, std::function<nlohmann::json(instant, actions&)> then)
{
    return [this, from, then = std::move(then)](store_event::any const&, instant now, actions& out) { done(from, then(now, out), out); };
}

// --- The whole --------------------------------------------------------------------------------------

void admin::status(caller from, nlohmann::json const&, instant now, actions& out)
{
    auto streams = nlohmann::json::array();
    for (auto const& [id, s] : core_.streams_)
        streams.push_back(describe(*s));
    auto consumers = nlohmann::json::array();
    auto why = nlohmann::json::array();
    if (auto const reason = core_.not_ready_because(); !reason.empty())
        why.push_back(reason);
    for (auto const& [id, s] : core_.streams_)
        if (s->state.config.paused)
            why.push_back("stream " + s->name() + " is paused: its consumers are delivered nothing");
    for (auto const& [id, c] : core_.consumers_) {
        auto const about = describe(*c);
        auto const name = "consumer " + c->config().name + " of " + about["stream"].get<std::string>();
        if (c->dead)
            why.push_back(name + " has " + std::to_string(c->dead) + " dead letters");
        if (c->config().paused)
            why.push_back(name + " is paused");
        if (!c->active() && !c->is_inbox() && about["lag"].get<std::uint64_t>() > 0)
            why.push_back(name + " is away and " + std::to_string(about["lag"].get<std::uint64_t>()) + " messages behind");
        consumers.push_back(about);
    }
    auto migration = core_.has_migration_ ? migration_status(why) : nlohmann::json{};
    auto& asking = *core_.find(from.link);
    --asking.unanswered;  // what waits, but for this question itself
    core_.measure();
    ++asking.unanswered;
    auto numbers = nlohmann::json::object();
    for (auto const& field : metric_fields())
        numbers[std::string{field.name}] = (core_.counts_.*field.member).get();
    auto bounds = nlohmann::json::object();
    for (auto const& field : limit_fields())
        bounds[std::string{field.name}] = core_.config_.limits.*field.member;
    done(from,
         {{"server", core_.config_.server_name},
          {"uptime_ms", now.steady_ms - core_.started_.steady_ms},
          {"time_ms", now.wall_ms},
          {"bans", std::ranges::count_if(core_.bans_, [&](auto const& b) { return !b.until_ms || b.until_ms > now.wall_ms; })},
          {"sessions", core_.counts_.sessions.get()},
          {"links", core_.links_.size()},
          {"nodes", core_.nodes_.size()},
          {"streams", std::move(streams)},
          {"consumers", std::move(consumers)},
          {"migration", std::move(migration)},
          {"metrics", std::move(numbers)},
          {"limits", std::move(bounds)},
          {"why", std::move(why)}},
         out);
}

nlohmann::json admin::who(link const& by, op::who::kind what) const
{
    auto list = nlohmann::json::array();
    std::size_t size = 0;
    bool cut = false;
    // The answer is one body: it stays within what a body may be.
    auto const add = [&](nlohmann::json entry) {
        size += entry.dump().size() + 1;
        if (size + 64 > core_.config_.limits.body_bytes)
            cut = true;
        else
            list.push_back(std::move(entry));
    };
    std::string name;
    switch (what) {
    case op::who::kind::nodes:
        name = "nodes";
        for (auto const& [id, l] : core_.links_)
            if (l->greeted && !l->closed && !cut)
                add({{"user", l->who->user},
                     {"node", l->node ? nlohmann::json(l->node->name.substr(l->who->user.size() + 1)) : nlohmann::json()},
                     {"session", l->who->session},
                     {"since_ms", l->since_ms}});
        break;
    case op::who::kind::streams:
        name = "streams";
        for (auto const& [id, s] : core_.streams_)
            if (!cut)
                add({{"stream", s->name()},
                     {"subjects", s->state.config.subjects},
                     {"first_seq", s->state.first},
                     {"last_seq", s->state.last},
                     {"messages", s->state.messages},
                     {"bytes", s->state.bytes},
                     {"state", core_.migration_state(*s)},
                     {"authority", core_.authority_of(*s)}});
        break;
    case op::who::kind::consumers:
        name = "consumers";
        for (auto const& [id, c] : core_.consumers_)
            if ((by.access->is_operator() || c->config().owner == by.who->user) && !cut)
                add(describe(*c));
        break;
    case op::who::kind::services:
        name = "services";
        core_.services_.each([&](service_instance const& i) {
            if (!cut)
                add(core_.about(i));
        });
        break;
    case op::who::kind::lists:
        name = "lists";
        for (auto const& [key, l] : core_.book_.lists())
            if (!cut)
                add(describe(l));
        break;
    }
    nlohmann::json answer{{name, std::move(list)}};
    if (cut)
        answer["truncated"] = true;
    return answer;
}

}  // namespace kedge
