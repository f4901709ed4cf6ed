#include "migration/nats/wire_message.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <string_view>

#include "migration/nats/js_api.hpp"

namespace kedge::migration {

namespace {

/// libnats writes subjects and names as they are: a space or a line's end in one would be the protocol's.
bool fits_in_line(std::string_view text)
{
    return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; });
}

}  // namespace

nats_message_handle to_nats(bus_message const& what, char const* reply)
{
    if (!fits_in_line(what.subject) || (reply != nullptr && !fits_in_line(reply))) return nullptr;
    for (auto const& [name, value] : what.headers)
        if (!fits_in_line(name) || name.find(':') != name.npos || value.find('\0') != value.npos) return nullptr;
    if (what.body.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return nullptr;
    natsMsg* made = nullptr;
    if (natsMsg_Create(&made, what.subject.c_str(), reply, what.body.data(), static_cast<int>(what.body.size())) != NATS_OK) return nullptr;
    nats_message_handle out(made);
    for (auto const& [name, value] : what.headers)
        if (natsMsgHeader_Add(made, name.c_str(), value.c_str()) != NATS_OK) return nullptr;
    return out;
}

namespace {

/// The header block as it came, or nothing if there is none or it is not where libnats has always put it: subject, reply, headers and
/// data in one piece, each with a zero behind it. libnats's own reading of it takes the next header for an empty value
/// (3.4 to 3.13), and with it one of the two is lost.
std::string_view header_block(natsMsg* message)
{
    auto const* const before = natsMsg_GetReply(message) != nullptr ? natsMsg_GetReply(message) : natsMsg_GetSubject(message);
    auto const* const block = before + std::strlen(before) + 1;
    auto const* const data = natsMsg_GetData(message);
    constexpr std::string_view version = "NATS/1.0";
    if (std::less_equal<>{}(data, block + version.size())) return {};
    std::string_view const found(block, static_cast<std::size_t>(data - block - 1));
    return found.starts_with(version) ? found : std::string_view{};
}

bus_headers headers_by_libnats(natsMsg* message)
{
    bus_headers out;
    char const** names = nullptr;
    int count = 0;
    if (natsMsgHeader_Keys(message, &names, &count) != NATS_OK) return out;
    for (int i = 0; i < count; ++i) {
        char const** values = nullptr;
        int many = 0;
        if (natsMsgHeader_Values(message, names[i], &values, &many) != NATS_OK) continue;
        // An empty value comes as NULL.
        for (int n = 0; n < many; ++n) out.emplace_back(names[i], values[n] == nullptr ? "" : values[n]);
        std::free(values);
    }
    std::free(names);
    return out;
}

}  // namespace

bus_message from_nats(natsMsg* message)
{
    bus_message out;
    out.subject = natsMsg_GetSubject(message);
    if (auto const* const reply = natsMsg_GetReply(message)) out.reply = reply;
    if (auto const size = natsMsg_GetDataLength(message); size > 0)
        out.body.assign(natsMsg_GetData(message), static_cast<std::size_t>(size));
    if (auto const block = header_block(message); !block.empty()) out.headers = js_api::parse_headers(block);
    else out.headers = headers_by_libnats(message);
    return out;
}

}  // namespace kedge::migration
