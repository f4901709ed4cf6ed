/// What doctor says of a server's home.

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "clients/cli/doctor.hpp"
#include "tests/catch.hpp"

using namespace kedge;
namespace fs = std::filesystem;

namespace {

/// As `kedged` leaves it, and held as by a server that runs.
struct made_home {
    made_home()
    {
        std::string pattern = (fs::temp_directory_path() / "kedge-home-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
        for (auto const* name : {"host_ed25519", "operator_ed25519", "kedge.db"})
            put(name, "x\n");
        put("host_ed25519.pub", "ssh-ed25519 AAAAkey host\n");
        put("known_hosts", "[127.0.0.1]:2222 ssh-ed25519 AAAAkey\n");
        put("lock", "1\n");
        lock = ::open((path / "lock").c_str(), O_RDWR | O_CLOEXEC);
        REQUIRE(::flock(lock, LOCK_EX | LOCK_NB) == 0);
    }
    ~made_home()
    {
        release();
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
    made_home(made_home const&) = delete;
    made_home& operator=(made_home const&) = delete;

    void put(char const* name, char const* text) const
    {
        std::ofstream{path / name} << text;
        REQUIRE(::chmod((path / name).c_str(), 0600) == 0);
    }
    void release()
    {
        if (lock >= 0)
            ::close(lock);
        lock = -1;
    }
    nlohmann::json look() const
    {
        cli::findings f;
        cli::look_at_home(path, f);
        return f.take()["findings"];
    }

    fs::path path;
    int lock = -1;
};

}  // namespace

TEST_CASE("doctor finds what is wrong with a home, and says what to do")
{
    struct row {
        char const* name;
        std::function<void(made_home&)> spoil;
        char const* check;  ///< of the finding that is bad; null = none is
        char const* todo;
    };
    row const rows[] = {
        {"all is well", [](made_home&) {}, nullptr, nullptr},
        {"open to all", [](made_home& h) { ::chmod(h.path.c_str(), 0755); }, "home", "chmod 0700"},
        {"a key that others read", [](made_home& h) { ::chmod((h.path / "host_ed25519").c_str(), 0644); }, "host key", "chmod 0600"},
        {"an operator's key that others read", [](made_home& h) { ::chmod((h.path / "operator_ed25519").c_str(), 0640); }, "operator's key",
         "chmod 0600"},
        {"a database that others read", [](made_home& h) { ::chmod((h.path / "kedge.db").c_str(), 0604); }, "database", "chmod 0600"},
        {"no host key", [](made_home& h) { fs::remove(h.path / "host_ed25519"); }, "host key", "start the server"},
        {"another host key", [](made_home& h) { h.put("known_hosts", "[127.0.0.1]:2222 ssh-ed25519 BBBB\n"); }, "host key", "restart"},
        {"no server runs", [](made_home& h) { h.release(); }, "server", "kedged --home"},
        {"none ever did", [](made_home& h) { fs::remove(h.path / "lock"); }, "server", "kedged --home"},
        {"nothing is there", [](made_home& h) { fs::remove_all(h.path); }, "home", "kedged --home"},
    };
    for (auto const& r : rows) {
        INFO(r.name);
        made_home home;
        r.spoil(home);
        auto const found = home.look();
        INFO(found.dump(1));
        std::size_t bad = 0;
        for (auto const& f : found) {
            if (f["state"] != "bad" || f["check"] == "disk")  // that of the machine under test
                continue;
            ++bad;
            REQUIRE(r.check != nullptr);
            CHECK(f["check"] == r.check);
            CHECK(f["do"].get<std::string>().find(r.todo) != std::string::npos);
        }
        CHECK(bad == (r.check != nullptr ? 1u : 0u));
    }
}

TEST_CASE("doctor looks, and changes nothing")
{
    made_home home;
    ::chmod(home.path.c_str(), 0755);
    home.release();
    home.look();
    CHECK(fs::status(home.path).permissions() == fs::perms{0755});
    int const fd = ::open((home.path / "lock").c_str(), O_RDWR | O_CLOEXEC);
    CHECK(::flock(fd, LOCK_EX | LOCK_NB) == 0);
    ::close(fd);
}
