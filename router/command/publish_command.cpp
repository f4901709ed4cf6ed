/// `kedge pub`: one message, or one a line or chunk of standard input, pipelined. Done when every message is answered.

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <cstdio>
#include <utility>

#include "router/command/commands.hpp"
#include "router/command/units.hpp"
#include "router/protocol/encoding.hpp"
#include "router/protocol/limits.hpp"
#include "router/protocol/names.hpp"

namespace kedge {
namespace {

/// What may be unanswered at once: enough to fill group commits over a slow line, little enough to hold.
constexpr std::size_t unanswered_max = 4096;
constexpr std::size_t unanswered_bytes_max = 8 * 1024 * 1024;
/// Progress is written again after so many answers when the size of the input is not known.
constexpr std::uint64_t progress_step = 1000;

/// Ids must differ from those of an earlier run within the server's window, else the new messages are taken for the old.
std::string random_prefix()
{
    std::random_device random;
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%08x%08x", random(), random());
    return text.data();
}

class publish_command final : public command {
public:
    publish_command(publish_settings s, std::string headers, command_environment const& e)
        : settings_{std::move(s)}, headers_{std::move(headers)}, environment_{e}
    {
        if (settings_.id_prefix.empty())
            settings_.id_prefix = random_prefix();
    }

    bool needs_link() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        h.node = settings_.node;
        return h;
    }

    bool from_input() const { return settings_.text == "-"; }

    bool wants_input() const override
    {
        return from_input() && begun_ && !input_ended_ && status_ == 0 && !interrupted_ && has_room() &&
               buffer_.size() <= unit_max();
    }

    void begin(command_effects& fx) override
    {
        begun_ = true;
        if (from_input())
            return;
        input_ended_ = true;
        if (settings_.text && settings_.text->size() > body_max_)
            fail(fx, "the text has " + std::to_string(settings_.text->size()) + " bytes; the server takes " +
                         std::to_string(body_max_) + " in one message");
        else
            send(settings_.text.value_or(""), fx);
        finish_if_done(fx);
    }

    void on_input(std::string_view bytes, command_effects& fx) override
    {
        input_taken_ += bytes.size();
        buffer_ += bytes;
        cut(fx);
        finish_if_done(fx);
    }

    void on_input_end(command_effects& fx) override
    {
        input_ended_ = true;
        cut(fx);
        finish_if_done(fx);
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (auto const* welcome = std::get_if<notice::welcome>(&n)) {
            if (welcome->max_body != 0)
                body_max_ = welcome->max_body;
        } else if (auto const* ok = std::get_if<notice::ok>(&n)) {
            answered(*ok, fx);
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            if (status_ == 0)
                fx.error += clear_progress() + complaint(error->code, error->message, environment_);
            status_ = 1;
            if (auto const found = waiting_.find(error->id); found != waiting_.end())
                forget(found);
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fx.error += clear_progress() + complaint(bye->code, bye->message, environment_);
            status_ = 1;
            waiting_.clear();
        }
        cut(fx);
        finish_if_done(fx);
    }

    void on_interrupt(command_effects& fx) override
    {
        if (interrupted_) {
            fx.exit_status = 130;
            return;
        }
        interrupted_ = true;
        buffer_.clear();
        if (!input_ended_) {
            input_ended_ = true;
            fail(fx, "interrupted: " + std::to_string(sent_) + " messages were sent, the rest was not");
        }
        finish_if_done(fx);
    }

private:
    struct pending {
        std::string id;
        std::size_t bytes;
    };
    struct by_id {
        using is_transparent = void;
        bool operator()(pending const& a, pending const& b) const { return a.id < b.id; }
        bool operator()(pending const& a, std::string const& b) const { return a.id < b; }
        bool operator()(std::string const& a, pending const& b) const { return a < b.id; }
    };
    using pending_set = std::set<pending, by_id>;

    bool has_room() const { return waiting_.size() < unanswered_max && waiting_bytes_ < unanswered_bytes_max; }
    std::size_t unit_max() const { return settings_.chunk_bytes != 0 ? settings_.chunk_bytes : body_max_; }

    /// Makes messages of what was read, as far as there is room for their answers.
    void cut(command_effects& fx)
    {
        std::size_t at = 0;
        while (status_ == 0 && !interrupted_ && has_room()) {
            std::string_view const rest = std::string_view{buffer_}.substr(at);
            if (settings_.chunk_bytes != 0) {
                if (settings_.chunk_bytes > body_max_) {
                    fail(fx, "--chunk is larger than the " + std::to_string(body_max_) +
                                 " bytes that the server takes in one message");
                    break;
                }
                if (rest.empty() || (rest.size() < settings_.chunk_bytes && !input_ended_))
                    break;
                auto const body = rest.substr(0, settings_.chunk_bytes);
                send(body, fx);
                at += body.size();
                continue;
            }
            auto const end = rest.find('\n');
            if (end == rest.npos && (!input_ended_ || rest.empty())) {
                if (rest.size() > body_max_)
                    fail(fx, "line " + std::to_string(sent_ + 1) + " is longer than the " +
                                 std::to_string(body_max_) + " bytes that the server takes; try --chunk");
                break;
            }
            auto const line = rest.substr(0, end);
            if (line.size() > body_max_) {
                fail(fx, "line " + std::to_string(sent_ + 1) + " is longer than the " + std::to_string(body_max_) +
                             " bytes that the server takes; try --chunk");
                break;
            }
            send(line, fx);
            at += end == rest.npos ? rest.size() : end + 1;
        }
        buffer_.erase(0, at);
    }

    void send(std::string_view body, command_effects& fx)
    {
        auto id = settings_.id_prefix + "-" + std::to_string(++sent_);
        op::publish publish;
        publish.message = message::make({settings_.subject, id, settings_.reply_to, headers_, body});
        fx.operations.emplace_back(std::move(publish));
        waiting_bytes_ += body.size();
        waiting_.insert({std::move(id), body.size()});
    }

    void forget(pending_set::iterator found)
    {
        waiting_bytes_ -= found->bytes;
        waiting_.erase(found);
        ++answered_;
    }

    void answered(notice::ok const& ok, command_effects& fx)
    {
        auto const found = waiting_.find(ok.id);
        if (found == waiting_.end())
            return;
        forget(found);
        if (!ok.stream.empty())
            last_stored_ = ok;
        duplicates_ += ok.dup ? 1 : 0;
        if (settings_.json)
            fx.out += std::string{encode(notice::any{ok}, encoding::lines)->view()};
        else if (!from_input() && !settings_.quiet && !ok.stream.empty())
            fx.out += ok.stream + ' ' + std::to_string(ok.seq) + (ok.dup ? " duplicate\n" : "\n");
        show_progress(fx);
    }

    bool shows_progress() const
    {
        return from_input() && environment_.error_is_terminal && !settings_.quiet && !settings_.json;
    }

    void show_progress(command_effects& fx)
    {
        if (!shows_progress())
            return;
        std::string line;
        if (auto const size = environment_.input_bytes; size && *size != 0) {
            auto const percent = std::min<std::uint64_t>(100, (input_taken_ - buffer_.size()) * 100 / *size);
            if (percent == progress_shown_)
                return;
            progress_shown_ = percent;
            constexpr std::size_t width = 30;
            auto const full = width * percent / 100;
            line = "[" + std::string(full, '#') + std::string(width - full, ' ') + "] " + std::to_string(percent) + "%";
        } else if (answered_ / progress_step == progress_shown_) {
            return;
        } else {
            progress_shown_ = answered_ / progress_step;
        }
        fx.error += "\r\x1b[K" + line + "  " + std::to_string(answered_) + " messages";
        progress_visible_ = true;
    }

    std::string clear_progress() { return std::exchange(progress_visible_, false) ? "\r\x1b[K" : ""; }

    void fail(command_effects& fx, std::string_view why)
    {
        if (status_ == 0)
            fx.error += clear_progress() + complaint(why, environment_);
        status_ = 1;
    }

    void finish_if_done(command_effects& fx)
    {
        // After a failure nothing more is read; what is under way is still waited for, so that the count is true.
        bool const more = status_ == 0 && (!input_ended_ || !buffer_.empty());
        if (!begun_ || more || !waiting_.empty() || finished_)
            return;
        finished_ = true;
        fx.exit_status = status_;
        if (!from_input() || settings_.quiet || settings_.json || !(environment_.error_is_terminal || status_ != 0))
            return;
        fx.error += clear_progress() + std::to_string(answered_) + " messages";
        if (last_stored_)
            fx.error += ", the last is " + last_stored_->stream + ' ' + std::to_string(last_stored_->seq);
        if (duplicates_ != 0)
            fx.error += ", " + std::to_string(duplicates_) + " had been stored before";
        fx.error += '\n';
    }

    publish_settings settings_;
    std::string headers_;
    command_environment environment_;
    std::size_t body_max_ = limits{}.body_bytes;

    std::string buffer_;  // read, not yet sent: at most a message and one read
    pending_set waiting_;
    std::size_t waiting_bytes_ = 0;
    std::uint64_t input_taken_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t answered_ = 0;
    std::uint64_t duplicates_ = 0;
    std::uint64_t progress_shown_ = 0;
    std::optional<notice::ok> last_stored_;
    int status_ = 0;
    bool begun_ = false;
    bool input_ended_ = false;
    bool interrupted_ = false;
    bool progress_visible_ = false;
    bool finished_ = false;
};

}  // namespace

result<std::string> headers_json(std::vector<std::string> const& lines)
{
    if (lines.empty())
        return std::string{};
    auto headers = nlohmann::json::object();
    for (auto const& line : lines) {
        auto const colon = line.find(':');
        if (colon == line.npos)
            return failure{error_code::bad_request, "'" + line + "' is not of the form NAME:VALUE"};
        auto const name = line.substr(0, colon);
        auto value = line.substr(colon + 1);
        value.erase(0, value.find_first_not_of(' '));
        if (!valid_header_name(name))
            return failure{error_code::bad_request, "'" + printable(name) +
                                                        "' is not a header name: 1 to 64 letters, digits and '-', not "
                                                        "beginning with Nats- or Kedge-"};
        if (!valid_header_value(value))
            return failure{error_code::bad_request,
                           "the value of header " + name + " is not 1 to 1024 bytes of text without control characters"};
        headers[name] = value;
    }
    if (headers.size() > headers_max)
        return failure{error_code::bad_request, "more than " + std::to_string(headers_max) + " headers"};
    return headers.dump();
}

std::unique_ptr<command> make_publish(publish_settings s, command_environment const& e)
{
    auto headers = headers_json(s.headers).value();  // the grammar checked them
    return std::make_unique<publish_command>(std::move(s), std::move(headers), e);
}

}  // namespace kedge
