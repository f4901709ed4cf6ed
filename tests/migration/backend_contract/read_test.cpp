/// Readers: windows, restarts, and streams that go away under them.

#include "tests/migration/backend_contract/contract.hpp"

namespace kedge::migration {
namespace {

using namespace backend_event;

void fill(bus_client& client, std::size_t count, std::string const& subject = "chat.a")
{
    auto const before = client.count<acked>();
    client.publish_many(subject, count);
    REQUIRE(client.until([&] { return client.count<acked>() == before + count; }));
}

KEDGE_BACKEND_CASE(a_window_is_kept, "no more than the window is under way until it is consumed")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    fill(client, 1000);
    client.consume_by_itself(false);
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 100, 1024 * 1024});
    REQUIRE(client.until([&] { return client.read_count() == 100; }));
    // A question and its answer: time enough for one too many.
    client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"});
    CHECK(client.read_count() == 100);
    client.submit(backend_command::consumed{reader_id{1}, 30, 0});
    REQUIRE(client.until([&] { return client.read_count() == 130; }));
    client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"});
    CHECK(client.read_count() == 130);
    // A reader that waits does not stop acknowledgements, nor does a new link fill its window twice.
    fill(client, 10);
    world.kill();
    REQUIRE(client.until([&] { return client.linked() == 0; }));
    world.start();
    REQUIRE(client.until_linked(2));
    client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"});
    CHECK(client.read_count() == 130);
    client.consume_by_itself(true);
    client.submit(backend_command::consumed{reader_id{1}, 100, 1024 * 1024});
    REQUIRE(client.until([&] { return client.read_count() == 1010; }));
    auto const read = client.read();
    for (std::size_t i = 0; i < read.size(); ++i) REQUIRE(read[i].place == i + 1);
}

KEDGE_BACKEND_CASE(a_window_in_bytes, "a window is kept in bytes too, and a message larger than it goes alone")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    for (int i = 0; i < 20; ++i) client.publish("chat.a", std::string(10'000, 'x'));
    client.publish("chat.a", std::string(100'000, 'y'));
    client.publish("chat.a", "z");
    REQUIRE(client.until([&] { return client.count<acked>() == 22; }));
    client.consume_by_itself(false);
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 1000, 50'000});
    REQUIRE(client.until([&] { return client.read_count() >= 5; }));
    client.ask_for<jet_info>(backend_command::stream_info{{}, "CHAT"});
    CHECK(client.read_count() <= 6);
    client.consume_by_itself(true);
    client.submit(backend_command::consumed{reader_id{1}, 1000, 1'000'000});
    REQUIRE(client.until([&] { return client.read_count() == 22; }));
}

KEDGE_BACKEND_CASE(from_a_place, "a reader begins where it is told, and goes on where it was on the next link")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    fill(client, 200);
    client.submit(backend_command::read{reader_id{1}, "CHAT", 150, 1000, 1024 * 1024});
    REQUIRE(client.until([&] { return client.read_count() == 51; }));
    CHECK(client.read().front().place == 150);
    for (int round = 2; round < 5; ++round) {
        world.kill();
        REQUIRE(client.until([&] { return client.linked() == 0; }));
        world.start();
        REQUIRE(client.until_linked(static_cast<std::uint64_t>(round)));
        fill(client, 50);
        auto const expected = 51u + 50u * static_cast<unsigned>(round - 1);
        REQUIRE(client.until([&] { return client.read_count() >= expected; }));
        CHECK(client.read_count() == expected);
    }
    auto const read = client.read();
    for (std::size_t i = 0; i < read.size(); ++i) REQUIRE(read[i].place == 150 + i);
    CHECK(client.count<reader_ended>() == 0);
    client.submit(backend_command::stop_reading{reader_id{1}});
    fill(client, 10);
    client.submit(backend_command::read{reader_id{2}, "CHAT", 360, 1000, 1024 * 1024});
    REQUIRE(client.until([&] { return client.read().back().place == 360; }));
}

KEDGE_BACKEND_CASE(a_stream_that_goes, "a stream that is deleted, made anew, put back or never was ends its readers")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.submit(backend_command::read{reader_id{9}, "NONE", 1, 1000, 1024 * 1024});
    REQUIRE(client.until([&] { return client.count<reader_ended>() == 1; }));
    CHECK(client.all<reader_ended>()[0].gone);
    CHECK(client.all<reader_ended>()[0].reader == reader_id{9});

    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    fill(client, 10);
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 1000, 1024 * 1024});
    REQUIRE(client.until([&] { return client.read_count() == 10; }));
    client.ask_for<std::monostate>(backend_command::delete_stream{{}, "CHAT"});
    REQUIRE(client.until([&] { return client.count<reader_ended>() == 2; }));
    CHECK(client.all<reader_ended>()[1].gone);

    // Another of the same name, while the reader waits for a link.
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    fill(client, 10);
    client.submit(backend_command::read{reader_id{2}, "CHAT", 1, 1000, 1024 * 1024});
    REQUIRE(client.until([&] { return client.read_count() == 20; }));
    client.ask_for<std::monostate>(backend_command::delete_stream{{}, "CHAT"});
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    fill(client, 20);
    REQUIRE(client.until([&] { return client.count<reader_ended>() == 3; }));
    CHECK(client.all<reader_ended>()[2].gone);
    CHECK(client.read_count() == 20);

    // Gone back, while there was no link.
    world.kill();
    world.save();
    REQUIRE(client.until([&] { return client.linked() == 0; }));
    world.start();
    REQUIRE(client.until_linked(2));
    client.submit(backend_command::read{reader_id{3}, "CHAT", 1, 1000, 1024 * 1024});
    fill(client, 20);
    REQUIRE(client.until([&] { return client.read_count() == 60; }));
    world.kill();
    world.put_back();
    REQUIRE(client.until([&] { return client.linked() == 0; }));
    world.start();
    REQUIRE(client.until_linked(3));
    REQUIRE(client.until([&] { return client.count<reader_ended>() == 4; }));
    CHECK_FALSE(client.all<reader_ended>()[3].gone);
    INFO(client.all<reader_ended>()[3].why);
    CHECK(client.all<reader_ended>()[3].why.find("20") != std::string::npos);
}

KEDGE_BACKEND_CASE(a_backlog, "a backlog of 30,000 messages is read in order while others are published")
{
    bus_client client(world);
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    fill(client, 30'000);
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 500, 1024 * 1024});
    fill(client, 2000, "chat.b");
    REQUIRE(client.until([&] { return client.read_count() == 32'000; }));
    auto const read = client.read();
    for (std::size_t i = 0; i < read.size(); ++i) REQUIRE(read[i].place == i + 1);
    for (auto const& batch : client.all<messages>()) REQUIRE(batch.batch.size() <= 500);
}

}  // namespace
}  // namespace kedge::migration
