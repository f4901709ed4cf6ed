/// Imports on a disk that fails, and a long run of everything on both stores at once.

#include <random>
#include <sstream>

#include "tests/store/mirror_requests.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

struct failing {
    char const* name;
    store_fixture::fault what;
    error_code code;
    bool there;        ///< after a crash
    bool others_fail;
};
constexpr failing failings[] = {
    {"full", store_fixture::fault::full, error_code::store_full, false, false},
    {"write failed", store_fixture::fault::lost, error_code::internal, false, false},
    {"sync failed", store_fixture::fault::stored, error_code::internal, true, false},
    {"all fails", store_fixture::fault::broken, error_code::internal, false, true},
};

std::string said(mirror_state const& of)
{
    std::ostringstream out;
    out << static_cast<std::uint32_t>(of.stream) << " from " << of.start << " checkpoint " << of.checkpoint << '/' << of.stamp << " generation "
        << of.generation << " waiting " << of.waiting_rows << '/' << of.waiting_bytes << (of.keep ? " keep " : " ")
        << of.journal << ' ' << of.lanes;
    return out.str();
}

std::string said(row const& of)
{
    std::ostringstream out;
    out << of.seq << '@' << of.time_ms << ' ' << of.sender->view() << ' ' << of.message->subject() << ' ' << of.message->id() << ' '
        << of.message->body();
    return out.str();
}

/// What an event says, but for the token and what two stores may do at their own time.
std::string said(store_event::any const& event)
{
    std::ostringstream out;
    if (auto const* const arrived = std::get_if<store_event::rows_arrived>(&event)) {
        out << "arrived";
        for (auto const& each : arrived->rows)
            out << " [" << said(each.stored) << (each.named ? " named " : " ") << each.n << ' ' << each.digest << ']';
    } else if (auto const* const answer = std::get_if<store_event::imported>(&event)) {
        out << "imported";
        for (auto const each : answer->outcomes)
            out << ' ' << static_cast<int>(each);
        out << " lacking " << answer->lacking << " floor " << (answer->lacking == 0 ? answer->now.floor : 0) << ' ' << said(answer->now);
    } else if (auto const* const back = std::get_if<store_event::taken_back>(&event)) {
        out << "taken back " << back->rows << (back->end ? " end " : " ") << said(back->now);
    } else if (auto const* const read = std::get_if<store_event::placed_read>(&event)) {
        out << "placed " << text_of(read->rows) << (read->end ? " end" : "");
    } else if (auto const* const failed = std::get_if<store_event::append_failed>(&event)) {
        out << "refused " << static_cast<int>(failed->why.code);
    } else if (auto const* const no = std::get_if<store_event::failed>(&event)) {
        out << "failed " << static_cast<int>(no->why.code);
    } else if (std::holds_alternative<store_event::done>(event)) {
        out << "done";
    }
    return out.str();
}

/// A long run of requests that a seed decides; all that came of it, as text.
std::string run_of(store_fixture& f, unsigned seed)
{
    std::mt19937 random{seed};
    auto const any = [&](std::uint64_t most) { return random() % (most + 1); };
    std::ostringstream log;
    stream_config config;
    config.max_msgs = 60;
    config.max_msgs_per_subject = any(1) == 0 ? 0 : 5;
    config.when_full = any(3) == 0 ? discard::newest : discard::oldest;
    auto const stream = add_stream(f, "S", config);
    message_seq last = 0;
    jet_place place = 0;
    bool mirrored = false;
    std::uint64_t epoch = 1;
    for (int step = 0; step < 120; ++step) {
        std::vector<store_request::any> batch;
        if (!mirrored && any(3) == 0) {
            auto put = mirror(stream, 1 + any(last + 2), any(1) == 0);
            put.mirror.checkpoint = place;
            batch.emplace_back(put);
            mirrored = true;
        }
        for (auto parts = 1 + any(3); parts != 0; --parts) {
            switch (any(9)) {
            case 0:
            case 1:
            case 2:
                for (auto rows = 1 + any(8); rows != 0; --rows) {
                    auto request = append_id(stream, "id" + std::to_string(random()));
                    request.epoch = epoch;
                    request.message = text_message("s." + std::to_string(any(4)), std::string(any(5), 'b'), request.message->id());
                    batch.emplace_back(request);
                }
                break;
            case 3:
            case 4:
            case 5:
            case 6: {
                std::vector<item> items;
                auto at = place - std::min<jet_place>(place, any(2));
                for (auto count = any(12); count != 0; --count) {
                    at += 1 + any(1);
                    auto const kind = any(9);
                    items.push_back(kind < 6 && last != 0 ? copy_of(last - std::min(last - 1, any(70)), at)
                                    : kind < 9            ? native(at, std::to_string(at), "s." + std::to_string(any(4)))
                                                          : nothing(at));
                    if (any(7) == 0 && items.back().message == nullptr) {
                        items.back().message = text_message("s.own", "own", "o" + std::to_string(at));
                        items.back().sender = shared_bytes::copy_of("carol/desk");
                        items.back().named = true;
                        items.back().n = at;
                        items.back().digest = at;
                    }
                }
                if (any(30) == 0)
                    items.push_back(copy_of(last + 1000, at + 1));
                batch.emplace_back(import(stream, items, std::to_string(at)));
                break;
            }
            case 7: batch.emplace_back(store_request::read_placed{next_token(), stream, any(place + 1), any(place + 9), 1 + any(20), 4096, any(1) == 0}); break;
            case 8:
                if (any(2) == 0 && mirrored)
                    batch.emplace_back(take_back(stream, place - std::min<jet_place>(place, any(20)), 1 + any(30)));
                else if (any(9) == 0)
                    batch.emplace_back(mirror(stream, 1, any(1) == 0, std::to_string(step)));
                break;
            case 9:
                if (any(6) == 0) {
                    batch.emplace_back(store_request::remove_mirror{next_token(), stream});
                    mirrored = false;
                }
                break;
            }
        }
        if (mirrored && config.when_full == discard::oldest && any(19) == 0) {  // a batch that surely writes
            auto first = append(stream, "s.first");
            first.epoch = epoch;
            batch = {first, import(stream, {native(place + 1), copy_of(last, place + 2)})};
            f.fail(any(1) == 0 ? store_fixture::fault::full : store_fixture::fault::lost);
        }
        for (auto const& event : f.run(batch)) {
            log << said(event) << '\n';
            if (auto const* const arrived = std::get_if<store_event::rows_arrived>(&event))
                last = arrived->rows.back().stored.seq;
            if (auto const* const answer = std::get_if<store_event::imported>(&event))
                place = answer->now.checkpoint;
            if (auto const* const back = std::get_if<store_event::taken_back>(&event))
                place = back->now.checkpoint;
        }
        f.heal();
        ++epoch;
        f.now_ms += any(9) == 0 ? 400'000 : 5'000;
        if (any(2) == 0)
            f.maintain();
        if (any(15) == 0) {
            f.reopen();
            auto const all = f.load();
            log << "last " << state_of(all, stream).last << " ids " << all.ids.size() << '\n';
            for (auto const& each : all.mirrors)
                log << said(each) << '\n';
        }
        if (step % 20 == 19) {
            f.maintain();
            log << found_wrong(f);
            for (auto const& each : read_all(f, stream))
                log << said(each) << '\n';
            if (!f.load().mirrors.empty())
                for (auto const& each : all_waiting(f, stream, 1, 1 + any(20)))
                    log << "waits " << each.seq << '\n';
        }
    }
    return log.str();
}

}  // namespace

TEST_CASE("an import whose commit fails leaves all as it was")
{
    for (auto const& c : failings)
        on_both_stores([&](store_fixture& f) {
            INFO(c.name);
            auto const stream = add_stream(f);
            fill(f, stream, 4);
            f.run({mirror(stream)});
            imported(f, import(stream, {copy_of(1, 1)}, "before"));
            auto own = native(4, "own");
            own.sender = shared_bytes::copy_of("alice/laptop");
            own.message = text_message("s.own", "own", "id");
            own.named = true;
            own.n = 4;
            auto const request = import(stream, {copy_of(2, 2), native(3), own}, "after");
            store_request::read_waiting const read{next_token(), stream, 1, 10, 1024};
            auto const append_too = append(stream, "s.a");
            f.fail(c.what);
            auto const events = f.run({request, append_too, read});
            REQUIRE(events.size() == 3);
            auto const refused = of<store_event::append_failed>(events);
            REQUIRE(refused.size() == 1);
            CHECK(refused[0].why.code == c.code);
            auto const failed = of<store_event::failed>(events);
            REQUIRE(failed.size() == (c.others_fail ? 2 : 1));
            CHECK(failed[0].request == request.request);
            CHECK(failed[0].why.code == c.code);
            for (auto const& answer : of<store_event::rows_read>(events))
                CHECK(seqs_of(answer.rows) == std::vector<message_seq>{2, 3, 4});

            SECTION("in the process that goes on")
            {
                f.heal();
                auto next = append(stream, "s.b");
                next.epoch = 2;
                CHECK(only<store_event::rows_arrived>(f.run({next})).rows[0].stored.seq == 5);
                auto const answer = imported(f, request);
                CHECK((answer.outcomes == std::vector{outcome::placed, outcome::inserted, outcome::inserted}));
                CHECK(answer.now.waiting_rows == 3);
                CHECK(found_wrong(f) == "");
                f.reopen();
                CHECK(mirror_of(f.load(), stream).lanes == "after");
                CHECK(found_wrong(f) == "");
            }
            SECTION("and in one that begins anew")
            {
                f.reopen();
                auto const all = f.load();
                auto const state = mirror_of(all, stream);
                CHECK(state.checkpoint == (c.there ? 4 : 1));
                CHECK(state.lanes == (c.there ? "after" : "before"));
                CHECK(state_of(all, stream).last == (c.there ? 7 : 4));
                CHECK(all.ids.size() == (c.there ? 1 : 0));
                CHECK(state.waiting_rows == 3);
                auto const answer = imported(f, request);
                CHECK(answer.outcomes[0] == (c.there ? outcome::known : outcome::placed));
                CHECK(answer.outcomes[2] == (c.there ? outcome::known : outcome::inserted));
                CHECK(found_wrong(f) == "");
            }
        });
}

TEST_CASE("a mirror is made, changed and removed on a full disk too")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 4);
        f.fail(store_fixture::fault::full);
        auto const events = f.run({append(stream, "s.x"), mirror(stream), store_request::read_placed{next_token(), stream}});
        CHECK(of<store_event::append_failed>(events).size() == 1);
        CHECK(of<store_event::done>(events).size() == 1);
        CHECK(of<store_event::placed_read>(events).size() == 1);
        f.heal();
        f.reopen();
        CHECK(mirror_of(f.load(), stream).waiting_rows == 4);
    });
}

TEST_CASE("both stores answer a long run of everything alike, and stay sound")
{
    for (unsigned seed = 1; seed <= 25; ++seed) {
        std::vector<std::string> logs;
        on_both_stores([&](store_fixture& f) { logs.push_back(run_of(f, seed)); });
        INFO("seed " << seed);
        if (logs[0] != logs[1]) {
            std::istringstream a{logs[0]};
            std::istringstream b{logs[1]};
            std::string in_memory;
            std::string in_file;
            int number = 0;
            do {
                ++number;
                in_memory.clear();
                in_file.clear();
                std::getline(a, in_memory);
                std::getline(b, in_file);
            } while (in_memory == in_file);
            INFO("line " << number);
            CHECK(in_memory == in_file);
        }
        CHECK(logs[0].find("counts another number") == std::string::npos);
        CHECK(logs[0].find("cannot be") == std::string::npos);
        CHECK(logs[1].find("mirror of stream") == std::string::npos);
    }
}
