#pragma once
/// Those who use the server. Each acts when it is its turn, from the seed.

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/random.hpp"
#include "tests/sim/world.hpp"

namespace kedge::sim {

class client {
public:
    explicit client(std::string user) : user_{std::move(user)} {}
    virtual ~client() = default;

    /// Reads what has arrived, then does one thing of its choice.
    void turn(world&, random_source&);
    /// Only reads what has arrived.
    void rest(world& w, random_source& random) { poll(w, random); }
    /// From here on nothing goes wrong: finish what was begun. Returns whether it is done.
    virtual bool finish(world&, random_source&) = 0;
    void drop(world&);
    std::string const& name() const noexcept { return user_; }

protected:
    virtual void act(world&, random_source&) = 0;
    virtual void hear(world&, random_source&, notice::any const&) = 0;
    virtual void lost() {}

    void poll(world&, random_source&);
    wire* line(world& w) { return w.find(link_); }
    void connect(world& w) { link_ = w.connect(user_).id; }
    void tell(world&, op::any, std::size_t bytes = 80);
    std::string next_id(char const* what) { return what + std::to_string(++last_id_); }

    std::string const user_;
    link_id link_{};

private:
    std::uint64_t last_id_ = 0;
};

/// Publishes by id or by n from a node, and resends what was not answered, first and in order, after each reconnect and each
/// failure: every message is stored once, in order.
class reliable_publisher final : public client {
public:
    enum class by : unsigned char { id, n };
    reliable_publisher(std::string user, by how, std::vector<std::string> subjects, std::size_t messages);
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override;
    void lost() override { state_ = state::away; }
    void publish(world&, std::size_t number);
    void resend(world&);

    enum class state : unsigned char { away, greeting, working, recovering };
    state state_ = state::away;
    by how_;
    std::vector<std::string> subjects_;
    std::size_t left_;
    std::deque<std::size_t> unanswered_;  // numbers, in order
    std::string ping_;
};

/// A consumer with one link at a time, no nak and no expired wait, that remembers the last seq it acted on: acts once on each
/// message, in order.
class exact_consumer final : public client {
public:
    exact_consumer(std::string user, std::string stream, std::string consumer, std::string filter);
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override;
    void lost() override { to_ack_.clear(); }
    void ack(world&, random_source&);

    std::string stream_, consumer_, filter_;
    message_seq last_ = 0;
    std::vector<message_seq> to_ack_;
};

/// Takes everything of a consumer and acknowledges it: what others left behind.
class drainer final : public client {
public:
    drainer(std::string user, std::string stream, std::string consumer);
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override {}
    void hear(world&, random_source&, notice::any const&) override;

    std::string stream_, consumer_;
};

/// Does anything that the protocol allows, and some that it does not.
class wild_client final : public client {
public:
    using client::client;
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override;
    void lost() override;
    void publish(world&, random_source&);
    void consume(world&, random_source&);
    void answer_delivery(world&, random_source&);
    void end(world&, random_source&);

    bool named_ = false;
    std::vector<std::size_t> published_;  // with an id
    std::vector<op::subscribe> subscribed_;
    struct held {
        std::string stream, consumer;
        message_seq seq = 0;
    };
    std::deque<held> held_;
};

}  // namespace kedge::sim
