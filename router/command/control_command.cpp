/// `kedge control`: says something to many bots, and shows what they answer as it comes.
///
///     begin -> gathering who should answer --known, subscribed--> waiting --all answered, time over--> exit

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "router/command/control_table.hpp"
#include "router/command/one_body.hpp"
#include "router/command/talk_commands.hpp"
#include "router/command/units.hpp"
#include "router/protocol/base64.hpp"
#include "router/protocol/names.hpp"

namespace kedge {
namespace {

std::string user_of(std::string_view client) { return std::string{client.substr(0, client.find('/'))}; }

/// Nodes that take commands are known by their names: people, and bots that do not, are not waited for.
bool takes_commands(std::string_view node) { return node == control_node || node.starts_with(std::string{control_node} + '-'); }

class control_command final : public command {
public:
    control_command(control_settings s, command_environment const& e)
        : settings_{std::move(s)}, environment_{e}, body_{settings_.text}, answers_{control_answer + random_token()}, table_{e}
    {
    }

    bool needs_link() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        return h;
    }

    bool wants_input() const override { return begun_ && !sent_ && body_.wants_input(); }

    void begin(command_effects& fx) override
    {
        begun_ = true;
        fx.operations.emplace_back(op::subscribe{"answers", answers_, {}});
        fx.operations.emplace_back(op::who{settings_.group.empty() ? op::who::kind::nodes : op::who::kind::lists, "who"});
    }

    void on_input(std::string_view bytes, command_effects& fx) override
    {
        body_.take(bytes);
        if (body_.problem())
            send_if_ready(fx);
    }

    void on_input_end(command_effects& fx) override
    {
        body_.end();
        send_if_ready(fx);
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (finished_)
            return;
        if (auto const* m = std::get_if<notice::msg>(&n)) {
            if (m->subject == answers_)
                answered(*m, fx);
        } else if (auto const* welcome = std::get_if<notice::welcome>(&n)) {
            body_.set_max(welcome->max_body);
        } else if (auto const* ok = std::get_if<notice::ok>(&n)) {
            subscribed_ |= ok->id == "answers";
            send_if_ready(fx);
        } else if (auto const* reply = std::get_if<notice::reply>(&n)) {
            gather(reply->body);
            send_if_ready(fx);
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            fail(complaint(*error, environment_), fx);
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fail(complaint(bye->code, bye->message, environment_), fx);
        }
    }

    std::optional<std::uint64_t> due_us() const override
    {
        return sent_ && !finished_ && environment_.now_us ? std::optional{sent_us_ + settings_.timeout_ms * 1000}
                                                          : std::nullopt;
    }

    void on_time(command_effects& fx) override
    {
        if (due_us() && environment_.now_us() >= *due_us())
            finish(fx);
    }

    void on_interrupt(command_effects& fx) override
    {
        if (sent_ && !finished_)
            finish(fx);
        finished_ = true;
        fx.exit_status = 130;
    }

private:
    std::uint64_t now() const { return environment_.now_us ? environment_.now_us() : 0; }

    /// Who should answer: every node that takes commands and is connected; of those only the users that are named; or the
    /// members of the list of the group's name.
    void gather(std::string const& json)
    {
        gathered_ = true;
        auto data = nlohmann::json::parse(json, nullptr, false);
        if (!data.is_object())
            data = nlohmann::json::object();
        auto const text = [](nlohmann::json const& row, char const* name) {
            auto const found = row.is_object() ? row.find(name) : row.end();
            return found != row.end() && found->is_string() ? found->get<std::string>() : std::string{};
        };
        if (settings_.group.empty()) {
            std::set<std::string> away(settings_.bots.begin(), settings_.bots.end());
            for (auto const& row : data.value("nodes", nlohmann::json::array())) {
                auto const user = text(row, "user");
                auto const node = text(row, "node");
                auto const& bots = settings_.bots;
                if (!takes_commands(node) || (!bots.empty() && std::find(bots.begin(), bots.end(), user) == bots.end()))
                    continue;
                away.erase(user);
                expected_.emplace(user + '/' + node, false);
            }
            for (auto const& user : away)
                expected_.emplace(user, false);
            return;
        }
        for (auto const& row : data.value("lists", nlohmann::json::array()))
            if (text(row, "list") == settings_.group && row.contains("members"))
                for (auto const& member : row["members"])
                    // What a list or an alias stands for only the server knows.
                    if (member.is_string() && !member.get_ref<std::string const&>().starts_with('@') &&
                        !member.get_ref<std::string const&>().starts_with('~'))
                        expected_.emplace(member.get<std::string>(), false);
    }

    void send_if_ready(command_effects& fx)
    {
        if (auto const problem = body_.problem())
            return fail(complaint(*problem, environment_), fx);
        if (sent_ || !subscribed_ || !gathered_ || !body_.whole())
            return;
        if (settings_.group.empty() && expected_.empty() && !settings_.expect)
            return fail(complaint("no bot is connected: none is a node named control or control-… (--expect N waits for "
                                  "others)",
                                  environment_),
                        fx);
        sent_ = true;
        sent_us_ = now();
        std::vector<std::string> to;
        for (auto const& bot : settings_.bots)
            to.push_back(control_bot + bot);
        if (!settings_.group.empty())
            to.push_back(control_group + settings_.group);
        if (to.empty())
            to.emplace_back(control_all);
        for (std::size_t i = 0; i < to.size(); ++i) {
            op::publish publish;
            publish.message =
                message::make({to[i], "control-" + std::to_string(i + 1), answers_, {}, body_.bytes()});
            fx.operations.emplace_back(std::move(publish));
        }
        if (settings_.json)
            return;
        // Of a group without a list nobody is known yet: most names are shorter.
        std::size_t widest = expected_.empty() ? 20 : 0;
        for (auto const& [name, done] : expected_)
            // Of a user the node is not known yet.
            widest = std::max(widest, name.size() + (name.find('/') == name.npos ? std::size_t{8} : 0));
        fx.out += table_.head(widest);
    }

    void answered(notice::msg const& m, command_effects& fx)
    {
        auto found = expected_.find(m.from);
        if (found == expected_.end())
            found = expected_.find(user_of(m.from));
        if (found != expected_.end())
            found->second = true;
        from_.insert(m.from);
        std::uint64_t status = 0;
        if (auto const headers = nlohmann::json::parse(m.headers, nullptr, false); headers.is_object())
            if (auto const said = headers.find(control_status); said != headers.end() && said->is_string())
                status = parse_count(said->get<std::string>()).value_or(1);
        failed_ += status != 0 ? 1 : 0;
        auto const ms = (now() - sent_us_) / 1000;
        if (settings_.json) {
            nlohmann::json line{{"bot", m.from}, {"status", status}, {"ms", ms}};
            if (valid_utf8(m.body)) {
                line["data"] = m.body;
            } else {
                std::string encoded(base64_size(m.body.size()), '\0');
                base64_encode(m.body, encoded.data());
                line["data64"] = std::move(encoded);
            }
            fx.out += line.dump() + '\n';
        } else {
            fx.out += table_.row(m.from, status, ms, m.body);
        }
        if (all_answered())
            finish(fx);
    }

    std::vector<std::string> missing() const
    {
        std::vector<std::string> names;
        for (auto const& [name, done] : expected_)
            if (!done)
                names.push_back(name);
        return names;
    }

    bool all_answered() const
    {
        if (settings_.expect)
            return from_.size() >= *settings_.expect;
        return !expected_.empty() && missing().empty();
    }

    void finish(command_effects& fx)
    {
        finished_ = true;
        bool const known = settings_.expect || !expected_.empty();
        bool const all = known ? all_answered() : !from_.empty();
        auto const silent = all ? std::vector<std::string>{} : missing();
        if (settings_.json) {
            fx.out += nlohmann::json{{"answered", from_.size()}, {"failed", failed_}, {"missing", silent}}.dump() + '\n';
        } else {
            for (auto const& name : silent)
                fx.out += table_.silent(name);
            if (!settings_.quiet)
                fx.error += styled(summary(), style::dim, environment_) + '\n';
        }
        fx.exit_status = all && failed_ == 0 ? 0 : 1;
    }

    std::string summary() const
    {
        std::string text = std::to_string(from_.size());
        if (settings_.expect)
            text += " of " + std::to_string(*settings_.expect);
        else if (!expected_.empty())
            text = std::to_string(expected_.size() - missing().size()) + " of " + std::to_string(expected_.size());
        std::array<char, 48> time{};
        std::snprintf(time.data(), time.size(), " answered in %.2f s", static_cast<double>(now() - sent_us_) / 1e6);
        text += time.data();
        if (failed_ != 0)
            text += ", " + std::to_string(failed_) + " failed";
        return text;
    }

    void fail(std::string const& why, command_effects& fx)
    {
        finished_ = true;
        fx.error += why;
        fx.exit_status = 1;
    }

    control_settings settings_;
    command_environment environment_;
    one_body body_;
    std::string answers_;                   // the subject
    control_table table_;
    std::map<std::string, bool> expected_;  // "user/node", or "user" where any node of the user will do; has it answered?
    std::set<std::string> from_;            // who has
    std::size_t failed_ = 0;
    std::uint64_t sent_us_ = 0;
    bool begun_ = false;
    bool subscribed_ = false;
    bool gathered_ = false;
    bool sent_ = false;
    bool finished_ = false;
};

}  // namespace

std::string random_token()
{
    std::random_device random;
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%08x%08x", random(), random());
    return text.data();
}

std::unique_ptr<command> make_control(control_settings s, command_environment const& e)
{
    return std::make_unique<control_command>(std::move(s), e);
}

}  // namespace kedge
