#pragma once
/// libnats's objects, each with its end. The only folder that includes nats.h.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
/// Messages that are done with. libnats gives each one that is destroyed to a thread of its own, which it wakes for it: so they are
/// destroyed many at a time. One thread at a time.
class ended_messages {
public:
    void add(nats_message_handle message)
    {
        if (!message) return;
        bytes_ += static_cast<std::size_t>(natsMsg_GetDataLength(message.get()));
        held_.push_back(std::move(message));
        if (held_.size() >= messages_max || bytes_ >= bytes_max) clear();
    }
    void clear()
    {
        held_.clear();
        bytes_ = 0;
    }

private:
    static constexpr std::size_t messages_max = 128, bytes_max = 256 * 1024;
    std::vector<nats_message_handle> held_;
    std::size_t bytes_ = 0;
};
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
