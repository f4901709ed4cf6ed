#include "migration/bridge_rules.hpp"

#include <array>
#include <optional>

#include <nlohmann/json.hpp>

#include "router/protocol/subject.hpp"

namespace kedge::migration {

namespace {

constexpr std::array ways{bridge_rule::way::both, bridge_rule::way::out, bridge_rule::way::in};

std::string text_of(nlohmann::json const& from, char const* name)
{
    auto const at = from.is_object() ? from.find(name) : from.end();
    return at != from.end() && at->is_string() ? at->get<std::string>() : std::string{};
}

std::string in_quotes(std::string_view text) { return "'" + std::string{text} + "'"; }

}  // namespace

std::string_view to_string(bridge_rule::way way) noexcept
{
    switch (way) {
    case bridge_rule::way::both: return "";
    case bridge_rule::way::out: return "out";
    case bridge_rule::way::in: return "in";
    }
    return "";
}

std::string write_bridges(std::vector<bridge_rule> const& rules)
{
    auto list = nlohmann::json::array();
    for (auto const& each : rules)
        list.push_back({{"pattern", each.pattern}, {"one_way", to_string(each.carries)}});
    return list.dump();
}

std::vector<bridge_rule> read_bridges(std::string_view text)
{
    std::vector<bridge_rule> rules;
    auto const list = nlohmann::json::parse(text, nullptr, false);
    if (!list.is_array())
        return rules;
    for (auto const& each : list) {
        bridge_rule rule{text_of(each, "pattern"), {}};
        for (auto const way : ways)
            if (to_string(way) == text_of(each, "one_way"))
                rule.carries = way;
        if (refuse_bridge(rule, rules, {}, rules.size() + 1).empty())
            rules.push_back(std::move(rule));
    }
    return rules;
}

std::string refuse_bridge(bridge_rule const& wanted, std::vector<bridge_rule> const& known,
                          std::vector<migration_request::known_stream> const& streams, std::size_t most)
{
    auto const& pattern = wanted.pattern;
    if (!valid_pattern(pattern))
        return in_quotes(pattern) + " is not a pattern of subjects";
    if (is_reserved(pattern))
        return in_quotes(pattern) + " is reserved: it stays here";
    for (auto const& each : known)
        if (intersects(each.pattern, pattern))
            return in_quotes(pattern) + (each.pattern == pattern ? " is bridged already" : " overlaps the bridge " + in_quotes(each.pattern));
    for (auto const& each : streams)
        for (auto const& subject : each.state.config.subjects)
            if (intersects(subject, pattern))
                return in_quotes(pattern) + " overlaps " + in_quotes(subject) + " of stream " + each.state.config.name
                     + ": streams are mirrored ('migrate start'), not bridged";
    if (known.size() >= most)
        return "there are " + std::to_string(known.size()) + " bridges already ([nats] bridges)";
    return {};
}

}  // namespace kedge::migration
