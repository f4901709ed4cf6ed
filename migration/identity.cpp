#include "migration/identity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <boost/container/small_vector.hpp>
#include <sodium.h>
#include <xxhash.h>

#include "migration/bus_headers.hpp"
#include "migration/percent.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"

namespace kedge::migration {

namespace {

constexpr std::size_t mac_bytes = 16;
constexpr std::size_t id_mac_digits = 16;  // of the MAC in a message id: enough against guessing

// What a delivery's header holds beside the message's headers: subject, sender, id, reply subject, stream, names of fields.
constexpr std::size_t other_header_bytes = 2048;

std::string hex_of(std::array<unsigned char, mac_bytes> const& bytes)
{
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * bytes.size());
    for (auto const b : bytes) {
        text += digits[b >> 4];
        text += digits[b & 15];
    }
    return text;
}

std::string hex_of(std::uint64_t number)
{
    std::array<char, 16> text;
    auto const end = std::to_chars(text.data(), text.data() + text.size(), number, 16).ptr;
    return {text.data(), end};
}

/// The whole text as a number without leading zeros; nothing else.
std::optional<std::uint64_t> read_number(std::string_view text, int base = 10)
{
    std::uint64_t value = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (problem != std::errc{} || end != text.data() + text.size() || text.empty() || (text.size() > 1 && text.front() == '0'))
        return std::nullopt;
    return value;
}

std::string_view next_word(std::string_view& text)
{
    auto const end = std::min(text.find(' '), text.size());
    auto const word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

/// The headers of a message, sorted out.
struct split_headers {
    std::string_view row, from, time, id, n, reply, odd, message_id;
    boost::container::small_vector<std::pair<std::string_view, std::string_view>, 16> others;
    bool twice = false;  ///< a header of ours is there more than once

    explicit split_headers(bus_message const& m)
    {
        std::array<std::pair<std::string_view, std::string_view*>, 7> const ours{{{"Kedge-Row", &row},
                                                                                  {"Kedge-From", &from},
                                                                                  {"Kedge-Time", &time},
                                                                                  {"Kedge-Id", &id},
                                                                                  {"Kedge-N", &n},
                                                                                  {"Kedge-Reply", &reply},
                                                                                  {"Kedge-Headers", &odd}}};
        for (auto const& [name, value] : m.headers) {
            if (!is_reserved_header(name)) {
                others.emplace_back(name, value);
                continue;
            }
            for (auto const& [known, to] : ours)
                if (name == known) {
                    twice = twice || to->data() != nullptr;
                    *to = value;
                }
        }
    }
};

}  // namespace

bool is_node(std::string_view sender) noexcept
{
    auto const slash = sender.find('/');
    return slash != std::string_view::npos && slash + 1 < sender.size() && sender[slash + 1] != '~';
}

std::uint64_t stamp_of(bus_message const& m)
{
    std::uint64_t headers = 0;
    for (auto const& [name, value] : m.headers)
        headers += XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(name.data(), name.size()));
    auto hash = headers;
    for (std::string_view const part : {std::string_view{m.subject}, std::string_view{m.body}})
        hash = XXH3_64bits_withSeed(part.data(), part.size(), hash);
    std::uint64_t const numbers[] = {m.place, m.time_ns};
    hash = XXH3_64bits_withSeed(numbers, sizeof numbers, hash);
    return hash == 0 ? 1 : hash;
}

/// One keyed hash; parts are told apart by their lengths.
class identity::hash {
public:
    explicit hash(std::string_view key) noexcept
    {
        crypto_generichash_init(&state_, reinterpret_cast<unsigned char const*>(key.data()), key.size(), mac_bytes);
    }
    hash& operator<<(std::string_view part) noexcept
    {
        std::uint64_t const size = part.size();
        std::array<unsigned char, 8> length;
        for (std::size_t i = 0; i < length.size(); ++i)
            length[i] = static_cast<unsigned char>(size >> 8 * i);
        crypto_generichash_update(&state_, length.data(), length.size());
        crypto_generichash_update(&state_, reinterpret_cast<unsigned char const*>(part.data()), part.size());
        return *this;
    }
    std::string text() noexcept
    {
        std::array<unsigned char, mac_bytes> out;
        crypto_generichash_final(&state_, out.data(), out.size());
        return hex_of(out);
    }

    /// Of a message whose `Kedge-Row` begins with `row`.
    static std::string of(identity const& who, std::string_view row, bus_message const& m, split_headers& parts)
    {
        std::sort(parts.others.begin(), parts.others.end());
        hash mac{who.secret_};
        mac << "message" << who.signed_stream_ << row << m.subject << parts.from << parts.time << parts.id << parts.n << parts.reply << parts.odd
            << m.body;
        for (auto const& [name, value] : parts.others)
            mac << name << value;
        return mac.text();
    }

private:
    crypto_generichash_state state_;
};

identity::identity(std::string secret, std::string stream, stream_id number, std::size_t body_bytes_max, std::size_t header_bytes_max)
    : secret_{std::move(secret)}, stream_{std::move(stream)},
      signed_stream_{stream_ + ' ' + std::to_string(static_cast<std::uint64_t>(number))}, body_bytes_max_{body_bytes_max}, header_bytes_max_{header_bytes_max}
{
    if (sodium_init() < 0)
        throw std::runtime_error{"libsodium cannot start"};
}

bus_message identity::copy(std::string_view incarnation, row const& what, unsigned attempt) const
{
    bus_message m;
    fill(m, *what.message, what.sender->view(), what.time_ms);
    auto text = "r " + std::string{incarnation} + " " + std::to_string(what.seq);
    split_headers parts{m};
    auto const mac = hash::of(*this, text, m, parts);
    auto id = std::string{incarnation} + "." + stream_ + "." + std::to_string(what.seq) + "." + mac.substr(0, id_mac_digits);
    if (attempt != 0)
        id += "." + std::to_string(attempt);
    m.headers.emplace_back("Kedge-Row", std::move(text) + " " + mac);
    m.headers.emplace_back("Nats-Msg-Id", std::move(id));
    return m;
}

bus_message identity::own(std::string_view incarnation, std::uint64_t authority_epoch, std::uint64_t lane, std::uint64_t counter,
                          store_request::append const& what, unsigned attempt) const
{
    bus_message m;
    fill(m, *what.message, what.sender->view(), what.time_ms);
    if (what.n != 0)
        m.headers.emplace_back("Kedge-N", std::to_string(what.n) + " " + std::to_string(what.previous_n));
    auto text = "p " + std::string{incarnation} + " " + std::to_string(authority_epoch) + " " + hex_of(lane) + " " + std::to_string(counter);
    split_headers parts{m};
    auto const mac = hash::of(*this, text, m, parts);
    // The same for every try of one publish, also after this one was given up; only a node's ids tell publishes apart.
    hash id{secret_};
    if (what.named && what.n != 0)
        id << "number" << signed_stream_ << what.sender->view() << std::to_string(what.n);
    else if (what.named && !what.message->id().empty())
        id << "id" << signed_stream_ << what.sender->view() << what.message->id();
    else
        id << "lane" << signed_stream_ << incarnation << hex_of(lane) << std::to_string(counter);
    auto message_id = "p." + id.text();
    if (attempt != 0)
        message_id += "." + std::to_string(attempt);
    m.headers.emplace_back("Kedge-Row", std::move(text) + " " + mac);
    m.headers.emplace_back("Nats-Msg-Id", std::move(message_id));
    return m;
}

sighting identity::look(bus_message const& m) const
{
    sighting native;
    split_headers parts{m};
    if (parts.row.size() < 2 * mac_bytes + 1 || parts.twice)
        return native;
    auto const signed_text = parts.row.substr(0, parts.row.size() - 2 * mac_bytes - 1);
    auto const mac = parts.row.substr(signed_text.size() + 1);
    if (parts.row[signed_text.size()] != ' ')
        return native;
    auto const right = hash::of(*this, signed_text, m, parts);
    if (sodium_memcmp(right.data(), mac.data(), right.size()) != 0)
        return native;

    // From here on it is what we wrote; what cannot be read all the same is another version's.
    sighting found;
    auto rest = signed_text;
    auto const kind = next_word(rest);
    found.incarnation = next_word(rest);
    found.from = parts.from;
    found.id = parts.id;
    found.reply = parts.reply;
    found.odd_headers = parts.odd;
    auto const time = read_number(parts.time);
    if (!time)
        return native;
    found.time_ms = *time;
    if (!parts.n.empty()) {
        auto const n = read_number(next_word(parts.n)), previous = read_number(parts.n);
        if (!n || !previous)
            return native;
        found.n = *n;
        found.previous_n = *previous;
    }
    if (kind == "r") {
        auto const seq = read_number(rest);
        if (!seq || *seq == 0)
            return native;
        found.what = sighting::kind::copy;
        found.seq = *seq;
        return found;
    }
    auto const epoch = read_number(next_word(rest));
    auto const lane = read_number(next_word(rest), 16);
    auto const counter = read_number(rest);
    if (kind != "p" || !epoch || !lane || !counter)
        return native;
    found.what = sighting::kind::own;
    found.authority_epoch = *epoch;
    found.lane = *lane;
    found.counter = *counter;
    return found;
}

std::variant<message_ptr, unrepresentable> identity::native(bus_message const& m) const
{
    if (!valid_subject(m.subject))
        return unrepresentable{"its subject has more than 16 parts, more than 255 bytes, spaces, control characters or is not UTF-8"};
    if (m.body.size() > body_bytes_max_)
        return unrepresentable{"its body is larger than " + std::to_string(body_bytes_max_) + " bytes"};
    auto const headers = native_headers(m);
    if (auto const* const why = std::get_if<unrepresentable>(&headers))
        return *why;
    auto const& text = std::get<std::string>(headers);
    if (text.size() + other_header_bytes > header_bytes_max_)
        return unrepresentable{"its headers are larger than " + std::to_string(header_bytes_max_) + " bytes"};
    return message::make({m.subject, {}, {}, text, m.body});
}

message_ptr identity::ours(bus_message const& m, sighting const& seen) const
{
    auto const id = percent_decode(seen.id).value_or(std::string{});
    auto const reply = percent_decode(seen.reply).value_or(std::string{});
    return message::make({m.subject, id, reply, our_headers(m, seen.odd_headers), m.body});
}

}  // namespace kedge::migration
