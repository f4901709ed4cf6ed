#include "tests/catch.hpp"

#include "router/core/services.hpp"

using namespace kedge;

namespace {

service_instance made(unsigned link, std::vector<std::string> methods = {"now"})
{
    service_instance i;
    i.id = link;
    i.at = link_id{link};
    i.service = "time";
    i.methods = std::move(methods);
    return i;
}

auto const anyone = [](service_instance const&) { return true; };

}  // namespace

TEST_CASE("service registry: the registry chooses the least busy, then the one that waited longest")
{
    service_registry r;
    auto& a = r.add(made(1));
    auto& b = r.add(made(2, {"date", "now"}));
    auto& c = r.add(made(3, {"date"}));
    auto const next = [&](std::string const& method) {
        auto const choice = r.choose("time", method, anyone);
        REQUIRE(choice.to);
        r.begin(*choice.to);
        return choice.to;
    };
    CHECK(next("now") == &a);
    CHECK(next("now") == &b);
    CHECK(next("now") == &a);  // one each: a had its call first
    CHECK(next("date") == &c);
    CHECK(next("date") == &b);  // one each: b had its call before c
    r.end(a);
    r.end(a);
    CHECK(next("now") == &a);
    r.end(b);
    r.end(b);
    r.end(a);
    CHECK(next("now") == &b);  // none each: b's last call is older than a's
    CHECK(r.choose("time", "now", [&](service_instance const& i) { return &i != &a; }).to == &b);

    auto const full = r.choose("time", "date", [](service_instance const&) { return false; });
    CHECK((!full.to && full.served && full.has_method));
    auto const other = r.choose("time", "zone", anyone);
    CHECK((!other.to && other.served && !other.has_method));
    CHECK_FALSE(r.choose("tim", "now", anyone).served);
    CHECK(r.methods("time") == std::vector<std::string>{"date", "now"});
    CHECK(r.methods("none").empty());

    CHECK(r.find(link_id{2}, "time") == &b);
    CHECK(r.find(link_id{2}, "tim") == nullptr);
    r.remove(b);
    CHECK(r.find(link_id{2}, "time") == nullptr);
    CHECK(r.of(link_id{2}).empty());
    CHECK(r.instances("time") == 2);
    r.remove(a);
    r.remove(c);
    CHECK(r.services() == 0);
    CHECK(r.instances() == 0);
    CHECK_FALSE(r.choose("time", "now", anyone).served);
}

TEST_CASE("service registry: a call leaves the table once, whichever way")
{
    call_table t;
    CHECK_FALSE(t.due_ms());
    auto const open = [&](unsigned caller, std::string id, std::uint64_t due, unsigned at) {
        open_call c;
        c.caller = link_id{caller};
        c.id = std::move(id);
        c.due_ms = due;
        c.service = at ? "time" : "";
        c.at = link_id{at};
        return t.open(std::move(c)).number;
    };
    auto const one = open(1, "a", 50, 7);
    open(1, "b", 30, 7);
    open(2, "a", 40, 8);
    auto const by_subject = open(2, "b", 60, 0);
    CHECK(t.size() == 4);
    CHECK(t.due_ms() == 30u);
    CHECK(t.has(link_id{1}, "a"));
    CHECK_FALSE(t.has(link_id{3}, "a"));
    CHECK(t.of_caller(link_id{2}) == 2);
    CHECK(t.any_at(link_id{7}));
    CHECK_FALSE(t.any_at(link_id{0}));  // nobody in particular was given the one by subject

    CHECK_FALSE(t.take_due(29));
    CHECK(t.take_due(30)->id == "b");
    CHECK_FALSE(t.take_due(30));
    CHECK(t.take(one)->due_ms == 50);
    CHECK_FALSE(t.take(one));
    CHECK_FALSE(t.take_at(link_id{7}));
    CHECK_FALSE(t.any_at(link_id{7}));
    CHECK_FALSE(t.take_of(link_id{1}));
    CHECK(t.take_at(link_id{8})->caller == link_id{2});
    CHECK(t.take_of(link_id{2})->number == by_subject);
    CHECK(t.find(by_subject) == nullptr);
    CHECK(t.size() == 0);
    CHECK_FALSE(t.due_ms());
}
