// The comparison of both sides: one at a time, journalled as it goes.

#include <utility>

#include "migration/mirror.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t save_every_ms = 5'000;
constexpr std::size_t findings_kept = 100;  // in the journal

}  // namespace

void mirror::diff(instant now, effects& out)
{
    if (!copies_in(phase()) || !replica_)
        return refuse_job(name() + " has no copy to compare it with: it is " + std::string{to_string(phase())}, out);
    begin_diff(job_->what.tail, nullptr, now, out);
    answer({0, diff_status(true), {}}, out);
}

void mirror::begin_diff(std::uint64_t tail, nlohmann::json const& resume, instant now, effects& out)
{
    if (diff_)
        diff_->stop(out);
    diff_run::range range;
    range.checkpoint = replica_->now().checkpoint;
    range.tail = tail;
    range.middle_taken = stream_.config.max_msgs_per_subject != 0;
    diff_ = std::make_unique<diff_run>(identity(), range, context_.bounds, numbers_, resume);
    diff_told_ = false;
    diff_asked_ = tail == 0 || (job_ && job_->what.what == command::verb::diff);
    diff_saved_ms_ = now.steady_ms;
    diff_->run(now, out);
    if (checked_)
        diff_->link_up(now, out);
}

/// Whether it has ended, and otherwise how far it is, for the next process.
void mirror::look_at_diff(instant now, effects& out)
{
    if (!diff_ || diff_told_)
        return;
    if (!diff_->finished()) {
        if (!diff_for_job_ && now.steady_ms >= diff_saved_ms_ + save_every_ms) {
            diff_saved_ms_ = now.steady_ms;
            journal_.diff_resume = diff_->resume_state();
            dirty_ = true;
        }
        return;
    }
    diff_told_ = true;
    diff_for_job_ = false;
    journal_.diff_resume = nullptr;
    dirty_ = true;
    if (!diff_->failed().empty())
        return note("diff failed", diff_->failed(), {}, now, out);
    journal_.diff = diff_->result(true);
    if (auto const at = journal_.diff.find("findings"); at != journal_.diff.end() && at->size() > findings_kept)
        at->erase(at->begin() + findings_kept, at->end());
    journal_.diff["at_ms"] = now.wall_ms;
    auto const& c = diff_->counts();
    if (!diff_->clean())
        note("diff found differences",
             count_of(c.missing, "message") + " missing, " + std::to_string(c.extra) + " extra, " + std::to_string(c.different) + " different, "
                 + std::to_string(c.out_of_order) + " out of order",
             {}, now, out);
}

nlohmann::json mirror::diff_status(bool with_findings) const
{
    if (!diff_ || (diff_->finished() && !diff_->failed().empty() && !journal_.diff.is_null())) {
        auto last = journal_.diff;
        if (!with_findings && last.is_object())
            last.erase("findings");
        return last;
    }
    auto out = diff_->result(with_findings);
    if (diff_->finished() && journal_.diff.is_object())
        out["at_ms"] = journal_.diff.value("at_ms", std::uint64_t{0});
    return out;
}

}  // namespace kedge::migration
