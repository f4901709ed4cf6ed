#include "migration/diff.hpp"

#include <algorithm>

#include "migration/diff_walk.hpp"

namespace kedge::migration {

diff_run::diff_run(replica_identity identity, range r, settings const& s, number_source& numbers, nlohmann::json const& resume)
    : impl_{std::make_unique<impl>(std::move(identity), r, s, numbers)}
{
    if (resume.is_object())
        impl_->resume(resume);
}
diff_run::~diff_run() = default;

void diff_run::run(instant now, effects& out)
{
    if (impl_->in != impl::phase::idle)
        return;
    impl_->in = impl::phase::locating;
    impl_->go_on(now, out);
}

void diff_run::stop(effects& out, std::string why) { impl_->fail(std::move(why), out); }

void diff_run::link_up(instant now, effects& out)
{
    impl_->linked = true;
    impl_->heard_ms = now.steady_ms;
    impl_->go_on(now, out);
}

void diff_run::link_down()
{
    // What was asked is asked again on the next link; an answer that comes all the same is passed over.
    impl_->linked = false;
    impl_->jet_asked = impl_->probe_asked = token::none;
}

bool diff_run::on_backend(backend_event::any const& event, instant now, effects& out)
{
    if (auto const* const m = std::get_if<backend_event::messages>(&event))
        return impl_->on_messages(*m, now, out);
    if (auto const* const a = std::get_if<backend_event::answered>(&event))
        return impl_->on_answer(*a, now, out);
    if (auto const* const e = std::get_if<backend_event::reader_ended>(&event))
        return impl_->on_reader_end(*e, now, out);
    return false;
}

bool diff_run::on_store(store_event::any const& event, instant now, effects& out)
{
    if (auto const* const r = std::get_if<store_event::placed_read>(&event))
        return impl_->on_rows(*r, now, out);
    if (auto const* const r = std::get_if<store_event::rows_read>(&event))
        return impl_->on_first_row(*r, now, out);
    if (auto const* const f = std::get_if<store_event::failed>(&event))
        return impl_->on_failure(*f, now, out);
    return false;
}

void diff_run::tick(instant now, effects& out) { impl_->go_on(now, out); }

std::optional<std::uint64_t> diff_run::due_ms() const
{
    constexpr std::uint64_t shortest_ms = 10;
    auto const& d = *impl_;
    if (d.over())
        return std::nullopt;
    if (d.again_ms)
        return d.again_ms;
    if (d.in == impl::phase::walking && d.budget < 1)
        return d.filled_ms + std::max(shortest_ms, 1000 / std::max<std::uint64_t>(1, d.bounds.diff_messages_second));
    if (d.waits_for_message())
        return d.heard_ms + impl::stalled_ms;
    return std::nullopt;
}

void diff_run::rewound(jet_place above, instant now, effects& out)
{
    if (impl_->over())
        return;
    impl_->start_over(above, out);
    impl_->go_on(now, out);
}

bool diff_run::finished() const noexcept { return impl_->over(); }
std::string const& diff_run::failed() const noexcept { return impl_->why; }
bool diff_run::same_messages() const noexcept { return impl_->in == impl::phase::finished && counts().of_messages() == 0; }
bool diff_run::clean() const noexcept { return impl_->in == impl::phase::finished && counts().all() == 0; }
diff_counts const& diff_run::counts() const noexcept { return impl_->report.counts(); }
std::vector<diff_finding> const& diff_run::findings() const noexcept { return impl_->report.findings(); }

diff_run::progress diff_run::now() const noexcept
{
    auto const& d = *impl_;
    if (!d.located)
        return {};
    return {d.at - d.begin, d.end + 1 - d.begin, d.compared, d.rate};
}

nlohmann::json diff_run::result(bool with_findings) const
{
    auto const p = now();
    nlohmann::json made{{"running", !finished()}, {"done", p.done}, {"total", p.total}, {"at_ms", impl_->at_ms}, {"clean", clean()}};
    impl_->report.print(made, with_findings);
    if (!failed().empty())
        made["error"] = failed();
    if (with_findings)
        made["stream"] = impl_->id.name;
    return made;
}

nlohmann::json diff_run::resume_state() const
{
    auto const& d = *impl_;
    if (!d.located)
        return nullptr;
    nlohmann::json made{{"begin", d.begin}, {"end", d.end}, {"at", d.settled_at}, {"compared", d.settled_compared}};
    d.certain_and_likely().save(made);
    return made;
}

}  // namespace kedge::migration
