#pragma once
/// The commands of `kedge`, sans I/O: the same code runs behind the CLI (over a client connection) and behind an SSH exec
/// request (over a link inside the server). A command is fed what happens and says what is to be done.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "router/admin/call.hpp"
#include "router/protocol/notice.hpp"
#include "router/protocol/operation.hpp"

namespace kedge {

/// Where a command runs and how it may show itself.
struct command_environment {
    bool remote = false;  ///< behind an exec request: no files, no programs of the caller's machine
    bool out_is_terminal = false;
    bool error_is_terminal = false;
    bool in_is_terminal = false;  ///< a person can be asked
    bool colours = false;
    unsigned columns = 80;
    unsigned rows = 24;
    std::optional<std::uint64_t> input_bytes;  ///< how much standard input holds, if known (for the progress bar)
    std::function<std::uint64_t()> now_us;     ///< a steady clock; may be empty (then nothing is timed)
};

/// What is to be done after a step; each member is consumed by the caller, in the order written here: output comes first,
/// so that a message is acknowledged only after it was written.
struct command_effects {
    std::string out;                  ///< bytes for standard output
    std::string error;                ///< bytes for standard error
    std::vector<op::any> operations;  ///< send them on the link
    std::vector<admin_call> calls;    ///< carry them out at the router (remote), or forward the whole command (CLI)
    /// `--exec`: run this shell command with the body as its input and the facts as its environment; then call `on_job`.
    /// Several may run at once. CLI only.
    struct job {
        std::uint64_t number = 0;
        std::string shell;
        std::vector<std::pair<std::string, std::string>> environment;
        std::string input;
        /// What it prints is wanted back, up to so many bytes, instead of going where ours goes. Nothing = not wanted.
        std::optional<std::size_t> capture_bytes_max;
        std::uint64_t timeout_ms = 0;  ///< after it the job is ended; 0 = none
    };
    std::vector<job> jobs;
    /// A file of the server's to stream to standard output and remove afterwards (`backup -`). Remote only.
    std::string stream_file;
    std::optional<int> exit_status;  ///< the command is finished
};

/// How a job ended.
struct job_end {
    std::uint64_t number = 0;
    int exit_status = 0;     ///< as a shell says it: 128 + signal; 127 if it could not be started
    std::string out;         ///< of a job whose output is wanted
    std::string last_error;  ///< likewise: the last line that it wrote to standard error
    bool too_long = false;   ///< it printed more than was wanted; `out` is what was
};

/// How the CLI runs a command. Behind an exec request all but `here` run as they are.
enum class course : unsigned char {
    answered,  ///< one call: the server carries out the line, its answer (JSON) is shown here
    link,      ///< over a link
    server,    ///< many calls: the server runs it, what it prints is passed on
    live,      ///< the server runs `feed`, each line of JSON that it prints is an answer
    steps,     ///< calls one after another: the server carries out the line of each, its answer (JSON) comes back
    here       ///< the CLI does it itself, and gives what it found to `on_admin`
};

/// One run of one command. One thread.
class command {
public:
    virtual ~command() = default;
    virtual course runs() const { return needs_link() ? course::link : course::answered; }
    /// Of a command that is `here`: what the CLI is to do.
    virtual admin_call here() const { return {}; }
    /// Of a command that is `live`.
    virtual std::string feed() const { return {}; }
    /// Of a command of `steps`: what has the server carry out this call alone, and print its answer.
    virtual std::string line_of(admin_call const&) const { return {}; }
    /// Has the whole terminal: keys come as they are typed and are not shown, Ctrl-C is an interrupt as ever.
    virtual bool takes_screen() const { return false; }
    /// Of a command that is `live`: the server went away, and is tried again.
    virtual void on_away(std::string_view /*why*/, command_effects&) {}
    /// The terminal has another size.
    virtual void on_resize(unsigned /*columns*/, unsigned /*rows*/, command_effects&) {}
    /// Needs a link of its own (pub, sub, consume, ping, who); else it only makes `calls`.
    virtual bool needs_link() const = 0;
    /// The `hello` to say first, if any (node, client name).
    virtual std::optional<op::hello> hello() const { return std::nullopt; }
    /// Has no end of its own (`sub`, `consume`): a lost server is waited for as long as it takes.
    virtual bool waits_for_messages() const { return false; }
    /// Wants standard input now. False also while too much is unanswered (backpressure): ask again after each step.
    virtual bool wants_input() const { return false; }
    /// After the welcome (or at once, without a link).
    virtual void begin(command_effects&) = 0;
    virtual void on_notice(notice::any const&, command_effects&) {}
    virtual void on_input(std::string_view, command_effects&) {}
    virtual void on_input_end(command_effects&) {}
    virtual void on_admin(admin_result const&, command_effects&) {}
    virtual void on_job(job_end&&, command_effects&) {}
    /// About once a second, by callers that run jobs: keeps the messages of a long job from being redelivered.
    virtual void on_second(command_effects&) {}
    /// When `on_time` is to be called, on the clock of `environment.now_us`; nothing = never. Asked after each step; it may
    /// come up to a quarter of a second late.
    virtual std::optional<std::uint64_t> due_us() const { return std::nullopt; }
    virtual void on_time(command_effects&) {}
    /// Ctrl-C, or the caller's channel closed: finish in order (what is done is acknowledged), then exit.
    virtual void on_interrupt(command_effects&) = 0;
};

/// Help, version or a usage error: print and exit.
struct command_stop {
    int exit_status = 0;
    std::string out;
    std::string error;
};

using parsed_command = std::variant<std::unique_ptr<command>, command_stop>;

/// `words`: the command and its arguments, without the program's name and without options of the connection (`--home`,
/// `--to`, `-i`), which are the CLI's.
parsed_command parse_command(std::span<std::string const> words, command_environment const&);

/// Splits an exec request as a POSIX shell would (quotes, backslash; no expansion); nothing if a quote is left open.
std::optional<std::vector<std::string>> split_words(std::string_view line);
/// The reverse: one line that `split_words` and a POSIX shell split into these words.
std::string join_words(std::span<std::string const> words);

}  // namespace kedge
