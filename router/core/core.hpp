#pragma once
/// The router, sans I/O: events in, actions out. It never reads a clock, opens a file or touches a socket, so that a
/// simulation drives it from a seed. Not thread-safe: one thread, the router thread.
///
/// Use: any number of `step`s, then `finish`, then carry out the actions:
///
///     for (auto& e : batch) core.step(std::move(e), now, todo);
///     core.finish(now, todo);
///
/// The two rules that everything stands on: the core never gives a `seq`, and a durable publish is answered and delivered
/// only by the row that arrived (`store_event::rows_arrived`).

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "router/account/directory.hpp"
#include "router/core/access.hpp"
#include "router/core/actions.hpp"
#include "router/core/address_book.hpp"
#include "router/core/budget.hpp"
#include "router/core/consumer.hpp"
#include "router/core/id_windows.hpp"
#include "router/core/link.hpp"
#include "router/core/mailboxes.hpp"
#include "router/core/services.hpp"
#include "router/core/stream.hpp"
#include "router/core/subject_index.hpp"
#include "router/metrics.hpp"
#include "router/migration_port.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// Members of a group of plain subscribers; the turn is the group's, over all its patterns.
struct subscriber_group {
    std::string name;
    std::size_t members = 0;  ///< subscriptions
    std::size_t turn = 0;
};

/// One plain subscription in the index.
struct subscriber {
    link* at = nullptr;
    subscriber_group* group = nullptr;  ///< null = none
    friend bool operator==(subscriber const&, subscriber const&) = default;
};

/// What is known of one subject: its stream and who gets it. Cached; void when the generation has moved on.
struct route {
    std::uint64_t generation = 0;
    stream* of = nullptr;
    std::vector<link*> links;  ///< each once
    struct group_targets {
        subscriber_group* group = nullptr;
        std::vector<link*> links;
    };
    std::vector<group_targets> groups;

    std::size_t targets() const
    {
        auto sum = links.size();
        for (auto const& g : groups)
            sum += g.links.size();
        return sum;
    }
};

class admin;

struct core_config {
    struct limits limits;
    std::string server_name;           ///< "kedge/0.1.0"
    std::vector<std::string> servers;  ///< told in `welcome`
    std::string home;                  ///< where a backup without a path of its own goes
    /// 64 bits that nobody can guess, for what is secret in reply subjects; without it the core counts.
    std::function<std::uint64_t()> random{};
};

class core {
public:
    /// Takes what the stores hold. `counts` outlives the core.
    core(core_config, store_contents, account_store::contents, metrics& counts, instant now);
    ~core();

    void step(link_event::any, instant, actions&);
    void step(store_event::any, instant, actions&);
    void step(account_result, instant, actions&);
    /// Users and keys of HOME/authorized_keys, whole.
    void set_file_accounts(std::vector<account_user>, std::vector<account_key>, instant, actions&);
    void set_limits(limits const&);
    void drain(instant, actions&);

    // The migration of streams, if there is one (router/migration_port.hpp).
    /// From now on its commands are handed on.
    void attach_migration() noexcept { has_migration_ = true; }
    void set_migration(migration_picture_ptr);
    void migration_answered(token request, admin_result, actions&);
    /// `$sys.migration.STREAM`.
    void announce_migration(std::string_view stream, nlohmann::json const& what, instant, actions&);

    /// Time has passed; at the latest when `due_ms` says.
    void tick(instant, actions&);
    /// Ends a batch of the above: positions to save, credits, `stored` notices.
    void finish(instant, actions&);

    /// Before the end, after which nothing is answered: asks for every position that is not saved yet.
    void save_positions(instant, actions&);

    /// Steady milliseconds at which `tick` has something to do; nothing if never.
    std::optional<std::uint64_t> due_ms() const;

    directory_ptr const& directory() const noexcept { return directory_; }
    std::size_t links() const noexcept { return links_.size(); }
    /// Sets the gauges of what the core holds: each second by `tick`, and for whoever wants them exact.
    void measure();
    /// Empty, or why new work is not taken.
    std::string not_ready_because() const;

private:
    friend class admin;

    // core_links.cpp: links, hello, subscriptions, ping, who, the end of links.
    void open(link_id, link_event::opened&&, instant, actions&);
    void handle(link&, op::any&&, std::size_t bytes, instant, actions&);
    void hello(link&, op::hello&&, instant, actions&);
    /// False if it was refused, which is answered then.
    bool take_node(link&, op::hello const&, instant, actions&);
    void welcome(link&, std::string const& id, instant, actions&);
    void subscribe(link&, op::subscribe&&, actions&);
    void unsubscribe(link&, op::unsubscribe&&, actions&);
    void ping(link&, op::ping&&, std::size_t bytes, actions&);
    void who(link&, op::who const&, actions&);
    void input_ended(link&, instant, actions&);
    /// Ends the link when everything is answered (looked at at the end of the batch).
    void end_when_answered(link&, error_code, std::string message);
    void answered(link&);
    /// `bye`, then close; the link's subscriptions and consumers are let go at once.
    void end(link&, error_code, std::string message, std::string_view leave_reason, instant, actions&);
    /// Lets go of everything the link holds; `written` as in consumer::release.
    void let_go(link&, std::string_view leave_reason, std::optional<std::uint64_t> written, instant, actions&);
    void closed(link_id, std::uint64_t written, instant, actions&);
    void written(link&, std::uint64_t bytes);
    void drop_subscription(link&, link::subscription const&);

    // core.cpp: outputs.
    void send(link&, bytes_ptr, actions&);
    void send(link& to, notice::any const& what, actions& out) { send(to, encode(what, to.form), out); }
    void answer_ok(link&, std::string const& id, actions&);
    void answer_error(link&, std::string const& id, failure, actions&, std::vector<std::string> unknown = {});
    void credit(link&, std::size_t bytes);
    bytes_ptr encode_error(link const&, std::string_view id, failure const&, stream const* = nullptr, std::uint64_t n = 0,
                           std::vector<std::string> unknown = {}) const;
    void event(std::string_view subject, nlohmann::json const& body, instant, actions&);
    link* find(link_id);
    token next_token() { return static_cast<token>(++last_token_); }
    std::shared_ptr<access_profile const> profile(principal const&);
    void arm(std::uint64_t at_ms, consumer_id);

    // core_publish.cpp, core_durable.cpp: routes, publishes, rows that arrived.
    route& route_for(std::string_view subject);
    void publish(link&, op::publish&&, std::size_t bytes, instant, actions&);
    /// `to`: of a post, which has no subject.
    void publish_durable(link&, stream&, op::publish&&, std::size_t bytes, instant, actions&, std::vector<std::string> const* to = nullptr);
    void refuse_publish(link&, stream*, std::string_view id, failure, std::size_t bytes, actions&, std::uint64_t n = 0,
                        std::vector<std::string> unknown = {});
    void malformed(link&, op::malformed&&, std::size_t bytes, instant, actions&);
    void deliver_plain(route&, msg_view, actions&);
    void rows_arrived(store_event::rows_arrived&&, instant, actions&);
    /// A row that is no publish under way: what the sender has stored is more, and its id and `n` are known from now on.
    void arrived_unasked(stream const&, store_event::rows_arrived::arrival const&, instant);
    void number_arrived(node&, stream_id, chained_number const&);
    bool is_early(link&, node::progress&, message const&, std::uint64_t n, actions&);
    void know_number(node&, node::progress&, chained_number const&, actions&);
    void append_failed(store_event::append_failed&&, instant, actions&);
    void answer_slot(link_id, stream_id, token, bytes_ptr, actions&);
    void flush_answers(link&, stream_answers&, actions&);
    void answer_in_turn(link&, stream_id, bytes_ptr, std::size_t bytes, actions&);
    void answer_pongs(link&, actions&);
    stream_answers& answers_for(link&, stream_id);
    /// The answer of `request` is to come: takes its place among the answers. Returns the epoch of the link's appends.
    std::uint64_t wait_for(link&, stream_id, token request, std::uint64_t epoch, std::size_t bytes);
    /// Until a ping is answered, the link's publishes on that stream get this error.
    void bar(link_id, stream_id from, error_code);
    void tell_stored(actions&);
    void tell_stored(link&, stream_id, actions&);
    stream* stream_of(std::string_view subject);

    // core_consume.cpp, core_deliver.cpp: consumers.
    void consume(link&, op::consume&&, std::size_t bytes, instant, actions&);
    void attach(link&, consumer&, op::consume const&, instant, actions&);
    void attach(link&, consumer&, std::uint64_t window, instant);
    static constexpr std::uint64_t window_unless_told = 256;
    /// What a delivery shows of a row, under that subject.
    static msg_view view_of(stream const&, row const&, std::string_view subject);
    void consumer_created(store_event::consumer_created&&, instant, actions&);
    /// The consumer of that name is there, or is refused: what the link said of it meanwhile takes effect.
    void go_on(link&, std::string const& name, instant, actions&);
    /// Whether an operation has to be held back, and what was held back if it need not be any more.
    bool must_wait(link&, op::any const&);
    void hold(link&, link_event::operation&&);
    void release_held(link&, instant, actions&);
    void release_stalled(instant, actions&);
    bool may_go_on(link const&) const;
    static bool names_one_of(std::vector<std::string> const& consumers, op::any const&);
    void detach(link&, op::detach&&, instant, actions&);
    void ack(link&, op::ack&&, std::size_t bytes, instant, actions&);
    void nak(link&, op::nak&&, instant, actions&);
    void working(link&, op::working&&, instant, actions&);
    void term(link&, op::term&&, instant, actions&);
    result<consumer*> consumer_at(link&, std::string const& name, std::string const& stream_name);
    void release(consumer&, attachment&, std::optional<std::uint64_t> written, instant, actions&);
    /// By an operator: it is delivered nothing.
    bool paused(consumer const&) const;
    void pump(consumer&, instant, actions&);
    void deliver(consumer&, attachment&, row const&, instant, actions&);
    /// A row arrived that an attached consumer's filter matches.
    void offer(consumer&, row const&, instant, actions&);
    void rows_read(store_event::rows_read&&, instant, actions&);
    void after_change(consumer&, instant, actions&);
    void save(consumer&, instant, actions&);
    void save_unsaved(instant, actions&);
    bool saved(token, std::optional<failure> const&, instant, actions&);
    void remove_consumer(consumer&, std::string_view why, instant, actions&);
    void remove_stream(stream&, instant, actions&);
    /// Rows were purged: what is kept of the stream in memory may be gone.
    void forget_rows(stream&);

    // core_mail.cpp: posts, inboxes, aliases and lists, the life of nodes.
    static std::string inbox_of(std::string_view user);
    void post(link&, op::post&&, std::size_t bytes, instant, actions&);
    /// Whom the post reaches, or why it is refused: by the rules, for unknown names, for a full mailbox.
    address_book::expansion address(link const&, std::vector<std::string> const& to, message const&) const;
    void mail_arrived(stream&, row const&, instant, actions&);
    /// What an inbox is not done with.
    mail_sum waiting_for(consumer const&) const;
    /// Makes the inbox of the link's node if need be, and attaches it; then `welcome`.
    void open_inbox(link&, op::hello&&, instant, actions&);
    void inbox_ready(link&, consumer&, std::string const& id, instant, actions&);
    void inbox_refused(link&, std::string const& id, failure, instant, actions&);
    /// What the link said meanwhile takes effect at the end of the batch.
    void go_on(link&);
    void alias(link&, op::alias const&, instant, actions&);
    void list(link&, op::list const&, instant, actions&);
    bool is_user(std::string_view name) const;
    /// A change of aliases or lists. One at a time, and none while users change: each is decided by what the one before left.
    struct book_change {
        link_id by{};  ///< without it nothing is changed any more
        std::function<address_book::plan(link const&)> decide;
        /// `why` is set if it was refused, or failed.
        std::function<void(address_book::plan&&, actions&)> answer;
    };
    void change_book(book_change, instant, actions&);
    void next_book(instant, actions&);
    void book_changed(account_result const&, instant, actions&);
    address_book::plan decide_list(link const&, address_book::list_change const&) const;
    /// `$sys.node.leave`.
    void left(node const&, std::string_view reason, instant, actions&);
    /// The node is away and has nothing under way: forgets it, and its inbox. Returns what the store answers.
    token remove_node(node&, std::string_view reason, instant, actions&);
    /// The user is gone: so are those nodes that can go now; the others follow.
    void remove_nodes_of(std::string user, instant, actions&);
    /// Asks the store until it has removed it: else a node that comes back would find an inbox that nobody knows of.
    void remove_for_good(token request, store_request::any, actions&);
    void removal_answered(token, std::optional<failure> const& why);
    void remove_again(actions&);
    void retire_nodes(instant, actions&);

    // core_services.cpp: services and calls.
    void serve(link&, op::serve&&, instant, actions&);
    void unserve(link&, op::unserve const&, instant, actions&);
    void withdraw(service_instance&, instant, actions&);
    /// Calls that were given to the link stay open: it can still answer them.
    void withdraw_all(link&, instant, actions&);
    /// Those that the rules do not give any more.
    void withdraw_denied(link&, instant, actions&);
    /// The link answers nothing any more.
    void stop_serving(link&, instant, actions&);
    void tell_of(service_instance const&, std::string_view subject, instant, actions&);
    nlohmann::json about(service_instance const&) const;
    void call(link&, op::call&&, instant, actions&);
    open_call const& begin(link&, open_call&&);
    /// Why it was given to nobody; nothing if it is open.
    std::optional<failure> call_method(link&, op::call const&, open_call, actions&);
    std::optional<failure> call_subject(link&, message const&, open_call, instant, actions&);
    void reply(link&, op::reply const&, instant, actions&);
    /// The open call by subject that is answered there; null = none.
    open_call const* call_of(std::string_view reply_to) const;
    /// A link of the server's own found nobody for the call that was given to such links alone.
    void nobody_outside(std::string_view reply_to, instant, actions&);
    /// Whether the publish was a reply to a call by subject; then it is dealt with.
    bool reply_by_publish(link&, message const&, actions&);
    void answer_call(call_number, link& from, message const& reply, actions&);
    /// The call was taken from the table: its caller gets the error.
    void over(open_call const&, failure, actions&);
    /// The call was taken from the table: its instance has one less.
    void give_back(open_call const&);
    /// The caller is gone.
    void forget_calls(link&);
    void expire_calls(instant, actions&);
    /// Whether a link that takes no more has nothing left to wait for.
    bool may_end(link const&) const;
    std::uint64_t random();

    // core_budgets.cpp: what users may do and store.
    user_budget& budget_of(std::string const& user);
    /// One holder less.
    void let_go(user_budget&);
    void configure_budgets();
    bool over_rate(link&, op::any const&);
    void throttle(link&);
    void take_from_rate(link&, op::any const&, std::size_t bytes);
    void release_throttled(instant, actions&);
    /// A sentence if the message would go beyond what the link's user may store.
    std::string over_stored_bytes(link const&, stream const&, message const&) const;
    void storing(stream const&, stream::flight&, link&);
    /// The publish has ended; `kept`: as a row that counts.
    void stored(stream::flight&, bool kept);
    void usage_changed(store_event::usage_changed const&);

    // core_accounts.cpp: users, keys, rules.
    void publish_directory(actions&);
    void rules_changed(instant, actions&);

    // core_migration.cpp: streams that have a copy elsewhere.
    /// Null: the stream has none.
    migration_picture::mirrored const* mirror_of(stream const&) const;
    /// "LEGACY" for a stream that has none.
    std::string_view migration_state(stream const&) const;
    std::string_view authority_of(stream const&) const;
    std::vector<migration_request::known_stream> known_streams() const;

    core_config config_;
    metrics& counts_;
    std::uint64_t last_token_ = 0;
    instant now_;
    instant const started_;
    bool draining_ = false;
    bool drained_told_ = false;
    std::optional<failure> store_trouble_;  ///< the last batch failed

    boost::unordered_flat_map<link_id, std::unique_ptr<link>> links_;
    std::vector<link_id> credited_;   ///< links whose credit is to be told at the end of the batch
    std::vector<link_id> stalled_;    ///< links whose operations wait until they have read, or were answered
    std::vector<link_id> throttled_;  ///< links that wait for their user's rates
    std::uint64_t throttle_due_ms_ = 0;  ///< the first of them may go on then; 0 = there is none
    std::vector<link_id> slow_;       ///< links that are to end for not reading
    std::vector<link_id> ending_;     ///< links that end once everything is answered: looked at at the end of the batch

    boost::unordered_flat_map<std::string, std::unique_ptr<node>, text_hash, text_equal> nodes_;
    boost::unordered_flat_map<std::string, std::size_t, text_hash, text_equal> user_nodes_;
    std::map<token, store_request::any> removals_;    ///< of nodes and inboxes, on their way to the store
    std::vector<store_request::any> removals_again_;  ///< that it could not carry out
    std::vector<std::pair<node*, stream_id>> stored_;  ///< `stored` is to be told at the end of the batch

    subject_index<subscriber> subscribers_;
    std::map<std::string, std::unique_ptr<subscriber_group>, std::less<>> groups_;
    boost::unordered_flat_map<std::string, std::unique_ptr<route>, text_hash, text_equal> routes_;
    std::size_t route_targets_ = 0;  ///< of all routes
    std::uint64_t generation_ = 1;  ///< of routes: raised by every change of subscriptions and streams

    std::map<stream_id, std::unique_ptr<stream>> streams_;
    subject_index<stream*> stream_index_;
    std::uint64_t store_queue_bytes_ = 0;
    id_windows window_;
    stream* inbox_ = nullptr;  ///< `inbox_stream`
    bytes_ptr const sys_;

    std::map<consumer_id, std::unique_ptr<consumer>> consumers_;
    std::map<std::pair<stream_id, std::string>, consumer*> consumers_by_name_;
    boost::unordered_flat_map<std::string, std::size_t, text_hash, text_equal> user_consumers_;
    boost::unordered_flat_set<consumer_id> changed_;  ///< to pump or save at the end of the batch
    struct creation {
        stream_id stream{};
        std::string name;
        std::string owner;
        struct waiter {
            link_id link{};
            op::consume what;
            std::size_t credit = 0;
        };
        std::vector<waiter> waiters;
    };
    std::map<token, creation> creations_;
    boost::unordered_flat_map<token, consumer_id> reads_;
    boost::unordered_flat_map<token, consumer_id> saves_;
    boost::unordered_flat_set<consumer_id> unsaved_;  ///< positions that nobody waits for
    std::uint64_t save_due_ms_ = 0;                   ///< they are saved then; 0 = there are none

    service_registry services_;
    call_table calls_;

    /// (steady ms, consumer): a consumer may stand in it twice; what is stale finds nothing to do.
    std::priority_queue<std::pair<std::uint64_t, consumer_id>, std::vector<std::pair<std::uint64_t, consumer_id>>,
                        std::greater<>>
        timers_;
    std::uint64_t second_ms_ = 0;  ///< next turn of what is done each second

    boost::unordered_flat_map<std::string, std::unique_ptr<user_budget>, text_hash, text_equal> budgets_;

    std::vector<account_user> users_;
    std::vector<account_key> keys_;
    std::vector<account_user> file_users_;
    std::vector<account_key> file_keys_;
    std::vector<rule> rules_;
    std::vector<account_ban> bans_;
    directory_ptr directory_;

    address_book book_;
    mailboxes mail_;
    std::deque<book_change> book_waiting_;
    struct book_running {
        token request{};
        address_book::plan plan;
        book_change what;
    };
    std::optional<book_running> book_running_;
    std::uint64_t retire_due_ms_ = 0;  ///< steady: nodes are looked through then
    std::map<std::tuple<std::string, std::string, std::string>, std::shared_ptr<access_profile const>> profiles_;  ///< by user, role, key

    bool has_migration_ = false;
    migration_picture_ptr migration_;  ///< null until the migration has shown one

    std::unique_ptr<admin> admin_;
};

}  // namespace kedge
