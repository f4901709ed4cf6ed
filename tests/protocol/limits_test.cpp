#include "tests/catch.hpp"

#include <set>
#include <string_view>

#include "router/protocol/limits.hpp"
#include "router/protocol/unit_writer.hpp"

namespace kedge {
namespace {

TEST_CASE("limits: each has a name of its own, a text, and a default within its bounds")
{
    limits const defaults;
    std::set<std::string_view> names;
    limits const* const base = &defaults;
    std::uint64_t const* before = nullptr;
    for (auto const& f : limit_fields()) {
        CAPTURE(f.name);
        CHECK(names.insert(f.name).second);
        CHECK_FALSE(f.text.empty());
        CHECK(f.min <= defaults.*f.member);
        CHECK(defaults.*f.member <= f.max);
        auto const* const here = &(base->*f.member);
        CHECK((before == nullptr || before + 1 == here));  // in the order of the struct, none left out
        before = here;
    }
    CHECK(names.size() * sizeof(std::uint64_t) == sizeof(limits));
}

TEST_CASE("limits: a delivery's header always fits a frame")
{
    // Two subjects, user/node, four names, an id whose every byte is escaped, numbers and the names of fields.
    constexpr std::size_t beside_headers = 2 * 2 * 255 + 66 + 4 * 66 + 6 * 64 + 3 * 20 + 160;
    for (auto const& f : limit_fields()) {
        if (f.name == "header_bytes")
            CHECK(f.max + beside_headers < frame_header_max);
    }
}

}  // namespace
}  // namespace kedge
