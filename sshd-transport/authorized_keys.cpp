#include "sshd-transport/authorized_keys.hpp"

#include <algorithm>
#include <ctime>
#include <optional>

#include "router/protocol/names.hpp"
#include "sshd-transport/config.hpp"

namespace kedge {
namespace {

using problem = std::string;  ///< a sentence; empty = none

bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

std::string_view trimmed(std::string_view text)
{
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && (is_blank(text.back()) || text.back() == '\r')) text.remove_suffix(1);
    return text;
}

/// Where the options end: at the first blank outside quotes.
std::size_t options_end(std::string_view line)
{
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '"')
            ++i;
        else if (line[i] == '"')
            quoted = !quoted;
        else if (is_blank(line[i]) && !quoted)
            return i;
    }
    return line.size();
}

std::optional<int> digits(std::string_view text)
{
    int value = 0;
    for (char const c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    return value;
}

/// "YYYYMMDD[HHMM[SS]][Z]" in milliseconds since 1970.
std::optional<std::uint64_t> parse_time(std::string_view text)
{
    bool const utc = !text.empty() && text.back() == 'Z';
    if (utc) text.remove_suffix(1);
    if (text.size() != 8 && text.size() != 12 && text.size() != 14) return std::nullopt;
    auto const part = [&](std::size_t at, std::size_t size) {
        return at < text.size() ? digits(text.substr(at, size)) : std::optional<int>(0);
    };
    auto const year = part(0, 4), month = part(4, 2), day = part(6, 2), hour = part(8, 2), minute = part(10, 2),
               second = part(12, 2);
    if (!year || !month || !day || !hour || !minute || !second || *year < 1970) return std::nullopt;
    std::tm when{};
    when.tm_year = *year - 1900;
    when.tm_mon = *month - 1;
    when.tm_mday = *day;
    when.tm_hour = *hour;
    when.tm_min = *minute;
    when.tm_sec = *second;
    when.tm_isdst = -1;
    auto const wanted = when;
    auto const time = utc ? timegm(&when) : mktime(&when);
    // Both functions turn the 31st of February into a day of March.
    if (when.tm_mon != wanted.tm_mon || when.tm_mday != wanted.tm_mday || *hour > 23 || *minute > 59 || *second > 59)
        return std::nullopt;
    // 1970 itself would read as "never expires".
    if (time <= 0) return std::nullopt;
    return static_cast<std::uint64_t>(time) * 1000;
}

problem take_from(std::string_view value, account_key& key)
{
    while (true) {
        auto const comma = value.find(',');
        auto const cidr = trimmed(value.substr(0, comma));
        if (!valid_cidr(cidr)) return "from: \"" + std::string(cidr) + "\" is not an address or network (names are not looked up)";
        key.from.emplace_back(cidr);
        if (comma == value.npos) return {};
        value.remove_prefix(comma + 1);
    }
}

struct options {
    std::string user;
    std::string role;
    account_key limits;  ///< `from` and `expires_ms`
};

problem take_option(std::string_view name, std::optional<std::string> const& value, options& out)
{
    if (name == "restrict") return value ? "restrict takes no value" : "";
    bool const known = name == "user" || name == "role" || name == "from" || name == "expiry-time";
    if (!known) return "unknown option \"" + std::string(name) + "\"";
    if (!value) return std::string(name) + " needs a value in quotes";
    if (name == "user") {
        if (!valid_user(*value)) return "user: \"" + *value + "\" is not a user name ([a-z0-9][a-z0-9_-]{0,31})";
        out.user = *value;
    } else if (name == "role") {
        if (!valid_role(*value)) return "role: \"" + *value + "\" is not operator, user or bot";
        out.role = *value;
    } else if (name == "from") {
        return take_from(*value, out.limits);
    } else {
        auto const time = parse_time(*value);
        if (!time) return "expiry-time: \"" + *value + "\" is not YYYYMMDD[HHMM[SS]][Z]";
        out.limits.expires_ms = *time;
    }
    return {};
}

/// `name="value",name,…`: the value in double quotes, in which `\"` stands for a quote.
problem parse_options(std::string_view text, options& out)
{
    std::vector<std::string> seen;
    while (true) {
        std::size_t at = 0;
        std::string name;
        while (at < text.size() && text[at] != '=' && text[at] != ',' && text[at] != '"')
            name += static_cast<char>(text[at] >= 'A' && text[at] <= 'Z' ? text[at] + 32 : text[at]), ++at;
        if (name.empty()) return "an option without a name";
        std::optional<std::string> value;
        if (at < text.size() && text[at] == '=') {
            if (++at == text.size() || text[at] != '"') return name + ": the value has to stand in double quotes";
            value.emplace();
            for (++at; at < text.size() && text[at] != '"'; ++at) {
                if (text[at] == '\\' && at + 1 < text.size() && text[at + 1] == '"') ++at;
                *value += text[at];
            }
            if (at == text.size()) return name + ": the quotes are not closed";
            ++at;
        }
        if (std::find(seen.begin(), seen.end(), name) != seen.end()) return name + " is given twice";
        seen.push_back(name);
        if (auto wrong = take_option(name, value, out); !wrong.empty()) return wrong;
        if (at == text.size()) return {};
        if (text[at] != ',') return name + ": a comma or a blank has to follow";
        text.remove_prefix(at + 1);
    }
}

problem parse_line(std::string_view line, authorized_keys& out)
{
    if (line.find('\0') != line.npos) return "a NUL byte";
    if (parse_public_key(line)) return "without user=\"…\" nobody knows whose key it is";
    auto const end = options_end(line);
    options said;
    auto wrong = parse_options(line.substr(0, end), said);
    auto const key_text = trimmed(line.substr(end));
    if (key_text.empty() || !wrong.empty()) return wrong.empty() ? "no key after the options" : wrong;
    auto key = parse_public_key(key_text);
    if (!key) return "not a public key: \"TYPE BASE64 [COMMENT]\" has to follow the options";
    if (said.user.empty()) return "without user=\"…\" nobody knows whose key it is";
    key->user = said.user;
    key->role = said.role;
    key->from = std::move(said.limits.from);
    key->expires_ms = said.limits.expires_ms;
    key->from_file = true;
    out.keys.push_back(std::move(*key));
    return {};
}

}  // namespace

authorized_keys parse_authorized_keys(std::string_view text)
{
    authorized_keys out;
    if (text.size() > authorized_keys_bytes_max) {
        out.refused.push_back({1, "the file is longer than " + std::to_string(authorized_keys_bytes_max) + " bytes"});
        return out;
    }
    for (std::size_t number = 1; !text.empty(); ++number) {
        auto const end = text.find('\n');
        auto const whole = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        auto const line = trimmed(whole);
        if (line.empty() || line.front() == '#') continue;
        if (whole.size() > authorized_keys_line_max)
            out.refused.push_back({number, "longer than " + std::to_string(authorized_keys_line_max) + " bytes"});
        else if (auto wrong = parse_line(line, out); !wrong.empty())
            out.refused.push_back({number, std::move(wrong)});
    }
    std::vector<std::string> names;
    for (auto const& key : out.keys) names.push_back(key.user);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (auto& name : names) {
        account_user user;
        user.name = std::move(name);
        user.from_file = true;
        out.users.push_back(std::move(user));
    }
    return out;
}

}  // namespace kedge
