#pragma once
/// Immutable byte strings that threads share by reference.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

#include <boost/smart_ptr/intrusive_ptr.hpp>

namespace kedge {

/// A block of bytes with a reference count: one allocation, no copy when it is handed on. Writable only between
/// `allocate` and the moment it is shared; after that any thread may read it.
class shared_bytes {
public:
    static boost::intrusive_ptr<shared_bytes> allocate(std::size_t size)
    {
        void* const memory = ::operator new(sizeof(shared_bytes) + size);
        return boost::intrusive_ptr<shared_bytes>{new (memory) shared_bytes{size}};
    }

    static boost::intrusive_ptr<shared_bytes const> copy_of(std::string_view text)
    {
        auto block = allocate(text.size());
        if (!text.empty())
            std::memcpy(block->data(), text.data(), text.size());
        return block;
    }

    char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
    char const* data() const noexcept { return reinterpret_cast<char const*>(this + 1); }
    std::size_t size() const noexcept { return size_; }
    std::string_view view() const noexcept { return {data(), size_}; }

    /// Gives back the unused end of a block that was allocated too large; only before it is shared.
    void shrink(std::size_t size) noexcept { size_ = size; }

    friend void intrusive_ptr_add_ref(shared_bytes const* block) noexcept
    {
        block->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(shared_bytes const* block) noexcept
    {
        if (block->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            block->~shared_bytes();
            ::operator delete(const_cast<shared_bytes*>(block));
        }
    }

private:
    explicit shared_bytes(std::size_t size) : size_{size} {}

    mutable std::atomic<std::uint32_t> references_{0};
    std::size_t size_;
};

using bytes_ptr = boost::intrusive_ptr<shared_bytes const>;

}  // namespace kedge
