#pragma once
/// `migrate …` commands as the migration understands them. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "router/admin/call.hpp"
#include "router/protocol/error.hpp"

namespace kedge::migration {

struct command {
    enum class verb : unsigned char { plan, start, status, diff, switch_over, reverse, pause, resume, complete, cancel, events };
    verb what{};
    std::string stream;              ///< empty: `status` of all
    std::string from;                ///< plan, start: "now", "unacked", "first"; empty = not said
    std::uint64_t tail = 0;          ///< diff: 0 = all
    bool follow = false;             ///< diff: only says how one stands
    bool dry_run = false;
    std::optional<std::uint64_t> hold_ms;
    bool abandon = false;
    bool adopt = false;
    bool delete_stream = false;
    std::string confirm;
};

std::string_view to_string(command::verb) noexcept;  ///< "switch"

/// `bad_request` with a sentence for what makes no sense.
result<command> parse_command(admin_call const&);

/// "1,234 messages" and their like, for sentences.
std::string count_of(std::uint64_t n, std::string_view thing, std::string_view plural = {});
/// "3.2 MiB"
std::string bytes_text(std::uint64_t);
/// "1.5 s"
std::string time_text(std::uint64_t ms);

admin_result refused(std::string why, nlohmann::json data = nullptr);

}  // namespace kedge::migration
