#include "router/command/live_screen.hpp"

#include <utility>

namespace kedge {
namespace {

constexpr std::uint64_t every_us = 1'000'000;

// ECMA-48, and xterm's second screen, which leaves what was on the first as it was.
constexpr char enter_screen[] = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr char leave_screen[] = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr char clear_screen[] = "\x1b[2J";
constexpr char go_home[] = "\x1b[H";
constexpr char clear_to_end_of_line[] = "\x1b[K";
constexpr char clear_to_end_of_screen[] = "\x1b[J";

constexpr char escape = 0x1b;

class live_screen final : public command {
public:
    live_screen(live_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e} {}

    bool needs_link() const override { return false; }
    course runs() const override { return course::live; }
    std::string feed() const override { return settings_.feed; }
    bool takes_screen() const override { return environment_.out_is_terminal && !settings_.json; }
    bool wants_input() const override { return takes_screen(); }

    void begin(command_effects& fx) override { fx.calls.push_back(settings_.call); }

    void on_admin(admin_result const& r, command_effects& fx) override
    {
        if (r.exit_status != 0) {
            leave(fx);
            fx.error += complaint(r.error, environment_);
            fx.exit_status = r.exit_status;
            return;
        }
        before_ = std::exchange(now_, r.data);
        away_.clear();
        if (environment_.now_us)
            due_us_ = environment_.now_us() + every_us;
        if (settings_.json) {
            fx.out += now_.dump() + '\n';
            return;
        }
        bool const one = settings_.one_in_a_pipe && !takes_screen();
        // The one picture of a pipe has rates, too.
        if (one && before_.is_null() && environment_.now_us)
            return;
        draw(fx);
        if (one)
            fx.exit_status = 0;
    }

    void on_away(std::string_view why, command_effects& fx) override
    {
        away_ = why;
        if (settings_.json)
            fx.error += complaint(why, environment_);
        else if (!now_.is_null())
            draw(fx);
    }

    std::optional<std::uint64_t> due_us() const override { return due_us_; }
    void on_time(command_effects& fx) override
    {
        due_us_.reset();
        begin(fx);
    }

    void on_input(std::string_view keys, command_effects& fx) override
    {
        // A key such as an arrow sends a sequence, whose letters are no keys.
        for (char const key : keys) {
            if (key == escape)
                return;
            if (key == 'q' || key == 'Q')
                return end(fx);
        }
    }

    void on_resize(unsigned columns, unsigned rows, command_effects& fx) override
    {
        environment_.columns = columns;
        environment_.rows = rows;
        if (inside_) {
            fx.out += clear_screen;
            draw(fx);
        }
    }

    void on_interrupt(command_effects& fx) override { end(fx); }

private:
    void draw(command_effects& fx)
    {
        auto const lines = settings_.draw(before_, now_, away_, environment_);
        if (!takes_screen()) {
            if (std::exchange(drawn_, true))
                fx.out += '\n';
            for (auto const& line : lines)
                fx.out += line + '\n';
            return;
        }
        if (!std::exchange(inside_, true))
            fx.out += enter_screen;
        fx.out += go_home;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            fx.out += lines[i];
            fx.out += clear_to_end_of_line;
            if (i + 1 < lines.size())
                fx.out += '\n';
        }
        fx.out += clear_to_end_of_screen;
    }

    void leave(command_effects& fx)
    {
        if (std::exchange(inside_, false))
            fx.out += leave_screen;
    }

    void end(command_effects& fx)
    {
        leave(fx);
        fx.exit_status = 0;
    }

    live_settings settings_;
    command_environment environment_;
    nlohmann::json before_;
    nlohmann::json now_;
    std::string away_;
    std::optional<std::uint64_t> due_us_;
    bool inside_ = false;
    bool drawn_ = false;
};

}  // namespace

std::unique_ptr<command> make_live(live_settings s, command_environment const& e)
{
    return std::make_unique<live_screen>(std::move(s), e);
}

}  // namespace kedge
