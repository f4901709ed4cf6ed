#pragma once
/// Small numbers and strings in the database's blobs: LEB128, low bits first; strings with their size before them.

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kedge::sqlite {

inline void put_varint(std::string& out, std::uint64_t value)
{
    while (value >= 0x80) {
        out.push_back(static_cast<char>(value | 0x80));
        value >>= 7;
    }
    out.push_back(static_cast<char>(value));
}

/// Near zero in both directions is short.
inline void put_signed(std::string& out, std::int64_t value)
{
    auto const bits = static_cast<std::uint64_t>(value);
    put_varint(out, bits << 1 ^ (value < 0 ? ~std::uint64_t{0} : 0));
}

inline void put_string(std::string& out, std::string_view text)
{
    put_varint(out, text.size());
    out.append(text);
}

inline void put_fixed64(std::string& out, std::uint64_t value)
{
    for (int i = 0; i < 8; ++i)
        out.push_back(static_cast<char>(value >> (8 * i)));
}

/// Takes a blob apart. Throws std::runtime_error when it ends early: what is on the disk may be damaged.
class blob_reader {
public:
    explicit blob_reader(std::string_view bytes) : rest_{bytes} {}

    bool empty() const { return rest_.empty(); }

    std::uint64_t varint()
    {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            auto const byte = static_cast<unsigned char>(take(1).front());
            value |= static_cast<std::uint64_t>(byte & 0x7fu) << shift;
            if (byte < 0x80)
                return value;
        }
        throw std::runtime_error{"a number in the database does not end"};
    }
    std::int64_t signed_varint()
    {
        auto const bits = varint();
        return static_cast<std::int64_t>(bits >> 1 ^ ((bits & 1) != 0 ? ~std::uint64_t{0} : 0));
    }
    std::string_view string() { return take(varint()); }
    std::uint64_t fixed64()
    {
        auto const bytes = take(8);
        std::uint64_t value = 0;
        for (int i = 0; i < 8; ++i)
            value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)])) << (8 * i);
        return value;
    }

private:
    std::string_view take(std::uint64_t size)
    {
        if (size > rest_.size())
            throw std::runtime_error{"a record in the database is cut off"};
        auto const taken = rest_.substr(0, static_cast<std::size_t>(size));
        rest_.remove_prefix(static_cast<std::size_t>(size));
        return taken;
    }

    std::string_view rest_;
};

}  // namespace kedge::sqlite
