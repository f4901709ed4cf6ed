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
    if (journal_.broken)
        return refuse_job("the migration of " + name() + " is broken, so there is nothing to compare with: " + journal_.broken->why + ": "
                              + journal_.broken->next,
                          out);
    if (!linked())
        return refuse_job("there is no link to NATS: " + context_.link.why, out);
    begin_diff(job_->what.tail, nullptr, now, out);
    answer({0, diff_report(), {}}, out);
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
    diff_tail_ = tail;
    diff_generation_ = replica_->now().generation;
    diff_told_ = false;
    journal_.diff_failed = nullptr;
    diff_asked_ = tail == 0 || (job_ && job_->what.what == command::verb::diff);
    diff_saved_ms_ = now.steady_ms;
    diff_->run(now, out);
    if (checked_)
        diff_->link_up(now, out);
}

void mirror::resume_diff(instant now, effects& out)
{
    auto const state = std::exchange(journal_.diff_resume, nullptr);
    // Of a stream that has gone back meanwhile nothing is known any more.
    auto const same = state.is_object() && state.value("generation", std::uint64_t{0}) == replica_->now().generation;
    begin_diff(state.value("tail", std::uint64_t{0}), same ? state : nlohmann::json{}, now, out);
}

void mirror::keep_diff()
{
    journal_.diff_resume = diff_->resume_state();
    if (!journal_.diff_resume.is_object())
        return;
    journal_.diff_resume["generation"] = diff_generation_;
    if (diff_tail_ != 0)
        journal_.diff_resume["tail"] = diff_tail_;
}

/// Whether it has ended, and otherwise how far it is, for the next process.
void mirror::look_at_diff(instant now, effects& out)
{
    if (!diff_ || diff_told_)
        return;
    if (replica_ && std::exchange(diff_generation_, replica_->now().generation) != replica_->now().generation)
        diff_->rewound(replica_->now().checkpoint, now, out);
    if (!diff_->finished()) {
        if (!diff_for_job_ && now.steady_ms >= diff_saved_ms_ + save_every_ms) {
            diff_saved_ms_ = now.steady_ms;
            keep_diff();
            dirty_ = true;
        }
        return;
    }
    diff_told_ = true;
    diff_for_job_ = false;
    diff_ended_ms_ = now.wall_ms;
    journal_.diff_resume = nullptr;
    dirty_ = true;
    auto ended = diff_->result(true);
    if (auto const at = ended.find("findings"); at != ended.end() && at->size() > findings_kept)
        at->erase(at->begin() + findings_kept, at->end());
    ended["at_ms"] = now.wall_ms;
    ended["generation"] = diff_generation_;
    if (diff_tail_ != 0)
        ended["tail"] = diff_tail_;
    // What the last one that came to its end said still holds for its time, so one that failed stands beside it.
    if (!diff_->failed().empty()) {
        journal_.diff_failed = std::move(ended);
        return note("diff failed", diff_->failed(), {}, now, out);
    }
    // What a longer one found is not gone because the last few are clean.
    if (diff_tail_ == 0)
        journal_.diff = std::move(ended);
    else if (!diff_->clean() || !tail_differs() || journal_.diff_tail.value("tail", std::uint64_t{0}) <= diff_tail_)
        journal_.diff_tail = std::move(ended);
    auto const& c = diff_->counts();
    if (!diff_->clean())
        note("diff found differences",
             count_of(c.missing, "message") + " missing, " + std::to_string(c.extra) + " extra, " + std::to_string(c.different) + " different, "
                 + std::to_string(c.out_of_order) + " out of order",
             {}, now, out);
}

/// The newest messages were found to differ after the last whole diff.
bool mirror::tail_differs() const
{
    auto const at = [](nlohmann::json const& of) { return of.is_object() ? of.value("at_ms", std::uint64_t{0}) : 0; };
    return journal_.diff_tail.is_object() && !same_messages(journal_.diff_tail) && at(journal_.diff_tail) > at(journal_.diff);
}

/// As `diff_run::same_messages`, of what the journal keeps of one.
bool mirror::same_messages(nlohmann::json const& ended)
{
    auto const found = [&](char const* kind) { return ended.value(kind, std::uint64_t{1}) != 0; };
    return ended.value("clean", false) || !(found("missing") || found("extra") || found("different"));
}

nlohmann::json mirror::diff_report() const
{
    if (diff_ && (!diff_->finished() || diff_told_)) {
        auto out = diff_->result(true);  // all of them, not only those that the journal keeps
        if (diff_tail_ != 0)
            out["tail"] = diff_tail_;
        if (diff_->finished())
            out["at_ms"] = diff_ended_ms_;
        else if (!linked())
            out["waits_for"] = "the link to NATS: " + context_.link.why;
        return out;
    }
    nlohmann::json last;
    for (auto const* const each : {&journal_.diff, &journal_.diff_tail, &journal_.diff_failed})
        if (each->is_object() && (last.is_null() || each->value("at_ms", std::uint64_t{0}) >= last.value("at_ms", std::uint64_t{0})))
            last = *each;
    if (last.is_object())
        last.erase("generation");
    return last;
}

/// The last that came to its end, and why a later one did not.
nlohmann::json mirror::diff_figures(bool of_tail) const
{
    if (diff_ && !diff_->finished() && (diff_tail_ != 0) == of_tail) {
        auto out = diff_->result(false);
        if (of_tail)
            out["tail"] = diff_tail_;
        if (!linked())
            out["waits_for"] = "the link to NATS";
        return out;
    }
    auto const at = [](nlohmann::json const& of) { return of.is_object() ? of.value("at_ms", std::uint64_t{0}) : 0; };
    auto const& failed = journal_.diff_failed;
    bool const later = failed.is_object() && failed.contains("tail") == of_tail;
    auto last = of_tail ? journal_.diff_tail : journal_.diff;
    if (last.is_null() && later)
        last = failed;
    else if (later)
        last["later_error"] = failed.value("error", "");
    if (of_tail && at(last) <= at(journal_.diff))
        return nullptr;  // all of it was looked at since
    if (last.is_object())
        last.erase("findings"), last.erase("generation");
    return last;
}

}  // namespace kedge::migration
