#pragma once
/// A command run by hand: parse, feed, look at the effects.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/command/command.hpp"
#include "tests/catch.hpp"

namespace kedge {

inline parsed_command parse(std::string const& line, command_environment const& e = {})
{
    auto const words = split_words(line);
    REQUIRE(words);
    return parse_command(*words, e);
}

inline command_stop stopped(std::string const& line, command_environment const& e = {})
{
    auto parsed = parse(line, e);
    auto* const s = std::get_if<command_stop>(&parsed);
    INFO(line);
    REQUIRE(s != nullptr);
    return *s;
}

/// Gathers what a command wants.
struct runner {
    explicit runner(std::string const& line, command_environment e = {})
    {
        auto parsed = parse(line, e);
        if (auto* const s = std::get_if<command_stop>(&parsed)) {
            INFO(line << ": " << s->error);
            REQUIRE(s == nullptr);
        }
        it = std::move(std::get<std::unique_ptr<command>>(parsed));
    }

    std::unique_ptr<command> it;

    command_effects begin()
    {
        command_effects fx;
        it->begin(fx);
        return fx;
    }
    command_effects hear(notice::any const& n)
    {
        command_effects fx;
        it->on_notice(n, fx);
        return fx;
    }
    command_effects input(std::string_view bytes)
    {
        command_effects fx;
        it->on_input(bytes, fx);
        return fx;
    }
    command_effects input_end()
    {
        command_effects fx;
        it->on_input_end(fx);
        return fx;
    }
    command_effects interrupt()
    {
        command_effects fx;
        it->on_interrupt(fx);
        return fx;
    }
    command_effects job(std::uint64_t number, int status)
    {
        command_effects fx;
        it->on_job({number, status, {}, {}, false}, fx);
        return fx;
    }
    command_effects job(job_end ended)
    {
        command_effects fx;
        it->on_job(std::move(ended), fx);
        return fx;
    }
    command_effects time()
    {
        command_effects fx;
        it->on_time(fx);
        return fx;
    }
    command_effects admin(admin_result const& r)
    {
        command_effects fx;
        it->on_admin(r, fx);
        return fx;
    }
    command_effects second()
    {
        command_effects fx;
        it->on_second(fx);
        return fx;
    }
};

inline notice::ok ok(std::string id) { return {std::move(id), {}, 0, false, {}}; }

template <class Operation>
std::vector<Operation> of(command_effects const& fx)
{
    std::vector<Operation> all;
    for (auto const& o : fx.operations)
        if (auto const* x = std::get_if<Operation>(&o))
            all.push_back(*x);
    return all;
}

}  // namespace kedge
