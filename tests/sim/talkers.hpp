#pragma once
/// Those who talk to each other: with mail, by calls; and who administers them.

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/clients.hpp"

namespace kedge::sim {

/// A node with an inbox. Posts with ids and resends what was not answered; acts once on each mail, in order, by remembering
/// which it had.
class person final : public client {
public:
    person(std::string user, std::string node, std::size_t posts);
    bool finish(world&, random_source&) override;
    std::string node_name() const { return user_ + "/" + node_; }

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override;
    void lost() override;
    void arrive(world&, bool keepalive);
    void post(world&, random_source&);
    void send(world&, std::size_t number);
    void ack(world&, random_source&);
    bool is_post(world&, std::string const& id) const;

    enum class state : unsigned char { away, greeting, working, recovering };
    state state_ = state::away;
    std::string node_;
    std::size_t left_;
    std::deque<std::size_t> unanswered_;  // numbers, in order
    std::string hello_, ping_;
    std::size_t pings_ = 0;  // not answered: nothing is posted behind one, or it could overtake what failed before it
    std::set<message_seq> had_;
    std::set<std::string> bodies_;
    std::vector<message_seq> to_ack_;
};

/// Serves, answers, is late, says nothing, and vanishes.
class servant final : public client {
public:
    using client::client;
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override;
    void lost() override { calls_.clear(); }
    void answer(world&, random_source&);
    void serve(world&, random_source&);

    std::deque<std::string> calls_;  // handles and reply subjects
};

/// Calls.
class caller final : public client {
public:
    using client::client;
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override {}
};

/// Edits aliases and lists, posts to anybody, asks who is there, does not always read.
class gossip final : public client {
public:
    using client::client;
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override;
    void lost() override { held_.clear(); }

    std::deque<message_seq> held_;
};

/// An operator's commands, one at a time.
class administrator final : public client {
public:
    using client::client;
    bool finish(world&, random_source&) override;

private:
    void act(world&, random_source&) override;
    void hear(world&, random_source&, notice::any const&) override {}
    void lost() override;
    void command(world&, std::string name, nlohmann::json args);
    bool read(world&);

    bool waits_ = false;
    std::string name_;
    std::pair<std::string, std::string> what_;
    std::set<std::pair<std::string, std::string>> paused_;  // perhaps
};

}  // namespace kedge::sim
