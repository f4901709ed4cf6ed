#pragma once
/// Calls: each goes to one instance, which is there, and is answered once, by what that instance said or by the error that is
/// true.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "router/core/actions.hpp"
#include "tests/sim/ledger.hpp"
#include "tests/sim/party.hpp"

namespace kedge::sim {

class service_model {
public:
    explicit service_model(ledger& messages) : messages_{messages} {}

    void restarted();
    void draining() { draining_ = true; }
    // The core is given:
    void call(party const&, op::call const&);
    void reply(party const&, op::reply const&);
    void published(std::string_view subject, std::string_view body);
    void ended(party const&);
    // The core says:
    void given(parties const&, party const& to, notice::call const&, instant);
    void given(notice::msg const&, instant);
    /// Whether it answers a call.
    bool replied(parties const&, party const& to, notice::reply const&);
    bool failed(parties const&, party const& to, notice::error const&, instant);

    /// `ticked`: the core was told what time it is.
    void check_due(parties const&, instant, bool ticked) const;
    std::uint64_t answered() const noexcept { return answered_; }

private:
    struct one {
        link_id caller{};
        std::string from;
        std::string id;
        std::string service, method;  // empty: by subject
        std::uint64_t timeout_ms = 0;
        link_id at{};                 // who has it
        std::string instance;
        bool given = false;
        std::uint64_t given_ms = 0;
        std::string handle;           // or the subject for replies
        bool over = false;
        struct said {
            std::string body;
            std::string code;         // empty = success
        };
        std::vector<said> said;       // by the instance, in order
    };
    [[noreturn]] static void fail(one const&, std::string const& what);
    /// `given`: one that was, if there are two of that id; else one that was not.
    one* open_of(link_id caller, std::string const& id, bool given);
    std::size_t open_at(std::string const& instance) const;

    ledger& messages_;
    bool draining_ = false;
    std::map<std::size_t, one> calls_;            // by the number of the message
    std::map<std::string, std::size_t> handles_;
    std::uint64_t answered_ = 0;
};

}  // namespace kedge::sim
