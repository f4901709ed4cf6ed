/// Completion for bash and zsh, made from the grammar: one `case` over the words typed so far.

#include "router/command/grammar.hpp"

#include <algorithm>

namespace kedge {
namespace {

/// Calls `visit(path, command)` for the whole tree; the path of the root is empty, below it "stream", "stream add", …
template <class Visit>
void walk(command_description const& d, std::string const& path, Visit const& visit)
{
    visit(path, d);
    for (auto const& sub : d.commands)
        walk(sub, path.empty() ? sub.name : path + ' ' + sub.name, visit);
}

/// For single quotes of a shell.
std::string shell_quoted(std::string_view text)
{
    std::string out = "'";
    for (auto const c : text) {
        if (c == '\'')
            out += "'\\''";
        else
            out += c;
    }
    return out + "'";
}

std::string joined(std::vector<std::string> const& words, char const* between)
{
    std::string out;
    for (auto const& word : words)
        out += (out.empty() ? "" : between) + word;
    return out;
}

/// Options of the whole tree that take a value: the word after one is no command.
std::string valued_options(command_description const& root)
{
    std::vector<std::string> names;
    walk(root, "", [&](std::string const&, command_description const& d) {
        for (auto const& o : d.options)
            if (!o.value.empty())
                for (auto const& name : o.names)
                    if (std::find(names.begin(), names.end(), name) == names.end())
                        names.push_back(name);
    });
    return joined(names, "|");
}

/// Shell code that sets `command` to the command among the words before the cursor, and `option` to the option whose value the
/// cursor stands in, if any. `word` is its variable. (zsh keeps `path` for itself.)
std::string find_command(command_description const& root)
{
    std::string groups;
    for (auto const& sub : root.commands)
        if (!sub.commands.empty())
            groups += (groups.empty() ? "" : "|") + sub.name;
    return "        if [[ -n $option ]]; then option=; continue; fi\n"
           "        case $word in\n"
           "            " + valued_options(root) + ") option=$word ;;\n"
           "            -*) ;;\n"
           "            *)\n"
           "                case $command in\n"
           "                    '') command=$word ;;\n"
           "                    " + groups + ") command=\"$command $word\" ;;\n"
           "                esac ;;\n"
           "        esac\n";
}

/// Names of options and of files and choices of arguments, as one command offers them.
struct offers {
    std::vector<std::string> words;
    bool files = false;
};

offers offers_of(command_description const& d)
{
    offers all;
    for (auto const& sub : d.commands)
        all.words.push_back(sub.name);
    for (auto const& o : d.options) {
        all.words.insert(all.words.end(), o.names.begin(), o.names.end());
        if (!o.names.empty())
            continue;
        all.words.insert(all.words.end(), o.choices.begin(), o.choices.end());
        all.files = all.files || o.file;
    }
    return all;
}

}  // namespace

std::string bash_completion(command_description const& root)
{
    std::string out = "# Completion of kedge for bash: source it, or put it into /usr/share/bash-completion/completions/kedge\n"
                      "_kedge() {\n"
                      "    local current=${COMP_WORDS[COMP_CWORD]} command= option= before= word\n"
                      "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                      "        # bash takes --option=value and USER@HOST:PORT apart: what comes is still of the same value.\n"
                      "        if [[ $word == [@:=]* ]]; then option=${option:-$before}; continue; fi\n"
                      "        before=$option\n" +
                      find_command(root) +
                      "    done\n"
                      "    if [[ $current == [@:=]* ]]; then option=${option:-$before} current=; fi\n"
                      "    case \"$command|$option\" in\n";
    walk(root, "", [&](std::string const& path, command_description const& d) {
        for (auto const& o : d.options) {
            if (o.names.empty() || o.value.empty())
                continue;
            for (auto const& name : o.names) {
                out += "        " + shell_quoted(path + "|" + name) + ") ";
                if (o.file)
                    out += "mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); compopt -o filenames";
                else if (!o.choices.empty())
                    out += "mapfile -t COMPREPLY < <(compgen -W " + shell_quoted(joined(o.choices, " ")) + " -- \"$current\")";
                else
                    out += "COMPREPLY=()";
                out += "; return ;;\n";
            }
        }
    });
    out += "    esac\n    case $command in\n";
    walk(root, "", [&](std::string const& path, command_description const& d) {
        auto const all = offers_of(d);
        out += "        " + shell_quoted(path) + ") mapfile -t COMPREPLY < <(compgen " + (all.files ? "-f " : "") + "-W " +
               shell_quoted(joined(all.words, " ")) + " -- \"$current\")" + (all.files ? "; compopt -o filenames" : "") + " ;;\n";
    });
    out += "    esac\n}\ncomplete -F _kedge kedge\n";
    return out;
}

std::string zsh_completion(command_description const& root)
{
    std::string out = "#compdef kedge\n"
                      "# Completion of kedge for zsh: put it as _kedge into a folder of $fpath, or source it after compinit\n"
                      "_kedge() {\n"
                      "    local command= option= word\n"
                      "    local -a offered\n"
                      "    for word in $words[2,CURRENT-1]; do\n" +
                      find_command(root) +
                      "    done\n"
                      "    case \"$command|$option\" in\n";
    walk(root, "", [&](std::string const& path, command_description const& d) {
        for (auto const& o : d.options) {
            if (o.names.empty() || o.value.empty())
                continue;
            for (auto const& name : o.names) {
                out += "        " + shell_quoted(path + "|" + name) + ") ";
                if (o.file)
                    out += "_files";
                else if (!o.choices.empty())
                    out += "compadd -- " + joined(o.choices, " ");
                else
                    out += "_message " + shell_quoted(o.value + ": " + o.text);
                out += "; return ;;\n";
            }
        }
    });
    out += "    esac\n    case $command in\n";
    walk(root, "", [&](std::string const& path, command_description const& d) {
        // `_describe` takes "word:what it is"; a colon in the word would have to be escaped, and there is none.
        std::string described;
        bool files = false;
        for (auto const& sub : d.commands)
            described += ' ' + shell_quoted(sub.name + ":" + sub.text);
        for (auto const& o : d.options) {
            for (auto const& name : o.names)
                described += ' ' + shell_quoted(name + ":" + o.text);
            if (!o.names.empty())
                continue;
            for (auto const& choice : o.choices)
                described += ' ' + shell_quoted(choice + ":" + o.value);
            files = files || o.file;
        }
        out += "        " + shell_quoted(path) + ")\n            offered=(" + described.substr(described.empty() ? 0 : 1) +
               ")\n            _describe kedge offered" + (files ? "; _files" : "") + " ;;\n";
    });
    // Loaded from $fpath the file is the function's body; sourced, it registers itself.
    out += "    esac\n}\nif [[ $funcstack[1] == _kedge ]]; then _kedge \"$@\"; else compdef _kedge kedge; fi\n";
    return out;
}

}  // namespace kedge
