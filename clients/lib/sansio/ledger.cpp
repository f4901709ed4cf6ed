#include "clients/lib/sansio/ledger.hpp"

#include <algorithm>
#include <iterator>

namespace kedge::client_lib {

ledger::advice ledger::delivered(message_seq seq)
{
    here_.insert(seq);
    if (finished_.contains(seq))
        return advice::repeat;
    // Deliveries mostly rise: one that is above all before it cannot be in hand, and nothing needs to be searched.
    if (seq <= highest_ && std::find(held_.begin(), held_.end(), seq) != held_.end())
        return advice::ignore;
    highest_ = std::max(highest_, seq);
    held_.push_back(seq);
    return advice::show;
}

outcome ledger::finished_as(message_seq seq) const
{
    auto const found = finished_.find(seq);
    return found == finished_.end() ? outcome::done : found->second;
}

void ledger::finish(message_seq seq, outcome how)
{
    drop(seq);
    if (how == outcome::dead)
        here_.erase(seq);  // nothing will confirm it
    if (!finished_.insert_or_assign(seq, how).second)
        return;
    finished_order_.push_back(seq);
    while (finished_order_.size() > finished_max) {
        finished_.erase(finished_order_.front());
        finished_order_.pop_front();
    }
}

void ledger::release(message_seq seq)
{
    here_.erase(seq);
    drop(seq);
}

void ledger::drop(message_seq seq)
{
    // Programs mostly finish in order: the front is looked at first.
    if (auto const found = std::find(held_.begin(), held_.end(), seq); found != held_.end())
        held_.erase(found);
}

std::vector<message_seq> ledger::awaited(std::span<message_seq const> seqs) const
{
    std::vector<message_seq> out;
    out.reserve(seqs.size());
    std::copy_if(seqs.begin(), seqs.end(), std::back_inserter(out), [&](message_seq seq) { return here_.contains(seq); });
    return out;
}

void ledger::confirmed(std::span<message_seq const> seqs)
{
    for (auto const seq : seqs) {
        finished_.erase(seq);
        here_.erase(seq);
    }
    while (!finished_order_.empty() && !finished_.contains(finished_order_.front()))
        finished_order_.pop_front();
}

std::vector<message_seq> ledger::held_upto(message_seq seq) const
{
    auto const last = std::find(held_.rbegin(), held_.rend(), seq);
    return {held_.begin(), last.base()};
}

}  // namespace kedge::client_lib
