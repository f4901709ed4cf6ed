/// The half of `client` that speaks to users and services: mail, calls, aliases and lists, events.

#include <utility>

#include "clients/lib/client_impl.hpp"
#include "clients/lib/sansio/session_detail.hpp"

namespace kedge {
namespace {

/// What surely fits into the header of a frame; how many a server takes it says itself.
constexpr std::size_t recipients_max = 256;

}  // namespace

result<void> client::post(std::vector<std::string> to, std::string_view body, publish_handler handler,
                          publish_options const& given)
{
    if (to.empty() || to.size() > recipients_max)
        return failure{error_code::bad_request, "a post has 1 to " + std::to_string(recipients_max) + " recipients"};
    for (auto const& each : to)
        if (each.empty() || each.size() > 128 || !valid_utf8(each) || has_control_characters(each))
            return failure{error_code::bad_request, "a recipient is a name of 1 to 128 bytes"};
    auto options = given;
    if (options.id.empty())
        options.id = impl_->next_id();
    auto made = impl_->make_checked({}, body, options);
    if (!made)
        return made.error();
    auto submitted = impl_->pump->submit(op::post{std::move(to), std::move(*made)});
    if (submitted)
        impl_->answers[options.id] = impl::as_receipt(std::move(handler));
    return submitted;
}

void client::on_mail(message_handler handler)
{
    std::erase_if(impl_->attachments, [](auto const& a) { return a->stream == client_lib::inbox_stream; });
    impl_->attachments.push_back(std::make_shared<client_lib::attachment>(client_lib::attachment{
        std::string{client_lib::inbox_stream}, std::string{client_lib::inbox_consumer}, std::move(handler)}));
}

result<void> client::call(std::string_view service, std::string_view method, std::string_view body, call_handler handler,
                          std::chrono::milliseconds timeout)
{
    if (!valid_name(service) || !valid_name(method))
        return failure{error_code::bad_request, "a service and a method have names of 1 to 64 letters, digits, '_' and '-'"};
    op::call what;
    what.service = service;
    what.method = method;
    return impl_->call(std::move(what), {}, body, std::move(handler), timeout);
}

result<void> client::call_subject(std::string_view subject, std::string_view body, call_handler handler,
                                  std::chrono::milliseconds timeout)
{
    if (!valid_subject(subject))
        return failure{error_code::bad_request, "'" + std::string{subject} + "' is not a subject"};
    return impl_->call({}, subject, body, std::move(handler), timeout);
}

void client::serve(std::string service, service_options options, std::function<void(incoming_call const&)> handler,
                   std::function<void(result<std::string> const&)> done)
{
    std::erase_if(impl_->services, [&](auto const& s) { return s->name == service; });
    impl_->services.push_back(
        std::make_shared<client_lib::service>(client_lib::service{service, std::move(handler)}));
    op::serve what;
    what.service = std::move(service);
    what.version = std::move(options.version);
    what.methods = std::move(options.methods);
    what.description = std::move(options.description);
    impl_->ask_for(std::move(what), [done = std::move(done)](notice::any const& n) {
        if (!done)
            return;
        if (auto const* ok = std::get_if<notice::ok>(&n))
            done(ok->instance);
        else
            done(impl::as_done(n).error());
    });
}

void client::unserve(std::string const& service)
{
    if (std::erase_if(impl_->services, [&](auto const& s) { return s->name == service; }) != 0)
        impl_->ask(op::unserve{{}, service}, {});
}

result<void> client::reply(incoming_call const& to, std::string_view body)
{
    auto made = impl_->make_checked({}, body, {});
    if (!made)
        return made.error();
    op::reply what;
    what.call = to.what.call;
    what.message = std::move(*made);
    return to.link == impl_->links ? impl_->pump->submit(std::move(what)) : result<void>{};
}

result<void> client::reply_error(incoming_call const& to, std::string_view code, std::string_view message)
{
    auto const fits = [](std::string_view text, std::size_t most) {
        return text.size() <= most && valid_utf8(text) && !has_control_characters(text);
    };
    if (code.empty() || !fits(code, 64) || !fits(message, 1024))
        return failure{error_code::bad_request, "an error is a word of 64 bytes and a sentence of 1024, without control characters"};
    op::reply what;
    what.call = to.what.call;
    what.error_code = code;
    what.error_message = message;
    what.message = kedge::message::make({});
    return to.link == impl_->links ? impl_->pump->submit(std::move(what)) : result<void>{};
}

void client::alias(std::vector<std::string> add, std::vector<std::string> remove, done_handler done)
{
    impl_->ask(op::alias{{}, std::move(add), std::move(remove)}, std::move(done));
}

void client::list(std::string name, list_change change, done_handler done)
{
    impl_->ask(op::list{{}, std::move(name), std::move(change.add), std::move(change.remove), change.drop}, std::move(done));
}

void client::events(std::function<void(system_event const&)> handler, done_handler done)
{
    subscribe(
        "$sys.>",
        [handler = std::move(handler)](delivery const& m) {
            constexpr std::string_view prefix = "$sys.";
            handler({m.subject.substr(prefix.size()), m.from, m.time_ms, m.body});
        },
        std::move(done));
}

}  // namespace kedge
