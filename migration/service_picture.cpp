#include "migration/service_picture.hpp"

namespace kedge::migration {

nlohmann::json to_json(link_facts const& link)
{
    return {{"state", !link.configured ? "none" : link.up ? "up" : "down"},
            {"url", link.up ? link.up->url : ""},
            {"server", link.up ? link.up->server_name : ""},
            {"version", link.up ? link.up->version : ""},
            {"since_ms", link.since_ms},
            {"why", link.why}};
}

void mirror_totals::count(replica::facts const& facts)
{
    copied_ += facts.copied;
    imported_ += facts.imported;
    own_ += facts.own_publishes;
    refusals_ += facts.refusals;
    duplicates_ += facts.duplicates;
    reordered_ += facts.reordered;
    parked_ += facts.parked;
    taken_back_ += facts.taken_back;
}

void mirror_totals::add(mirror const& one)
{
    if (auto const* const facts = one.facts())
        count(*facts);
}

void mirror_totals::add(mirror const& one, instant now)
{
    add(one);
    if (one.phase() == stream_phase::legacy)
        return;
    ++mirrors_;
    broken_ += one.broken();
    each_.push_back(one.sample_of(now));
    auto const gate = one.held();
    held_ += gate.held;
    held_bytes_ += gate.held_bytes;
    auto const* const facts = one.facts();
    if (!facts)
        return;
    held_ += facts->queued;
    held_bytes_ += facts->queued_bytes;
}

void mirror_totals::show(metrics& counts) const
{
    counts.mirrors.set(mirrors_);
    counts.mirrors_broken.set(broken_);
    counts.each_mirror.set(each_);
    counts.mirror_held.set(held_);
    counts.mirror_held_bytes.set(held_bytes_);
    counts.mirror_copied.set(copied_);
    counts.mirror_imported.set(imported_);
    counts.mirror_own_publishes.set(own_);
    counts.mirror_refusals.set(refusals_);
    counts.mirror_duplicates.set(duplicates_);
    counts.mirror_reordered.set(reordered_);
    counts.mirror_parked.set(parked_);
    counts.mirror_taken_back.set(taken_back_);
}

}  // namespace kedge::migration
