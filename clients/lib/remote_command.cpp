#include "clients/lib/remote_command.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <boost/asio/post.hpp>

#include "clients/lib/client_pump.hpp"
#include "clients/lib/ssh_connection.hpp"

namespace kedge {

using namespace client_lib;

struct remote_command::impl final : std::enable_shared_from_this<impl>, ssh_connection::handler {
    impl(boost::asio::any_io_executor e, client_options const& o, std::string l)
        : executor{std::move(e)}, login{login_of(o)}, line{std::move(l)}
    {
        if (o.servers.empty())
            throw std::invalid_argument{"no server is named"};
        for (auto const& text : o.servers) {
            auto address = parse_address(text);
            if (!address)
                throw std::invalid_argument{"'" + text + "' is not of the form USER@HOST:PORT"};
            servers.push_back(std::move(*address));
        }
    }

    boost::asio::any_io_executor executor;
    ssh_login login;
    std::string line;
    std::vector<ssh_address> servers;
    std::size_t next = 0;
    std::shared_ptr<ssh_connection> connection;
    std::string unsent;
    bool input_ended = false;
    bool opened = false;
    bool stopped = false;
    std::function<void(std::string_view, bool)> output;
    std::function<void(result<int> const&)> ended;

    void connect()
    {
        if (!stopped)
            connection = ssh_connection::open(executor, servers[next], login, {ssh_request::kind::exec, line}, *this);
    }

    void on_open() override
    {
        opened = true;
        if (input_ended)
            connection->end_of_input();
    }
    void on_data(std::string_view bytes, bool is_error_stream) override
    {
        auto const self = shared_from_this();
        if (output)
            output(bytes, is_error_stream);
    }
    void on_writable(std::string& out, std::size_t bytes_max) override
    {
        auto const n = std::min(bytes_max, unsent.size());
        out.append(unsent, 0, n);
        unsent.erase(0, n);
        if (input_ended && unsent.empty())
            connection->end_of_input();
    }
    void on_end(std::optional<int> exit_status, std::optional<ssh_failure> why) override
    {
        auto const self = shared_from_this();
        // Only what certainly has not begun is tried elsewhere.
        if (!opened && !stopped && why && next + 1 < servers.size()) {
            ++next;
            boost::asio::post(executor, [self] { self->connect(); });
            return;
        }
        if (!ended || stopped)
            return;
        if (exit_status)
            ended(*exit_status);
        else
            ended(failure{error_code::unavailable, why ? why->message : "the server closed the channel without an answer"});
    }
};

remote_command::remote_command(boost::asio::io_context& io, client_options const& o, std::string line)
    : impl_{std::make_shared<impl>(io.get_executor(), o, std::move(line))}
{
    boost::asio::post(io, [self = impl_] { self->connect(); });
}

remote_command::~remote_command()
{
    impl_->stopped = true;
    if (impl_->connection)
        impl_->connection->close();
}

void remote_command::on_output(std::function<void(std::string_view, bool)> f) { impl_->output = std::move(f); }
void remote_command::on_end(std::function<void(result<int> const&)> f) { impl_->ended = std::move(f); }

void remote_command::input(std::string_view bytes)
{
    impl_->unsent += bytes;
    if (impl_->opened)
        impl_->connection->wake();
}

void remote_command::end_input()
{
    impl_->input_ended = true;
    if (impl_->opened)
        impl_->connection->wake();
}

std::size_t remote_command::unsent() const { return impl_->unsent.size(); }

}  // namespace kedge
