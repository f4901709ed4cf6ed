// The ledger alone: each rule about rows and answers, kept and broken.
#include "tests/catch.hpp"
#include "tests/sim/ledger.hpp"

using namespace kedge;
using namespace kedge::sim;

namespace {

constexpr stream_id stream_1{1};

struct ledger_fixture {
    ledger book{1'000};

    ledger_fixture()
    {
        stream_state s;
        s.id = stream_1;
        s.config.name = "S";
        s.config.subjects = {"d.>"};
        book.stream_exists(s);
    }
    std::size_t send(std::string_view id, std::uint64_t n = 0, std::string reliable = {})
    {
        message::parts parts;
        parts.subject = "d.a";
        parts.id = id;
        auto const number = book.make(parts, n, std::move(reliable), 3);
        ++book.at(number).open_sends;
        return number;
    }
    row row_of(std::size_t number, message_seq seq, std::uint64_t time_ms = 10)
    {
        return {seq, time_ms, shared_bytes::copy_of("u/n"), book.at(number).message};
    }
    static notice::ok ok(message_seq seq, bool dup = false) { return {"a", "S", seq, dup, {}}; }
};

}  // namespace

TEST_CASE("rows must be dense, rise in time and be what was published")
{
    ledger_fixture f;
    auto const first = f.send("a"), second = f.send("b");
    f.book.committed(stream_1, f.row_of(first, 1, 10));
    CHECK_THROWS_AS(f.book.committed(stream_1, f.row_of(second, 3)), violation);
    CHECK_THROWS_AS(f.book.committed(stream_1, f.row_of(second, 2, 9)), violation);
    auto changed = f.row_of(second, 2);
    message::parts parts;
    parts.subject = "d.a";
    parts.id = "b";
    parts.body = "1:other";
    changed.message = message::make(parts);
    CHECK_THROWS_AS(f.book.committed(stream_1, changed), violation);
    f.book.committed(stream_1, f.row_of(second, 2));
}

TEST_CASE("an id is stored once within its window")
{
    ledger_fixture f;
    auto const m = f.send("a");
    f.book.committed(stream_1, f.row_of(m, 1, 10));
    CHECK_THROWS_AS(f.book.committed(stream_1, f.row_of(m, 2, 1'009)), violation);
    f.book.committed(stream_1, f.row_of(m, 2, 1'010));
}

TEST_CASE("n rises")
{
    ledger_fixture f;
    auto const five = f.send("", 5), four = f.send("", 4);
    f.book.committed(stream_1, f.row_of(five, 1));
    CHECK_THROWS_AS(f.book.committed(stream_1, f.row_of(four, 2)), violation);
    CHECK(f.book.highest_n("u/n", stream_1) == 5);
    CHECK_THROWS_AS(f.book.stored("u/n", {"S", 4, 1}), violation);
    CHECK_THROWS_AS(f.book.stored("u/n", {"S", 5, 2}), violation);
    f.book.stored("u/n", {"S", 5, 1});
    CHECK(f.book.told_n("u/n", stream_1) == 5);
}

TEST_CASE("a publisher that never gives up is stored in order")
{
    ledger_fixture f;
    auto const first = f.send("a", 0, "p"), second = f.send("b", 0, "p");
    CHECK_THROWS_AS(f.book.check_all_reliable_stored(), violation);
    f.book.committed(stream_1, f.row_of(second, 1));
    CHECK_THROWS_AS(f.book.committed(stream_1, f.row_of(first, 2)), violation);
}

TEST_CASE("only what is committed may be acknowledged, and once")
{
    ledger_fixture f;
    auto const m = f.send("a"), other = f.send("b");
    CHECK_THROWS_AS(f.book.acknowledged(m, "u/n", true, ledger_fixture::ok(1)), violation);
    f.book.committed(stream_1, f.row_of(m, 1));
    CHECK_THROWS_AS(f.book.acknowledged(other, "u/n", true, ledger_fixture::ok(1)), violation);
    CHECK_THROWS_AS(f.book.acknowledged(m, "u/other", true, ledger_fixture::ok(1)), violation);
    CHECK_THROWS_AS(f.book.acknowledged(m, "u/n", false, ledger_fixture::ok(1, true)), violation);
    f.book.acknowledged(m, "u/n", true, ledger_fixture::ok(1));
    CHECK_THROWS_AS(f.book.acknowledged(m, "u/n", true, ledger_fixture::ok(1)), violation);
    f.book.acknowledged(m, "u/n", true, ledger_fixture::ok(1, true));
}

TEST_CASE("an error that says 'not stored' tells the truth")
{
    ledger_fixture f;
    auto const stored = f.send("a"), refused = f.send("b");
    f.book.committed(stream_1, f.row_of(stored, 1));
    CHECK_THROWS_AS(f.book.refused(stored), violation);
    f.book.refused(refused);
    CHECK_THROWS_AS(f.book.committed(stream_1, f.row_of(refused, 2)), violation);
}
