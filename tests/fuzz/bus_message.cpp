/// Any message of a NATS client: it is held or parked, never ours; and what is held survives the way to NATS and back. A subject, lines
/// of headers ("Name: value"), an empty line, the body.

#include <algorithm>
#include <string>
#include <string_view>

#include "migration/identity.hpp"
#include "migration/percent.hpp"
#include "router/core/digest.hpp"
#include "router/protocol/subject.hpp"
#include "tests/fuzz/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
    using namespace kedge;
    using namespace kedge::migration;
    using fuzz::require;
    if (size > 8192)
        return 0;
    std::string_view rest{reinterpret_cast<char const*>(data), size};
    auto const line = [&] {
        auto const end = std::min(rest.find('\n'), rest.size());
        auto const text = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        return text;
    };
    bus_message m;
    m.subject = line();
    for (auto text = line(); !text.empty(); text = line()) {
        auto const colon = std::min(text.find(": "), text.size());
        m.headers.emplace_back(text.substr(0, colon), text.substr(std::min(colon + 2, text.size())));
    }
    m.body = rest;
    m.place = 1;

    identity const wire{std::string(32, 'f'), "CHAT", stream_id{1}};
    require(wire.look(m).what == sighting::kind::native, "nobody else writes what is ours");
    require(stamp_of(m) != 0, "a stamp is not 0");
    if (auto const text = percent_decode(m.body))
        require(percent_decode(percent_encode(*text)) == text, "what was decoded survives");
    auto const held = wire.native(m);
    auto const* const message = std::get_if<message_ptr>(&held);
    if (message == nullptr)
        return 0;
    require(valid_subject((*message)->subject()), "a held message has a valid subject");
    row const stored{7, 1, shared_bytes::copy_of(native_sender), *message};
    auto copy = wire.copy("abc", stored);
    auto const seen = wire.look(copy);
    require(seen.what == sighting::kind::copy && seen.seq == 7, "a copy is known");
    require(digest_of(*wire.ours(copy, seen)) == digest_of(**message), "and what it holds is the same");
    copy.body += "!";
    require(wire.look(copy).what == sighting::kind::native, "a changed one is not");
    return 0;
}
