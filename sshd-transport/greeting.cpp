#include "sshd-transport/greeting.hpp"

namespace kedge {

std::string greeting(principal const& who, bool terminal)
{
    std::string const text = "Hello " + who.user + ". This is kedge, a message server; there is no shell here. Your role is " +
                             who.role + ", your key " + who.key +
                             ".\n"
                             "\n"
                             "  ssh HOST help                     the commands that you can run\n"
                             "  ssh HOST sub 'chat.>'             print what is published to a subject\n"
                             "  ssh HOST pub chat.hello 'Hi all'  publish\n"
                             "  ssh -s HOST kedge-json            the protocol as lines of JSON, for scripts and by hand\n"
                             "  ssh -s HOST kedge                 the protocol as frames, for libraries\n";
    if (!terminal) return text;
    std::string lines;
    for (char const c : text) {
        if (c == '\n') lines += '\r';
        lines += c;
    }
    return lines;
}

}  // namespace kedge
