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
        (this->*reader_of(in_.need(field::op, kinds::any)))();
        if (in_.problem())
            return failure{error_code::bad_frame, "the server sent: " + in_.problem()->message};
        return std::move(notice_);
    }

private:
    struct entry {
        std::string_view name;
        void (notice_reader::*read)();
    };
    static std::array<entry, 10> const table;

    static auto reader_of(std::string_view name) -> void (notice_reader::*)()
    {
        for (auto const& entry : table)
            if (entry.name == name)
                return entry.read;
        return &notice_reader::unknown;
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

    void msg()
    {
        auto& m = notice_.emplace<notice::msg>();
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
    }

    void welcome()
    {
        auto& w = notice_.emplace<notice::welcome>();
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

    void unknown() { notice_.emplace<notice::unknown>().op = needed(field::op); }

    void ok()
    {
        auto& o = notice_.emplace<notice::ok>();
        o.id = text(field::id);
        o.stream = text(field::stream);
        o.seq = number(field::seq);
        o.dup = in_.may_flag(field::dup);
        o.instance = text(field::instance);
    }

    void pong() { notice_.emplace<notice::pong>().id = text(field::id); }

    void call()
    {
        auto& c = notice_.emplace<notice::call>();
        c.call = needed(field::call);
        c.service = text(field::service);
        c.method = text(field::method);
        c.from = text(field::from);
        c.left_ms = number(field::left_ms);
        c.body = body();
    }

    void stored()
    {
        auto& s = notice_.emplace<notice::stored>();
        s.stream = needed(field::stream);
        s.n = number(field::n);
        s.seq = number(field::seq);
    }

    void reply()
    {
        auto& r = notice_.emplace<notice::reply>();
        r.id = needed(field::id);
        r.from = text(field::from);
        r.headers = headers();
        r.body = body();
    }

    void info()
    {
        auto& i = notice_.emplace<notice::info>();
        i.servers = in_.may_list(field::servers, kinds::any, list_max);
        i.draining = in_.may_flag(field::draining);
        i.text = text(field::text);
    }

    void error()
    {
        auto& e = notice_.emplace<notice::error>();
        e.id = text(field::id);
        std::tie(e.code, e.message) = reason(error_code::internal);
        if (auto word = text(field::code); !parse_error_code(word))
            e.word = std::move(word);
        e.stream = text(field::stream);
        e.n = number(field::n);
        e.unknown = in_.may_list(field::unknown, kinds::any, list_max);
    }

    void bye()
    {
        auto& b = notice_.emplace<notice::bye>();
        std::tie(b.code, b.message) = reason(error_code::unavailable);
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
    notice::any notice_;  ///< filled in place: a msg is costly to move
};

constexpr std::array<notice_reader::entry, 10> notice_reader::table{{
    {"msg", &notice_reader::msg},
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
