#pragma once
/// What is remembered of a stream's migration: `mirror_state::journal`. Written before what it announces takes effect, so that a
/// start finds out from it alone where things stand. JSON in the store; pure.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "migration/states.hpp"
#include "router/protocol/error.hpp"

namespace kedge::migration {

struct journal {
    static constexpr std::size_t history_max = 100;

    stream_phase phase = stream_phase::legacy;
    std::uint64_t authority_epoch = 1;   ///< raised by each commit of a switch or reverse
    std::uint64_t since_ms = 0;          ///< wall clock: when the phase began
    bool paused = false;

    struct breakdown {
        std::string reason;              ///< "backlog"
        std::string why;                 ///< a sentence
        std::string next;                ///< a sentence: what the operator can do

        friend bool operator==(breakdown const&, breakdown const&) = default;
    };
    std::optional<breakdown> broken;

    std::uint64_t granted_bytes = 0;     ///< waited when an operator said start or resume: no backlog that grew
    std::string from;                    ///< of `migrate start`
    std::string jet;                     ///< the JetStream stream
    std::uint64_t created_ns = 0;        ///< of it; another number = another stream of that name
    std::string marked;                  ///< the incarnation that it was marked with
    nlohmann::json diff;                 ///< the last whole one that came to its end; null = none
    nlohmann::json diff_tail;            ///< the last of the newest messages only (see mirror_diff.cpp); null = none
    nlohmann::json diff_failed;          ///< the last one, if it failed; null = it did not
    nlohmann::json diff_resume;          ///< of one that is under way; null = none
    std::uint64_t behind = 0;            ///< catching up: so much waited when it began; 0 = it does not

    struct entry {
        std::uint64_t time_ms = 0;
        std::string state;
        std::string what;
        std::string why;                 ///< may be empty
        std::string by;                  ///< user; empty = by itself

        friend bool operator==(entry const&, entry const&) = default;
    };
    std::deque<entry> history;           ///< oldest first

    void add(entry);

    friend bool operator==(journal const&, journal const&) = default;
};

std::string write_journal(journal const&);
/// A journal that is empty or damaged in parts gives what can be read; the failure is for text that is no journal at all.
result<journal> read_journal(std::string_view);

}  // namespace kedge::migration
