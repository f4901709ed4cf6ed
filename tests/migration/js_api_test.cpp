/// The text of JetStream's API, as servers of several versions say it.

#include "migration/nats/js_api.hpp"

#include <nlohmann/json.hpp>

#include "migration/nats/greeting.hpp"
#include "tests/catch.hpp"

namespace kedge::migration {
namespace {

using namespace js_api;
using nlohmann::json;

TEST_CASE("the place of a delivery, in the old form and in that with a domain")
{
    auto const old = parse_delivery("$JS.ACK.CHAT.cons.1.42.7.1700000000000000001.99");
    REQUIRE(old);
    CHECK((old->place == 42 && old->consumer_seq == 7 && old->time_ns == 1'700'000'000'000'000'001 && old->behind == 99));
    for (auto const* text : {"$JS.ACK._.ACCHASH.CHAT.cons.1.42.7.1700000000000000001.99", "$JS.ACK.hub.ACCHASH.CHAT.cons.1.42.7.1700000000000000001.99.rnd"}) {
        auto const fresh = parse_delivery(text);
        REQUIRE(fresh);
        CHECK((fresh->place == 42 && fresh->consumer_seq == 7 && fresh->behind == 99));
    }
    for (auto const* text : {"", "$JS.ACK.", "$JS.ACK.CHAT.cons.1.42.7.1700000000000000001", "_INBOX.a.b.c.d.e.f.g.h", "$JS.ACK.CHAT.cons.1.x.7.1.9",
                             "$JS.ACK.CHAT.cons.1.42.7.1700000000000000001.-1", "$JS.ACK.a.b.c.d.e.f.g.h"})
        CHECK_FALSE(parse_delivery(text));
}

TEST_CASE("acknowledgements")
{
    auto const good = [](char const* text) { return std::get<acknowledgement>(parse_acknowledgement(text)); };
    auto const bad = [](char const* text) { return std::get<backend_event::problem>(parse_acknowledgement(text)); };
    CHECK(good(R"({"stream":"CHAT", "seq":12})").place == 12);
    CHECK(good(R"({"stream":"CHAT","domain":"hub","seq":7,"duplicate":true})").duplicate);
    CHECK(good(R"({"stream":"CHAT","seq":7,"duplicate":true})").place == 7);
    CHECK_FALSE(good(R"({"stream":"duplicate", "seq":3})").duplicate);
    CHECK(good(R"({"stream":"a\"seq\":9", "seq":3})").place == 3);
    CHECK(bad(R"({"error":{"code":400,"err_code":10077,"description":"maximum messages exceeded"},"stream":"CHAT","seq":0})").code == 10077);
    CHECK(bad(R"({"error":{"code":503,"description":"old server"},"stream":"CHAT","seq":0})").code == 503);
    CHECK(bad("hello").code == 0);
    CHECK(bad("").code == 0);
    CHECK(bad(R"({"seq":0})").code == 0);
    CHECK(bad(R"({"answer":42})").why.find("service") != std::string::npos);
}

TEST_CASE("times")
{
    CHECK(parse_time("1970-01-01T00:00:01Z") == 1'000'000'000);
    CHECK(parse_time("2026-11-21T15:04:05.123456789Z") == 1'795'273'445'123'456'789);
    CHECK(parse_time("2024-02-29T23:59:59.5Z") == 1'709'251'199'500'000'000);
    for (auto const* text : {"", "2026-11-21T15:04:05", "2026-11-21T15:04:05+01:00", "2026-13-21T15:04:05Z", "2026-02-30T15:04:05Z", "2026-11-21T15:04:05.Z",
                             "2026-11-21T15:04:05.1234567890Z", "2026-11-21 15:04:05Z", "0001-01-01T00:00:00Z", "2026-11-21T24:04:05Z"})
        CHECK(parse_time(text) == 0);
}

TEST_CASE("header blocks, also as libnats leaves them")
{
    using std::string_literals::operator""s;
    bus_headers const three{{"a", "1"}, {"empty", ""}, {"b", "x: y"}};
    CHECK(parse_headers("NATS/1.0\r\na: 1\r\nempty: \r\nb: x: y\r\n\r\n") == three);
    CHECK(parse_headers("NATS/1.0\r\na:1\r\nempty:\r\nb:  x: y  \r\n\r\n") == three);
    CHECK(parse_headers("NATS/1.0\0\na\0 1\0\nempty\0 \r\nb: x: y\0\n\r\n"s) == three);
    CHECK(parse_headers("NATS/1.0 100 Idle Heartbeat\r\na: 1\r\na: 2\r\n\r\n") == bus_headers{{"a", "1"}, {"a", "2"}});
    CHECK(parse_headers("NATS/1.0\r\n\r\n").empty());
    CHECK(parse_headers("").empty());
    CHECK(parse_headers("NATS/1.0\r\nno colon\r\n: no name\r\n folded: x\r\na: 1") == bus_headers{{"a", "1"}});
}

TEST_CASE("a stream's facts, from servers that say more and less")
{
    auto const info = parse_info(json::parse(R"({"type":"io.nats.jetstream.api.v1.stream_info_response","config":{"name":"CHAT","subjects":["chat.>"],
        "retention":"interest","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":3600000000000,"max_msgs_per_subject":-1,"max_msg_size":-1,
        "discard":"new","storage":"file","num_replicas":3,"duplicate_window":120000000000,"sealed":false,"deny_delete":true,"deny_purge":false,
        "mirror":{"name":"X"},"compression":"s2"},"created":"2026-11-21T15:04:05.5Z","state":{"messages":5,"bytes":77,"first_seq":3,"last_seq":9}})"));
    REQUIRE(info);
    CHECK_FALSE(info->limits_retention);
    CHECK_FALSE(info->discard_old);
    CHECK(info->deny_delete);
    CHECK(info->mirror_or_sources);
    CHECK(info->config.max_age_ms == 3'600'000);
    CHECK((info->config.max_msgs == 0 && info->config.max_bytes == 0 && info->config.replicas == 3));
    CHECK((info->first == 3 && info->last == 9 && info->messages == 5 && info->bytes == 77));
    CHECK(info->created_ns == 1'795'273'445'500'000'000);
    CHECK_FALSE(parse_info(json::parse(R"({"config":{}})")));
    CHECK_FALSE(parse_info(json::parse(R"({"config":1,"state":[]})")));
    CHECK(parse_info(json::parse(R"({"config":{"subjects":[1]},"state":{"messages":"many"}})")));
}

TEST_CASE("what kedge does not know of stays in a stream's configuration")
{
    jet_config config;
    config.name = "CHAT";
    config.subjects = {"chat.>"};
    config.max_msgs = 7;
    auto const merged = merged_config(json::parse(R"({"name":"CHAT","storage":"memory","allow_direct":true,"max_msgs":1,"placement":{"tags":["ssd"]}})"), config);
    CHECK(merged.at("allow_direct") == true);
    CHECK(merged.at("storage") == "memory");
    CHECK(merged.at("placement").at("tags").at(0) == "ssd");
    CHECK(merged.at("max_msgs") == 7);
    CHECK(merged.at("max_bytes") == -1);
}

TEST_CASE("answers, errors and nonsense")
{
    CHECK(std::get<backend_event::problem>(parse_answer(R"({"error":{"code":404,"err_code":10059,"description":"stream not found"}})")).missing);
    CHECK_FALSE(std::get<backend_event::problem>(parse_answer(R"({"error":{"code":400,"err_code":10052,"description":"bad"}})")).missing);
    CHECK(std::get<backend_event::problem>(parse_answer(R"({"error":{}})")).why == "JetStream refused it");
    CHECK(std::holds_alternative<backend_event::problem>(parse_answer("[1]")));
    CHECK(std::holds_alternative<backend_event::problem>(parse_answer("")));
    CHECK(std::holds_alternative<json>(parse_answer("{}")));
    CHECK_FALSE(parse_message(json::parse(R"({"message":{"subject":"a","seq":1,"data":"*"}})")));
    CHECK_FALSE(parse_service("{}"));
}

TEST_CASE("greetings")
{
    auto const good = parse_greeting(R"(INFO {"server_id":"ID","server_name":"n1","version":"2.10.27","headers":true,"max_payload":1048576,"jetstream":true,"tls_available":true})"
                                     "\r");
    REQUIRE(std::holds_alternative<greeting>(good));
    auto const& said = std::get<greeting>(good);
    CHECK((said.server_id == "ID" && said.version == "2.10.27" && said.headers && said.jetstream && said.tls && said.max_payload == 1'048'576));
    for (auto const* text : {"", "SSH-2.0-OpenSSH_9.2", "INFO", "INFO ", "INFO [1]", "HTTP/1.1 400 Bad Request", "INFO {"})
        CHECK(std::holds_alternative<std::string>(parse_greeting(text)));
}

}  // namespace
}  // namespace kedge::migration
