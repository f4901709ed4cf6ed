#pragma once
/// What stands for NATS where none is configured: never a link, and it says why.

#include <utility>

#include "migration/backend.hpp"

namespace kedge::migration {

class absent_backend final : public pubsub_backend {
public:
    static constexpr char const* why = "no NATS server is configured: [nats] servers is empty";

    void open(sink s) override
    {
        sink_ = std::move(s);
        sink_(backend_event::link_failed{why});
    }
    void close() override { sink_ = nullptr; }
    void submit(std::vector<backend_command::any> commands) override
    {
        for (auto const& each : commands)
            std::visit([this](auto const& command) { answer(command); }, each);
    }

private:
    void answer(backend_command::publish const& command)
    {
        sink_(backend_event::refused{command.ticket, command.connection, false, false, 0, why});
    }
    template <class Command>
    void answer(Command const& command)
    {
        if constexpr (requires { command.request; })
            sink_(backend_event::answered{command.request, backend_event::problem{0, why, true, false}});
    }

    sink sink_;
};

}  // namespace kedge::migration
