/// `kedge restore`: what the CLI is asked to do, and how what came of it is shown.

#include "router/command/operator_commands.hpp"

namespace kedge {
namespace {

class restore_command final : public command {
public:
    restore_command(restore_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e} {}

    bool needs_link() const override { return false; }
    course runs() const override { return course::here; }
    admin_call here() const override
    {
        return {"restore", {{"file", settings_.file}, {"host_key", settings_.host_key}}};
    }

    void begin(command_effects&) override {}

    void on_admin(admin_result const& r, command_effects& fx) override
    {
        fx.exit_status = r.exit_status;
        if (r.exit_status != 0) {
            fx.error += complaint(r.error, environment_);
            return;
        }
        if (settings_.json) {
            fx.out += r.data.dump() + '\n';
            return;
        }
        fx.out += "restored " + render_field(r.data, column{"", "bytes", field_form::size}) + " to " + render_field(r.data, column{"", "path"}) + '\n';
        fx.out += "The server that starts there begins a new history: clients see another incarnation.\n";
        if (settings_.host_key.empty())
            fx.out += "A host key is not part of a backup: unless one is there already, the server makes a new one, and clients have to learn it.\n";
    }

    void on_interrupt(command_effects& fx) override { fx.exit_status = 130; }

private:
    restore_settings settings_;
    command_environment environment_;
};

}  // namespace

std::unique_ptr<command> make_restore(restore_settings s, command_environment const& e)
{
    return std::make_unique<restore_command>(std::move(s), e);
}

}  // namespace kedge
