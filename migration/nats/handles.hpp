#pragma once
/// libnats's objects, each with its end. The only folder that includes nats.h.

#include <memory>
#include <string>
#include <string_view>

#include <nats/nats.h>

namespace kedge::migration {

template <auto Destroy>
struct nats_deleter {
    template <typename T>
    void operator()(T* what) const noexcept
    {
        Destroy(what);
    }
};
using nats_options_handle = std::unique_ptr<natsOptions, nats_deleter<natsOptions_Destroy>>;
using nats_connection_handle = std::unique_ptr<natsConnection, nats_deleter<natsConnection_Destroy>>;
using nats_subscription_handle = std::unique_ptr<natsSubscription, nats_deleter<natsSubscription_Destroy>>;
using nats_message_handle = std::unique_ptr<natsMsg, nats_deleter<natsMsg_Destroy>>;
using nats_inbox_handle = std::unique_ptr<natsInbox, nats_deleter<natsInbox_Destroy>>;

/// What libnats says of the call that has just failed in this thread, one line.
inline std::string nats_sentence(natsStatus status)
{
    natsStatus last = NATS_OK;
    char const* const said = nats_GetLastError(&last);
    auto const* const text = natsStatus_GetText(status);
    if (said == nullptr || *said == '\0' || last != status) return text == nullptr ? "unknown error" : text;
    // "(conn.c:2051): sentence"
    std::string_view sentence(said);
    if (auto const place = sentence.find("): "); sentence.front() == '(' && place != sentence.npos) sentence.remove_prefix(place + 3);
    return std::string(sentence);
}

inline std::string new_inbox()
{
    natsInbox* made = nullptr;
    if (natsInbox_Create(&made) != NATS_OK) throw std::bad_alloc();
    nats_inbox_handle const inbox(made);
    return made;
}

}  // namespace kedge::migration
