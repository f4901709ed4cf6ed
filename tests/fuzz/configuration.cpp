/// kedged.toml of any bytes: refused with reasons, or taken, within bounds, and then printed so that it reads back.
#include <string_view>
#include <variant>

#include "sshd-transport/config.hpp"
#include "tests/fuzz/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
    using namespace kedge;
    using fuzz::require;
    auto const parsed = parse_config({reinterpret_cast<char const*>(data), size});
    if (auto const* errors = std::get_if<std::vector<config_error>>(&parsed)) {
        require(!errors->empty(), "a refusal has a reason");
        for (auto const& each : *errors) require(!each.message.empty(), "a reason is a sentence");
        return 0;
    }
    auto const& config = std::get<server_config>(parsed);
    for (auto const& field : limit_fields())
        require(config.limits.*field.member >= field.min && config.limits.*field.member <= field.max, "a limit is within its bounds");
    check_config(config);
    auto const again = parse_config(print_config(config));
    require(std::holds_alternative<server_config>(again) && std::get<server_config>(again) == config, "what is printed reads back");
    return 0;
}
