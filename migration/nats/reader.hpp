#pragma once
/// Reads one stream in order with a thread of its own: an ordered consumer that is made anew, behind the last message that the sink
/// got, whenever its numbers are not dense or the link is another. It ends when the server fell silent on a link that stands. While the
/// window is full the thread waits, and does not answer the server's flow control: the server then waits too.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

#include "migration/backend.hpp"
#include "migration/nats/outlet.hpp"
#include "migration/nats/session.hpp"

namespace kedge::migration {

class reader {
public:
    /// `asked` is called after each request: somebody has to see to it that a session's requests expire.
    reader(backend_command::read, std::shared_ptr<outlet>, std::string api_prefix, std::function<void()> asked);
    ~reader();  ///< `stop`, and waits for the thread

    /// The link to read on; any thread.
    void offer(std::shared_ptr<session>);
    void consumed(std::size_t messages, std::size_t bytes);
    void stop();
    /// The thread is at its end: it waits for nothing any more.
    bool finished() const;

private:
    enum class next_step { again, wait, over };
    struct window {
        std::size_t messages = 0, bytes = 0;
    };

    void run();
    next_step read_on(std::shared_ptr<session> const&);
    std::variant<std::string, next_step> begin(session&, std::string const& inbox);
    next_step pull(session&, natsSubscription*, std::string const& inbox);
    next_step problem(session&, backend_event::problem const&);
    next_step over(session&, std::string why, bool gone);
    std::variant<std::string, backend_event::problem> ask(session&, std::string const& subject, std::string const& payload);
    bool hand(session&, backend_event::messages&, std::size_t bytes);
    bool wait_for_room(session&, window&);
    bool pause(std::chrono::milliseconds);

    backend_command::read const what_;
    std::shared_ptr<outlet> const outlet_;
    std::string const api_;
    std::function<void()> const asked_;
    // The thread's own.
    jet_place next_;
    std::uint64_t created_ns_ = 0;  ///< of the stream, once it was seen
    session const* begun_on_ = nullptr;  ///< messages were read on this link
    bool silent_ = false;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_.
    std::shared_ptr<session> offered_;
    window out_;                           ///< not consumed
    natsSubscription* subscription_ = nullptr;
    bool stopped_ = false;
    bool finished_ = false;
    std::thread thread_;  ///< last: it uses the others
};

}  // namespace kedge::migration
