#include "router/core/digest.hpp"

#include <algorithm>
#include <string_view>

#include <xxhash.h>

namespace kedge {

namespace {

/// The same for every order of the headers: a JSON object has none. `headers` is compact, as the codec writes it, so a
/// pair ends at every second string.
std::uint64_t digest_of_headers(std::string_view headers)
{
    std::uint64_t sum = 0;
    std::size_t strings = 0;
    std::size_t begin = 1;
    for (std::size_t at = 1; at < headers.size(); ++at) {
        if (headers[at] != '"')
            continue;
        for (++at; at < headers.size() && headers[at] != '"'; ++at)
            at += headers[at] == '\\';
        if (++strings % 2 == 0) {
            sum += XXH3_64bits(headers.data() + begin, at + 1 - begin);
            begin = at + 2;  // past the comma
        }
    }
    return sum;
}

}  // namespace

std::uint64_t digest_of(message const& m)
{
    auto hash = XXH3_64bits(m.subject().data(), m.subject().size()) + digest_of_headers(m.headers());
    for (auto const part : {m.reply_to(), m.body()})
        hash = XXH3_64bits_withSeed(part.data(), part.size(), hash);
    return hash;
}

std::uint64_t digest_of(message const& m, std::vector<std::string> to)
{
    std::sort(to.begin(), to.end());
    to.erase(std::unique(to.begin(), to.end()), to.end());
    auto hash = digest_of(m);
    for (auto const& name : to)
        hash = XXH3_64bits_withSeed(name.data(), name.size(), hash);
    return hash;
}

}  // namespace kedge
