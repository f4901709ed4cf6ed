#pragma once
/// Where a stream stands on its way to JetStream, and what may happen there. Pure. What is not a state is a flag of the `mirror`:
/// paused, catching up, link down, broken.
///
///            started                switch_intended           switch_committed
///  LEGACY ────────────▶ MIRRORING ──────────────▶ SWITCHING ───────────────▶ NATS ─────────▶ COMPLETE
///    ▲                  │  ▲   ▲                      │                      │  ▲ completed
///    └──── cancelled ───┘  │   └─ switch_rolled_back ─┘      reverse_intended │  │ reverse_rolled_back
///                          │                                                 ▼  │
///                          ├─────────── reverse_committed ─────────────── REVERSING
///                          └─────────── abandoned ─────────────────────── NATS, REVERSING
///
/// SWITCHING and REVERSING are intents: the authority is still the old one, and publishes are held. One that is found at a start
/// rolls back.

#include <cstdint>
#include <optional>
#include <string_view>

#include "migration/replica.hpp"

namespace kedge::migration {

enum class stream_phase : unsigned char { legacy, mirroring, switching, nats, reversing, complete };
inline constexpr unsigned stream_phase_count = static_cast<unsigned>(stream_phase::complete) + 1;

enum class phase_event : unsigned char {
    started,
    cancelled,
    switch_intended,
    switch_committed,
    switch_rolled_back,
    reverse_intended,
    reverse_committed,
    reverse_rolled_back,
    abandoned,
    completed
};
inline constexpr unsigned phase_event_count = static_cast<unsigned>(phase_event::completed) + 1;

/// Nothing: the event has no place there.
std::optional<stream_phase> after(stream_phase, phase_event) noexcept;

/// The phase that a start of the process makes of what the journal says.
stream_phase recovered(stream_phase) noexcept;

authority authority_in(stream_phase) noexcept;
/// Whether pump and importer run in it (unless a flag stops them).
bool copies_in(stream_phase) noexcept;

std::string_view to_string(stream_phase) noexcept;  ///< "MIRRORING", as in `migrate status`
std::string_view to_string(phase_event) noexcept;   ///< "switch intended"
std::optional<stream_phase> parse_phase(std::string_view) noexcept;

}  // namespace kedge::migration
