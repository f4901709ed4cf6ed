#include "tests/catch.hpp"

#include <string>
#include <vector>

#include "tests/protocol/describe.hpp"
#include "tests/protocol/units.hpp"

namespace kedge {
namespace {

struct refusal_row {
    std::string sent;
    std::string id;  ///< that the error bears
    error_code code;
    std::string says;  ///< words of the message
};

std::string repeated(std::size_t count, std::string const& text)
{
    std::string all;
    for (std::size_t i = 0; i < count; ++i)
        all += (i == 0 ? "" : ",") + text;
    return all;
}

std::string headers(std::size_t count)
{
    std::string all;
    for (std::size_t i = 0; i < count; ++i)
        all += (i == 0 ? "\"H" : ",\"H") + std::to_string(i) + "\":\"v\"";
    return R"({"op":"pub","id":"1","subject":"a","headers":{)" + all + "}}";
}

std::vector<refusal_row> make_refusal_rows()
{
    using enum error_code;
    auto const x65 = std::string(65, 'x');
    return {
        // Not an object.
        {"", "", bad_request, "JSON"},
        {"{", "", bad_request, "JSON"},
        {"[]", "", bad_request, "not a JSON object"},
        {"7", "", bad_request, "not a JSON object"},
        {"null", "", bad_request, "not a JSON object"},
        {R"({"op":"ping"} x)", "", bad_request, "JSON"},
        {R"({"op":"ping",})", "", bad_request, "JSON"},
        {R"({"op":"ping","x":01})", "", bad_request, "JSON"},
        {"{\"op\":\"ping\",\"x\":\"\xff\"}", "", bad_request, "JSON"},
        {"{\"op\":\"ping\",\"x\":\"\x01\"}", "", bad_request, "JSON"},
        {R"({"op":"ping","x":)" + std::string(2000, '[') + std::string(2000, ']') + "}", "", bad_request, "JSON"},
        // The operation.
        {"{}", "", bad_request, "\"op\" is missing"},
        {R"({"id":"1"})", "1", bad_request, "\"op\" is missing"},
        {R"({"op":7,"id":"1"})", "1", bad_request, "\"op\" must be"},
        {R"({"op":null,"id":"1"})", "1", bad_request, "\"op\" is missing"},
        {R"({"op":"frobnicate","id":"1"})", "1", unknown_op, "\"frobnicate\""},
        {R"({"op":"","id":"1"})", "1", unknown_op, "\"\""},
        {R"({"op":"Ping"})", "", unknown_op, "\"Ping\""},
        {R"({"op":")" + x65 + R"("})", "", unknown_op, "unprintable"},
        {R"({"op":"ping","op":"ping"})", "", bad_request, "\"op\" is given twice"},
        {R"({"op":"ping","id":"1","id":null})", "", bad_request, "\"id\" is given twice"},
        // Ids.
        {R"({"op":"ping","id":""})", "", bad_request, "\"id\" must be"},
        {R"({"op":"ping","id":7})", "", bad_request, "\"id\" must be"},
        {R"({"op":"ping","id":")" + x65 + "\"}", "", bad_request, "\"id\" must be"},
        {R"({"op":"ping","id":"\udc00"})", "", bad_request, ""},
        {R"({"op":"who"})", "", bad_request, "\"id\" is missing"},
        {R"({"op":"call","service":"a","method":"b"})", "", bad_request, "\"id\" is missing"},
        // hello
        {R"({"op":"hello","id":"1","node":"Laptop"})", "1", bad_request, "\"node\" must be"},
        {R"({"op":"hello","id":"1","node":["a"]})", "1", bad_request, "\"node\" must be"},
        {R"({"op":"hello","id":"1","inbox":true})", "1", bad_request, "\"inbox\" needs a \"node\""},
        {R"({"op":"hello","id":"1","keepalive":1})", "1", bad_request, "\"keepalive\" must be true or false"},
        {R"({"op":"hello","id":"1","client":"a\nb"})", "1", bad_request, "\"client\" must be"},
        {R"({"op":"hello","id":"1","client":")" + std::string(257, 'x') + "\"}", "1", bad_request, "\"client\" must be"},
        // sub, unsub
        {R"({"op":"sub","id":"1"})", "1", bad_request, "\"subject\" is missing"},
        {R"({"op":"sub","id":"1","subject":"a..b"})", "1", bad_request, "\"subject\" must be a pattern"},
        {R"({"op":"sub","id":"1","subject":"a.>.b"})", "1", bad_request, "\"subject\" must be a pattern"},
        {R"({"op":"sub","id":"1","subject":7})", "1", bad_request, "\"subject\" must be a pattern"},
        {R"({"op":"sub","id":"1","subject":"a","group":"x y"})", "1", bad_request, "\"group\" must be a name"},
        {R"({"op":"unsub","id":"1","subject":""})", "1", bad_request, "\"subject\" must be a pattern"},
        // pub
        {R"({"op":"pub","id":"1"})", "1", bad_request, "\"subject\" is missing"},
        {R"({"op":"pub","id":"1","subject":"a.*"})", "1", bad_request, "\"subject\" must be a subject"},
        {R"({"op":"pub","id":"1","subject":"a.>"})", "1", bad_request, "\"subject\" must be a subject"},
        {R"({"op":"pub","id":"1","subject":"a","reply_to":"b.*"})", "1", bad_request, "\"reply_to\" must be a subject"},
        {R"({"op":"pub","id":"1","n":1,"subject":"a"})", "1", bad_request, "exclude each other"},
        {R"({"op":"pub","n":0,"subject":"a"})", "", bad_request, "\"n\" must be a whole number from 1"},
        {R"({"op":"pub","n":-1,"subject":"a"})", "", bad_request, "\"n\" must be"},
        {R"({"op":"pub","n":1.0,"subject":"a"})", "", bad_request, "\"n\" must be"},
        {R"({"op":"pub","n":"1","subject":"a"})", "", bad_request, "\"n\" must be"},
        {R"({"op":"pub","n":9223372036854775808,"subject":"a"})", "", bad_request, "\"n\" must be"},
        // Headers.
        {headers(33), "1", bad_request, "\"headers\" must be an object of at most 32"},
        {R"({"op":"pub","id":"1","subject":"a","headers":[]})", "1", bad_request, "\"headers\" must be an object"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A":7}})", "1", bad_request, "header A must be"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A":null}})", "1", bad_request, "header A must be"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A":""}})", "1", bad_request, "header A must be"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A":" b"}})", "1", bad_request, "header A must be"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A":"\u0085"}})", "1", bad_request, "header A must be"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A":")" + std::string(1025, 'x') + "\"}}", "1", bad_request, "header A must be"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A_":"b"}})", "1", bad_request, "header's name"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"":"b"}})", "1", bad_request, "header's name"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"Nats-A":"b"}})", "1", bad_request, "header's name"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"kedge-a":"b"}})", "1", bad_request, "header's name"},
        {R"({"op":"pub","id":"1","subject":"a","headers":{"A":"b","A":"b"}})", "1", bad_request, "header A is given twice"},
        // post
        {R"({"op":"post","id":"1"})", "1", bad_request, "\"to\" is missing"},
        {R"({"op":"post","id":"1","to":[]})", "1", bad_request, "\"to\" must be a list of 1 to 256"},
        {R"({"op":"post","id":"1","to":"bob"})", "1", bad_request, "\"to\" must be a list"},
        {R"({"op":"post","id":"1","to":[7]})", "1", bad_request, "\"to\" must be"},
        {R"({"op":"post","id":"1","to":[)" + repeated(257, "\"bob\"") + "]}", "1", bad_request, "\"to\" must be a list of at most 256"},
        // consume and detach
        {R"({"op":"consume","id":"1","consumer":"w"})", "1", bad_request, "\"stream\" is missing"},
        {R"({"op":"consume","id":"1","stream":"C"})", "1", bad_request, "\"consumer\" is missing"},
        {R"({"op":"consume","id":"1","stream":"C.D","consumer":"w"})", "1", bad_request, "\"stream\" must be a name"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","filter":""})", "1", bad_request, "\"filter\" must be a pattern"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","start":"last"})", "1", bad_request, "\"start\" must be"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","start":7})", "1", bad_request, "\"start\" must be"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","start":{}})", "1", bad_request, "\"start\" must be"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","start":{"seq":1,"time_ms":1}})", "1", bad_request, "\"start\" must be"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","start":{"seq":0}})", "1", bad_request, "\"start\" must be"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","start":{"time_ms":-1}})", "1", bad_request, "\"start\" must be"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","window":0})", "1", bad_request, "\"window\" must be a whole number from 1"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","ack_wait_ms":"1"})", "1", bad_request, "\"ack_wait_ms\" must be"},
        {R"({"op":"consume","id":"1","stream":"C","consumer":"w","max_deliver":-1})", "1", bad_request, "\"max_deliver\" must be"},
        {R"({"op":"detach","id":"1"})", "1", bad_request, "\"consumer\" is missing"},
        // ack and its kin
        {R"({"op":"ack","id":"1","seq":1})", "1", bad_request, "\"consumer\" is missing"},
        {R"({"op":"ack","id":"1","consumer":"w"})", "1", bad_request, "either \"seq\" or \"upto\""},
        {R"({"op":"ack","id":"1","consumer":"w","seq":1,"upto":1})", "1", bad_request, "either \"seq\" or \"upto\""},
        {R"({"op":"ack","id":"1","consumer":"w","seq":0})", "1", bad_request, "\"seq\" must be"},
        {R"({"op":"ack","id":"1","consumer":"w","seq":"1"})", "1", bad_request, "\"seq\" must be"},
        {R"({"op":"ack","id":"1","consumer":"w","seq":[]})", "1", bad_request, "a list of 1 to 16384"},
        {R"({"op":"ack","id":"1","consumer":"w","seq":[1,0]})", "1", bad_request, "\"seq\" must be"},
        {R"({"op":"ack","id":"1","consumer":"w","seq":[)" + repeated(16'385, "1") + "]}", "1", bad_request, "a list of 1 to 16384"},
        {R"({"op":"ack","id":"1","consumer":"w","upto":0})", "1", bad_request, "\"upto\" must be"},
        {R"({"op":"nak","id":"1","consumer":"w"})", "1", bad_request, "\"seq\" is missing"},
        {R"({"op":"nak","id":"1","consumer":"w","seq":[1]})", "1", bad_request, "\"seq\" must be"},
        {R"({"op":"nak","id":"1","consumer":"w","seq":1,"delay_ms":-1})", "1", bad_request, "\"delay_ms\" must be"},
        {R"({"op":"working","id":"1","consumer":"w"})", "1", bad_request, "\"seq\" is missing"},
        {R"({"op":"term","id":"1","consumer":"w","seq":1,"reason":7})", "1", bad_request, "\"reason\" must be"},
        // call, serve, reply
        {R"({"op":"call","id":"1"})", "1", bad_request, "\"service\" is missing"},
        {R"({"op":"call","id":"1","service":"a"})", "1", bad_request, "\"method\" is missing"},
        {R"({"op":"call","id":"1","service":"a","method":"b","subject":"c"})", "1", bad_request, "either \"service\" and \"method\" or \"subject\""},
        {R"({"op":"call","id":"1","subject":"c.*"})", "1", bad_request, "\"subject\" must be a subject"},
        {R"({"op":"call","id":"1","subject":"c","timeout_ms":0})", "1", bad_request, "\"timeout_ms\" must be"},
        {R"({"op":"serve","id":"1","service":"a","version":"1"})", "1", bad_request, "\"methods\" is missing"},
        {R"({"op":"serve","id":"1","service":"a","version":"1","methods":["a b"]})", "1", bad_request, "\"methods\" must be"},
        {R"({"op":"serve","id":"1","service":"a","version":"1","methods":[)" + repeated(257, "\"m\"") + "]}", "1", bad_request,
         "\"methods\" must be a list of at most 256"},
        {R"({"op":"unserve","id":"1"})", "1", bad_request, "\"service\" is missing"},
        {R"({"op":"reply"})", "", bad_request, "\"call\" is missing"},
        {R"({"op":"reply","call":"c","error":"no"})", "", bad_request, "\"error\" must be an object"},
        {R"({"op":"reply","call":"c","error":{"code":"x"}})", "", bad_request, "\"error\" must be an object"},
        // alias, list, who
        {R"({"op":"alias","id":"1","add":"~al"})", "1", bad_request, "\"add\" must be a list"},
        {R"({"op":"list","id":"1"})", "1", bad_request, "\"list\" is missing"},
        {R"({"op":"list","id":"1","list":"a","delete":"yes"})", "1", bad_request, "\"delete\" must be true or false"},
        {R"({"op":"who","id":"1","what":"users"})", "1", bad_request, "\"what\" must be"},
        {R"({"op":"who","id":"1","what":7})", "1", bad_request, "\"what\" must be"},
    };
}

void check(encoding form, std::string const& unit, refusal_row const& expected)
{
    operation_decoder decoder{form, limits{}};
    decoder.feed(unit);
    decoder.feed(form == encoding::frames ? frame_of(R"({"op":"quit"})") : "{\"op\":\"quit\"}\n");
    auto const next = decoder.next();
    REQUIRE(next.has_value());
    auto const* const bad = std::get_if<op::malformed>(&next->operation);
    REQUIRE(bad != nullptr);
    CHECK(next->bytes == unit.size());
    CHECK(bad->id == expected.id);
    CHECK(bad->why.code == expected.code);
    CAPTURE(bad->why.message);
    CHECK(bad->why.message.find(expected.says) != std::string::npos);

    auto const after = decoder.next();
    REQUIRE(after.has_value());
    CHECK(std::holds_alternative<op::quit>(after->operation));  // the link goes on
    CHECK_FALSE(decoder.broken());
}

TEST_CASE("refusals: what is wrong is named, and the link goes on")
{
    for (auto const& r : make_refusal_rows()) {
        CAPTURE(r.sent.substr(0, 200));
        check(encoding::frames, frame_of(r.sent), r);
        if (!r.sent.empty())
            check(encoding::lines, r.sent + "\n", r);
    }
}

TEST_CASE("refusals: a publish that is refused tells its subject, for the order of answers")
{
    struct subject_row {
        std::string_view sent;
        std::string_view subject;
    };
    for (auto const& r : {
             subject_row{R"({"op":"pub","id":7,"subject":"a.b"})", "a.b"},
             subject_row{R"({"op":"pub","n":0,"subject":"a.b"})", "a.b"},
             subject_row{R"({"op":"pub","id":"1","subject":"a.*"})", ""},
             subject_row{R"({"op":"pub","id":"1","subject":7})", ""},
             subject_row{R"({"op":"sub","id":7,"subject":"a.b"})", ""},
         }) {
        CAPTURE(r.sent);
        operation_decoder decoder{encoding::frames, limits{}};
        decoder.feed(frame_of(r.sent));
        auto const next = decoder.next();
        REQUIRE(next.has_value());
        CHECK(std::get<op::malformed>(next->operation).subject == r.subject);
    }
}

TEST_CASE("refusals: one less than each limit is taken")
{
    auto const taken = [](std::string const& sent) {
        auto const said = decode_operations(encoding::lines, {}, sent + "\n");
        CAPTURE(said);
        CHECK(said.find("malformed") == std::string::npos);
    };
    taken(headers(32));
    taken(R"({"op":"post","to":[)" + repeated(256, "\"bob\"") + "]}");
    taken(R"({"op":"ack","consumer":"w","seq":[)" + repeated(16'384, "1") + "]}");
    taken(R"({"op":"hello","client":")" + std::string(256, 'x') + "\"}");
    taken(R"({"op":"pub","subject":"a","headers":{"A":")" + std::string(1024, 'x') + "\"}}");
}

TEST_CASE("refusals: headers that no delivery could carry")
{
    // A line may be longer than a frame's header; what is delivered may go out in a frame.
    limits l;
    l.header_bytes = 1024;
    auto const pub = [](std::size_t size) {
        return R"({"op":"pub","id":"1","subject":"a","headers":{"A":")" + std::string(1000, 'x') + R"(","B":")" +
               std::string(size - 1000 - 15, 'x') + "\"}}\n";
    };
    CHECK(decode_operations(encoding::lines, l, pub(1024)).find("malformed") == std::string::npos);
    CHECK(decode_operations(encoding::lines, l, pub(1025)).find("id=1 subject=a code=too_large the headers are longer than 1024") !=
          std::string::npos);
}

}  // namespace
}  // namespace kedge
