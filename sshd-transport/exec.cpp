#include "sshd-transport/exec.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <utility>

#include "sshd-transport/channel.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/session.hpp"

namespace kedge {
namespace {

/// Output that waits for the client; beyond it the command is fed no more.
constexpr std::size_t output_bytes_max = 256 * 1024;
constexpr std::size_t file_piece_bytes = 64 * 1024;
/// What an operation without a body takes of the link's share of the router.
constexpr std::size_t operation_cost = 256;

constexpr char ctrl_c = 0x03;
constexpr char ctrl_d = 0x04;

std::uint64_t steady_us()
{
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
}

std::size_t cost_of(op::any const& what)
{
    return std::visit(
        [](auto const& each) {
            if constexpr (requires { each.message->cost(); })
                return operation_cost + each.message->cost();
            else
                return operation_cost;
        },
        what);
}

parsed_command parse(std::string_view line, command_environment const& environment)
{
    auto const words = split_words(line);
    if (!words) return command_stop{2, {}, "kedge: a quote is not closed\n"};
    try {
        return parse_command(*words, environment);
    } catch (std::exception const& error) {  // the text is a peer's: whatever a parser library makes of it stays here
        return command_stop{2, {}, std::string{"kedge: "} + error.what() + '\n'};
    }
}

}  // namespace

exec::exec(session& owner, channel& on, std::string line)
    : session_{owner}, channel_{on}, line_{std::move(line)},
      decoder_{encoding::frames, 2 * owner.bounds().frame_bytes + owner.bounds().line_bytes}
{
}

bool exec::has_room() const
{
    return channel_.out().bytes() + channel_.error().bytes() < output_bytes_max;
}

void exec::on_input(std::string_view input)
{
    session_.counters().bytes_in.add(input.size());
    if (exit_status_) return;
    if (!channel_.pty()) {
        input_ += input;
        return;
    }
    // The client's terminal is raw: what a line discipline would do is ours.
    for (char const c : input) {
        if (c == ctrl_c)
            channel_.interrupt();
        else if (c == ctrl_d)
            input_ended_ = true;
        else
            input_ += c == '\r' ? '\n' : c;
    }
}

void exec::on_input_end()
{
    input_ended_ = true;
    work();
}

bool exec::wants_input() const
{
    return exit_status_ || (input_.size() < input_bytes_max && inflight_ < session_.bounds().link_inflight_bytes);
}

void exec::begin()
{
    started_ = true;
    bool const terminal = channel_.pty().has_value();
    command_environment environment;
    environment.remote = true;
    environment.in_is_terminal = environment.out_is_terminal = environment.error_is_terminal = terminal;
    if (terminal) {
        environment.colours = !channel_.pty()->dumb;
        environment.columns = channel_.pty()->columns;
        environment.rows = channel_.pty()->rows;
    }
    environment.now_us = steady_us;
    auto parsed = parse(line_, environment);
    if (auto* const stop = std::get_if<command_stop>(&parsed)) {
        print(stop->out, false);
        print(stop->error, true);
        return finish(stop->exit_status);
    }
    command_ = std::move(std::get<std::unique_ptr<command>>(parsed));
    bool const greet = command_->needs_link();
    id_ = session_.open_link(*this);
    session_.emit(id_, link_event::opened{session_.id(), session_.who(), encoding::frames, greet});
    if (greet) return;
    begun_ = true;
    command_effects effects;
    command_->begin(effects);
    apply(std::move(effects));
}

void exec::work()
{
    if (!started_) begin();
    // An export makes far more output than its client reads at once: the next answer waits for room.
    while (command_ && !exit_status_ && !answers_.empty() && has_room()) {
        auto const answer = std::move(answers_.front());
        answers_.erase(answers_.begin());
        command_effects effects;
        command_->on_admin(answer, effects);
        apply(std::move(effects));
    }
    read_link();
    if (is_due()) {
        command_effects effects;
        command_->on_time(effects);
        apply(std::move(effects));
    }
    while (begun_ && !exit_status_ && !input_.empty() && has_room() && command_->wants_input()) {
        command_effects effects;
        command_->on_input(std::exchange(input_, {}), effects);
        apply(std::move(effects));
    }
    if (begun_ && !exit_status_ && input_ended_ && input_.empty() && !std::exchange(input_end_told_, true)) {
        command_effects effects;
        command_->on_input_end(effects);
        apply(std::move(effects));
    }
    read_file();
    // However slow the client reads, it gets all of a command's output before the exit status.
    if (exit_status_ && !file_ && channel_.out().empty() && channel_.error().empty()) channel_.finish(*exit_status_);
}

bool exec::has_work() const
{
    if (exit_status_ && !file_) return channel_.out().empty() && channel_.error().empty();
    if (!has_room()) return false;
    return file_ || !inbox_.empty() || !answers_.empty() || (begun_ && !input_.empty() && command_->wants_input());
}

/// While output waits for the client, time stands still for its command: a screen that is drawn again and again is drawn as
/// often as it is read.
bool exec::is_due() const
{
    if (!begun_ || exit_status_ || !has_room()) return false;
    auto const due = command_->due_us();
    return due && *due <= steady_us();
}

void exec::read_link()
{
    std::size_t taken = 0;
    std::uint64_t bytes = 0;
    for (; taken < inbox_.size() && (exit_status_ || has_room()); ++taken) {
        bytes += inbox_[taken]->size();
        if (exit_status_) continue;
        decoder_.feed(inbox_[taken]->view());
        while (auto next = exit_status_ ? std::nullopt : decoder_.next()) {
            if (!*next) {
                print("kedge: " + next->error().message + '\n', true);
                finish(1);
                break;
            }
            on_notice(**next);
        }
    }
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(taken));
    if (bytes > 0) {
        written_ += bytes;
        session_.emit(id_, link_event::written{bytes});
    }
    if (link_closed_ && inbox_.empty() && !exit_status_) {
        leave_screen();
        print("kedge: the server ended the link\n", true);
        finish(1);
    }
}

void exec::on_notice(notice::any const& what)
{
    command_effects effects;
    if (begun_) {
        command_->on_notice(what, effects);
    } else if (std::holds_alternative<notice::welcome>(what)) {
        if (auto hello = std::exchange(greeted_, true) ? std::nullopt : command_->hello()) {
            effects.operations.emplace_back(std::move(*hello));
        } else {
            begun_ = true;
            command_->on_notice(what, effects);
            command_->begin(effects);
        }
    } else if (auto const* const error = std::get_if<notice::error>(&what)) {
        effects.error = "kedge: " + error->message + '\n';
        effects.exit_status = 1;
    } else if (auto const* const bye = std::get_if<notice::bye>(&what)) {
        effects.error = "kedge: " + bye->message + '\n';
        effects.exit_status = 1;
    }
    apply(std::move(effects));
}

void exec::apply(command_effects&& effects)
{
    print(effects.out, false);
    print(effects.error, true);
    for (auto& each : effects.operations) {
        auto const cost = cost_of(each);
        inflight_ += cost;
        session_.emit(id_, link_event::operation{std::move(each), cost});
    }
    for (auto& each : effects.calls) session_.emit(id_, link_event::admin_request{token{++requests_}, std::move(each)});
    if (!effects.stream_file.empty()) {
        file_.reset(std::fopen(effects.stream_file.c_str(), "rbe"));
        std::remove(effects.stream_file.c_str());  // its bytes stay until the file is closed, however this ends
        if (!file_) {
            print("kedge: the server cannot read what it made\n", true);
            effects.exit_status = 1;
        }
    }
    if (effects.exit_status) finish(*effects.exit_status);
}

void exec::read_file()
{
    std::array<char, file_piece_bytes> piece;
    while (file_ && has_room()) {
        auto const got = std::fread(piece.data(), 1, piece.size(), file_.get());
        if (got > 0) {
            channel_.out().append({piece.data(), got});
            continue;
        }
        if (std::ferror(file_.get())) {
            print("kedge: the server could not read on\n", true);
            exit_status_ = 1;
        }
        file_.reset();
    }
}

void exec::finish(int exit_status)
{
    if (exit_status_) return;
    exit_status_ = exit_status;
    input_.clear();
}

void exec::print(std::string_view text, bool is_error)
{
    if (text.empty()) return;
    auto& box = is_error && !channel_.pty() ? channel_.error() : channel_.out();
    if (!channel_.pty()) return box.append(text);
    std::string lines;
    lines.reserve(text.size() + 16);
    for (char const c : text) {
        if (c == '\n') lines += '\r';
        lines += c;
    }
    box.append(lines);
}

void exec::on_output(link_output::body&& what)
{
    if (auto* const credit = std::get_if<link_output::credit>(&what))
        inflight_ -= std::min<std::uint64_t>(inflight_, credit->bytes);
    else if (auto* const data = std::get_if<link_output::data>(&what))
        inbox_.push_back(std::move(data->bytes));
    else if (auto* const answer = std::get_if<link_output::admin_answer>(&what))
        answers_.push_back(std::move(answer->result));
    else
        link_closed_ = true;
}

void exec::on_resize()
{
    if (!begun_ || exit_status_) return;
    command_effects effects;
    command_->on_resize(channel_.pty()->columns, channel_.pty()->rows, effects);
    apply(std::move(effects));
}

/// The client's terminal is to be as it was, however the command ends.
void exec::leave_screen()
{
    if (!begun_ || exit_status_ || !command_->takes_screen()) return;
    command_effects effects;
    command_->on_interrupt(effects);
    print(effects.out, false);
}

void exec::on_interrupt()
{
    if (exit_status_) return;
    if (!begun_) return finish(130);
    command_effects effects;
    command_->on_interrupt(effects);
    apply(std::move(effects));
}

void exec::revoke()
{
    leave_screen();
    print("kedge: your access was revoked\n", true);
    finish(1);
    file_.reset();
    channel_.finish(1);
}

void exec::on_closed()
{
    on_interrupt();  // what the command has done is acknowledged, in order, before the link goes
    if (id_ == link_id{}) return;
    session_.emit(id_, link_event::closed{written_});
    session_.close_link(id_);
}

}  // namespace kedge
