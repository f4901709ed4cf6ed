#include "sshd-transport/log.hpp"

#include <filesystem>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/daemon/temporary_directory.hpp"

namespace kedge {
namespace {

TEST_CASE("a line for people says whom it is about, and no peer can end it")
{
    CHECK(log_line(log_format::text, {}, "started") == "started");
    CHECK(log_line(log_format::text, {.session = "9f2c", .link = link_id{255}, .user = "alice", .address = "::1"}, "in") ==
          "in session=9f2c link=ff user=alice address=::1");
    CHECK(log_line(log_format::text, {.user = "a\n\x1b[2Jb"}, "x\r\ny") == "x\\x0d\\x0ay user=a\\x0a\\x1b[2Jb");
}

TEST_CASE("a JSON line is one object whatever a peer sent")
{
    auto const parse = [](std::string const& line) { return nlohmann::json::parse("{" + line + "}"); };
    CHECK(parse(log_line(log_format::json, {}, "started")) == nlohmann::json{{"message", "started"}});
    auto const line = log_line(log_format::json, {.session = "9f", .link = link_id{16}, .user = "a\"\n\\\xff"}, "say \"hi\"\n");
    CHECK(line.find('\n') == std::string::npos);
    auto const object = parse(line);
    CHECK(object["message"] == "say \"hi\"\n");
    CHECK(object["session"] == "9f");
    CHECK(object["link"] == "10");
    CHECK(object["user"] == "a\"\n\\\xef\xbf\xbd");
    CHECK(!object.contains("address"));
}

TEST_CASE("levels and formats by name")
{
    for (auto const level : {log_level::debug, log_level::info, log_level::warning, log_level::error, log_level::off}) {
        auto read = log_level::info;
        CHECK(parse_log_level(to_string(level), read));
        CHECK(read == level);
    }
    auto level = log_level::error;
    CHECK(!parse_log_level("INFO", level));
    CHECK(level == log_level::error);
    auto form = log_format::json;
    CHECK(!parse_log_format("", form));
    CHECK(parse_log_format("text", form));
    CHECK(form == log_format::text);
}

TEST_CASE("a log in a file goes on in a new one of its name when it is opened again")
{
    test::temporary_directory const folder;
    auto const path = folder.path / "kedged.log";
    auto const old = folder.path / "kedged.log.1";
    test::spill(path, "before\n");
    log_start(log_level::info, log_format::text, path.string());
    log_info({}, "first");
    log_stop();
    auto const first = test::slurp(path);
    CHECK(first.find("before\n") == 0);
    CHECK(first.find(" info first\n") != std::string::npos);

    log_start(log_level::info, log_format::text, path.string());
    std::filesystem::rename(path, old);
    CHECK(log_reopen());
    log_info({}, "second");
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    INFO("where nothing can be opened it goes on where it was");
    CHECK_FALSE(log_reopen());
    std::filesystem::remove(path);
    CHECK(log_reopen());
    log_info({}, "third");
    log_stop();
    CHECK(test::slurp(old) == first);
    CHECK(test::slurp(path).find(" info third\n") != std::string::npos);

    CHECK_THROWS_AS(log_start(log_level::info, log_format::text, (folder.path / "no" / "log").string()), std::runtime_error);
    INFO("on standard error there is nothing to do");
    CHECK(log_reopen());
}

}  // namespace
}  // namespace kedge
