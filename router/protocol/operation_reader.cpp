#include "router/protocol/operation_reader.hpp"

#include <array>
#include <string>
#include <utility>

#include "router/protocol/field_reader.hpp"
#include "router/protocol/message_reader.hpp"
#include "router/protocol/text_kinds.hpp"

namespace kedge {
namespace {

/// For lists that have no limit of their own in the contract.
constexpr std::size_t names_max = 256;

class operation_reader {
public:
    operation_reader(json_fields const& fields, body_source const& body, operation_limits const& limits)
        : in_{fields}, body_{body}, limits_{limits}
    {
    }

    op::any read()
    {
        auto const name = in_.need(field::op, kinds::any);
        if (name == "pub")
            return finish(publish());
        for (auto const& entry : table)
            if (entry.name == name)
                return finish((this->*entry.read)());
        if (!in_.problem())
            in_.fail({error_code::unknown_op, "there is no operation \"" + std::string{quotable(name)} + '"'});
        return finish(op::quit{});
    }

private:
    struct entry {
        std::string_view name;
        op::any (operation_reader::*read)();
    };
    static std::array<entry, 19> const table;

    /// What was read, if nothing was wrong with it.
    op::any finish(op::any&& read)
    {
        if (!in_.problem() && body_.is == body_source::kind::dropped)
            in_.fail(body_too_large(limits_));
        if (!in_.problem())
            return std::move(read);
        op::malformed answer{{}, {}, *in_.problem()};
        answer.id = readable(field::id, kinds::operation_id);
        if (readable(field::op, kinds::any) == "pub")
            answer.subject = readable(field::subject, kinds::subject);
        answer.post = readable(field::op, kinds::any) == "post";
        return answer;
    }

    std::string_view readable(field f, text_kind const& kind) const
    {
        std::string_view text;
        return in_.has(f) && in_.at(f).get(text) == simdjson::SUCCESS && kind.valid(text) ? text : std::string_view{};
    }

    static std::string_view quotable(std::string_view name) noexcept
    {
        return name.size() <= 64 && !has_control_characters(name) ? name : "(unprintable)";
    }

    std::string id() { return std::string{in_.may(field::id, kinds::operation_id)}; }
    std::string name(field f) { return std::string{in_.need(f, kinds::name)}; }
    std::string maybe_name(field f) { return std::string{in_.may(f, kinds::name)}; }

    message_ptr make_message(std::string_view id, std::string_view subject, std::string_view reply_to)
    {
        return read_message(in_, {id, subject, reply_to}, body_, limits_);
    }

    op::any publish()
    {
        auto const id = in_.may(field::id, kinds::operation_id);
        auto const n = in_.may_number(field::n, 1);
        if (n && in_.has(field::id))
            in_.fail({error_code::bad_request, "\"id\" and \"n\" exclude each other"});
        auto const subject = in_.need(field::subject, kinds::subject);
        auto const reply_to = in_.may(field::reply_to, kinds::subject);
        return op::publish{make_message(id, subject, reply_to), n.value_or(0)};
    }

    op::any hello()
    {
        op::hello o;
        o.id = id();
        o.node = in_.may(field::node, kinds::node);
        o.client = in_.may(field::client, kinds::program);
        o.inbox = in_.may_flag(field::inbox);
        o.keepalive = in_.may_flag(field::keepalive);
        if (o.inbox && o.node.empty())
            in_.fail({error_code::bad_request, "\"inbox\" needs a \"node\""});
        return o;
    }

    template <class Operation>
    op::any subscription()
    {
        Operation o;
        o.id = id();
        o.pattern = in_.need(field::subject, kinds::pattern);
        o.group = maybe_name(field::group);
        return o;
    }

    op::any post()
    {
        op::post o;
        auto const id = in_.may(field::id, kinds::operation_id);
        o.to = in_.need_list(field::to, kinds::recipient, limits_.post_recipients);
        o.message = make_message(id, {}, {});
        return o;
    }

    op::any consume()
    {
        op::consume o;
        o.id = id();
        o.stream = name(field::stream);
        o.consumer = name(field::consumer);
        if (in_.has(field::filter))
            o.filter = in_.may(field::filter, kinds::pattern);
        o.start = start();
        o.window = in_.may_number(field::window, 1);
        o.ack_wait_ms = in_.may_number(field::ack_wait_ms, 0);
        o.max_deliver = in_.may_number(field::max_deliver, 0);
        return o;
    }

    op::start_position start()
    {
        using kind = op::start_position::kind;
        constexpr std::string_view expected = R"("first", "new", {"seq":n} or {"time_ms":t})";
        if (!in_.has(field::start))
            return {};
        auto const value = in_.at(field::start);
        std::string_view word;
        if (value.get(word) == simdjson::SUCCESS && (word == "first" || word == "new"))
            return {word == "first" ? kind::first : kind::new_only, 0};
        simdjson::dom::object object;
        json_fields inner;
        if (value.get(object) == simdjson::SUCCESS && inner.assign(object) &&
            inner.has(field::seq) != inner.has(field::time_ms)) {
            if (inner.has(field::seq))
                return {kind::seq, in_.number(field::start, inner.at(field::seq), 1)};
            return {kind::time, in_.number(field::start, inner.at(field::time_ms), 0)};
        }
        in_.fail(field::start, expected);
        return {};
    }

    /// The fields of everything that a link says about its consumers.
    template <class Operation>
    Operation of_consumer()
    {
        Operation o;
        o.id = id();
        o.consumer = name(field::consumer);
        o.stream = maybe_name(field::stream);
        return o;
    }

    op::any detach() { return of_consumer<op::detach>(); }

    op::any ack()
    {
        auto o = of_consumer<op::ack>();
        if (in_.has(field::seq) == in_.has(field::upto)) {
            in_.fail({error_code::bad_request, "an ack has either \"seq\" or \"upto\""});
            return o;
        }
        if (in_.has(field::upto)) {
            o.upto = in_.need_number(field::upto, 1);
            return o;
        }
        simdjson::dom::array list;
        if (in_.at(field::seq).get(list) != simdjson::SUCCESS) {
            o.seqs.push_back(in_.need_number(field::seq, 1));
            return o;
        }
        if (list.size() == 0 || list.size() > limits_.ack_seqs) {
            in_.fail(field::seq, "a number, or a list of 1 to " + std::to_string(limits_.ack_seqs));
            return o;
        }
        o.seqs.reserve(list.size());
        for (auto const element : list)
            o.seqs.push_back(in_.number(field::seq, element, 1));
        return o;
    }

    op::any nak()
    {
        auto o = of_consumer<op::nak>();
        o.seq = in_.need_number(field::seq, 1);
        o.delay_ms = in_.may_number(field::delay_ms, 0).value_or(0);
        return o;
    }

    op::any working()
    {
        auto o = of_consumer<op::working>();
        o.seq = in_.need_number(field::seq, 1);
        return o;
    }

    op::any term()
    {
        auto o = of_consumer<op::term>();
        o.seq = in_.need_number(field::seq, 1);
        o.reason = in_.may(field::reason, kinds::sentence);
        return o;
    }

    op::any call()
    {
        op::call o;
        auto const id = in_.need(field::id, kinds::operation_id);
        o.timeout_ms = in_.may_number(field::timeout_ms, 1).value_or(0);
        auto const by_subject = in_.has(field::subject);
        if (by_subject && (in_.has(field::service) || in_.has(field::method)))
            in_.fail({error_code::bad_request, "a call has either \"service\" and \"method\" or \"subject\""});
        std::string_view subject;
        if (by_subject) {
            subject = in_.need(field::subject, kinds::subject);
        } else {
            o.service = name(field::service);
            o.method = name(field::method);
        }
        o.message = make_message(id, subject, {});
        return o;
    }

    op::any serve()
    {
        op::serve o;
        o.id = id();
        o.service = name(field::service);
        o.version = in_.need(field::version, kinds::handle);
        o.methods = in_.need_list(field::methods, kinds::name, limits_.service_methods);
        o.description = in_.may(field::description, kinds::sentence);
        return o;
    }

    op::any unserve()
    {
        op::unserve o;
        o.id = id();
        o.service = name(field::service);
        return o;
    }

    op::any reply()
    {
        op::reply o;
        o.call = in_.need(field::call, kinds::handle);
        if (in_.has(field::error)) {
            simdjson::dom::object object;
            json_fields inner;
            if (in_.at(field::error).get(object) != simdjson::SUCCESS || !inner.assign(object) ||
                !inner.has(field::code) || !inner.has(field::message)) {
                in_.fail(field::error, "an object with \"code\" and \"message\"");
            } else {
                o.error_code = in_.text(field::code, inner.at(field::code), kinds::handle);
                o.error_message = in_.text(field::message, inner.at(field::message), kinds::sentence);
            }
        }
        o.message = make_message({}, {}, {});
        return o;
    }

    op::any alias()
    {
        op::alias o;
        o.id = id();
        o.add = in_.may_list(field::add, kinds::recipient, names_max);
        o.remove = in_.may_list(field::remove, kinds::recipient, names_max);
        return o;
    }

    op::any list()
    {
        op::list o;
        o.id = id();
        o.name = name(field::list);
        o.add = in_.may_list(field::add, kinds::recipient, names_max);
        o.remove = in_.may_list(field::remove, kinds::recipient, names_max);
        o.drop = in_.may_flag(field::drop);
        return o;
    }

    op::any who()
    {
        using kind = op::who::kind;
        constexpr std::array<std::pair<std::string_view, kind>, 5> kinds_by_word{{
            {"nodes", kind::nodes},
            {"services", kind::services},
            {"streams", kind::streams},
            {"consumers", kind::consumers},
            {"lists", kind::lists},
        }};
        op::who o;
        o.id = in_.need(field::id, kinds::operation_id);
        if (!in_.has(field::what))
            return o;
        auto const asked = in_.may(field::what, kinds::any);
        for (auto const& [word, what] : kinds_by_word) {
            if (word == asked) {
                o.what = what;
                return o;
            }
        }
        in_.fail(field::what, R"("nodes", "services", "streams", "consumers" or "lists")");
        return o;
    }

    op::any ping() { return op::ping{id()}; }
    op::any quit() { return op::quit{}; }

    field_reader in_;
    body_source const& body_;
    operation_limits const& limits_;
};

constexpr std::array<operation_reader::entry, 19> operation_reader::table{{
    {"ack", &operation_reader::ack},
    {"ping", &operation_reader::ping},
    {"hello", &operation_reader::hello},
    {"sub", &operation_reader::subscription<op::subscribe>},
    {"unsub", &operation_reader::subscription<op::unsubscribe>},
    {"post", &operation_reader::post},
    {"consume", &operation_reader::consume},
    {"detach", &operation_reader::detach},
    {"nak", &operation_reader::nak},
    {"working", &operation_reader::working},
    {"term", &operation_reader::term},
    {"call", &operation_reader::call},
    {"serve", &operation_reader::serve},
    {"unserve", &operation_reader::unserve},
    {"reply", &operation_reader::reply},
    {"alias", &operation_reader::alias},
    {"list", &operation_reader::list},
    {"who", &operation_reader::who},
    {"quit", &operation_reader::quit},
}};

}  // namespace

op::any read_operation(std::string_view header, body_source const& body, operation_limits const& limits)
{
    auto const fields = parse_fields(header);
    if (!fields)
        return op::malformed{{}, {}, fields.error()};
    return operation_reader{**fields, body, limits}.read();
}

}  // namespace kedge
