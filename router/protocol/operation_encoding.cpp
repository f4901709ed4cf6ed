/// Client to server.
#include "router/protocol/encoding.hpp"

#include <optional>
#include <stdexcept>

#include "router/protocol/json_writer.hpp"
#include "router/protocol/unit_writer.hpp"

namespace kedge {
namespace {

std::string_view word(op::who::kind what) noexcept
{
    switch (what) {
    case op::who::kind::nodes: return "nodes";
    case op::who::kind::services: return "services";
    case op::who::kind::streams: return "streams";
    case op::who::kind::consumers: return "consumers";
    case op::who::kind::lists: return "lists";
    }
    return {};
}

/// Writes the header; gives back the body if the operation has one.
struct header_writer {
    json_writer& out;
    using body = std::optional<std::string_view>;

    body operator()(op::hello const& o) const
    {
        begin("hello", o.id);
        out.field_unless_empty("node", o.node);
        out.field_unless_empty("client", o.client);
        flag("inbox", o.inbox);
        flag("keepalive", o.keepalive);
        return {};
    }
    body operator()(op::subscribe const& o) const
    {
        begin("sub", o.id);
        out.field("subject", o.pattern);
        out.field_unless_empty("group", o.group);
        return {};
    }
    body operator()(op::unsubscribe const& o) const
    {
        begin("unsub", o.id);
        out.field("subject", o.pattern);
        out.field_unless_empty("group", o.group);
        return {};
    }
    body operator()(op::publish const& o) const
    {
        begin("pub", o.message->id());
        out.field_unless_zero("n", o.n);
        out.field("subject", o.message->subject());
        out.field_unless_empty("reply_to", o.message->reply_to());
        headers(*o.message);
        return o.message->body();
    }
    body operator()(op::post const& o) const
    {
        begin("post", o.message->id());
        out.list_field("to", o.to);
        headers(*o.message);
        return o.message->body();
    }
    body operator()(op::consume const& o) const
    {
        begin("consume", o.id);
        out.field("stream", o.stream);
        out.field("consumer", o.consumer);
        if (o.filter)
            out.field("filter", *o.filter);
        start(o.start);
        number("window", o.window);
        number("ack_wait_ms", o.ack_wait_ms);
        number("max_deliver", o.max_deliver);
        return {};
    }
    body operator()(op::detach const& o) const
    {
        of_consumer("detach", o);
        return {};
    }
    body operator()(op::ack const& o) const
    {
        of_consumer("ack", o);
        if (o.upto != 0)
            out.field("upto", o.upto);
        else if (o.seqs.size() == 1)
            out.field("seq", o.seqs.front());
        else
            out.list_field("seq", o.seqs);
        return {};
    }
    body operator()(op::nak const& o) const
    {
        of_consumer("nak", o);
        out.field("seq", o.seq);
        out.field_unless_zero("delay_ms", o.delay_ms);
        return {};
    }
    body operator()(op::working const& o) const
    {
        of_consumer("working", o);
        out.field("seq", o.seq);
        return {};
    }
    body operator()(op::term const& o) const
    {
        of_consumer("term", o);
        out.field("seq", o.seq);
        out.field_unless_empty("reason", o.reason);
        return {};
    }
    body operator()(op::call const& o) const
    {
        begin("call", o.message->id());
        out.field_unless_zero("timeout_ms", o.timeout_ms);
        out.field_unless_empty("service", o.service);
        out.field_unless_empty("method", o.method);
        out.field_unless_empty("subject", o.message->subject());
        headers(*o.message);
        return o.message->body();
    }
    body operator()(op::serve const& o) const
    {
        begin("serve", o.id);
        out.field("service", o.service);
        out.field("version", o.version);
        out.list_field("methods", o.methods);
        out.field_unless_empty("description", o.description);
        return {};
    }
    body operator()(op::unserve const& o) const
    {
        begin("unserve", o.id);
        out.field("service", o.service);
        return {};
    }
    body operator()(op::reply const& o) const
    {
        out.field("op", "reply");
        out.field("call", o.call);
        if (!o.error_code.empty()) {
            out.begin_object("error");
            out.field("code", o.error_code);
            out.field("message", o.error_message);
            out.end_object();
        }
        return o.message->body();
    }
    body operator()(op::alias const& o) const
    {
        begin("alias", o.id);
        list("add", o.add);
        list("remove", o.remove);
        return {};
    }
    body operator()(op::list const& o) const
    {
        begin("list", o.id);
        out.field("list", o.name);
        list("add", o.add);
        list("remove", o.remove);
        flag("delete", o.drop);
        return {};
    }
    body operator()(op::who const& o) const
    {
        begin("who", o.id);
        out.field("what", word(o.what));
        return {};
    }
    body operator()(op::ping const& o) const
    {
        begin("ping", o.id);
        return {};
    }
    body operator()(op::quit const&) const
    {
        out.field("op", "quit");
        return {};
    }
    body operator()(op::malformed const&) const { return {}; }

    void begin(char const* name, std::string_view id) const
    {
        out.field("op", name);
        out.field_unless_empty("id", id);
    }
    template <class Operation>
    void of_consumer(char const* name, Operation const& o) const
    {
        begin(name, o.id);
        out.field_unless_empty("stream", o.stream);
        out.field("consumer", o.consumer);
    }
    void headers(message const& m) const
    {
        if (!m.headers().empty())
            out.raw_field("headers", m.headers());
    }
    void flag(std::string_view name, bool value) const
    {
        if (value)
            out.field(name, true);
    }
    void number(std::string_view name, std::optional<std::uint64_t> value) const
    {
        if (value)
            out.field(name, *value);
    }
    void list(std::string_view name, std::vector<std::string> const& values) const
    {
        if (!values.empty())
            out.list_field(name, values);
    }
    void start(op::start_position position) const
    {
        using kind = op::start_position::kind;
        switch (position.at) {
        case kind::new_only: return;  // the default
        case kind::first: return out.field("start", "first");
        case kind::seq:
        case kind::time:
            out.begin_object("start");
            out.field(position.at == kind::seq ? "seq" : "time_ms", position.value);
            return out.end_object();
        }
    }
};

}  // namespace

void encode(op::any const& operation, encoding form, std::string& out)
{
    if (std::holds_alternative<op::malformed>(operation))
        return;
    json_writer header;
    auto const body = std::visit(header_writer{header}, operation);
    if (form == encoding::frames && header.view().size() + 1 > frame_header_max)
        throw std::length_error{"the header of an operation is too long for a frame"};
    unit_writer const unit{header.view(), body, form};
    auto const before = out.size();
    out.resize(before + unit.size());
    unit.write(out.data() + before);
}

}  // namespace kedge
