/// The disk fails or the power goes at every possible place while a stream is copied and NATS clients publish: in the end each message
/// is in the log once, and has its place.

#include <optional>
#include <random>
#include <set>

#include "tests/store/mirror_requests.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

/// A JetStream stream, its clients, and what copies to it and reads it back.
class far_side {
public:
    explicit far_side(stream_id stream) : stream_{stream} {}

    /// A batch of publishes and of what was read back, as far as `read_max` messages from the checkpoint.
    void round(store_fixture& f, std::size_t read_max)
    {
        std::vector<store_request::any> batch;
        std::set<std::string> published;
        for (int i = 0; i < 10; ++i) {
            auto request = append_id(stream_, "ssh" + std::to_string(++last_id_));
            request.epoch = epoch_;
            published.insert(std::string{request.message->id()});
            batch.push_back(request);
            messages_.push_back(native(0, "nats" + std::to_string(last_id_)));
        }
        std::vector<item> items;
        for (auto place = checkpoint_ + 1; place <= messages_.size() && items.size() < read_max; ++place) {
            items.push_back(messages_[place - 1]);
            items.back().place = place;
            items.back().stamp = stamp_of(place);
        }
        auto request = import(stream_, items, std::to_string(checkpoint_));
        request.checkpoint = std::max(request.checkpoint, checkpoint_);
        batch.push_back(request);
        auto const events = f.run(batch);
        if (of<store_event::append_failed>(events).empty())
            acknowledged_.merge(published);
        else
            ++epoch_;
        for (auto const& answer : of<store_event::imported>(events)) {
            CHECK(answer.lacking == 0);
            checkpoint_ = answer.now.checkpoint;
        }
        copy(f);
        std::vector<store_event::any> ignored;
        f.store().maintain(f.now_ms, ignored);
    }

    /// After the faults: until all is copied and read back.
    void settle(store_fixture& f)
    {
        checkpoint_ = mirror_of(f.load(), stream_).checkpoint;
        ++epoch_;
        for (int rounds = 0;; ++rounds) {
            REQUIRE(rounds < 100);
            copy(f);
            std::vector<item> items;
            for (auto place = checkpoint_ + 1; place <= messages_.size(); ++place) {
                items.push_back(messages_[place - 1]);
                items.back().place = place;
            }
            auto request = import(stream_, items);
            request.checkpoint = messages_.size();
            auto const answer = imported(f, request);
            REQUIRE(answer.lacking == 0);
            checkpoint_ = answer.now.checkpoint;
            if (answer.now.waiting_rows == 0)
                break;
        }
        std::multiset<std::string> stored;
        for (auto const& each : read_all(f, stream_))
            stored.insert(std::string{each.message->id().empty() ? each.message->body() : each.message->id()});
        CHECK(std::set<std::string>(stored.begin(), stored.end()).size() == stored.size());
        for (auto const& id : acknowledged_)
            CHECK(stored.contains(id));
        for (auto const& each : messages_)
            if (each.message != nullptr)
                CHECK(stored.contains(std::string{each.message->body()}));
        CHECK(placed(f, stream_, 1, jet_place_max, false, 100'000).rows.size() == stored.size());
        CHECK(found_wrong(f) == "");
    }

private:
    void copy(store_fixture& f)
    {
        store_request::read_waiting const read{next_token(), stream_, 1, 15, 1 << 20};
        for (auto const& answer : of<store_event::rows_read>(f.run({read})))
            for (auto const& each : answer.rows)
                messages_.push_back(copy_of(each.seq, 0));
    }

    stream_id stream_;
    std::vector<item> messages_;  ///< by place
    jet_place checkpoint_ = 0;
    std::uint64_t last_id_ = 0;
    std::uint64_t epoch_ = 1;
    std::set<std::string> acknowledged_;
};

class borrowed_store final : public store_fixture {
public:
    explicit borrowed_store(sqlite_store& store) : store_{store} {}
    message_store& store() override { return store_; }
    account_store& accounts() override { return store_; }
    void reopen() override {}
    void fail(fault) override {}
    void heal() override {}

private:
    sqlite_store& store_;
};

}  // namespace

TEST_CASE("for n: the nth write or sync fails while a stream is copied; nothing is lost or doubled")
{
    auto& disk = fault_disk::instance();
    for (int const code : {SQLITE_FULL, SQLITE_IOERR_WRITE}) {
        bool failed = true;
        for (unsigned n = 0; failed && n < 200; ++n) {
            INFO("n " << n << ", code " << code);
            file_fixture f;
            auto const stream = add_stream(f);
            f.run({mirror(stream)});
            far_side nats{stream};
            nats.round(f, 5);
            disk.fail_change(n, code, n % 2 == 1);
            for (std::size_t i = 0; i < 4; ++i)
                nats.round(f, 7 * i);
            failed = disk.failed();
            disk.heal();
            if (n % 4 < 2)
                f.reopen();
            nats.settle(f);
        }
        CHECK_FALSE(failed);  // so the last n was behind the last write
    }
}

TEST_CASE("for n: the power goes before the nth write or sync while a stream is copied; nothing is lost or doubled")
{
    auto& disk = fault_disk::instance();
    std::mt19937 chance{11};
    bool cut = true;
    for (unsigned n = 0; cut && n < 300; ++n) {
        scratch_folder folder;
        scratch_folder left;
        INFO("n " << n);
        disk.watch(folder.file("kedge.db"));
        cut = false;
        std::optional<far_side> nats;  // outlives the store, whose end writes too
        std::optional<far_side> at_cut;
        {
            sqlite_store store{folder.file("kedge.db"), limits{}};
            borrowed_store f{store};
            f.load();
            auto const stream = add_stream(f);
            f.run({mirror(stream)});
            nats.emplace(stream);
            unsigned changes = 0;
            disk.before_change = [&] {
                if (changes++ == n) {
                    cut = true;
                    disk.power_cut(left.file("kedge.db"), chance);
                    at_cut = nats;
                }
            };
            for (std::size_t i = 0; i < 4; ++i)
                nats->round(f, 9 * i);
        }
        disk.before_change = nullptr;
        disk.watch({});
        if (!cut)
            break;
        sqlite_store store{left.file("kedge.db"), limits{}};
        borrowed_store f{store};
        at_cut->settle(f);
    }
    CHECK_FALSE(cut);
}
