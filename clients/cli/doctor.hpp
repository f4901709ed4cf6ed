#pragma once
/// What `doctor` looks at. Each finding says what is so and, if it is not well, what to do.

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "router/command/grammar.hpp"

namespace kedge::cli {

class findings {
public:
    void good(std::string_view check, std::string said) { add(check, "good", std::move(said), {}); }
    void unsure(std::string_view check, std::string said, std::string todo) { add(check, "unsure", std::move(said), std::move(todo)); }
    void bad(std::string_view check, std::string said, std::string todo) { add(check, "bad", std::move(said), std::move(todo)); }

    nlohmann::json take() { return {{"findings", std::move(list_)}}; }

private:
    void add(std::string_view check, char const* state, std::string said, std::string todo)
    {
        nlohmann::json finding{{"check", check}, {"state", state}, {"said", std::move(said)}};
        if (!todo.empty())
            finding["do"] = std::move(todo);
        list_.push_back(std::move(finding));
    }

    nlohmann::json list_ = nlohmann::json::array();
};

/// This program, its library, its limits.
void look_at_client(findings&);
/// The home of a server on this machine: permissions, keys, disk, whether it runs. Changes nothing.
void look_at_home(std::filesystem::path const& home, findings&);
/// The keys and known hosts that would be used for a server elsewhere.
void look_at_keys(connection_options const&, findings&);
/// What the server says: whether it lets us in, its clock, its version, how it is.
void look_at_server(connection_options const&, findings&);

}  // namespace kedge::cli
