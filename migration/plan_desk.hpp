#pragma once
/// The plans that are being made: of any stream, mirrored or not, side by side. Migration thread.

#include <optional>
#include <vector>

#include "migration/preflight.hpp"

namespace kedge::migration {

class plan_desk {
public:
    /// The references outlive it.
    plan_desk(settings const&, limits const&, number_source&);

    /// `migrate plan`: answered once, now or later.
    void begin(token request, preflight::matter, link_facts const&, instant, effects&);
    void on_backend(backend_event::any const&, instant, effects&);
    void on_store(store_event::any const&, instant, effects&);
    void tick(instant, effects&);
    /// Steady milliseconds.
    std::optional<std::uint64_t> due_ms() const;

private:
    void end_those_done(effects&);

    struct plan {
        token request{};
        std::unique_ptr<preflight> checks;
    };
    settings const& bounds_;
    limits const& server_;
    number_source& numbers_;
    std::vector<plan> plans_;
};

}  // namespace kedge::migration
