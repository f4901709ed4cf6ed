#pragma once
/// Which plain subjects cross between kedge and NATS: the list of bridges as it is kept and changed. Pure; any thread.

#include <string>
#include <string_view>
#include <vector>

#include "router/migration_port.hpp"

namespace kedge::migration {

struct bridge_rule {
    enum class way : unsigned char {
        both,
        out,  ///< from kedge to NATS
        in    ///< from NATS to kedge
    };
    std::string pattern;
    way carries = way::both;

    bool goes_out() const noexcept { return carries != way::in; }
    bool comes_in() const noexcept { return carries != way::out; }

    friend bool operator==(bridge_rule const&, bridge_rule const&) = default;
};

/// "", "out", "in".
std::string_view to_string(bridge_rule::way) noexcept;

/// For `store_request::put_bridges`.
std::string write_bridges(std::vector<bridge_rule> const&);
/// What cannot be read, or could not be added, is left out.
std::vector<bridge_rule> read_bridges(std::string_view text);

/// Why there may be no such bridge, as a sentence; empty = there may. `streams`: all there are.
std::string refuse_bridge(bridge_rule const&, std::vector<bridge_rule> const& known,
                          std::vector<migration_request::known_stream> const& streams, std::size_t most);

}  // namespace kedge::migration
