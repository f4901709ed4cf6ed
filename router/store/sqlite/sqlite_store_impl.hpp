#pragma once
/// Inside of `sqlite_store`: what its three files share. sqlite_store.cpp carries out batches, sqlite_store_upkeep.cpp keeps house,
/// sqlite_store_accounts.cpp changes accounts.

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/store/sqlite/account_table.hpp"
#include "router/store/sqlite/backup_run.hpp"
#include "router/store/sqlite/batch_run.hpp"
#include "router/store/sqlite/check_run.hpp"
#include "router/store/sqlite/schema.hpp"
#include "router/store/sqlite/sqlite_store.hpp"

namespace kedge {

namespace sqlite {

/// What of a batch is tried in one transaction. When a tier fails the next one follows: a full disk must not keep a reader
/// from reading, nor an operator from making room.
enum class tier : unsigned char { everything, without_appends, reads };
/// How it is told.
failure failure_of(std::exception const&);

}  // namespace sqlite

struct sqlite_store::impl {
    impl(std::string const& path, limits const& configured)
        : bounds{configured}, on{sqlite::open_database(path)}, all{*on, bounds}, accounts{*on, bounds},
          garbage{*on, "SELECT kind, id FROM garbage LIMIT 1"}, no_garbage{*on, "DELETE FROM garbage WHERE kind = ? AND id = ?"}, check_path{path + ".check"}
    {
        sqlite3_wal_hook(on->handle(), &impl::committed, this);
    }
    ~impl()
    {
        backup.reset();
        checking.reset();
        sqlite3_wal_checkpoint_v2(on->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    }

    static int committed(void* self, sqlite3*, char const*, int pages) noexcept
    {
        static_cast<impl*>(self)->log_pages = pages;
        return SQLITE_OK;
    }

    /// Reads the memory's part again after a transaction that did not commit. False: the database cannot even be read.
    bool recovered() noexcept
    try {
        if (stale)
            all.load();
        stale = false;
        return true;
    } catch (std::exception const&) {
        return false;
    }

    std::optional<failure> attempt(std::vector<store_request::any> const& batch, sqlite::tier what, std::vector<store_event::any>& events);
    void refuse(store_request::any const&, failure const&, batch_events&);
    template <class Work>
    bool in_transaction(Work const& work);
    void trim(sqlite::stream_entry&, std::uint64_t now_ms, sqlite::trim_slice&, std::vector<store_event::any>& events);
    void trimmed(sqlite::stream_entry&, std::vector<store_event::any>& events);
    void tell_usage(std::vector<store_event::any>& events);
    bool purge(std::vector<store_event::any>& out);
    bool retain(std::uint64_t now_ms, std::vector<store_event::any>& out);
    bool wants_trim(sqlite::stream_entry&, std::uint64_t now_ms);
    bool see_to_inbox();
    bool collect_garbage();
    bool raise_floors();
    bool housekeeping(std::uint64_t now_ms, std::vector<store_event::any>& out);
    void checkpoint();
    bool back_up(std::vector<store_event::any>& out);
    bool check(std::vector<store_event::any>& out);
    template <class Change>
    auto change_accounts(Change const& change) -> decltype(change());

    limits bounds;  ///< the tables keep to this one, by reference
    std::unique_ptr<sqlite::database> on;
    sqlite::tables all;
    sqlite::account_table accounts;
    sqlite::statement garbage;
    sqlite::statement no_garbage;
    epoch_gate gate;
    sqlite::batch_run::left_over later;
    std::unique_ptr<sqlite::backup_run> backup;
    token backup_request{};
    std::string const check_path;  ///< of the copy that a check reads
    std::unique_ptr<sqlite::check_run> checking;
    token check_request{};
    stream_id trimmed_last{};  ///< where the last slice of retention ended
    int log_pages = 0;       ///< in the write-ahead log after the last commit
    bool stale = false;      ///< the tables' memory may differ from the file
    bool has_garbage = true; ///< until found otherwise
};

template <class Work>
bool sqlite_store::impl::in_transaction(Work const& work)
{
    stale = true;
    sqlite::transaction slice{*on, sqlite::transaction::kind::write};
    auto const more = work();
    slice.commit();
    stale = false;
    return more;
}

template <class Change>
auto sqlite_store::impl::change_accounts(Change const& change) -> decltype(change())
try {
    sqlite::transaction work{*on, sqlite::transaction::kind::write};
    auto changed = change();
    if (changed)
        work.commit();
    return changed;
} catch (std::exception const& thrown) {
    return sqlite::failure_of(thrown);
}

}  // namespace kedge
