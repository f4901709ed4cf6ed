// Proof that the checks can fail: a server that loses, doubles, reorders or invents something is found out.
#include <algorithm>
#include <functional>
#include <optional>

#include "router/protocol/decoder.hpp"
#include "router/protocol/encoding.hpp"
#include "tests/catch.hpp"
#include "tests/sim/simulation.hpp"

using namespace kedge;
using namespace kedge::sim;

namespace {

struct read_output {
    notice::any what;
    encoding form;
};

std::optional<read_output> read(link_output::any const& o)
{
    auto const* const data = std::get_if<link_output::data>(&o.what);
    if (!data || data->bytes->size() == 0)
        return std::nullopt;
    auto const form = data->bytes->view().front() == '{' ? encoding::lines : encoding::frames;
    notice_decoder decoder{form, 4 * 1024 * 1024};
    decoder.feed(data->bytes->view());
    auto next = decoder.next();
    if (!next || !*next)
        return std::nullopt;
    return read_output{std::move(**next), form};
}

bool is_plain(notice::any const& n)
{
    auto const* const m = std::get_if<notice::msg>(&n);
    return m && m->consumer.empty() && m->from != "$sys";
}
bool is_consumed(notice::any const& n)
{
    auto const* const m = std::get_if<notice::msg>(&n);
    return m && !m->consumer.empty();
}
bool is_stored_ok(notice::any const& n)
{
    auto const* const ok = std::get_if<notice::ok>(&n);
    return ok && ok->seq != 0;
}
bool is_error_to_publish(notice::any const& n)
{
    auto const* const e = std::get_if<notice::error>(&n);
    return e && sticks_to_stream(e->code) && e->id.starts_with("r");
}
template <class T>
bool is(notice::any const& n)
{
    return std::holds_alternative<T>(n);
}

using chosen = bool (*)(notice::any const&);
using outputs = std::vector<link_output::any>;
using change = void (*)(outputs&, std::size_t at);

void lose(outputs& all, std::size_t at) { all.erase(all.begin() + static_cast<std::ptrdiff_t>(at)); }
void twice(outputs& all, std::size_t at)
{
    auto const copy = all[at];
    all.insert(all.begin() + static_cast<std::ptrdiff_t>(at), copy);
}
void put(outputs& all, std::size_t at, notice::any const& n, encoding form) { all[at].what = link_output::data{encode(n, form)}; }
void next_seq(outputs& all, std::size_t at)
{
    auto seen = *read(all[at]);
    ++std::get<notice::ok>(seen.what).seq;
    put(all, at, seen.what, seen.form);
}
void more_tries(outputs& all, std::size_t at)
{
    auto seen = *read(all[at]);
    ++std::get<notice::msg>(seen.what).tries;
    put(all, at, seen.what, seen.form);
}
void other_body(outputs& all, std::size_t at)
{
    auto seen = *read(all[at]);
    std::get<notice::msg>(seen.what).body += '!';
    put(all, at, seen.what, seen.form);
}
void claim_ok(outputs& all, std::size_t at)
{
    auto const seen = *read(all[at]);
    put(all, at, notice::ok{std::get<notice::error>(seen.what).id, "S1", 1, false, {}}, seen.form);
}
void claim_stored(outputs& all, std::size_t at)
{
    auto seen = *read(all[at]);
    ++std::get<notice::stored>(seen.what).n;
    put(all, at, seen.what, seen.form);
}

struct mutation {
    char const* name;
    chosen which;
    change how;
};

mutation const mutations[] = {
    {"a plain delivery is lost", is_plain, lose},
    {"a plain delivery is doubled", is_plain, twice},
    {"a plain delivery has another body", is_plain, other_body},
    {"a consumer's delivery is lost", is_consumed, lose},
    {"a consumer's delivery is doubled", is_consumed, twice},
    {"a consumer's delivery has another body", is_consumed, other_body},
    {"a consumer's delivery counts a try too many", is_consumed, more_tries},
    {"an ok is lost", is_stored_ok, lose},
    {"an ok is doubled", is_stored_ok, twice},
    {"an ok names the next seq", is_stored_ok, next_seq},
    {"what was not stored is answered by ok", is_error_to_publish, claim_ok},
    {"a stored names another n", is<notice::stored>, claim_stored},
    {"a pong is lost", is<notice::pong>, lose},
    {"a pong is doubled", is<notice::pong>, twice},
    {"a bye is lost", is<notice::bye>, lose},
};

// Applies `m` to the output after `skip` others that it could be applied to.
tamper once(mutation const& m, std::size_t skip, bool& done)
{
    return [&m, skip, &done](outputs& all) mutable {
        for (std::size_t at = 0; !done && at < all.size(); ++at) {
            auto const seen = read(all[at]);
            if (!seen || !m.which(seen->what) || skip-- != 0)
                continue;
            done = true;
            m.how(all, at);
        }
    };
}

// Whether the order of the two is promised: copies for a group, other consumers and other streams may come in between.
bool in_order(notice::any const& a, notice::any const& b)
{
    if (auto const* const ok = std::get_if<notice::ok>(&a))
        return ok->stream == std::get<notice::ok>(b).stream;
    auto const &first = std::get<notice::msg>(a), &second = std::get<notice::msg>(b);
    return first.consumer == second.consumer && first.stream == second.stream && first.group.empty() && second.group.empty();
}

// Two neighbours of the same kind for the same link change places.
tamper swap_once(chosen which, bool& done)
{
    return [which, &done](outputs& all) {
        for (std::size_t at = 0; !done && at + 1 < all.size(); ++at) {
            if (all[at].link != all[at + 1].link)
                continue;
            auto const first = read(all[at]), second = read(all[at + 1]);
            if (!first || !second || !which(first->what) || !which(second->what) || !in_order(first->what, second->what))
                continue;
            done = true;
            std::swap(all[at], all[at + 1]);
        }
    };
}

tamper lose_credit(bool& done)
{
    return [&done](outputs& all) {
        auto const at = std::find_if(all.begin(), all.end(), [](auto const& o) { return std::holds_alternative<link_output::credit>(o.what); });
        if (done || at == all.end())
            return;
        done = true;
        all.erase(at);
    };
}

struct tally {
    std::size_t applied = 0;
    std::size_t found = 0;
};

// `make` builds the tampering of one run; only seeds that pass without it count.
tally count(std::uint64_t seeds, std::function<tamper(std::uint64_t seed, bool& done)> const& make)
{
    tally t;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        bool done = false;
        bool const found = !simulate(seed, 0, make(seed, done)).violated.empty();
        if (!done || !simulate(seed).violated.empty())
            continue;
        ++t.applied;
        t.found += found;
    }
    return t;
}

}  // namespace

TEST_CASE("what a server does wrong is found")
{
    for (auto const& m : mutations) {
        INFO(m.name);
        auto const t = count(40, [&](std::uint64_t seed, bool& done) { return once(m, seed % 7, done); });
        CAPTURE(t.applied, t.found);
        CHECK(t.applied >= 2);
        // Not each: a link that is about to end may lack a delivery, a link that is gone needs no answer.
        CHECK(4 * t.found > t.applied);
    }
}

TEST_CASE("what comes in the wrong order is found")
{
    for (auto const which : {is_plain, is_consumed, is_stored_ok}) {
        auto const t = count(40, [&](std::uint64_t, bool& done) { return swap_once(which, done); });
        CAPTURE(t.applied, t.found);
        CHECK(t.applied >= 2);
        CHECK(4 * t.found > t.applied);
    }
}

TEST_CASE("credit that is not given back is found")
{
    auto const t = count(15, [](std::uint64_t, bool& done) { return lose_credit(done); });
    CAPTURE(t.applied, t.found);
    CHECK(t.found >= 1);
}
