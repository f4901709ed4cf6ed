#include "router/store/sqlite/check_run.hpp"

#include <unistd.h>

#include <chrono>
#include <utility>

namespace kedge::sqlite {

result<std::unique_ptr<check_run>> check_run::begin(database& source, std::string const& path)
{
    ::unlink(path.c_str());
    auto copying = backup_run::begin(source, path);
    if (!copying)
        return std::move(copying.error());
    return std::unique_ptr<check_run>{new check_run{path, std::move(*copying)}};
}

check_run::~check_run()
{
    stop_ = true;
    if (checking_.valid())
        checking_.wait();
    ::unlink(path_.c_str());
}

result<std::optional<check_report>> check_run::step()
{
    if (copying_) {
        auto const copied = copying_->step();
        if (!copied)
            return copied.error();
        if (!*copied)
            return std::nullopt;
        copying_.reset();
        checking_ = std::async(std::launch::async, [this] { return check_file(path_, stop_); });
        return std::nullopt;
    }
    if (checking_.wait_for(std::chrono::seconds{0}) != std::future_status::ready)
        return std::nullopt;
    return std::optional{checking_.get()};
}

}  // namespace kedge::sqlite
