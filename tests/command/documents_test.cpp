/// The completions and the manual page say everything that the grammar knows.

#include "router/command/grammar.hpp"
#include "tests/catch.hpp"
#include "tests/command/harness.hpp"

using namespace kedge;

namespace {

template <class Visit>
void walk(command_description const& d, Visit const& visit)
{
    visit(d);
    for (auto const& sub : d.commands)
        walk(sub, visit);
}

}  // namespace

TEST_CASE("every command and option is in the completions and in the manual")
{
    auto const root = describe_commands(false);
    auto const bash = bash_completion(root);
    auto const zsh = zsh_completion(root);
    auto const manual = manual_page(root);
    auto const in_troff = [](std::string const& text) {
        std::string out;
        for (auto const c : text)
            out += c == '-' ? std::string{"\\-"} : std::string{c};
        return out;
    };
    walk(root, [&](command_description const& d) {
        INFO(d.name);
        CHECK(bash.find(d.name) != std::string::npos);
        CHECK(zsh.find(d.name) != std::string::npos);
        CHECK(manual.find(in_troff(d.name)) != std::string::npos);
        CHECK_FALSE(d.text.empty());
        for (auto const& o : d.options) {
            CHECK_FALSE(o.text.empty());
            for (auto const& name : o.names) {
                INFO(name);
                CHECK(bash.find(name) != std::string::npos);
                CHECK(zsh.find(name) != std::string::npos);
                CHECK(manual.find(in_troff(name)) != std::string::npos);
            }
        }
    });
}

TEST_CASE("options of the connection are described, and only here")
{
    auto const names = [](bool remote) {
        std::string all;
        for (auto const& o : describe_commands(remote).options)
            for (auto const& name : o.names)
                all += name + " ";
        return all;
    };
    CHECK(names(false).find("--to ") != std::string::npos);
    CHECK(names(false).find("-i --identity ") != std::string::npos);
    CHECK(names(true).find("--to ") == std::string::npos);
}

TEST_CASE("they are commands too")
{
    CHECK(stopped("completion bash").out == bash_completion(describe_commands(false)));
    CHECK(stopped("completion zsh").out == zsh_completion(describe_commands(false)));
    CHECK(stopped("man").out == manual_page(describe_commands(false)));
}
