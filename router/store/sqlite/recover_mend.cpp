#include "router/store/sqlite/recover_mend.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"
#include "router/store/sqlite/id_journal.hpp"
#include "router/store/sqlite/name_table.hpp"
#include "router/store/sqlite/recipient_names.hpp"
#include "router/store/sqlite/segment.hpp"
#include "router/store/sqlite/user_totals.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

/// What is wrong by itself, and how it is put right: a statement, and what is said when it changed something.
struct repair {
    char const* sql;
    char const* said;  ///< after the number of rows; null = nothing was lost by it
};

constexpr repair before_rows[] = {
    {"DELETE FROM log WHERE id >> 40 IN (SELECT id FROM garbage WHERE kind = 0)", nullptr},
    {"DELETE FROM placed WHERE key >> 40 IN (SELECT id FROM garbage WHERE kind = 2)", nullptr},
    {"DELETE FROM garbage", nullptr},
    {"DELETE FROM log WHERE id < 1 << 40 OR id & ((1 << 40) - 1) = 0", "rows of the log had no sensible number"},
    {"INSERT INTO stream (id, name, subjects, max_age_ms, max_bytes, max_msgs, keep, first, last, oseq, bytes, last_ms)"
     " SELECT id >> 40, CASE WHEN max(recipients IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM stream WHERE name = 'INBOX') THEN 'INBOX'"
     " ELSE 'RECOVERED-' || (id >> 40) END, '', 0, 0, 0, 0, min(id) & ((1 << 40) - 1),"
     " max(max(id) & ((1 << 40) - 1), coalesce((SELECT max(seq) FROM node_n WHERE node_n.stream = log.id >> 40), 0)), 0, 0, 0"
     " FROM log WHERE id >> 40 NOT IN (SELECT id FROM stream) GROUP BY id >> 40",
     "streams were not known any more: they are called RECOVERED and their number (of mail: INBOX), and have no subjects"},
    {"UPDATE stream SET first = 1, last = coalesce((SELECT max(log.id) & ((1 << 40) - 1) FROM log"
     " WHERE log.id BETWEEN (stream.id << 40) AND (stream.id << 40) + (1 << 40) - 1), 0)"
     " WHERE first < 1 OR first > last + 1 OR last >= 1 << 40",
     "streams had no sensible bounds"},
    {"DELETE FROM log WHERE NOT EXISTS (SELECT 1 FROM stream WHERE stream.id = log.id >> 40"
     " AND log.id & ((1 << 40) - 1) BETWEEN first AND last)",
     "rows of the log lay outside of their streams"},
    {"DELETE FROM subject WHERE stream NOT IN (SELECT id FROM stream)", nullptr},
    {"DELETE FROM sender WHERE stream NOT IN (SELECT id FROM stream)", nullptr},
    {"UPDATE log SET subject = -(id >> 40) WHERE recipients IS NULL"
     " AND NOT EXISTS (SELECT 1 FROM subject WHERE subject.id = log.subject AND subject.stream = log.id >> 40)",
     "messages have lost their subject: it is \"lost\" now"},
    {"UPDATE log SET sender = -(id >> 40)"
     " WHERE NOT EXISTS (SELECT 1 FROM sender WHERE sender.id = log.sender AND sender.stream = log.id >> 40)",
     "messages have lost their sender: it is \"$lost\" now"},
    {"INSERT OR IGNORE INTO subject (stream, text, used) SELECT DISTINCT id >> 40, 'lost', 0 FROM log WHERE subject < 0", nullptr},
    {"INSERT OR IGNORE INTO sender (stream, text, used) SELECT DISTINCT id >> 40, '$lost', 0 FROM log WHERE sender < 0", nullptr},
    {"UPDATE log SET subject = (SELECT id FROM subject WHERE stream = -log.subject AND text = 'lost') WHERE subject < 0", nullptr},
    {"UPDATE log SET sender = (SELECT id FROM sender WHERE stream = -log.sender AND text = '$lost') WHERE sender < 0", nullptr},
    {"UPDATE subject SET newest = NULL, used = (SELECT last >> 12 FROM stream WHERE stream.id = subject.stream)", nullptr},
    {"UPDATE sender SET used = (SELECT last >> 12 FROM stream WHERE stream.id = sender.stream)", nullptr},
    {"UPDATE stream SET counted = 0, count_round = count_round + 1, oseq = max(oseq, last)", nullptr},
    {"DELETE FROM usage", nullptr},
};

constexpr repair after_rows[] = {
    {"DELETE FROM consumer WHERE stream NOT IN (SELECT id FROM stream)", "consumers of streams that are not known are gone"},
    {"UPDATE consumer SET next = (SELECT first FROM stream WHERE stream.id = consumer.stream), pending = x''"
     " WHERE next < 1 OR next > 1 << 40",
     "consumers begin again, at their stream's first row"},
    {"UPDATE consumer SET done_messages = min(done_messages, coalesce((SELECT messages FROM mailbox WHERE user = owner), 0)),"
     " done_bytes = min(done_bytes, coalesce((SELECT bytes FROM mailbox WHERE user = owner), 0))"
     " WHERE stream = (SELECT id FROM stream WHERE name = 'INBOX')",
     nullptr},
    {"DELETE FROM dead WHERE consumer NOT IN (SELECT id FROM consumer)", nullptr},
    {"UPDATE consumer SET dead = (SELECT count(*) FROM dead WHERE dead.consumer = consumer.id AND NOT replayed)", nullptr},
    {"DELETE FROM node_n WHERE NOT EXISTS (SELECT 1 FROM stream WHERE stream.id = node_n.stream AND seq BETWEEN 1 AND last)", nullptr},
    {"DELETE FROM node_early WHERE NOT EXISTS (SELECT 1 FROM stream WHERE stream.id = node_early.stream AND seq BETWEEN 0 AND last)"
     " OR n <= coalesce((SELECT n FROM node_n WHERE node_n.node = node_early.node AND node_n.stream = node_early.stream), 0)",
     nullptr},
    {"DELETE FROM mirror WHERE stream NOT IN (SELECT id FROM stream) OR start < 1 OR checkpoint NOT BETWEEN 0 AND (1 << 40) - 1"
     " OR keep NOT IN (0, 1)",
     "mirrors made no sense and are gone"},
    {"DELETE FROM mirror_note WHERE mirror NOT IN (SELECT id FROM mirror)", nullptr},
    {"DELETE FROM placed WHERE NOT EXISTS (SELECT 1 FROM mirror JOIN log ON log.id = (mirror.stream << 40) + (key & ((1 << 40) - 1))"
     " WHERE mirror.id = key >> 40 AND place BETWEEN (mirror.id << 40) + 1 AND (mirror.id << 40) + checkpoint)",
     "places in JetStream did not fit the log and are gone"},
    {"UPDATE mirror SET (waiting_rows, waiting_bytes, floor) ="
     " (SELECT count(*), coalesce(sum(32 + coalesce(length(CAST(message_id AS BLOB)), 0) + coalesce(length(CAST(reply_to AS BLOB)), 0)"
     " + coalesce(length(CAST(headers AS BLOB)), 0) + length(body)), 0),"
     " coalesce((min(log.id) & ((1 << 40) - 1)) - 1, max((SELECT last FROM stream WHERE stream.id = mirror.stream), mirror.start - 1)) FROM log"
     " WHERE log.id BETWEEN (mirror.stream << 40) + mirror.start AND (mirror.stream << 40) + (1 << 40) - 1"
     " AND NOT EXISTS (SELECT 1 FROM placed WHERE key = (mirror.id << 40) + (log.id & ((1 << 40) - 1))))",
     nullptr},
    {"DELETE FROM meta WHERE key = 'secret' AND (typeof(value) <> 'blob' OR length(value) <> 32)", "keys were damaged: what they signed is not known again"},
    {"INSERT INTO user SELECT DISTINCT user, 'user', 0, added_ms FROM user_key WHERE user NOT IN (SELECT name FROM user) GROUP BY user",
     "users were not known any more, but their keys were: they have the role user now"},
    {"DELETE FROM user_key WHERE user IN (SELECT name FROM user WHERE removed)", nullptr},
    {"DELETE FROM user_limit WHERE user NOT IN (SELECT name FROM user)", nullptr},
    {"DELETE FROM alias WHERE user NOT IN (SELECT name FROM user WHERE NOT removed)", "aliases of users who are not known are gone"},
    {"DELETE FROM list_member WHERE list NOT IN (SELECT name FROM list)", "members of lists that are not known are gone"},
    {"UPDATE list SET posting = 2 WHERE posting NOT BETWEEN 0 AND 2", "lists take posts of their owners alone now"},
    {"DELETE FROM rule WHERE what NOT IN (0, 1) OR action NOT BETWEEN 0 AND 5 OR (user <> '') + (role <> '') + (key <> '') <> 1",
     "rules made no sense and are gone"},
    {"DELETE FROM ban WHERE (user <> '') + (key <> '') + (address <> '') <> 1", "bans made no sense and are gone"},
};

class mending {
public:
    mending(database& on, recovery& report) : on_{on}, report_{report} {}

    void run()
    {
        expect();
        for (auto const& each : before_rows)
            put_right(each);
        count_rows();
        for (auto const& each : after_rows)
            put_right(each);
        cursors();
        ids();
        // Whoever knew the old history must see that this is not it.
        if (!report_.lost.empty())
            on_.run("DELETE FROM meta WHERE key = 'incarnation'");
    }

private:
    struct total {
        message_seq first = 0;
        message_seq newest = 0;
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
        std::uint64_t last_ms = 0;
    };

    void put_right(repair const& each)
    {
        statement changing{on_, each.sql};
        changing.run();
        if (each.said != nullptr && on_.changes() != 0)
            report_.lost.push_back(std::to_string(on_.changes()) + " " + each.said);
    }

    /// How many messages each stream had: what it says now is overwritten by what is there.
    void expect()
    {
        statement said{on_, "SELECT id, messages FROM stream"};
        auto rows = said.query();
        while (rows.next())
            expected_[rows.integer(0)] = rows.number(1);
    }

    /// One pass over the log: the index, and all that is counted of rows.
    void count_rows()
    {
        name_table subjects{on_, "subject"};
        recipient_names recipients{subjects};
        user_totals usage{on_, "usage"};
        std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> mail;
        std::map<std::int64_t, total> found;
        std::vector<std::int64_t> unreadable;
        statement last_of{on_, "SELECT last, name = 'INBOX' FROM stream WHERE id = ?"};
        statement all{on_, "SELECT log.id, subject, time_ms, recipients, text, coalesce(length(CAST(message_id AS BLOB)), 0)"
                           " + coalesce(length(CAST(reply_to AS BLOB)), 0) + coalesce(length(CAST(headers AS BLOB)), 0) + length(body)"
                           " FROM log JOIN sender ON sender.id = log.sender ORDER BY log.id"};
        std::int64_t stream = 0;
        std::uint64_t open_segment = 0;
        bool inbox = false;
        {
            auto rows = all.query();
            while (rows.next()) {
                auto const key = rows.integer(0);
                auto const seq = seq_of(key);
                auto const segment = segment_of(seq);
                if (key >> 40 != stream || segment != segment_) {
                    write_index();
                    segment_ = segment;
                    if (key >> 40 != stream) {
                        stream = key >> 40;
                        auto of = last_of.query(stream);
                        of.next();
                        open_segment = segment_of(of.number(0) + 1);
                        inbox = of.integer(1) != 0;
                    }
                    stream_ = stream_id{static_cast<std::uint32_t>(stream)};
                }
                auto const bytes = rows.number(5) + row_bytes_fixed;
                if (auto const packed = rows.bytes(3); !packed.empty()) {
                    try {
                        for (auto const user : users_of(recipients.text(packed)->view())) {
                            auto& got = mail[std::string{user}];
                            ++got.first;
                            got.second += bytes;
                            auto const name = std::string{inbox_prefix}.append(user);
                            auto const number = subjects.intern(stream_, name, segment);
                            if (segment < open_segment)
                                index_[number].push_back(offset_in_segment(seq));
                        }
                    } catch (error const&) {
                        throw;
                    } catch (std::runtime_error const&) {
                        unreadable.push_back(key);
                        continue;
                    }
                } else {
                    if (segment < open_segment)
                        index_[static_cast<name_id>(rows.integer(1))].push_back(offset_in_segment(seq));
                    if (auto const owner = usage_owner({}, rows.bytes(4)); !inbox && !owner.empty())
                        usage.add(owner, bytes);
                }
                auto& in = found[stream];
                if (in.messages == 0)
                    in.first = seq;
                in.newest = seq;
                ++in.messages;
                in.bytes += bytes;
                in.last_ms = std::max(in.last_ms, rows.number(2));
            }
        }
        write_index();
        usage.save();
        drop(unreadable);
        save_mail(mail);
        save_streams(found);
    }

    void write_index()
    {
        for (auto const& [subject, offsets] : std::exchange(index_, {})) {
            std::string packed;
            unsigned before = 0;
            for (auto const offset : offsets) {
                put_varint(packed, offset - before);
                before = offset;
            }
            posting_.run(segment_key(stream_, segment_), subject, blob{packed});
        }
    }

    void drop(std::vector<std::int64_t> const& rows)
    {
        statement gone{on_, "DELETE FROM log WHERE id = ?"};
        for (auto const key : rows)
            gone.run(key);
        if (!rows.empty())
            report_.lost.push_back(std::to_string(rows.size()) + " posts have lost their recipients and are gone");
    }

    /// Never less than it was: nodes are done with so much of it.
    void save_mail(std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> const& mail)
    {
        statement raise{on_, "INSERT INTO mailbox VALUES (?, ?, ?) ON CONFLICT (user) DO UPDATE SET messages = max(messages, excluded.messages),"
                             " bytes = max(bytes, excluded.bytes)"};
        for (auto const& [user, got] : mail)
            raise.run(std::string_view{user}, got.first, got.second);
    }

    void save_streams(std::map<std::int64_t, total> const& found)
    {
        statement save{on_, "UPDATE stream SET first = coalesce(nullif(?, 0), last + 1), newest = ?, messages = ?, bytes = ?, last_ms = max(last_ms, ?) WHERE id = ? RETURNING name"};
        std::vector<std::int64_t> ids;
        {
            statement all{on_, "SELECT id FROM stream"};
            auto rows = all.query();
            while (rows.next())
                ids.push_back(rows.integer(0));
        }
        for (auto const id : ids) {
            auto const at = found.find(id);
            auto const now = at == found.end() ? total{} : at->second;
            auto rows = save.query(now.first, now.newest, now.messages, now.bytes, now.last_ms, id);
            if (rows.next() && now.messages < expected_[id])
                report_.lost.push_back("stream " + rows.string(0) + ": " + std::to_string(expected_[id] - now.messages) + " of "
                                       + std::to_string(expected_[id]) + " messages could not be read");
            while (rows.next()) {
            }
        }
    }

    /// A list of unfinished rows that cannot be read: the consumer gets all again, rather than never what it had not done.
    void cursors()
    {
        std::vector<std::pair<std::int64_t, std::string>> bad;
        {
            statement all{on_, "SELECT consumer.id, consumer.name, next, pending, last FROM consumer JOIN stream ON stream.id = stream"};
            auto rows = all.query();
            while (rows.next())
                if (!sound(rows.bytes(3), std::min(rows.number(2), rows.number(4) + 1)))
                    bad.emplace_back(rows.integer(0), rows.string(1));
        }
        statement again{on_, "UPDATE consumer SET next = (SELECT first FROM stream WHERE stream.id = stream), pending = x'' WHERE id = ?"};
        for (auto const& [id, name] : bad) {
            again.run(id);
            report_.lost.push_back("consumer " + name + " begins again, at its stream's first row");
        }
    }

    static bool sound(std::string_view pending, message_seq below)
    try {
        message_seq seq = 0;
        for (blob_reader reader{pending}; !reader.empty();) {
            auto const step = reader.varint();
            seq += step;
            reader.varint();
            reader.signed_varint();
            if (step == 0 || seq >= below)
                return false;
        }
        return true;
    } catch (std::runtime_error const&) {
        return false;
    }

    void ids()
    {
        std::vector<std::int64_t> bad;
        {
            statement last_of{on_, "SELECT last FROM stream WHERE id = ?"};
            statement all{on_, "SELECT batch, entries, records FROM ids"};
            auto rows = all.query();
            while (rows.next()) {
                try {
                    auto const records = id_journal::unpack(rows.bytes(2));
                    bool sound = records.size() == rows.number(1);
                    for (auto const& record : records) {
                        auto last = last_of.query(static_cast<std::uint32_t>(record.stream));
                        sound = sound && (record.stream == stream_id{} || !last.next() || (record.seq != 0 && record.seq <= last.number(0)));
                    }
                    if (!sound)
                        bad.push_back(rows.integer(0));
                } catch (error const&) {
                    throw;
                } catch (std::runtime_error const&) {
                    bad.push_back(rows.integer(0));
                }
            }
        }
        statement gone{on_, "DELETE FROM ids WHERE batch = ?"};
        for (auto const batch : bad)
            gone.run(batch);
        if (!bad.empty())
            report_.lost.push_back(std::to_string(bad.size()) + " batches of ids are gone: a publish that is repeated may be stored twice");
    }

    database& on_;
    recovery& report_;
    std::map<std::int64_t, std::uint64_t> expected_;
    statement posting_{on_, "INSERT INTO posting VALUES (?, ?, ?)"};
    stream_id stream_{};
    std::uint64_t segment_ = 0;
    std::map<name_id, std::vector<unsigned>> index_;
};

}  // namespace

void mend(database& on, recovery& report)
{
    transaction whole{on, transaction::kind::write};
    mending{on, report}.run();
    whole.commit();
}

}  // namespace kedge::sqlite
