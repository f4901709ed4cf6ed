#include "router/store/sqlite/check.hpp"

#include <array>
#include <stdexcept>

#include "router/store/sqlite/check_findings.hpp"
#include "router/store/sqlite/check_rows.hpp"
#include "router/store/sqlite/consumer_table.hpp"
#include "router/store/sqlite/id_journal.hpp"
#include "router/store/sqlite/schema.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

/// What one statement finds: each row of it is wrong, and says which in its first column.
struct question {
    char const* sql;
    char const* before;
    char const* after;
};

constexpr std::array questions{
    question{"SELECT name FROM consumer WHERE stream NOT IN (SELECT id FROM stream)", "consumer ", " reads a stream that is not known"},
    question{"SELECT consumer.name FROM consumer WHERE dead <> (SELECT count(*) FROM dead WHERE consumer = consumer.id AND NOT replayed)",
             "consumer ", " has another number of dead letters than it says"},
    question{"SELECT DISTINCT consumer FROM dead WHERE consumer NOT IN (SELECT id FROM consumer)"
             " AND consumer NOT IN (SELECT id FROM garbage WHERE kind = 1)",
             "there are dead letters of a consumer that is not known (number ", ")"},
    question{"SELECT consumer.name FROM consumer JOIN stream ON stream.id = consumer.stream AND stream.name = 'INBOX'"
             " LEFT JOIN mailbox ON mailbox.user = consumer.owner"
             " WHERE done_messages > coalesce(mailbox.messages, 0) OR done_bytes > coalesce(mailbox.bytes, 0)",
             "node ", " is done with more mail than there ever was"},
    question{"SELECT DISTINCT node FROM node_n WHERE stream NOT IN (SELECT id FROM stream)", "node ",
             " has numbers in a stream that is not known"},
    question{"SELECT DISTINCT node FROM node_n JOIN stream ON stream.id = node_n.stream WHERE seq > last OR seq = 0", "node ",
             " has a number for a row beyond its stream"},
    question{"SELECT DISTINCT node FROM node_early WHERE stream NOT IN (SELECT id FROM stream)", "node ",
             " has numbers in a stream that is not known"},
    question{"SELECT DISTINCT node FROM node_early JOIN stream ON stream.id = node_early.stream WHERE seq > last"
             " OR n <= coalesce((SELECT n FROM node_n WHERE node_n.node = node_early.node AND node_n.stream = node_early.stream), 0)", "node ",
             " has an early number that is none"},
    question{"SELECT id FROM mirror WHERE stream NOT IN (SELECT id FROM stream)", "mirror ", " is of a stream that is not known"},
    question{"SELECT stream.name FROM mirror JOIN stream ON stream.id = stream WHERE start < 1 OR floor < start - 1"
             " OR floor > max(stream.last, start - 1) OR checkpoint NOT BETWEEN 0 AND (1 << 40) - 1 OR mirror.keep NOT IN (0, 1)",
             "the mirror of stream ", " has no sensible bounds"},
    question{"SELECT DISTINCT mirror FROM mirror_note WHERE mirror NOT IN (SELECT id FROM mirror)", "there are notes of a mirror that is not known (number ",
             ")"},
    question{"SELECT DISTINCT key >> 40 FROM placed WHERE key >> 40 NOT IN (SELECT id FROM mirror)"
             " AND key >> 40 NOT IN (SELECT id FROM garbage WHERE kind = 2)",
             "there are places of a mirror that is not known (number ", ")"},
    question{"SELECT (key & ((1 << 40) - 1)) || ' of stream ' || stream.name FROM mirror JOIN stream ON stream.id = stream"
             " JOIN placed ON key BETWEEN mirror.id << 40 AND (mirror.id << 40) + (1 << 40) - 1"
             " WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.id = (stream.id << 40) + (key & ((1 << 40) - 1)))",
             "row ", " has a place in JetStream, but is not there"},
    question{"SELECT (key & ((1 << 40) - 1)) || ' of stream ' || stream.name FROM mirror JOIN stream ON stream.id = stream"
             " JOIN placed ON key BETWEEN mirror.id << 40 AND (mirror.id << 40) + (1 << 40) - 1"
             " WHERE place NOT BETWEEN (mirror.id << 40) + 1 AND (mirror.id << 40) + checkpoint",
             "row ", " has a place in JetStream that nobody has looked at yet"},
    question{"SELECT stream.name FROM mirror JOIN stream ON stream.id = stream WHERE (waiting_rows, waiting_bytes) <>"
             " (SELECT count(*), coalesce(sum(32 + coalesce(length(CAST(message_id AS BLOB)), 0) + coalesce(length(CAST(reply_to AS BLOB)), 0)"
             " + coalesce(length(CAST(headers AS BLOB)), 0) + length(body)), 0) FROM log"
             " WHERE log.id BETWEEN (stream.id << 40) + start AND (stream.id << 40) + (1 << 40) - 1"
             " AND NOT EXISTS (SELECT 1 FROM placed WHERE key = (mirror.id << 40) + (log.id & ((1 << 40) - 1))))",
             "the mirror of stream ", " counts another number of messages that wait than there are"},
    question{"SELECT stream.name FROM mirror JOIN stream ON stream.id = stream WHERE EXISTS (SELECT 1 FROM log"
             " WHERE log.id BETWEEN (stream.id << 40) + start AND (stream.id << 40) + floor"
             " AND NOT EXISTS (SELECT 1 FROM placed WHERE key = (mirror.id << 40) + (log.id & ((1 << 40) - 1))))",
             "the mirror of stream ", " passes over messages that wait"},
    question{"SELECT key FROM meta WHERE key = 'secret' AND (typeof(value) <> 'blob' OR length(value) <> 32)", "the ", " is none"},
    question{"SELECT DISTINCT user FROM user_key WHERE user NOT IN (SELECT name FROM user WHERE NOT removed)", "there are keys of ",
             ", who is not a user"},
    question{"SELECT DISTINCT user FROM user_limit WHERE user NOT IN (SELECT name FROM user)", "there are limits of ", ", who is not a user"},
    question{"SELECT alias FROM alias WHERE user NOT IN (SELECT name FROM user WHERE NOT removed)", "alias ~",
             " is of nobody who is a user"},
    question{"SELECT DISTINCT list FROM list_member WHERE list NOT IN (SELECT name FROM list)", "there are members of the list @",
             ", which is not there"},
    question{"SELECT name FROM list WHERE posting NOT BETWEEN 0 AND 2", "list @", " does not say who may post to it"},
    question{"SELECT id FROM rule WHERE what NOT IN (0, 1) OR action NOT BETWEEN 0 AND 5"
             " OR (user <> '') + (role <> '') + (key <> '') <> 1",
             "rule ", " makes no sense"},
    question{"SELECT id FROM ban WHERE (user <> '') + (key <> '') + (address <> '') <> 1", "ban ", " makes no sense"},
};

class checker {
public:
    explicit checker(database& on) : on_{on} {}

    void run()
    {
        part("the structure of the file", [&] { structure(); });
        if (on_.number("PRAGMA user_version") != static_cast<std::int64_t>(schema_steps().size()))
            return findings.add("the tables are of another version than this program's");
        part("the log", [&] {
            check_rows log{on_, findings};
            try {
                log.run();
            } catch (...) {
                rows = log.rows();
                throw;
            }
            rows = log.rows();
        });
        part("the consumers", [&] { cursors(); });
        part("the ids", [&] { ids(); });
        for (auto const& each : questions)
            part("a table", [&] { ask(each); });
    }

    check_findings findings;
    std::uint64_t rows = 0;

private:
    /// Damage in one part must not hide what is wrong with the others.
    template <class Work>
    void part(char const* what, Work const& work)
    try {
        work();
    } catch (error const& failed) {
        if (failed.primary() == SQLITE_INTERRUPT)
            throw;
        findings.add(std::string{what} + " cannot be read: " + failed.what());
    } catch (std::runtime_error const& failed) {
        findings.add(std::string{what} + " cannot be read: " + failed.what());
    }

    void structure()
    {
        statement asked{on_, "PRAGMA integrity_check(100)"};
        auto rows = asked.query();
        while (rows.next())
            if (rows.bytes(0) != "ok")
                findings.add(rows.string(0));
    }

    void cursors()
    {
        statement all{on_, "SELECT consumer.name, next, pending, last, stream.name FROM consumer JOIN stream ON stream.id = stream"};
        auto rows = all.query();
        while (rows.next()) {
            auto const name = "consumer " + rows.string(0) + " of stream " + rows.string(4);
            auto const next = rows.number(1);
            if (next == 0 || next > message_seq_max + 1)
                findings.add(name + " is at a place that no stream has");
            try {
                message_seq seq = 0;
                bool first = true;
                for (blob_reader reader{rows.bytes(2)}; !reader.empty(); first = false) {
                    auto const step = reader.varint();
                    seq += step;
                    reader.varint();
                    reader.signed_varint();
                    if ((step == 0 && !first) || seq == 0 || seq >= next || seq > rows.number(3)) {
                        findings.add(name + " waits for row " + std::to_string(seq) + ", which cannot be");
                        break;
                    }
                }
            } catch (std::runtime_error const&) {
                findings.add(name + " has a damaged list of unfinished rows");
            }
        }
    }

    void ids()
    {
        statement last_of{on_, "SELECT last FROM stream WHERE id = ?"};
        statement all{on_, "SELECT batch, entries, records FROM ids"};
        auto rows = all.query();
        while (rows.next()) {
            auto const name = "batch " + std::to_string(rows.integer(0)) + " of the ids";
            try {
                auto const records = id_journal::unpack(rows.bytes(2));
                if (records.size() != rows.number(1))
                    findings.add(name + " has " + std::to_string(records.size()) + " entries, not " + std::to_string(rows.number(1)));
                for (auto const& record : records) {
                    if (record.stream == stream_id{})
                        continue;
                    auto last = last_of.query(static_cast<std::uint32_t>(record.stream));
                    if (last.next() && (record.seq == 0 || record.seq > last.number(0))) {
                        findings.add(name + " names a row beyond its stream");
                        break;
                    }
                }
            } catch (error const&) {
                throw;
            } catch (std::runtime_error const& damaged) {
                findings.add(name + " cannot be read: " + damaged.what());
            }
        }
    }

    void ask(question const& each)
    {
        statement asked{on_, each.sql};
        auto rows = asked.query();
        while (rows.next())
            findings.add(each.before + rows.string(0) + each.after);
    }

    database& on_;
};

int stopped(void* stop) noexcept
{
    return static_cast<std::atomic<bool> const*>(stop)->load(std::memory_order_relaxed) ? 1 : 0;
}

}  // namespace

check_report check_file(std::string const& path, std::atomic<bool> const& stop)
{
    check_findings unreadable;
    try {
        database on{path, SQLITE_OPEN_READWRITE};
        constexpr int instructions = 10'000;  // of SQLite's machine, between two looks at `stop`
        sqlite3_progress_handler(on.handle(), instructions, stopped, const_cast<std::atomic<bool>*>(&stop));
        on.run("PRAGMA locking_mode=EXCLUSIVE");
        on.run("PRAGMA trusted_schema=OFF");
        checker all{on};
        all.run();
        return {all.rows, all.findings.take()};
    } catch (error const& failed) {
        unreadable.add(std::string{"the database cannot be read: "} + failed.what());
    }
    return {0, unreadable.take()};
}

}  // namespace kedge::sqlite
