/// The grammar of the commands about users: who may log in, and who may do what.

#include <algorithm>
#include <optional>

#include "router/command/grammar_call.hpp"
#include "router/command/units.hpp"
#include "router/protocol/limits.hpp"
#include "router/protocol/names.hpp"

namespace kedge::grammar {
namespace {

std::vector<std::string> const roles{"operator", "user", "bot"};
std::vector<std::string> const acts{"publish", "subscribe", "serve", "call", "post", "create"};

struct own_limit {
    std::string name;
    std::optional<std::uint64_t> value;  ///< nothing: the server's holds again
};

/// "NAME=VALUE"; sizes and durations may have units.
std::optional<own_limit> parse_limit(std::string const& text)
{
    auto const equals = text.find('=');
    if (equals == text.npos)
        return std::nullopt;
    own_limit limit{text.substr(0, equals), std::nullopt};
    auto const value = text.substr(equals + 1);
    if (value.empty())
        return limit;
    limit.value = parse_count(value);
    if (!limit.value && limit.name.ends_with("_bytes"))
        limit.value = parse_size(value);
    if (!limit.value && limit.name.ends_with("_ms"))
        limit.value = parse_duration_ms(value);
    return limit.value ? std::optional{limit} : std::nullopt;
}

std::string check_limit(std::string const& text)
{
    auto const limit = parse_limit(text);
    if (!limit)
        return "not NAME=VALUE, such as user_rate_messages=100 or user_stored_bytes=1G";
    auto const names = user_limit_names();
    if (std::find(names.begin(), names.end(), limit->name) != names.end())
        return {};
    std::string why = "a user has no such limit; there are";
    for (auto const name : names)
        why += ' ' + std::string{name};
    return why;
}

std::string check_fingerprint(std::string const& text)
{
    return text.starts_with("SHA256:") && text.size() == 50 ? "" : "not a fingerprint, SHA256:…, as 'key list' shows it";
}

std::string check_text(std::string const& text)
{
    return text.size() <= 1024 && valid_utf8(text) ? "" : "not a text of at most 1024 bytes";
}

std::string check_span(std::string const& text)
{
    return parse_duration_ms(text).value_or(0) != 0 ? "" : "not a duration such as 10m, 12h or 7d";
}

void add_user(tree& t)
{
    auto* user = group(t, "user", "Who may log in");
    admin_grammar add{t, user, "add", "Add a user, or change the role of one",
                      t.remote ? "user add alice --role operator" : "kedge user add alice --key ~/.ssh/id_ed25519.pub"};
    add.arg("name", "NAME", "name", "The user", check_user)->required();
    one_of(t, add.arg("--role", "ROLE", "role", "operator, user (the default) or bot", nullptr), roles);
    add.settings->call.args["keys"] = nlohmann::json::array();
    t.files.insert(add.list("--key", t.remote ? "KEY" : "FILE", "keys",
                            t.remote ? "The text of a public key (repeatable)" : "A file with public keys (repeatable)", check_key));

    admin_grammar edit{t, user, "edit", "Change the role of a user, or limits of the user's own",
                       "kedge user edit bot1 --limit user_rate_messages=100 --limit user_stored_bytes=1G\n"
                       "kedge user edit bot1 --limit user_rate_messages="};
    edit.arg("name", "NAME", "name", "The user", check_user)->required();
    one_of(t, edit.arg("--role", "ROLE", "role", "operator, user or bot", nullptr), roles);
    auto texts = std::make_shared<std::vector<std::string>>();
    values(edit.app, "--limit", "NAME=VALUE", *texts, "A limit of the user's own (repeatable); without a value the server's holds again",
           check_limit);
    *edit.verify = [texts, s = edit.settings] {
        for (auto const& text : *texts) {
            auto const limit = parse_limit(text);
            s->call.args["limits"][limit->name] = limit->value ? nlohmann::json(*limit->value) : nlohmann::json();
        }
        if (!s->call.args.contains("limits") && !s->call.args.contains("role"))
            throw CLI::RequiredError{"--role or --limit"};
    };

    admin_grammar show{t, user, "show", "Show a user with keys, rules, nodes, mail and limits", "kedge user show alice"};
    show.arg("name", "NAME", "name", "The user", check_user)->required();
    admin_grammar{t, user, "list", "List the users", "kedge user list"};
    admin_grammar remove{t, user, "remove", "Remove a user, end the sessions, and keep the user out", "kedge user remove alice"};
    remove.arg("name", "NAME", "name", "The user", check_user)->required();
}

void add_key(tree& t)
{
    auto* key = group(t, "key", "Public keys of users");
    admin_grammar add{t, key, "add", "Give a user another key",
                      t.remote ? "key add alice 'ssh-ed25519 AAAA… laptop'" : "kedge key add alice laptop.pub"};
    add.arg("user", "USER", "user", "The user", check_user)->required();
    t.files.insert(add.list("key", t.remote ? "KEY" : "FILE", "keys",
                            t.remote ? "The text of a public key (repeatable)" : "A file with public keys (repeatable)", check_key)
                       ->required());
    admin_grammar list{t, key, "list", "List the keys", "kedge key list alice"};
    list.arg("user", "USER", "user", "Only of this user", check_user);
    admin_grammar remove{t, key, "remove", "Take a key from a user and end its sessions",
                         "kedge key remove alice SHA256:AAAA…"};
    remove.arg("user", "USER", "user", "The user", check_user)->required();
    remove.arg("fingerprint", "FINGERPRINT", "fingerprint", "As 'key list' shows it: SHA256:…", nullptr)->required();
}

void add_rule(tree& t)
{
    auto* rule = group(t, "rule", "Who may do what");
    admin_grammar add{t, rule, "add", "Add a rule; one that denies wins over all that allow",
                      "kedge rule add --role bot deny publish 'control.>'\n"
                      "kedge rule add --user alice allow create 'stream.{user}-*'\n"
                      "kedge rule add --user bob deny call time.set"};
    auto* of_user = add.arg("--user", "USER", "user", "For this user", check_user);
    auto* of_role = one_of(t, add.arg("--role", "ROLE", "role", "For this role", nullptr), roles);
    auto* of_key = add.arg("--key", "FINGERPRINT", "key", "For sessions of this key", check_fingerprint);
    one_of(t, add.arg("effect", "EFFECT", "effect", "allow or deny", nullptr)->required(), {"allow", "deny"});
    one_of(t, add.arg("action", "ACTION", "action", "publish, subscribe, serve, call, post or create", nullptr)->required(), acts);
    add.arg("pattern", "PATTERN", "pattern",
            "Of subjects; serve: of services; call: of SERVICE.METHOD or subjects; post: of users or @lists; create: of stream.NAME "
            "or list.NAME. {user} and {role} stand for the caller's",
            nullptr)
        ->required();
    add.need_one_of({of_user, of_role, of_key}, "--user, --role or --key");
    admin_grammar{t, rule, "list", "List the rules, the built-in ones too", "kedge rule list"};
    admin_grammar remove{t, rule, "remove", "Remove a rule", "kedge rule remove 7"};
    remove.arg("id", "ID", "id", "As 'rule list' shows it", check_positive, as_number)->required();

    admin_grammar test{t, rule, "test", "Say whether a user may do something, and which rule says so; exit status 1 if not",
                       "kedge rule test alice publish orders.new\nkedge rule test bob call time.now --role bot"};
    test.arg("user", "USER", "user", "The user", check_user)->required();
    one_of(t, test.arg("action", "ACTION", "action", "publish, subscribe, serve, call, post or create", nullptr)->required(), acts);
    test.arg("subject", "SUBJECT", "subject", "What it would be done to, as rules name it", nullptr)->required();
    one_of(t, test.arg("--role", "ROLE", "role", "As if the session had this role", nullptr), roles);
    test.arg("--key", "FINGERPRINT", "key", "As if it had this key", check_fingerprint);
}

void add_ban(tree& t)
{
    auto* ban = group(t, "ban", "Who is kept out for a time");
    admin_grammar add{t, ban, "add", "Keep a user, a key or an address out, and end the sessions at once",
                      "kedge ban add --user bot7 --for 10m --reason 'floods orders.new'\n"
                      "kedge ban add --address 192.0.2.0/24"};
    auto* user = add.arg("--user", "USER", "user", "This user", check_user);
    auto* key = add.arg("--key", "FINGERPRINT", "key", "Whoever has this key", check_fingerprint);
    auto* address = add.arg("--address", "CIDR", "address", "Who comes from this address or network", nullptr);
    add.arg("--for", "TIME", "for_ms", "For so long; else until it is removed", check_span, as_duration);
    add.arg("--reason", "TEXT", "reason", "Why: it is told to whom it keeps out", check_text);
    add.need_one_of({user, key, address}, "--user, --key or --address");
    admin_grammar{t, ban, "list", "List the bans", "kedge ban list"};
    admin_grammar remove{t, ban, "remove", "End a ban", "kedge ban remove 3"};
    remove.arg("id", "ID", "id", "As 'ban list' shows it", check_positive, as_number)->required();

    auto* audit = group(t, "audit", "What operators did");
    admin_grammar list{t, audit, "list", "List what was done, the newest first", "kedge audit list --count 20\nkedge audit list --before 1200"};
    list.arg("--count", "N", "count", "At most so many (100)", check_positive, as_number);
    list.arg("--before", "ID", "before", "Only those before this one", check_positive, as_number);
}

}  // namespace

void add_account_commands(tree& t)
{
    add_user(t);
    add_key(t);
    add_rule(t);
    add_ban(t);
}

}  // namespace kedge::grammar
