#include "tests/catch.hpp"

#include <string>

#include "tests/protocol/describe.hpp"
#include "tests/protocol/units.hpp"

namespace kedge {
namespace {

struct operation_row {
    std::string_view name;
    std::string_view sent;
    std::string_view read;  ///< as the encoder writes it again; empty = as it was sent
};

// Without bodies: these stand in the header of a frame as they stand in a line.
constexpr operation_row operation_rows[] = {
    {"hello", R"({"op":"hello"})", {}},
    {"hello, all", R"({"op":"hello","id":"1","node":"laptop","client":"probe 1.0","inbox":true,"keepalive":true})", {}},
    {"hello, false", R"({"op":"hello","inbox":false,"keepalive":false})", R"({"op":"hello"})"},
    {"sub", R"({"op":"sub","id":"1","subject":"chat.>"})", {}},
    {"sub, group", R"({"op":"sub","subject":"*.a.>","group":"Workers-1"})", {}},
    {"unsub", R"({"op":"unsub","id":"1","subject":"chat.>","group":"g"})", {}},
    {"consume", R"({"op":"consume","id":"1","stream":"CHAT","consumer":"w"})", {}},
    {"consume, all",
     R"({"op":"consume","stream":"CHAT","consumer":"w","filter":"chat.*","start":"first","window":1,"ack_wait_ms":0,"max_deliver":0})",
     {}},
    {"consume, new", R"({"op":"consume","stream":"C","consumer":"w","start":"new"})",
     R"({"op":"consume","stream":"C","consumer":"w"})"},
    {"consume, seq", R"({"op":"consume","stream":"C","consumer":"w","start":{"seq":7}})", {}},
    {"consume, time", R"({"op":"consume","stream":"C","consumer":"w","start":{"time_ms":0,"x":1}})",
     R"({"op":"consume","stream":"C","consumer":"w","start":{"time_ms":0}})"},
    {"detach", R"({"op":"detach","id":"1","stream":"C","consumer":"w"})", {}},
    {"ack", R"({"op":"ack","id":"1","consumer":"w","seq":1})", {}},
    {"ack, list", R"({"op":"ack","stream":"C","consumer":"w","seq":[3,1,2]})", {}},
    {"ack, list of one", R"({"op":"ack","consumer":"w","seq":[9]})", R"({"op":"ack","consumer":"w","seq":9})"},
    {"ack, upto", R"({"op":"ack","consumer":"w","upto":9223372036854775807})", {}},
    {"nak", R"({"op":"nak","id":"1","consumer":"w","seq":5})", {}},
    {"nak, delay", R"({"op":"nak","stream":"C","consumer":"w","seq":5,"delay_ms":100})", {}},
    {"working", R"({"op":"working","id":"1","consumer":"w","seq":5})", {}},
    {"term", R"({"op":"term","id":"1","consumer":"w","seq":5})", {}},
    {"term, reason", R"({"op":"term","consumer":"w","seq":5,"reason":"no such user"})", {}},
    {"serve", R"({"op":"serve","id":"1","service":"time","version":"1.0","methods":["now","zone"],"description":"tells it"})", {}},
    {"unserve", R"({"op":"unserve","id":"1","service":"time"})", {}},
    {"alias", R"({"op":"alias","id":"1","add":["~al"],"remove":["~b","~c"]})", {}},
    {"alias, nothing", R"({"op":"alias","add":[]})", R"({"op":"alias"})"},
    {"list", R"({"op":"list","id":"1","list":"admins","add":["bob","@ops"],"remove":["al"]})", {}},
    {"list, delete", R"({"op":"list","list":"admins","delete":true})", {}},
    {"who", R"({"op":"who","id":"1"})", R"({"op":"who","id":"1","what":"nodes"})"},
    {"who, services", R"({"op":"who","id":"1","what":"services"})", {}},
    {"who, streams", R"({"op":"who","id":"1","what":"streams"})", {}},
    {"who, consumers", R"({"op":"who","id":"1","what":"consumers"})", {}},
    {"who, lists", R"({"op":"who","id":"1","what":"lists"})", {}},
    {"ping", R"({"op":"ping"})", {}},
    {"ping, id", R"({"op":"ping","id":"\u00e9\u0000"})", "{\"op\":\"ping\",\"id\":\"\xc3\xa9\\u0000\"}"},
    {"quit", R"({"op":"quit"})", {}},
    // What every operation has in common.
    {"unknown fields", R"({"x":{"op":"pub"},"op":"ping","id":"1","xs":[1,-2.5e3,null,{}],"data":7,"to":{}})", R"({"op":"ping","id":"1"})"},
    {"null is absent", R"({"op":"hello","id":null,"node":null,"inbox":null})", R"({"op":"hello"})"},
    {"escaped names", R"({"\u006fp":"ping","i\u0064":"1"})", R"({"op":"ping","id":"1"})"},
    {"spaces", " \t{ \"op\" : \"ping\" , \"id\" : \"1\" } ", R"({"op":"ping","id":"1"})"},
    {"an id of 64", R"({"op":"ping","id":"0123456789012345678901234567890123456789012345678901234567890123"})", {}},
};

// With bodies: in frames the body stands behind the header, in lines `"data":"body"` in it.
constexpr operation_row operation_rows_with_body[] = {
    {"pub", R"({"op":"pub","subject":"a.b")", {}},
    {"pub, all", R"({"op":"pub","id":"1","subject":"a.b","reply_to":"r.s","headers":{"A":"b","C-d":"e f"})", {}},
    {"pub, n", R"({"op":"pub","n":1,"subject":"a.b")", {}},
    {"pub, n max", R"({"op":"pub","n":9223372036854775807,"subject":"a.b")", {}},
    {"pub, no headers", R"({"op":"pub","subject":"a.b","headers":{})", R"({"op":"pub","subject":"a.b")"},
    {"pub, headers made compact", R"({"op":"pub","subject":"a","headers": { "A" : "\u0062\"" })",
     R"({"op":"pub","subject":"a","headers":{"A":"b\""})"},
    {"pub, UTF-8", "{\"op\":\"pub\",\"subject\":\"\xc3\xa9.\xe4\xb8\x96\"", {}},
    {"pub, reserved subject", R"({"op":"pub","subject":"$sys.broadcast")", {}},
    {"post", R"({"op":"post","id":"1","to":["alice","bob/laptop","~al","@admins"],"headers":{"A":"b"})", {}},
    {"call", R"({"op":"call","id":"1","service":"time","method":"now")", {}},
    {"call, subject", R"({"op":"call","id":"1","timeout_ms":10,"subject":"a.b")", {}},
    {"reply", R"({"op":"reply","call":"c1")", {}},
    {"reply, error", R"({"op":"reply","call":"c1","error":{"code":"no_zone","message":"There is none."})", {}},
};

void check(encoding form, std::string const& input, std::string const& expected)
{
    auto const said = std::to_string(input.size()) + " " + expected + "\n";
    CHECK(decode_operations(form, {}, input) == said);
    CHECK(decode_operations(form, {}, input, {0, 1}) == said);
    for (std::size_t at = 1; at < input.size(); ++at) {
        if (decode_operations(form, {}, input, {at}) != said) {
            CAPTURE(at);
            CHECK(decode_operations(form, {}, input, {at}) == said);
        }
    }
}

TEST_CASE("operations: each of them, in both encodings, cut anywhere")
{
    for (auto const& r : operation_rows) {
        CAPTURE(r.name);
        std::string const expected{r.read.empty() ? r.sent : r.read};
        check(encoding::frames, frame_of(r.sent), expected);
        check(encoding::lines, std::string{r.sent} + "\n", expected);
    }
    for (auto const& r : operation_rows_with_body) {
        CAPTURE(r.name);
        auto const expected = std::string{r.read.empty() ? r.sent : r.read} + R"(,"data":"hello"})";
        check(encoding::frames, frame_of(std::string{r.sent} + "}", "hello"), expected);
        check(encoding::lines, std::string{r.sent} + ",\"data\":\"hello\"}\n", expected);
    }
}

TEST_CASE("operations: a publish holds what was sent")
{
    operation_decoder decoder{encoding::frames, limits{}};
    decoder.feed(frame_of(R"({"op":"pub","id":"p1","subject":"a.b","reply_to":"r","headers":{"A":"\u00e9"}})", "body"));
    auto const next = decoder.next();
    REQUIRE(next.has_value());
    auto const& message = *std::get<op::publish>(next->operation).message;
    CHECK(message.id() == "p1");
    CHECK(message.subject() == "a.b");
    CHECK(message.reply_to() == "r");
    CHECK(message.headers() == "{\"A\":\"\xc3\xa9\"}");
    CHECK(message.body() == "body");
}

TEST_CASE("operations: a header too long for a frame is not encoded")
{
    op::ack ack;
    ack.consumer = "w";
    ack.seqs.assign(16'384, 123'456);
    std::string out = "before";
    CHECK_THROWS_AS(encode(op::any{ack}, encoding::frames, out), std::length_error);
    CHECK(out == "before");
    encode(op::any{ack}, encoding::lines, out);
    CHECK(out.size() > 65'536);
}

}  // namespace
}  // namespace kedge
