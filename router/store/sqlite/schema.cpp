#include "router/store/sqlite/schema.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

namespace kedge::sqlite {

namespace {

constexpr int busy_ms = 500;  // a process that was just killed may still hold its lock for a moment

constexpr char const* first_schema = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE stream (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    subjects TEXT NOT NULL,
    max_age_ms INTEGER NOT NULL,
    max_bytes INTEGER NOT NULL,
    max_msgs INTEGER NOT NULL,
    keep INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    oseq INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    last_ms INTEGER NOT NULL);

CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    oseq INTEGER,
    message_id TEXT,
    reply_to TEXT,
    headers TEXT,
    body BLOB NOT NULL);

CREATE TABLE subject (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, text TEXT NOT NULL, used INTEGER NOT NULL, UNIQUE (stream, text));
CREATE INDEX subject_used ON subject (stream, used);
CREATE TABLE sender (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, text TEXT NOT NULL, used INTEGER NOT NULL, UNIQUE (stream, text));
CREATE INDEX sender_used ON sender (stream, used);

CREATE TABLE posting (
    segment INTEGER NOT NULL, subject INTEGER NOT NULL, offsets BLOB NOT NULL,
    PRIMARY KEY (segment, subject)) WITHOUT ROWID;

CREATE TABLE consumer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    filter TEXT NOT NULL,
    ack_wait_ms INTEGER NOT NULL,
    max_deliver INTEGER NOT NULL,
    next INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    pending BLOB NOT NULL,
    UNIQUE (stream, name));

CREATE TABLE dead (
    rowid INTEGER PRIMARY KEY,
    consumer INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    died_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    sender TEXT NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT,
    reply_to TEXT,
    headers TEXT,
    body BLOB NOT NULL,
    UNIQUE (consumer, seq));
CREATE INDEX dead_replayed ON dead (consumer, seq) WHERE replayed;

CREATE TABLE node (name TEXT PRIMARY KEY, seen_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE node_n (
    node TEXT NOT NULL, stream INTEGER NOT NULL, n INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (node, stream)) WITHOUT ROWID;

CREATE TABLE ids (batch INTEGER PRIMARY KEY, newest_ms INTEGER NOT NULL, entries INTEGER NOT NULL, records BLOB NOT NULL);

CREATE TABLE garbage (kind INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;

CREATE TABLE user (name TEXT PRIMARY KEY, role TEXT NOT NULL, removed INTEGER NOT NULL, added_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE user_key (
    user TEXT NOT NULL, fingerprint TEXT NOT NULL, type TEXT NOT NULL, blob BLOB NOT NULL, comment TEXT NOT NULL,
    role TEXT NOT NULL, origins TEXT NOT NULL, expires_ms INTEGER NOT NULL, added_ms INTEGER NOT NULL,
    PRIMARY KEY (user, fingerprint)) WITHOUT ROWID;
CREATE TABLE rule (
    id INTEGER PRIMARY KEY AUTOINCREMENT, what INTEGER NOT NULL, action INTEGER NOT NULL, user TEXT NOT NULL,
    role TEXT NOT NULL, pattern TEXT NOT NULL);
)sql";

/// Mail, rows missing in the middle of a log, rows counted per subject, bytes counted per user. A stream of a user's own with the
/// name of the system's stream for mail makes room for it. The totals of what is stored are counted here, once.
constexpr char const* second_schema = R"sql(
UPDATE stream SET name = (WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number)
    SELECT 'INBOX-' || i FROM number WHERE NOT EXISTS (SELECT 1 FROM stream AS other WHERE other.name = 'INBOX-' || i) LIMIT 1)
    WHERE name = 'INBOX';
ALTER TABLE stream ADD COLUMN max_msgs_per_subject INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN discard INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN count_round INTEGER NOT NULL DEFAULT 0;
UPDATE stream SET messages = last + 1 - first, newest = CASE WHEN last < first THEN 0 ELSE last END;

ALTER TABLE log ADD COLUMN recipients BLOB;
ALTER TABLE subject ADD COLUMN newest BLOB;

ALTER TABLE consumer ADD COLUMN backoff_ms BLOB NOT NULL DEFAULT x'';
ALTER TABLE consumer ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE consumer ADD COLUMN done_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE consumer ADD COLUMN done_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN recipients TEXT;

CREATE TABLE mailbox (user TEXT PRIMARY KEY, messages INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE usage (user TEXT PRIMARY KEY, messages INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO usage
    SELECT CASE instr(sender.text, '/') WHEN 0 THEN sender.text ELSE substr(sender.text, 1, instr(sender.text, '/') - 1) END AS user,
           count(*),
           sum(32 + coalesce(length(CAST(message_id AS BLOB)), 0) + coalesce(length(CAST(reply_to AS BLOB)), 0)
               + coalesce(length(CAST(headers AS BLOB)), 0) + length(body))
    FROM log JOIN sender ON sender.id = log.sender WHERE sender.text NOT LIKE '$%' GROUP BY 1;

CREATE TABLE user_limit (user TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (user, name)) WITHOUT ROWID;
ALTER TABLE rule ADD COLUMN key TEXT NOT NULL DEFAULT '';
CREATE TABLE ban (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, key TEXT NOT NULL, address TEXT NOT NULL, until_ms INTEGER NOT NULL,
    reason TEXT NOT NULL, by_user TEXT NOT NULL, added_ms INTEGER NOT NULL);
CREATE TABLE alias (alias TEXT PRIMARY KEY, user TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX alias_user ON alias (user);
CREATE TABLE list (name TEXT PRIMARY KEY, owner TEXT NOT NULL, posting INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE list_member (list TEXT NOT NULL, member TEXT NOT NULL, PRIMARY KEY (list, member)) WITHOUT ROWID;
CREATE INDEX list_member_name ON list_member (member);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, user TEXT NOT NULL, key TEXT NOT NULL, command TEXT NOT NULL,
    args TEXT NOT NULL, outcome TEXT NOT NULL);
)sql";

/// Copies of streams in JetStream.
constexpr char const* third_schema = R"sql(
CREATE TABLE mirror (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL UNIQUE,
    start INTEGER NOT NULL,
    checkpoint INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    waiting_rows INTEGER NOT NULL,
    waiting_bytes INTEGER NOT NULL,
    keep INTEGER NOT NULL);
CREATE TABLE mirror_note (mirror INTEGER NOT NULL, kind INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (mirror, kind)) WITHOUT ROWID;
CREATE TABLE placed (key INTEGER PRIMARY KEY, place INTEGER NOT NULL UNIQUE, stamp INTEGER NOT NULL);
CREATE TABLE node_early (
    node TEXT NOT NULL, stream INTEGER NOT NULL, n INTEGER NOT NULL, previous INTEGER NOT NULL, seq INTEGER NOT NULL, digest INTEGER NOT NULL,
    PRIMARY KEY (node, stream, n)) WITHOUT ROWID;
)sql";

constexpr std::array steps{first_schema, second_schema, third_schema};
static_assert(steps.size() == store_format::version);

std::string random_name()
{
    std::random_device source;
    std::string name;
    for (int i = 0; i < 16; ++i)
        name += "0123456789abcdef"[source() % 16];
    return name;
}

/// From the system, as a key must be.
std::string random_secret()
{
    std::string bytes(secret_bytes, '\0');
    if (::getentropy(bytes.data(), bytes.size()) != 0)
        throw std::runtime_error{std::string{"the system gives no random bytes: "} + std::strerror(errno)};
    return bytes;
}

/// SQLite would create the file with the umask's rights, and would not sync the folder that names it.
void create_private(std::string const& path)
{
    auto const file = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0) {
        if (errno == EEXIST)
            return;
        throw std::runtime_error{std::strerror(errno)};
    }
    ::close(file);
    auto const folder = std::filesystem::absolute(path).parent_path();
    if (auto const opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); opened >= 0) {
        ::fsync(opened);
        ::close(opened);
    }
}

void set_up(database& on)
{
    on.run("PRAGMA page_size=4096");  // of a new file only; 8 and 16 KiB were no faster
    if (on.text("PRAGMA journal_mode=WAL") != "wal")
        throw std::runtime_error{"write-ahead logging is not possible there"};
    on.run("PRAGMA synchronous=FULL");
    on.run("PRAGMA wal_autocheckpoint=0");          // `maintain` does it, between batches
    on.run("PRAGMA journal_size_limit=67108864");   // gives back what a burst left of the log
    on.run("PRAGMA cache_size=-16384");             // KiB; four times as much was no faster
    on.run("PRAGMA temp_store=MEMORY");
    on.run("PRAGMA trusted_schema=OFF");
}

}  // namespace

std::span<char const* const> schema_steps() noexcept
{
    return steps;
}

void upgrade(database& on, std::span<char const* const> list)
{
    auto const version = on.number("PRAGMA user_version");
    auto const ours = static_cast<std::int64_t>(list.size());
    if (version > ours)
        throw std::runtime_error{"it has schema version " + std::to_string(version) + ", and this program knows up to "
                                 + std::to_string(ours) + ": use the newer program that wrote it"};
    for (auto next = version; next < ours; ++next) {
        transaction step{on, transaction::kind::write};
        on.run(list[static_cast<std::size_t>(next)]);
        on.run("PRAGMA user_version=" + std::to_string(next + 1));
        step.commit();
    }
}

std::unique_ptr<database> open_database(std::string const& path)
try {
    create_private(path);
    auto opened = std::make_unique<database>(path, SQLITE_OPEN_READWRITE);
    auto& on = *opened;
    sqlite3_busy_timeout(on.handle(), busy_ms);
    // Exclusive, before the first look at the file: nobody else writes or checkpoints (3.40.1 can damage a log when two do),
    // and there is no shared-memory file.
    on.run("PRAGMA locking_mode=EXCLUSIVE");
    auto const known = on.number("PRAGMA application_id");
    auto const empty = on.number("SELECT count(*) FROM sqlite_schema") == 0;
    if (empty ? known != 0 && known != application_id : known != application_id)
        throw std::runtime_error{"it is a database of another program"};
    set_up(on);
    if (empty)
        on.run("PRAGMA application_id=" + std::to_string(application_id));
    upgrade(on, steps);
    // A backup comes without one: whoever opens it as a server's database gives it a new one, as it is no longer the
    // history that was copied.
    if (on.number("SELECT count(*) FROM meta WHERE key = 'incarnation'") == 0) {
        statement insert{on, "INSERT INTO meta VALUES ('incarnation', ?)"};
        insert.run(random_name());
    }
    // Unlike it this one goes along with a backup: what it signed must be known again.
    if (on.number("SELECT count(*) FROM meta WHERE key = 'secret'") == 0) {
        statement insert{on, "INSERT INTO meta VALUES ('secret', ?)"};
        auto const secret = random_secret();
        insert.run(blob{secret});
    }
    return opened;
} catch (error const& failed) {
    switch (failed.primary()) {
    case SQLITE_BUSY: throw std::runtime_error{path + " is in use by another process"};
    case SQLITE_NOTADB:
        throw std::runtime_error{path + " is not a database. If it was one: 'kedged --recover', or put a backup in its place"};
    case SQLITE_CORRUPT:
        throw std::runtime_error{path + " is damaged (" + failed.what() + "). 'kedged --recover' saves what can be read of it; or put a"
                                 " backup in its place"};
    }
    throw std::runtime_error{path + " cannot be opened: " + failed.what()};
} catch (std::runtime_error const& failed) {
    throw std::runtime_error{path + " cannot be opened: " + failed.what()};
}

}  // namespace kedge::sqlite
