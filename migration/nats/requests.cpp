#include "migration/nats/requests.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "migration/nats/js_api.hpp"

namespace kedge::migration {

using nlohmann::json;

namespace {

/// Descriptions come from an operator and need not be UTF-8.
std::string dumped(json const& value)
{
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

backend_event::problem not_understood()
{
    return {0, "the server's answer cannot be understood", false, false};
}

template <typename T>
decltype(backend_event::answered::what) or_problem(std::optional<T> value)
{
    if (value) return std::move(*value);
    return not_understood();
}

}  // namespace

requests::requests(std::shared_ptr<outlet> out, std::string api_prefix, std::function<void(std::function<void()>)> later)
    : outlet_(std::move(out)), api_(std::move(api_prefix)), later_(std::move(later))
{
}

void requests::ask(std::shared_ptr<session> const& link, token request, std::string const& subject, std::string const& payload,
                   std::function<result(json const&)> parse)
{
    link->ask(subject, payload, [out = outlet_, request, parse = std::move(parse)](session::reply reply) {
        backend_event::answered event{request, {}};
        if (auto* wrong = std::get_if<backend_event::problem>(&reply)) {
            event.what = std::move(*wrong);
        } else {
            auto answer = js_api::parse_answer(std::get<std::string_view>(reply));
            if (auto* refused = std::get_if<backend_event::problem>(&answer)) event.what = std::move(*refused);
            else event.what = parse(std::get<json>(answer));
        }
        out->tell(std::move(event));
        return false;
    });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::stream_info const& what)
{
    ask(link, what.request, api_ + "STREAM.INFO." + what.stream, {}, [](json const& said) { return or_problem(js_api::parse_info(said)); });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::create_stream const& what)
{
    ask(link, what.request, api_ + "STREAM.CREATE." + what.config.name, dumped(js_api::config_json(what.config)),
        [](json const& said) { return or_problem(js_api::parse_info(said)); });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::update_stream const& what)
{
    // What an operator set there and kedge has no word for has to stay.
    link->ask(api_ + "STREAM.INFO." + what.config.name, {}, [this, link, what](session::reply reply) {
        auto const give_up = [&](backend_event::problem why) { outlet_->tell(backend_event::answered{what.request, std::move(why)}); };
        if (auto* wrong = std::get_if<backend_event::problem>(&reply)) {
            give_up(std::move(*wrong));
            return false;
        }
        auto answer = js_api::parse_answer(std::get<std::string_view>(reply));
        if (auto* refused = std::get_if<backend_event::problem>(&answer)) {
            give_up(std::move(*refused));
            return false;
        }
        auto const& there = std::get<json>(answer);
        if (!there.contains("config")) {
            give_up(not_understood());
            return false;
        }
        later_([this, link, what, payload = dumped(js_api::merged_config(there.at("config"), what.config))] {
            ask(link, what.request, api_ + "STREAM.UPDATE." + what.config.name, payload,
                [](json const& said) { return or_problem(js_api::parse_info(said)); });
        });
        return false;
    });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::delete_stream const& what)
{
    ask(link, what.request, api_ + "STREAM.DELETE." + what.stream, {}, [](json const&) -> result { return std::monostate{}; });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::list_streams const& what)
{
    list(link, what.request, {});
}

void requests::list(std::shared_ptr<session> const& link, token request, std::vector<jet_info> so_far)
{
    auto const payload = json{{"offset", so_far.size()}}.dump();
    auto const collected = std::make_shared<std::vector<jet_info>>(std::move(so_far));
    link->ask(api_ + "STREAM.LIST", payload, [this, link, request, collected](session::reply reply) {
        auto const end = [&](result what) { outlet_->tell(backend_event::answered{request, std::move(what)}); };
        if (auto* wrong = std::get_if<backend_event::problem>(&reply)) {
            end(std::move(*wrong));
            return false;
        }
        auto answer = js_api::parse_answer(std::get<std::string_view>(reply));
        if (auto* refused = std::get_if<backend_event::problem>(&answer)) {
            end(std::move(*refused));
            return false;
        }
        auto const& page = std::get<json>(answer);
        std::size_t added = 0;
        if (auto const streams = page.find("streams"); streams != page.end() && streams->is_array())
            for (auto const& each : *streams)
                if (auto info = js_api::parse_info(each)) {
                    collected->push_back(std::move(*info));
                    ++added;
                }
        auto const total = page.find("total");
        bool const more = added > 0 && total != page.end() && total->is_number_unsigned() && total->get<std::size_t>() > collected->size();
        if (more) later_([this, link, request, collected] { list(link, request, std::move(*collected)); });
        else end(std::move(*collected));
        return false;
    });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::get_message const& what)
{
    json wanted{{"seq", what.place}};
    if (what.or_next) wanted["next_by_subj"] = ">";
    ask(link, what.request, api_ + "STREAM.MSG.GET." + what.stream, wanted.dump(),
        [](json const& said) { return or_problem(js_api::parse_message(said)); });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::account const& what)
{
    link->ask(api_ + "INFO", {}, [out = outlet_, request = what.request](session::reply reply) {
        constexpr int nobody = 503, off_for_account = 10039, off = 10076;
        backend_event::answered event{request, {}};
        auto const no = [&](backend_event::problem why) {
            if (why.code == nobody || why.code == off_for_account || why.code == off) event.what = backend_event::account_info{};
            else event.what = std::move(why);
        };
        if (auto* wrong = std::get_if<backend_event::problem>(&reply)) {
            no(std::move(*wrong));
        } else {
            auto answer = js_api::parse_answer(std::get<std::string_view>(reply));
            if (auto* refused = std::get_if<backend_event::problem>(&answer)) no(std::move(*refused));
            else event.what = or_problem(js_api::parse_account(std::get<json>(answer)));
        }
        out->tell(std::move(event));
        return false;
    });
}

void requests::carry_out(std::shared_ptr<session> const& link, backend_command::find_services const& what)
{
    // Whoever answers in time; each instance answers for itself.
    constexpr std::size_t services_max = 10'000;
    auto const found = std::make_shared<std::vector<backend_event::bus_service>>();
    link->ask("$SRV.INFO", {}, std::chrono::milliseconds(what.wait_ms), [out = outlet_, found, request = what.request](session::reply reply) {
        if (auto const* text = std::get_if<std::string_view>(&reply)) {
            auto service = js_api::parse_service(*text);
            if (!service || found->size() >= services_max) return true;
            auto const same = std::find_if(found->begin(), found->end(), [&](auto const& each) { return each.name == service->name; });
            if (same == found->end()) {
                found->push_back(std::move(*service));
            } else {
                for (auto& subject : service->subjects)
                    if (std::find(same->subjects.begin(), same->subjects.end(), subject) == same->subjects.end())
                        same->subjects.push_back(std::move(subject));
            }
            return true;
        }
        // The end of the time, or nobody at all; or the end of the link, which `away` without its own sentence would hide.
        auto& why = std::get<backend_event::problem>(reply);
        bool const in_time = why.code == 503 || why.why.starts_with("no answer");
        backend_event::answered event{request, {}};
        if (in_time) event.what = std::move(*found);
        else event.what = std::move(why);
        out->tell(std::move(event));
        return false;
    });
}

}  // namespace kedge::migration
