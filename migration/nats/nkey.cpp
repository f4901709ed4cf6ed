#include "migration/nats/nkey.hpp"

#include <cstdint>
#include <optional>

#include <sodium.h>

namespace kedge::migration {
namespace {

constexpr std::string_view base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";  // RFC 4648 §6, unpadded

std::optional<std::string> base32_decode(std::string_view text)
{
    std::string out;
    std::uint32_t bits = 0;
    unsigned have = 0;
    for (char const c : text) {
        auto const value = base32.find(c);
        if (value == base32.npos) return std::nullopt;
        bits = bits << 5 | static_cast<std::uint32_t>(value);
        have += 5;
        if (have < 8) continue;
        have -= 8;
        out += static_cast<char>(bits >> have & 0xff);
    }
    return out;
}

std::string base32_encode(std::string_view bytes)
{
    std::string out;
    std::uint32_t bits = 0;
    unsigned have = 0;
    for (char const c : bytes) {
        bits = bits << 8 | static_cast<unsigned char>(c);
        have += 8;
        for (; have >= 5; have -= 5) out += base32[bits >> (have - 5) & 31];
    }
    if (have > 0) out += base32[bits << (5 - have) & 31];
    return out;
}

/// CRC-16/XMODEM, low byte first.
std::string checksum(std::string_view bytes)
{
    std::uint16_t crc = 0;
    for (char const c : bytes) {
        crc = static_cast<std::uint16_t>(crc ^ static_cast<unsigned char>(c) << 8);
        for (int bit = 0; bit < 8; ++bit)
            crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return {static_cast<char>(crc & 0xff), static_cast<char>(crc >> 8)};
}

constexpr unsigned char seed_prefix = 18 << 3;  // 'S'
constexpr unsigned char user_prefix = 20 << 3;  // 'U'

}  // namespace

nkey::~nkey()
{
    sodium_memzero(secret.data(), secret.size());
}

std::array<unsigned char, 64> nkey::sign(std::string_view text) const
{
    std::array<unsigned char, 64> out{};
    crypto_sign_detached(out.data(), nullptr, reinterpret_cast<unsigned char const*>(text.data()), text.size(), secret.data());
    return out;
}

std::variant<nkey, std::string> parse_nkey_seed(std::string_view text)
{
    if (sodium_init() < 0) return "libsodium cannot start";
    auto raw = base32_decode(text);
    constexpr std::size_t seed_bytes = 2 + crypto_sign_SEEDBYTES + 2;
    if (!raw || raw->size() != seed_bytes) return "it holds no nkey seed (58 characters, S…)";
    std::string_view const bytes(*raw);
    nkey out;
    std::string wrong;
    auto const first = static_cast<unsigned char>(bytes[0]);
    auto const second = static_cast<unsigned char>(bytes[1]);
    if (checksum(bytes.substr(0, seed_bytes - 2)) != bytes.substr(seed_bytes - 2)) wrong = "its nkey seed is damaged (the checksum differs)";
    else if ((first & 0xf8) != seed_prefix) wrong = "it holds an nkey that is no seed (S…)";
    else if (((first & 7) << 5 | second >> 3) != user_prefix) wrong = "its nkey seed is not a user's (SU…)";
    else {
        std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> key{};
        crypto_sign_seed_keypair(key.data(), out.secret.data(), reinterpret_cast<unsigned char const*>(bytes.data()) + 2);
        std::string shown(1, static_cast<char>(user_prefix));
        shown.append(reinterpret_cast<char const*>(key.data()), key.size());
        out.public_key = base32_encode(shown + checksum(shown));
    }
    sodium_memzero(raw->data(), raw->size());
    if (!wrong.empty()) return wrong;
    return out;
}

}  // namespace kedge::migration
