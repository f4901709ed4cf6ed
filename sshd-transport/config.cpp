#include "sshd-transport/config.hpp"

#include <algorithm>
#include <functional>
#include <sstream>

#include <toml.hpp>

#include "migration/server_url.hpp"
#include "router/protocol/names.hpp"

namespace kedge {
namespace {

/// toml11 4 renamed what tells the place of a value.
std::size_t line_of(toml::source_location const& where)
{
#if defined(TOML11_VERSION_MAJOR) && TOML11_VERSION_MAJOR >= 4
    return where.first_line_number();
#else
    return where.line();
#endif
}

std::size_t line_of(toml::syntax_error const& error)
{
#if defined(TOML11_VERSION_MAJOR) && TOML11_VERSION_MAJOR >= 4
    auto const& errors = error.errors();
    return errors.empty() || errors.front().locations().empty() ? 0 : line_of(errors.front().locations().front().first);
#else
    return line_of(error.location());
#endif
}

std::string in_quotes(std::string_view text)
{
    std::string out = "\"";
    for (char const c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

std::string in_quotes(std::vector<std::string> const& list)
{
    std::string out = "[";
    for (auto const& each : list) out += (out.size() > 1 ? ", " : "") + in_quotes(each);
    return out + "]";
}

/// A name or address as others will resolve it: what may stand in a `host:port` without doubt.
bool valid_host(std::string_view text)
{
    if (text.empty() || text.size() > 255) return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    });
}

bool valid_server(std::string_view text)
{
    if (parse_endpoint(text)) return text.substr(text.rfind(':') + 1) != "0";
    auto const colon = text.find(':');
    return colon != text.npos && valid_host(text.substr(0, colon)) &&
           parse_endpoint("127.0.0.1" + std::string(text.substr(colon))) && text.substr(colon + 1) != "0";
}

/// A key: how its value is taken (an empty answer = taken, else what it has to be) and shown.
struct config_key {
    std::string section;
    std::string name;
    std::string text;
    bool live;  ///< a running server takes it over at SIGHUP
    std::function<std::string(toml::value const&, server_config&)> take;
    std::function<std::string(server_config const&)> show;
};

std::string range(std::uint64_t min, std::uint64_t max)
{
    return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
}

config_key number_key(std::string section, std::string_view name, std::string text, bool live, std::uint64_t min,
                      std::uint64_t max, std::function<std::uint64_t&(server_config&)> where)
{
    auto const take = [=](toml::value const& value, server_config& config) -> std::string {
        if (!value.is_integer() || value.as_integer() < 0) return range(min, max);
        auto const number = static_cast<std::uint64_t>(value.as_integer());
        if (number < min || number > max) return range(min, max);
        where(config) = number;
        return {};
    };
    auto const show = [=](server_config const& config) {
        auto copy = config;
        return std::to_string(where(copy));
    };
    return {std::move(section), std::string(name), std::move(text) + "; " + range(min, max), live, take, show};
}

/// Takes a list of strings each of which `valid` accepts.
std::string take_list(toml::value const& value, std::string const& what, std::function<bool(std::string const&)> valid,
                      std::vector<std::string>& out)
{
    constexpr std::size_t list_max = 256;
    if (!value.is_array() || value.as_array().size() > list_max) return what;
    std::vector<std::string> list;
    for (auto const& each : value.as_array()) {
        if (!each.is_string() || !valid(toml::get<std::string>(each))) return what;
        list.push_back(toml::get<std::string>(each));
    }
    out = std::move(list);
    return {};
}

std::vector<config_key> make_keys()
{
    std::vector<config_key> keys;
    keys.push_back({"server", "listen", "where to listen; port 0 lets the kernel pick", false,
                    [](toml::value const& value, server_config& config) -> std::string {
                        std::string const what = R"(a list of "ADDRESS:PORT" with numeric addresses, at least one)";
                        std::vector<std::string> list;
                        auto const valid = [](std::string const& text) { return parse_endpoint(text).has_value(); };
                        if (auto wrong = take_list(value, what, valid, list); !wrong.empty()) return wrong;
                        if (list.empty()) return what;
                        config.listen.clear();
                        for (auto const& each : list) config.listen.push_back(*parse_endpoint(each));
                        return {};
                    },
                    [](server_config const& config) {
                        std::vector<std::string> list;
                        for (auto const& each : config.listen) list.push_back(to_string(each));
                        return in_quotes(list);
                    }});
    keys.push_back({"server", "name", "host name by which clients reach this server; empty = none is told", false,
                    [](toml::value const& value, server_config& config) -> std::string {
                        if (!value.is_string()) return "a host name";
                        auto name = toml::get<std::string>(value);
                        if (!name.empty() && !valid_host(name)) return "a host name";
                        config.name = std::move(name);
                        return {};
                    },
                    [](server_config const& config) { return in_quotes(config.name); }});
    keys.push_back({"server", "servers", "where clients may go when this server is gone, told to each", false,
                    [](toml::value const& value, server_config& config) {
                        return take_list(value, R"(a list of "HOST:PORT")", valid_server, config.servers);
                    },
                    [](server_config const& config) { return in_quotes(config.servers); }});
    keys.push_back(number_key("server", "threads", "transport threads; 0 = one a core", false, 0, 64,
                              [](server_config& config) -> std::uint64_t& { return config.threads; }));
    keys.push_back({"log", "level", R"("debug", "info", "warning", "error" or "off")", true,
                    [](toml::value const& value, server_config& config) -> std::string {
                        if (value.is_string() && parse_log_level(toml::get<std::string>(value), config.level)) return {};
                        return R"("debug", "info", "warning", "error" or "off")";
                    },
                    [](server_config const& config) { return in_quotes(to_string(config.level)); }});
    keys.push_back({"log", "format", R"("text" or "json" (one object a line))", false,
                    [](toml::value const& value, server_config& config) -> std::string {
                        if (value.is_string() && parse_log_format(toml::get<std::string>(value), config.format)) return {};
                        return R"("text" or "json")";
                    },
                    [](server_config const& config) { return in_quotes(to_string(config.format)); }});
    keys.push_back({"log", "file", "absolute path of the log, opened again at SIGHUP (after rotation); empty = standard error", false,
                    [](toml::value const& value, server_config& config) -> std::string {
                        if (!value.is_string()) return "an absolute path, or \"\"";
                        auto path = toml::get<std::string>(value);
                        if (!path.empty() && path.front() != '/') return "an absolute path, or \"\"";
                        config.log_file = std::move(path);
                        return {};
                    },
                    [](server_config const& config) { return in_quotes(config.log_file); }});
    keys.push_back({"http", "listen", R"("ADDRESS:PORT" for /healthz, /readyz and /metrics; empty = none)", false,
                    [](toml::value const& value, server_config& config) -> std::string {
                        std::string const what = R"("ADDRESS:PORT" with a numeric address, or "")";
                        if (!value.is_string()) return what;
                        auto const text = toml::get<std::string>(value);
                        auto endpoint = parse_endpoint(text);
                        if (!endpoint && !text.empty()) return what;
                        config.http = endpoint;
                        return {};
                    },
                    [](server_config const& config) { return in_quotes(config.http ? to_string(*config.http) : ""); }});
    keys.push_back({"http", "anywhere", "true lets it listen on an address other than loopback; it has no login", false,
                    [](toml::value const& value, server_config& config) -> std::string {
                        if (!value.is_boolean()) return "true or false";
                        config.http_anywhere = value.as_boolean();
                        return {};
                    },
                    [](server_config const& config) { return std::string(config.http_anywhere ? "true" : "false"); }});
    keys.push_back({"gate", "exempt", "sources that are neither penalised nor counted by address", false,
                    [](toml::value const& value, server_config& config) {
                        return take_list(value, R"(a list of addresses or networks such as "10.0.0.0/8")", valid_cidr,
                                         config.exempt);
                    },
                    [](server_config const& config) { return in_quotes(config.exempt); }});
    keys.push_back(number_key("gate", "watchdog_ms", "a session that holds its thread for longer is named in the log", false,
                              10, 60'000, [](server_config& config) -> std::uint64_t& { return config.watchdog_ms; }));
    keys.push_back({"nats", "servers", R"(a list of "nats://HOST:PORT" or "tls://HOST:PORT", those of one cluster; empty = no NATS)", false,
                    [](toml::value const& value, server_config& config) {
                        auto const valid = [](std::string const& text) { return migration::parse_server_url(text).has_value(); };
                        return take_list(value, R"(a list of "nats://HOST:PORT" or "tls://HOST:PORT")", valid, config.nats.servers);
                    },
                    [](server_config const& config) { return in_quotes(config.nats.servers); }});
    keys.push_back({"nats", "stream_names", R"(a list of "STREAM=NAME": what JetStream calls the copy of a stream, if not stream_prefix and its name)", false,
                    [](toml::value const& value, server_config& config) {
                        auto const valid = [](std::string const& text) { return migration::valid_stream_name_pair(text); };
                        return take_list(value, R"(a list of "STREAM=NAME")", valid, config.nats.stream_names);
                    },
                    [](server_config const& config) { return in_quotes(config.nats.stream_names); }});
    for (auto const& field : migration::settings_texts())
        keys.push_back({"nats", std::string(field.name), std::string(field.text), false,
                        [member = field.member](toml::value const& value, server_config& config) -> std::string {
                            if (!value.is_string()) return "a text";
                            config.nats.*member = toml::get<std::string>(value);
                            return {};
                        },
                        [member = field.member](server_config const& config) { return in_quotes(config.nats.*member); }});
    for (auto const& field : migration::settings_numbers())
        keys.push_back(number_key("nats", field.name, std::string(field.text), false, field.min, field.max,
                                  [member = field.member](server_config& config) -> std::uint64_t& { return config.nats.*member; }));
    for (auto const& field : limit_fields())
        keys.push_back(number_key("limits", field.name, std::string(field.text), true, field.min, field.max,
                                  [member = field.member](server_config& config) -> std::uint64_t& {
                                      return config.limits.*member;
                                  }));
    return keys;
}

std::vector<config_key> const& keys()
{
    static std::vector<config_key> const all = make_keys();
    return all;
}

/// What the parser must not see. toml11 3 reads beyond its buffer at text that is not UTF-8 and descends once a bracket, so
/// that a file of brackets uses up the stack; TOML has no control characters.
std::optional<config_error> unfit(std::string_view text)
{
    constexpr int depth_max = 32;
    int depth = 0;
    for (std::size_t number = 1; !text.empty(); ++number) {
        auto const end = text.find('\n');
        auto line = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!valid_utf8(line)) return config_error{number, "not UTF-8"};
        bool comment = false;
        for (char const c : line) {
            auto const byte = static_cast<unsigned char>(c);
            if ((byte < 0x20 && c != '\t') || byte == 0x7f) return config_error{number, "a control character"};
            if (c == '#') comment = true;
            if (comment) continue;
            if ((c == '[' || c == '{') && ++depth > depth_max) return config_error{number, "brackets are nested too deeply"};
            if ((c == ']' || c == '}') && depth > 0) --depth;
        }
    }
    return std::nullopt;
}

std::string first_line(std::string_view text)
{
    return std::string(text.substr(0, text.find('\n')));
}

void take_section(std::string const& section, toml::value const& table, server_config& config,
                  std::vector<config_error>& errors)
{
    for (auto const& [name, value] : table.as_table()) {
        auto const line = line_of(value.location());
        auto const key = std::find_if(keys().begin(), keys().end(), [&, &name = name](config_key const& each) {
            return each.section == section && each.name == name;
        });
        if (key == keys().end()) {
            errors.push_back({line, "unknown key " + section + "." + name});
            continue;
        }
        auto const must_be = key->take(value, config);
        if (must_be.empty()) continue;
        std::ostringstream shown;
        shown << value;
        errors.push_back({line, section + "." + name + " = " + first_line(shown.str()) + " is not possible: it has to be " +
                                    must_be});
    }
}

}  // namespace

std::variant<server_config, std::vector<config_error>> parse_config(std::string_view text, server_config const& base)
{
    if (text.size() > config_bytes_max)
        return std::vector<config_error>{{0, "longer than " + std::to_string(config_bytes_max) + " bytes"}};
    if (auto const wrong = unfit(text)) return std::vector<config_error>{*wrong};

    server_config config = base;
    std::vector<config_error> errors;
    try {
        std::istringstream in{std::string(text)};
        toml::value const root = toml::parse(in, "configuration");
        for (auto const& [section, value] : root.as_table()) {
            bool const known = std::any_of(keys().begin(), keys().end(),
                                           [&, &section = section](config_key const& each) { return each.section == section; });
            if (!known)
                errors.push_back({line_of(value.location()),
                                  (value.is_table() ? "unknown section [" + section + "]" : "unknown key " + section)});
            else if (!value.is_table())
                errors.push_back({line_of(value.location()), section + " has to be a section: [" + section + "]"});
            else
                take_section(section, value, config, errors);
        }
    } catch (toml::syntax_error const& error) {
        errors = {{line_of(error), "not TOML: " + first_line(error.what())}};
    } catch (std::exception const& error) {
        // toml11 3 lets some mistakes out as std::out_of_range and the like.
        errors = {{0, "not TOML: " + first_line(error.what())}};
    }
    if (errors.empty()) return config;
    std::sort(errors.begin(), errors.end(), [](config_error const& a, config_error const& b) {
        return std::tie(a.line, a.message) < std::tie(b.line, b.message);
    });
    return errors;
}

std::vector<config_error> check_config(server_config const& config)
{
    struct order {
        std::uint64_t limits::*low;
        std::uint64_t limits::*high;
    };
    static constexpr order orders[] = {
        {&limits::header_bytes, &limits::frame_bytes},
        {&limits::ack_wait_ms_min, &limits::ack_wait_ms_max},
        {&limits::consumer_window, &limits::consumer_pending},
        {&limits::unauthenticated_early_drop, &limits::unauthenticated},
        {&limits::frame_bytes, &limits::link_inflight_bytes},
        {&limits::line_bytes, &limits::link_inflight_bytes},
        {&limits::line_bytes, &limits::link_unsent_bytes},
        {&limits::frame_bytes, &limits::link_unsent_bytes},
        {&limits::frame_bytes, &limits::store_queue_bytes},
        {&limits::dedupe_ids, &limits::dedupe_ids_total},
    };
    auto const name = [](std::uint64_t limits::*member) {
        for (auto const& field : limit_fields())
            if (field.member == member) return std::string(field.name);
        return std::string();
    };
    std::vector<config_error> errors;
    auto const& limit = config.limits;
    for (auto const& [low, high] : orders)
        if (limit.*low > limit.*high)
            errors.push_back({0, "limits." + name(low) + " (" + std::to_string(limit.*low) + ") is above limits." + name(high) +
                                     " (" + std::to_string(limit.*high) + ")"});
    // A message that may be sent has to fit into what carries it: base64 takes 4 bytes for 3, the rest is its header.
    if (limit.frame_bytes < limit.body_bytes + limit.header_bytes)
        errors.push_back({0, "limits.frame_bytes (" + std::to_string(limit.frame_bytes) +
                                 ") has no room for body_bytes and header_bytes: it has to be at least " +
                                 std::to_string(limit.body_bytes + limit.header_bytes)});
    auto const line = (limit.body_bytes + 2) / 3 * 4 + limit.header_bytes;
    if (limit.line_bytes < line)
        errors.push_back({0, "limits.line_bytes (" + std::to_string(limit.line_bytes) +
                                 ") has no room for body_bytes in base64 and header_bytes: it has to be at least " +
                                 std::to_string(line)});
    for (auto& each : migration::check_settings(config.nats)) errors.push_back({0, std::move(each)});
    if (config.http && !config.http_anywhere && !is_loopback(*config.http))
        errors.push_back({0, "http.listen = " + in_quotes(to_string(*config.http)) +
                                 " is not a loopback address and there is no login: set http.anywhere = true if it is meant"});
    return errors;
}

std::string print_config(server_config const& config)
{
    server_config const defaults;
    std::string out = "# Configuration of kedged: every key there is. A key that is commented out has its default.\n"
                      "# Check a file with: kedged --check-config --config FILE\n";
    std::string_view section;
    for (auto const& key : keys()) {
        if (key.section != section) {
            section = key.section;
            out += "\n[" + key.section + "]\n";
        }
        auto const value = key.show(config);
        auto const usual = key.show(defaults);
        out += "# " + key.text + "; default " + usual + (key.live ? "; SIGHUP takes it over" : "") + "\n";
        out += (value == usual ? "# " : "") + key.name + " = " + value + "\n";
    }
    return out;
}

std::vector<std::string> needs_restart(server_config const& now, server_config const& then)
{
    std::vector<std::string> changed;
    for (auto const& key : keys())
        if (!key.live && key.show(now) != key.show(then)) changed.push_back(key.section + "." + key.name);
    return changed;
}

}  // namespace kedge
