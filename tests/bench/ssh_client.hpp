#pragma once
/// A client as cheap as libssh allows: one session, its links, no thread of its own. Set up with blocking calls, then driven
/// by an `event_loop`. Throws std::runtime_error when something fails: a load generator has no use for half a result.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/frames.hpp"

struct ssh_key_struct;

namespace kedge::bench {

/// A key pair made for one run.
class client_key {
public:
    client_key();
    ~client_key();
    client_key(client_key const&) = delete;
    client_key& operator=(client_key const&) = delete;
    /// "ssh-ed25519 AAAA…"
    std::string public_line() const;
    ssh_key_struct* get() const noexcept { return key_; }

private:
    ssh_key_struct* key_ = nullptr;
};

struct endpoint {
    std::string address;
    std::uint16_t port = 0;
    std::string user;
    client_key const* key = nullptr;
};

class ssh_client;

/// One link: what is to be sent, and what was heard. Owned by its client.
class bench_link {
public:
    /// Appends to what is to be sent; the loop writes it.
    void send(std::string_view bytes) { out_.append(bytes); }
    /// Bytes not yet taken by libssh: generators stop filling above a bound.
    std::size_t unsent() const noexcept { return out_.size() - out_at_; }

    // Counted by the scanner.
    std::uint64_t msgs = 0;
    std::uint64_t oks = 0;
    std::uint64_t pongs = 0;
    std::uint64_t welcomes = 0;
    std::uint64_t last_stored = 0;  ///< `n` of the last `stored`
    /// Also called for each frame that it wants to see; errors and `bye` throw before.
    std::function<void(heard_frame const&)> on_frame;

private:
    friend class ssh_client;
    bench_link();
    void hear(heard_frame const&);

    struct channel;
    std::unique_ptr<channel> channel_;
    std::string out_;
    std::size_t out_at_ = 0;
    frame_scanner scanner_;
    std::string failure_;  // set inside a callback of C code, thrown outside
};

class ssh_client {
public:
    /// Connects and logs in.
    explicit ssh_client(endpoint const&);
    ~ssh_client();
    ssh_client(ssh_client&&) = delete;

    /// Opens a link that speaks frames; its `welcome` comes once the loop runs. Before `drive`.
    bench_link& open_link();
    /// One command by an exec request; returns its output. Before `drive`. Throws if the exit status is not 0.
    std::string exec(std::string const& command);

    /// From here on nothing blocks: see `event_loop`.
    void drive();
    int fd() const noexcept;
    /// Reads and writes what is possible now. Returns whether writing has to wait for the socket.
    bool pump();
    /// Whether a link has something to send.
    bool has_unsent() const noexcept;
    std::vector<std::unique_ptr<bench_link>> const& links() const noexcept { return links_; }

private:
    struct session;
    std::unique_ptr<session> session_;
    std::vector<std::unique_ptr<bench_link>> links_;
};

/// Turns many clients on one thread.
class event_loop {
public:
    event_loop();
    ~event_loop();
    event_loop(event_loop const&) = delete;
    event_loop& operator=(event_loop const&) = delete;

    /// `client` outlives the loop's use.
    void add(ssh_client& client);

    /// How long the loop may sleep if no socket is ready; `done` ends the run.
    static constexpr std::chrono::nanoseconds done{-1};
    using step = std::function<std::chrono::nanoseconds()>;
    /// Calls `step` before each wait, until it answers `done`. Throws when `limit` has passed first; `what` is for that message.
    void run(std::string_view what, std::chrono::milliseconds limit, step const&);
    /// The same for a condition that only arriving frames can make true.
    void until(std::string_view what, std::function<bool()> const& condition,
               std::chrono::milliseconds limit = std::chrono::seconds{30});

private:
    struct entry {
        ssh_client* client;
        bool wants_write = false;
    };
    void pump(entry&);

    int epoll_ = -1;
    std::vector<std::unique_ptr<entry>> entries_;
};

}  // namespace kedge::bench
