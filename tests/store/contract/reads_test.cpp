/// Reads: bounds, filters, the end of the stream, single rows.

#include "router/store/row_bytes.hpp"
#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

store_event::rows_read read(store_fixture& f, store_request::read request)
{
    request.request = next_token();
    return only<store_event::rows_read>(f.run({request}));
}

}  // namespace

TEST_CASE("a read ends at rows_max, at bytes_max, or at the end of the stream")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        std::string const body(1000, 'b');
        fill(f, stream, 10, body);
        auto const one_row = 1000 + row_bytes_fixed;
        struct {
            char const* name;
            message_seq from;
            std::size_t rows_max;
            std::size_t bytes_max;
            std::vector<message_seq> seqs;
            message_seq next;
            bool end;
        } const cases[] = {
            {"all", 1, 100, 1 << 20, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 11, true},
            {"exactly all", 1, 10, 1 << 20, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 11, true},
            {"one fewer", 1, 9, 1 << 20, {1, 2, 3, 4, 5, 6, 7, 8, 9}, 10, false},
            {"at least one row", 4, 0, 0, {4}, 5, false},
            {"bytes for two", 4, 100, 2 * one_row, {4, 5}, 6, false},
            {"one byte more takes a third", 4, 100, 2 * one_row + 1, {4, 5, 6}, 7, false},
            {"the last", 10, 1, 1, {10}, 11, true},
            {"behind the end", 11, 10, 1 << 20, {}, 11, true},
            {"far behind the end", 500, 10, 1 << 20, {}, 500, true},
            {"from 0", 0, 1, 1 << 20, {1}, 2, false},
        };
        for (auto const& c : cases) {
            INFO(c.name);
            for (std::string const filter : {"", ">"}) {
                INFO("filter: " << filter);
                store_request::read request;
                request.stream = stream;
                request.from = c.from;
                request.rows_max = c.rows_max;
                request.bytes_max = c.bytes_max;
                request.filter = filter;
                auto const answer = read(f, request);
                CHECK(seqs_of(answer.rows) == c.seqs);
                CHECK(answer.end == c.end);
                if (c.from <= 11)
                    CHECK(answer.next == c.next);
            }
        }
    });
}

TEST_CASE("a filtered read gives what matches, in order")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        // More rows than the index takes at a time, so that both its parts are asked.
        constexpr std::size_t rows = 9'000;
        std::vector<std::string> subjects;
        for (std::size_t i = 0; i < rows; ++i)
            subjects.push_back(i % 1000 == 999 ? "rare.a" + std::to_string(i) : "s." + std::to_string(i % 20) + ".x");
        for (std::size_t i = 0; i < rows;) {
            std::vector<store_request::any> batch;
            for (; batch.size() < 700 && i < rows; ++i)
                batch.push_back(append(stream, subjects[i]));
            f.run(std::move(batch));
        }
        struct {
            char const* filter;
            std::function<bool(std::string const&)> takes;
        } const cases[] = {
            {"s.7.x", [](auto const& s) { return s == "s.7.x"; }},
            {"s.*.x", [](auto const& s) { return s.starts_with("s."); }},
            {"rare.>", [](auto const& s) { return s.starts_with("rare."); }},
            {"*.7.>", [](auto const& s) { return s == "s.7.x"; }},
            {"rare.a3999", [](auto const& s) { return s == "rare.a3999"; }},
            {"none.>", [](auto const&) { return false; }},
            {"s.7", [](auto const&) { return false; }},
            {">", [](auto const&) { return true; }},
        };
        for (int restarts = 0; restarts < 2; ++restarts) {
            for (auto const& c : cases) {
                INFO(c.filter);
                std::vector<message_seq> expected;
                for (std::size_t i = 0; i < rows; ++i)
                    if (c.takes(subjects[i]))
                        expected.push_back(i + 1);
                CHECK((seqs_of(read_all(f, stream, c.filter)) == expected));
                CHECK((seqs_of(read_all(f, stream, c.filter, 1, 7)) == expected));
                std::erase_if(expected, [](auto seq) { return seq < 5000; });
                CHECK((seqs_of(read_all(f, stream, c.filter, 5000)) == expected));
            }
            f.reopen();
            f.load();
        }
    });
}

TEST_CASE("a read sees the rows that stand before it in the batch")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        store_request::read request;
        request.request = next_token();
        request.stream = stream;
        auto const events = f.run({append(stream, "s"), request, append(stream, "s")});
        auto const answers = of<store_event::rows_read>(events);
        REQUIRE(answers.size() == 1);
        CHECK(seqs_of(answers.front().rows) == std::vector<message_seq>{1});
        CHECK(answers.front().end);
        CHECK(answers.front().next == 2);
        REQUIRE(events.size() == 2);
        CHECK(std::get<store_event::rows_arrived>(events.front()).rows.size() == 2);
    });
}

TEST_CASE("read_seqs gives the rows asked for, in that order, and leaves out what is not there")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 5);
        store_request::read_seqs request{next_token(), stream, {}, {4, 2, 0, 6, 77, 5}};
        auto const answer = only<store_event::rows_read>(f.run({request}));
        CHECK(answer.request == request.request);
        CHECK(seqs_of(answer.rows) == std::vector<message_seq>{4, 2, 5});
    });
}

TEST_CASE("reads of a stream that does not exist fail")
{
    on_both_stores([](store_fixture& f) {
        store_request::read one;
        one.request = next_token();
        one.stream = stream_id{9};
        CHECK(failed_code(f.run({one})) == error_code::unknown_stream);
        CHECK(failed_code(f.run({store_request::read_seqs{next_token(), stream_id{9}, {}, {1}}})) == error_code::unknown_stream);
    });
}
