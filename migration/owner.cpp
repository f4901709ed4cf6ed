#include "migration/owner.hpp"

#include <array>
#include <charconv>
#include <stdexcept>

#include <sodium.h>

namespace kedge::migration {

namespace {

std::string_view take_word(std::string_view& rest)
{
    auto const end = rest.find(' ');
    auto const word = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return word;
}

}  // namespace

std::string home_of(std::string_view secret)
{
    constexpr std::string_view purpose = "kedge home";
    std::array<unsigned char, 16> hash{};
    auto const* const key = reinterpret_cast<unsigned char const*>(secret.data());
    if (secret.size() < crypto_generichash_KEYBYTES_MIN || secret.size() > crypto_generichash_KEYBYTES_MAX
        || crypto_generichash(hash.data(), hash.size(), reinterpret_cast<unsigned char const*>(purpose.data()), purpose.size(), key,
                              secret.size()) != 0)
        throw std::runtime_error("the database's secret is damaged");
    std::string text;
    for (std::size_t i = 0; i < 8; ++i)
        for (auto const nibble : {hash[i] >> 4, hash[i] & 15})
            text += "0123456789abcdef"[nibble];
    return text;
}

std::string describe_owner(owner_mark const& mark)
{
    auto const number = mark.number == 0 ? std::string{} : '/' + std::to_string(mark.number);
    return "kedge " + mark.home + ' ' + mark.incarnation + ' ' + mark.stream + number + " (kept by kedge: see its migrate status)";
}

std::optional<owner_mark> read_owner(std::string_view description)
{
    if (take_word(description) != "kedge")
        return std::nullopt;
    owner_mark mark;
    for (auto* const part : {&mark.home, &mark.incarnation, &mark.stream}) {
        *part = take_word(description);
        if (part->empty())
            return std::nullopt;
    }
    if (auto const slash = mark.stream.find('/'); slash != std::string::npos) {
        auto const* const end = mark.stream.data() + mark.stream.size();
        if (auto const read = std::from_chars(mark.stream.data() + slash + 1, end, mark.number); read.ec != std::errc{} || read.ptr != end)
            return std::nullopt;
        mark.stream.resize(slash);
    }
    return mark;
}

ownership judge_owner(std::string_view description, owner_mark const& self, std::string_view marked)
{
    auto const found = read_owner(description);
    if (!found)
        return ownership::unmarked;
    if (found->home != self.home || found->stream != self.stream)
        return ownership::foreign;
    if (found->number != 0 && self.number != 0 && found->number != self.number)
        return ownership::former;
    if (found->incarnation == self.incarnation)
        return ownership::ours;
    // Once marked by this very database, only another one can have written what stands there now.
    return marked == self.incarnation ? ownership::taken : ownership::renewed;
}

std::string name_owner(std::string_view description)
{
    auto const found = read_owner(description);
    return found ? "the kedge home " + found->home + " (database " + found->incarnation + ", stream " + found->stream + ')'
                 : std::string{"nobody"};
}

}  // namespace kedge::migration
