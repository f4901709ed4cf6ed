#include "tests/sim/talkers.hpp"

#include <algorithm>

namespace kedge::sim {

namespace {

std::vector<std::string> const services{"S", "S", "T"};
std::vector<std::string> const aliases{"a0", "a1", "a2"};
std::vector<std::string> const lists{"l0", "l1", "l2"};

std::string any_user(world& w, random_source& random) { return random.pick(w.plan.users).name; }

std::string any_recipient(world& w, random_source& random)
{
    auto const people = random.below(w.plan.people);
    switch (random.below(20)) {
    case 0: return "nobody";
    case 1: return any_user(w, random);
    case 2:
    case 3: return "~" + random.pick(aliases);
    case 4:
    case 5:
    case 6:
    case 7: return "@" + random.pick(lists);
    case 8:
    case 9:
    case 10:
    case 11: return w.plan.users[people].name + "/n" + std::to_string(random.below(w.plan.nodes));
    default: return w.plan.users[people].name;
    }
}

std::string any_member(world& w, random_source& random)
{
    switch (random.below(6)) {
    case 0: return "~" + random.pick(aliases);
    case 1:
    case 2: return "@" + random.pick(lists);
    default: return any_user(w, random);
    }
}

std::size_t make_post(world& w, random_source& random, std::string const& reliable)
{
    std::vector<std::string> to;
    for (auto count = random.percent(50) ? 1 : random.between(1, 5); count != 0; --count)
        to.push_back(any_recipient(w, random));
    message::parts parts;
    std::string const id = "p" + std::to_string(w.watch.messages.made());
    parts.id = id;
    if (random.percent(10))
        parts.headers = R"({"Kind":"mail"})";
    return w.watch.messages.make(parts, 0, reliable, random.below(random.percent(10) ? 2000 : 100), std::move(to));
}

message_ptr body_of(world& w, random_source& random, std::string const& id = {}, std::string const& subject = {})
{
    message::parts parts;
    parts.id = id;
    parts.subject = subject;
    return w.watch.messages.at(w.watch.messages.make(parts, 0, {}, random.below(60))).message;
}

}  // namespace

// --- person ----------------------------------------------------------------------------------------------------------------

person::person(std::string user, std::string node, std::size_t posts) : client{std::move(user)}, node_{std::move(node)}, left_{posts} {}

void person::lost()
{
    state_ = state::away;
    pings_ = 0;
    to_ack_.clear();
}

void person::arrive(world& w, bool keepalive)
{
    connect(w);
    hello_ = next_id("hello");
    tell(w, op::hello{hello_, node_, "sim", true, keepalive});
    state_ = state::greeting;
}

void person::send(world& w, std::size_t number)
{
    auto const& m = w.watch.messages.at(number);
    tell(w, op::post{m.to, m.message}, 60 + m.message->body().size());
}

void person::post(world& w, random_source& random)
{
    unanswered_.push_back(make_post(w, random, node_name()));
    --left_;
    send(w, unanswered_.back());
}

bool person::is_post(world& w, std::string const& id) const
{
    return std::any_of(unanswered_.begin(), unanswered_.end(),
                       [&](std::size_t number) { return w.watch.messages.at(number).message->id() == id; });
}

void person::ack(world& w, random_source& random)
{
    if (to_ack_.empty())
        return;
    op::ack a;
    a.consumer = "inbox";
    if (random.percent(40))
        a.id = next_id("ack");
    if (random.percent(50))
        a.upto = to_ack_.back();
    else
        a.seqs = to_ack_;
    to_ack_.clear();
    tell(w, std::move(a));
}

void person::act(world& w, random_source& random)
{
    if (link_ == link_id{}) {
        if (random.percent(30))
            arrive(w, random.percent(30));
        return;
    }
    auto const die = random.below(100);
    if (die < 40) {
        // Not before the answer to hello: if that is refused, the link has no node, and its ids no window.
        if (state_ == state::working && pings_ == 0 && left_ != 0 && unanswered_.size() < 6)
            post(w, random);
    } else if (die < 80) {
        ack(w, random);
    } else if (die < 90) {
        tell(w, op::ping{next_id("alive")});
        ++pings_;
    } else if (die < 92) {
        tell(w, op::quit{});
    } else if (die < 94) {
        if (auto* const at = line(w))
            w.send_end_of_input(*at);
    } else if (die < 96) {
        drop(w);
    }
}

void person::hear(world& w, random_source&, notice::any const& n)
{
    auto const forget = [&](std::string const& id) {
        std::erase_if(unanswered_, [&](std::size_t number) { return w.watch.messages.at(number).message->id() == id; });
    };
    if (auto const* const welcome = std::get_if<notice::welcome>(&n)) {
        if (welcome->id != hello_)
            return;
        state_ = state::working;
        for (auto const number : unanswered_)
            send(w, number);
    } else if (auto const* const ok = std::get_if<notice::ok>(&n)) {
        forget(ok->id);
    } else if (auto const* const m = std::get_if<notice::msg>(&n)) {
        if (m->consumer != "inbox")
            throw violation{node_name() + " is told what it did not ask for: " + m->subject};
        if (had_.insert(m->seq).second) {
            w.watch.talk.mail.acted(node_name(), m->seq);
            if (!bodies_.insert(m->body).second && !w.plan.nodes_go)
                throw violation{node_name() + " acts twice on " + m->body.substr(0, m->body.find(':'))};
        }
        to_ack_.push_back(m->seq);
    } else if (auto const* const pong = std::get_if<notice::pong>(&n)) {
        pings_ -= pong->id.starts_with("alive");
        if (state_ == state::recovering && pong->id == ping_) {
            for (auto const number : unanswered_)
                send(w, number);
            state_ = state::working;
        }
    } else if (auto const* const error = std::get_if<notice::error>(&n)) {
        auto const wrong = [&] {
            throw violation{node_name() + " did everything right and is told " + std::string{wire_word(error->code)} + ": " + error->message};
        };
        if (error->id == hello_) {
            if (!outcome_unknown(error->code) && error->code != error_code::store_full && error->code != error_code::draining)
                wrong();
            drop(w);  // and comes back
        } else if (is_post(w, error->id)) {
            bool const refused = error->code == error_code::unknown_recipient || error->code == error_code::denied
                || error->code == error_code::quota;
            if (refused) {
                for (auto const number : unanswered_)
                    if (auto& made = w.watch.messages.at(number); made.message->id() == error->id) {
                        made.given_up = true;
                        bool const plain = std::all_of(made.to.begin(), made.to.end(), [&](auto const& to) {
                            return to.find_first_of("~@/") == std::string::npos && to != "nobody";
                        });
                        if (plain && (error->code != error_code::quota || (w.plan.bounds.mail_messages > 1000 && w.plan.bounds.list_nesting > lists.size())))
                            wrong();
                    }
                forget(error->id);
            } else if (!sticks_to_stream(error->code)) {
                wrong();
            }
            if (sticks_to_stream(error->code) && state_ == state::working) {
                state_ = state::recovering;
                ping_ = next_id("ping");
                tell(w, op::ping{ping_});
            }
        } else if (!error->id.starts_with("ack") || (!outcome_unknown(error->code) && error->code != error_code::unknown_consumer)) {
            if (error->id.starts_with("p"))
                return;  // to a second sending of what was dealt with
            if (!error->id.empty())
                wrong();
        }
    }
}

bool person::finish(world& w, random_source& random)
{
    poll(w, random);
    if (link_ == link_id{})
        arrive(w, false);
    else if (state_ == state::working && pings_ == 0 && left_ != 0 && unanswered_.size() < 6)
        post(w, random);
    ack(w, random);
    return left_ == 0 && unanswered_.empty() && state_ == state::working;
}

// --- servant ---------------------------------------------------------------------------------------------------------------

void servant::answer(world& w, random_source& random)
{
    if (calls_.empty())
        return;
    auto const at = random.below(calls_.size());
    auto const handle = calls_[at];
    if (random.percent(85))  // else it answers again later
        calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(at));
    if (handle.starts_with("_call.")) {
        message::parts parts;
        parts.subject = handle;
        auto const number = w.watch.messages.make(parts, 0, {}, random.below(60));
        tell(w, op::publish{w.watch.messages.at(number).message, 0});
        return;
    }
    op::reply r;
    r.call = handle;
    r.message = body_of(w, random);
    if (random.percent(20)) {
        r.error_code = random.percent(50) ? "own_code" : "denied";
        r.error_message = "simulated";
    }
    tell(w, std::move(r));
}

void servant::serve(world& w, random_source& random)
{
    op::serve s;
    s.id = next_id("serve");
    s.service = random.pick(services);
    s.version = random.percent(80) ? "1" : "2";
    s.methods = random.percent(70) ? std::vector<std::string>{"m", "n"} : std::vector<std::string>{"m"};
    tell(w, std::move(s));
}

void servant::act(world& w, random_source& random)
{
    if (link_ == link_id{}) {
        if (random.percent(50))
            return;
        connect(w);
        if (random.percent(60))
            tell(w, op::hello{next_id("hello"), "s" + std::to_string(random.below(3)), "sim", false, random.percent(20)});
        serve(w, random);
        return;
    }
    auto const die = random.below(100);
    if (die < 15) {
        serve(w, random);
    } else if (die < 20) {
        tell(w, op::unserve{next_id("unserve"), random.pick(services)});
    } else if (die < 25) {
        tell(w, op::subscribe{next_id("sub"), "q.call", random.percent(30) ? "g" : ""});
    } else if (die < 90) {
        answer(w, random);
    } else if (die < 94) {
        tell(w, op::ping{next_id("ping")});
    } else if (die < 95) {
        tell(w, op::quit{});
    } else if (die < 96) {
        if (auto* const at = line(w))
            w.send_end_of_input(*at);
    } else if (die < 98) {
        drop(w);
    }
}

void servant::hear(world&, random_source&, notice::any const& n)
{
    if (auto const* const c = std::get_if<notice::call>(&n))
        calls_.push_back(c->call);
    else if (auto const* const m = std::get_if<notice::msg>(&n); m && !m->reply_to.empty())
        calls_.push_back(m->reply_to);
}

bool servant::finish(world& w, random_source& random)
{
    poll(w, random);
    answer(w, random);
    return true;
}

// --- caller ----------------------------------------------------------------------------------------------------------------

void caller::act(world& w, random_source& random)
{
    if (link_ == link_id{}) {
        connect(w);
        if (random.percent(50))
            tell(w, op::hello{next_id("hello"), "c" + std::to_string(random.below(2)), "sim", false, false});
        return;
    }
    auto const die = random.below(100);
    if (die < 70) {
        op::call c;
        auto const id = random.percent(97) ? next_id("call") : "again";
        bool const by_subject = random.percent(20);
        c.message = body_of(w, random, id, by_subject ? "q.call" : "");
        if (!by_subject) {
            c.service = random.pick(services);
            c.method = random.percent(70) ? "m" : random.percent(80) ? "n" : "o";
        }
        c.timeout_ms = random.percent(50) ? random.between(1, 3000) : 0;
        auto const bytes = 60 + c.message->body().size();
        tell(w, std::move(c), bytes);
    } else if (die < 80) {
        tell(w, op::ping{next_id("ping")});
    } else if (die < 82) {
        tell(w, op::quit{});
    } else if (die < 84) {
        if (auto* const at = line(w))
            w.send_end_of_input(*at);
    } else if (die < 86) {
        drop(w);
    }
}

bool caller::finish(world& w, random_source& random)
{
    poll(w, random);
    return true;
}

// --- gossip ----------------------------------------------------------------------------------------------------------------

void gossip::act(world& w, random_source& random)
{
    if (link_ == link_id{}) {
        if (random.percent(50))
            return;
        connect(w);
        if (random.percent(70))
            tell(w, op::hello{next_id("hello"), "g" + std::to_string(random.below(2)), "sim", random.percent(60), random.percent(10)});
        return;
    }
    auto const die = random.below(100);
    if (die < 20) {
        op::list l;
        l.id = next_id("list");
        l.name = random.pick(lists);
        for (auto count = random.below(3); count != 0; --count)
            l.add.push_back(any_member(w, random));
        for (auto count = random.below(2); count != 0; --count)
            l.remove.push_back(any_member(w, random));
        if (random.percent(10)) {
            l.drop = true;
            l.add.clear();
            l.remove.clear();
        }
        tell(w, std::move(l));
    } else if (die < 32) {
        op::alias a;
        a.id = next_id("alias");
        if (random.percent(70))
            a.add.push_back("~" + random.pick(aliases));
        if (random.percent(40))
            a.remove.push_back("~" + random.pick(aliases));
        tell(w, std::move(a));
    } else if (die < 60) {
        auto const& m = w.watch.messages.at(make_post(w, random, {}));
        tell(w, op::post{m.to, m.message}, 60 + m.message->body().size());
    } else if (die < 66) {
        op::who q;
        q.id = next_id("who");
        q.what = static_cast<op::who::kind>(random.below(5));
        tell(w, std::move(q));
    } else if (die < 70) {
        tell(w, op::subscribe{next_id("sub"), random.percent(50) ? "$sys.node.*" : "inbox." + user_, {}});
    } else if (die < 86) {
        if (held_.empty())
            return;
        auto const seq = held_.front();
        held_.pop_front();
        if (random.percent(40)) {
            tell(w, op::nak{next_id("nak"), "inbox", {}, seq, random.percent(50) ? 0 : random.between(1, 5000)});
        } else if (random.percent(10)) {
            tell(w, op::term{next_id("term"), "inbox", {}, seq, "simulated"});
        } else {
            op::ack a;
            a.id = next_id("ack");
            a.consumer = "inbox";
            a.seqs = {seq};
            tell(w, std::move(a));
        }
    } else if (die < 92) {
        tell(w, op::ping{next_id("ping")});
    } else if (die < 94) {
        tell(w, op::quit{});
    } else if (die < 96) {
        drop(w);
    }
}

void gossip::hear(world& w, random_source& random, notice::any const& n)
{
    if (auto const* const m = std::get_if<notice::msg>(&n); m && !m->consumer.empty())
        held_.push_back(m->seq);
    else if (auto const* const error = std::get_if<notice::error>(&n); error && sticks_to_stream(error->code) && random.percent(70))
        tell(w, op::ping{next_id("ping")});
}

bool gossip::finish(world& w, random_source& random)
{
    poll(w, random);
    return true;
}

// --- administrator -----------------------------------------------------------------------------------------------------------

void administrator::lost()
{
    if (std::exchange(waits_, false) && name_.ends_with("pause"))
        paused_.insert(what_);  // perhaps
}

void administrator::command(world& w, std::string name, nlohmann::json args)
{
    if (link_ == link_id{})
        link_ = w.connect(user_, false).id;
    auto* const at = line(w);
    if (!at)
        return;
    name_ = name;
    what_ = {args.value("stream", ""), args.value("consumer", "")};
    waits_ = true;
    w.command(*at, {std::move(name), std::move(args)});
}

// Whether the last command was answered, or never will be.
bool administrator::read(world& w)
{
    auto* const at = line(w);
    if (!at) {
        if (link_ != link_id{})
            lost();
        link_ = {};
        return true;
    }
    if (at->answers.empty())
        return !waits_;
    auto const result = std::move(at->answers.front());
    at->answers.pop_front();
    waits_ = false;
    if (result.exit_status == 0 && name_.ends_with("pause"))
        paused_.insert(what_);
    else if ((result.exit_status == 0 || result.error.find("there is no") != std::string::npos
              || result.error.find("has no consumer") != std::string::npos) && name_.ends_with("resume"))
        paused_.erase(what_);
    return true;
}

void administrator::act(world& w, random_source& random)
{
    if (!read(w)) {
        if (random.percent(2))
            drop(w);
        return;
    }
    if (random.percent(50))
        return;
    auto const stream = random.pick(w.plan.streams).name;
    auto const person = w.plan.users[random.below(w.plan.people)].name;
    auto const node = person + "/n" + std::to_string(random.below(w.plan.nodes));
    switch (random.below(16)) {
    case 0: return command(w, "stream pause", {{"stream", stream}});
    case 1: return command(w, "stream resume", {{"stream", stream}});
    case 2:
        if (!paused_.empty()) {
            auto const& [of, consumer] = *paused_.begin();
            auto args = nlohmann::json{{"stream", of}};
            if (!consumer.empty())
                args["consumer"] = consumer;
            return command(w, consumer.empty() ? "stream resume" : "consumer resume", args);
        }
        return;
    case 3:
    case 4: {
        auto const all = w.watch.consumers();
        bool const mail = all.empty() || random.percent(50);
        auto const of = mail ? std::pair<std::string, std::string>{"INBOX", node} : all[random.below(all.size())];
        return command(w, random.percent(60) ? "consumer pause" : "consumer resume", {{"stream", of.first}, {"consumer", of.second}});
    }
    case 5: {
        nlohmann::json args{{"stream", stream}};
        if (random.percent(60))
            args["filter"] = random.percent(50) ? "d.a" : "d.b.>";
        if (random.percent(60))
            args["up_to"] = random.between(1, 20);
        return command(w, "stream purge", std::move(args));
    }
    case 6: return command(w, "alias add", {{"alias", random.pick(aliases)}, {"user", any_user(w, random)}});
    case 7: return command(w, "alias remove", {{"alias", random.pick(aliases)}});
    case 8: {
        static std::vector<std::string> const words{"anyone", "members", "owners"};
        return command(w, "list edit", {{"list", random.pick(lists)}, {"add", {any_member(w, random)}}, {"posting", random.pick(words)}});
    }
    case 9: return command(w, "list add", {{"list", random.pick(lists)}, {"members", {any_member(w, random), any_member(w, random)}}});
    case 10: return command(w, random.percent(30) ? "list remove" : "list show", {{"list", random.pick(lists)}});
    case 11: return w.plan.nodes_go ? command(w, "node remove", {{"node", node}}) : command(w, "node show", {{"node", node}});
    case 12: return command(w, "stream peek", {{"stream", stream}, {"count", 5}});
    case 13: return command(w, "user show", {{"name", person}});
    case 14: return command(w, "user edit", {{"name", person}, {"limits", {{"user_stored_bytes", random.percent(50) ? std::uint64_t{0} : std::uint64_t{1'000'000}}}}});
    default: return command(w, random.percent(50) ? "audit list" : "status", nlohmann::json::object());
    }
}

bool administrator::finish(world& w, random_source&)
{
    if (!read(w))
        return false;
    if (paused_.empty())
        return true;
    auto const& [of, consumer] = *paused_.begin();
    auto args = nlohmann::json{{"stream", of}};
    if (!consumer.empty())
        args["consumer"] = consumer;
    command(w, consumer.empty() ? "stream resume" : "consumer resume", args);
    return false;
}

}  // namespace kedge::sim
