/// Who may log in, with what key, from where.

#include <string>
#include <vector>

#include "router/account/directory.hpp"
#include "tests/catch.hpp"

using namespace kedge;

TEST_CASE("an address lies in a network or it does not")
{
    struct {
        char const* address;
        char const* cidr;
        bool inside;
    } const cases[] = {
        {"10.1.2.3", "10.0.0.0/8", true},
        {"11.1.2.3", "10.0.0.0/8", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.3/32", true},
        {"10.1.2.4", "10.1.2.3/32", false},
        {"192.168.1.127", "192.168.1.0/25", true},
        {"192.168.1.128", "192.168.1.0/25", false},
        {"10.1.2.3", "10.9.9.9/8", true},
        {"255.255.255.255", "0.0.0.0/0", true},
        {"10.1.2.3", "10.0.0.0/33", false},
        {"2001:db8::1", "2001:db8::/32", true},
        {"2001:db9::1", "2001:db8::/32", false},
        {"2001:db8:ffff::", "2001:db8:8000::/33", true},
        {"2001:db8:7fff::", "2001:db8:8000::/33", false},
        {"2001:DB8::1", "2001:db8:0:0::1/128", true},
        {"::1", "::1", true},
        {"::1", "::/0", true},
        {"::1", "::/129", false},
        {"fe80::1%eth0", "fe80::/10", true},
        {"::ffff:10.1.2.3", "10.0.0.0/8", true},
        {"10.1.2.3", "::ffff:10.0.0.0/104", true},
        {"11.1.2.3", "::ffff:10.0.0.0/104", false},
        {"::ffff:11.1.2.3", "10.0.0.0/8", false},
        {"10.1.2.3", "::/0", false},
        {"::1", "0.0.0.0/0", false},
        {"10.1.2.3", "::ffff:0.0.0.0/95", false},
        {"", "0.0.0.0/0", false},
        {"10.1.2.3", "", false},
        {"10.1.2", "10.0.0.0/8", false},
        {"10.1.2.3", "10.0.0.0/", false},
        {"10.1.2.3", "10.0.0.0/8x", false},
        {"10.1.2.3", "10.0.0.0/-1", false},
        {"10.1.2.3", "10.0.0.0/+8", false},
        {"10.1.2.3", "10.0.0.0/99999999999999999999", false},
        {"host.example", "host.example", false},
    };
    for (auto const& c : cases) {
        INFO(c.address << " in " << c.cidr);
        CHECK(address_in(c.address, c.cidr) == c.inside);
    }
    INFO("text that no address is");
    CHECK_FALSE(address_in(std::string(10'000, '1'), "0.0.0.0/0"));
    CHECK_FALSE(address_in(std::string_view{"10.1.2.3\0", 9}, "10.0.0.0/8"));
}

TEST_CASE("roles have three names")
{
    for (char const* const role : {"operator", "user", "bot"})
        CHECK(valid_role(role));
    for (char const* const role : {"", "Operator", "root", "users"})
        CHECK_FALSE(valid_role(role));
}

TEST_CASE("admit finds a line that lets the user in, or says why there is none")
{
    using verdict = account_directory::verdict;
    auto const key = [](char const* user, char const* blob, char const* role = "", std::vector<std::string> from = {},
                        std::uint64_t expires_ms = 0) {
        return account_key{user, "ssh-ed25519", blob, std::string{"SHA256:"} + blob, "", role, std::move(from), expires_ms, 0, false};
    };
    account_directory const directory{
        {{"alice", "user", false, false, 0}, {"bob", "bot", false, false, 0}, {"gone", "user", true, false, 0},
         {"twice", "user", false, true, 0}, {"twice", "user", true, false, 0}, {"keyless", "user", false, false, 0}},
        {key("alice", "plain"), key("alice", "operator", "operator"), key("alice", "home", "", {"10.0.0.0/8", "2001:db8::/32"}),
         key("alice", "short", "", {}, 1000), key("alice", "both", "", {"10.0.0.0/8"}, 1000), key("alice", "both", "bot", {}, 2000),
         key("alice", "shared"), key("bob", "shared"), key("gone", "plain"), key("twice", "plain"), key("nobody", "stray")}};
    struct {
        char const* name;
        char const* user;
        char const* blob;
        char const* address;
        std::uint64_t now_ms;
        verdict why;
        char const* role;
        std::uint64_t expires_ms;
        char const* fingerprint;
    } const cases[] = {
        {"a key of the user", "alice", "plain", "1.2.3.4", 0, verdict::admitted, "user", 0, "SHA256:plain"},
        {"a role of the key's own", "alice", "operator", "1.2.3.4", 0, verdict::admitted, "operator", 0, "SHA256:operator"},
        {"from the right network", "alice", "home", "10.5.5.5", 0, verdict::admitted, "user", 0, "SHA256:home"},
        {"from the other right network", "alice", "home", "2001:db8::5", 0, verdict::admitted, "user", 0, "SHA256:home"},
        {"from a wrong network", "alice", "home", "11.5.5.5", 0, verdict::wrong_address, "", 0, "SHA256:home"},
        {"just before it expires", "alice", "short", "1.2.3.4", 999, verdict::admitted, "user", 1000, "SHA256:short"},
        {"when it expires", "alice", "short", "1.2.3.4", 1000, verdict::expired, "", 0, "SHA256:short"},
        {"the first of two lines", "alice", "both", "10.0.0.1", 0, verdict::admitted, "user", 1000, "SHA256:both"},
        {"the second, for the address", "alice", "both", "11.0.0.1", 0, verdict::admitted, "bot", 2000, "SHA256:both"},
        {"the second, for the time", "alice", "both", "10.0.0.1", 1500, verdict::admitted, "bot", 2000, "SHA256:both"},
        {"neither line", "alice", "both", "10.0.0.1", 2000, verdict::expired, "", 0, "SHA256:both"},
        {"a key of two users", "bob", "shared", "1.2.3.4", 0, verdict::admitted, "bot", 0, "SHA256:shared"},
        {"somebody else's key", "bob", "plain", "1.2.3.4", 0, verdict::unknown_key, "", 0, ""},
        {"no key at all", "keyless", "plain", "1.2.3.4", 0, verdict::unknown_key, "", 0, ""},
        {"an unknown user", "carol", "plain", "1.2.3.4", 0, verdict::unknown_user, "", 0, ""},
        {"a key without its user", "nobody", "stray", "1.2.3.4", 0, verdict::unknown_user, "", 0, ""},
        {"a removed user", "gone", "plain", "1.2.3.4", 0, verdict::removed, "", 0, ""},
        {"removed here, listed there", "twice", "plain", "1.2.3.4", 0, verdict::removed, "", 0, ""},
    };
    for (auto const& c : cases) {
        INFO(c.name);
        auto const decision = directory.admit(c.user, c.blob, c.address, c.now_ms);
        CHECK((decision.why == c.why));
        CHECK(decision.role == c.role);
        CHECK(decision.expires_ms == c.expires_ms);
        CHECK(decision.fingerprint == c.fingerprint);
    }
    CHECK(directory.find_user("alice")->role == "user");
    CHECK(directory.find_user("carol") == nullptr);
}
