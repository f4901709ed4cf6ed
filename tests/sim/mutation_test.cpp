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
bool is_mail(notice::any const& n)
{
    auto const* const m = std::get_if<notice::msg>(&n);
    return m && m->consumer == "inbox" && m->from.find("/n") != std::string::npos;
}
bool is_post_ok(notice::any const& n)
{
    auto const* const ok = std::get_if<notice::ok>(&n);
    return ok && ok->stream == inbox_stream && !ok->dup;
}
template <error_code code>
bool is_error(notice::any const& n)
{
    auto const* const e = std::get_if<notice::error>(&n);
    return e && e->code == code && !e->id.empty();
}
bool is_reply(notice::any const& n)
{
    auto const* const r = std::get_if<notice::reply>(&n);
    return r && r->from != "$sys";
}
template <char const* subject>
bool is_event(notice::any const& n)
{
    auto const* const m = std::get_if<notice::msg>(&n);
    return m && m->subject == subject;
}
constexpr char join[] = "$sys.node.join", leave[] = "$sys.node.leave", connected[] = "$sys.service.connect",
               online[] = "$sys.service.online", disconnected[] = "$sys.service.disconnect", offline[] = "$sys.service.offline";

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
void to_another(outputs& all, std::size_t at)
{
    auto const seen = *read(all[at]);
    // The link that opened last is as wrong as any.
    static constexpr std::uint64_t far = 3;
    auto const own = static_cast<std::uint64_t>(all[at].link);
    all[at].link = link_id{own > far ? own - far : own + far};
    put(all, at, seen.what, static_cast<std::uint64_t>(all[at].link) % 3 == 0 ? encoding::lines : encoding::frames);
}
void other_result(outputs& all, std::size_t at)
{
    auto seen = *read(all[at]);
    std::get<notice::reply>(seen.what).body += '!';
    put(all, at, seen.what, seen.form);
}
void other_mail(outputs& all, std::size_t at)
{
    auto seen = *read(all[at]);
    ++std::get<notice::msg>(seen.what).seq;
    put(all, at, seen.what, seen.form);
}
void deny_it(outputs& all, std::size_t at)
{
    auto const seen = *read(all[at]);
    put(all, at, notice::error{std::get<notice::ok>(seen.what).id, error_code::denied, "no", {}}, seen.form);
}
void claim_posted(outputs& all, std::size_t at)
{
    auto const seen = *read(all[at]);
    put(all, at, notice::ok{std::get<notice::error>(seen.what).id, std::string{inbox_stream}, 1, false, {}}, seen.form);
}
void call_it_late(outputs& all, std::size_t at)
{
    auto const seen = *read(all[at]);
    put(all, at, notice::error{std::get<notice::reply>(seen.what).id, error_code::timeout, "late", {}}, seen.form);
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

mutation const talk_mutations[] = {
    {"mail is lost", is_mail, lose},
    {"mail has another body", is_mail, other_body},
    {"mail names the next seq", is_mail, other_mail},
    {"mail goes to another link", is_mail, to_another},
    {"the ok of a post is lost", is_post_ok, lose},
    {"the ok of a post is doubled", is_post_ok, twice},
    {"a post that is stored is refused", is_post_ok, deny_it},
    {"a post to somebody unknown is answered by ok", is_error<error_code::unknown_recipient>, claim_posted},
    {"a call is lost", is<notice::call>, lose},
    {"a call is doubled", is<notice::call>, twice},
    {"a call goes to another link", is<notice::call>, to_another},
    {"a reply is lost", is_reply, lose},
    {"a reply is doubled", is_reply, twice},
    {"a reply has another body", is_reply, other_result},
    {"a reply comes as a timeout", is_reply, call_it_late},
    {"a timeout is lost", is_error<error_code::timeout>, lose},
    {"a timeout is doubled", is_error<error_code::timeout>, twice},
    {"no_responders is lost", is_error<error_code::no_responders>, lose},
    {"a join is lost", is_event<join>, lose},
    {"a join is doubled", is_event<join>, twice},
    {"a leave is lost", is_event<leave>, lose},
    {"a connect is lost", is_event<connected>, lose},
    {"an online is lost", is_event<online>, lose},
    {"an online is doubled", is_event<online>, twice},
    {"a disconnect is lost", is_event<disconnected>, lose},
    {"an offline is lost", is_event<offline>, lose},
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
tally count(std::uint64_t seeds, std::function<tamper(std::uint64_t seed, bool& done)> const& make, scene what = scene::log)
{
    tally t;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        bool done = false;
        bool const found = !simulate(seed, 0, make(seed, done), what).violated.empty();
        if (!done || !simulate(seed, 0, {}, what).violated.empty())
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

TEST_CASE("what a server does wrong with mail, calls and events is found")
{
    for (auto const& m : talk_mutations) {
        INFO(m.name);
        auto const t = count(30, [&](std::uint64_t seed, bool& done) { return once(m, seed % 3, done); }, scene::talk);
        CAPTURE(t.applied, t.found);
        CHECK(t.applied >= 2);
        // Not each: a crash, or the end of the link, may come before anybody could know.
        CHECK(5 * t.found > t.applied);
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
