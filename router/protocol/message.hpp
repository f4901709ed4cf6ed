#pragma once
/// What a client published: subject, id, reply subject, headers, body. Immutable, shared by reference between threads.

#include <cstdint>
#include <string_view>

#include "router/protocol/bytes.hpp"

namespace kedge {

/// One block of memory holds all parts. Every part was checked by whoever made the message (the codec, or the store
/// that read it back): `subject` is a valid subject, `headers` is empty or one compact JSON object of strings.
class message {
public:
    struct parts {
        std::string_view subject;
        std::string_view id;        ///< the publisher's id; empty = none
        std::string_view reply_to;  ///< empty = none
        std::string_view headers;   ///< compact JSON object text such as {"A":"b"}; empty = none
        std::string_view body;
    };

    static boost::intrusive_ptr<message const> make(parts const&);

    std::string_view subject() const noexcept { return {text(), subject_size_}; }
    std::string_view id() const noexcept { return {text() + subject_size_, id_size_}; }
    std::string_view reply_to() const noexcept { return {text() + subject_size_ + id_size_, reply_to_size_}; }
    std::string_view headers() const noexcept
    {
        return {text() + subject_size_ + id_size_ + reply_to_size_, headers_size_};
    }
    std::string_view body() const noexcept
    {
        return {text() + subject_size_ + id_size_ + reply_to_size_ + headers_size_, body_size_};
    }

    /// Bytes that a copy in memory costs, for bounds.
    std::size_t cost() const noexcept
    {
        return sizeof(message) + subject_size_ + id_size_ + reply_to_size_ + headers_size_ + body_size_;
    }

    friend void intrusive_ptr_add_ref(message const* m) noexcept
    {
        m->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(message const* m) noexcept
    {
        if (m->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            destroy(m);
    }

private:
    message() = default;
    static void destroy(message const*) noexcept;
    char const* text() const noexcept { return reinterpret_cast<char const*>(this + 1); }

    mutable std::atomic<std::uint32_t> references_{0};
    std::uint32_t headers_size_ = 0;
    std::uint32_t body_size_ = 0;
    std::uint16_t subject_size_ = 0;
    std::uint16_t id_size_ = 0;
    std::uint16_t reply_to_size_ = 0;
};

using message_ptr = boost::intrusive_ptr<message const>;

}  // namespace kedge
