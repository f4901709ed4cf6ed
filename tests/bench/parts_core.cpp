// What one publish costs the router, without transport and store: plain to n subscribers, and durable up to its ok.
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "router/core/core.hpp"

namespace {

using namespace kedge;

constexpr instant now{1'000, 1'700'000'000'000};
constexpr std::size_t in_a_batch = 64;

struct router {
    metrics counts;
    core it;
    actions todo;

    explicit router(store_contents contents = {}) : it{core_config{}, std::move(contents), {}, counts, now} {}

    void tell(std::uint64_t link, link_event::body what) { it.step(link_event::any{link_id{link}, std::move(what)}, now, todo); }
    void open(std::uint64_t link)
    {
        auto who = std::make_shared<principal>();
        who->user = "bench";
        who->role = std::string{role_operator};
        who->session = "0123456789abcdef";
        tell(link, link_event::opened{session_id{link}, std::move(who), encoding::frames, true});
    }
    // Hands all that was put out to the peers at once.
    void finish()
    {
        it.finish(now, todo);
        for (auto& o : todo.outputs)
            if (auto const* const data = std::get_if<link_output::data>(&o.what))
                written_[o.link] += data->bytes->size();
        todo = {};
        for (auto& [link, bytes] : written_)
            it.step(link_event::any{link, link_event::written{std::exchange(bytes, 0)}}, now, todo);
    }

private:
    std::map<link_id, std::uint64_t> written_;
};

message_ptr make_message(std::string_view subject, std::string_view id)
{
    static std::string const body(128, 'x');
    message::parts parts;
    parts.subject = subject;
    parts.id = id;
    parts.body = body;
    return message::make(parts);
}

void publish_plain(benchmark::State& state)
{
    router r;
    r.open(1);
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        r.open(static_cast<std::uint64_t>(10 + i));
        r.tell(static_cast<std::uint64_t>(10 + i), link_event::operation{op::subscribe{"s", "bench.>", {}}, 50});
    }
    r.finish();
    auto const m = make_message("bench.plain", {});
    for (auto _ : state) {
        for (std::size_t i = 0; i < in_a_batch; ++i)
            r.tell(1, link_event::operation{op::publish{m, 0}, 200});
        r.finish();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * in_a_batch));
}
BENCHMARK(publish_plain)->ArgName("subscribers")->Arg(1)->Arg(100);

void publish_durable(benchmark::State& state)
{
    store_contents contents;
    stream_state s;
    s.id = stream_id{1};
    s.config.name = "BENCH";
    s.config.subjects = {"d.>"};
    contents.streams.push_back(s);
    router r{std::move(contents)};
    r.open(1);
    r.tell(1, link_event::operation{op::hello{"h", "node", {}, false, false}, 50});
    r.finish();
    message_seq seq = 0;
    std::uint64_t id = 1'000'000'000;
    for (auto _ : state) {
        for (std::size_t i = 0; i < in_a_batch; ++i)
            r.tell(1, link_event::operation{op::publish{make_message("d.fill", std::to_string(++id)), 0}, 200});
        r.it.finish(now, r.todo);
        store_event::rows_arrived rows;
        rows.stream = stream_id{1};
        for (auto& a : r.todo.appends)
            rows.rows.push_back({{++seq, now.wall_ms, a.sender, a.message}, a.request});
        r.it.step(store_event::any{std::move(rows)}, now, r.todo);
        r.finish();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * in_a_batch));
}
BENCHMARK(publish_durable);

}  // namespace
