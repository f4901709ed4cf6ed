#include "router/command/stream_pages.hpp"

#include <algorithm>
#include <utility>

namespace kedge {
namespace {

/// The server bounds the bytes of a page itself.
constexpr std::uint64_t page_messages = 1000;
constexpr char nonsense[] = "the server's answer is not what a page of a stream is";

std::uint64_t number(nlohmann::json const& data, char const* name)
{
    auto const found = data.is_object() ? data.find(name) : data.end();
    return found != data.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

}  // namespace

stream_pages::stream_pages(std::string stream, seq_range range, std::string filter)
    : stream_{std::move(stream)}, range_{std::max<std::uint64_t>(range.from, 1), range.to}, filter_{std::move(filter)}
{
}

void stream_pages::ask(command_effects& fx)
{
    if (asked_ || ended_)
        return;
    asked_ = true;
    if (!bounded_) {
        fx.calls.push_back({"stream show", {{"name", stream_}}});
        return;
    }
    auto const left = range_.to - range_.from + 1;
    admin_call call{"stream peek", {{"stream", stream_}, {"from", range_.from}, {"count", std::min(page_messages, left)}}};
    if (!filter_.empty()) {
        call.args["filter"] = filter_;
        call.args["count"] = page_messages;
    }
    fx.calls.push_back(std::move(call));
}

std::optional<std::string> stream_pages::take_bounds(nlohmann::json const& data)
{
    if (!data.is_object() || !data.contains("last_seq"))
        return nonsense;
    bounded_ = true;
    auto const last = number(data, "last_seq");
    range_.to = range_.to == 0 ? last : std::min(range_.to, last);
    range_.from = std::max(range_.from, number(data, "first_seq"));
    ended_ = range_.from > range_.to;
    return std::nullopt;
}

std::optional<std::string> stream_pages::take(admin_result const& r, std::vector<nlohmann::json>& into)
{
    asked_ = false;
    if (r.exit_status != 0)
        return r.error;
    if (!bounded_)
        return take_bounds(r.data);
    auto const messages = r.data.is_object() ? r.data.find("messages") : r.data.end();
    if (messages == r.data.end() || !messages->is_array())
        return nonsense;
    for (auto const& m : *messages) {
        auto const seq = number(m, "seq");
        if (seq < range_.from)
            return nonsense;
        if (seq > range_.to)
            break;
        into.push_back(m);
    }
    auto const next = number(r.data, "next");
    auto const end = r.data.find("end");
    ended_ = next > range_.to || (end != r.data.end() && *end == true);
    if (!ended_ && next <= range_.from)
        return nonsense;  // it would go on for ever
    range_.from = next;
    return std::nullopt;
}

}  // namespace kedge
