#include <exception>
#include <iostream>

#include "sshd-transport/daemon.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/options.hpp"
#include "sshd-transport/recovery.hpp"

int main(int argc, char** argv)
{
    auto const parsed = kedge::parse_options(argc, argv);
    if (auto const* status = std::get_if<int>(&parsed)) return *status;
    auto const& options = std::get<kedge::daemon_options>(parsed);

    auto const loaded = kedge::load_config(options);
    if (auto const* wrong = std::get_if<std::vector<std::string>>(&loaded)) {
        for (auto const& sentence : *wrong) std::cerr << "kedged: " << sentence << "\n";
        return 2;
    }
    auto const& config = std::get<kedge::server_config>(loaded);
    if (options.print_config) {
        std::cout << kedge::print_config(config);
        return 0;
    }
    if (options.check_config) {
        auto const file = kedge::config_file(options);
        std::cout << "kedged: " << (file ? file->string() : "the configuration") << " is sound\n";
        return 0;
    }
    try {
        if (options.recover) return kedge::run_recovery(options.home);
        return kedge::run_daemon(options, config);
    } catch (std::exception const& error) {
        kedge::log_stop();
        std::cerr << "kedged: " << error.what() << "\n";
        return 1;
    }
}
