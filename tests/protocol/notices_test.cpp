#include "tests/catch.hpp"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/protocol/describe.hpp"
#include "tests/protocol/units.hpp"

namespace kedge {
namespace {

struct notice_row {
    notice::any notice;
    std::string header;
    std::string body{};
    bool has_body = false;
};

std::vector<notice_row> make_notice_rows()
{
    return {
        {notice::welcome{"", "kedge/0.1.0", "9f2c41d07a55e8b1", "bot1", "", "bot", {"host:2222"}, 1048576, 600000, 100000, {}, false, 1},
         R"({"op":"welcome","protocol":1,"server":"kedge/0.1.0","session":"9f2c41d07a55e8b1","user":"bot1","node":null,"role":"bot","servers":["host:2222"],"max_body":1048576,"dedupe":{"ms":600000,"ids":100000}})"},
        {notice::welcome{"1", "s", "t", "u", "laptop", "r", {}, 1, 2, 3, {{"A", 5}, {"B", 6}}, true, 1},
         R"({"op":"welcome","id":"1","protocol":1,"server":"s","session":"t","user":"u","node":"laptop","role":"r","servers":[],"max_body":1,"dedupe":{"ms":2,"ids":3},"last":{"A":5,"B":6}})"},
        {notice::ok{"1", "", 0, false, ""}, R"({"op":"ok","id":"1"})"},
        {notice::ok{"1", "CHAT", 7, true, ""}, R"({"op":"ok","id":"1","stream":"CHAT","seq":7,"dup":true})"},
        {notice::ok{"1", "", 0, false, "time-1"}, R"({"op":"ok","id":"1","instance":"time-1"})"},
        {notice::pong{""}, R"({"op":"pong"})"},
        {notice::pong{"\"\n"}, R"({"op":"pong","id":"\"\n"})"},
        {notice::msg{"a.b", "bob/~9f", 1795237981049, "", 0, "", "", 0, "", "", "", "hi"},
         R"({"op":"msg","subject":"a.b","from":"bob/~9f","time_ms":1795237981049})", "hi", true},
        {notice::msg{"a.b", "bob/x", 1, "S", 2, "c", "p", 3, "g", "r", R"({"A":"b"})", ""},
         R"({"op":"msg","subject":"a.b","from":"bob/x","time_ms":1,"stream":"S","seq":2,"consumer":"c","pub_id":"p","tries":3,"group":"g","reply_to":"r","headers":{"A":"b"}})",
         "", true},
        {notice::call{"c1", "time", "now", "bob/x", 4000, "arg"},
         R"({"op":"call","call":"c1","service":"time","method":"now","from":"bob/x","left_ms":4000})", "arg", true},
        {notice::stored{"S", 9, 8}, R"({"op":"stored","stream":"S","n":9,"seq":8})"},
        {notice::reply{"1", "$sys", "{}"}, R"({"op":"reply","id":"1","from":"$sys"})", "{}", true},
        {notice::reply{"1", "bot1/a", "x", R"({"A":"b"})"}, R"({"op":"reply","id":"1","from":"bot1/a","headers":{"A":"b"}})", "x", true},
        {notice::info{{}, true, ""}, R"({"op":"info","draining":true})"},
        {notice::info{{"a:1", "b:2"}, false, "soon"}, R"({"op":"info","servers":["a:1","b:2"],"text":"soon"})"},
        {notice::error{"1", error_code::denied, "no", {}}, R"({"op":"error","id":"1","code":"denied","message":"no"})"},
        {notice::error{"", error_code::store_full, "no", {}, "", "CHAT", 7},
         R"({"op":"error","code":"store_full","message":"no","stream":"CHAT","n":7})"},
        {notice::error{"", error_code::unknown_recipient, "no", {"x", "y"}},
         R"({"op":"error","code":"unknown_recipient","message":"no","unknown":["x","y"]})"},
        {notice::bye{error_code::replaced, "later"}, R"({"op":"bye","code":"replaced","message":"later"})"},
        {notice::unknown{"frob"}, R"({"op":"frob"})"},
    };
}

void check_decoded(encoding form, std::string const& input, std::string const& expected)
{
    CHECK(decode_notices(form, 4096, input) == expected);
    CHECK(decode_notices(form, 4096, input, {0, 1}) == expected);
    for (std::size_t at = 1; at < input.size(); ++at)
        if (decode_notices(form, 4096, input, {at}) != expected) {
            CAPTURE(at);
            CHECK(decode_notices(form, 4096, input, {at}) == expected);
        }
}

TEST_CASE("notices: each of them, in both encodings, there and back, cut anywhere")
{
    for (auto const& r : make_notice_rows()) {
        CAPTURE(r.header);
        auto const frame = frame_of(r.header, r.body);
        CHECK(encode(r.notice, encoding::frames)->view() == frame);
        auto line = r.header;
        if (r.has_body)
            line.insert(line.size() - 1, ",\"data\":\"" + (r.body == "{}" ? "{}" : r.body) + "\"");
        line += '\n';
        CHECK(encode(r.notice, encoding::lines)->view() == line);
        check_decoded(encoding::frames, frame, line);
        check_decoded(encoding::lines, line, line);
    }
}

TEST_CASE("notices: the short ways write the same")
{
    for (auto const form : {encoding::frames, encoding::lines}) {
        CHECK(encode_ok("1", "S", 5, true, form)->view() == encode(notice::any{notice::ok{"1", "S", 5, true, ""}}, form)->view());
        CHECK(encode_ok("1", "", 0, false, form)->view() == encode(notice::any{notice::ok{"1", "", 0, false, ""}}, form)->view());
        CHECK(encode_stored("S", 3, 5, form)->view() == encode(notice::any{notice::stored{"S", 3, 5}}, form)->view());
    }
}

TEST_CASE("notices: a client ignores what it does not know")
{
    CHECK(decode_notices(encoding::lines, 4096, "{\"op\":\"pong\",\"id\":\"1\",\"later\":{\"x\":[1]}}\n") ==
          "{\"op\":\"pong\",\"id\":\"1\"}\n");
    CHECK(decode_notices(encoding::lines, 4096, "{\"op\":\"error\",\"code\":\"tired\",\"message\":\"no\"}\n") ==
          "{\"op\":\"error\",\"code\":\"tired\",\"message\":\"tired: no\"}\n");
    CHECK(decode_notices(encoding::lines, 4096, "{\"op\":\"bye\",\"code\":\"tired\",\"message\":\"no\"}\n") ==
          "{\"op\":\"bye\",\"code\":\"unavailable\",\"message\":\"tired: no\"}\n");
    CHECK(decode_notices(encoding::lines, 4096, "{\"op\":\"msg\",\"subject\":\"a\",\"headers\":{ \"A\" : \"b\" },\"data64\":\"AAEC\"}\n") ==
          "{\"op\":\"msg\",\"subject\":\"a\",\"from\":\"\",\"time_ms\":0,\"headers\":{\"A\":\"b\"},\"data64\":\"AAEC\"}\n");
}

TEST_CASE("notices: a server that breaks the protocol is told once, and nothing follows")
{
    for (std::string const& line : {std::string{"{"}, std::string{"[]"}, std::string{"{}"}, std::string{R"({"op":"msg"})"},
                                    std::string{R"({"op":"ok","seq":"x"})"}, std::string{R"({"op":"msg","subject":"a","data64":"?"})"},
                                    std::string{R"({"op":"msg","subject":"a","data64":"","data":""})"}, std::string(101, 'x')}) {
        CAPTURE(line);
        auto const said = decode_notices(encoding::lines, 100, line + "\n{\"op\":\"pong\"}\n");
        CHECK(said.substr(0, 17) == "failure bad_frame");
        CHECK(said.find("pong") == std::string::npos);
    }
    for (std::string const& frame : {big_endian(101) + "0   ", frame_with("x   ", "{}"), big_endian(3) + "abcd", frame_of("{}")}) {
        auto const said = decode_notices(encoding::frames, 100, frame + frame_of(R"({"op":"pong"})"));
        CHECK(said.substr(0, 17) == "failure bad_frame");
        CHECK(said.find("pong") == std::string::npos);
    }
    CHECK(decode_notices(encoding::frames, 15, frame_of(R"({"op":"x"})", "b")) == "{\"op\":\"x\"}\n");
}

TEST_CASE("notices: what has no bound of its own still fits a frame")
{
    auto const header_of = [](bytes_ptr const& frame) {
        auto const size = std::stoul(std::string{frame->view().substr(4, 4)}, nullptr, 16);
        REQUIRE(frame->size() >= 8 + size);
        return nlohmann::json::parse(frame->view().substr(8, size));
    };
    notice::welcome welcome;
    welcome.has_last = true;
    for (int i = 0; i < 5000; ++i)
        welcome.last[std::string(60, 'S') + std::to_string(i)] = 1u << 30;
    CHECK(header_of(encode(notice::any{welcome}, encoding::frames))["last"].size() > 500);

    notice::error error;
    error.message = std::string(4095, 'x') + "\xc3\xa9" + std::string(70'000, 'y');
    error.unknown.assign(5000, std::string(100, '"'));
    auto const parsed = header_of(encode(notice::any{error}, encoding::frames));
    CHECK(parsed["message"] == std::string(4095, 'x'));
    CHECK(parsed["unknown"].size() > 100);
}

}  // namespace
}  // namespace kedge
