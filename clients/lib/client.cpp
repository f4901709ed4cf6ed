#include "clients/lib/client.hpp"

#include <algorithm>
#include <utility>

#include "clients/lib/client_impl.hpp"

namespace kedge {

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
        impl_->answers[options.id] = impl::as_receipt(std::move(handler));
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
    impl_->subscriptions.push_back(
        std::make_shared<client_lib::subscription>(client_lib::subscription{pattern, group, std::move(handler)}));
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
        std::make_shared<client_lib::attachment>(
            client_lib::attachment{std::move(stream), std::move(consumer), std::move(handler)}));
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
    impl_->ask_for(std::move(what), [handler = std::move(handler)](notice::any const& n) {
        if (auto const* reply = std::get_if<notice::reply>(&n))
            handler(reply->body);
        else
            handler(impl::as_done(n).error());
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
