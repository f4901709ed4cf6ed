#pragma once
/// The database: both ports of persistence in one SQLite file (FORMAT.md describes what is in it).

#include <memory>
#include <string>

#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// Owns the one connection. One thread at a time; which one may change between calls.
///
/// A batch is one transaction, synced before `execute` returns. When a commit fails the database stays as it was before:
/// nothing of the batch is seen by later calls. Only for an I/O error (`internal`) may the batch be there after the process
/// died or the machine lost power before the next commit.
class sqlite_store final : public message_store, public account_store {
public:
    /// Opens or creates the file (mode 0600) and brings its schema up to date. Throws std::runtime_error with a sentence for
    /// people: not a database, damaged, made by a newer version, in use by another process.
    sqlite_store(std::string const& path, limits const&);
    /// Checkpoints the write-ahead log into the database and removes it, if it can.
    ~sqlite_store() override;

    /// Throws std::runtime_error if what is stored does not fit together.
    store_contents load(std::uint64_t now_ms) override;
    void execute(std::vector<store_request::any> batch, std::vector<store_event::any>& out) override;
    bool maintain(std::uint64_t now_ms, std::vector<store_event::any>& out) override;
    void set_limits(limits const&) override;

    contents load_accounts() override;
    result<void> put_user(account_user const&) override;
    result<void> remove_user(std::string const& name) override;
    result<void> put_key(account_key const&) override;
    result<void> remove_key(std::string const& user, std::string const& fingerprint) override;
    result<std::uint64_t> add_rule(rule const&) override;
    result<void> remove_rule(std::uint64_t id) override;
    result<std::uint64_t> add_ban(account_ban const&) override;
    result<void> remove_ban(std::uint64_t id) override;
    result<void> put_alias(account_alias const&) override;
    result<void> remove_alias(std::string const& alias) override;
    result<void> put_list(account_list const&) override;
    result<void> remove_list(std::string const& name) override;
    result<void> add_audit(audit_entry const&) override;
    std::vector<audit_entry> read_audit(std::uint64_t before, std::size_t most) override;

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge
