#include "tests/migration/replica_trace.hpp"

#include <string_view>
#include <type_traits>
#include <variant>

namespace kedge::migration::test {

namespace {

template <class... Parts>
std::string join(Parts const&... parts)
{
    std::string text;
    auto const add = [&](auto const& part) {
        if (!text.empty())
            text += ' ';
        if constexpr (std::is_convertible_v<decltype(part), std::string_view>)
            text += std::string_view{part};
        else
            text += std::to_string(static_cast<std::uint64_t>(part));
    };
    (add(parts), ...);
    return text;
}

template <class... F>
struct overloaded : F... {
    using F::operator()...;
};

}  // namespace

std::string line_of(backend_command::any const& command)
{
    return std::visit(overloaded{[](backend_command::publish const& c) { return join("> publish", c.ticket, c.what.body); },
                                 [](backend_command::read const& c) { return join("> read from", c.from); },
                                 [](backend_command::stop_reading const& c) { return join("> stop", c.reader); },
                                 [](backend_command::stream_info const&) { return join("> info"); },
                                 [](backend_command::get_message const& c) { return join(c.or_next ? "> get from" : "> get", c.place); },
                                 [](auto const&) { return std::string{}; }},
                      command);
}

std::string line_of(backend_event::any const& event)
{
    return std::visit(
        overloaded{[](backend_event::acked const& e) { return join("< acked", e.ticket, "at", e.place, e.duplicate ? "duplicate" : ""); },
                   [](backend_event::refused const& e) { return join("< refused", e.ticket, e.answered ? "by the server:" : "unknown:", e.why); },
                   [](backend_event::link_up const& e) { return join("< link up", e.connection); },
                   [](backend_event::link_down const& e) { return join("< link down", e.connection, e.why); },
                   [](backend_event::reader_ended const& e) { return join("< reader ended", e.why); },
                   [](backend_event::messages const& e) {
                       return join("< messages", e.batch.front().place, "to", e.batch.back().place, "behind", e.behind);
                   },
                   [](backend_event::answered const& e) {
                       if (auto const* const info = std::get_if<jet_info>(&e.what))
                           return join("< info: last", info->last);
                       if (auto const* const m = std::get_if<bus_message>(&e.what))
                           return join("< got", m->place, m->body);
                       if (auto const* const why = std::get_if<backend_event::problem>(&e.what))
                           return join("< problem:", why->why);
                       return std::string{};
                   },
                   [](auto const&) { return std::string{}; }},
        event);
}

std::string line_of(store_request::any const& request)
{
    return std::visit(overloaded{[](store_request::append const& r) { return join("  append", r.request, r.message->body()); },
                                 [](store_request::import_messages const& r) {
                                     auto text = join("  import");
                                     for (auto const& item : r.items)
                                         text += " " + std::to_string(item.place)
                                             + (item.copy_of != 0 ? "=" + std::to_string(item.copy_of) : std::string{})
                                             + (item.message ? ":" + std::string{item.message->body()} : std::string{});
                                     return text + " to " + std::to_string(r.checkpoint);
                                 },
                                 [](store_request::read_waiting const& r) { return join("  waiting from", r.from); },
                                 [](store_request::read_placed const& r) { return join("  placed from", r.from, "to", r.to); },
                                 [](store_request::take_back const& r) { return join("  take back above", r.above); },
                                 [](auto const&) { return std::string{}; }},
                      request);
}

std::string line_of(store_event::any const& event)
{
    return std::visit(overloaded{[](store_event::rows_arrived const& e) {
                                     auto text = join("    arrived");
                                     for (auto const& a : e.rows)
                                         text += " " + std::to_string(a.stored.seq) + ":" + std::string{a.stored.message->body()};
                                     return text;
                                 },
                                 [](store_event::imported const& e) {
                                     auto text = join("    imported");
                                     for (auto const o : e.outcomes)
                                         text += " " + std::to_string(static_cast<int>(o));
                                     return text + " " + join("floor", e.now.floor, "waiting", e.now.waiting_rows);
                                 },
                                 [](store_event::rows_read const& e) { return join("    waiting:", e.rows.size(), "next", e.next); },
                                 [](store_event::placed_read const& e) { return join("    placed:", e.rows.empty() ? 0 : e.rows.front().place); },
                                 [](store_event::taken_back const& e) { return join("    taken back", e.rows); },
                                 [](store_event::failed const& e) { return join("    failed:", e.why.message); },
                                 [](store_event::append_failed const& e) { return join("    append failed", e.request, e.why.message); },
                                 [](auto const&) { return std::string{}; }},
                      event);
}

}  // namespace kedge::migration::test
