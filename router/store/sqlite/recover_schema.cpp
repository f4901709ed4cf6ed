#include "router/store/sqlite/recover_schema.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "router/store/sqlite/recover_pages.hpp"
#include "router/store/sqlite/schema.hpp"

namespace kedge::sqlite {

namespace {

// SQLite file format, §1.3 and §1.6.
constexpr std::size_t pages_at = 28;
constexpr std::size_t free_list_at = 32;  // its first page and its length, 4 bytes each
constexpr std::size_t tree_at = 100;      // of the first page
constexpr char inner_page = 0x05;

std::uint64_t number(std::string_view page, std::size_t at, std::size_t bytes)
{
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
        value = value << 8 | static_cast<unsigned char>(page[at + i]);
    return value;
}

std::string contents(std::string const& path)
{
    std::ifstream in{path, std::ios::binary};
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
}

std::string_view page_of(std::string_view file, std::uint64_t number)
{
    auto const at = (number - 1) * page_bytes;
    return at + page_bytes > file.size() ? std::string_view{} : file.substr(at, page_bytes);
}

/// The pages below the first one that list the tables; none if it lists them all.
std::vector<std::uint64_t> below(std::string_view first)
{
    std::vector<std::uint64_t> pages;
    if (first[tree_at] != inner_page)
        return pages;
    auto const cells = number(first, tree_at + 3, 2);
    for (std::uint64_t i = 0; i < cells && tree_at + 14 + 2 * i <= page_bytes; ++i)
        if (auto const cell = number(first, tree_at + 12 + 2 * i, 2); cell + 4 <= page_bytes)
            pages.push_back(number(first, cell, 4));
    pages.push_back(number(first, tree_at + 8, 4));
    return pages;
}

bool lists_tables(std::string_view page)
{
    return !page.empty() && page.front() == leaf_page && page.find("CREATE ") != page.npos;
}

std::string new_database(std::string const& beside)
{
    auto const path = beside + ".new";
    std::filesystem::remove(path);
    open_database(path);
    auto const all = contents(path);
    std::filesystem::remove(path);
    return all;
}

}  // namespace

void copy_with_new_schema(std::string const& damaged, std::string const& copy)
{
    for (char const* const suffix : {"", "-wal"}) {
        std::filesystem::remove(copy + suffix);
        if (std::filesystem::exists(damaged + suffix))
            std::filesystem::copy_file(damaged + suffix, copy + suffix);
    }
    std::fstream file{copy, std::ios::in | std::ios::out | std::ios::binary};
    auto const read = [&](std::uint64_t page) {
        std::string bytes(page_bytes, '\0');
        file.clear();
        file.seekg(static_cast<std::streamoff>((page - 1) * page_bytes));
        file.read(bytes.data(), page_bytes);
        return file ? bytes : std::string{};
    };
    auto const write = [&](std::uint64_t page, std::string_view bytes) {
        file.clear();
        file.seekp(static_cast<std::streamoff>((page - 1) * page_bytes));
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    };
    auto const fresh = new_database(copy);
    std::string first{page_of(fresh, 1)};
    auto const wanted = below(first);
    auto const theirs = read(1);
    std::size_t left = 0;
    if (theirs.starts_with("SQLite format 3")) {
        left += below(theirs) == wanted ? 1 : 0;
        if (left == 0)
            throw std::runtime_error{"the list of its tables is lost"};
    }
    for (auto const page : wanted)
        left += lists_tables(read(page)) ? 1 : 0;
    if (left == 0)
        throw std::runtime_error{"it is not a database of this program, or the list of its tables is lost"};
    if (!theirs.starts_with("SQLite format 3")) {
        auto const pages = std::filesystem::file_size(damaged) / page_bytes;
        for (std::size_t i = 0; i < 4; ++i) {
            first[pages_at + i] = static_cast<char>(pages >> (8 * (3 - i)));
            first[free_list_at + i] = first[free_list_at + 4 + i] = '\0';
        }
        write(1, first);
    }
    for (auto const page : wanted)
        if (!lists_tables(read(page)))
            write(page, page_of(fresh, page));
    file.close();
    if (!file)
        throw std::runtime_error{copy + " cannot be written"};
}

}  // namespace kedge::sqlite
