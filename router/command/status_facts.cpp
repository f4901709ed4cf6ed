#include "router/command/status_facts.hpp"

#include <array>

namespace kedge {
namespace {

using form = field_form;

struct part {
    column value;
    std::string_view text;      ///< of one
    std::string_view text_all;  ///< of several
};

/// What is not zero of it, joined by commas.
std::string joined(nlohmann::json const& from, std::span<part const> parts)
{
    std::string out;
    if (!from.is_object())
        return out;
    for (auto const& p : parts)
        if (auto const v = from.find(p.value.field); v != from.end() && v->is_number() && v->get<double>() != 0) {
            out += (out.empty() ? "" : ", ") + render_field(from, p.value);
            out += v->get<double>() == 1 ? p.text : p.text_all;
        }
    return out;
}

nlohmann::json const& metrics_of(nlohmann::json const& data)
{
    static nlohmann::json const none = nlohmann::json::object();
    auto const found = data.is_object() ? data.find("metrics") : data.end();
    return found != data.end() && found->is_object() ? *found : none;
}

}  // namespace

nlohmann::json const& array_of(nlohmann::json const& data, std::string_view name)
{
    static nlohmann::json const none = nlohmann::json::array();
    auto const found = data.is_object() ? data.find(name) : data.end();
    return found != data.end() && found->is_array() ? *found : none;
}

double number_of(nlohmann::json const& data, std::string_view name)
{
    auto const found = data.is_object() ? data.find(name) : data.end();
    return found != data.end() && found->is_number() ? found->get<double>() : 0;
}

double metric_of(nlohmann::json const& data, std::string_view name) { return number_of(metrics_of(data), name); }

std::string status_head(nlohmann::json const& data, command_environment const& e)
{
    auto const& why = array_of(data, "why");
    auto out = styled(render_field(data, column{"", "server"}), style::bold, e) + ", up " +
               render_field(data, column{"", "uptime_ms", form::duration}) + "  ";
    return out + (why.empty() ? styled("all is well", style::green, e)
                              : styled(std::to_string(why.size()) + (why.size() == 1 ? " thing is" : " things are") + " not well",
                                       style::red, e));
}

std::vector<std::string> status_why(nlohmann::json const& data)
{
    std::vector<std::string> out;
    for (auto const& sentence : array_of(data, "why"))
        out.push_back(printable(sentence.is_string() ? sentence.get<std::string>() : sentence.dump()));
    return out;
}

std::vector<std::string> status_lines(nlohmann::json const& data)
{
    // What is on its way through the server now, from its clients' sockets to the disk and back.
    static constexpr std::array waiting{
        part{{"", "router_inbox_events", form::number}, " event for the router", " events for the router"},
        part{{"", "operations_held", form::number}, " operation held back", " operations held back"},
        part{{"", "links_throttled", form::number}, " link for its user's rates", " links for their users' rates"},
        part{{"", "operations_unanswered", form::number}, " operation for its answer", " operations for their answer"},
        part{{"", "calls_open", form::number}, " call for its reply", " calls for their reply"},
        part{{"", "store_queue_bytes", form::size}, " for the disk", " for the disk"},
        part{{"", "unsent_bytes", form::size}, " for clients to read", " for clients to read"},
        part{{"", "deliveries_pending", form::number}, " delivery for its ack", " deliveries for their ack"}};
    static constexpr std::array mail{part{{"", "inboxes", form::number}, " inbox", " inboxes"},
                                     part{{"", "posts", form::number}, " post since the start", " posts since the start"},
                                     part{{"", "aliases", form::number}, " alias", " aliases"},
                                     part{{"", "lists", form::number}, " list", " lists"}};
    static constexpr std::array services{part{{"", "services", form::number}, " service", " services"},
                                         part{{"", "service_instances", form::number}, " instance", " instances"},
                                         part{{"", "calls", form::number}, " call since the start", " calls since the start"},
                                         part{{"", "calls_unhandled", form::number}, " of which nobody answered", " of which nobody answered"}};
    static constexpr std::array kept_out{part{{"", "bans", form::number}, " ban", " bans"},
                                         part{{"", "penalised_sources", form::number}, " address that failed to log in",
                                              " addresses that failed to log in"}};
    auto const& metrics = metrics_of(data);
    auto const fact = [&](char const* name) { return render_field(data, column{"", name, form::number}); };
    std::vector<std::string> out;
    out.push_back(fact("sessions") + " sessions, " + fact("links") + " links, " + fact("nodes") + " nodes");
    auto const waits = joined(metrics, waiting);
    out.push_back("waiting: " + (waits.empty() ? "nothing" : waits));
    if (auto const line = joined(metrics, mail); !line.empty())
        out.push_back("mail: " + line);
    if (auto const line = joined(metrics, services); !line.empty())
        out.push_back("services: " + line);
    auto all = metrics;
    all["bans"] = number_of(data, "bans") == 0 ? nlohmann::json(0) : data["bans"];
    if (auto const line = joined(all, kept_out); !line.empty())
        out.push_back("kept out: " + line);
    return out;
}

}  // namespace kedge
