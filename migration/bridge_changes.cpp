// Which bridges there are: `bridge add`, `remove` and `list`, stored before they take effect.

#include <algorithm>
#include <utility>
#include <variant>

#include "migration/bridge.hpp"

namespace kedge::migration {

void bridge::start(instant, effects& out)
{
    for (auto& [id, each] : std::exchange(crossings_, {}))
        begin(std::move(each.rule), out);
}

void bridge::begin(bridge_rule rule, effects& out)
{
    if (!link_ && open_due_ms_ == 0)
        open(out);
    auto& made = crossings_[++last_crossing_];
    made.rule = std::move(rule);
    if (made.rule.goes_out()) {
        listen(last_crossing_, out);
        hear_replies(out);
    }
    if (made.rule.comes_in()) {
        made.heard = plain_id{numbers_.next()};
        out.backend.emplace_back(backend_command::subscribe{made.heard, made.rule.pattern});
    }
}

void bridge::end(number which, effects& out)
{
    auto const at = crossings_.find(which);
    auto const& gone = at->second;
    if (gone.rule.goes_out())
        say(op::unsubscribe{{}, gone.rule.pattern, {}}, 0, out);
    if (gone.rule.comes_in())
        out.backend.emplace_back(backend_command::unsubscribe{gone.heard});
    ended_.out += gone.out;
    ended_.in += gone.in;
    ended_.dropped += gone.dropped;
    crossings_.erase(at);
}

void bridge::hear_replies(effects& out)
{
    if (replies_heard_)
        return;
    replies_heard_ = plain_id{numbers_.next()};
    out.backend.emplace_back(backend_command::subscribe{*replies_heard_, inbox_ + "*"});
}

void bridge::ask(migration_request const& what, instant, effects& out)
{
    auto const answer = [&](int status, nlohmann::json data, std::string why) {
        out.answers.emplace_back(what.request, admin_result{status, std::move(data), std::move(why)});
    };
    auto const text = [&](char const* name) {
        auto const at = what.call.args.find(name);
        return at != what.call.args.end() && at->is_string() ? at->get<std::string>() : std::string{};
    };
    if (what.call.name == "bridge list")
        return answer(0,
                      {{"bridges", status()}, {"lost", {{"out", lost_out_}, {"in", lost_in_}}}, {"refused", refused_}, {"why", refused_why_}},
                      {});
    if (changing_)
        return answer(1, nullptr, "another change of the bridges is under way: try again");
    std::vector<bridge_rule> rules;
    for (auto const& [id, each] : crossings_)
        rules.push_back(each.rule);
    bridge_rule wanted{text("pattern"), {}};
    if (what.call.name == "bridge add") {
        auto const way = text("one_way");
        if (way == "out")
            wanted.carries = bridge_rule::way::out;
        else if (way == "in")
            wanted.carries = bridge_rule::way::in;
        else if (!way.empty())
            return answer(1, nullptr, "a bridge goes 'out' (to NATS), 'in' (from NATS), or both ways");
        if (std::ranges::find(rules, wanted) != rules.end())
            return answer(0, {{"pattern", wanted.pattern}, {"one_way", way}}, {});
        if (auto why = refuse_bridge(wanted, rules, what.streams, bounds_.bridges); !why.empty())
            return answer(1, nullptr, std::move(why));
        rules.push_back(wanted);
    } else if (std::erase_if(rules, [&](auto const& each) { return each.pattern == wanted.pattern; }) == 0) {
        return answer(1, nullptr, "there is no bridge '" + wanted.pattern + "'");
    }
    changing_ = change{numbers_.next_token(), what.request, std::move(rules)};
    out.store.emplace_back(store_request::put_bridges{changing_->request, write_bridges(changing_->rules)});
}

bool bridge::on_store(store_event::any const& e, instant, effects& out)
{
    auto const* const done = std::get_if<store_event::done>(&e);
    auto const* const failed = std::get_if<store_event::failed>(&e);
    if (!changing_ || (done ? done->request : failed ? failed->request : token::none) != changing_->request)
        return false;
    auto const made = *std::exchange(changing_, std::nullopt);
    if (failed) {
        out.answers.emplace_back(made.asked, admin_result{1, nullptr, failed->why.message});
        return true;
    }
    std::vector<number> gone;
    std::vector<bridge_rule> added = made.rules;
    for (auto const& [id, each] : crossings_)
        if (std::erase(added, each.rule) == 0)
            gone.push_back(id);
    for (auto const id : gone)
        end(id, out);
    for (auto& rule : added)
        begin(std::move(rule), out);
    patterns_.clear();
    for (auto const& [id, each] : crossings_)
        patterns_.push_back(each.rule.pattern);
    out.answers.emplace_back(made.asked, admin_result{0, {{"bridges", status()}}, {}});
    return true;
}

nlohmann::json bridge::status() const
{
    auto list = nlohmann::json::array();
    for (auto const& [id, each] : crossings_)
        list.push_back({{"pattern", each.rule.pattern},
                        {"one_way", to_string(each.rule.carries)},
                        {"out", each.out},
                        {"in", each.in},
                        {"dropped", each.dropped},
                        {"why", each.barred.empty() ? each.why : each.barred}});
    return list;
}

bridge::totals bridge::count() const
{
    auto sum = ended_;
    sum.dropped += lost_out_ + lost_in_ + refused_;
    for (auto const& [id, each] : crossings_) {
        sum.out += each.out;
        sum.in += each.in;
        sum.dropped += each.dropped;
    }
    return sum;
}

}  // namespace kedge::migration
