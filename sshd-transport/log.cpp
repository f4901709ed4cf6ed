#include "sshd-transport/log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>

#include <nlohmann/json.hpp>
#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace kedge {
namespace {

constexpr std::size_t queue_lines = 8192;

// Read by every thread at every line, so not behind a lock; set by `main` before threads start and after they end.
std::shared_ptr<spdlog::async_logger> logger;
std::shared_ptr<spdlog::details::thread_pool> writer;

/// Appends each line with one `write`, so that another program may move the file away or copy and truncate it at any moment.
class file_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit file_sink(std::string path) : path_(std::move(path)), file_(open(path_))
    {
        if (file_ < 0) throw std::runtime_error("cannot open the log " + path_ + ": " + std::strerror(errno));
    }
    ~file_sink() override { ::close(file_); }

    bool reopen()
    {
        auto const fresh = open(path_);
        if (fresh < 0) return false;
        std::lock_guard const lock(mutex_);
        ::close(file_);
        file_ = fresh;
        return true;
    }

private:
    static int open(std::string const& path)
    {
        return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR | S_IRGRP);
    }
    void sink_it_(spdlog::details::log_msg const& message) override
    {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        // A full disk loses lines, not the server.
        if (::write(file_, line.data(), line.size()) < 0) return;
    }
    void flush_() override {}

    std::string const path_;
    int file_;
};

std::shared_ptr<file_sink> in_file;  // as `logger`; null = standard error
log_format format = log_format::text;
std::atomic<log_level> lowest{log_level::off};

struct level_word {
    log_level level;
    std::string_view word;
    spdlog::level::level_enum theirs;
};
constexpr std::array<level_word, 5> level_words{{
    {log_level::debug, "debug", spdlog::level::debug},
    {log_level::info, "info", spdlog::level::info},
    {log_level::warning, "warning", spdlog::level::warn},
    {log_level::error, "error", spdlog::level::err},
    {log_level::off, "off", spdlog::level::off},
}};

/// No control character reaches the terminal or ends the line early.
void append_plain(std::string& to, std::string_view text)
{
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            to += fmt::format("\\x{:02x}", byte);
        else
            to += c;
    }
}

/// A JSON string; bytes that are not UTF-8 become U+FFFD.
void append_json(std::string& to, std::string_view text)
{
    to += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void append_field(std::string& to, log_format form, std::string_view name, std::string_view value)
{
    if (value.empty()) return;
    if (form == log_format::json) {
        to.append(",\"").append(name).append("\":");
        append_json(to, value);
    } else {
        to.append(" ").append(name).append("=");
        append_plain(to, value);
    }
}

}  // namespace

std::string log_line(log_format form, log_about const& about, std::string_view message)
{
    std::string line;
    line.reserve(message.size() + 96);
    if (form == log_format::json) {
        line += "\"message\":";
        append_json(line, message);
    } else {
        append_plain(line, message);
    }
    append_field(line, form, "session", about.session);
    if (about.link != link_id{})
        append_field(line, form, "link", fmt::format("{:x}", static_cast<std::uint64_t>(about.link)));
    append_field(line, form, "user", about.user);
    append_field(line, form, "address", about.address);
    return line;
}

void log_start(log_level level, log_format form, std::string const& file)
{
    format = form;
    std::shared_ptr<spdlog::sinks::sink> sink;
    if (file.empty())
        sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    else
        sink = in_file = std::make_shared<file_sink>(file);
    writer = std::make_shared<spdlog::details::thread_pool>(queue_lines, 1);
    logger = std::make_shared<spdlog::async_logger>("kedged", std::move(sink), writer,
                                                    spdlog::async_overflow_policy::overrun_oldest);
    auto const* pattern = form == log_format::json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                                   : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
    logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
    logger->set_level(spdlog::level::trace);  // the level is asked before a line is made, by `lowest`
    lowest.store(level, std::memory_order_release);
}

bool log_reopen()
{
    return !in_file || in_file->reopen();
}

void log_set_level(log_level level) noexcept
{
    lowest.store(level, std::memory_order_relaxed);
}

void log_stop()
{
    lowest.store(log_level::off, std::memory_order_relaxed);
    writer.reset();  // joins the thread after the queue is written; only then may go what it writes to
    logger.reset();
    in_file.reset();
}

log_backlog log_state()
{
    return {writer->queue_size(), writer->overrun_counter()};
}

bool log_enabled(log_level level) noexcept
{
    return level >= lowest.load(std::memory_order_acquire) && level != log_level::off;
}

void log_write(log_level level, log_about const& about, std::string_view message)
{
    if (!logger || !log_enabled(level)) return;
    // "{}" keeps spdlog from taking what a peer sent for a format.
    logger->log(level_words[static_cast<unsigned>(level)].theirs, "{}", log_line(format, about, message));
}

bool parse_log_level(std::string_view word, log_level& out) noexcept
{
    for (auto const& each : level_words)
        if (each.word == word) return out = each.level, true;
    return false;
}

bool parse_log_format(std::string_view word, log_format& out) noexcept
{
    if (word == "text") return out = log_format::text, true;
    if (word == "json") return out = log_format::json, true;
    return false;
}

std::string_view to_string(log_level level) noexcept
{
    return level_words[static_cast<unsigned>(level)].word;
}

std::string_view to_string(log_format form) noexcept
{
    return form == log_format::json ? "json" : "text";
}

}  // namespace kedge
