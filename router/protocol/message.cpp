#include "router/protocol/message.hpp"

#include <cstring>
#include <new>

namespace kedge {

message_ptr message::make(parts const& p)
{
    auto const size = p.subject.size() + p.id.size() + p.reply_to.size() + p.headers.size() + p.body.size();
    auto* const m = new (::operator new(sizeof(message) + size)) message;
    m->subject_size_ = static_cast<std::uint16_t>(p.subject.size());
    m->id_size_ = static_cast<std::uint16_t>(p.id.size());
    m->reply_to_size_ = static_cast<std::uint16_t>(p.reply_to.size());
    m->headers_size_ = static_cast<std::uint32_t>(p.headers.size());
    m->body_size_ = static_cast<std::uint32_t>(p.body.size());
    auto* out = reinterpret_cast<char*>(m + 1);
    for (auto const part : {p.subject, p.id, p.reply_to, p.headers, p.body}) {
        if (!part.empty())
            std::memcpy(out, part.data(), part.size());
        out += part.size();
    }
    return message_ptr{m};
}

void message::destroy(message const* m) noexcept
{
    m->~message();
    ::operator delete(const_cast<message*>(m));
}

}  // namespace kedge
