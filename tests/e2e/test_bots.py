"""Bots of a few lines with nothing but stock ssh in a pipe survive a server's kill -9 by reconnecting: two of shell here, and
those of clients/examples in shell, Python and Tcl."""

import json
import os
import shlex
import signal
import subprocess
import unittest

from harness import Case, eventually, key_of, scratch
from links import TIMEOUT

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "clients", "examples")

COUNT = 30

# Publishes COUNT messages, one ssh each; the same id again until the answer came: each is stored once.
PUBLISHER = """
n=1
while [ $n -le %(count)d ]; do
    answer=$(printf '{"op":"hello","node":"shell"}\\n{"op":"pub","id":"m%%d","subject":"%(subject)s","data":"%%d"}\\n' $n $n |
        %(ssh)s 2>/dev/null)
    case $answer in
        *'"op":"ok"'*) n=$((n + 1)) ;;
        *) sleep 0.1 ;;
    esac
done
"""

# Consumes durably: writes each body to a file, then acknowledges through a pipe back; connects again until the last one
# came. `end` ends the half that writes to ssh when the half that reads from it has come to its end.
CONSUMER = """
until [ -s %(got)s ] && [ "$(tail -n 1 %(got)s)" = %(count)d ]; do
    rm -f %(fifo)s; mkfifo %(fifo)s; exec 3<>%(fifo)s
    {
        echo '{"op":"consume","stream":"%(stream)s","consumer":"shell","start":"first"}'
        while read -r ack <&3 && [ "$ack" != end ]; do echo "$ack"; done
    } | %(ssh)s 2>/dev/null | {
        while read -r line; do
            case $line in
                *'"op":"msg"'*)
                    seq=${line##*\\"seq\\":} data=${line##*\\"data\\":\\"}
                    echo "${data%%%%\\"*}" >>%(got)s
                    echo "{\\"op\\":\\"ack\\",\\"consumer\\":\\"shell\\",\\"seq\\":${seq%%%%[!0-9]*}}" >&3
                    [ "${data%%%%\\"*}" = %(count)d ] && echo end >&3
                    ;;
            esac
        done
        echo end >&3
    }
    sleep 0.1
done
"""


class Bots(Case):
    def shell(self, script, **names):
        names["ssh"] = " ".join(shlex.quote(word) for word in self.server.ssh_argv("bot1", "kedge-json", options=("-s",)))
        process = subprocess.Popen(["sh", "-c", script % names], stdin=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, 9))
        return process

    def test_publisher_and_consumer(self):
        """architecture.md, "Bots": they must reconnect without losing or repeating anything."""
        name, token = self.stream()
        got = scratch("got")
        names = {"count": COUNT, "subject": token + ".shell", "stream": name, "got": got, "fifo": scratch("fifo")}
        publisher = self.shell(PUBLISHER, **names)
        consumer = self.shell(CONSUMER, **names)

        def received():
            if not os.path.exists(got):
                return []
            with open(got, encoding="ascii") as file:
                return [int(line) for line in file.read().split()]
        for goal in (COUNT // 4, COUNT // 2, 3 * COUNT // 4):
            eventually(lambda: len(set(received())) >= goal, f"{goal} messages", 120)
            self.server.kill()
            self.server.start()
        for process in (publisher, consumer):
            self.assertEqual(process.wait(120), 0)
        numbers = received()
        self.assertEqual(sorted(set(numbers)), list(range(1, COUNT + 1)))
        self.assertEqual(list(dict.fromkeys(numbers)), list(range(1, COUNT + 1)), "first deliveries are in order")
        reader = self.link()
        reader.ok("consume", stream=name, consumer="audit", start="first")
        self.assertEqual(self.bodies(reader.msgs(COUNT)), [str(n) for n in range(1, COUNT + 1)])
        self.assertEqual(self.bodies(reader.arrived()), [])


class Examples(Case):
    """Each consumes a stream as the consumer of its node's name and answers each message with a publish of its own."""

    users = {"op": "operator", "alice": "user", "bot1": "bot", "bot2": "bot", "bot3": "bot"}

    def ssh_config(self, user):
        """What a bot's machine has in its ~/.ssh/config."""
        path = scratch("ssh_config")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"Host bus\n HostName 127.0.0.1\n Port {self.server.port}\n User {user}\n IdentityFile {key_of(user)}\n"
                       f" IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {self.server.known_hosts}\n"
                       " GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking accept-new\n BatchMode yes\n")
        return path

    def start_bot(self, file, user, node, stream, subject):
        process = subprocess.Popen([os.path.join(EXAMPLES, file), "bus", self.ssh_config(user), node, stream, subject],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)

        def end():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(TIMEOUT)
            process.stderr.close()
        self.addCleanup(end)
        return process

    def test_survive_kill_9(self):
        """Issue: stock `ssh` in pipes (a bot of 20 lines of shell, one of Python, one of Tcl), each surviving `kill -9` of the
        server without loss or repetition."""
        work, token = self.stream()
        answers, back = self.stream()
        nodes = {"shell": ("bot.sh", "bot1"), "python": ("bot.py", "bot2"), "tcl": ("bot.tcl", "bot3")}
        writer = self.link("op")
        self.publish(writer, token + ".x", 10)
        bots = {}
        for node, (file, user) in nodes.items():
            bots[node] = self.start_bot(file, user, node, work, f"{back}.{node}")
        def answered(last):
            """The ids of each one's answers in the order of the stream, once all have answered seq `last`."""
            link = self.link("op")
            link.ok("consume", stream=answers, consumer="audit", start="first", window=5000)
            found = {node: [] for node in nodes}
            while not all(f"{node}-{last}" in ids for node, ids in found.items()):
                try:
                    msg = link.expect("msg")
                except TimeoutError:
                    raise AssertionError(f"they answered no more than {[ids[-1:] for ids in found.values()]} of {last}") from None
                found[msg["subject"].split(".")[1]].append(msg["pub_id"])
            for msg in (notice for notice in link.arrived() if notice.op == "msg"):
                found[msg["subject"].split(".")[1]].append(msg["pub_id"])
            link.close()
            return found
        for round_ in range(1, 5):
            self.publish(writer, token + ".x", 20, first=round_ * 100)
            answered(self.last_seq(work) - 15)
            self.server.kill()
            self.server.start()
            writer = self.link("op")
        self.publish(writer, token + ".x", 20, first=900)
        last = self.last_seq(work)
        for node, ids in answered(last).items():
            with self.subTest(node):
                self.assertEqual(ids, [f"{node}-{seq}" for seq in range(1, last + 1)])
        for node, process in bots.items():
            with self.subTest(node):
                self.assertIsNone(process.poll())
                process.terminate()
                process.wait(TIMEOUT)

    def last_seq(self, stream):
        return json.loads(self.server.admin("stream", "show", stream, "--json"))["last_seq"]


if __name__ == "__main__":
    unittest.main()
