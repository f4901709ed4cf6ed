/// A server for the tests in this folder: the real transport over a small router of its own that greets, echoes and floods.
/// Told what to do by options and, while it runs, by lines on standard input; says what happened on standard output.
///
///     test_server HOST_KEY [limit=value]… [threads=N] [watchdog_ms=N] [exempt=CIDR]…
///
/// Lines: `allow USER ROLE TYPE BASE64 [EXPIRES_MS]`, `revoke USER`, `publish` (the accounts as allowed so far), `counts`,
/// `drain` (stop accepting), `stop`.
///
/// What its router does with operations: `ping` -> `pong`; `pub flood.N` -> N bytes of messages, as fast as the link's
/// unsent bytes allow; `pub sink` -> `ok` once; `pub hold` -> its credit is never given back; any other `pub` -> a `msg`
/// and an `ok`; `sub` -> `ok` and one `msg`; end of input and `quit` -> `bye` and exit status 0.

#include <cstdio>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>

#include "router/account/directory.hpp"
#include "router/link_port.hpp"
#include "sshd-transport/gate.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/server.hpp"

namespace {

using namespace kedge;

class echo_router final : public router_port {
public:
    explicit echo_router(limits const& bounds) : bounds_{bounds} {}
    void attach(std::vector<transport_port*> ports) { ports_ = std::move(ports); }

    void submit(std::vector<link_event::any> batch) override
    {
        std::lock_guard const lock{mutex_};
        for (auto& each : batch) handle(each.link, std::move(each.what));
        for (std::size_t at = 0; at < ports_.size(); ++at)
            if (!out_[at].empty()) ports_[at]->deliver(std::exchange(out_[at], {}));
    }

    std::string counts()
    {
        std::lock_guard const lock{mutex_};
        return "opened " + std::to_string(opened_) + " closed " + std::to_string(closed_) + " open " +
               std::to_string(links_.size()) + " operations " + std::to_string(operations_) + " unsent " +
               std::to_string(unsent());
    }

private:
    struct one_link {
        link_event::opened about;
        std::uint64_t sent = 0;
        std::uint64_t written = 0;
        std::uint64_t flood = 0;
    };

    std::uint64_t unsent() const
    {
        std::uint64_t sum = 0;
        for (auto const& [id, each] : links_) sum += each.sent - each.written;
        return sum;
    }

    void put(link_id id, link_output::body what)
    {
        out_[transport_of(id)].push_back({id, std::move(what)});
    }
    void send(link_id id, one_link& to, bytes_ptr bytes)
    {
        to.sent += bytes->size();
        put(id, link_output::data{std::move(bytes)});
    }
    void send(link_id id, one_link& to, notice::any const& what) { send(id, to, encode(what, to.about.form)); }

    void say_bye(link_id id, one_link& to)
    {
        send(id, to, notice::bye{error_code::quit, "bye"});
        put(id, link_output::close{0});
    }

    void pour(link_id id, one_link& to)
    {
        static std::string const body(8000, 'x');
        while (to.flood > 0 && to.sent - to.written < bounds_.link_unsent_bytes / 2) {
            msg_view piece;
            piece.subject = "flood";
            piece.from = "$sys";
            piece.body = std::string_view{body}.substr(0, std::min<std::uint64_t>(to.flood, body.size()));
            to.flood -= piece.body.size();
            send(id, to, encode(piece, to.about.form));
        }
    }

    void handle(link_id id, link_event::body&& what)
    {
        if (auto* const opened = std::get_if<link_event::opened>(&what)) {
            ++opened_;
            auto& made = links_[id];
            made.about = *opened;
            if (!opened->greet) return;
            notice::welcome hello;
            hello.server = "test/1";
            hello.session = opened->who->session;
            hello.user = opened->who->user;
            hello.role = opened->who->role;
            return send(id, made, hello);
        }
        auto const found = links_.find(id);
        if (found == links_.end()) return;
        auto& from = found->second;
        if (auto* const operation = std::get_if<link_event::operation>(&what)) {
            ++operations_;
            if (act(id, from, operation->what)) put(id, link_output::credit{operation->bytes});
        } else if (auto const* const written = std::get_if<link_event::written>(&what)) {
            from.written += written->bytes;
            pour(id, from);
        } else if (std::holds_alternative<link_event::input_ended>(what)) {
            say_bye(id, from);
        } else if (auto const* const request = std::get_if<link_event::admin_request>(&what)) {
            put(id, link_output::admin_answer{request->request, {1, nullptr, "no " + request->call.name + " here"}});
        } else if (auto const* const closed = std::get_if<link_event::closed>(&what)) {
            ++closed_;
            if (closed->written != from.written) std::printf("lost count: %s\n", from.about.who->user.c_str());
            links_.erase(found);
        }
    }

    bool act(link_id id, one_link& from, op::any const& what)
    {
        if (auto const* const hello = std::get_if<op::hello>(&what)) {
            notice::welcome again;
            again.id = hello->id;
            again.node = hello->node;
            send(id, from, again);
        } else if (auto const* const ping = std::get_if<op::ping>(&what)) {
            send(id, from, notice::pong{ping->id});
        } else if (std::holds_alternative<op::quit>(what)) {
            say_bye(id, from);
        } else if (auto const* const bad = std::get_if<op::malformed>(&what)) {
            send(id, from, notice::error{bad->id, bad->why.code, bad->why.message, {}});
            if (ends_link(bad->why.code)) put(id, link_output::close{1});
        } else if (auto const* const publish = std::get_if<op::publish>(&what)) {
            auto const& sent = *publish->message;
            if (sent.subject().substr(0, 6) == "flood.") {
                from.flood += std::stoull(std::string{sent.subject().substr(6)});
                pour(id, from);
                return true;
            }
            if (sent.subject() == "hold") return false;
            if (sent.subject() != "sink") {
                msg_view echo;
                echo.subject = sent.subject();
                echo.from = from.about.who->user;
                echo.body = sent.body();
                send(id, from, encode(echo, from.about.form));
            }
            if (!sent.id().empty()) send(id, from, encode_ok(sent.id(), {}, 0, false, from.about.form));
        } else if (auto const* const subscribe = std::get_if<op::subscribe>(&what)) {
            if (!subscribe->id.empty()) send(id, from, encode_ok(subscribe->id, {}, 0, false, from.about.form));
            msg_view first;
            first.subject = "first";
            first.from = "$sys";
            first.body = "one message";
            send(id, from, encode(first, from.about.form));
        }
        return true;
    }

    limits const bounds_;
    std::mutex mutex_;
    std::vector<transport_port*> ports_;
    std::map<unsigned, std::vector<link_output::any>> out_;
    std::map<link_id, one_link> links_;
    std::uint64_t opened_ = 0, closed_ = 0, operations_ = 0;
};

struct accounts {
    std::vector<account_user> users;
    std::vector<account_key> keys;

    bool allow(std::string const& user, std::string const& role, std::string const& key, std::uint64_t expires_ms)
    {
        auto parsed = parse_public_key(key);
        if (!parsed) return false;
        parsed->user = user;
        parsed->role = role;
        parsed->expires_ms = expires_ms;
        keys.push_back(std::move(*parsed));
        account_user made;
        made.name = user;
        made.role = role;
        if (std::none_of(users.begin(), users.end(), [&](auto const& each) { return each.name == user; }))
            users.push_back(made);
        return true;
    }
    void revoke(std::string const& user)
    {
        std::erase_if(keys, [&](auto const& each) { return each.user == user; });
        std::erase_if(users, [&](auto const& each) { return each.name == user; });
    }
    directory_ptr snapshot() const { return std::make_shared<account_directory const>(users, keys); }
};

}  // namespace

int main(int count, char** words)
{
    transport_config config;
    config.server_name = "test/1";
    config.listen = {{"127.0.0.1", 0}};
    if (count < 2) return 2;
    config.host_key_path = words[1];
    for (int at = 2; at < count; ++at) {
        std::string const word = words[at];
        auto const equals = word.find('=');
        auto const name = word.substr(0, equals);
        auto const value = equals == word.npos ? "" : word.substr(equals + 1);
        if (name == "exempt") {
            config.exempt.clear();
            if (!value.empty()) config.exempt.push_back(value);
        } else if (name == "threads") {
            config.threads = static_cast<unsigned>(std::stoul(value));
        } else if (name == "watchdog_ms") {
            config.watchdog_ms = std::stoull(value);
        } else {
            bool known = false;
            for (auto const& field : limit_fields())
                if (field.name == name) config.limits.*field.member = std::stoull(value), known = true;
            if (!known) return 2;
        }
    }

    log_start(log_level::info, log_format::text);
    accounts known;
    metrics counters;
    echo_router router{config.limits};
    {
        transport_server server{config, router, counters, known.snapshot()};
        router.attach(server.ports());
        std::cout << "ready " << server.start().front().port << std::endl;
        for (std::string line; std::getline(std::cin, line);) {
            std::istringstream in{line};
            std::string word, user, role, type, blob;
            std::uint64_t expires_ms = 0;
            in >> word >> user >> role >> type >> blob >> expires_ms;
            if (word == "allow") {
                if (!known.allow(user, role, type + " " + blob, expires_ms)) std::cout << "bad key" << std::endl;
            } else if (word == "revoke") {
                known.revoke(user);
            } else if (word == "publish") {
                for (auto* const port : server.ports()) port->accounts_changed(known.snapshot());
            } else if (word == "drain") {
                server.stop_accepting();
            } else if (word == "counts") {
                auto const stats = server.stats();
                for (unsigned at = 0; at < refusal_count; ++at)
                    std::cout << "refused_" << to_string(static_cast<refusal>(at)) << ' ' << counters.refused[at].get() << ' ';
                std::cout << router.counts() << " sessions " << stats.sessions << " unauthenticated " << stats.unauthenticated
                          << " links " << stats.links;
            } else if (word == "stop") {
                break;
            }
            std::cout << std::endl;
        }
        server.stop();
        std::cout << "stopped " << router.counts() << std::endl;
    }
    log_stop();
    return 0;
}
