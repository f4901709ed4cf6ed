#include "router/admin/admin.hpp"

#include <algorithm>

#include "router/core/core.hpp"
#include "router/protocol/base64.hpp"
#include "router/protocol/names.hpp"

namespace kedge {

namespace {

constexpr std::size_t queue_max = 1024;
constexpr std::size_t letters_page = 16;  // letters come with their bodies: so many are in memory at a time

}  // namespace

admin::command const admin::commands[] = {
    {"user add", true, &admin::user_add},
    {"user list", false, &admin::user_list},
    {"user remove", true, &admin::user_remove},
    {"key add", true, &admin::key_add},
    {"key list", false, &admin::key_list},
    {"key remove", true, &admin::key_remove},
    {"rule add", true, &admin::rule_add},
    {"rule list", false, &admin::rule_list},
    {"rule remove", true, &admin::rule_remove},
    {"stream add", true, &admin::stream_add},
    {"stream list", false, &admin::stream_list},
    {"stream show", false, &admin::stream_show},
    {"stream edit", true, &admin::stream_edit},
    {"stream remove", true, &admin::stream_remove},
    {"consumer list", false, &admin::consumer_list},
    {"consumer show", false, &admin::consumer_show},
    {"consumer remove", true, &admin::consumer_remove},
    {"dead list", true, &admin::dead_list},
    {"dead show", true, &admin::dead_show},
    {"dead replay", true, &admin::dead_replay},
    {"dead drop", true, &admin::dead_drop},
    {"backup", true, &admin::backup},
    {"status", false, &admin::status},
};

void admin::handle(link& l, token request, admin_call call, instant now, actions& out)
{
    if (l.closed)
        return;
    caller const from{l.id, request};
    ++l.unanswered;
    auto const known = std::find_if(std::begin(commands), std::end(commands), [&](auto const& c) { return c.name == call.name; });
    if (known == std::end(commands))
        return refuse(from, "there is no command '" + call.name + "'", out);
    if (!l.access->is_operator())
        return refuse(from, "denied: '" + call.name + "' is for operators, and " + l.who->user + " has the role " + l.who->role, out);
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
    auto* const l = core_.find(to.link);
    if (!l)
        return;
    out.outputs.push_back({to.link, link_output::admin_answer{to.request, std::move(result)}});
    core_.answered(*l);
}

void admin::refuse(caller to, std::string why, actions& out) { answer(to, {1, nlohmann::json::object(), std::move(why)}, out); }

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
    if (!running_ || !running_->on_store)
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

// --- Streams ---------------------------------------------------------------------------------------------------------

stream* admin::stream_named(std::string const& name) const
{
    for (auto const& [id, s] : core_.streams_)
        if (s->name() == name)
            return s.get();
    return nullptr;
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
            {"retention", c.keep == retention::limits ? "limits" : "interest"},
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
    return {};
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
    return {};
}

void admin::stream_add(caller from, nlohmann::json const& args, instant, actions& out)
{
    stream_config config;
    config.name = args.value("name", "");
    auto why = read_limits(args, config);
    if (why.empty() && stream_named(config.name))
        why = "there is a stream " + config.name + " already";
    if (why.empty())
        why = check_stream(config, nullptr);
    if (why.empty() && core_.streams_.size() >= core_.config_.limits.streams)
        why = "there are " + std::to_string(core_.streams_.size()) + " streams already";
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
    auto* const s = stream_named(name);
    if (!s)
        return refuse(from, "there is no stream " + name, out);
    auto config = s->state.config;
    auto why = read_limits(args, config);
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
}

void admin::stream_remove(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("name", "");
    auto* const s = stream_named(name);
    if (!s)
        return refuse(from, "there is no stream " + name, out);
    auto const request = core_.next_token();
    auto const id = s->state.id;
    ask_store(from, request, store_request::remove_stream{request, id}, when_done(from, [this, id](instant now, actions& o) {
                  core_.remove_stream(*core_.streams_.at(id), now, o);
                  return nlohmann::json::object();
              }),
              out);
}

// --- Consumers and dead letters --------------------------------------------------------------------------------------

nlohmann::json admin::describe(consumer const& c) const
{
    auto const& s = *core_.streams_.at(c.config().stream);
    auto const next = c.live ? s.state.last + 1 : c.next();
    return {{"stream", s.name()},
            {"consumer", c.config().name},
            {"owner", c.config().owner},
            {"filter", c.config().filter},
            {"next_seq", next},
            {"pending", c.pending_count()},
            {"lag", s.state.last + 1 - std::min(next, s.state.last + 1)},
            {"links", c.links()},
            {"dead", c.dead},
            {"ack_wait_ms", c.config().ack_wait_ms},
            {"max_deliver", c.config().max_deliver}};
}

consumer* admin::consumer_named(nlohmann::json const& args, std::string& why) const
{
    auto const stream_name = args.value("stream", "");
    auto const name = args.value("consumer", "");
    auto* const s = stream_named(stream_name);
    if (!s) {
        why = "there is no stream " + stream_name;
        return nullptr;
    }
    auto const at = core_.consumers_by_name_.find({s->state.id, name});
    if (at == core_.consumers_by_name_.end()) {
        why = "stream " + stream_name + " has no consumer " + name;
        return nullptr;
    }
    return at->second;
}

void admin::consumer_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("stream", "");
    if (!name.empty() && !stream_named(name))
        return refuse(from, "there is no stream " + name, out);
    auto list = nlohmann::json::array();
    for (auto const& [id, c] : core_.consumers_)
        if (name.empty() || core_.streams_.at(c->config().stream)->name() == name)
            list.push_back(describe(*c));
    done(from, {{"consumers", std::move(list)}}, out);
}

void admin::consumer_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    if (auto const* const c = consumer_named(args, why))
        return done(from, describe(*c), out);
    refuse(from, why, out);
}

void admin::consumer_remove(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto const request = core_.next_token();
    auto const id = c->id();
    ask_store(from, request, store_request::remove_consumer{request, id}, when_done(from, [this, id](instant now, actions& o) {
                  if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end())
                      core_.remove_consumer(*at->second, "an operator removed it", now, o);
                  return nlohmann::json::object();
              }),
              out);
}

namespace {

nlohmann::json letter_json(dead_letter const& letter)
{
    auto const& m = *letter.stored.message;
    return {{"seq", letter.seq},
            {"subject", m.subject()},
            {"from", letter.stored.sender->view()},
            {"time_ms", letter.stored.time_ms},
            {"died_ms", letter.died_ms},
            {"tries", letter.tries},
            {"reason", letter.reason},
            {"size", m.body().size()}};
}

}  // namespace

void admin::dead_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto const most = std::clamp<std::uint64_t>(args.value("max", std::uint64_t{100}), 1, 1000);
    list_page(from, c->id(), args.value("after", message_seq{0}), most, nlohmann::json::array(), out);
}

void admin::list_page(caller from, consumer_id id, message_seq after, std::uint64_t left, nlohmann::json list, actions& out)
{
    auto const request = core_.next_token();
    auto const page = std::min<std::uint64_t>(left, letters_page);
    ask_store(
        from, request, store_request::list_dead{request, id, after, static_cast<std::size_t>(page)},
        [this, from, id, left, page, list = std::move(list)](store_event::any const& e, instant, actions& o) mutable {
            auto const& listed = std::get<store_event::dead_listed>(e);
            for (auto const& letter : listed.letters)
                list.push_back(letter_json(letter));
            if (listed.letters.size() == page && left > page)
                return list_page(from, id, listed.letters.back().seq, left - page, std::move(list), o);
            done(from, {{"dead", std::move(list)}, {"total", listed.total}}, o);
        },
        out);
}

void admin::dead_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    auto const seq = args.value("seq", message_seq{0});
    if (!c || seq == 0)
        return refuse(from, c ? "which seq?" : why, out);
    auto const request = core_.next_token();
    ask_store(
        from, request, store_request::list_dead{request, c->id(), seq - 1, 1},
        [this, from, seq](store_event::any const& e, instant, actions& o) {
            auto const& listed = std::get<store_event::dead_listed>(e);
            if (listed.letters.empty() || listed.letters.front().seq != seq)
                return refuse(from, "there is no dead letter " + std::to_string(seq), o);
            auto const& letter = listed.letters.front();
            auto const& m = *letter.stored.message;
            auto data = letter_json(letter);
            if (!m.headers().empty())
                data["headers"] = nlohmann::json::parse(m.headers());
            if (valid_utf8(m.body()))
                data["data"] = m.body();
            else {
                std::string text(base64_size(m.body().size()), '\0');
                base64_encode(m.body(), text.data());
                data["data64"] = std::move(text);
            }
            done(from, std::move(data), o);
        },
        out);
}

void admin::dead_drop(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto const seqs = args.value("seqs", std::vector<message_seq>{});
    auto const request = core_.next_token();
    auto const id = c->id();
    // First what there is, so that the answer counts what was really dropped.
    ask_store(
        from, request, store_request::list_dead{request, id, 0, 0},
        [this, from, id, seqs](store_event::any const& before, instant, actions& o) {
            auto const had = std::get<store_event::dead_listed>(before).total;
            auto const drop = core_.next_token();
            ask_store(
                from, drop, store_request::drop_dead{drop, id, seqs},
                [this, from, id, had](store_event::any const&, instant, actions& o2) {
                    auto const count = core_.next_token();
                    ask_store(
                        from, count, store_request::list_dead{count, id, 0, 0},
                        [this, from, id, had](store_event::any const& after, instant, actions& o3) {
                            auto const has = std::get<store_event::dead_listed>(after).total;
                            if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end())
                                at->second->dead = has;
                            done(from, {{"count", had - std::min(had, has)}}, o3);  // others may have died meanwhile
                        },
                        o2);
                },
                o);
        },
        out);
}

void admin::dead_replay(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto wanted = args.value("seqs", std::vector<message_seq>{});
    std::sort(wanted.begin(), wanted.end());
    replay_page(from, c->id(), std::move(wanted), 0, 0, out);
}

void admin::replay_page(caller from, consumer_id id, std::vector<message_seq> wanted, message_seq after, std::uint64_t count,
                        actions& out)
{
    auto const request = core_.next_token();
    ask_store(
        from, request, store_request::list_dead{request, id, after, letters_page},
        [this, from, id, wanted = std::move(wanted), count](store_event::any const& e, instant now, actions& o) {
            auto const& listed = std::get<store_event::dead_listed>(e);
            auto const at = core_.consumers_.find(id);
            if (listed.letters.empty() || at == core_.consumers_.end())
                return done(from, {{"count", count}}, o);
            std::vector<message_seq> seqs;
            for (auto const& letter : listed.letters)
                if (wanted.empty() || std::binary_search(wanted.begin(), wanted.end(), letter.seq))
                    seqs.push_back(letter.seq);
            auto const last = listed.letters.back().seq;
            auto const replayed = count + seqs.size();
            if (seqs.empty())
                return replay_page(from, id, wanted, last, replayed, o);
            replay(from, *at->second, std::move(seqs),
                   [this, from, id, wanted, last, replayed](actions& o2) { replay_page(from, id, wanted, last, replayed, o2); }, now, o);
        },
        out);
}

void admin::replay(caller from, consumer& c, std::vector<message_seq> seqs, std::function<void(actions&)> then, instant now,
                   actions& out)
{
    auto const request = core_.next_token();
    auto const id = c.id();
    c.reviving = seqs;
    ask_store(
        from, request, store_request::replay_dead{request, id, seqs},
        [this, id, seqs, then = std::move(then)](store_event::any const&, instant, actions& o) {
            if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end()) {
                auto& revived = *at->second;
                revived.reviving.clear();
                revived.revive(seqs);
                revived.dead -= std::min<std::uint64_t>(revived.dead, seqs.size());
                core_.changed_.insert(id);
            }
            then(o);
        },
        out);
    running_->undo = [this, id] {
        if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end()) {
            at->second->reviving.clear();
            at->second->dirty = true;
            core_.changed_.insert(id);
        }
    };
    // Off the list and into the position in one transaction: a crash between the two would lose them. It also brings the
    // deaths that are not known to be saved yet, since this position has them pending no more.
    store_request::save_cursor save;
    save.consumer = id;
    save.position = c.position(now);
    save.deaths = c.saving_deaths;
    save.deaths.insert(save.deaths.end(), c.deaths().begin(), c.deaths().end());
    save.now_ms = now.wall_ms;
    out.requests.push_back(std::move(save));
}

// --- The database and the whole --------------------------------------------------------------------------------------

void admin::backup(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto path = args.value("path", "");
    auto const request = core_.next_token();
    if (path.empty())
        return refuse(from, "backup to which file?", out);
    if (path == "-")  // a token alone comes again after a restart, and a file may have been left behind
        path = "backup-" + std::to_string(now.wall_ms) + "-" + std::to_string(static_cast<std::uint64_t>(request)) + ".stream";
    if (path.front() != '/')
        path = core_.config_.home + "/" + path;
    ask_store(from, request, store_request::backup{request, path},
              when_done(from, [path](instant, actions&) { return nlohmann::json{{"path", path}}; }), out);
}

void admin::status(caller from, nlohmann::json const&, instant now, actions& out)
{
    auto streams = nlohmann::json::array();
    for (auto const& [id, s] : core_.streams_)
        streams.push_back(describe(*s));
    auto consumers = nlohmann::json::array();
    auto why = nlohmann::json::array();
    if (auto const reason = core_.not_ready_because(); !reason.empty())
        why.push_back(reason);
    for (auto const& [id, c] : core_.consumers_) {
        auto const about = describe(*c);
        auto const name = "consumer " + c->config().name + " of " + about["stream"].get<std::string>();
        if (c->dead)
            why.push_back(name + " has " + std::to_string(c->dead) + " dead letters");
        if (!c->active() && about["lag"].get<std::uint64_t>() > 0)
            why.push_back(name + " is away and " + std::to_string(about["lag"].get<std::uint64_t>()) + " messages behind");
        consumers.push_back(about);
    }
    auto numbers = nlohmann::json::object();
    for (auto const& field : metric_fields())
        numbers[std::string{field.name}] = (core_.counts_.*field.member).get();
    auto bounds = nlohmann::json::object();
    for (auto const& field : limit_fields())
        bounds[std::string{field.name}] = core_.config_.limits.*field.member;
    done(from,
         {{"server", core_.config_.server_name},
          {"uptime_ms", now.steady_ms - core_.started_.steady_ms},
          {"sessions", core_.counts_.sessions.get()},
          {"links", core_.links_.size()},
          {"nodes", core_.nodes_.size()},
          {"streams", std::move(streams)},
          {"consumers", std::move(consumers)},
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
                     {"bytes", s->state.bytes}});
        break;
    case op::who::kind::consumers:
        name = "consumers";
        for (auto const& [id, c] : core_.consumers_)
            if ((by.access->is_operator() || c->config().owner == by.who->user) && !cut)
                add(describe(*c));
        break;
    case op::who::kind::services: name = "services"; break;
    case op::who::kind::lists: name = "lists"; break;
    }
    nlohmann::json answer{{name, std::move(list)}};
    if (cut)
        answer["truncated"] = true;
    return answer;
}

}  // namespace kedge
