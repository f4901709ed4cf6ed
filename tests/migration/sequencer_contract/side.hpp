#pragma once
/// What the contract of `sequencer` (router/core/sequencer.hpp) is tested on: somebody who orders a stream, with the store behind it, and
/// the core as far as an order concerns it. Each case is one function, carried out on the store by itself, on JetStream in memory, and on
/// a nats-server.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/store/store.hpp"
#include "tests/catch.hpp"

namespace kedge::test {

struct side_options {
    std::uint64_t hold_ms = 30'000;  ///< how long what cannot be ordered now is kept, where that is a choice
    std::size_t room = 0;            ///< appends of `desk::plain` that find room after `narrow`; 0 = never narrowed
};

inline constexpr side_options ordinary_side{};

/// One that decides the order of the stream "CHAT". "OTHER" is ordered by the store, whoever that is.
class ordering_side {
public:
    virtual ~ordering_side() = default;
    /// The port.
    virtual void append(std::vector<store_request::append>) = 0;
    /// Lets something happen, or waits for it a moment.
    virtual void go_on() = 0;
    /// `rows_arrived` and `append_failed`, in their order.
    virtual std::vector<store_event::any> heard() const = 0;

    /// The next append cannot be stored, nor what comes before `heal`.
    virtual void trouble() = 0;
    virtual void heal() = 0;
    /// From now on there is room for `side_options::room` appends, until `widen`.
    virtual void narrow() = 0;
    virtual void widen() = 0;
    /// In an orderly way; then `contents` and `log` hold for good. What is open need not be answered where somebody else orders it.
    virtual void end() = 0;
    /// After `end`: as the next process.
    virtual void begin() = 0;

    /// After `end`: what the next process finds.
    virtual store_contents contents() = 0;
    /// Nothing is under way.
    virtual std::vector<row> log(stream_id) = 0;

    stream_id chat{};
    stream_id other{};
};

/// What the core is to a sequencer: tokens, epochs, answers. Fails the test for an answer that the contract does not know.
class desk {
public:
    explicit desk(ordering_side& side) : side_{side} {}

    /// Every one of these takes the same room.
    static message_ptr plain(std::string_view id = {});
    store_request::append make(stream_id, std::string const& sender = "alice/one", std::string const& id = {});
    /// The tokens.
    std::vector<token> append(std::vector<store_request::append>);

    /// Goes on until it holds; false after half a minute.
    bool until(std::function<bool()> const&);
    bool answered() { return until([&] { return open() == 0; }); }
    /// Looks at what was heard. Appends without an answer.
    std::size_t open();
    /// The seq that it got; 0 = it failed, or is open.
    message_seq seq_of(token);
    std::optional<failure> why(token);
    /// Of a stream, in the order in which they arrived.
    std::vector<store_event::rows_arrived::arrival> arrived(stream_id);
    /// Of a stream, in the order in which they were told.
    std::vector<token> failed(stream_id);
    /// As the next process: tokens and epochs begin anew, and the rows go on.
    void begin();

    std::uint64_t epoch = 1;
    std::uint64_t time_ms = now_ms();  ///< the clock
    static std::uint64_t now_ms();

private:
    struct asked {
        token request{};
        stream_id stream{};
        message_seq seq = 0;
        std::optional<failure> why;
    };
    void look();
    asked* find(token);

    ordering_side& side_;
    std::uint64_t last_token_ = 0;
    std::size_t looked_ = 0;
    std::vector<asked> asked_;
    std::vector<store_event::any> events_;
};

using side_case = std::function<void(ordering_side&)>;
void on_stores(side_options const&, side_case const&);
void on_jetstream_in_memory(side_options const&, side_case const&);
void on_nats_server(side_options const&, side_case const&);

}  // namespace kedge::test

#define KEDGE_SEQUENCER_CASE(function, options, text)                                                                                 \
    static void function(::kedge::test::ordering_side& side);                                                                         \
    TEST_CASE("the store orders: " text, "[store]") { ::kedge::test::on_stores(options, function); }                                  \
    TEST_CASE("JetStream in memory orders: " text, "[memory]") { ::kedge::test::on_jetstream_in_memory(options, function); }          \
    TEST_CASE("nats-server orders: " text, "[nats]") { ::kedge::test::on_nats_server(options, function); }                            \
    static void function(::kedge::test::ordering_side& side)
