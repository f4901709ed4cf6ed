/// The grammar of aliases, distribution lists and nodes.

#include "router/command/grammar_call.hpp"
#include "router/protocol/names.hpp"

namespace kedge::grammar {
namespace {

/// People write an alias and a list as they do when they post to one.
std::string without(char sign, std::string const& s) { return !s.empty() && s.front() == sign ? s.substr(1) : s; }

std::string check_alias(std::string const& s)
{
    return valid_name(without('~', s)) ? "" : "not an alias: 1 to 64 letters, digits, '_' and '-'";
}
std::string check_list(std::string const& s)
{
    return valid_name(without('@', s)) ? "" : "not a list: 1 to 64 letters, digits, '_' and '-'";
}
std::string check_member(std::string const& s)
{
    return s.empty() || s.size() > 128 || !valid_utf8(s) || has_control_characters(s)
               ? "not a member: USER, ~ALIAS or @LIST"
               : "";
}
std::string check_full_node(std::string const& s)
{
    auto const slash = s.find('/');
    return slash != s.npos && valid_user(s.substr(0, slash)) && valid_node(s.substr(slash + 1)) ? "" : "not a node: USER/NODE";
}
nlohmann::json as_alias(std::string const& s) { return without('~', s); }
nlohmann::json as_list(std::string const& s) { return without('@', s); }

CLI::Option* add_posting(tree& t, admin_grammar& g)
{
    return one_of(t, g.arg("--posting", "KIND", "posting", "Who may post to it: anyone (the default), members or owners", nullptr),
                  {"anyone", "members", "owners"});
}

}  // namespace

void add_book_commands(tree& t)
{
    auto* alias = group(t, "alias", "Other names of users, for mail");
    admin_grammar alias_add{t, alias, "add", "Give a user another name", "kedge alias add support\nkedge alias add billing --user carol"};
    alias_add.arg("alias", "ALIAS", "alias", "The name; mail to it is sent to ~ALIAS", check_alias, as_alias)->required();
    alias_add.arg("--user", "USER", "user", "For this user instead of yourself (operators)", check_user);
    admin_grammar alias_remove{t, alias, "remove", "Take it away", "kedge alias remove support"};
    alias_remove.arg("alias", "ALIAS", "alias", "The name", check_alias, as_alias)->required();
    admin_grammar alias_list{t, alias, "list", "List them: your own, and of operators all", "kedge alias list"};
    alias_list.arg("user", "USER", "user", "Only of this user", check_user);

    auto* list = group(t, "list", "Distribution lists, for mail");
    admin_grammar list_add{t, list, "add", "Make a list; you own it",
                           "kedge list add admins alice bob\nkedge list add all @admins carol --posting members"};
    list_add.arg("list", "LIST", "list", "The list; mail to it is sent to @LIST", check_list, as_list)->required();
    list_add.settings->call.args["members"] = nlohmann::json::array();
    list_add.list("member", "MEMBER", "members", "USER, ~ALIAS or @LIST", check_member);
    add_posting(t, list_add);
    admin_grammar list_edit{t, list, "edit", "Change what is given, leave the rest",
                            "kedge list edit admins --add dave --remove alice\nkedge list edit admins --owner bob"};
    list_edit.arg("list", "LIST", "list", "The list", check_list, as_list)->required();
    list_edit.list("--add", "MEMBER", "add", "Another member (repeatable)", check_member);
    list_edit.list("--remove", "MEMBER", "remove", "No longer a member (repeatable)", check_member);
    add_posting(t, list_edit);
    list_edit.arg("--owner", "USER", "owner", "Whose it is from now on", check_user);
    admin_grammar list_remove{t, list, "remove", "Remove a list", "kedge list remove admins"};
    list_remove.arg("list", "LIST", "list", "The list", check_list, as_list)->required();
    admin_grammar list_show{t, list, "show", "Show one list, or all", "kedge list show\nkedge list show admins"};
    list_show.arg("list", "LIST", "list", "Only this one", check_list, as_list);

    auto* node = group(t, "node", "Devices and bots of users");
    admin_grammar node_list{t, node, "list", "List them: your own, and of operators all", "kedge node list"};
    node_list.arg("user", "USER", "user", "Only of this user", check_user);
    admin_grammar node_show{t, node, "show", "Show one, with the mail that waits for it", "kedge node show alice/laptop"};
    node_show.arg("node", "USER/NODE", "node", "The node", check_full_node)->required();
    admin_grammar node_remove{t, node, "remove", "Forget one that is away, its mail and its position", "kedge node remove alice/laptop"};
    node_remove.arg("node", "USER/NODE", "node", "The node", check_full_node)->required();
}

}  // namespace kedge::grammar
