#pragma once
/// Inside of check.hpp: where findings gather.

#include <string>
#include <utility>
#include <vector>

#include "router/store/store.hpp"

namespace kedge::sqlite {

/// Bounded: a database that is all wrong needs no more sentences than one that is half wrong.
class check_findings {
public:
    void add(std::string sentence)
    {
        if (list_.size() + 1 < store_event::checked::findings_max)
            list_.push_back(std::move(sentence));
        else
            ++more_;
    }
    std::vector<std::string> take()
    {
        if (more_ != 0)
            list_.push_back("and " + std::to_string(more_) + " more");
        return std::move(list_);
    }

private:
    std::vector<std::string> list_;
    std::uint64_t more_ = 0;
};

}  // namespace kedge::sqlite
