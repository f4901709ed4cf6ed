/// The manual page kedge(1), made from the grammar. Source of the macros: man(7).

#include "router/command/grammar.hpp"

#include <algorithm>
#include <string_view>

namespace kedge {
namespace {

/// Text that troff shows as it is.
std::string escaped(std::string_view text)
{
    std::string out;
    for (auto const c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
            out += std::string{"\\&"} + c;
        else
            out += c;
    }
    // Old troffs read Latin-1.
    for (std::size_t at = 0; (at = out.find("…", at)) != out.npos;)
        out.replace(at, std::string_view{"…"}.size(), "...");
    return out;
}

std::string synopsis(command_description const& d, std::string const& path)
{
    std::string line = "\\fB" + escaped(path) + "\\fR";
    for (auto const& o : d.options) {
        if (!o.names.empty() && !o.required)
            continue;
        auto text = o.names.empty() ? "\\fI" + escaped(o.value) + "\\fR"
                                    : "\\fB" + escaped(o.names.back()) + "\\fR \\fI" + escaped(o.value) + "\\fR";
        if (!o.required)
            text = "[" + text + "]";
        line += ' ' + text + (o.repeats ? "..." : "");
    }
    return line + " [\\fIoptions\\fR]";
}

void option_list(command_description const& d, std::string& out, bool with_help)
{
    for (auto const& o : d.options) {
        if (!with_help && std::find(o.names.begin(), o.names.end(), "--help") != o.names.end())
            continue;  // said once, at the top
        out += ".TP\n";
        std::string tag;
        for (auto const& name : o.names)
            tag += (tag.empty() ? "\\fB" : ", \\fB") + escaped(name) + "\\fR";
        if (!o.value.empty())
            tag += (tag.empty() ? "\\fI" : " \\fI") + escaped(o.value) + "\\fR";
        out += tag + '\n' + escaped(o.text) + ".\n";
    }
}

void command_list(command_description const& d, std::string const& path, std::string& out)
{
    for (auto const& sub : d.commands) {
        auto const name = path.empty() ? sub.name : path + ' ' + sub.name;
        if (sub.commands.empty()) {
            out += ".SS " + synopsis(sub, name) + '\n' + escaped(sub.text) + ".\n";
            option_list(sub, out, false);
            if (!sub.example.empty())
                out += ".PP\n.nf\n" + escaped(sub.example) + "\n.fi\n";
        } else {
            if (!sub.example.empty())
                out += ".SS \\fB" + escaped(name) + "\\fR\n" + escaped(sub.text) + ".\n.PP\n.nf\n" + escaped(sub.example) + "\n.fi\n";
            command_list(sub, name, out);
        }
    }
}

}  // namespace

std::string manual_page(command_description const& root)
{
    std::string out = ".TH KEDGE 1 \"\" \"kedge " KEDGE_VERSION "\" \"User commands\"\n"
                      ".SH NAME\nkedge \\- messages over SSH\n"
                      ".SH SYNOPSIS\n\\fBkedge\\fR [\\fB\\-\\-home\\fR \\fIDIR\\fR | \\fB\\-\\-to\\fR "
                      "\\fIUSER@HOST:PORT\\fR \\fB\\-i\\fR \\fIKEY\\fR] \\fICOMMAND\\fR\n.br\n"
                      "\\fBssh\\fR \\fIUSER@HOST\\fR \\fICOMMAND\\fR\n"
                      ".SH DESCRIPTION\n" +
                      escaped(root.text) +
                      "\nWithout \\fB\\-\\-to\\fR it talks to the server of this machine, with the key that the server made "
                      "for its operator. Every command works through plain ssh too, but what runs a program of yours (\\fB\\-\\-exec\\fR).\n"
                      ".SH OPTIONS\nThey stand before the command.\n";
    option_list(root, out, true);
    out += ".SH COMMANDS\n";
    command_list(root, "", out);
    out += ".SH DURATIONS, SIZES AND TIMES\n"
           "500ms, 30s, 5m, 12h, 7d, 1h30m. 4096, 64K, 64M, 1G. 2026\\-11\\-21T08:00:00Z (UTC).\n"
           ".SH EXIT STATUS\n"
           "0 if all went well, 1 if the server refused or something failed, 2 if the command was not understood, 130 if it "
           "was interrupted before its end.\n"
           ".SH ENVIRONMENT\n.TP\n\\fBKEDGE_HOME\\fR\nThe home of the server on this machine.\n"
           ".TP\n\\fBNO_COLOR\\fR\nIf set, no colours.\n.TP\n\\fBSSH_AUTH_SOCK\\fR\nThe SSH agent.\n"
           ".SH FILES\n.TP\n\\fI~/.local/share/kedge\\fR\nThe home of a server: its database, its keys, the "
           "operator's key, and \\fIauthorized_keys\\fR.\n.TP\n\\fI~/.ssh/known_hosts\\fR\nKeys of servers, for "
           "\\fB\\-\\-to\\fR.\n"
           ".SH SEE ALSO\n\\fBkedged\\fR(8), \\fBssh\\fR(1)\n";
    return out;
}

}  // namespace kedge
