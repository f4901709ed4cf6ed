/// The disk fails at every possible place, or the power goes: what was acknowledged is there, what is there fits together.

#include <optional>
#include <random>
#include <set>

#include "router/store/row_bytes.hpp"
#include "tests/store/fixture.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

/// A publisher that writes with ids and `n`, and what it was told. Epochs rise after a failure, as the router's do.
class publisher {
public:
    publisher(stream_id stream, consumer_id consumer) : stream_{stream}, consumer_{consumer} {}

    void publish(store_fixture& f, std::size_t rows)
    {
        std::vector<store_request::any> batch;
        for (std::size_t i = 0; i < rows; ++i) {
            auto request = append_id(stream_, std::to_string(++last_id_));
            request.n = last_id_;
            request.epoch = epoch_;
            batch.push_back(request);
        }
        batch.push_back(store_request::save_cursor{next_token(), consumer_, {acknowledged_ + 1, {}}, {}, start_ms});
        auto const events = f.run(batch);
        CHECK(of<store_event::append_failed>(events).empty() != of<store_event::rows_arrived>(events).empty());
        for (auto const& arrived : of<store_event::rows_arrived>(events)) {
            CHECK(arrived.rows.size() == rows);
            for (auto const& r : arrived.rows) {
                acknowledged_ = r.stored.seq;
                ids_.insert(std::string{r.stored.message->id()});
            }
        }
        if (!of<store_event::append_failed>(events).empty())
            ++epoch_;
        for (auto const& done : of<store_event::done>(events))
            if (done.request == std::get<store_request::save_cursor>(batch.back()).request)
                cursor_ = std::get<store_request::save_cursor>(batch.back()).position.next;
    }

    /// What must hold in a store that was opened after the fact. `more`: rows that may be there without having been told.
    void check(store_fixture& f, std::size_t more) const
    {
        auto const all = f.load();
        auto const state = state_of(all, stream_);
        CHECK(state.last >= acknowledged_);
        CHECK(state.last <= acknowledged_ + more);
        auto const rows = read_all(f, stream_);
        REQUIRE(rows.size() == state.last);
        std::set<std::string> stored;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            CHECK(rows[i].seq == i + 1);
            stored.insert(std::string{rows[i].message->id()});
        }
        CHECK(stored.size() == rows.size());
        for (auto const& id : ids_)
            CHECK(stored.contains(id));
        std::set<std::string> remembered;
        for (auto const& entry : all.ids) {
            CHECK(rows.at(entry.seq - 1).message->id() == entry.id);
            remembered.insert(entry.id);
        }
        CHECK(remembered == stored);
        if (!rows.empty()) {
            REQUIRE(all.nodes.size() == 1);
            CHECK(std::to_string(all.nodes.front().last.front().numbers.n) == rows.back().message->id());
            CHECK(all.nodes.front().last.front().numbers.seq == rows.back().seq);
        }
        CHECK(all.consumers.front().position.next >= cursor_);
        CHECK((seqs_of(read_all(f, stream_, "s.id")) == seqs_of(rows)));
    }

    message_seq acknowledged() const { return acknowledged_; }

private:
    stream_id stream_;
    consumer_id consumer_;
    std::uint64_t last_id_ = 0;
    std::uint64_t epoch_ = 1;
    message_seq acknowledged_ = 0;
    message_seq cursor_ = 1;
    std::set<std::string> ids_;
};

/// A store that the test owns itself.
class borrowed_fixture final : public store_fixture {
public:
    explicit borrowed_fixture(sqlite_store& store) : store_{store} {}
    message_store& store() override { return store_; }
    account_store& accounts() override { return store_; }
    void reopen() override {}
    void fail(fault) override {}
    void heal() override {}

private:
    sqlite_store& store_;
};

constexpr std::size_t batch_rows = 40;

}  // namespace

TEST_CASE("for n: the nth write or sync fails; the store goes on, and a restart shows what was acknowledged")
{
    auto& disk = fault_disk::instance();
    for (int const code : {SQLITE_FULL, SQLITE_IOERR_WRITE}) {
        for (bool const for_good : {false, true}) {
            bool failed = true;
            for (unsigned n = 0; failed && n < 200; ++n) {
                INFO("n " << n << ", code " << code << (for_good ? ", for good" : ""));
                file_fixture f;
                auto const stream = add_stream(f);
                publisher bot{stream, add_consumer(f, stream)};
                bot.publish(f, batch_rows);
                disk.fail_change(n, code, for_good);
                for (int i = 0; i < 3; ++i) {
                    bot.publish(f, batch_rows);
                    std::vector<store_event::any> ignored;
                    f.store().maintain(f.now_ms, ignored);
                }
                failed = disk.failed();
                auto const during = bot.acknowledged();
                disk.heal();
                bot.publish(f, batch_rows);
                CHECK(bot.acknowledged() == during + batch_rows);
                bot.check(f, 0);
                f.reopen();
                bot.check(f, 0);
            }
            CHECK_FALSE(failed);  // so the last n was behind the last write
        }
    }
}

TEST_CASE("for n: the power goes before the nth write or sync; what was acknowledged is there")
{
    auto& disk = fault_disk::instance();
    std::mt19937 chance{7};
    bool cut = true;
    for (unsigned n = 0; cut && n < 300; ++n) {
        scratch_folder folder;
        scratch_folder left;
        INFO("n " << n);
        disk.watch(folder.file("kedge.db"));
        cut = false;
        std::optional<publisher> bot;  // outlives the store, whose end writes too
        std::optional<publisher> at_cut;
        {
            sqlite_store store{folder.file("kedge.db"), limits{}};
            borrowed_fixture f{store};
            f.load();
            auto const stream = add_stream(f);
            bot.emplace(stream, add_consumer(f, stream));
            unsigned changes = 0;
            disk.before_change = [&] {
                if (changes++ == n) {
                    cut = true;
                    disk.power_cut(left.file("kedge.db"), chance);
                    at_cut = bot;  // as it is told so far
                }
            };
            for (int i = 0; i < 4; ++i)
                bot->publish(f, batch_rows);
        }
        disk.before_change = nullptr;
        disk.watch({});
        if (!cut)
            break;
        sqlite_store store{left.file("kedge.db"), limits{}};
        borrowed_fixture f{store};
        at_cut->check(f, batch_rows);
        at_cut->publish(f, 1);
    }
    CHECK_FALSE(cut);
}

TEST_CASE("a bounded disk: publishes are refused while it is full, and go on when retention makes room")
{
    file_fixture f;
    auto const stream = add_stream(f);
    std::string const body(20'000, 'x');
    fill(f, stream, 50, body);
    auto& disk = fault_disk::instance();
    disk.fail_change(0, SQLITE_FULL, true);
    for (int i = 0; i < 5; ++i)
        CHECK(only<store_event::append_failed>(f.run({append(stream, "s", body)})).why.code == error_code::store_full);
    CHECK(read_all(f, stream).size() == 50);
    CHECK(f.maintain().empty());
    disk.heal();
    f.run({store_request::edit_stream{next_token(), stream, {"S", {">"}, 0, 0, 10}}});
    f.maintain();
    auto again = append(stream, "s", body);
    again.epoch = 2;
    CHECK(only<store_event::rows_arrived>(f.run({again})).rows.front().stored.seq == 51);
}

TEST_CASE("for n: the nth write or sync fails while rows go; what is counted is what is there")
{
    auto& disk = fault_disk::instance();
    bool failed = true;
    for (unsigned n = 0; failed && n < 200; ++n) {
        INFO("n " << n);
        file_fixture f;
        stream_config config;
        config.max_msgs_per_subject = 2;
        auto const stream = add_stream(f, "S", config);
        fill(f, stream, 100);
        disk.fail_change(n, SQLITE_IOERR_WRITE, false);
        std::size_t purged = 0;
        std::uint64_t epoch = 1;
        std::uint64_t posted = 0;
        for (int i = 0; i < 3; ++i) {
            auto mail = append(stream_id{1}, {});
            mail.recipients = shared_bytes::copy_of("alice bob/x");
            mail.epoch = epoch;
            auto last = append(stream, "s.2");
            last.epoch = epoch;
            auto events = f.run({mail, last, store_request::purge{next_token(), stream, "s.1", 0}});
            if (of<store_event::append_failed>(events).empty())
                ++posted;
            else
                ++epoch;
            purged += of<store_event::failed>(events).size();
            for (int slices = 0; slices < 4; ++slices) {
                events.clear();
                f.store().maintain(f.now_ms, events);
                purged += of<store_event::purged>(events).size();
            }
        }
        failed = disk.failed();
        disk.heal();
        CHECK(purged == 3);
        for (int restarts = 0; restarts < 2; ++restarts) {
            auto const all = f.load();
            auto const state = state_of(all, stream);
            auto const rows = read_all(f, stream);
            CHECK(state.messages == rows.size());
            CHECK(state.bytes == rows.size() * (row_bytes_fixed + 1));
            CHECK(rows.size() == 12);  // two of each of seven subjects, but s.1
            CHECK(state.first == rows.front().seq);
            REQUIRE(all.usage.size() == 1);
            CHECK(all.usage.front().messages == rows.size());
            CHECK(all.usage.front().bytes == state.bytes);
            CHECK(all.mail.size() == 2);
            CHECK(all.mail.front().messages == posted);
            CHECK(seqs_of(read_all(f, stream, "s.*")) == seqs_of(rows));
            f.reopen();
        }
    }
    CHECK_FALSE(failed);
}
