#pragma once
/// Hands on what the migration wants of the router, and writes down what an operator will want to read later: each change of a
/// stream's migration and of the link to NATS.

#include <string>
#include <utility>
#include <vector>

#include "router/migration_port.hpp"

namespace kedge {

/// Migration thread; `to` outlives it.
class migration_log final : public migration_host {
public:
    explicit migration_log(migration_host& to) : to_{to} {}

    void append(std::vector<store_request::append> batch) override { to_.append(std::move(batch)); }
    void submit(std::vector<store_request::any> batch) override { to_.submit(std::move(batch)); }
    void tell(std::vector<store_event::any> events) override { to_.tell(std::move(events)); }
    void answer(token request, admin_result result) override { to_.answer(request, std::move(result)); }
    void say(std::vector<link_event::any> events) override { to_.say(std::move(events)); }
    void show(migration_picture_ptr) override;
    void announce(std::string stream, nlohmann::json what) override;

private:
    migration_host& to_;
    std::string link_;  ///< as it was last told
};

}  // namespace kedge
