/// Shell commands with real children: what they print, how they end, what they leave behind.

#include <chrono>
#include <map>

#include <boost/asio/io_context.hpp>

#include "clients/cli/job.hpp"
#include "tests/catch.hpp"

using namespace kedge;

namespace {

command_effects::job job(std::string shell, std::string input = {}, std::optional<std::size_t> capture = 1'000'000)
{
    command_effects::job j;
    j.number = 7;
    j.shell = std::move(shell);
    j.input = std::move(input);
    j.capture_bytes_max = capture;
    return j;
}

struct job_fixture {
    boost::asio::io_context io{1};
    cli::job_runner runner{io.get_executor()};
    std::map<std::uint64_t, job_end> ended;

    void run(command_effects::job j)
    {
        runner.run(std::move(j), [this](job_end&& e) { ended.emplace(e.number, std::move(e)); });
    }
    /// Until so many have ended.
    void wait(std::size_t count)
    {
        auto const deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
        while (ended.size() < count && std::chrono::steady_clock::now() < deadline)
            io.run_one_for(std::chrono::seconds{1});
        REQUIRE(ended.size() == count);
    }
    job_end only(command_effects::job j)
    {
        run(std::move(j));
        CHECK(ended.empty());
        wait(1);
        return ended.begin()->second;
    }
};

}  // namespace

TEST_CASE("a job's output, status and last line of standard error")
{
    struct row {
        char const* shell;
        char const* input;
        int status;
        char const* out;
        char const* error;
    };
    static row const rows[] = {{"cat", "hello", 0, "hello", ""},
                               {"true", "ignored", 0, "", ""},
                               {"printf 'a\\nb\\n'; echo one >&2; echo two >&2; exit 3", "", 3, "a\nb\n", "two"},
                               {"printf 'no end' >&2; exit 1", "", 1, "", "no end"},
                               {"kill -KILL $$", "", 137, "", ""},
                               {"/no/such/program 2>/dev/null", "", 127, "", ""}};
    for (auto const& r : rows) {
        INFO(r.shell);
        job_fixture f;
        auto const e = f.only(job(r.shell, r.input));
        CHECK(e.number == 7);
        CHECK(e.exit_status == r.status);
        CHECK(e.out == r.out);
        CHECK(e.last_error == r.error);
        CHECK_FALSE(e.too_long);
    }
}

TEST_CASE("more than a pipe holds, in and out; at the limit and one beyond")
{
    std::string const big(300'000, 'x');
    for (std::size_t const most : {big.size(), big.size() - 1}) {
        job_fixture f;
        auto const e = f.only(job("cat", big, most));
        CHECK(e.exit_status == 0);
        CHECK(e.out.size() == most);
        CHECK(e.too_long == (most < big.size()));
    }
}

TEST_CASE("the environment of a job")
{
    job_fixture f;
    auto j = job("printf '%s' \"$KEDGE_FROM|$PATH\"");
    j.environment = {{"KEDGE_FROM", "bob/desk"}};
    CHECK(f.only(std::move(j)).out == "bob/desk|" + std::string{std::getenv("PATH")});
}

TEST_CASE("several at once, each with its own answer")
{
    job_fixture f;
    for (std::uint64_t n = 1; n <= 8; ++n) {
        auto j = job("read x; echo \"$x\"", std::to_string(n) + "\n");
        j.number = n;
        f.run(std::move(j));
    }
    f.wait(8);
    for (std::uint64_t n = 1; n <= 8; ++n)
        CHECK(f.ended[n].out == std::to_string(n) + "\n");
}

TEST_CASE("a job that takes too long is ended, with what it started")
{
    job_fixture f;
    auto j = job("sleep 60 & wait");
    j.timeout_ms = 100;
    CHECK(f.only(std::move(j)).exit_status == 143);

    job_fixture stubborn;
    auto k = job("trap '' TERM; while :; do sleep 1; done");
    k.timeout_ms = 100;
    CHECK(stubborn.only(std::move(k)).exit_status == 137);
}

TEST_CASE("what a job leaves behind does not keep it from ending")
{
    job_fixture f;
    auto const begun = std::chrono::steady_clock::now();
    auto const e = f.only(job("sleep 15 & echo done; echo $!"));
    CHECK(e.out.starts_with("done\n"));
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds{10});
    f.runner.terminate();
}
