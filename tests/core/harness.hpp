#pragma once
/// The core with everything around it in the test's hand: a clock that stands still, a store in memory that commits when it
/// is told to, and peers whose words are lines. What a peer hears is told in short: "ok 1 CHAT#3 dup", "msg a.b CHAT#3 c=work
/// t=2 text", "error 4 denied", "pong p", "stored CHAT n=3 #2", "bye quit", "closed 0".

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"
#include "router/protocol/decoder.hpp"
#include "router/store/memory_store.hpp"

namespace kedge {

using lines = std::vector<std::string>;

/// A notice in short.
std::string in_short(notice::any const&);

class harness {
public:
    explicit harness(limits bounds = {});

    // --- Peers -------------------------------------------------------------------------------------------------------
    link_id open(std::string const& user, std::string const& role = "user", encoding form = encoding::lines, bool greet = true,
                 bool internal = false);
    /// Opened, with the greeting heard and `hello` said if a node is given.
    link_id join(std::string const& user, std::string const& node = {}, std::string const& role = "user");
    /// Operations, one a line; then everything that follows happens, as far as the store is not held.
    void say(link_id, std::string_view operations);
    void end_input(link_id);
    void close(link_id, std::optional<std::uint64_t> written = std::nullopt);
    /// What the peer heard since the last call.
    lines heard(link_id);
    /// The same for one `say`.
    lines ask(link_id, std::string_view operations);
    /// The last whole notice of that kind.
    template <class T>
    T last(link_id link)
    {
        T found;
        for (auto const& n : peers_.at(link).notices)
            if (auto const* const one = std::get_if<T>(&n))
                found = *one;
        return found;
    }
    /// While false, what is put out stays unread.
    void reads(link_id, bool);
    std::uint64_t given(link_id link) { return peers_.at(link).given; }
    std::uint64_t credited(link_id link) { return peers_.at(link).credited; }
    std::uint64_t handed(link_id link) { return peers_.at(link).handed; }

    // --- Administration ----------------------------------------------------------------------------------------------
    /// Asks as the operator of the harness; the answer, or nothing while the store is held.
    std::optional<admin_result> admin(std::string name, nlohmann::json args = nlohmann::json::object());
    std::optional<admin_result> admin_as(link_id, std::string name, nlohmann::json args = nlohmann::json::object());
    std::vector<admin_result> admin_answers();
    void add_stream(std::string const& name, std::vector<std::string> subjects);

    // --- The store ---------------------------------------------------------------------------------------------------
    void hold() { held_ = true; }
    /// Carries out what waits, as one batch, and goes on holding.
    void commit();
    void release();
    std::size_t waiting() const { return queue_.size(); }
    std::deque<store_request::any> const& queue() const { return queue_; }

    // --- Time and fate -----------------------------------------------------------------------------------------------
    void pass(std::uint64_t ms);
    void drain();
    /// The process dies; what was committed is loaded again. Peers are gone.
    void crash();
    /// The same after an orderly stop.
    void restart();

    class core& router() { return *core_; }
    /// Steps that nothing else here has.
    template <class Step>
    void step(Step&& what)
    {
        what(*core_, now, todo_);
        settle();
    }

    limits bounds;
    memory_store disk;
    metrics counts;
    instant now{1'000, 1'700'000'000'000};
    link_id root{};
    directory_ptr directory;
    bool drained = false;
    std::vector<migration_request> asked;  ///< of the migration
    std::vector<stream_id> removed;        ///< streams, told to it

private:
    struct peer {
        std::unique_ptr<operation_decoder> ears;
        std::unique_ptr<notice_decoder> decoder;
        lines heard;
        std::vector<notice::any> notices;
        std::uint64_t given = 0, credited = 0, handed = 0, written = 0;
        bool reads = true;
    };
    void load();
    void take(actions&);
    void settle();
    void run_store();

    std::unique_ptr<class core> core_;
    actions todo_;
    std::map<link_id, peer> peers_;
    std::deque<store_request::any> queue_;
    std::deque<account_request> accounts_;
    std::vector<admin_result> answers_;
    bool held_ = false;
    std::uint64_t last_link_ = 0;
    std::uint64_t last_request_ = 0;
};

}  // namespace kedge
