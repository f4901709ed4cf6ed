// What cannot be ordered is refused: alone, or with all that was pipelined behind it.

#include <algorithm>
#include <initializer_list>

#include "tests/migration/sequencer_contract/side.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

constexpr side_options impatient{2'000};  // long enough for what is well, on a machine that is busy
constexpr std::size_t room = 5;
constexpr side_options narrow{30'000, room};

bool is_one_of(std::optional<failure> const& why, std::initializer_list<error_code> codes)
{
    return why && std::ranges::find(codes, why->code) != codes.end();
}

}  // namespace

KEDGE_SEQUENCER_CASE(unknown_stream, ordinary_side, "an append to a stream that does not exist fails alone")
{
    desk d{side};
    auto const tokens = d.append({d.make(side.chat), d.make(stream_id{77}), d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.seq_of(tokens[0]) == 1);
    CHECK(is_one_of(d.why(tokens[1]), {error_code::unknown_stream}));
    CHECK(d.seq_of(tokens[2]) == 2);
}

KEDGE_SEQUENCER_CASE(behind_a_failure, impatient, "behind a failure nothing of the same epoch is stored, before or after the healing")
{
    desk d{side};
    auto const before = d.append({d.make(side.chat), d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.seq_of(before[1]) == 2);

    side.trouble();
    auto const lost = d.append({d.make(side.chat, "alice/one", "a"), d.make(side.chat, "bob/pc", "b"), d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.failed(side.chat) == lost);
    for (auto const each : lost)
        CHECK(is_one_of(d.why(each), {error_code::store_full, error_code::unavailable}));

    INFO("still in trouble, and then healed: what was on its way when the failure was told");
    auto const behind = d.append({d.make(side.chat)});
    REQUIRE(d.until([&] { return d.why(behind[0]).has_value(); }));
    side.heal();
    auto const late = d.append({d.make(side.chat), d.make(side.chat)});
    REQUIRE(d.answered());
    for (auto const& each : {behind[0], late[0], late[1]})
        CHECK(is_one_of(d.why(each), {error_code::store_full, error_code::unavailable}));

    INFO("one batch in which the epoch rises: the core has heard of it");
    auto const still = d.make(side.chat);
    ++d.epoch;
    auto const mixed = d.append({still, d.make(side.chat), d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.why(mixed[0]).has_value());
    CHECK(d.seq_of(mixed[1]) == 3);
    CHECK(d.seq_of(mixed[2]) == 4);

    auto const log = side.log(side.chat);
    REQUIRE(log.size() == 4);
    for (auto const& row : log)
        CHECK(row.message->id().empty());  // nothing of what failed
    CHECK(d.arrived(side.chat).size() == 4);
}

KEDGE_SEQUENCER_CASE(failure_of_one_stream, impatient, "a failure says nothing of a stream that did not fail")
{
    desk d{side};
    side.trouble();
    auto const lost = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.why(lost[0]).has_value());
    side.heal();
    auto const other = d.append({d.make(side.other), d.make(side.other)});
    REQUIRE(d.answered());
    CHECK(d.seq_of(other[0]) == 1);
    CHECK(d.seq_of(other[1]) == 2);
}

KEDGE_SEQUENCER_CASE(epochs_begin_anew, impatient, "what a failure bars is not barred in the next process")
{
    desk d{side};
    side.trouble();
    auto const lost = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.why(lost[0]).has_value());
    side.heal();
    side.end();
    d.begin();
    auto const again = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.seq_of(again[0]) == 1);
}

KEDGE_SEQUENCER_CASE(bound, narrow, "as many as there is room for are stored; one more is refused, and what is behind it")
{
    desk d{side};
    auto const first = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.seq_of(first[0]) == 1);

    side.narrow();
    std::vector<store_request::append> batch;
    for (std::size_t i = 0; i < room; ++i)
        batch.push_back(d.make(side.chat));
    auto const inside = d.append(std::move(batch));
    auto const beyond = d.append({d.make(side.chat)});
    REQUIRE(d.until([&] { return d.why(beyond[0]).has_value(); }));
    CHECK(is_one_of(d.why(beyond[0]), {error_code::quota, error_code::unavailable}));
    auto const behind = d.append({d.make(side.chat)});
    REQUIRE(d.until([&] { return d.why(behind[0]).has_value(); }));

    side.widen();
    REQUIRE(d.answered());
    for (std::size_t i = 0; i < room; ++i)
        CHECK(d.seq_of(inside[i]) == 2 + i);
    auto const barred = d.append({d.make(side.chat)});
    ++d.epoch;
    auto const after = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.why(barred[0]).has_value());
    CHECK(d.seq_of(after[0]) == 2 + room);
    CHECK(side.log(side.chat).size() == 2 + room);
}

KEDGE_SEQUENCER_CASE(orderly_end, ordinary_side, "an end in the middle: no answer is taken back, and nothing is stored twice or out of order")
{
    desk d{side};
    auto const first = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    std::vector<std::string> sent;
    std::vector<token> tokens;
    for (int i = 0; i < 40; ++i) {
        std::vector<store_request::append> batch;
        for (int k = 0; k < 10; ++k) {
            sent.push_back("id-" + std::to_string(10 * i + k));
            batch.push_back(d.make(side.chat, "alice/one", sent.back()));
        }
        for (auto const each : d.append(std::move(batch)))
            tokens.push_back(each);
    }
    side.end();
    d.open();
    std::vector<message_seq> accepted;
    std::vector<std::optional<failure>> why;
    for (auto const each : tokens) {
        accepted.push_back(d.seq_of(each));
        why.push_back(d.why(each));
    }

    d.begin();
    // What was ordered and not answered arrives now, before this one.
    auto const last = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    auto const log = side.log(side.chat);
    REQUIRE(log.size() == d.seq_of(last[0]));
    std::size_t at = 1;  // of the log, behind the first
    for (std::size_t i = 0; i < sent.size(); ++i) {
        INFO(sent[i]);
        bool const stored = at + 1 < log.size() && log[at].message->id() == sent[i];
        if (stored)
            ++at;
        if (accepted[i] != 0) {
            CHECK(stored);
            CHECK(accepted[i] == at);
        }
        if (why[i])
            CHECK((!stored || outcome_unknown(why[i]->code)));
    }
    CHECK(at + 1 == log.size());  // nothing else, and in the order in which it was sent
    (void)first;
}
