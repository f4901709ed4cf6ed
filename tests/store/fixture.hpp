#pragma once
/// What the contract tests run on: a store that can be reopened and made to fail, in memory or in a file. And short ways to say
/// what a test wants of it.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"
#include "tests/catch.hpp"

namespace kedge::test {

inline constexpr std::uint64_t start_ms = 1'795'000'000'000;

/// One store under test.
class store_fixture {
public:
    virtual ~store_fixture() = default;
    virtual message_store& store() = 0;
    virtual account_store& accounts() = 0;
    /// As if the process died and began again. Follow with `load`.
    virtual void reopen() = 0;

    enum class fault : unsigned char {
        full,    ///< no room for the next commit
        lost,    ///< the next commit fails, and is not there after a crash
        stored,  ///< the next commit fails, but is there after a crash
        broken,  ///< no request can be carried out, until `heal`
    };
    virtual void fail(fault) = 0;
    virtual void heal() = 0;

    store_contents load() { return store().load(now_ms); }
    /// One batch; returns its events.
    std::vector<store_event::any> run(std::vector<store_request::any> batch);
    /// Housekeeping until there is no more to do; returns the events.
    std::vector<store_event::any> maintain();

    std::uint64_t now_ms = start_ms;
};

/// Runs the test on each implementation in turn.
void on_both_stores(std::function<void(store_fixture&)> const& test, limits const& = {});

/// A new folder below the system's for temporary files, removed with the object.
class scratch_folder {
public:
    scratch_folder();
    ~scratch_folder();
    std::string file(std::string const& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

// Requests.
message_ptr text_message(std::string_view subject, std::string_view body, std::string_view id = {});
store_request::append append(stream_id, std::string_view subject, std::string_view body = "x");
/// Of the node "alice/laptop" unless said otherwise.
store_request::append append_id(stream_id, std::string_view id, std::string_view sender = "alice/laptop");
store_request::append append_n(stream_id, std::uint64_t n, std::string_view sender = "alice/laptop");
/// A token that no test used before.
token next_token();

/// Makes a stream of `subjects` (default: all) and returns its id.
stream_id add_stream(store_fixture&, std::string const& name = "S", stream_config = {});
consumer_id add_consumer(store_fixture&, stream_id, std::string const& name = "C", op::start_position = {});
/// Appends so many rows on "s.N".
void fill(store_fixture&, stream_id, std::size_t rows, std::string_view body = "x");

// Events.
template <class Event>
std::vector<Event> of(std::vector<store_event::any> const& events)
{
    std::vector<Event> found;
    for (auto const& event : events)
        if (auto const* const e = std::get_if<Event>(&event))
            found.push_back(*e);
    return found;
}
/// The only event there is; fails the test if it is another or there are more.
template <class Event>
Event only(std::vector<store_event::any> const& events)
{
    REQUIRE(events.size() == 1);
    REQUIRE(std::holds_alternative<Event>(events.front()));
    return std::get<Event>(events.front());
}
error_code failed_code(std::vector<store_event::any> const& events);

/// All rows of the stream that match, read in as many calls as it takes.
std::vector<row> read_all(store_fixture&, stream_id, std::string const& filter = {}, message_seq from = 1,
                          std::size_t rows_max = 256);
std::vector<message_seq> seqs_of(std::vector<row> const&);
/// What the store finds wrong with itself, a line each. Keeps house meanwhile.
std::string found_wrong(store_fixture&);
stream_state state_of(store_contents const&, stream_id);

}  // namespace kedge::test
