#include "migration/states.hpp"

namespace kedge::migration {

std::optional<stream_phase> after(stream_phase now, phase_event what) noexcept
{
    using enum stream_phase;
    switch (what) {
    case phase_event::started: return now == legacy ? std::optional{mirroring} : std::nullopt;
    case phase_event::cancelled: return now == mirroring ? std::optional{legacy} : std::nullopt;
    case phase_event::switch_intended: return now == mirroring ? std::optional{switching} : std::nullopt;
    case phase_event::switch_committed: return now == switching ? std::optional{nats} : std::nullopt;
    case phase_event::switch_rolled_back: return now == switching ? std::optional{mirroring} : std::nullopt;
    case phase_event::reverse_intended: return now == nats ? std::optional{reversing} : std::nullopt;
    case phase_event::reverse_committed: return now == reversing ? std::optional{mirroring} : std::nullopt;
    case phase_event::reverse_rolled_back: return now == reversing ? std::optional{nats} : std::nullopt;
    case phase_event::abandoned: return now == nats || now == reversing ? std::optional{mirroring} : std::nullopt;
    case phase_event::completed: return now == nats ? std::optional{complete} : std::nullopt;
    }
    return std::nullopt;
}

stream_phase recovered(stream_phase found) noexcept
{
    if (auto const back = after(found, phase_event::switch_rolled_back))
        return *back;
    return after(found, phase_event::reverse_rolled_back).value_or(found);
}

authority authority_in(stream_phase now) noexcept
{
    switch (now) {
    case stream_phase::legacy:
    case stream_phase::mirroring:
    case stream_phase::switching: return authority::sqlite;
    case stream_phase::nats:
    case stream_phase::reversing:
    case stream_phase::complete: return authority::jetstream;
    }
    return authority::sqlite;
}

bool copies_in(stream_phase now) noexcept { return now != stream_phase::legacy; }

std::string_view to_string(stream_phase now) noexcept
{
    switch (now) {
    case stream_phase::legacy: return "LEGACY";
    case stream_phase::mirroring: return "MIRRORING";
    case stream_phase::switching: return "SWITCHING";
    case stream_phase::nats: return "NATS";
    case stream_phase::reversing: return "REVERSING";
    case stream_phase::complete: return "COMPLETE";
    }
    return "?";
}

std::string_view to_string(phase_event what) noexcept
{
    switch (what) {
    case phase_event::started: return "started";
    case phase_event::cancelled: return "cancelled";
    case phase_event::switch_intended: return "switch intended";
    case phase_event::switch_committed: return "switched";
    case phase_event::switch_rolled_back: return "switch rolled back";
    case phase_event::reverse_intended: return "reverse intended";
    case phase_event::reverse_committed: return "reversed";
    case phase_event::reverse_rolled_back: return "reverse rolled back";
    case phase_event::abandoned: return "JetStream abandoned";
    case phase_event::completed: return "completed";
    }
    return "?";
}

std::optional<stream_phase> parse_phase(std::string_view word) noexcept
{
    for (unsigned i = 0; i < stream_phase_count; ++i)
        if (auto const each = static_cast<stream_phase>(i); to_string(each) == word)
            return each;
    return std::nullopt;
}

}  // namespace kedge::migration
