#include "tests/bench/histogram.hpp"

#include "tests/catch.hpp"

#include <random>
#include <vector>

using kedge::bench::histogram;

TEST_CASE("an empty histogram answers 0")
{
    histogram h;
    CHECK(h.count() == 0);
    CHECK(h.min() == 0);
    CHECK(h.max() == 0);
    CHECK(h.percentile(50) == 0);
}

TEST_CASE("small values are exact")
{
    histogram h;
    for (std::uint64_t v = 1; v <= 100; ++v)
        h.record(v);
    struct { double percent; std::uint64_t want; } const table[] = {{1, 1}, {50, 50}, {99, 99}, {99.9, 100}, {100, 100}, {0, 1}};
    for (auto const& row : table) {
        CAPTURE(row.percent);
        CHECK(h.percentile(row.percent) == row.want);
    }
    CHECK(h.min() == 1);
    CHECK(h.max() == 100);
}

TEST_CASE("each value lands in a bucket that is never below it and at most 1/128 above")
{
    std::vector<std::uint64_t> values{0, 1, 255, 256, 257, 511, 512, 1'000'000, histogram::value_max - 1, histogram::value_max};
    for (unsigned bit = 0; bit < 40; ++bit)
        for (int offset = -1; offset <= 1; ++offset)
            values.push_back((std::uint64_t{1} << bit) + static_cast<std::uint64_t>(offset));
    for (auto const value : values) {
        CAPTURE(value);
        histogram h;
        h.record(value);
        h.record(histogram::value_max);  // so that `max` does not cap the answer
        CHECK(h.percentile(50) >= value);
        CHECK(h.percentile(50) - value <= value / 128);
    }
}

TEST_CASE("percentiles agree with sorting")
{
    std::mt19937_64 random{7};
    std::vector<std::uint64_t> values;
    histogram h;
    for (int i = 0; i < 20'000; ++i) {
        auto const v = random() >> (24 + random() % 40);
        values.push_back(v);
        h.record(v);
    }
    std::sort(values.begin(), values.end());
    for (double const percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9}) {
        auto const exact = values[static_cast<std::size_t>(percent / 100 * 20'000) - 1];
        CAPTURE(percent);
        CHECK(h.percentile(percent) >= exact);
        CHECK(h.percentile(percent) <= exact + exact / 128 + 1);
    }
}

TEST_CASE("values beyond the range count as the greatest, and max stays exact")
{
    histogram h;
    h.record(histogram::value_max + 5);
    CHECK(h.max() == histogram::value_max + 5);
    CHECK(h.percentile(100) == histogram::value_max);
}

TEST_CASE("merging adds")
{
    histogram a, b;
    a.record(10);
    b.record(30);
    a.merge(b);
    CHECK(a.count() == 2);
    CHECK(a.min() == 10);
    CHECK(a.percentile(50) == 10);
    CHECK(a.percentile(100) == 30);
}
