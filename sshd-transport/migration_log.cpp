#include "sshd-transport/migration_log.hpp"

#include <utility>

#include "sshd-transport/log.hpp"

namespace kedge {
namespace {

std::string text_of(nlohmann::json const& from, char const* name)
{
    auto const at = from.is_object() ? from.find(name) : from.end();
    return at != from.end() && at->is_string() ? at->get<std::string>() : std::string{};
}

}  // namespace

void migration_log::show(migration_picture_ptr picture)
{
    auto const& link = picture->link;
    auto const state = text_of(link, "state");
    auto const now = state == "up" ? "up to " + text_of(link, "url") + " (" + text_of(link, "server") + ", nats-server " + text_of(link, "version") + ")"
                                   : state + ": " + text_of(link, "why");
    if (now != link_) {
        bool const first = std::exchange(link_, now).empty();
        if (state == "down" && !first)
            log_warning({}, "the link to NATS is {}", now);
        else
            log_info({}, "the link to NATS is {}", now);
    }
    to_.show(std::move(picture));
}

void migration_log::announce(std::string stream, nlohmann::json what)
{
    auto const why = text_of(what, "why");
    auto const line = "migration of " + stream + ": " + text_of(what, "what") + " (" + text_of(what, "state") + ")" + (why.empty() ? "" : ": " + why);
    if (text_of(what, "what").starts_with("broken"))
        log_error({}, "{}", line);
    else
        log_info({}, "{}", line);
    to_.announce(std::move(stream), std::move(what));
}

}  // namespace kedge
