#include "clients/lib/client.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include <boost/asio/post.hpp>

#include "clients/lib/client_pump.hpp"
#include "router/protocol/encoding.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"

namespace kedge {
namespace {

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

}  // namespace

/// Who asked for what; the pump below keeps the link.
struct client::impl : std::enable_shared_from_this<client::impl> {
    using answer_handler = std::function<void(notice::any const&)>;

    impl(boost::asio::io_context& io, client_options const& o)
        : pump{std::make_shared<client_lib::client_pump>(io.get_executor(), o)}
    {
    }

    std::shared_ptr<client_lib::client_pump> pump;
    std::vector<std::shared_ptr<subscription const>> subscriptions;
    std::vector<std::shared_ptr<attachment const>> attachments;
    std::unordered_map<std::string, answer_handler> answers;  // by id; bounded by `operations_max`
    // Handlers of numbered publishes, in order; as many as the session has under way.
    std::unordered_map<std::string, std::deque<publish_handler>> numbered_handlers;
    std::function<void(notice::any const&)> on_notice;
    std::function<void(notice::welcome const&)> on_connected;
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

    /// An operation whose answer goes to `done`.
    template <class Operation>
    void ask(Operation what, done_handler done)
    {
        what.id = next_id();
        auto const id = what.id;
        answers[id] = [done](notice::any const& n) {
            if (done)
                done(as_done(n));
        };
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
        if (!o.reply_to.empty() && !valid_subject(o.reply_to))
            return failure{error_code::bad_request, "'" + o.reply_to + "' is not a subject"};
        if (!o.id.empty() && !valid_operation_id(o.id))
            return failure{error_code::bad_request, "an id is 1 to 64 bytes of UTF-8"};
        if (body.size() > pump->body_max())
            return failure{error_code::too_large, "the server takes " + std::to_string(pump->body_max()) + " bytes"};
        return message::make({subject, o.id, o.reply_to, o.headers, body});
    }
};

client::client(boost::asio::io_context& io, client_options o) : impl_{std::make_shared<impl>(io, o)} { impl_->start(); }
client::~client() { impl_->pump->stop(); }

result<void> client::publish(std::string_view subject, std::string_view body, publish_handler handler,
                             publish_options const& given)
{
    auto options = given;
    if (options.id.empty())
        options.id = impl_->next_id();
    auto made = impl_->make_message(subject, body, options);
    if (!made)
        return made.error();
    auto submitted = impl_->pump->submit(op::publish{std::move(*made), 0});
    if (submitted)
        impl_->answers[options.id] = [handler = std::move(handler)](notice::any const& n) {
            if (!handler)
                return;
            if (auto const* ok = std::get_if<notice::ok>(&n))
                handler(receipt{ok->stream, ok->seq, ok->dup});
            else
                handler(impl::as_done(n).error());
        };
    return submitted;
}

result<void> client::send(std::string_view subject, std::string_view body)
{
    auto made = impl_->make_message(subject, body, {});
    if (!made)
        return made.error();
    return impl_->pump->submit(op::publish{std::move(*made), 0});
}

result<void> client::publish_numbered(std::string const& stream, std::string_view subject, std::string_view body,
                                      publish_handler handler)
{
    auto made = impl_->make_message(subject, body, {});
    if (!made)
        return made.error();
    auto submitted = impl_->pump->submit_numbered(stream, op::publish{std::move(*made), 0});
    if (submitted)
        impl_->numbered_handlers[stream].push_back(std::move(handler));
    return submitted;
}

std::uint64_t client::last_stored(std::string const& stream) const { return impl_->pump->session().last_stored(stream); }

void client::subscribe(std::string pattern, message_handler handler, done_handler done, std::string group)
{
    unsubscribe(pattern, group);
    impl_->subscriptions.push_back(std::make_shared<subscription>(subscription{pattern, group, std::move(handler)}));
    impl_->ask(op::subscribe{{}, std::move(pattern), std::move(group)}, std::move(done));
}

void client::unsubscribe(std::string const& pattern, std::string const& group)
{
    if (std::erase_if(impl_->subscriptions, [&](auto const& s) { return s->pattern == pattern && s->group == group; }) != 0)
        impl_->ask(op::unsubscribe{{}, pattern, group}, {});
}

void client::consume(std::string stream, std::string consumer, message_handler handler, done_handler done,
                     consume_options const& o)
{
    op::consume what;
    what.stream = stream;
    what.consumer = consumer;
    if (!o.filter.empty())
        what.filter = o.filter;
    what.start = o.start;
    if (o.window != 0)
        what.window = o.window;
    if (o.ack_wait.count() > 0)
        what.ack_wait_ms = static_cast<std::uint64_t>(o.ack_wait.count());
    if (o.max_deliver != 0)
        what.max_deliver = o.max_deliver;
    std::erase_if(impl_->attachments, [&](auto const& a) { return a->stream == stream && a->consumer == consumer; });
    impl_->attachments.push_back(
        std::make_shared<attachment>(attachment{std::move(stream), std::move(consumer), std::move(handler)}));
    impl_->ask(std::move(what), std::move(done));
}

void client::detach(std::string const& stream, std::string const& consumer)
{
    if (std::erase_if(impl_->attachments, [&](auto const& a) { return a->stream == stream && a->consumer == consumer; }) != 0)
        impl_->ask(op::detach{{}, consumer, stream}, {});
}

void client::ack(delivery const& m)
{
    op::ack what;
    what.consumer = m.consumer;
    what.stream = m.stream;
    what.seqs = {m.seq};
    impl_->pump->submit(std::move(what)).has_value();  // refused only when ended, or full: then it comes again
}

void client::nak(delivery const& m, std::chrono::milliseconds delay)
{
    op::nak what;
    what.consumer = m.consumer;
    what.stream = m.stream;
    what.seq = m.seq;
    what.delay_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, delay.count()));
    impl_->pump->submit(std::move(what)).has_value();
}

void client::term(delivery const& m, std::string reason)
{
    op::term what;
    what.consumer = m.consumer;
    what.stream = m.stream;
    what.seq = m.seq;
    what.reason = std::move(reason);
    impl_->pump->submit(std::move(what)).has_value();
}

void client::working(delivery const& m)
{
    op::working what;
    what.consumer = m.consumer;
    what.stream = m.stream;
    what.seq = m.seq;
    impl_->pump->submit(std::move(what)).has_value();
}

void client::ping(done_handler done) { impl_->ask(op::ping{}, std::move(done)); }

void client::who(op::who::kind kind, std::function<void(result<std::string> const&)> handler)
{
    op::who what;
    what.what = kind;
    what.id = impl_->next_id();
    impl_->answers[what.id] = [handler](notice::any const& n) {
        if (auto const* reply = std::get_if<notice::reply>(&n))
            handler(reply->body);
        else
            handler(impl::as_done(n).error());
    };
    auto const id = what.id;
    if (auto const submitted = impl_->pump->submit(std::move(what)); !submitted)
        boost::asio::post(impl_->pump->executor(), [weak = std::weak_ptr{impl_}, id, why = submitted.error()] {
            if (auto const self = weak.lock())
                self->answer(id, notice::error{id, why.code, why.message, {}});
        });
}

bool client::wants_more() const { return impl_->pump->session().wants_more(); }
void client::on_room(std::function<void()> f) { impl_->pump->on_room = std::move(f); }
void client::pause() { impl_->pump->pause(); }
void client::resume() { impl_->pump->resume(); }
void client::on_connected(std::function<void(notice::welcome const&)> f) { impl_->on_connected = std::move(f); }
void client::on_disconnected(std::function<void(std::string const&)> f) { impl_->pump->on_disconnected = std::move(f); }
void client::on_ended(std::function<void(std::string const&)> f) { impl_->pump->on_ended = std::move(f); }
void client::on_notice(std::function<void(notice::any const&)> f) { impl_->on_notice = std::move(f); }
void client::give_up_after(std::chrono::milliseconds t) { impl_->pump->give_up_after(t); }
void client::close(std::function<void()> f) { impl_->pump->close(std::move(f)); }
result<void> client::submit(op::any what) { return impl_->pump->submit(std::move(what)); }

}  // namespace kedge
