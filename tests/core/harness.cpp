#include "tests/core/harness.hpp"

#include <stdexcept>

#include "router/core/account_requests.hpp"

namespace kedge {

namespace {

struct shortener {
    static std::string word(std::string const& text) { return text.empty() ? "" : " " + text; }
    static std::string place(std::string const& stream, message_seq seq)
    {
        return stream.empty() ? "" : " " + stream + "#" + std::to_string(seq);
    }
    std::string operator()(notice::welcome const& n) const
    {
        std::string text = "welcome" + word(n.id) + word(n.node);
        for (auto const& [stream, highest] : n.last)
            text += " " + stream + "=" + std::to_string(highest);
        return text;
    }
    std::string operator()(notice::ok const& n) const { return "ok" + word(n.id) + place(n.stream, n.seq) + (n.dup ? " dup" : ""); }
    std::string operator()(notice::pong const& n) const { return "pong" + word(n.id); }
    std::string operator()(notice::msg const& n) const
    {
        auto text = "msg " + n.subject + place(n.stream, n.seq);
        if (!n.consumer.empty())
            text += " c=" + n.consumer + " t=" + std::to_string(n.tries);
        if (!n.group.empty())
            text += " g=" + n.group;
        return text + word(n.body.size() > 200 ? std::to_string(n.body.size()) : n.body);
    }
    std::string operator()(notice::call const& n) const { return "call " + n.service + "." + n.method + word(n.body); }
    std::string operator()(notice::stored const& n) const
    {
        return "stored " + n.stream + " n=" + std::to_string(n.n) + " #" + std::to_string(n.seq);
    }
    std::string operator()(notice::reply const& n) const { return "reply" + word(n.id) + (n.from == "$sys" ? "" : word(n.body)); }
    std::string operator()(notice::info const& n) const { return std::string{"info"} + (n.draining ? " draining" : ""); }
    std::string operator()(notice::error const& n) const
    {
        return "error" + word(n.id) + " " + (n.word.empty() ? std::string{wire_word(n.code)} : n.word);
    }
    std::string operator()(notice::bye const& n) const { return "bye " + std::string{wire_word(n.code)}; }
    std::string operator()(notice::unknown const& n) const { return "unknown " + n.op; }
};

}  // namespace

std::string in_short(notice::any const& n) { return std::visit(shortener{}, n); }

harness::harness(limits l) : bounds{l}, disk{l} { load(); }

void harness::load()
{
    peers_.clear();
    queue_.clear();
    accounts_.clear();
    todo_ = {};
    core_ = std::make_unique<class core>(core_config{bounds, "kedge/test", {"host:2222"}, "/home"}, disk.load(now.wall_ms),
                                         disk.load_accounts(), counts, now);
    root = open("root", "operator", encoding::lines, false);
    pass(1);
}

link_id harness::open(std::string const& user, std::string const& role, encoding form, bool greet, bool internal)
{
    auto const id = link_id{++last_link_};
    auto& p = peers_[id];
    p.ears = std::make_unique<operation_decoder>(encoding::lines, bounds);
    p.decoder = std::make_unique<notice_decoder>(form, std::size_t{64} << 20);
    auto who = std::make_shared<principal>();
    who->user = user;
    who->role = role;
    who->session = "s" + std::to_string(last_link_);
    core_->step(link_event::any{id, link_event::opened{session_id{last_link_}, std::move(who), form, greet, internal}}, now, todo_);
    settle();
    return id;
}

link_id harness::join(std::string const& user, std::string const& node, std::string const& role)
{
    auto const id = open(user, role);
    if (!node.empty())
        say(id, R"({"op":"hello","node":")" + node + "\"}");
    heard(id);
    return id;
}

void harness::say(link_id link, std::string_view operations)
{
    auto& p = peers_.at(link);
    p.ears->feed(operations);
    p.ears->feed("\n");
    while (auto next = p.ears->next()) {
        p.given += next->bytes;
        core_->step(link_event::any{link, link_event::operation{std::move(next->operation), next->bytes}}, now, todo_);
    }
    settle();
}

void harness::end_input(link_id link)
{
    core_->step(link_event::any{link, link_event::input_ended{}}, now, todo_);
    settle();
}

void harness::close(link_id link, std::optional<std::uint64_t> written)
{
    auto const& p = peers_.at(link);
    core_->step(link_event::any{link, link_event::closed{written.value_or(p.handed)}}, now, todo_);
    settle();
}

lines harness::heard(link_id link) { return std::exchange(peers_.at(link).heard, {}); }

lines harness::ask(link_id link, std::string_view operations)
{
    heard(link);
    say(link, operations);
    return heard(link);
}

void harness::reads(link_id link, bool does)
{
    peers_.at(link).reads = does;
    settle();
}

std::optional<admin_result> harness::admin(std::string name, nlohmann::json args)
{
    return admin_as(root, std::move(name), std::move(args));
}

std::optional<admin_result> harness::admin_as(link_id link, std::string name, nlohmann::json args)
{
    answers_.clear();
    core_->step(link_event::any{link, link_event::admin_request{token{++last_request_}, {std::move(name), std::move(args)}}}, now, todo_);
    settle();
    if (answers_.empty())
        return std::nullopt;
    return answers_.back();
}

std::vector<admin_result> harness::admin_answers() { return std::exchange(answers_, {}); }

void harness::add_stream(std::string const& name, std::vector<std::string> subjects)
{
    auto const answer = admin("stream add", {{"name", name}, {"subjects", std::move(subjects)}});
    if (!answer || answer->exit_status)
        throw std::runtime_error{"no stream " + name};
}

void harness::commit()
{
    run_store();
    settle();
}

void harness::release()
{
    held_ = false;
    settle();
}

void harness::pass(std::uint64_t ms)
{
    now.steady_ms += ms;
    now.wall_ms += ms;
    core_->tick(now, todo_);
    settle();
}

void harness::drain()
{
    core_->drain(now, todo_);
    settle();
}

void harness::crash()
{
    core_.reset();
    disk.crash();
    load();
}

void harness::restart()
{
    core_->save_positions(now, todo_);
    core_->finish(now, todo_);
    take(todo_);
    std::vector<store_event::any> unheard;
    disk.execute({queue_.begin(), queue_.end()}, unheard);
    crash();
}

void harness::take(actions& from)
{
    for (auto& o : from.outputs) {
        auto const at = peers_.find(o.link);
        if (at == peers_.end())
            continue;
        auto& p = at->second;
        if (auto* const data = std::get_if<link_output::data>(&o.what)) {
            p.handed += data->bytes->size();
            p.decoder->feed(data->bytes->view());
            while (auto next = p.decoder->next()) {
                if (!*next)
                    throw std::runtime_error{"not a notice: " + next->error().message};
                p.heard.push_back(in_short(**next));
                p.notices.push_back(std::move(**next));
            }
        } else if (auto const* const credit = std::get_if<link_output::credit>(&o.what)) {
            p.credited += credit->bytes;
        } else if (auto const* const close = std::get_if<link_output::close>(&o.what)) {
            p.heard.push_back("closed " + std::to_string(close->exit_status));
        } else if (auto* const answer = std::get_if<link_output::admin_answer>(&o.what)) {
            answers_.push_back(std::move(answer->result));
        }
    }
    for (auto& a : from.appends)
        queue_.emplace_back(std::move(a));
    for (auto& r : from.requests)
        queue_.push_back(std::move(r));
    for (auto& a : from.accounts)
        accounts_.push_back(std::move(a));
    for (auto& m : from.migration)
        asked.push_back(std::move(m));
    removed.insert(removed.end(), from.removed.begin(), from.removed.end());
    if (from.directory)
        directory = from.directory;
    drained = drained || from.drained;
    from = {};
}

void harness::run_store()
{
    auto const requests = std::exchange(queue_, {});
    auto const accounts = std::exchange(accounts_, {});
    std::vector<store_event::any> events;
    if (!requests.empty())
        disk.execute({requests.begin(), requests.end()}, events);
    disk.maintain(now.wall_ms, events);
    for (auto& e : events)
        core_->step(std::move(e), now, todo_);
    for (auto const& a : accounts)
        core_->step(carry_out(disk, a), now, todo_);
}

void harness::settle()
{
    for (bool more = true; more;) {
        more = false;
        core_->finish(now, todo_);
        take(todo_);
        for (auto& [id, p] : peers_)
            if (p.reads && p.written < p.handed) {
                core_->step(link_event::any{id, link_event::written{p.handed - p.written}}, now, todo_);
                p.written = p.handed;
                more = true;
            }
        if (!held_ && (!queue_.empty() || !accounts_.empty())) {
            run_store();
            more = true;
        }
    }
}

}  // namespace kedge
