"""Bots of a few lines of shell, with nothing but stock ssh in a pipe, survive a server's kill -9 by reconnecting."""

import os
import shlex
import subprocess
import unittest

from harness import Case, eventually, scratch

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


if __name__ == "__main__":
    unittest.main()
