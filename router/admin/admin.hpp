#pragma once
/// What operators ask of the router: users, keys, rules, streams, consumers, dead letters, backup, check, status; and the answers
/// of `who`. Part of the core's thread and, like it, sans I/O: a change is asked of a store, and holds (and is answered)
/// when the store has it.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/admin/call.hpp"
#include "router/core/actions.hpp"
#include "router/core/link.hpp"
#include "router/core/address_book.hpp"

namespace kedge {

class core;
class consumer;
struct stream;

/// Owned by the core, which it also changes. Commands that need a store are carried out one after another.
class admin {
public:
    explicit admin(core& c) : core_{c} {}

    void handle(link&, token request, admin_call, instant, actions&);
    void on_store(store_event::any const&, instant, actions&);
    void on_accounts(account_result const&, instant, actions&);
    /// The answer to a command that was handed to the migration.
    void migration_answered(token request, admin_result, actions&);
    /// The link is gone: what it asked for goes on, unanswered.
    void forget(link_id);

    nlohmann::json who(link const&, op::who::kind) const;
    /// A change that the account store has carried out takes effect. `id` as in `account_result`.
    void apply(account_change::any const&, std::uint64_t id);
    /// Whether a command that changes users, keys or rules is under way.
    bool changes_accounts() const noexcept { return running_ && running_->on_accounts; }
    /// Commands that wait for their turn.
    std::size_t backlog() const noexcept { return queue_.size(); }

private:
    /// Who waits for an answer, and what the audit log is to say of it (null = nothing).
    struct caller {
        link_id link{};
        token request{};
        std::shared_ptr<audit_entry const> audited = nullptr;
    };
    struct waiting {
        caller from;
        admin_call call;
    };
    /// The command under way: what to do with the answer of a store. Exactly one of the two is set.
    struct running {
        caller from;
        token request{};
        std::function<void(store_event::any const&, instant, actions&)> on_store;
        std::function<void(account_result const&, instant, actions&)> on_accounts;
        std::function<void()> undo;  ///< if the store fails; may be empty
        std::string stream = {};     ///< that it changes or makes; empty = none
        std::vector<std::string> subjects = {};  ///< that the stream is to have
    };
    struct command {
        std::string_view name;
        bool store;  ///< needs a store: waits for its turn
        void (admin::*carry_out)(caller, nlohmann::json const&, instant, actions&);
        /// Whoever may log in may use it; it looks itself at what the caller may do. Else operators only.
        bool for_all = false;
    };
    /// Those that change something stand in the audit log.
    static bool changes(admin_call const&) noexcept;
    static bool is_of_migration(std::string_view name) noexcept;
    static command const commands[];

    void answer(caller, admin_result, actions&);
    void refuse(caller, std::string why, actions&);
    /// The same, counted as a denial.
    void deny(caller, std::string const& why, actions&);
    void done(caller, nlohmann::json data, actions&);
    void next(instant, actions&);
    void ask_store(caller, token, store_request::any, std::function<void(store_event::any const&, instant, actions&)>, actions&);
    void ask_accounts(caller, std::vector<account_change::any>, nlohmann::json data, actions&);
    /// A reply of the store that only says whether it worked.
    std::function<void(store_event::any const&, instant, actions&)> when_done(caller, std::function<nlohmann::json(instant, actions&)>);

    void user_add(caller, nlohmann::json const&, instant, actions&);
    void user_list(caller, nlohmann::json const&, instant, actions&);
    void user_edit(caller, nlohmann::json const&, instant, actions&);
    void user_show(caller, nlohmann::json const&, instant, actions&);
    void user_remove(caller, nlohmann::json const&, instant, actions&);
    void key_add(caller, nlohmann::json const&, instant, actions&);
    void key_list(caller, nlohmann::json const&, instant, actions&);
    void key_remove(caller, nlohmann::json const&, instant, actions&);
    void rule_add(caller, nlohmann::json const&, instant, actions&);
    void rule_list(caller, nlohmann::json const&, instant, actions&);
    void rule_remove(caller, nlohmann::json const&, instant, actions&);
    void rule_test(caller, nlohmann::json const&, instant, actions&);
    void ban_add(caller, nlohmann::json const&, instant, actions&);
    void ban_list(caller, nlohmann::json const&, instant, actions&);
    void ban_remove(caller, nlohmann::json const&, instant, actions&);
    void audit_list(caller, nlohmann::json const&, instant, actions&);
    void stream_add(caller, nlohmann::json const&, instant, actions&);
    void stream_list(caller, nlohmann::json const&, instant, actions&);
    void stream_show(caller, nlohmann::json const&, instant, actions&);
    void stream_edit(caller, nlohmann::json const&, instant, actions&);
    void stream_remove(caller, nlohmann::json const&, instant, actions&);
    void stream_pause(caller, nlohmann::json const&, instant, actions&);
    void stream_resume(caller, nlohmann::json const&, instant, actions&);
    void stream_purge(caller, nlohmann::json const&, instant, actions&);
    void stream_peek(caller, nlohmann::json const&, instant, actions&);
    void consumer_list(caller, nlohmann::json const&, instant, actions&);
    void consumer_show(caller, nlohmann::json const&, instant, actions&);
    void consumer_edit(caller, nlohmann::json const&, instant, actions&);
    void consumer_pause(caller, nlohmann::json const&, instant, actions&);
    void consumer_resume(caller, nlohmann::json const&, instant, actions&);
    void consumer_remove(caller, nlohmann::json const&, instant, actions&);
    void dead_list(caller, nlohmann::json const&, instant, actions&);
    void dead_show(caller, nlohmann::json const&, instant, actions&);
    void dead_replay(caller, nlohmann::json const&, instant, actions&);
    void dead_drop(caller, nlohmann::json const&, instant, actions&);
    void alias_add(caller, nlohmann::json const&, instant, actions&);
    void alias_remove(caller, nlohmann::json const&, instant, actions&);
    void alias_list(caller, nlohmann::json const&, instant, actions&);
    void list_add(caller, nlohmann::json const&, instant, actions&);
    void list_edit(caller, nlohmann::json const&, instant, actions&);
    void list_remove(caller, nlohmann::json const&, instant, actions&);
    void list_show(caller, nlohmann::json const&, instant, actions&);
    void node_list(caller, nlohmann::json const&, instant, actions&);
    void node_show(caller, nlohmann::json const&, instant, actions&);
    void node_remove(caller, nlohmann::json const&, instant, actions&);
    /// A command of the migration: handed on at once, whatever waits for a store.
    void ask_migration(caller, admin_call, std::string const& user, actions&);
    /// Why the stream may not be changed because of its copy; empty = it may.
    std::string kept_by_migration(struct stream const&, std::string_view wanted) const;
    /// Why the stream may not have these subjects because of a bridge.
    std::string bridged(std::vector<std::string> const& subjects) const;
    /// Of `status`: the link, streams by state, the worst lag. Adds to `why` what is not well.
    nlohmann::json migration_status(nlohmann::json& why) const;
    /// The command under way is about this stream.
    void under_way(std::string stream, std::vector<std::string> subjects = {});

    void backup(caller, nlohmann::json const&, instant, actions&);
    void check(caller, nlohmann::json const&, instant, actions&);
    void status(caller, nlohmann::json const&, instant, actions&);

    /// Whether it is the answer to `check`.
    bool on_checked(store_event::any const&, actions&);
    struct stream* stream_named(std::string const&) const;
    consumer* consumer_named(nlohmann::json const&, std::string& why) const;
    /// Checks subjects and limits of a stream; a sentence if something is wrong. `self` is the stream that is edited.
    std::string check_stream(stream_config const&, struct stream const* self) const;
    /// Waits for its turn among all changes of aliases and lists.
    void change_book(caller, std::function<address_book::plan(link const&)>, nlohmann::json data, instant, actions&);
    void list_change(caller, address_book::list_change, nlohmann::json const& args, instant, actions&);
    /// One that the caller may see; null and a sentence otherwise.
    node* node_named(caller, std::string const& name, std::string& why) const;
    std::string read_limits(nlohmann::json const&, stream_config&) const;
    nlohmann::json describe(struct stream const&) const;
    nlohmann::json describe(consumer const&) const;
    /// The stream that is to be changed; else why not. INBOX is nobody's to change.
    struct stream* stream_to_change(std::string const& name, std::string& why) const;
    void pause_stream(caller, nlohmann::json const&, bool paused, actions&);
    void pause_consumer(caller, nlohmann::json const&, bool paused, actions&);
    void edit_consumer(caller, consumer const&, consumer_config, actions&);
    /// Subject, id, headers and body as a `msg` has them.
    static nlohmann::json message_json(message const&);
    nlohmann::json describe(node const&) const;
    static nlohmann::json describe(account_list const&);
    static nlohmann::json describe(account_key const&);
    static nlohmann::json describe(rule const&, bool built_in);
    std::string check_keys(std::string const& user, nlohmann::json const&, instant, std::vector<account_change::any>&) const;
    void list_page(caller, consumer_id, message_seq after, std::uint64_t left, nlohmann::json list, actions&);
    void replay_page(caller, consumer_id, std::vector<message_seq> wanted, message_seq after, std::uint64_t count, actions&);
    void replay(caller, consumer&, std::vector<message_seq> seqs, std::function<void(actions&)> then, instant, actions&);

    core& core_;
    std::deque<waiting> queue_;
    std::optional<running> running_;
    /// A check under way: it may take long, and holds up no other command.
    std::optional<std::pair<caller, token>> checking_;
    /// Handed to the migration and not answered.
    struct asked {
        caller from;
        std::string name;
        std::string stream;   ///< that it is about; empty = none
        std::string pattern;  ///< of a bridge
    };
    std::map<token, asked> asked_;
};

}  // namespace kedge
