#include "sshd-transport/config.hpp"

#include "tests/catch.hpp"

namespace kedge {
namespace {

TEST_CASE("endpoints are numeric, with a port")
{
    struct sample {
        char const* text;
        char const* shown;  ///< null = refused
    };
    for (auto const& each : {
             sample{"127.0.0.1:2222", "127.0.0.1:2222"},
             sample{"0.0.0.0:0", "0.0.0.0:0"},
             sample{"[::1]:65535", "[::1]:65535"},
             sample{"[2001:DB8:0:0:0:0:0:1]:22", "[2001:db8::1]:22"},
             sample{"[::1]:65536", nullptr},
             sample{"::1:22", nullptr},
             sample{"[127.0.0.1]:22", nullptr},
             sample{"[::1%lo]:22", nullptr},
             sample{"[::1]", nullptr},
             sample{"127.0.0.1:", nullptr},
             sample{"127.0.0.1:+1", nullptr},
             sample{"127.0.0.1: 1", nullptr},
             sample{"127.0.0.1:1x", nullptr},
             sample{"127.0.0.1.1:1", nullptr},
             sample{"localhost:22", nullptr},
             sample{":22", nullptr},
             sample{"22", nullptr},
             sample{"", nullptr},
             sample{":", nullptr},
         }) {
        INFO(each.text);
        auto const endpoint = parse_endpoint(each.text);
        REQUIRE(endpoint.has_value() == (each.shown != nullptr));
        if (endpoint) CHECK(to_string(*endpoint) == each.shown);
    }
    CHECK(!parse_endpoint(std::string_view("127.0.0.1\0:22", 13)));
}

TEST_CASE("networks")
{
    for (auto const* good : {"10.0.0.0/8", "10.1.2.3/8", "10.0.0.1", "0.0.0.0/0", "1.2.3.4/32", "::/0", "::1", "2001:db8::/128"}) {
        INFO(good);
        CHECK(valid_cidr(good));
    }
    for (auto const* bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/8/8", "10.0.0.0/-1", "host", "*",
                            "!10.0.0.0/8", " 10.0.0.1", "fe80::1%eth0"}) {
        INFO(bad);
        CHECK(!valid_cidr(bad));
    }
}

}  // namespace
}  // namespace kedge
