#include "sshd-transport/notify.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/catch.hpp"
#include "tests/daemon/temporary_directory.hpp"

namespace kedge {
namespace {

TEST_CASE("the supervisor gets the state as one datagram")
{
    test::temporary_directory const top;
    auto const path = (top.path / "notify").string();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    int const fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0);

    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    notify_supervisor("READY=1\nSTATUS=up");
    std::array<char, 64> buffer{};
    auto const size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    CHECK(std::string(buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0) == "READY=1\nSTATUS=up");
    ::close(fd);

    notify_supervisor("STOPPING=1");  // nobody listens any more
    ::setenv("NOTIFY_SOCKET", std::string(200, '/').c_str(), 1);
    notify_supervisor("STOPPING=1");
    ::unsetenv("NOTIFY_SOCKET");
    notify_supervisor("STOPPING=1");
}

}  // namespace
}  // namespace kedge
