#include "router/account/directory.hpp"

#include "router/protocol/base64.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace kedge {

namespace {

constexpr std::size_t key_text_max = 16 * 1024;  // an RSA key of 16,384 bits takes 2.8 KB

/// Reads the `string`s of RFC 4251 §5 one after another.
class field_reader {
public:
    explicit field_reader(std::string_view bytes) : rest_{bytes} {}

    std::string_view next()
    {
        std::size_t size = 0;
        if (rest_.size() < 4)
            return fail();
        for (int i = 0; i < 4; ++i)
            size = size << 8 | static_cast<unsigned char>(rest_[static_cast<std::size_t>(i)]);
        if (size > rest_.size() - 4)
            return fail();
        auto const field = rest_.substr(4, size);
        rest_.remove_prefix(4 + size);
        return field;
    }
    bool finished() const { return sound_ && rest_.empty(); }

private:
    std::string_view fail()
    {
        sound_ = false;
        rest_ = {};
        return {};
    }

    std::string_view rest_;
    bool sound_ = true;
};

std::size_t bits_of(std::string_view mpint)
{
    while (!mpint.empty() && mpint.front() == '\0')
        mpint.remove_prefix(1);
    if (mpint.empty())
        return 0;
    std::size_t bits = mpint.size() * 8;
    for (unsigned char top = static_cast<unsigned char>(mpint.front()); (top & 0x80u) == 0; top = static_cast<unsigned char>(top << 1))
        --bits;
    return bits;
}

constexpr std::size_t rsa_bits_min = 2048;

/// Whether the blob is a key of that type: RFC 8709 §4, RFC 5656 §3.1, RFC 4253 §6.6, OpenSSH's PROTOCOL.u2f. Other types are
/// not accepted at login either.
bool is_key(std::string_view type, std::string_view blob)
{
    constexpr std::size_t ed25519_bytes = 32;
    constexpr std::size_t p256_point_bytes = 65;
    field_reader fields{blob};
    if (fields.next() != type)
        return false;
    bool sound = false;
    if (type == "ssh-ed25519") {
        sound = fields.next().size() == ed25519_bytes;
    } else if (type == "sk-ssh-ed25519@openssh.com") {
        sound = fields.next().size() == ed25519_bytes;
        sound = !fields.next().empty() && sound;  // the application, mostly "ssh:"
    } else if (type == "ecdsa-sha2-nistp256") {
        sound = fields.next() == "nistp256";
        auto const point = fields.next();
        sound = sound && point.size() == p256_point_bytes && point.front() == '\x04';  // uncompressed
    } else if (type == "ssh-rsa") {
        sound = !fields.next().empty();
        sound = bits_of(fields.next()) >= rsa_bits_min && sound;
    }
    return sound && fields.finished();
}

std::string_view next_word(std::string_view& rest)
{
    constexpr std::string_view blanks = " \t\r\n";
    rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
    auto const word = rest.substr(0, rest.find_first_of(blanks));
    rest.remove_prefix(word.size());
    return word;
}

}  // namespace

std::string key_fingerprint(std::string_view blob)
{
    std::array<char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<unsigned char const*>(blob.data()), blob.size(), reinterpret_cast<unsigned char*>(digest.data()));
    std::string text(base64_size(digest.size()), '=');
    base64_encode({digest.data(), digest.size()}, text.data());
    text.resize(text.find('='));
    return "SHA256:" + text;
}

std::optional<account_key> parse_public_key(std::string_view line)
{
    auto const type = next_word(line);
    auto const text = next_word(line);
    auto const blob = text.size() <= key_text_max ? base64_decode(text) : std::nullopt;
    if (!blob || !is_key(type, *blob))
        return std::nullopt;
    constexpr std::string_view blanks = " \t\r\n";
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    line = line.substr(0, line.find_last_not_of(blanks) + 1);
    account_key key;
    key.type = type;
    key.blob = *blob;
    key.fingerprint = key_fingerprint(*blob);
    key.comment = line;
    return key;
}

}  // namespace kedge
