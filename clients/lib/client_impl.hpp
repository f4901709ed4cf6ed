#pragma once
/// What a client remembers of its program: which handler waits for what. Internal to clients/lib.

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "clients/lib/client.hpp"
#include "clients/lib/client_pump.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"

namespace kedge {
namespace client_lib {

struct subscription {
    std::string pattern;
    std::string group;
    client::message_handler handler;
};

struct attachment {
    std::string stream;
    std::string consumer;
    client::message_handler handler;
};

struct service {
    std::string name;
    std::function<void(incoming_call const&)> handler;
};

/// The server may be as late with a `timeout` as the network is slow.
inline constexpr std::chrono::seconds call_margin{1};

}  // namespace client_lib

/// Who asked for what; the pump below keeps the link.
struct client::impl : std::enable_shared_from_this<client::impl> {
    using answer_handler = std::function<void(notice::any const&)>;

    impl(boost::asio::io_context& io, client_options const& o)
        : pump{std::make_shared<client_lib::client_pump>(io.get_executor(), o)}
    {
    }

    std::shared_ptr<client_lib::client_pump> pump;
    std::vector<std::shared_ptr<client_lib::subscription const>> subscriptions;
    std::vector<std::shared_ptr<client_lib::attachment const>> attachments;
    std::vector<std::shared_ptr<client_lib::service const>> services;
    std::unordered_map<std::string, answer_handler> answers;  // by id; bounded by `operations_max`
    // Handlers of numbered publishes, in order; as many as the session has under way.
    std::unordered_map<std::string, std::deque<publish_handler>> numbered_handlers;
    std::function<void(notice::any const&)> on_notice;
    std::function<void(notice::welcome const&)> on_connected;
    std::uint64_t links = 0;  // so far
    std::uint64_t ids = 0;
    std::string id_prefix = client_lib::random_name();

    std::string next_id() { return id_prefix + "-" + std::to_string(++ids); }

    void start()
    {
        pump->on_notice = [weak = weak_from_this()](notice::any& n) {
            if (auto const self = weak.lock())
                self->handle(n);
        };
        pump->start();
    }

    void handle(notice::any const& n)
    {
        if (auto const* m = std::get_if<notice::msg>(&n))
            return message(*m, n);
        if (auto const* w = std::get_if<notice::welcome>(&n)) {
            ++links;
            if (on_connected)
                on_connected(*w);
        } else if (auto const* ok = std::get_if<notice::ok>(&n)) {
            if (answer(ok->id, n))
                return;
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            if (error->id.empty())
                fail_numbered({error->code, error->message});
            if (answer(error->id, n))
                return;
        } else if (auto const* pong = std::get_if<notice::pong>(&n)) {
            if (answer(pong->id, n))
                return;
        } else if (auto const* reply = std::get_if<notice::reply>(&n)) {
            if (answer(reply->id, n))
                return;
        } else if (auto const* stored = std::get_if<notice::stored>(&n)) {
            return numbered_stored(*stored);
        } else if (auto const* c = std::get_if<notice::call>(&n)) {
            for (auto const& each : services)
                if (each->name == c->service) {
                    auto const held = each;  // the handler may unserve
                    return held->handler({*c, links});
                }
        }
        if (on_notice)
            on_notice(n);
    }

    bool answer(std::string const& id, notice::any const& n)
    {
        auto const found = answers.find(id);
        if (found == answers.end())
            return false;
        auto const handler = std::move(found->second);
        answers.erase(found);
        handler(n);
        return true;
    }

    void message(notice::msg const& m, notice::any const& n)
    {
        bool taken = false;
        if (!m.consumer.empty()) {
            for (auto const& a : attachments)
                if (a->consumer == m.consumer && a->stream == m.stream) {
                    auto const held = a;  // the handler may detach
                    held->handler(m);
                    return;
                }
        } else {
            // By index and by copy: a handler may subscribe or unsubscribe.
            auto const all = subscriptions.size() == 1 ? std::vector{subscriptions.front()} : subscriptions;
            for (auto const& s : all)
                if (s->group == m.group && matches(s->pattern, m.subject)) {
                    taken = true;
                    s->handler(m);
                    if (!m.group.empty())
                        break;
                }
        }
        if (!taken && on_notice)
            on_notice(n);
    }

    void numbered_stored(notice::stored const& s)
    {
        auto const found = numbered_handlers.find(s.stream);
        if (found == numbered_handlers.end())
            return;
        // The session tells how many are still under way; those before them are stored.
        auto& waiting = found->second;
        auto const left = pump->session().numbered_under_way(s.stream);
        while (waiting.size() > left) {
            auto const handler = std::move(waiting.front());
            waiting.pop_front();
            if (handler)
                handler(receipt{s.stream, waiting.size() == left ? s.seq : 0, false});
        }
    }

    void fail_numbered(failure const& why)
    {
        for (auto& [stream, handlers] : numbered_handlers)
            while (handlers.size() > pump->session().numbered_under_way(stream)) {
                auto const handler = std::move(handlers.front());
                handlers.pop_front();
                if (handler)
                    handler(why);
            }
    }

    static result<void> as_done(notice::any const& n)
    {
        if (auto const* error = std::get_if<notice::error>(&n))
            return failure{error->code, error->message};
        return {};
    }

    /// The answer to a publish or a post.
    static answer_handler as_receipt(publish_handler handler)
    {
        return [handler = std::move(handler)](notice::any const& n) {
            if (!handler)
                return;
            if (auto const* ok = std::get_if<notice::ok>(&n))
                handler(receipt{ok->stream, ok->seq, ok->dup});
            else
                handler(as_done(n).error());
        };
    }

    /// An operation whose answer goes to `done`.
    template <class Operation>
    void ask(Operation what, done_handler done)
    {
        ask_for(std::move(what), [done = std::move(done)](notice::any const& n) {
            if (done)
                done(as_done(n));
        });
    }

    template <class Operation>
    void ask_for(Operation what, answer_handler handler)
    {
        what.id = next_id();
        auto const id = what.id;
        answers[id] = std::move(handler);
        if (auto const submitted = pump->submit(std::move(what)); !submitted) {
            // Never from within the call: the caller may not be ready for it.
            boost::asio::post(pump->executor(), [weak = weak_from_this(), id, why = submitted.error()] {
                if (auto const self = weak.lock())
                    self->answer(id, notice::error{id, why.code, why.message, {}});
            });
        }
    }

    result<message_ptr> make_message(std::string_view subject, std::string_view body, publish_options const& o) const
    {
        if (!valid_subject(subject))
            return failure{error_code::bad_request, "'" + std::string{subject} + "' is not a subject"};
        return make_checked(subject, body, o);
    }

    /// For operations that go to no subject too.
    result<message_ptr> make_checked(std::string_view subject, std::string_view body, publish_options const& o) const
    {
        if (!o.reply_to.empty() && !valid_subject(o.reply_to))
            return failure{error_code::bad_request, "'" + o.reply_to + "' is not a subject"};
        if (!o.id.empty() && !valid_operation_id(o.id))
            return failure{error_code::bad_request, "an id is 1 to 64 bytes of UTF-8"};
        if (body.size() > pump->body_max())
            return failure{error_code::too_large, "the server takes " + std::to_string(pump->body_max()) + " bytes"};
        return message::make({subject, o.id, o.reply_to, o.headers, body});
    }

    result<void> call(op::call what, std::string_view subject, std::string_view body, call_handler handler,
                      std::chrono::milliseconds timeout)
    {
        auto const id = next_id();
        auto made = make_checked(subject, body, {id, {}, {}});
        if (!made)
            return made.error();
        what.message = std::move(*made);
        what.timeout_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, timeout.count()));
        if (auto submitted = pump->submit(std::move(what)); !submitted)
            return submitted;
        // The server says so in time; this is for a server that is not there.
        auto const late = std::make_shared<boost::asio::steady_timer>(pump->executor(), timeout + client_lib::call_margin);
        answers[id] = [handler = std::move(handler), late](notice::any const& n) {
            late->cancel();
            if (auto const* reply = std::get_if<notice::reply>(&n))
                handler(call_answer{reply->from, reply->body});
            else
                handler(as_done(n).error());
        };
        late->async_wait([weak = weak_from_this(), id](boost::system::error_code ec) {
            auto const self = weak.lock();
            if (ec || !self)
                return;
            self->pump->abandon(id);
            self->answer(id, notice::error{id, error_code::timeout, "no answer came in time", {}});
        });
        return {};
    }
};

}  // namespace kedge
