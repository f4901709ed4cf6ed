#include "router/admin/admin.hpp"
#include "router/core/core.hpp"

namespace kedge {

void admin::backup(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto path = args.value("path", "");
    auto const request = core_.next_token();
    if (path.empty())
        return refuse(from, "backup to which file?", out);
    if (path == "-")  // a token alone comes again after a restart, and a file may have been left behind
        path = "backup-" + std::to_string(now.wall_ms) + "-" + std::to_string(static_cast<std::uint64_t>(request)) + ".stream";
    if (path.front() != '/')
        path = core_.config_.home + "/" + path;
    ask_store(from, request, store_request::backup{request, path},
              when_done(from, [path](instant, actions&) { return nlohmann::json{{"path", path}}; }), out);
}

void admin::check(caller from, nlohmann::json const&, instant, actions& out)
{
    if (checking_)
        return refuse(from, "another check is under way", out);
    auto const request = core_.next_token();
    checking_.emplace(from, request);
    out.requests.push_back(store_request::check{request});
}

bool admin::on_checked(store_event::any const& e, actions& out)
{
    auto const* const checked = std::get_if<store_event::checked>(&e);
    auto const* const failed = std::get_if<store_event::failed>(&e);
    if (!checking_ || (checked == nullptr && failed == nullptr))
        return false;
    if (checking_->second != (checked != nullptr ? checked->request : failed->request))
        return false;
    auto const from = checking_->first;
    checking_.reset();
    if (failed != nullptr)
        refuse(from, failed->why.message, out);
    else
        done(from, {{"findings", checked->findings}, {"rows", checked->rows}, {"streams", core_.streams_.size()}}, out);
    return true;
}

}  // namespace kedge
