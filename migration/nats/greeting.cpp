#include "migration/nats/greeting.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace kedge::migration {
namespace {

using greeting_clock = std::chrono::steady_clock;

struct socket_handle {
    int fd = -1;
    socket_handle() = default;
    socket_handle(socket_handle const&) = delete;
    socket_handle& operator=(socket_handle const&) = delete;
    ~socket_handle()
    {
        if (fd >= 0) ::close(fd);
    }
};

/// Empty = ready.
std::string wait_until_ready(int fd, short events, int interrupt, greeting_clock::time_point until)
{
    for (;;) {
        auto const left = std::chrono::ceil<std::chrono::milliseconds>(until - greeting_clock::now()).count();
        if (left <= 0) return "no answer";
        pollfd watched[2] = {{fd, events, 0}, {interrupt, POLLIN, 0}};
        int const ready = ::poll(watched, 2, static_cast<int>(left));
        if (ready < 0 && errno != EINTR) return std::strerror(errno);
        if (ready <= 0) continue;
        if (watched[1].revents != 0) return "interrupted";
        return {};
    }
}

std::variant<greeting, std::string> greeting_from(addrinfo const& address, int interrupt, greeting_clock::time_point until)
{
    socket_handle socket;
    socket.fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket.fd < 0) return std::strerror(errno);
    if (::connect(socket.fd, address.ai_addr, address.ai_addrlen) != 0 && errno != EINPROGRESS) return std::strerror(errno);
    if (auto wrong = wait_until_ready(socket.fd, POLLOUT, interrupt, until); !wrong.empty()) return wrong;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return std::strerror(error);

    constexpr std::size_t line_max = 64 * 1024;
    std::string line;
    while (line.find('\n') == line.npos) {
        if (line.size() >= line_max) return "it is no NATS server";
        if (auto wrong = wait_until_ready(socket.fd, POLLIN, interrupt, until); !wrong.empty())
            return wrong == "no answer" ? "it accepts connections and says nothing: is it frozen, or no NATS server?" : wrong;
        char buffer[4096];
        auto const got = ::recv(socket.fd, buffer, sizeof buffer, 0);
        if (got == 0) return "it closed the connection at once";
        if (got < 0 && errno != EAGAIN && errno != EINTR) return std::strerror(errno);
        if (got > 0) line.append(buffer, static_cast<std::size_t>(got));
    }
    return parse_greeting(std::string_view(line).substr(0, line.find('\n')));
}

}  // namespace

std::variant<greeting, std::string> parse_greeting(std::string_view line)
{
    constexpr std::string_view word = "INFO ";
    if (!line.starts_with(word)) return "it is no NATS server";
    auto const parsed = nlohmann::json::parse(line.substr(word.size()), nullptr, false);
    if (!parsed.is_object()) return "it is no NATS server";
    auto const text = [&](char const* name) {
        auto const found = parsed.find(name);
        return found != parsed.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    auto const flag = [&](char const* name) {
        auto const found = parsed.find(name);
        return found != parsed.end() && found->is_boolean() && found->get<bool>();
    };
    greeting out;
    out.server_id = text("server_id");
    out.server_name = text("server_name");
    out.version = text("version");
    if (auto const most = parsed.find("max_payload"); most != parsed.end() && most->is_number_unsigned())
        out.max_payload = most->get<std::uint64_t>();
    out.jetstream = flag("jetstream");
    out.headers = flag("headers");
    out.tls = flag("tls_required") || flag("tls_available");
    return out;
}

std::variant<greeting, std::string> read_greeting(server_url const& server, std::uint64_t wait_ms, int interrupt)
{
    auto const until = greeting_clock::now() + std::chrono::milliseconds(wait_ms);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (int const error = ::getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found); error != 0)
        return "no address for " + server.host + ": " + ::gai_strerror(error);
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> const addresses(found, &::freeaddrinfo);
    std::variant<greeting, std::string> out = "no address";
    for (auto const* each = addresses.get(); each != nullptr; each = each->ai_next) {
        out = greeting_from(*each, interrupt, until);
        if (std::holds_alternative<greeting>(out)) break;
    }
    return out;
}

}  // namespace kedge::migration
