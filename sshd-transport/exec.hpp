#pragma once
/// A channel that runs one command (`ssh HOST pub …`): the CLI's own code, over a link inside the server. What the command
/// may do is the router's to say, as for any link.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/command/command.hpp"
#include "router/protocol/decoder.hpp"
#include "sshd-transport/role.hpp"

namespace kedge {

class channel;
class session;

class exec final : public role {
public:
    /// `line` is split as a shell would. Begins at the first `work`.
    exec(session&, channel&, std::string line);

    void on_input(std::string_view) override;
    bool wants_input() const override;
    void work() override;
    bool has_work() const override;
    bool is_due() const override;
    void on_input_end() override;
    void on_output(link_output::body&&) override;
    void on_flushed(std::uint64_t) override {}
    void on_resize() override;
    void on_interrupt() override;
    void revoke() override;
    void on_closed() override;

private:
    struct file_close {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };

    void begin();
    void on_notice(notice::any const&);
    void read_link();
    void read_file();
    void apply(command_effects&&);
    void finish(int exit_status);
    void leave_screen();
    void print(std::string_view text, bool is_error);
    bool has_room() const;

    session& session_;
    channel& channel_;
    std::string line_;
    link_id id_{};
    std::unique_ptr<command> command_;
    notice_decoder decoder_;
    std::vector<bytes_ptr> inbox_;  ///< of the link, not decoded yet; bounded as any link's unsent bytes
    std::vector<admin_result> answers_;
    std::string input_;
    std::unique_ptr<std::FILE, file_close> file_;
    std::optional<int> exit_status_;  ///< the command is finished; the channel is, once all was written
    std::uint64_t inflight_ = 0;
    std::uint64_t written_ = 0;
    std::uint64_t requests_ = 0;
    bool started_ = false;
    bool greeted_ = false;  ///< the first welcome came; the next answers `hello`
    bool begun_ = false;
    bool input_ended_ = false;
    bool input_end_told_ = false;
    bool link_closed_ = false;
};

}  // namespace kedge
