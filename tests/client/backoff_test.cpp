#include "clients/lib/sansio/backoff.hpp"
#include "tests/catch.hpp"

using kedge::client_lib::backoff;
using std::chrono::milliseconds;

TEST_CASE("the wait doubles a round, within its bounds")
{
    for (unsigned seed = 0; seed < 50; ++seed) {
        backoff b{1, milliseconds{50}, milliseconds{1000}, seed};
        for (std::int64_t most : {50, 100, 200, 400, 800, 1000, 1000, 1000}) {
            auto const wait = b.failed();
            CHECK(wait.count() >= most / 2);
            CHECK(wait.count() <= most);
        }
        b.succeeded();
        CHECK(b.failed().count() <= 50);
    }
}

TEST_CASE("servers are tried in turn, and a round costs one wait")
{
    backoff b{3, milliseconds{10}, milliseconds{10'000}, 1};
    CHECK(b.server() == 0);
    CHECK(b.failed().count() <= 10);
    CHECK(b.server() == 1);
    CHECK(b.failed().count() <= 10);
    CHECK(b.server() == 2);
    b.failed();
    CHECK(b.server() == 0);
    b.failed();
    b.failed();
    auto const second_round = b.failed();
    CHECK(second_round.count() >= 10);
    CHECK(second_round.count() <= 20);
}

TEST_CASE("after a loss the same server is first")
{
    backoff b{2, milliseconds{10}, milliseconds{100}, 1};
    b.failed();
    b.succeeded();
    auto const at = b.server();
    CHECK(b.lost().count() <= 10);
    CHECK(b.server() == at);
}

TEST_CASE("different seeds come at different times")
{
    backoff a{1, milliseconds{1000}, milliseconds{100'000}, 1};
    backoff b{1, milliseconds{1000}, milliseconds{100'000}, 2};
    bool differ = false;
    for (int i = 0; i < 8; ++i)
        differ = differ || a.failed() != b.failed();
    CHECK(differ);
}
