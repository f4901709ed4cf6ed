#include "sshd-transport/gate.hpp"

#include "tests/catch.hpp"

using namespace kedge;

namespace {

constexpr unsigned never = 99;   // the random number that early drop spares unless it is certain
constexpr unsigned always = 0;   // ... and the one that it takes whenever it may

limits small()
{
    limits bounds;
    bounds.unauthenticated = 10;
    bounds.unauthenticated_early_drop = 5;
    bounds.unauthenticated_early_percent = 30;
    bounds.unauthenticated_address = 3;
    bounds.penalty_ms_max = 60'000;
    bounds.penalty_sources = 4;
    return bounds;
}

std::string host(unsigned number)
{
    return "192.0.2." + std::to_string(number);
}

}  // namespace

TEST_CASE("an address is its own source, an IPv6 address its /64")
{
    struct row {
        char const* address;
        char const* source;
    };
    for (auto const& [address, source] : {row{"192.0.2.7", "192.0.2.7"}, row{"::ffff:192.0.2.7", "192.0.2.7"},
                                          row{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
                                          row{"2001:db8:1:2::", "2001:db8:1:2::/64"},
                                          row{"fe80::1%eth0", "fe80::/64"}, row{"::1", "::/64"}, row{"nonsense", "nonsense"}}) {
        INFO(address);
        CHECK(source_of(address) == source);
    }
}

TEST_CASE("as many log in at once as the limit says, over all")
{
    gate door{small(), {"192.0.2.0/24"}};
    for (unsigned at = 0; at < 10; ++at) CHECK_FALSE(door.arrive(host(at), 0, never));
    CHECK(door.arrive(host(99), 0, never) == refusal::unauthenticated);
    door.settled(host(3));
    CHECK_FALSE(door.arrive(host(99), 0, never));
    CHECK(door.unauthenticated() == 10);
}

TEST_CASE("as many log in at once from one address as the limit says")
{
    gate door{small(), {}};
    for (unsigned at = 0; at < 3; ++at) CHECK_FALSE(door.arrive("192.0.2.1", 0, never));
    CHECK(door.arrive("192.0.2.1", 0, never) == refusal::address);
    CHECK_FALSE(door.arrive("192.0.2.2", 0, never));
    door.settled("192.0.2.1");
    CHECK_FALSE(door.arrive("192.0.2.1", 0, never));

    SECTION("all of a /64 are one")
    {
        for (unsigned at = 1; at < 3; ++at) CHECK_FALSE(door.arrive("2001:db8::" + std::to_string(at), 0, never));
        CHECK(door.arrive("2001:db8::f", 0, always) == refusal::early_drop);
    }
    SECTION("an exempt address is not counted")
    {
        gate open{small(), {"127.0.0.0/8"}};
        for (unsigned at = 0; at < 10; ++at) CHECK_FALSE(open.arrive("127.0.0.1", 0, always));
        CHECK(open.arrive("127.0.0.1", 0, always) == refusal::unauthenticated);
    }
}

TEST_CASE("early drop begins at its percentage and grows to certainty")
{
    struct row {
        unsigned waiting;  ///< connections that log in already
        unsigned random;
        bool dropped;
    };
    // 5 of 10: 30 %; each further one adds 14 %.
    for (auto const& [waiting, random, dropped] :
         {row{4, always, false}, row{5, 29, true}, row{5, 30, false}, row{7, 57, true}, row{7, 58, false}, row{9, 85, true},
          row{9, 86, false}}) {
        INFO(waiting << ' ' << random);
        gate door{small(), {"198.51.100.0/24"}};
        for (unsigned at = 0; at < waiting; ++at) REQUIRE_FALSE(door.arrive("198.51.100.1", 0, always));
        CHECK((door.arrive("192.0.2.1", 0, random) == refusal::early_drop) == dropped);
    }
    limits level = small();
    level.unauthenticated_early_drop = level.unauthenticated;  // as large as the limit: no early drop
    gate door{level, {}};
    for (unsigned at = 0; at < 10; ++at) CHECK_FALSE(door.arrive(host(at), 0, always));
}

TEST_CASE("penalties add up, refuse from the threshold on, and run out")
{
    gate door{small(), {}};
    auto const cost = penalty_ms(refusal::key);
    REQUIRE(cost * 3 == penalty_threshold_ms);
    door.penalise("192.0.2.1", refusal::key, 1000);
    door.penalise("192.0.2.1", refusal::key, 1000);
    CHECK_FALSE(door.arrive("192.0.2.1", 1000, never));
    door.penalise("192.0.2.1", refusal::key, 1000);
    CHECK(door.arrive("192.0.2.1", 1000, never) == refusal::penalised);
    CHECK(door.arrive("192.0.2.1", 1000 + 3 * cost - 1, never) == refusal::penalised);
    CHECK_FALSE(door.arrive("192.0.2.1", 1000 + 3 * cost, never));

    SECTION("slow offences never add up")
    {
        for (std::uint64_t at = 1; at < 20; ++at) door.penalise("192.0.2.9", refusal::key, 10'000 * at);
        CHECK_FALSE(door.arrive("192.0.2.9", 200'000, never));
    }
    SECTION("there is an upper bound")
    {
        for (unsigned at = 0; at < 100; ++at) door.penalise("192.0.2.2", refusal::flood, 0);
        CHECK(door.arrive("192.0.2.2", 59'999, never) == refusal::penalised);
        CHECK_FALSE(door.arrive("192.0.2.2", 60'000, never));
    }
    SECTION("an exempt address pays nothing")
    {
        gate open{small(), {"192.0.2.0/24"}};
        for (unsigned at = 0; at < 10; ++at) open.penalise("192.0.2.1", refusal::flood, 0);
        CHECK(open.penalised_sources() == 0);
        CHECK_FALSE(open.arrive("192.0.2.1", 0, never));
    }
    SECTION("what is not the client's fault costs nothing")
    {
        for (auto const why : {refusal::sessions, refusal::unauthenticated, refusal::early_drop, refusal::address,
                               refusal::penalised, refusal::user_sessions})
            CHECK(penalty_ms(why) == 0);
    }
}

TEST_CASE("the table of penalties is bounded: who would be free first is forgotten")
{
    gate door{small(), {}};
    for (unsigned at = 1; at <= 4; ++at) {
        door.penalise(host(at), refusal::flood, 100 * at);
        CHECK(door.arrive(host(at), 100 * at, never) == refusal::penalised);
    }
    CHECK(door.penalised_sources() == 4);
    door.penalise(host(5), refusal::flood, 500);
    CHECK(door.penalised_sources() == 4);
    CHECK_FALSE(door.arrive(host(1), 500, never));
    CHECK(door.arrive(host(2), 500, never) == refusal::penalised);
    CHECK(door.arrive(host(5), 500, never) == refusal::penalised);
}

TEST_CASE("every reason has a word of its own")
{
    std::set<std::string_view> words;
    for (unsigned at = 0; at < refusal_count; ++at) words.insert(to_string(static_cast<refusal>(at)));
    CHECK(words.size() == refusal_count);
    CHECK(words.count("") == 0);
}
