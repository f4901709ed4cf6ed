#include "tests/bench/publisher.hpp"

#include "tests/bench/frames.hpp"
#include "tests/catch.hpp"

#include <stdexcept>
#include <vector>

using namespace kedge::bench;

TEST_CASE("each frame of a publisher is whole and numbered")
{
    struct { publisher::answer how; char const* first_header; char const* third_header; } const table[] = {
        {publisher::answer::none, R"({"op":"pub","subject":"a.b"})", R"({"op":"pub","subject":"a.b"})"},
        {publisher::answer::id, R"({"op":"pub","subject":"a.b","id":"1000000001"})", R"({"op":"pub","subject":"a.b","id":"1000000003"})"},
        {publisher::answer::n, R"({"op":"pub","subject":"a.b","n":1000000001})", R"({"op":"pub","subject":"a.b","n":1000000003})"},
    };
    for (auto const& row : table) {
        publisher source{"a.b", 128, row.how};
        std::vector<std::string> headers;
        std::vector<std::uint64_t> numbers;
        frame_scanner scanner{[&](heard_frame const& f) {
            headers.emplace_back(f.header);
            numbers.push_back(number_of(f.body_start));
            CHECK(f.body_size == 128);
        }};
        scanner.feed(source.next(2));
        scanner.feed(source.next(1));
        CHECK(headers.front() == row.first_header);
        CHECK(headers.back() == row.third_header);
        CHECK(numbers == std::vector<std::uint64_t>{0, 1, 2});
        CHECK(source.made() == 3);
    }
}

TEST_CASE("the check sees a missing, a doubled and a reordered message")
{
    dense_check fine;
    fine.heard(0);
    fine.heard(1);
    CHECK_THROWS_AS(fine.heard(3), std::runtime_error);
    CHECK_THROWS_AS(fine.heard(1), std::runtime_error);
    CHECK(fine.next() == 2);
}
