#pragma once
/// An administrative command on its way from a caller (an SSH exec request) to the router, and its answer.

#include <string>

#include <nlohmann/json.hpp>

namespace kedge {

/// `name` is the command as the CLI has it, e.g. "user add"; `args` its options and arguments by their long names, e.g.
/// {"name":"alice","role":"bot","key":["ssh-ed25519 AAAA…"]}. router/command/ makes them; router/admin/ carries them out.
struct admin_call {
    std::string name;
    nlohmann::json args = nlohmann::json::object();
};

/// `data` is what `--json` prints, and what router/command/ renders for people.
struct admin_result {
    int exit_status = 0;     ///< 0 done; 1 refused or failed (then `error` says why)
    nlohmann::json data;
    std::string error;
};

}  // namespace kedge
