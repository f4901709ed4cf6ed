/// `kedge stream export`: all messages of a stream, a line of JSON each.

#include <utility>

#include "router/command/operator_commands.hpp"
#include "router/command/stream_pages.hpp"

namespace kedge {
namespace {

class export_command final : public command {
public:
    export_command(export_settings s, command_environment const& e)
        : pages_{std::move(s.stream), s.range, std::move(s.filter)}, environment_{e}
    {
    }

    bool needs_link() const override { return false; }
    course runs() const override { return course::server; }

    void begin(command_effects& fx) override { pages_.ask(fx); }

    void on_admin(admin_result const& r, command_effects& fx) override
    {
        std::vector<nlohmann::json> messages;
        if (auto const why = pages_.take(r, messages)) {
            fx.error += complaint(*why, environment_);
            fx.exit_status = 1;
            return;
        }
        for (auto const& m : messages) {
            fx.out += m.dump();
            fx.out += '\n';
        }
        if (pages_.ended())
            fx.exit_status = 0;
        else
            pages_.ask(fx);
    }

    void on_interrupt(command_effects& fx) override { fx.exit_status = 130; }

private:
    stream_pages pages_;
    command_environment environment_;
};

}  // namespace

std::unique_ptr<command> make_export(export_settings s, command_environment const& e)
{
    return std::make_unique<export_command>(std::move(s), e);
}

}  // namespace kedge
