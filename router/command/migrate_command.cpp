/// `kedge migrate …`: a question before, the command, a typed confirmation if the server asks for one, what goes on afterwards.
///
///   (before) ─▶ asked ──────────────▶ following, until it is done ─▶ exit
///                │  ▲                      (start, resume, diff)
///                │  └─ confirming: risks were shown, the stream's name is typed
///                └──▶ after: what to do next ─▶ exit

#include <algorithm>
#include <array>
#include <utility>

#include "router/command/migrate_commands.hpp"
#include "router/command/page.hpp"
#include "router/command/status_facts.hpp"
#include "router/command/typed_line.hpp"

namespace kedge {
namespace {

/// What goes on is looked at so often.
constexpr std::uint64_t look_every_us = 500'000;
/// A copy that is behind by no more is up to date.
constexpr double small_lag_messages = 1000;
/// Where there is traffic some message is always on its way: then so many looks in a row have to find no more.
constexpr unsigned small_looks_min = 3;

class migrate_command final : public command {
public:
    migrate_command(migrate_settings s, command_environment const& e)
        : settings_{std::move(s)}, environment_{e}, stream_{words_of(settings_.call.args, "stream")}
    {
        if (settings_.yes)
            settings_.call.args["confirm"] = stream_;
    }

    bool needs_link() const override { return false; }
    course runs() const override { return course::steps; }
    std::string line_of(admin_call const& call) const override { return migrate_line(call); }
    bool wants_input() const override { return phase_ == phase::confirming; }

    void begin(command_effects& fx) override
    {
        // Before and after are shown of what a person waits for.
        if (moves() && !settings_.json)
            ask_status(phase::before, fx);
        else
            ask(fx);
    }

    void on_admin(admin_result const& answer, command_effects& fx) override
    {
        auto r = answer;
        // A command line that asked for the server's answer ends with status 1 for a no that is none of the command's failures.
        if (r.exit_status == 1 && r.error.empty() && r.data.is_object() && words_of(r.data, "confirm").empty())
            r.exit_status = 0;
        switch (phase_) {
        case phase::before:
            if (r.exit_status != 0)
                return fail(r, fx);
            fx.out += stream_ + ": " + stream_line(found(r.data)) + '\n';
            return ask(fx);
        case phase::asked:
            return answered(r, fx);
        case phase::following:
            return looked(r, fx);
        case phase::after:
            if (r.exit_status == 0)
                advise(found(r.data), status_ != 0, status_ == 0 ? fx.out : fx.error);
            fx.exit_status = status_;
            return;
        case phase::confirming:
            return;
        }
    }

    std::optional<std::uint64_t> due_us() const override { return due_us_; }
    void on_time(command_effects& fx) override
    {
        due_us_.reset();
        look(fx);
    }

    void on_input(std::string_view bytes, command_effects& fx) override
    {
        if (phase_ != phase::confirming)
            return;
        auto const typed = typed_.take(bytes, fx.out);
        if (!typed)
            return;
        if (*typed != wanted_)
            return leave_it(fx);
        settings_.call.args["confirm"] = wanted_;
        ask(fx);
    }

    void on_input_end(command_effects& fx) override
    {
        if (phase_ == phase::confirming) {
            fx.out += '\n';
            leave_it(fx);
        }
    }

    void on_interrupt(command_effects& fx) override
    {
        fx.out += clear_progress();
        if (phase_ == phase::confirming)
            fx.error += '\n' + complaint("nothing was done", environment_);
        else if (phase_ == phase::following)
            fx.error += complaint("it goes on in the server: " + look_again(), environment_);
        else if (phase_ == phase::asked && moves())
            fx.error += complaint("the server may have done it all the same: kedge migrate status " + stream_, environment_);
        fx.exit_status = 130;
    }

private:
    enum class phase : unsigned char { before, asked, confirming, following, after };

    bool is(std::string_view verb) const { return settings_.call.name == std::string{"migrate "}.append(verb); }
    bool dry() const { return is_true(settings_.call.args, "dry_run"); }
    bool moves() const { return (is("switch") || is("reverse")) && !dry(); }
    bool has_bar() const { return environment_.out_is_terminal && environment_.error_is_terminal && !settings_.json; }

    void ask(command_effects& fx)
    {
        phase_ = phase::asked;
        fx.calls.push_back(settings_.call);
    }

    void ask_status(phase next, command_effects& fx)
    {
        phase_ = next;
        fx.calls.push_back({"migrate status", {{"stream", stream_}}});
    }

    /// The stream's part of a status.
    nlohmann::json found(nlohmann::json const& status) const
    {
        for (auto const& s : array_of(status, "streams"))
            if (words_of(s, "stream") == stream_)
                return s;
        return nlohmann::json::object();
    }

    /// What comes next; after a failure also what stands in the way.
    void advise(nlohmann::json const& stream, bool with_reasons, std::string& out) const
    {
        page lines{environment_};
        for (auto const& why : with_reasons ? array_of(stream, "not_ready") : nlohmann::json::array())
            if (why.is_string() && why != said_)
                lines.marked("  - ", {}, printable(why.get_ref<std::string const&>()), style::yellow);
        if (auto const next = words_of(stream, "next"); !next.empty() && (!with_reasons || said_.find(next) == said_.npos))
            lines.line("next: " + next, style::bold, 6);
        out += lines.text();
    }

    void answered(admin_result const& r, command_effects& fx)
    {
        if (!words_of(r.data, "confirm").empty() && !settings_.call.args.contains("confirm"))
            return confirm(r, fx);
        if (r.exit_status != 0)
            return fail(r, fx);
        if (is("diff") && is_true(r.data, "running") && !settings_.no_wait)
            return wait_on(r, fx);
        if (settings_.json) {
            fx.out += r.data.dump() + '\n';
            fx.exit_status = says_no(r.data) ? 1 : 0;
            return;
        }
        if ((is("start") || is("resume")) && !settings_.no_wait && has_bar() && environment_.now_us)
            return look(fx);
        fx.out += render_migrate(settings_.call, r.data, environment_);
        status_ = says_no(r.data) ? 1 : 0;
        if (moves())
            return ask_status(phase::after, fx);
        fx.exit_status = status_;
    }

    /// The answer came, and it is no: for scripts.
    bool says_no(nlohmann::json const& data) const
    {
        if (is("plan") || dry())
            return !is_true(data, "ok");
        return is("diff") && !is_true(data, "running") && !is_true(data, "clean");
    }

    void fail(admin_result const& r, command_effects& fx)
    {
        fx.out += clear_progress();
        status_ = r.exit_status;
        said_ = r.error;
        bool const shown = r.data.is_object() && (r.data.contains("checks") || r.data.contains("steps"));
        if (settings_.json && !r.data.is_null())
            fx.out += r.data.dump() + '\n';
        else if (!settings_.json && shown)
            fx.out += render_migrate(settings_.call, r.data, environment_);
        if (!r.error.empty() || !shown)
            fx.error += complaint(r.error.empty() ? "it was not done" : r.error, environment_);
        // What failed in the middle has a reason that the status tells better.
        if (!settings_.json && !shown && phase_ == phase::asked && status_ == 1 && !is("status"))
            return ask_status(phase::after, fx);
        fx.exit_status = status_;
    }

    void confirm(admin_result const& r, command_effects& fx)
    {
        wanted_ = words_of(r.data, "confirm");
        if (settings_.json)
            fx.out += r.data.dump() + '\n';
        else {
            page out{environment_};
            for (auto const& risk : array_of(r.data, "risk"))
                if (risk.is_string())
                    out.marked("! ", style::red, printable(risk.get<std::string>()));
            fx.out += out.text();
        }
        if (settings_.json || !environment_.in_is_terminal || !environment_.out_is_terminal) {
            fx.error += complaint("this has to be confirmed: type the stream's name at a terminal, or give --yes", environment_);
            fx.exit_status = 2;
            return;
        }
        phase_ = phase::confirming;
        typed_ = typed_line{environment_.remote};
        fx.out += "Type " + styled(wanted_, style::bold, environment_) + " to go on, anything else to leave it as it is: ";
    }

    void leave_it(command_effects& fx)
    {
        fx.error += complaint("nothing was done", environment_);
        fx.exit_status = 1;
    }

    // ---- what goes on

    void look(command_effects& fx)
    {
        if (!is("diff"))
            return ask_status(phase::following, fx);
        phase_ = phase::following;
        fx.calls.push_back({"migrate diff", {{"stream", stream_}, {"follow", true}}});
    }

    void wait_on(admin_result const& r, command_effects& fx)
    {
        phase_ = phase::following;
        began_ms_ = std::max(began_ms_, number_of(r.data, "at_ms"));
        auto const waits = words_of(r.data, "waits_for");
        if (waits.empty()) {
            waiting_told_ = false;
        } else if (!has_bar() && !std::exchange(waiting_told_, true)) {
            fx.error += complaint("it waits for " + waits, environment_);
        }
        show_progress(diff_progress(r.data), fx, waits.empty() ? "" : "waits for " + waits);
        if (environment_.now_us)
            due_us_ = environment_.now_us() + look_every_us;
        else
            look(fx);
    }

    /// `instead`: what is said while nothing moves.
    void show_progress(progress const& p, command_effects& fx, std::string const& instead = {})
    {
        if (!has_bar())
            return;
        auto const columns = environment_.columns > 1 ? environment_.columns - 1 : 1;
        fx.out += "\r\x1b[K";
        if (!instead.empty() || p.total == 0)
            fx.out += fitted(stream_ + "  " + (instead.empty() ? "begins" : instead), columns);
        else
            fx.out += progress_line(stream_, p, columns);
        bar_shown_ = true;
    }

    std::string clear_progress() { return std::exchange(bar_shown_, false) ? "\r\x1b[K" : ""; }

    std::string look_again() const
    {
        return is("diff") ? "kedge migrate diff " + stream_ + " --follow" : "kedge migrate status " + stream_ + " --watch";
    }

    /// Both sides have what was there when it was asked: a lag of no time is the traffic's.
    bool caught_up(nlohmann::json const& stream)
    {
        auto const& lag = object_of(stream, "lag");
        bool const small = object_of(stream, "catching_up").empty() && is_true(lag, "known") && number_of(lag, "seconds") <= 1 &&
                           number_of(lag, "messages") <= small_lag_messages;
        small_looks_ = small ? small_looks_ + 1 : 0;
        return small && (number_of(lag, "messages") == 0 || small_looks_ >= small_looks_min);
    }

    void looked(admin_result const& r, command_effects& fx)
    {
        if (r.exit_status != 0) {
            fx.out += clear_progress();
            fx.error += complaint(r.error, environment_) + complaint("look again: " + look_again(), environment_);
            fx.exit_status = r.exit_status;
            return;
        }
        if (is("diff")) {
            if (is_true(r.data, "running"))
                return wait_on(r, fx);
            fx.out += clear_progress();
            fx.out += settings_.json ? r.data.dump() + '\n' : render_migrate(settings_.call, r.data, environment_);
            fx.exit_status = says_no(r.data) ? 1 : 0;
            if (number_of(r.data, "at_ms") < began_ms_) {
                // One that failed leaves the result of the one before.
                fx.error += complaint("that is an earlier comparison: this one did not come to its end (kedge migrate events " + stream_ + ')', environment_);
                fx.exit_status = 1;
            }
            return;
        }
        auto const s = found(r.data);
        auto const& flags = array_of(s, "flags");
        auto const stuck = [&] {
            for (auto const& flag : flags)
                if (flag == "broken" || flag == "paused" || flag == "link_down")
                    return true;
            return s.empty() || words_of(s, "state") == "LEGACY";
        }();
        if (!stuck && !caught_up(s)) {
            auto p = catching_up_of(s);
            // A small one the server takes no measure of; and what was measured once stays, so that the bar goes one way.
            auto const behind = p.total > 0 ? p.total - p.done : number_of(object_of(s, "lag"), "messages");
            behind_max_ = std::max({behind_max_, behind, p.total});
            p.total = behind_max_;
            p.done = behind_max_ - behind;
            show_progress(p, fx);
            due_us_ = environment_.now_us() + look_every_us;
            return;
        }
        fx.out += clear_progress();
        if (stuck) {
            for (auto const& line : migration_lines(r.data, environment_))
                fx.out += line + '\n';
            fx.exit_status = 1;
            return;
        }
        fx.out += stream_ + ": " + stream_line(s) + '\n';
        advise(s, false, fx.out);
        fx.exit_status = 0;
    }

    migrate_settings settings_;
    command_environment environment_;
    std::string stream_;
    phase phase_ = phase::asked;
    std::string wanted_;  ///< what is to be typed
    typed_line typed_;
    std::optional<std::uint64_t> due_us_;
    int status_ = 0;
    std::string said_;  ///< why it failed
    bool bar_shown_ = false;
    bool waiting_told_ = false;  ///< that it waits
    double began_ms_ = 0;    ///< the comparison that is waited for
    double behind_max_ = 0;  ///< messages, since the copy began
    unsigned small_looks_ = 0;
};

}  // namespace

std::string migrate_line(admin_call const& call)
{
    auto words = split_words(call.name).value_or(std::vector<std::string>{});
    if (auto const stream = words_of(call.args, "stream"); !stream.empty())
        words.push_back(stream);
    constexpr std::array flags{std::pair{"dry_run", "--dry-run"}, std::pair{"abandon", "--abandon"}, std::pair{"adopt", "--adopt"},
                               std::pair{"delete_stream", "--delete-stream"}, std::pair{"follow", "--follow"}};
    for (auto const& [name, option] : flags)
        if (is_true(call.args, name))
            words.emplace_back(option);
    if (call.args.contains("from"))
        words.insert(words.end(), {"--from", words_of(call.args, "from")});
    if (call.args.contains("tail"))
        words.insert(words.end(), {"--tail", call.args["tail"].dump()});
    if (call.args.contains("hold_ms"))
        words.insert(words.end(), {"--hold", call.args["hold_ms"].dump() + "ms"});
    if (call.args.contains("confirm"))
        words.emplace_back("--yes");
    words.emplace_back("--json");
    if (call.name == "migrate diff")
        words.emplace_back("--no-wait");
    return join_words(words);
}

std::unique_ptr<command> make_migrate(migrate_settings s, command_environment const& e)
{
    return std::make_unique<migrate_command>(std::move(s), e);
}

}  // namespace kedge
