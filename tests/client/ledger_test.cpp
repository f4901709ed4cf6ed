#include "clients/lib/sansio/ledger.hpp"
#include "tests/catch.hpp"

using namespace kedge;
using namespace kedge::client_lib;

TEST_CASE("what is in hand or finished is not shown again")
{
    ledger l;
    CHECK(l.delivered(1) == ledger::advice::show);
    CHECK(l.delivered(2) == ledger::advice::show);
    CHECK(l.delivered(1) == ledger::advice::ignore);
    l.finish(1, outcome::done);
    CHECK(l.delivered(1) == ledger::advice::repeat);
    CHECK(l.finished_as(1) == outcome::done);
    l.finish(2, outcome::dead);
    CHECK(l.finished_as(2) == outcome::dead);
    message_seq const both[] = {1, 2};
    l.confirmed(both);
    CHECK(l.finished() == 0);
    CHECK(l.delivered(1) == ledger::advice::show);  // an operator replayed it
}

TEST_CASE("what is given back is shown again")
{
    ledger l;
    l.delivered(5);
    l.release(5);
    CHECK(l.delivered(5) == ledger::advice::show);
}

TEST_CASE("a message that was below others is still new")
{
    ledger l;
    CHECK(l.delivered(9) == ledger::advice::show);
    CHECK(l.delivered(3) == ledger::advice::show);
    CHECK(l.delivered(3) == ledger::advice::ignore);
}

TEST_CASE("only what was delivered on this link can be confirmed by an ack")
{
    ledger l;
    l.delivered(1);
    l.delivered(2);
    l.link_down();
    l.delivered(2);
    message_seq const both[] = {1, 2};
    CHECK(l.awaited(both) == std::vector<message_seq>{2});
    l.finish(2, outcome::done);
    CHECK(l.awaited(both) == std::vector<message_seq>{2});
    l.release(2);
    CHECK(l.awaited(both).empty());
}

TEST_CASE("upto follows the order of delivery")
{
    ledger l;
    for (message_seq const seq : {1, 2, 7, 3, 8})
        l.delivered(seq);
    CHECK(l.held_upto(7) == std::vector<message_seq>{1, 2, 7});
    CHECK(l.held_upto(3) == std::vector<message_seq>{1, 2, 7, 3});
    CHECK(l.held_upto(99).empty());
    l.release(2);
    CHECK(l.held_upto(7) == std::vector<message_seq>{1, 7});
}

TEST_CASE("what is remembered as finished is bounded, the oldest goes first")
{
    ledger l;
    for (message_seq seq = 1; seq <= ledger::finished_max; ++seq)
        l.finish(seq, outcome::done);
    CHECK(l.finished() == ledger::finished_max);
    CHECK(l.delivered(1) == ledger::advice::repeat);
    l.finish(ledger::finished_max + 1, outcome::done);
    CHECK(l.finished() == ledger::finished_max);
    CHECK(l.delivered(1) == ledger::advice::show);
    CHECK(l.delivered(2) == ledger::advice::repeat);
}
