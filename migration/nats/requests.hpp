#pragma once
/// The requests of the port as JetStream's API has them: asked on a session, answered by one `answered`. Any thread that may block as
/// long as a write does.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "migration/backend.hpp"
#include "migration/nats/outlet.hpp"
#include "migration/nats/session.hpp"

namespace kedge::migration {

class requests {
public:
    /// `later` runs a piece of work on a thread that may block: what comes of an answer cannot ask again by itself.
    requests(std::shared_ptr<outlet>, std::string api_prefix, std::function<void(std::function<void()>)> later);

    void carry_out(std::shared_ptr<session> const&, backend_command::stream_info const&);
    void carry_out(std::shared_ptr<session> const&, backend_command::create_stream const&);
    void carry_out(std::shared_ptr<session> const&, backend_command::update_stream const&);
    void carry_out(std::shared_ptr<session> const&, backend_command::delete_stream const&);
    void carry_out(std::shared_ptr<session> const&, backend_command::list_streams const&);
    void carry_out(std::shared_ptr<session> const&, backend_command::get_message const&);
    void carry_out(std::shared_ptr<session> const&, backend_command::account const&);
    void carry_out(std::shared_ptr<session> const&, backend_command::find_services const&);

private:
    using result = decltype(backend_event::answered::what);

    /// Asks, and tells what `parse` makes of the answer.
    void ask(std::shared_ptr<session> const&, token, std::string const& subject, std::string const& payload,
             std::function<result(nlohmann::json const&)> parse);
    void list(std::shared_ptr<session> const&, token, std::vector<jet_info> so_far);

    std::shared_ptr<outlet> const outlet_;
    std::string const api_;
    std::function<void(std::function<void()>)> const later_;
};

}  // namespace kedge::migration
