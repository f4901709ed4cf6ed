#pragma once
/// A thin, owning layer over SQLite's C interface: connection, prepared statement, transaction. Errors are exceptions here;
/// `sqlite_store` turns them into answers.

#include <sqlite3.h>

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace kedge::sqlite {

/// SQLite said no. `code` is the extended result code.
class error : public std::runtime_error {
public:
    error(int code, std::string const& text) : std::runtime_error{text}, code_{code} {}
    int code() const noexcept { return code_; }
    int primary() const noexcept { return code_ & 0xff; }
    /// No room: nothing of the transaction is on the disk, not even after a crash.
    bool full() const noexcept { return primary() == SQLITE_FULL; }

private:
    int code_;
};

/// One connection. One thread at a time.
class database {
public:
    /// Opens, or creates if `flags` say so. Throws `error`.
    database(std::string const& path, int flags);
    ~database();
    database(database const&) = delete;
    database& operator=(database const&) = delete;

    sqlite3* handle() const noexcept { return handle_; }
    /// Runs SQL text that gives no rows, or whose rows do not matter.
    void run(char const* sql);
    void run(std::string const& sql) { run(sql.c_str()); }
    /// The first column of the first row, as a number or text; 0 or empty when there is no row.
    std::int64_t number(char const* sql);
    std::string text(char const* sql);
    std::int64_t last_rowid() const noexcept { return sqlite3_last_insert_rowid(handle_); }
    std::int64_t changes() const noexcept { return sqlite3_changes64(handle_); }
    [[noreturn]] void fail(int code) const;

private:
    sqlite3* handle_ = nullptr;
};

struct blob {
    std::string_view bytes;
};
/// A blob that is stored as NULL when it is empty.
struct blob_or_null {
    std::string_view bytes;
};
/// Text that is stored as NULL when it is empty: one byte instead of two, and no second meaning.
struct text_or_null {
    std::string_view text;
};

/// A number from 1 that is stored as NULL when it is 0.
struct number_or_null {
    std::uint64_t number = 0;
};

/// A prepared statement. `run` for writes, `query` for rows. What is bound must live until `run` returns or the query dies.
class statement {
public:
    statement(database& on, std::string_view sql);
    /// The parts, joined.
    statement(database& on, std::initializer_list<std::string_view> sql);
    ~statement() { sqlite3_finalize(handle_); }
    statement(statement const&) = delete;
    statement& operator=(statement const&) = delete;

    /// For what this class has no words for.
    sqlite3_stmt* handle() const noexcept { return handle_; }

    /// Rows of one execution; the destructor resets the statement, so that it holds no snapshot.
    class rows {
    public:
        explicit rows(statement& of) : of_{of} {}
        ~rows() { sqlite3_reset(of_.handle_); }
        rows(rows const&) = delete;
        rows& operator=(rows const&) = delete;

        bool next() { return of_.step(); }
        std::int64_t integer(int column) const { return sqlite3_column_int64(of_.handle_, column); }
        std::uint64_t number(int column) const { return static_cast<std::uint64_t>(integer(column)); }
        /// Bytes of a text or blob; valid until `next`. Empty for NULL.
        std::string_view bytes(int column) const
        {
            auto const* const data = static_cast<char const*>(sqlite3_column_blob(of_.handle_, column));
            auto const size = static_cast<std::size_t>(sqlite3_column_bytes(of_.handle_, column));
            // Out of memory looks like NULL; it must not look like an empty body.
            if (data == nullptr && sqlite3_errcode(sqlite3_db_handle(of_.handle_)) == SQLITE_NOMEM)
                of_.on_.fail(SQLITE_NOMEM);
            return data == nullptr ? std::string_view{} : std::string_view{data, size};
        }
        std::string string(int column) const { return std::string{bytes(column)}; }

    private:
        statement& of_;
    };

    template <class... Values>
    rows query(Values const&... values)
    {
        bind(values...);
        return rows{*this};
    }
    template <class... Values>
    void run(Values const&... values)
    {
        bind(values...);
        rows all{*this};
        while (all.next()) {
        }
    }

private:
    template <class... Values>
    void bind(Values const&... values)
    {
        int at = 0;
        (check(bind_one(++at, values)), ...);
    }
    template <class Integer>
        requires std::is_integral_v<Integer>
    int bind_one(int at, Integer value)
    {
        return sqlite3_bind_int64(handle_, at, static_cast<sqlite3_int64>(value));
    }
    int bind_one(int at, std::string_view text)
    {
        return sqlite3_bind_text64(handle_, at, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    int bind_one(int at, text_or_null value)
    {
        return value.text.empty() ? sqlite3_bind_null(handle_, at) : bind_one(at, value.text);
    }
    int bind_one(int at, blob_or_null value)
    {
        return value.bytes.empty() ? sqlite3_bind_null(handle_, at) : bind_one(at, blob{value.bytes});
    }
    int bind_one(int at, number_or_null value)
    {
        return value.number == 0 ? sqlite3_bind_null(handle_, at) : bind_one(at, value.number);
    }
    int bind_one(int at, blob value)
    {
        return value.bytes.empty() ? sqlite3_bind_zeroblob(handle_, at, 0)
                                   : sqlite3_bind_blob64(handle_, at, value.bytes.data(), value.bytes.size(), SQLITE_STATIC);
    }
    void check(int code) const
    {
        if (code != SQLITE_OK)
            on_.fail(code);
    }
    void prepare(std::string_view sql);
    bool step();

    database& on_;
    sqlite3_stmt* handle_ = nullptr;
};

/// Begins in the constructor; unless `commit` returned, the destructor takes everything back.
class transaction {
public:
    enum class kind : unsigned char { read, write };
    transaction(database&, kind);
    ~transaction();
    transaction(transaction const&) = delete;
    transaction& operator=(transaction const&) = delete;
    void commit();

private:
    database& on_;
    bool open_ = true;
};

}  // namespace kedge::sqlite
