#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration/settings.hpp"

namespace kedge::migration {
namespace {

struct named_file {
    char const* name;
    std::string settings::*member;
    bool secret;
};
constexpr named_file named_files[] = {
    {"ca_file", &settings::ca_file, false},
    {"certificate_file", &settings::certificate_file, false},
    {"key_file", &settings::key_file, true},
    {"credentials_file", &settings::credentials_file, true},
    {"nkey_file", &settings::nkey_file, true},
    {"password_file", &settings::password_file, true},
    {"token_file", &settings::token_file, true},
};

/// Empty = it can be used.
std::string fault_of(std::string const& path, bool secret)
{
    // Not for ever at a FIFO.
    int const fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return std::string("cannot be read: ") + std::strerror(errno);
    struct stat facts {};
    bool const known = ::fstat(fd, &facts) == 0;
    ::close(fd);
    if (!known || !S_ISREG(facts.st_mode)) return "is no file";
    if (secret && (facts.st_mode & 077) != 0) return "can be read or changed by others: chmod 600 " + path;
    return {};
}

/// What may stand in a JetStream stream's name, or be a token of a subject.
bool fits_in_name(std::string const& text)
{
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

}  // namespace

std::vector<std::string> check_settings(settings const& set)
{
    std::vector<std::string> wrong;
    for (auto const& text : settings_texts()) {
        auto const& value = set.*text.member;
        auto const name = "nats." + std::string(text.name);
        if (std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
            wrong.push_back(name + " has a control character");
        if (value.size() > 1024) wrong.push_back(name + " is longer than 1024 bytes");
    }
    for (auto const& each : named_files)
        if (auto const& path = set.*each.member; !path.empty() && path.front() != '/')
            wrong.push_back(std::string("nats.") + each.name + " = \"" + path + "\" is not an absolute path");
    if (set.certificate_file.empty() != set.key_file.empty())
        wrong.push_back("nats.certificate_file and nats.key_file belong together: one of them is missing");
    if (set.user.empty() != set.password_file.empty())
        wrong.push_back("nats.user and nats.password_file belong together: one of them is missing");
    int const logins = !set.credentials_file.empty() + !set.nkey_file.empty() + !set.user.empty() + !set.token_file.empty();
    if (logins > 1) wrong.push_back("nats: only one of credentials_file, nkey_file, user and token_file can be used");
    if (!fits_in_name(set.stream_prefix) || set.stream_prefix.size() > 64)
        wrong.push_back("nats.stream_prefix may have letters, digits, '-' and '_', 64 at most");
    for (auto one = set.stream_names.begin(); one != set.stream_names.end(); ++one)
        for (auto other = set.stream_names.begin(); other != one; ++other) {
            std::string_view const a{*one}, b{*other};
            if (a.substr(0, a.find('=')) == b.substr(0, b.find('=')) || a.substr(a.find('=') + 1) == b.substr(b.find('=') + 1))
                wrong.push_back("nats.stream_names: \"" + *other + "\" and \"" + *one + "\" have a name in common");
        }
    if (!fits_in_name(set.domain) || set.domain.size() > 64) wrong.push_back("nats.domain may have letters, digits, '-' and '_', 64 at most");
    if (set.import_messages > set.read_messages) wrong.push_back("nats.import_messages is above nats.read_messages");
    if (set.import_bytes > set.read_bytes) wrong.push_back("nats.import_bytes is above nats.read_bytes");
    return wrong;
}

std::vector<std::string> check_settings_files(settings const& set)
{
    std::vector<std::string> wrong;
    for (auto const& each : named_files) {
        auto const& path = set.*each.member;
        if (path.empty()) continue;
        if (auto const fault = fault_of(path, each.secret); !fault.empty())
            wrong.push_back(std::string("nats.") + each.name + ": " + path + " " + fault);
    }
    return wrong;
}

}  // namespace kedge::migration
