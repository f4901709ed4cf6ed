#include "migration/nats/wire_message.hpp"

#include <cstdlib>
#include <limits>

namespace kedge::migration {

nats_message_handle to_nats(bus_message const& what, char const* reply)
{
    if (what.body.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return nullptr;
    natsMsg* made = nullptr;
    if (natsMsg_Create(&made, what.subject.c_str(), reply, what.body.data(), static_cast<int>(what.body.size())) != NATS_OK) return nullptr;
    nats_message_handle out(made);
    for (auto const& [name, value] : what.headers)
        if (natsMsgHeader_Add(made, name.c_str(), value.c_str()) != NATS_OK) return nullptr;
    return out;
}

bus_message from_nats(natsMsg* message)
{
    bus_message out;
    out.subject = natsMsg_GetSubject(message);
    if (auto const* const reply = natsMsg_GetReply(message)) out.reply = reply;
    if (auto const size = natsMsg_GetDataLength(message); size > 0)
        out.body.assign(natsMsg_GetData(message), static_cast<std::size_t>(size));
    char const** names = nullptr;
    int count = 0;
    if (natsMsgHeader_Keys(message, &names, &count) != NATS_OK) return out;
    out.headers.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        char const** values = nullptr;
        int many = 0;
        if (natsMsgHeader_Values(message, names[i], &values, &many) != NATS_OK) continue;
        // libnats gives an empty value back as NULL.
        for (int n = 0; n < many; ++n) out.headers.emplace_back(names[i], values[n] == nullptr ? "" : values[n]);
        std::free(values);
    }
    std::free(names);
    return out;
}

}  // namespace kedge::migration
