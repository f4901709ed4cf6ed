#pragma once
/// The truth about messages: what clients made, what the store committed. Checks, as rows are committed and answers are given:
/// seq is dense and rises with the commits, an id is stored once within its window, n rises, rows are what was published, an
/// `ok` or `stored` names a committed row, an `error` that says "not stored" tells the truth.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "router/protocol/notice.hpp"
#include "router/store/store.hpp"
#include "tests/sim/journal.hpp"

namespace kedge::sim {

/// One message as a client made it; it may be sent several times. Its body begins with its number.
struct made_message {
    std::size_t number = 0;
    message_ptr message;
    std::uint64_t n = 0;
    /// Sends that may have stored it: not answered, answered by `ok`, or by an error that leaves it open.
    std::size_t open_sends = 0;
    message_seq stored_at = 0;  ///< where it was first stored
    std::string reliable;       ///< its publisher's name, if that one never gives up: stored once, in order
    std::vector<std::string> to;  ///< of a post, which has no subject
    bool given_up = false;        ///< its publisher was told that it will not be stored, and does not try again
};

class ledger {
public:
    explicit ledger(std::uint64_t dedupe_ms) : dedupe_ms_{dedupe_ms} {}

    std::size_t make(message::parts, std::uint64_t n, std::string reliable, std::size_t padding, std::vector<std::string> to = {});
    made_message& at(std::size_t number) { return messages_.at(number); }
    /// The number at the start of a body.
    made_message& of(std::string_view body);
    made_message const& of(std::string_view body) const { return const_cast<ledger*>(this)->of(body); }
    std::size_t made() const noexcept { return messages_.size(); }

    struct log {
        stream_config config;
        std::vector<row> rows;       ///< by seq, from 1; what retention took stays here
        message_seq trimmed_to = 1;  ///< rows below may be gone
        std::set<message_seq> purged;  ///< and these
        bool is_gone(message_seq seq) const { return seq < trimmed_to || purged.contains(seq); }
    };
    void stream_exists(stream_state const&);
    std::map<stream_id, log> const& logs() const noexcept { return logs_; }
    log& log_of(stream_id stream) { return logs_.at(stream); }
    log& log_of(std::string_view name);
    /// The stream that takes the subject; `stream_id{}` = none.
    stream_id stream_for(std::string_view subject) const;

    void committed(stream_id, row const&);
    void trimmed(stream_id, message_seq first);

    /// An `ok` to a publish of message `number` by `sender`. `named`: of a user/node, whose ids have a window.
    void acknowledged(std::size_t number, std::string_view sender, bool named, notice::ok const&);
    /// A send of it was answered by an error that says "not stored".
    void refused(std::size_t number);
    /// The same for posts, which are known by their ids: each is one message's own.
    void acknowledged_post(std::string_view sender, notice::ok const&);
    void refused_post(std::string const& id, error_code);
    /// The store has forgotten the node: its ids and its n may come again.
    void forget_node(std::string const& name);
    /// Rows that a purge takes may be missing from now on.
    void purging(stream_id, std::string const& filter, message_seq up_to);
    /// `stored`, told to a link of the node `sender`.
    void stored(std::string_view sender, notice::stored const&);
    /// The highest n that the log holds of that sender; `told_n`: that was told.
    std::uint64_t highest_n(std::string_view sender, stream_id) const;
    std::uint64_t told_n(std::string_view sender, stream_id) const;

    /// At the end of a run.
    void check_all_reliable_stored() const;

private:
    std::uint64_t dedupe_ms_;
    std::vector<made_message> messages_;
    std::map<stream_id, log> logs_;
    struct by_sender {
        std::uint64_t highest_n = 0;
        std::uint64_t told_n = 0;
        std::map<std::string, message_seq, std::less<>> ids;  ///< the last row with it
    };
    std::map<std::pair<std::string, stream_id>, by_sender, std::less<>> senders_;
    std::map<std::string, std::map<stream_id, std::size_t>> reliable_;  ///< publisher -> the number last stored
    std::map<std::string, std::size_t, std::less<>> posts_;             ///< id -> number
    std::set<std::pair<stream_id, message_seq>> first_oks_;             ///< rows with an `ok` without `dup`
};

}  // namespace kedge::sim
