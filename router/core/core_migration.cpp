// Streams that have a copy in a publish-subscribe server: what the core has to know of them, and says about them.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"

namespace kedge {

void core::set_migration(migration_picture_ptr picture)
{
    migration_ = std::move(picture);
    // `complete` changes the stored configuration past the core, which writes the whole of it at the next pause or edit.
    for (auto const& each : migration_->streams)
        if (auto const at = streams_.find(each.stream); at != streams_.end() && each.state == "COMPLETE")
            at->second->state.config.keep = retention::interest;
}

void core::migration_answered(token request, admin_result result, actions& out)
{
    admin_->migration_answered(request, std::move(result), out);
}

void core::announce_migration(std::string_view stream, nlohmann::json const& what, instant now, actions& out)
{
    now_ = now;
    event("$sys.migration." + std::string{stream}, what, now, out);
}

migration_picture::mirrored const* core::mirror_of(stream const& s) const
{
    if (!migration_)
        return nullptr;
    auto const at = std::ranges::find(migration_->streams, s.state.id, &migration_picture::mirrored::stream);
    return at == migration_->streams.end() ? nullptr : &*at;
}

std::string_view core::migration_state(stream const& s) const
{
    auto const* const mirror = mirror_of(s);
    return mirror ? std::string_view{mirror->state} : "LEGACY";
}

std::string_view core::authority_of(stream const& s) const
{
    auto const* const mirror = mirror_of(s);
    if (!mirror || !mirror->status.is_object())
        return "sqlite";
    auto const at = mirror->status.find("authority");
    return at != mirror->status.end() && *at == "nats" ? "nats" : "sqlite";
}

std::vector<migration_request::known_stream> core::known_streams() const
{
    std::map<stream_id, migration_request::known_stream> known;
    for (auto const& [id, s] : streams_)
        known.emplace(id, migration_request::known_stream{s->state, s->state.last + 1, 0});
    for (auto const& [id, c] : consumers_) {
        auto const of = known.find(c->config().stream);
        if (of == known.end())
            continue;
        auto const position = c->position(now_);
        auto& [state, unacked, consumers] = of->second;
        ++consumers;
        unacked = std::min(unacked, position.next);
        if (!position.pending.empty())
            unacked = std::min(unacked, position.pending.front().seq);
    }
    std::vector<migration_request::known_stream> list;
    list.reserve(known.size());
    for (auto& [id, s] : known)
        list.push_back(std::move(s));
    return list;
}

}  // namespace kedge
