#include "migration/commands.hpp"

#include <array>
#include <cstdio>

namespace kedge::migration {

namespace {

struct known_verb {
    std::string_view name;
    command::verb what;
};
constexpr std::array<known_verb, 11> verbs{{{"plan", command::verb::plan},
                                            {"start", command::verb::start},
                                            {"status", command::verb::status},
                                            {"diff", command::verb::diff},
                                            {"switch", command::verb::switch_over},
                                            {"reverse", command::verb::reverse},
                                            {"pause", command::verb::pause},
                                            {"resume", command::verb::resume},
                                            {"complete", command::verb::complete},
                                            {"cancel", command::verb::cancel},
                                            {"events", command::verb::events}}};

constexpr std::uint64_t hold_ms_max = 60'000;

}  // namespace

std::string_view to_string(command::verb what) noexcept
{
    for (auto const& known : verbs)
        if (known.what == what)
            return known.name;
    return "?";
}

result<command> parse_command(admin_call const& call)
{
    auto const bad = [](std::string why) { return failure{error_code::bad_request, std::move(why)}; };
    constexpr std::string_view prefix = "migrate ";
    command out;
    bool found = false;
    for (auto const& known : verbs)
        if (call.name.starts_with(prefix) && std::string_view{call.name}.substr(prefix.size()) == known.name) {
            out.what = known.what;
            found = true;
        }
    if (!found)
        return bad("there is no command '" + call.name + "'");
    try {
        auto const flag = [&](char const* name) { return call.args.value(name, false); };
        auto const text = [&](char const* name) { return call.args.value(name, std::string{}); };
        out.stream = text("stream");
        out.from = text("from");
        out.tail = call.args.value("tail", std::uint64_t{0});
        out.follow = flag("follow");
        out.dry_run = flag("dry_run");
        out.abandon = flag("abandon");
        out.adopt = flag("adopt");
        out.delete_stream = flag("delete_stream");
        out.confirm = text("confirm");
        if (call.args.contains("hold_ms"))
            out.hold_ms = call.args.at("hold_ms").get<std::uint64_t>();
    } catch (nlohmann::json::exception const&) {
        return bad("'" + call.name + "' has an argument of the wrong kind");
    }
    if (out.stream.empty() && out.what != command::verb::status)
        return bad("'" + call.name + "' needs the name of a stream");
    if (!out.from.empty() && out.from != "now" && out.from != "unacked" && out.from != "first")
        return bad("--from is 'now', 'unacked' or 'first'");
    if (out.hold_ms && (*out.hold_ms < 1 || *out.hold_ms > hold_ms_max))
        return bad("--hold is between 1 ms and " + time_text(hold_ms_max));
    return out;
}

std::string count_of(std::uint64_t n, std::string_view thing, std::string_view plural)
{
    auto digits = std::to_string(n);
    for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
        digits.insert(static_cast<std::size_t>(at), 1, ',');
    if (n != 1 && !plural.empty())
        return digits + ' ' + std::string{plural};
    return digits + ' ' + std::string{thing} + (n == 1 ? "" : "s");
}

std::string bytes_text(std::uint64_t n)
{
    if (n < 1024)
        return std::to_string(n) + " B";
    auto size = static_cast<double>(n);
    char const* unit = "";
    for (auto const* each : {"KiB", "MiB", "GiB", "TiB"}) {
        size /= 1024;
        unit = each;
        if (size < 1024)
            break;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f %s", size, unit);
    return text.data();
}

std::string time_text(std::uint64_t ms)
{
    if (ms < 1000)
        return std::to_string(ms) + " ms";
    if (ms < 120'000) {
        std::array<char, 32> text{};
        std::snprintf(text.data(), text.size(), "%.1f s", static_cast<double>(ms) / 1000);
        return text.data();
    }
    if (ms < 2 * 3'600'000ull)
        return std::to_string(ms / 60'000) + " min";
    return std::to_string(ms / 3'600'000) + " h";
}

admin_result refused(std::string why, nlohmann::json data) { return {1, std::move(data), std::move(why)}; }

}  // namespace kedge::migration
