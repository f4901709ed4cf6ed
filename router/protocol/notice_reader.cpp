#include "router/protocol/notice_reader.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "router/protocol/base64.hpp"
#include "router/protocol/field_reader.hpp"
#include "router/protocol/text_kinds.hpp"

namespace kedge {
namespace {

/// More than any server tells; bounds what a broken one can make a client hold.
constexpr std::size_t list_max = 65'536;

class notice_reader {
public:
    notice_reader(json_fields const& fields, std::optional<std::string_view> body) : in_{fields}, body_{body} {}

    result<notice::any> read()
    {
        auto const name = in_.need(field::op, kinds::any);
        if (name == "msg")
            return finish(msg());
        for (auto const& entry : table)
            if (entry.name == name)
                return finish((this->*entry.read)());
        return finish(notice::unknown{std::string{name}});
    }

private:
    struct entry {
        std::string_view name;
        notice::any (notice_reader::*read)();
    };
    static std::array<entry, 9> const table;

    result<notice::any> finish(notice::any&& read)
    {
        if (in_.problem())
            return failure{error_code::bad_frame, "the server sent: " + in_.problem()->message};
        return std::move(read);
    }

    std::string text(field f) { return std::string{in_.may(f, kinds::any)}; }
    std::string needed(field f) { return std::string{in_.need(f, kinds::any)}; }
    std::uint64_t number(field f) { return in_.may_number(f, 0).value_or(0); }

    std::string body()
    {
        if (body_)
            return std::string{*body_};
        if (!in_.has(field::data64))
            return text(field::data);
        auto decoded = base64_decode(in_.may(field::data64, kinds::any));
        if (decoded && !in_.has(field::data))
            return std::move(*decoded);
        in_.fail(field::data64, "base64, without \"data\" beside it");
        return {};
    }

    /// The compact text of the object as it came.
    std::string headers()
    {
        simdjson::dom::object object;
        if (!in_.has(field::headers))
            return {};
        if (in_.at(field::headers).get(object) != simdjson::SUCCESS) {
            in_.fail(field::headers, "an object");
            return {};
        }
        return simdjson::minify(object);
    }

    notice::any msg()
    {
        notice::msg m;
        m.subject = needed(field::subject);
        m.from = text(field::from);
        m.time_ms = number(field::time_ms);
        m.stream = text(field::stream);
        m.seq = number(field::seq);
        m.consumer = text(field::consumer);
        m.pub_id = text(field::pub_id);
        m.tries = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(number(field::tries), std::numeric_limits<std::uint32_t>::max()));
        m.group = text(field::group);
        m.reply_to = text(field::reply_to);
        m.headers = headers();
        m.body = body();
        return m;
    }

    notice::any welcome()
    {
        notice::welcome w;
        w.id = text(field::id);
        w.server = text(field::server);
        w.session = text(field::session);
        w.user = text(field::user);
        w.node = text(field::node);
        w.role = text(field::role);
        w.servers = in_.may_list(field::servers, kinds::any, list_max);
        w.max_body = number(field::max_body);
        w.protocol = static_cast<int>(std::min<std::uint64_t>(number(field::protocol), std::numeric_limits<int>::max()));
        dedupe(w);
        last(w);
        return w;
    }

    void dedupe(notice::welcome& w)
    {
        simdjson::dom::object object;
        json_fields inner;
        if (!in_.has(field::dedupe))
            return;
        if (in_.at(field::dedupe).get(object) != simdjson::SUCCESS || !inner.assign(object))
            return in_.fail(field::dedupe, "an object");
        if (inner.has(field::ms))
            w.dedupe_ms = in_.number(field::dedupe, inner.at(field::ms), 0);
        if (inner.has(field::ids))
            w.dedupe_ids = in_.number(field::dedupe, inner.at(field::ids), 0);
    }

    void last(notice::welcome& w)
    {
        simdjson::dom::object object;
        w.has_last = in_.has(field::last);
        if (!w.has_last)
            return;
        if (in_.at(field::last).get(object) != simdjson::SUCCESS)
            return in_.fail(field::last, "an object of numbers");
        for (auto const [stream, highest] : object)
            w.last[std::string{stream}] = in_.number(field::last, highest, 0);
    }

    notice::any ok()
    {
        notice::ok o;
        o.id = text(field::id);
        o.stream = text(field::stream);
        o.seq = number(field::seq);
        o.dup = in_.may_flag(field::dup);
        o.instance = text(field::instance);
        return o;
    }

    notice::any pong() { return notice::pong{text(field::id)}; }

    notice::any call()
    {
        notice::call c;
        c.call = needed(field::call);
        c.service = text(field::service);
        c.method = text(field::method);
        c.from = text(field::from);
        c.left_ms = number(field::left_ms);
        c.body = body();
        return c;
    }

    notice::any stored()
    {
        notice::stored s;
        s.stream = needed(field::stream);
        s.n = number(field::n);
        s.seq = number(field::seq);
        return s;
    }

    notice::any reply()
    {
        notice::reply r;
        r.id = needed(field::id);
        r.from = text(field::from);
        r.body = body();
        return r;
    }

    notice::any info()
    {
        notice::info i;
        i.servers = in_.may_list(field::servers, kinds::any, list_max);
        i.draining = in_.may_flag(field::draining);
        i.text = text(field::text);
        return i;
    }

    notice::any error()
    {
        notice::error e;
        e.id = text(field::id);
        std::tie(e.code, e.message) = reason(error_code::internal);
        e.unknown = in_.may_list(field::unknown, kinds::any, list_max);
        return e;
    }

    notice::any bye()
    {
        notice::bye b;
        std::tie(b.code, b.message) = reason(error_code::unavailable);
        return b;
    }

    /// `stranger` stands for a code of a later version, whose word the message then keeps.
    std::pair<error_code, std::string> reason(error_code stranger)
    {
        auto const word = in_.need(field::code, kinds::any);
        auto message = text(field::message);
        if (auto const code = parse_error_code(word))
            return {*code, std::move(message)};
        return {stranger, std::string{word} + ": " + message};
    }

    field_reader in_;
    std::optional<std::string_view> body_;
};

constexpr std::array<notice_reader::entry, 9> notice_reader::table{{
    {"ok", &notice_reader::ok},
    {"stored", &notice_reader::stored},
    {"pong", &notice_reader::pong},
    {"reply", &notice_reader::reply},
    {"error", &notice_reader::error},
    {"call", &notice_reader::call},
    {"info", &notice_reader::info},
    {"bye", &notice_reader::bye},
    {"welcome", &notice_reader::welcome},
}};

}  // namespace

result<notice::any> read_notice(std::string_view header, std::optional<std::string_view> body)
{
    auto const fields = parse_fields(header);
    if (!fields)
        return failure{error_code::bad_frame, "the server sent what is " + fields.error().message};
    return notice_reader{**fields, body}.read();
}

}  // namespace kedge
