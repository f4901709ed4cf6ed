/// Publishing: order, ids, refusals, and that each ticket is answered once whatever happens to the link.

#include <algorithm>
#include <map>
#include <set>

#include "tests/migration/backend_contract/contract.hpp"

namespace kedge::migration {
namespace {

using namespace backend_event;

/// How often each ticket was answered, from `acked` and `refused` together.
std::map<std::uint64_t, int> answers_of(bus_client const& client)
{
    std::map<std::uint64_t, int> out;
    for (auto const& each : client.all<acked>()) ++out[each.ticket];
    for (auto const& each : client.all<refused>()) ++out[each.ticket];
    return out;
}

KEDGE_BACKEND_CASE(what_is_published_is_read_back, "what is published is read back in its order, with headers, body and place")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 100, 1024 * 1024});
    bus_headers const headers{{"Kedge-Row", "r abc 1 xyz"}, {"colour", "blue"}, {"empty", ""}};
    client.publish("chat.a", std::string("bo\0dy", 5), headers);
    client.publish("chat.b.c", "");
    client.publish_many("chat.many", 1000);
    REQUIRE(client.until([&] { return client.read_count() == 1002 && client.count<acked>() == 1002; }));
    auto const read = client.read();
    CHECK(read[0].subject == "chat.a");
    CHECK(read[0].body == std::string("bo\0dy", 5));
    auto got = read[0].headers;
    std::sort(got.begin(), got.end());
    CHECK(got == headers);
    CHECK(read[0].time_ns > 1'600'000'000'000'000'000);
    CHECK(read[0].reply.empty());
    CHECK(read[1].subject == "chat.b.c");
    CHECK(read[1].body.empty());
    CHECK(read[1].headers.empty());
    for (std::size_t i = 0; i < read.size(); ++i) {
        REQUIRE(read[i].place == i + 1);
        if (i >= 2) REQUIRE(read[i].body == std::to_string(i - 2));
    }
    auto const acks = client.all<acked>();
    for (std::size_t i = 0; i < acks.size(); ++i) REQUIRE((acks[i].place == i + 1 && !acks[i].duplicate && acks[i].connection == 1));
    CHECK(client.all<messages>().back().behind == 0);
}

KEDGE_BACKEND_CASE(an_id_is_stored_once, "a message id is stored once; the second is told the first one's place")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.publish("chat.a", "1", {{"Nats-Msg-Id", "one"}});
    client.publish("chat.a", "2", {{"Nats-Msg-Id", "two"}});
    client.publish("chat.b", "3", {{"Nats-Msg-Id", "one"}});
    REQUIRE(client.until([&] { return client.count<acked>() == 3; }));
    auto const acks = client.all<acked>();
    CHECK((acks[0].place == 1 && !acks[0].duplicate));
    CHECK((acks[1].place == 2 && !acks[1].duplicate));
    CHECK((acks[2].place == 1 && acks[2].duplicate));
    // A restart does not forget.
    world.kill();
    REQUIRE(client.until([&] { return client.linked() == 0; }));
    world.start();
    REQUIRE(client.until_linked(2));
    client.publish("chat.a", "4", {{"Nats-Msg-Id", "two"}});
    REQUIRE(client.until([&] { return client.count<acked>() == 4; }));
    CHECK(client.all<acked>()[3].duplicate);
    CHECK(client.all<acked>()[3].place == 2);
}

KEDGE_BACKEND_CASE(refusals_say_why, "a refusal says why, and the messages around it are stored")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    auto config = test_stream();
    config.max_msg_bytes = 1000;
    client.ask_for<jet_info>(backend_command::create_stream{{}, config});
    auto const max_payload = client.all<link_up>()[0].max_payload;
    CHECK(max_payload == 1024 * 1024);
    client.publish("chat.a", "1");
    auto const large = client.publish("chat.a", std::string(2000, 'x'));
    auto const nowhere = client.publish("other.a", "x");
    auto const huge = client.publish("chat.a", std::string(max_payload + 1, 'x'));
    client.publish("chat.a", "2");
    REQUIRE(client.until([&] { return client.count<acked>() == 2 && client.count<refused>() == 3; }));
    for (auto const& each : client.all<refused>()) {
        INFO(each.why);
        CHECK_FALSE(each.why.empty());
        if (each.ticket == large) CHECK((each.sent && each.answered && each.code == 10054));
        else if (each.ticket == nowhere) CHECK((each.sent && each.answered && each.code == 503));
        else CHECK((each.ticket == huge && !each.sent));
    }
    CHECK(client.all<acked>()[1].place == 2);
    CHECK(client.linked() == 1);
}

KEDGE_BACKEND_CASE(not_sent_on_another_link, "what was meant for another link is not sent")
{
    bus_client client(world);
    client.publish("chat.a", "before there is a link");
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    backend_command::publish late;
    late.ticket = 4711;
    late.connection = client.linked() + 1;
    late.what.subject = "chat.a";
    client.submit(late);
    REQUIRE(client.until([&] { return client.count<refused>() == 2; }));
    for (auto const& each : client.all<refused>()) CHECK_FALSE(each.sent);
    CHECK(client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"}).last == 0);
}

TEST_CASE("backend of nats-server: what would break NATS's lines is not sent", "[nats]")
{
    nats_world world;
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.publish("chat.a b", "x");
    client.publish("chat.a\r\nPUB chat.b 0\r\n", "x");
    client.publish("", "x");
    client.publish("chat.a", "x", {{"a: b\r\nc", "x"}});
    client.publish("chat.a", "x", {{"", "x"}});
    client.publish("chat.a", "x", {{"a", std::string("x\0y", 3)}});
    client.publish("chat.a", "good", {{"a", "x\r\nb: y"}, {"c", " outer "}});
    REQUIRE(client.until([&] { return client.count<refused>() == 6 && client.count<acked>() == 1; }));
    for (auto const& each : client.all<refused>()) CHECK_FALSE(each.sent);
    auto const got = client.ask_for<bus_message>(backend_command::get_message{{}, "CHAT", 1});
    auto headers = got.headers;
    std::sort(headers.begin(), headers.end());
    REQUIRE(headers.size() == 2);
    CHECK(headers[0].first == "a");
    CHECK(headers[1] == std::pair<std::string, std::string>("c", "outer"));
}

KEDGE_BACKEND_CASE(kill_in_the_middle, "kill -9 in the middle: each ticket is answered once, and what was acknowledged is there")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 8192, 16 * 1024 * 1024});
    constexpr std::size_t count = 10'000;
    client.publish_many("chat.a", count);
    REQUIRE(client.until([&] { return client.count<acked>() > 100; }));
    world.kill();
    REQUIRE(client.until([&] { return client.linked() == 0; }));
    world.start();
    REQUIRE(client.until_linked(2));
    REQUIRE(client.until([&] { return client.count<acked>() + client.count<refused>() == count; }));
    client.publish("chat.end", "end");
    REQUIRE(client.until([&] { return client.count<acked>() + client.count<refused>() == count + 1; }));
    auto const last = client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"}).last;
    REQUIRE(client.until([&] {
        auto const read = client.read();
        return !read.empty() && read.back().place >= last;
    }));
    for (auto const& [ticket, times] : answers_of(client)) REQUIRE(times == 1);
    std::map<jet_place, std::string> by_place;
    jet_place before = 0;
    std::uint64_t body_before = 0;
    for (auto const& each : client.read()) {
        REQUIRE(each.place == before + 1);
        before = each.place;
        if (each.subject == "chat.a") {
            // One link keeps the order, whatever is lost at its end.
            REQUIRE((before == 1 || std::stoull(each.body) > body_before));
            body_before = std::stoull(each.body);
        }
        by_place[each.place] = each.body;
    }
    auto const first_ticket = client.all<acked>().front().ticket;
    for (auto const& each : client.all<acked>()) {
        REQUIRE(by_place.contains(each.place));
        if (each.connection == 1) REQUIRE(by_place[each.place] == std::to_string(each.ticket - first_ticket));
    }
}

KEDGE_BACKEND_CASE(a_frozen_server, "a frozen server: the link is given up, all is answered, and it comes back")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    world.freeze();
    client.publish_many("chat.a", 2000);
    client.submit(backend_command::stream_info{token{900'000}, "CHAT"});
    REQUIRE(client.until([&] { return client.linked() == 0; }));
    CHECK(client.count<refused>() == 2000);
    for (auto const& each : client.all<refused>()) REQUIRE_FALSE(each.answered);
    bool asked = false;
    for (auto const& each : client.all<answered>())
        if (each.request == token{900'000}) asked = std::get<problem>(each.what).away;
    CHECK(asked);
    world.thaw();
    REQUIRE(client.until_linked(2));
    client.publish("chat.a", "after");
    REQUIRE(client.until([&] { return client.count<acked>() == 1; }));
    for (auto const& [ticket, times] : answers_of(client)) REQUIRE(times == 1);
}

KEDGE_BACKEND_CASE(closing_answers_all, "closing answers what is open, within a second, also when the server is frozen")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 16, 1024 * 1024});
    client.submit(backend_command::subscribe{plain_id{1}, "live.>"});
    client.publish_many("chat.a", 100);
    REQUIRE(client.until([&] { return client.read_count() == 100; }));
    world.freeze();
    // More than what the sockets hold, so that a write waits.
    for (int i = 0; i < 200; ++i) client.publish("chat.a", std::string(100'000, 'x'));
    client.submit(backend_command::stream_info{token{900'000}, "CHAT"});
    auto const began = std::chrono::steady_clock::now();
    client.close();
    auto const took = std::chrono::steady_clock::now() - began;
    CHECK(std::chrono::duration<double>(took).count() < 1.5);
    auto const answers = answers_of(client);
    CHECK(answers.size() == 300);
    for (auto const& [ticket, times] : answers) REQUIRE(times == 1);
    auto const before = client.events().size();
    client.publish("chat.a", "too late");
    world.thaw();
    CHECK(client.events().size() == before);
}

}  // namespace
}  // namespace kedge::migration
