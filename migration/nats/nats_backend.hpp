#pragma once
/// The port to real NATS servers, by libnats. Threads: libnats's own; one that connects, again and again; one that carries
/// commands out, because a write may block for as long as libnats's write deadline; one a reader. Events leave one at a time.

#include <memory>

#include "migration/backend.hpp"
#include "migration/settings.hpp"

namespace kedge::migration {

class nats_backend final : public pubsub_backend {
public:
    /// `settings.servers` has at least one valid address; its files are read at each connection.
    explicit nats_backend(settings);
    ~nats_backend() override;

    void open(sink) override;
    void close() override;
    void submit(std::vector<backend_command::any>) override;
    std::uint64_t unsent_bytes() const noexcept override;

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge::migration
