#include "sshd-transport/file_watch.hpp"

#include <filesystem>
#include <fstream>

#include "tests/catch.hpp"
#include "tests/daemon/temporary_directory.hpp"

namespace kedge {
namespace {

struct watched {
    test::temporary_directory top;
    boost::asio::io_context context{1};
    int changes = 0;
    file_watch watch{context, top.path.string(), "file", [this] { ++changes; }};

    /// Runs until a change is reported, or nothing was for `time`.
    int changes_within(std::chrono::milliseconds time)
    {
        auto const before = changes;
        auto const end = std::chrono::steady_clock::now() + time;
        while (changes == before && std::chrono::steady_clock::now() < end)
            context.run_one_until(end);
        return changes - before;
    }
};

constexpr std::chrono::seconds long_enough{20};
constexpr std::chrono::milliseconds quiet{500};

TEST_CASE("writing, replacing and removing are each told once")
{
    watched it;
    test::spill(it.top.path / "file", "1");
    CHECK(it.changes_within(long_enough) == 1);
    test::spill(it.top.path / "new", "2");
    std::filesystem::rename(it.top.path / "new", it.top.path / "file");
    CHECK(it.changes_within(long_enough) == 1);
    std::filesystem::remove(it.top.path / "file");
    CHECK(it.changes_within(long_enough) == 1);
    test::spill(it.top.path / "another", "3");
    CHECK(it.changes_within(quiet) == 0);
}

TEST_CASE("a file that is still open for writing is not told")
{
    watched it;
    std::ofstream out(it.top.path / "file");
    out << "half" << std::flush;
    CHECK(it.changes_within(quiet) == 0);
    out << " whole" << std::flush;
    CHECK(it.changes_within(quiet) == 0);
    out.close();
    CHECK(it.changes_within(long_enough) == 1);
}

TEST_CASE("moved away and put back at once is one change, of the file that is there then")
{
    watched it;
    test::spill(it.top.path / "file", "1");
    std::filesystem::rename(it.top.path / "file", it.top.path / "file~");
    test::spill(it.top.path / "file", "2");
    CHECK(it.changes_within(long_enough) == 1);
    CHECK(it.changes_within(quiet) == 0);
}

}  // namespace
}  // namespace kedge
