#pragma once
/// What the tests of services and calls have in common.

#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

namespace kedge {

/// A link that serves `time` with the method `now`.
inline link_id instance(harness& h, std::string const& user, std::string const& version = "1")
{
    auto const l = h.join(user);
    REQUIRE(h.ask(l, R"({"op":"serve","id":"s","service":"time","version":")" + version + R"(","methods":["now"]})") == lines{"ok s"});
    return l;
}

inline std::string const call_now = R"({"op":"call","id":"1","service":"time","method":"now"})";

inline std::string call_with(std::string const& id, std::string const& more = {})
{
    return R"({"op":"call","service":"time","method":"now","id":")" + id + "\"" + more + "}";
}

/// Answers the last call that the link heard.
inline void answer(harness& h, link_id l, std::string const& more = R"(,"data":"noon")")
{
    h.say(l, R"({"op":"reply","call":")" + h.last<notice::call>(l).call + "\"" + more + "}");
}

inline link_id watcher(harness& h, std::string const& subject = "$sys.service.*")
{
    auto const l = h.join("watch", {}, "operator");
    h.ask(l, R"({"op":"sub","subject":")" + subject + "\"}");
    return l;
}

inline nlohmann::json services(harness& h, link_id l)
{
    REQUIRE(h.ask(l, R"({"op":"who","id":"w","what":"services"})") == lines{"reply w"});
    return nlohmann::json::parse(h.last<notice::reply>(l).body)["services"];
}

inline void add_rule(harness& h, char const* effect, char const* action, char const* pattern)
{
    REQUIRE(h.admin("rule add", {{"role", "user"}, {"effect", effect}, {"action", action}, {"pattern", pattern}})->exit_status == 0);
}

}  // namespace kedge
