/// `kedge stream import`: publishes the lines of an export, each under an id made of where it came from. What the server
/// knows by that id it does not store again.

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <utility>

#include "router/command/operator_commands.hpp"
#include "router/command/stored_line.hpp"
#include "router/protocol/limits.hpp"
#include "router/protocol/subject.hpp"

namespace kedge {
namespace {

/// What may be unanswered at once: enough to fill group commits over a slow line, little enough to hold.
constexpr std::size_t import_unanswered_max = 4096;
constexpr std::size_t import_unanswered_bytes_max = 8 * 1024 * 1024;
/// A line holds a body in base64, and what the contract allows beside it.
constexpr std::size_t line_bytes_max = 2 * limits{}.line_bytes;

/// FNV-1a: ids are short, and the same for the same line whichever version of this program makes them.
std::string fingerprint(std::string_view text)
{
    std::uint64_t hash = 14'695'981'039'346'656'037u;
    for (char const c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211u;
    std::array<char, 20> out{};
    std::snprintf(out.data(), out.size(), "%016llx", static_cast<unsigned long long>(hash));
    return out.data();
}

class import_command final : public command {
public:
    import_command(import_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e} {}

    bool needs_link() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        h.node = settings_.node;
        return h;
    }

    bool wants_input() const override
    {
        return known_ && !input_ended_ && !failed_ && has_room() && buffer_.size() <= line_bytes_max;
    }

    void begin(command_effects& fx) override { fx.operations.emplace_back(op::who{op::who::kind::streams, "who"}); }

    void on_input(std::string_view bytes, command_effects& fx) override
    {
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
        if (auto const* reply = std::get_if<notice::reply>(&n))
            take_streams(reply->body, fx);
        else if (auto const* ok = std::get_if<notice::ok>(&n))
            stored(*ok, fx);
        else if (auto const* error = std::get_if<notice::error>(&n))
            refused(*error, fx);
        else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fail(complaint(bye->code, bye->message, environment_), fx);
            waiting_.clear();
        }
        cut(fx);
        finish_if_done(fx);
    }

    void on_interrupt(command_effects& fx) override
    {
        fail(complaint("interrupted", environment_), fx);
        if (std::exchange(interrupted_, true))
            waiting_.clear();  // asked twice
        finish_if_done(fx);
    }

private:
    struct pending {
        std::uint64_t line;
        std::uint64_t seq;
        std::size_t bytes;
    };

    bool has_room() const { return waiting_.size() < import_unanswered_max && waiting_bytes_ < import_unanswered_bytes_max; }

    /// Which subjects the stream stores: a line with another is told before anything of it is published.
    void take_streams(std::string const& body, command_effects& fx)
    {
        if (known_)
            return;
        auto const data = nlohmann::json::parse(body, nullptr, false);
        auto const rows = data.is_object() ? data.find("streams") : data.end();
        if (rows != data.end() && rows->is_array())
            for (auto const& row : *rows)
                if (row.is_object() && row.contains("stream") && row["stream"] == settings_.stream && row.contains("subjects")) {
                    for (auto const& pattern : row["subjects"])
                        if (pattern.is_string())
                            patterns_.push_back(pattern);
                    known_ = true;
                }
        // A server of very many streams does not tell of all; then each answer says where its message went.
        known_ = known_ || (data.is_object() && data.contains("truncated"));
        if (!known_)
            fail(complaint("there is no stream " + settings_.stream + ": make it first (kedge stream add)", environment_), fx);
    }

    void cut(command_effects& fx)
    {
        std::size_t at = 0;
        while (known_ && !failed_ && has_room()) {
            auto const rest = std::string_view{buffer_}.substr(at);
            auto const end = rest.find('\n');
            if (end == rest.npos && (!input_ended_ || rest.empty())) {
                if (rest.size() > line_bytes_max)
                    fail_line(line_ + 1, "longer than any message can be", fx);
                break;
            }
            ++line_;
            auto line = rest.substr(0, end);
            at += end == rest.npos ? rest.size() : end + 1;
            if (line.ends_with('\r'))
                line.remove_suffix(1);
            if (!line.empty())
                publish(line, fx);
        }
        buffer_.erase(0, at);
    }

    void publish(std::string_view text, command_effects& fx)
    {
        auto const read = read_stored(text);
        if (!read)
            return fail_line(line_, read.error().message, fx);
        auto const& m = *read;
        if (m.seq != 0 && (m.seq < settings_.range.from || (settings_.range.to != 0 && m.seq > settings_.range.to)))
            return;
        if (!patterns_.empty() &&
            std::none_of(patterns_.begin(), patterns_.end(), [&](auto const& p) { return matches(p, m.subject); }))
            return fail_line(line_, "stream " + settings_.stream + " does not store '" + m.subject + "'", fx);
        // A place in a stream alone could come again, in another stream of that name.
        auto id = m.seq != 0 ? std::to_string(m.seq) + '-' + std::to_string(m.time_ms) + '-' +
                                   fingerprint(m.stream.empty() ? settings_.stream : m.stream)
                             : std::to_string(line_) + '-' + fingerprint(text);
        op::publish publish;
        publish.message = message::make({m.subject, id, m.reply_to, m.headers, m.body});
        fx.operations.emplace_back(std::move(publish));
        if (waiting_.emplace(std::move(id), pending{line_, m.seq, m.body.size()}).second)
            waiting_bytes_ += m.body.size();
    }

    void stored(notice::ok const& ok, command_effects& fx)
    {
        auto const found = waiting_.find(ok.id);
        if (found == waiting_.end())
            return;
        if (ok.stream != settings_.stream)
            fail_line(found->second.line, ok.stream.empty() ? "no stream stores its subject"
                                                            : "stream " + ok.stream + " stored it, not " + settings_.stream,
                      fx);
        ++(ok.dup ? duplicates_ : stored_);
        waiting_bytes_ -= found->second.bytes;
        waiting_.erase(found);
    }

    void refused(notice::error const& error, command_effects& fx)
    {
        auto const found = waiting_.find(error.id);
        if (found == waiting_.end())
            return fail(complaint(error.code, error.message, environment_), fx);
        fail_line(found->second.line, error.message.empty() ? sentence(error.code) : error.message, fx);
        go_on_from(found->second.seq);
        waiting_bytes_ -= found->second.bytes;
        waiting_.erase(found);
    }

    void fail_line(std::uint64_t line, std::string_view why, command_effects& fx)
    {
        fail(complaint("line " + std::to_string(line) + ": " + std::string{why}, environment_), fx);
    }

    /// The first failure is told; what is on its way is waited for.
    void fail(std::string const& why, command_effects& fx)
    {
        if (std::exchange(failed_, true))
            return;
        fx.error += why;
        buffer_.clear();
        input_ended_ = true;
    }

    void go_on_from(std::uint64_t seq)
    {
        if (seq != 0)
            go_on_from_ = go_on_from_ == 0 ? seq : std::min(go_on_from_, seq);
    }

    void finish_if_done(command_effects& fx)
    {
        if (!input_ended_ || !buffer_.empty() || fx.exit_status || (!known_ && !failed_))
            return;
        if (interrupted_)
            for (auto const& [id, p] : waiting_)
                go_on_from(p.seq);
        if (!waiting_.empty() && !interrupted_)
            return;
        if (!settings_.quiet && known_)
            fx.out += std::to_string(stored_) + " stored" +
                      (duplicates_ != 0 ? ", " + std::to_string(duplicates_) + " were there already" : std::string{}) + '\n';
        if (failed_ && go_on_from_ != 0)
            fx.error += complaint("go on with: --from " + std::to_string(go_on_from_), environment_);
        fx.exit_status = interrupted_ ? 130 : failed_ ? 1 : 0;
    }

    import_settings settings_;
    command_environment environment_;
    std::vector<std::string> patterns_;
    std::string buffer_;
    std::map<std::string, pending, std::less<>> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::uint64_t line_ = 0;
    std::uint64_t stored_ = 0;
    std::uint64_t duplicates_ = 0;
    std::uint64_t go_on_from_ = 0;
    bool known_ = false;
    bool input_ended_ = false;
    bool failed_ = false;
    bool interrupted_ = false;
};

}  // namespace

std::unique_ptr<command> make_import(import_settings s, command_environment const& e)
{
    return std::make_unique<import_command>(std::move(s), e);
}

}  // namespace kedge
