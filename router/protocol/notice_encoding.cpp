/// Server to client.
#include "router/protocol/encoding.hpp"

#include <optional>

#include "router/protocol/json_writer.hpp"
#include "router/protocol/unit_writer.hpp"

namespace kedge {
namespace {

/// Room for the longest single element of a list is left below `frame_header_max`.
constexpr std::size_t header_soft_max = 56 * 1024;
constexpr std::size_t sentence_max = 4096;

bytes_ptr seal(json_writer const& header, std::optional<std::string_view> body, encoding form)
{
    unit_writer const unit{header.view(), body, form};
    auto block = shared_bytes::allocate(unit.size());
    unit.write(block->data());
    return block;
}

/// A sentence that quotes a peer has no bound of its own; cut between characters.
std::string_view cut(std::string_view text) noexcept
{
    if (text.size() <= sentence_max)
        return text;
    auto size = sentence_max;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
        --size;
    return text.substr(0, size);
}

bytes_ptr seal_ok(std::string_view id, std::string_view stream, message_seq seq, bool dup, std::string_view instance,
                  encoding form)
{
    json_writer out;
    out.field("op", "ok");
    out.field_unless_empty("id", id);
    out.field_unless_empty("stream", stream);
    out.field_unless_zero("seq", seq);
    if (dup)
        out.field("dup", true);
    out.field_unless_empty("instance", instance);
    return seal(out, std::nullopt, form);
}

struct notice_encoder {
    encoding form;

    bytes_ptr operator()(notice::welcome const& n) const
    {
        json_writer out;
        out.field("op", "welcome");
        out.field_unless_empty("id", n.id);
        out.field("protocol", static_cast<std::uint64_t>(n.protocol));
        out.field("server", n.server);
        out.field("session", n.session);
        out.field("user", n.user);
        if (n.node.empty())
            out.raw_field("node", "null");
        else
            out.field("node", n.node);
        out.field("role", n.role);
        out.list_field("servers", n.servers);
        out.field("max_body", n.max_body);
        out.begin_object("dedupe");
        out.field("ms", n.dedupe_ms);
        out.field("ids", n.dedupe_ids);
        out.end_object();
        if (n.has_last) {
            out.begin_object("last");
            for (auto const& [stream, highest] : n.last)
                if (out.view().size() < header_soft_max)
                    out.field(stream, highest);
            out.end_object();
        }
        return seal(out, std::nullopt, form);
    }

    bytes_ptr operator()(notice::ok const& n) const { return seal_ok(n.id, n.stream, n.seq, n.dup, n.instance, form); }

    bytes_ptr operator()(notice::pong const& n) const
    {
        json_writer out;
        out.field("op", "pong");
        out.field_unless_empty("id", n.id);
        return seal(out, std::nullopt, form);
    }

    bytes_ptr operator()(notice::msg const& n) const
    {
        return encode(msg_view{n.subject, n.from, n.time_ms, n.stream, n.seq, n.consumer, n.pub_id, n.tries, n.group,
                               n.reply_to, n.headers, n.body},
                      form);
    }

    bytes_ptr operator()(notice::call const& n) const
    {
        json_writer out;
        out.field("op", "call");
        out.field("call", n.call);
        out.field("service", n.service);
        out.field("method", n.method);
        out.field("from", n.from);
        out.field("left_ms", n.left_ms);
        return seal(out, n.body, form);
    }

    bytes_ptr operator()(notice::stored const& n) const { return encode_stored(n.stream, n.n, n.seq, form); }

    bytes_ptr operator()(notice::reply const& n) const
    {
        json_writer out;
        out.field("op", "reply");
        out.field("id", n.id);
        out.field("from", n.from);
        if (!n.headers.empty())
            out.raw_field("headers", n.headers);
        return seal(out, n.body, form);
    }

    bytes_ptr operator()(notice::info const& n) const
    {
        json_writer out;
        out.field("op", "info");
        if (!n.servers.empty())
            out.list_field("servers", n.servers);
        if (n.draining)
            out.field("draining", true);
        out.field_unless_empty("text", cut(n.text));
        return seal(out, std::nullopt, form);
    }

    bytes_ptr operator()(notice::error const& n) const
    {
        json_writer out;
        out.field("op", "error");
        out.field_unless_empty("id", n.id);
        out.field("code", n.word.empty() ? wire_word(n.code) : n.word);
        out.field("message", cut(n.message));
        if (n.n) {
            out.field_unless_empty("stream", n.stream);
            out.field("n", n.n);
        }
        if (!n.unknown.empty())
            out.list_field("unknown", n.unknown, header_soft_max);
        return seal(out, std::nullopt, form);
    }

    bytes_ptr operator()(notice::bye const& n) const
    {
        json_writer out;
        out.field("op", "bye");
        out.field("code", wire_word(n.code));
        out.field("message", cut(n.message));
        return seal(out, std::nullopt, form);
    }

    bytes_ptr operator()(notice::unknown const& n) const
    {
        json_writer out;
        out.field("op", n.op);
        return seal(out, std::nullopt, form);
    }
};

}  // namespace

bytes_ptr encode(msg_view const& m, encoding form)
{
    json_writer out;
    out.field("op", "msg");
    out.field("subject", m.subject);
    out.field("from", m.from);
    out.field("time_ms", m.time_ms);
    out.field_unless_empty("stream", m.stream);
    out.field_unless_zero("seq", m.seq);
    out.field_unless_empty("consumer", m.consumer);
    out.field_unless_empty("pub_id", m.pub_id);
    out.field_unless_zero("tries", m.tries);
    out.field_unless_empty("group", m.group);
    out.field_unless_empty("reply_to", m.reply_to);
    if (!m.headers.empty())
        out.raw_field("headers", m.headers);
    return seal(out, m.body, form);
}

bytes_ptr encode(notice::any const& n, encoding form) { return std::visit(notice_encoder{form}, n); }

bytes_ptr encode_ok(std::string_view id, std::string_view stream, message_seq seq, bool dup, encoding form)
{
    return seal_ok(id, stream, seq, dup, {}, form);
}

bytes_ptr encode_stored(std::string_view stream, std::uint64_t n, message_seq seq, encoding form)
{
    json_writer out;
    out.field("op", "stored");
    out.field("stream", stream);
    out.field("n", n);
    out.field("seq", seq);
    return seal(out, std::nullopt, form);
}

}  // namespace kedge
