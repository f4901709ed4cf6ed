// What mail costs as it grows: posts to lists of users whose nodes are all away, and every node reading its own afterwards.
// Core and database without the transport: figures are what the router and the disk make of it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "router/core/account_requests.hpp"
#include "router/core/core.hpp"
#include "router/store/sqlite/sqlite_store.hpp"

namespace {

using namespace kedge;
using clock_type = std::chrono::steady_clock;

constexpr std::size_t users = 1000;
constexpr std::size_t list_size = 100;
constexpr std::size_t lists = users / list_size;
constexpr std::size_t posts_in_a_batch = 500;

double seconds_since(clock_type::time_point began) { return std::chrono::duration<double>(clock_type::now() - began).count(); }

std::string user_name(std::size_t i) { return "u" + std::to_string(i); }

class site {
public:
    explicit site(std::filesystem::path folder)
        : folder_{std::move(folder)}, store_{(folder_ / "kedge.db").string(), bounds()}, it_{config(), store_.load(now_.wall_ms), fill(), counts_, now_}
    {
    }

    void open(std::uint64_t link, std::string const& user)
    {
        auto who = std::make_shared<principal>();
        who->user = user;
        who->role = std::string{role_user};
        who->session = "0123456789abcdef";
        tell(link, link_event::opened{session_id{link}, std::move(who), encoding::frames, true});
    }
    void hello(std::uint64_t link, std::string const& node, bool inbox)
    {
        op::hello said;
        said.node = node;
        said.inbox = inbox;
        operation(link, std::move(said));
    }
    void operation(std::uint64_t link, op::any what) { tell(link, link_event::operation{std::move(what), 64}); }
    void close(std::uint64_t link) { tell(link, link_event::closed{handed_[link_id{link}]}); }

    /// Until nothing more comes of what was said.
    void settle()
    {
        for (;;) {
            it_.finish(now_, todo_);
            if (todo_.empty())
                return;
            auto todo = std::exchange(todo_, {});
            for (auto& o : todo.outputs)
                if (auto const* const data = std::get_if<link_output::data>(&o.what)) {
                    handed_[o.link] += data->bytes->size();
                    written_[o.link] += data->bytes->size();
                    ++frames_;
                    last_ = data->bytes;
                }
            for (auto const& request : todo.accounts)
                it_.step(carry_out(store_, request), now_, todo_);
            std::vector<store_request::any> batch = std::move(todo.requests);
            batch.insert(batch.end(), std::make_move_iterator(todo.appends.begin()), std::make_move_iterator(todo.appends.end()));
            if (!batch.empty()) {
                std::vector<store_event::any> events;
                store_.execute(std::move(batch), events);
                store_.maintain(now_.wall_ms, events);
                for (auto& e : events)
                    it_.step(std::move(e), now_, todo_);
            }
            for (auto& [link, bytes] : std::exchange(written_, {}))
                tell(static_cast<std::uint64_t>(link), link_event::written{bytes});
        }
    }
    void pass(std::uint64_t ms)
    {
        now_.steady_ms += ms;
        now_.wall_ms += ms;
        it_.tick(now_, todo_);
        settle();
    }

    std::uint64_t frames() const noexcept { return frames_; }
    /// The seq of the last delivery.
    message_seq last_seq() const
    {
        auto const text = last_->view();
        auto const at = text.find("\"seq\":");
        return at == text.npos ? 0 : std::strtoull(text.data() + at + 6, nullptr, 10);
    }

private:
    static limits bounds()
    {
        limits l;
        l.mail_messages = 1'000'000;
        l.mail_bytes = 1ull << 40;
        return l;
    }
    static core_config config()
    {
        core_config made{};
        made.limits = bounds();
        return made;
    }
    account_store::contents fill()
    {
        for (std::size_t i = 0; i < users; ++i) {
            account_user user;
            user.name = user_name(i);
            user.role = std::string{role_user};
            if (!store_.put_user(user))
                throw std::runtime_error{"cannot add a user"};
        }
        for (std::size_t i = 0; i < lists; ++i) {
            account_list list;
            list.name = "list" + std::to_string(i);
            list.owner = user_name(0);
            for (std::size_t k = 0; k < list_size; ++k)
                list.members.push_back(user_name(i * list_size + k));
            std::sort(list.members.begin(), list.members.end());
            if (!store_.put_list(list))
                throw std::runtime_error{"cannot add a list"};
        }
        return store_.load_accounts();
    }
    void tell(std::uint64_t link, link_event::body what) { it_.step(link_event::any{link_id{link}, std::move(what)}, now_, todo_); }

    std::filesystem::path folder_;
    instant now_{1'000, 1'700'000'000'000};
    metrics counts_;
    sqlite_store store_;
    core it_;
    actions todo_;
    std::map<link_id, std::uint64_t> written_;
    std::map<link_id, std::uint64_t> handed_;
    std::uint64_t frames_ = 0;
    bytes_ptr last_;
};

struct outcome {
    double posts_a_second = 0;
    std::uintmax_t bytes_on_disk = 0;  ///< when the database is closed
    double nodes_a_second = 0;
    double mails_a_second = 0;
};

outcome run(std::filesystem::path const& parent, std::size_t nodes, std::size_t posts, bool read)
{
    std::string name = (parent / "mail-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::runtime_error{"cannot make a folder in " + name};
    outcome found;
    {
        site s{name};
        std::uint64_t link = 0;
        for (std::size_t u = 0; u < users; ++u)
            for (std::size_t n = 0; n < nodes; ++n) {
                s.open(++link, user_name(u));
                s.hello(link, "n" + std::to_string(n), true);
                s.settle();
                s.close(link);
            }
        s.settle();
        s.pass(1000);

        auto const sender = ++link;
        s.open(sender, user_name(0));
        s.hello(sender, "sender", false);
        std::string const body(128, 'x');
        auto began = clock_type::now();
        for (std::size_t i = 0; i < posts; ++i) {
            auto const id = "p" + std::to_string(i);
            message::parts parts;
            parts.id = id;
            parts.body = body;
            op::post post;
            post.to = {"@list" + std::to_string(i % lists)};
            post.message = message::make(parts);
            s.operation(sender, std::move(post));
            if (i % posts_in_a_batch == posts_in_a_batch - 1)
                s.settle();
        }
        s.settle();
        found.posts_a_second = static_cast<double>(posts) / seconds_since(began);
        if (read) {
            auto const each = posts / lists;
            began = clock_type::now();
            for (std::size_t u = 0; u < users; ++u)
                for (std::size_t n = 0; n < nodes; ++n) {
                    s.open(++link, user_name(u));
                    s.settle();
                    auto const frames = s.frames();
                    s.hello(link, "n" + std::to_string(n), true);
                    s.settle();
                    while (s.frames() - frames < each + 1) {
                        auto const seen = s.frames();
                        op::ack ack;
                        ack.consumer = "inbox";
                        ack.upto = s.last_seq();
                        s.operation(link, std::move(ack));
                        s.settle();
                        if (s.frames() == seen)
                            throw std::runtime_error{"a node got " + std::to_string(seen - frames - 1) + " of " + std::to_string(each)};
                    }
                    if (s.frames() - frames != each + 1)  // the welcome comes first
                        throw std::runtime_error{"a node got more than its own"};
                    s.close(link);
                }
            auto const took = seconds_since(began);
            found.nodes_a_second = static_cast<double>(users * nodes) / took;
            found.mails_a_second = static_cast<double>(users * nodes * each) / took;
        }
    }
    found.bytes_on_disk = std::filesystem::file_size(name + "/kedge.db");
    std::filesystem::remove_all(name);
    return found;
}

}  // namespace

int main(int count, char** arguments)
{
    try {
        char const* const parent = std::getenv("KEDGE_BENCH_FOLDER");
        std::filesystem::path const folder = parent ? parent : ".";
        std::size_t const posts = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 100'000;
        std::printf("%zu users, lists of %zu, %zu posts of 128 bytes, all nodes away\n", users, list_size, posts);
        std::printf("%5s %10s %12s %12s %12s\n", "nodes", "posts/s", "bytes/post", "nodes/s read", "mails/s read");
        for (std::size_t const nodes : {0, 1, 3}) {
            auto const empty = run(folder, nodes, 0, false).bytes_on_disk;
            auto const found = run(folder, nodes, posts, nodes == 3);
            std::printf("%5zu %10.0f %12.0f", nodes, found.posts_a_second,
                        static_cast<double>(found.bytes_on_disk - empty) / static_cast<double>(posts));
            if (nodes == 3)
                std::printf(" %12.1f %12.0f", found.nodes_a_second, found.mails_a_second);
            std::printf("\n");
            std::fflush(stdout);
        }
        return 0;
    } catch (std::exception const& error) {
        std::fprintf(stderr, "kedge_bench_mail: %s\n", error.what());
        return 1;
    }
}
