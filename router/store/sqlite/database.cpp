#include "router/store/sqlite/database.hpp"

namespace kedge::sqlite {

database::database(std::string const& path, int flags)
{
    auto const code = sqlite3_open_v2(path.c_str(), &handle_, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
    if (code != SQLITE_OK) {
        std::string const why = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
        sqlite3_close(handle_);
        throw error{code, why};
    }
}

database::~database()
{
    sqlite3_close_v2(handle_);
}

void database::fail(int code) const
{
    throw error{code, sqlite3_errmsg(handle_)};
}

void database::run(char const* sql)
{
    if (auto const code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
        fail(code);
}

std::int64_t database::number(char const* sql)
{
    statement asked{*this, sql};
    auto rows = asked.query();
    return rows.next() ? rows.integer(0) : 0;
}

std::string database::text(char const* sql)
{
    statement asked{*this, sql};
    auto rows = asked.query();
    return rows.next() ? rows.string(0) : std::string{};
}

statement::statement(database& on, std::string_view sql) : on_{on}
{
    prepare(sql);
}

statement::statement(database& on, std::initializer_list<std::string_view> sql) : on_{on}
{
    std::string whole;
    for (auto const part : sql)
        whole.append(part);
    prepare(whole);
}

void statement::prepare(std::string_view sql)
{
    check(sqlite3_prepare_v3(on_.handle(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &handle_,
                             nullptr));
}

bool statement::step()
{
    auto const code = sqlite3_step(handle_);
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        on_.fail(code);
    return false;
}

transaction::transaction(database& on, kind what) : on_{on}
{
    on_.run(what == kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
}

transaction::~transaction()
{
    // SQLite itself may have rolled back (a full disk, an I/O error): then there is nothing left to take back.
    if (open_ && sqlite3_get_autocommit(on_.handle()) == 0)
        sqlite3_exec(on_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void transaction::commit()
{
    on_.run("COMMIT");
    open_ = false;
}

}  // namespace kedge::sqlite
