#pragma once
/// A store in a file that a test opens and closes as it likes.

#include <memory>
#include <string>
#include <vector>

#include "router/store/sqlite/sqlite_store.hpp"
#include "tests/store/fixture.hpp"
#include "tests/store/sqlite/fault_disk.hpp"

namespace kedge::test {

/// Sentences as one text, for a message that shows them.
inline std::string joined(std::vector<std::string> const& sentences)
{
    std::string all;
    for (auto const& sentence : sentences)
        all += sentence + '\n';
    return all;
}

class file_fixture final : public store_fixture {
public:
    explicit file_fixture(limits const& bounds = {}) : bounds_{bounds} { open(); load(); }
    ~file_fixture() override { heal(); }

    message_store& store() override { return *store_; }
    account_store& accounts() override { return *store_; }
    void reopen() override
    {
        close();
        open();
    }
    void fail(fault) override {}
    void heal() override { fault_disk::instance().heal(); }

    std::string path() const { return folder_.file("kedge.db"); }
    scratch_folder const& folder() const { return folder_; }
    void open()
    {
        fault_disk::instance();
        store_ = std::make_unique<sqlite_store>(path(), bounds_);
    }
    void close() { store_.reset(); }

private:
    limits bounds_;
    scratch_folder folder_;
    std::unique_ptr<sqlite_store> store_;
};

}  // namespace kedge::test
