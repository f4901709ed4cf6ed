#include "tests/catch.hpp"

#include <string>

#include <rapidcheck.h>

#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"
#include "tests/protocol/describe.hpp"

namespace kedge {
namespace {

/// `check` fails the test; RapidCheck prints the smallest example and the seed.
template <class Property>
void holds(char const* what, Property const& property)
{
    CHECK(rc::check(what, property));
}

/// Text of ASCII, control characters, quotes and longer characters.
rc::Gen<std::string> text(std::size_t max)
{
    auto const character = rc::gen::weightedOneOf<std::string>(
        {{8, rc::gen::map(rc::gen::inRange(0x20, 0x7f), [](int c) { return std::string(1, static_cast<char>(c)); })},
         {1, rc::gen::map(rc::gen::inRange(0, 0x20), [](int c) { return std::string(1, static_cast<char>(c)); })},
         {1, rc::gen::element<std::string>("\"", "\\", "\xc3\xa9", "\xe4\xb8\x96", "\xf0\x9f\x98\x80", "\x7f")}});
    return rc::gen::map(rc::gen::container<std::vector<std::string>>(character), [max](std::vector<std::string> const& parts) {
        std::string all;
        for (auto const& part : parts)
            if (all.size() + part.size() <= max)
                all += part;
        return all;
    });
}

rc::Gen<std::string> octets()
{
    return rc::gen::oneOf(text(2000), rc::gen::container<std::string>(rc::gen::arbitrary<char>()));
}

rc::Gen<std::string> name()
{
    return rc::gen::suchThat(rc::gen::container<std::string>(rc::gen::elementOf(std::string{"aZ09_-"})), &valid_name);
}

rc::Gen<std::string> subject()
{
    return rc::gen::suchThat(rc::gen::container<std::string>(rc::gen::elementOf(std::string{"ab$_-\"\\."})), &valid_subject);
}

/// Bytes of `operation`, decoded in pieces, are `operation` again; both encodings.
void survives(op::any const& operation)
{
    auto const expected = describe(operation);
    auto const piece = *rc::gen::inRange<std::size_t>(1, 40);
    for (auto const form : {encoding::frames, encoding::lines}) {
        std::string bytes;
        encode(operation, form, bytes);
        RC_ASSERT(decode_operations(form, {}, bytes, {0, piece}) == std::to_string(bytes.size()) + " " + expected);
    }
}

TEST_CASE("round trip: publishes")
{
    holds("a publish survives", [] {
        auto const has_n = *rc::gen::arbitrary<bool>();
        auto const id = has_n ? std::string{} : *text(64);
        auto const subject_text = *subject();
        auto const reply_to = *rc::gen::arbitrary<bool>() ? *subject() : std::string{};
        auto const body = *octets();
        auto const n = has_n ? *rc::gen::inRange<std::uint64_t>(1, 1ull << 62) : 0;
        auto const message = message::make({subject_text, id, reply_to, *rc::gen::element<std::string>("", R"({"A":"b"})"), body});
        survives(op::publish{message, n});

        // And not only its description:
        for (auto const form : {encoding::frames, encoding::lines}) {
            std::string bytes;
            encode(op::any{op::publish{message, n}}, form, bytes);
            operation_decoder decoder{form, limits{}};
            decoder.feed(bytes);
            auto const again = std::get<op::publish>(decoder.next()->operation);
            RC_ASSERT(again.n == n);
            RC_ASSERT(again.message->subject() == subject_text);
            RC_ASSERT(again.message->id() == id);
            RC_ASSERT(again.message->reply_to() == reply_to);
            RC_ASSERT(again.message->headers() == message->headers());
            RC_ASSERT(again.message->body() == body);
        }
    });
}

TEST_CASE("round trip: other operations")
{
    holds("a consume survives", [] {
        op::consume o;
        o.id = *text(64);
        o.stream = *name();
        o.consumer = *name();
        if (*rc::gen::arbitrary<bool>())
            o.filter = *subject() + ".>";
        RC_PRE((!o.filter || valid_pattern(*o.filter)));  // unless it is in brackets the macro evaluates both sides
        using kind = op::start_position::kind;
        o.start.at = *rc::gen::element(kind::new_only, kind::first, kind::seq, kind::time);
        if (o.start.at == kind::seq || o.start.at == kind::time)
            o.start.value = *rc::gen::inRange<std::uint64_t>(1, 1ull << 62);
        if (*rc::gen::arbitrary<bool>())
            o.window = *rc::gen::inRange<std::uint64_t>(1, 100'000);
        survives(o);
    });
    holds("an ack survives", [] {
        op::ack o;
        o.id = *text(64);
        o.consumer = *name();
        if (*rc::gen::arbitrary<bool>())
            o.upto = *rc::gen::inRange<std::uint64_t>(1, 1ull << 62);
        else
            o.seqs = *rc::gen::nonEmpty(rc::gen::container<std::vector<message_seq>>(rc::gen::inRange<message_seq>(1, message_seq_max)));
        survives(o);
    });
}

TEST_CASE("round trip: deliveries")
{
    holds("a msg survives", [] {
        notice::msg m;
        m.subject = *subject();
        m.from = *name() + "/~" + *name();
        m.time_ms = *rc::gen::inRange<std::uint64_t>(0, 1ull << 62);
        m.stream = *rc::gen::oneOf(name(), rc::gen::just(std::string{}));
        m.seq = *rc::gen::inRange<std::uint64_t>(0, message_seq_max);
        m.consumer = *rc::gen::oneOf(name(), rc::gen::just(std::string{}));
        m.pub_id = *text(64);
        m.tries = *rc::gen::inRange<std::uint32_t>(0, 4'000'000'000);
        m.headers = *rc::gen::element<std::string>("", R"({"A":"b","C":"\"\\d"})");
        m.body = *octets();
        auto const piece = *rc::gen::inRange<std::size_t>(1, 40);
        for (auto const form : {encoding::frames, encoding::lines}) {
            auto const bytes = encode(notice::any{m}, form);
            notice_decoder decoder{form, 100'000};
            std::optional<result<notice::any>> got;
            feed_in_pieces(bytes->view(), {0, piece}, [&](std::string_view part) {
                RC_ASSERT(!got.has_value());
                decoder.feed(part);
                got = decoder.next();
            });
            RC_ASSERT(got.has_value());
            RC_ASSERT(got->has_value());
            auto const& again = std::get<notice::msg>(**got);
            RC_ASSERT(again.subject == m.subject);
            RC_ASSERT(again.from == m.from);
            RC_ASSERT(again.time_ms == m.time_ms);
            RC_ASSERT(again.stream == m.stream);
            RC_ASSERT(again.seq == m.seq);
            RC_ASSERT(again.consumer == m.consumer);
            RC_ASSERT(again.pub_id == m.pub_id);
            RC_ASSERT(again.tries == m.tries);
            RC_ASSERT(again.headers == m.headers);
            RC_ASSERT(again.body == m.body);
        }
    });
}

TEST_CASE("round trip: patterns of any text")
{
    auto const pattern = rc::gen::suchThat(rc::gen::container<std::string>(rc::gen::elementOf(std::string{"ab$*>..."})), &valid_pattern);
    holds("cover, intersection and match hang together", [pattern] {
        auto const a = *pattern;
        auto const b = *pattern;
        auto const s = *subject();
        RC_ASSERT(covers(a, a));
        RC_ASSERT(intersects(a, b) == intersects(b, a));
        RC_ASSERT(!covers(a, b) || intersects(a, b));
        RC_ASSERT(!covers(a, b) || !matches(b, s) || matches(a, s));
        RC_ASSERT(!(matches(a, s) && matches(b, s)) || intersects(a, b));
        RC_ASSERT(matches(a, s) == covers(a, s));
    });
}

}  // namespace
}  // namespace kedge
