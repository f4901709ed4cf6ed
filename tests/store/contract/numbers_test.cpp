/// Numbers that JetStream takes out of their order: what is stored early is known by itself until what is missing has come.

#include "tests/store/mirror_requests.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

/// Numbers that stand early, in short: "3<2 5<3".
std::string early(number_log const& log)
{
    std::string text;
    for (auto const& e : log.early)
        text += (text.empty() ? "" : " ") + std::to_string(e.n) + "<" + std::to_string(e.previous) + (e.seq == 0 ? " given up" : "");
    return text;
}

item numbered(jet_place place, std::uint64_t n, std::uint64_t previous)
{
    auto of = native(place, "n" + std::to_string(n), "s.own");
    of.sender = shared_bytes::copy_of("alice/laptop");
    of.named = true;
    of.n = n;
    of.previous_n = previous;
    of.digest = 100 + n;
    return of;
}

number_log numbers(store_fixture& f)
{
    auto const nodes = f.load().nodes;
    return nodes.empty() || nodes.front().last.empty() ? number_log{} : nodes.front().last.front().numbers;
}

}  // namespace

TEST_CASE("a log of numbers: any order, the same end")
{
    struct step {
        chained_number number;
        bool risen;
        std::uint64_t n;
        message_seq seq;
        std::string early;
    };
    struct {
        char const* what;
        std::vector<step> steps;
    } const cases[] = {
        {"in order", {{{1, 0, 1}, true, 1, 1, ""}, {{2, 1, 2}, true, 2, 2, ""}, {{7, 2, 3}, true, 7, 3, ""}}},
        {"the first comes last", {{{2, 1, 1}, false, 0, 0, "2<1"}, {{3, 2, 2}, false, 0, 0, "2<1 3<2"}, {{1, 0, 3}, true, 3, 2, ""}}},
        {"two are missing", {{{2, 1, 1}, false, 0, 0, "2<1"}, {{4, 3, 2}, false, 0, 0, "2<1 4<3"}, {{1, 0, 3}, true, 2, 1, "4<3"},
                             {{3, 2, 4}, true, 4, 2, ""}}},
        {"the same again", {{{1, 0, 1}, true, 1, 1, ""}, {{1, 0, 9}, false, 1, 1, ""}, {{3, 2, 2}, false, 1, 1, "3<2"}, {{3, 2, 5}, false, 1, 1, "3<2"}}},
        {"what is missing is given up before", {{{1, 0, 0}, false, 0, 0, "1<0 given up"}, {{2, 1, 4}, true, 2, 4, ""}}},
        {"what is missing is given up after", {{{2, 1, 4}, false, 0, 0, "2<1"}, {{1, 0, 0}, true, 2, 4, ""}}},
        {"given up, and sent again", {{{1, 0, 0}, false, 0, 0, "1<0 given up"}, {{1, 0, 3}, true, 1, 3, ""}}},
        {"its node says that nothing is missing", {{{5, 3, 4}, false, 0, 0, "5<3"}, {{5, 0, 4}, true, 5, 4, ""}}},
        {"a later one says so", {{{5, 3, 4}, false, 0, 0, "5<3"}, {{9, 0, 6}, true, 9, 6, ""}}},
    };
    for (auto const& c : cases) {
        INFO(c.what);
        number_log log;
        for (auto const& s : c.steps) {
            INFO(s.number.n << " after " << s.number.previous);
            CHECK(log.add(s.number) == s.risen);
            CHECK(log.n == s.n);
            CHECK(log.seq == s.seq);
            CHECK(early(log) == s.early);
        }
    }
}

TEST_CASE("a log of numbers has a bound: beyond it what is early is forgotten, and nothing else")
{
    number_log log;
    for (std::uint64_t n = 2; n < number_log::early_max + 2; ++n)
        log.add({n, n - 1, n});
    CHECK(log.early.size() == number_log::early_max);
    CHECK(log.find_early(number_log::early_max + 1) != nullptr);
    log.add({number_log::early_max + 2, number_log::early_max + 1, 1});
    CHECK(log.early.size() == number_log::early_max);
    CHECK(log.find_early(number_log::early_max + 2) == nullptr);
    CHECK(log.add({1, 0, 1}));
    CHECK(log.n == number_log::early_max + 1);
    CHECK(log.early.empty());
}

TEST_CASE("a number that is stored before the one ahead of it: known again after a restart, and closed when that one comes")
{
    struct {
        char const* how;
        std::uint64_t n;  ///< in the end
    } const ends[] = {{"by JetStream", 4}, {"by the log", 4}, {"given up", 4}, {"passed over", 9}};
    for (auto const& end : ends)
        on_both_stores([&](store_fixture& f) {
            std::string const how = end.how;
            INFO(how);
            auto const stream = add_stream(f);
            f.run({mirror(stream), store_request::put_node{"alice/laptop", 5}});
            imported(f, import(stream, {numbered(1, 1, 0), numbered(2, 3, 2), numbered(3, 4, 3)}));
            f.reopen();
            CHECK(numbers(f).n == 1);
            CHECK(numbers(f).seq == 1);
            CHECK(early(numbers(f)) == "3<2 4<3");
            CHECK(numbers(f).find_early(3)->digest == 103);
            CHECK(numbers(f).find_early(4)->seq == 3);
            CHECK(found_wrong(f) == "");

            auto append = append_n(stream, how == "by the log" ? 2 : 9);
            append.previous_n = 1;
            if (how == "by JetStream")
                imported(f, import(stream, {numbered(4, 2, 1)}));
            else if (how == "given up")
                f.run({store_request::put_number{"alice/laptop", stream, {2, 1, 0, 0}}});
            else
                f.run({append});
            CHECK(numbers(f).n == end.n);
            CHECK(numbers(f).early.empty());
            f.reopen();
            CHECK(numbers(f).n == end.n);
            CHECK(numbers(f).early.empty());
            auto later = append_n(stream, 20);
            later.previous_n = end.n;
            f.run({later});
            f.reopen();
            CHECK(numbers(f).n == 20);
            CHECK(found_wrong(f) == "");
        });
}

TEST_CASE("early numbers go with their node, and with their stream")
{
    for (bool const node : {true, false})
        on_both_stores([&](store_fixture& f) {
            INFO((node ? "node" : "stream"));
            auto const stream = add_stream(f);
            f.run({mirror(stream), store_request::put_node{"alice/laptop", 5}});
            imported(f, import(stream, {numbered(1, 2, 1)}));
            REQUIRE(early(numbers(f)) == "2<1");
            if (node)
                f.run({store_request::remove_node{next_token(), "alice/laptop"}});
            else
                f.run({store_request::remove_stream{next_token(), stream}});
            f.reopen();
            CHECK(early(numbers(f)) == "");
            INFO("and a word about a stream that is gone changes nothing");
            f.run({store_request::put_number{"alice/laptop", stream_id{77}, {2, 1, 0, 0}}});
            f.reopen();
            CHECK(early(numbers(f)) == "");
            CHECK(found_wrong(f) == "");
        });
}
