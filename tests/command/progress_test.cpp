#include "router/command/page.hpp"
#include "router/command/progress.hpp"
#include "router/command/typed_line.hpp"
#include "tests/catch.hpp"

using namespace kedge;

TEST_CASE("a progress line says as much as there is room for")
{
    progress const half{500'000, 1'000'000, 61'000, 8.2};
    struct row {
        progress p;
        std::size_t columns;
        char const* shown;
    };
    static progress const none{0, 0, 0, -1};
    row const rows[] = {
        {half, 100, "CHAT  [###############               ]  50%  8.2s left  500,000 of 1,000,000  61,000/s"},
        {half, 70, "CHAT  [#######       ]  50%  8.2s left  500,000 of 1,000,000  61,000/s"},
        {half, 50, "CHAT  [###   ]  50%  8.2s left  500,000 of 1,000,000"},
        {half, 40, "CHAT  [########        ]  50%  8.2s left"},
        {half, 20, "CHAT  [###    ]  50%"},
        {half, 8, "CHAT  50"},
        {{999'999, 1'000'000, 0, -1}, 40, "CHAT  [##]  99%  999,999 of 1,000,000"},
        {none, 40, "CHAT  [##############] 100%  0 of 0"},
        {{7, 5, 0.5, 200}, 80, "CHAT  [##############################] 100%  3m 20s left  7 of 5  0.5/s"},
    };
    for (auto const& r : rows) {
        INFO(r.columns);
        auto const line = progress_line("CHAT", r.p, r.columns);
        INFO(line);
        CHECK(display_width(line) <= r.columns);
        if (r.columns >= 60 || r.columns <= 20)
            CHECK(line == r.shown);
    }
    for (std::size_t columns = 0; columns < 120; ++columns)
        CHECK(display_width(progress_line("A_RATHER_LONG_NAME", half, columns)) <= columns);
    CHECK(progress_line("CHAT", {999'999, 1'000'000, 0, -1}, 200).find(" 99%") != std::string::npos);
}

TEST_CASE("numbers and seconds as people read them")
{
    CHECK(short_number(0) == "0");
    CHECK(short_number(0.44) == "0.4");
    CHECK(short_number(12.6) == "13");
    CHECK(short_number(-1) == "0");
    CHECK(short_seconds(0.2) == "0.2s");
    CHECK(short_seconds(59.4) == "59s");
    CHECK(short_seconds(200) == "3m 20s");
    CHECK(short_seconds(1e300).size() < 40);
}

TEST_CASE("a page fits its terminal, and folds nothing in a pipe")
{
    command_environment e;
    auto const fill = [](page& out) {
        out.line("a sentence of which there is a good deal, as sentences of servers are");
        out.fact("label", "and what belongs to it, which is long enough to be folded, too");
        out.fact("", "below it");
        out.marked("-> ", style::red, "averyveryverylongwordwithoutanyblanksthathastobebrokensomewhere");
        out.words({{"one", style::bold}, {"", {}}, {"two", {}}, {"three and four", style::dim}, {"a_name_that_is_longer_than_twenty_columns", {}}});
        out.block("TABLE  THAT  IS  WIDE  AND  IS  CUT  AT  THE  END\n1  2\n");
    };
    page piped{e};
    fill(piped);
    CHECK(piped.lines().size() == 7);
    CHECK(piped.text().find("  label       and what belongs to it, which is long enough to be folded, too\n              below it\n") != std::string::npos);
    e.out_is_terminal = true;
    for (unsigned const columns : {1u, 20u, 40u, 59u, 60u, 80u, 200u}) {
        e.columns = columns;
        page out{e};
        fill(out);
        for (auto const& line : out.lines()) {
            INFO(columns << ": " << line);
            CHECK(display_width(line) <= std::max(columns, 20u));
        }
    }
}

TEST_CASE("a line typed at the other end of a channel is shown and can be corrected")
{
    std::string shown;
    typed_line far{true};
    CHECK_FALSE(far.take("CHX", shown));
    CHECK_FALSE(far.take("\x7f" "AT", shown));
    CHECK(far.take("\n", shown) == "CHAT");
    CHECK(shown == "CHX\b \bAT\n");
    shown.clear();
    CHECK_FALSE(far.take("\b\x1b\t", shown));
    CHECK(shown.empty());
    CHECK(far.take("\r", shown) == "");
    shown.clear();
    typed_line near;
    CHECK(near.take("CHAT\n", shown) == "CHAT");
    CHECK(shown.empty());
    CHECK_FALSE(near.take(std::string(100'000, 'x'), shown));
    CHECK(near.take("\n", shown)->size() == 256);
}
