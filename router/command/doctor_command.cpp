/// `kedge doctor`: how what the CLI found is shown.

#include "router/command/operator_commands.hpp"

namespace kedge {
namespace {

std::string field_of(nlohmann::json const& finding, char const* name) { return render_field(finding, column{"", name}); }

class doctor_command final : public command {
public:
    doctor_command(bool json, command_environment const& e) : json_{json}, environment_{e} {}

    bool needs_link() const override { return false; }
    course runs() const override { return course::here; }

    void begin(command_effects&) override {}

    void on_admin(admin_result const& r, command_effects& fx) override
    {
        std::size_t bad = 0;
        std::string text;
        if (r.data.is_object() && r.data.contains("findings"))
            for (auto const& finding : r.data["findings"]) {
                auto const state = field_of(finding, "state");
                bad += state == "bad" ? 1 : 0;
                text += show(finding, state);
            }
        if (json_)
            text = r.data.dump() + '\n';
        else
            text += bad == 0 ? styled("all is well", style::green, environment_) + '\n'
                             : styled(std::to_string(bad) + (bad == 1 ? " thing is" : " things are") + " wrong", style::red, environment_) + '\n';
        fx.out += text;
        fx.exit_status = bad == 0 ? 0 : 1;
    }

    void on_interrupt(command_effects& fx) override { fx.exit_status = 130; }

private:
    std::string show(nlohmann::json const& finding, std::string const& state) const
    {
        auto const colour = state == "good" ? style::green : state == "bad" ? style::red : style::yellow;
        auto const fold = [&](std::string const& line, std::size_t indent) {
            return (environment_.out_is_terminal ? wrapped(line, environment_.columns - std::min(environment_.columns, 7u), indent) : line) + '\n';
        };
        auto out = styled(state == "good" ? "good   " : state == "bad" ? "WRONG  " : "unsure ", colour, environment_) +
                   fold(field_of(finding, "check") + ": " + field_of(finding, "said"), 7);
        if (auto const todo = field_of(finding, "do"); todo != "-")
            out += "       " + fold("-> " + todo, 10);
        return out;
    }

    bool json_;
    command_environment environment_;
};

}  // namespace

std::unique_ptr<command> make_doctor(bool json, command_environment const& e) { return std::make_unique<doctor_command>(json, e); }

}  // namespace kedge
