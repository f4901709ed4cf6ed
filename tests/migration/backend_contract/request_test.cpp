/// Streams, single messages, the account, and plain messages.

#include <algorithm>

#include "tests/migration/backend_contract/contract.hpp"

namespace kedge::migration {
namespace {

using namespace backend_event;

problem refused_with(bus_client& client, backend_command::any command)
{
    auto const what = client.ask(std::move(command));
    auto const* wrong = std::get_if<problem>(&what);
    return wrong == nullptr ? problem{-1, "it was not refused", false, false} : *wrong;
}

KEDGE_BACKEND_CASE(the_link_says_what_it_is, "the link says which server it leads to")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    auto const up = client.all<link_up>()[0];
    CHECK(up.connection == 1);
    CHECK(up.url.starts_with("nats://127.0.0.1:"));
    CHECK_FALSE(up.server_id.empty());
    CHECK_FALSE(up.server_name.empty());
    CHECK(up.version.starts_with("2."));
    CHECK(up.jetstream);
    CHECK(up.headers);
    auto const account = client.ask_for<account_info>(backend_command::account{});
    CHECK(account.jetstream);
    CHECK(account.streams == 0);
    CHECK(account.streams_max == -1);
}

KEDGE_BACKEND_CASE(streams, "streams are made, told, changed, listed and deleted")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    CHECK(refused_with(client, backend_command::stream_info{{}, "CHAT"}).missing);
    CHECK(refused_with(client, backend_command::delete_stream{{}, "CHAT"}).missing);
    CHECK(refused_with(client, backend_command::update_stream{{}, test_stream()}).missing);
    jet_config config = test_stream();
    config.description = "kedge 0123456789abcdef abc CHAT";
    config.subjects = {"chat.>", "talk.*.x"};
    config.max_age_ms = 86'400'000;
    config.max_bytes = 100'000'000;
    config.max_msgs = 1'000'000;
    config.max_msg_bytes = 600'000;
    auto info = client.ask_for<jet_info>(backend_command::create_stream{{}, config});
    for (int again = 0; again < 2; ++again) {
        CHECK(info.config.name == "CHAT");
        CHECK(info.config.description == config.description);
        CHECK(info.config.subjects == config.subjects);
        CHECK(info.config.max_age_ms == config.max_age_ms);
        CHECK(info.config.max_bytes == config.max_bytes);
        CHECK(info.config.max_msgs == config.max_msgs);
        CHECK(info.config.max_msgs_per_subject == 0);
        CHECK(info.config.max_msg_bytes == config.max_msg_bytes);
        CHECK(info.config.duplicates_ms == 120'000);
        CHECK(info.config.replicas == 1);
        CHECK((info.limits_retention && info.discard_old && !info.deny_delete && !info.deny_purge && !info.sealed && !info.mirror_or_sources));
        CHECK((info.first == 0 && info.last == 0 && info.messages == 0));
        CHECK(info.created_ns > 1'600'000'000'000'000'000);
        info = client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"});
    }
    CHECK(refused_with(client, backend_command::create_stream{{}, test_stream("OTHER", "*.a")}).code == 10065);
    CHECK(refused_with(client, backend_command::create_stream{{}, test_stream()}).code == 10058);
    config.max_msgs = 5;
    config.description = "changed";
    info = client.ask_for<jet_info>(backend_command::update_stream{{}, config});
    CHECK(info.config.max_msgs == 5);
    CHECK(info.config.description == "changed");
    client.publish_many("chat.a", 12);
    REQUIRE(client.until([&] { return client.count<acked>() == 12; }));
    info = client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"});
    CHECK((info.first == 8 && info.last == 12 && info.messages == 5 && info.bytes > 0));
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream("WORK", "work.>")});
    auto all = client.ask_for<std::vector<jet_info>>(backend_command::list_streams{});
    REQUIRE(all.size() == 2);
    CHECK(std::any_of(all.begin(), all.end(), [](auto const& each) { return each.config.name == "WORK"; }));
    client.ask_for<std::monostate>(backend_command::delete_stream{{}, "CHAT"});
    CHECK(client.ask_for<std::vector<jet_info>>(backend_command::list_streams{}).size() == 1);
    CHECK(client.ask_for<account_info>(backend_command::account{}).streams == 1);
}

KEDGE_BACKEND_CASE(one_message, "a message is had by its place")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.publish("chat.a", "one");
    client.publish("chat.b", std::string("t\0wo\xff", 5), {{"Kedge-Row", "r 1"}, {"Empty", ""}});
    REQUIRE(client.until([&] { return client.count<acked>() == 2; }));
    auto const second = client.ask_for<bus_message>(backend_command::get_message{{}, "CHAT", 2});
    CHECK(second.subject == "chat.b");
    CHECK(second.body == std::string("t\0wo\xff", 5));
    CHECK(second.place == 2);
    auto headers = second.headers;
    std::sort(headers.begin(), headers.end());
    CHECK(headers == bus_headers{{"Empty", ""}, {"Kedge-Row", "r 1"}});
    auto const first = client.ask_for<bus_message>(backend_command::get_message{{}, "CHAT", 1});
    CHECK((first.body == "one" && first.headers.empty() && first.time_ns <= second.time_ns));
    CHECK(refused_with(client, backend_command::get_message{{}, "CHAT", 3}).missing);
    CHECK(refused_with(client, backend_command::get_message{{}, "NONE", 1}).missing);
    CHECK(client.ask_for<bus_message>(backend_command::get_message{{}, "CHAT", 2, true}).body == second.body);
    CHECK(refused_with(client, backend_command::get_message{{}, "CHAT", 3, true}).code == 10037);
    // The same message by a reader: not a byte differs.
    client.submit(backend_command::read{reader_id{1}, "CHAT", 2, 10, 1024 * 1024});
    REQUIRE(client.until([&] { return client.read_count() == 1; }));
    auto read = client.read()[0];
    std::sort(read.headers.begin(), read.headers.end());
    CHECK((read.subject == second.subject && read.body == second.body && read.headers == headers && read.time_ns == second.time_ns));
}

KEDGE_BACKEND_CASE(no_link_no_answer, "without a link a request ends as away")
{
    world.kill();
    bus_client client(world);
    CHECK(refused_with(client, backend_command::list_streams{}).away);
    CHECK(refused_with(client, backend_command::find_services{}).away);
    world.start();
    REQUIRE(client.until_linked());
    CHECK(client.ask_for<std::vector<jet_info>>(backend_command::list_streams{}).empty());
    CHECK(client.ask_for<std::vector<bus_service>>(backend_command::find_services{{}, 50}).empty());
}

KEDGE_BACKEND_CASE(plain_messages, "plain messages reach the other side with headers and reply, and never who sent them")
{
    bus_client one(world);
    bus_client two(world);
    REQUIRE(one.until_linked());
    REQUIRE(two.until_linked());
    one.submit(backend_command::subscribe{plain_id{1}, "live.>"});
    two.submit(backend_command::subscribe{plain_id{2}, "live.*"});
    // Its answer comes behind the subscription.
    one.ask_for<account_info>(backend_command::account{});
    two.ask_for<account_info>(backend_command::account{});
    bus_message what;
    what.subject = "live.a";
    what.reply = "_INBOX.somewhere";
    what.headers = {{"colour", "blue"}};
    what.body = "hello";
    one.submit(backend_command::send{what});
    one.ask_for<account_info>(backend_command::account{});
    REQUIRE(two.until([&] { return two.count<plain>() == 1; }));
    auto const got = two.all<plain>()[0];
    CHECK(got.id == plain_id{2});
    CHECK((got.what.subject == "live.a" && got.what.reply == "_INBOX.somewhere" && got.what.headers == what.headers && got.what.body == "hello"));
    CHECK(one.count<plain>() == 0);
    // Subscriptions are taken up again on the next link.
    world.kill();
    REQUIRE(one.until([&] { return one.linked() == 0; }));
    REQUIRE(two.until([&] { return two.linked() == 0; }));
    world.start();
    REQUIRE(one.until_linked(2));
    REQUIRE(two.until_linked(2));
    one.ask_for<account_info>(backend_command::account{});
    two.submit(backend_command::send{what});
    two.ask_for<account_info>(backend_command::account{});
    REQUIRE(one.until([&] { return one.count<plain>() == 1; }));
    one.submit(backend_command::unsubscribe{plain_id{1}});
    one.ask_for<account_info>(backend_command::account{});
    two.submit(backend_command::send{what});
    two.ask_for<account_info>(backend_command::account{});
    one.ask_for<account_info>(backend_command::account{});
    CHECK(one.count<plain>() == 1);
    CHECK(two.count<plain>() == 1);
}

}  // namespace
}  // namespace kedge::migration
