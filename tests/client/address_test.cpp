#include "clients/lib/ssh_connection.hpp"
#include "tests/catch.hpp"

using namespace kedge::client_lib;

TEST_CASE("addresses of servers")
{
    struct row {
        char const* text;
        bool good;
        char const* user;
        char const* host;
        unsigned port;
    };
    static row const rows[] = {
        {"bot1@bus:2222", true, "bot1", "bus", 2222},
        {"bot1@bus", true, "bot1", "bus", 2222},
        {"a@127.0.0.1:22", true, "a", "127.0.0.1", 22},
        {"a@[::1]:2222", true, "a", "::1", 2222},
        {"a@[::1]", true, "a", "::1", 2222},
        {"a@::1", true, "a", "::1", 2222},
        {"a@b@c:1", true, "a@b", "c", 1},
        {"a@h:65535", true, "a", "h", 65535},
        {"a@h:65536", false, "", "", 0},
        {"a@h:0", false, "", "", 0},
        {"a@h:", false, "", "", 0},
        {"a@h:x", false, "", "", 0},
        {"@h:1", false, "", "", 0},
        {"h:1", false, "", "", 0},
        {"a@", false, "", "", 0},
        {"a@[::1", false, "", "", 0},
        {"", false, "", "", 0},
    };
    for (auto const& r : rows) {
        INFO(r.text);
        auto const a = parse_address(r.text);
        REQUIRE(a.has_value() == r.good);
        if (!a)
            continue;
        CHECK(a->user == r.user);
        CHECK(a->host == r.host);
        CHECK(a->port == r.port);
        auto const again = parse_address(to_string(*a));
        REQUIRE(again);
        CHECK(again->host == a->host);
        CHECK(again->port == a->port);
    }
}
