#include "router/command/units.hpp"
#include "tests/catch.hpp"

using namespace kedge;

TEST_CASE("durations")
{
    struct row {
        char const* text;
        std::optional<std::uint64_t> ms;
    };
    static row const rows[] = {
        {"500ms", 500}, {"1s", 1'000}, {"5m", 300'000}, {"12h", 43'200'000}, {"7d", 604'800'000}, {"2w", 1'209'600'000},
        {"1h30m", 5'400'000}, {"0", 0}, {"0s", 0}, {"18446744073709551615ms", 18446744073709551615u},
        {"18446744073709551616ms", {}}, {"18446744073709551615s", {}}, {"18446744073709551615ms1ms", {}}, {"", {}}, {"7", {}},
        {"d", {}}, {"7 d", {}}, {"-1s", {}}, {"1.5h", {}}, {"7D", {}}, {"5min", {}}, {"1h30", {}},
    };
    for (auto const& r : rows) {
        INFO(r.text);
        CHECK(parse_duration_ms(r.text) == r.ms);
    }
}

TEST_CASE("sizes")
{
    struct row {
        char const* text;
        std::optional<std::uint64_t> bytes;
    };
    static row const rows[] = {
        {"0", 0}, {"4096", 4096}, {"4096B", 4096}, {"1K", 1024}, {"64M", 67'108'864}, {"1G", 1'073'741'824}, {"1GB", 1'073'741'824},
        {"1GiB", 1'073'741'824}, {"2T", 2'199'023'255'552}, {"16777215T", 18446742974197923840u}, {"16777216T", {}},
        {"18446744073709551615", 18446744073709551615u}, {"18446744073709551616", {}}, {"", {}}, {"G", {}}, {"1g", {}}, {"1P", {}},
        {"1 G", {}}, {"-1", {}}, {"1.5G", {}}, {"1GG", {}},
    };
    for (auto const& r : rows) {
        INFO(r.text);
        CHECK(parse_size(r.text) == r.bytes);
    }
}

TEST_CASE("times")
{
    struct row {
        char const* text;
        std::optional<std::uint64_t> ms;
    };
    static row const rows[] = {
        {"1970-01-01", 0}, {"1970-01-01T00:00:01Z", 1'000}, {"2026-11-21", 1'795'219'200'000}, {"2026-11-21T08:00:00Z", 1'795'248'000'000},
        {"2026-11-21 08:00", 1'795'248'000'000}, {"2026-11-21T08:00", 1'795'248'000'000}, {"2024-02-29", 1'709'164'800'000},
        {"2023-02-29", {}}, {"2026-13-01", {}}, {"2026-11-21T24:00Z", {}}, {"2026-11-21T08:60Z", {}}, {"1969-12-31", {}}, {"2026", {}},
        {"2026-11-21T", {}}, {"2026-11-21T08:00:00+01:00", {}}, {"", {}}, {"x", {}},
    };
    for (auto const& r : rows) {
        INFO(r.text);
        CHECK(parse_time_ms(r.text) == r.ms);
    }
}

TEST_CASE("what people read")
{
    CHECK(format_duration_ms(0) == "0");
    CHECK(format_duration_ms(500) == "500ms");
    CHECK(format_duration_ms(30'000) == "30s");
    CHECK(format_duration_ms(604'800'000) == "7d");
    CHECK(format_duration_ms(5'400'000) == "1h 30m");
    CHECK(format_duration_ms(93'784'005) == "1d 2h");
    CHECK(format_size(0) == "0 B");
    CHECK(format_size(1023) == "1023 B");
    CHECK(format_size(1024) == "1.0 KiB");
    CHECK(format_size(1'572'864) == "1.5 MiB");
    CHECK(format_size(1'048'575) == "1.0 MiB");
    CHECK(format_size(18446744073709551615u) == "16777216.0 TiB");
    CHECK(format_time_ms(0) == "-");
    CHECK(format_time_ms(1'795'248'000'000) == "2026-11-21 08:00:00");
    CHECK(format_time_ms(18446744073709551615u) == "18446744073709551615");
}
