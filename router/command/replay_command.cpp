/// `kedge replay`: publishes what a stream holds again, at the pace of then or at a rate.

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "router/command/operator_commands.hpp"
#include "router/command/stored_line.hpp"
#include "router/command/stream_pages.hpp"
#include "router/command/talk_commands.hpp"
#include "router/command/units.hpp"

namespace kedge {
namespace {

constexpr std::size_t replay_unanswered_max = 1024;
constexpr std::size_t replay_unanswered_bytes_max = 2 * 1024 * 1024;
/// With fewer in hand the next page is asked for.
constexpr std::size_t in_hand_min = 100;

class replay_command final : public command {
public:
    replay_command(replay_settings s, command_environment const& e)
        : settings_{std::move(s)}, environment_{e}, pages_{settings_.stream, settings_.range, settings_.filter},
          id_prefix_{random_token() + '-'}
    {
    }

    bool needs_link() const override { return true; }
    course runs() const override { return course::server; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        return h;
    }

    void begin(command_effects& fx) override { pages_.ask(fx); }

    void on_admin(admin_result const& r, command_effects& fx) override
    {
        std::vector<nlohmann::json> messages;
        if (auto const why = pages_.take(r, messages))
            return fail(complaint(*why, environment_), fx);
        for (auto const& m : messages) {
            auto read = read_stored(m);
            if (!read)
                return fail(complaint("a message of the stream is none: " + read.error().message, environment_), fx);
            in_hand_.push_back(std::move(*read));
        }
        go_on(fx);
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (auto const* ok = std::get_if<notice::ok>(&n)) {
            forget(ok->id);
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            auto const found = waiting_.find(error->id);
            std::string const at = found != waiting_.end() ? "seq " + error->id.substr(id_prefix_.size()) + ": " : "";
            forget(error->id);
            fail(complaint(at + std::string{error->message.empty() ? sentence(error->code) : error->message}, environment_), fx);
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fail(complaint(bye->code, bye->message, environment_), fx);
        }
        go_on(fx);
    }

    std::optional<std::uint64_t> due_us() const override
    {
        if (stopped_ || in_hand_.empty() || !has_room() || !environment_.now_us)
            return std::nullopt;
        return time_of(in_hand_.front());
    }

    void on_time(command_effects& fx) override { go_on(fx); }

    void on_interrupt(command_effects& fx) override
    {
        stopped_ = true;
        fx.error += complaint("interrupted after " + std::to_string(published_) + " messages", environment_);
        fx.exit_status = 130;
    }

private:
    bool has_room() const { return waiting_.size() < replay_unanswered_max && waiting_bytes_ < replay_unanswered_bytes_max; }
    std::uint64_t now() const { return environment_.now_us ? environment_.now_us() : 0; }

    /// When this one is to be published. Before the first, at once.
    std::uint64_t time_of(stored_line const& m) const
    {
        if (published_ == 0)
            return 0;
        double const after_us = settings_.rate != 0
                                    ? static_cast<double>(published_) * 1e6 / static_cast<double>(settings_.rate)
                                    : static_cast<double>(m.time_ms - std::min(m.time_ms, began_ms_)) * 1e3 / settings_.speed;
        return began_us_ + static_cast<std::uint64_t>(std::min(after_us, 1e15));
    }

    void go_on(command_effects& fx)
    {
        if (stopped_)
            return;
        while (!in_hand_.empty() && has_room() && time_of(in_hand_.front()) <= now()) {
            publish(in_hand_.front(), fx);
            in_hand_.pop_front();
        }
        if (in_hand_.size() < in_hand_min)
            pages_.ask(fx);
        if (!pages_.ended() || !in_hand_.empty() || !waiting_.empty())
            return;
        if (!settings_.quiet)
            fx.out += std::to_string(published_) + " messages published again" +
                      (environment_.now_us && published_ != 0 ? " in " + format_duration_ms((now() - began_us_) / 1000) : std::string{}) +
                      '\n';
        stopped_ = true;
        fx.exit_status = 0;
    }

    void publish(stored_line const& m, command_effects& fx)
    {
        if (published_++ == 0) {
            began_us_ = now();
            began_ms_ = m.time_ms;
        }
        auto id = id_prefix_ + std::to_string(m.seq);
        auto const subject = settings_.prefix.empty() ? m.subject : settings_.prefix + '.' + m.subject;
        op::publish publish;
        publish.message = message::make({subject, id, m.reply_to, m.headers, m.body});
        fx.operations.emplace_back(std::move(publish));
        waiting_bytes_ += m.body.size();
        waiting_.emplace(std::move(id), m.body.size());
    }

    void forget(std::string const& id)
    {
        if (auto const found = waiting_.find(id); found != waiting_.end()) {
            waiting_bytes_ -= found->second;
            waiting_.erase(found);
        }
    }

    void fail(std::string const& why, command_effects& fx)
    {
        if (std::exchange(stopped_, true))
            return;
        fx.error += why;
        fx.exit_status = 1;
    }

    replay_settings settings_;
    command_environment environment_;
    stream_pages pages_;
    std::string id_prefix_;
    std::deque<stored_line> in_hand_;
    std::map<std::string, std::size_t, std::less<>> waiting_;  ///< ids, and the bytes of their bodies
    std::size_t waiting_bytes_ = 0;
    std::uint64_t published_ = 0;
    std::uint64_t began_us_ = 0;
    std::uint64_t began_ms_ = 0;
    bool stopped_ = false;
};

}  // namespace

std::unique_ptr<command> make_replay(replay_settings s, command_environment const& e)
{
    return std::make_unique<replay_command>(std::move(s), e);
}

}  // namespace kedge
