"""The completion scripts in real shells: each is typed into an interactive bash and zsh, and Tab is pressed.

CTest gives the program in KEDGE. In the shell `kedge` is a function that prints its arguments, so that what was completed is
what would have been run.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import tempfile
import termios
import time
import unittest

KEDGE = os.environ["KEDGE"]
TIMEOUT = float(os.environ.get("KEDGE_E2E_TIMEOUT", "40"))
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])|\x07")


class Shell:
    """An interactive shell on a terminal of its own. It is ready for the next key when it has printed what `expect` names."""

    def __init__(self, *command, home):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execve(shutil.which(command[0]), command, {"HOME": home, "TERM": "xterm", "PATH": os.environ["PATH"], "PS1": "ready> "})
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 100, 200, 0, 0))
        self.text = ""

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def expect(self, pattern):
        """What was printed up to and including the first match; forgets it."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            plain = ESCAPES.sub("", self.text)
            found = re.search(pattern, plain)
            if found:
                self.text = plain[found.end():]
                return plain[:found.end()]
            if not select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern!r} in {plain!r}")
            self.text += os.read(self.terminal, 65536).decode("utf-8", "replace")

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


class Completion:
    """The same expectations of both shells."""

    def setUp(self):
        if not shutil.which(self.command[0]):
            self.skipTest(f"there is no {self.command[0]} here")
        self.home = tempfile.mkdtemp(prefix="kedge-completion-")
        self.addCleanup(shutil.rmtree, self.home)
        os.mkdir(os.path.join(self.home, "keys"))
        with open(os.path.join(self.home, "keys", "laptop.pub"), "w", encoding="ascii"):
            pass
        self.shell = Shell(*self.command, home=self.home)
        self.addCleanup(self.shell.close)
        # The line editor reads what was typed before it was ready too; the sum is not in what the terminal echoes.
        self.shell.type(self.prepare.format(kedge=KEDGE) + "; kedge() { echo \"<$*>\"; }; echo prepared $((40 + 2))\r")
        self.shell.expect(r"prepared 42[\s\S]*ready> ")

    def completed(self, keys):
        self.shell.type(keys + "\r")
        line = self.shell.expect(r"<[^\n]*>\r?\n[\s\S]*ready> ")
        return re.search(r"<([^\n]*)>\r?\n", line)[1]

    def test_words_are_completed(self):
        for keys, words in (
                ("kedge strea\t ad\t S --max-a\t 7d --ret\t inte\t", "stream add S --max-age 7d --retention interest"),
                ("kedge consu\x08\x08sume S --consumer c --fil\t 'a.*'", "consume S --consumer c --filter a.*"),
                ("kedge user add bot1 --role op\t", "user add bot1 --role operator"),
                ("kedge rule add den\t publ\t 'a.>'", "rule add deny publish a.>"),
                ("kedge completion z\t", "completion zsh"),
                ("kedge migr\t rev\t CHAT --aban\t", "migrate reverse CHAT --abandon"),
                ("kedge migrate start CHAT --from un\t --no-w\t", "migrate start CHAT --from unacked --no-wait"),
                ("kedge bri\t add 'live.>' --one\t o\t", "bridge add live.> --one-way out"),
                ("kedge who str\t --js\t", "who streams --json"),
        ):
            with self.subTest(keys):
                self.assertEqual(self.completed(keys), words)

    def test_options_before_the_command(self):
        for keys, words in (
                ("kedge --no-ag\t --to bot1@bus.example:2222 stat\t", "--no-agent --to bot1@bus.example:2222 status"),
                ("kedge --home /tmp stream li\t", "--home /tmp stream list"),
                ("kedge --home=/tmp dead rep\t S", "--home=/tmp dead replay S"),
        ):
            with self.subTest(keys):
                self.assertEqual(self.completed(keys), words)

    def test_files(self):
        for keys, words in (
                ("kedge user add bot1 --key ke\tlap\t", "user add bot1 --key keys/laptop.pub"),
                ("kedge -i ke\tlap\t status", "-i keys/laptop.pub status"),
                ("kedge key add bot1 ke\tlap\t", "key add bot1 keys/laptop.pub"),
        ):
            with self.subTest(keys):
                self.assertEqual(self.completed(keys), words)

    def test_all_are_listed(self):
        for keys, words in (
                ("kedge ", ("pub", "sub", "consume", "backup", "--to", "--identity")),
                ("kedge stream ", ("add", "list", "show", "edit", "remove", "--help")),
                ("kedge stream add --max-", ("--max-age", "--max-bytes", "--max-msgs")),
        ):
            with self.subTest(keys):
                self.shell.type(keys + self.list_keys + "\x15echo listed $((40 + 2))\r")
                shown = self.shell.expect(r"listed 42[\s\S]*ready> ")
                for word in words:
                    self.assertRegex(shown, rf"(?<![\w-]){word}(?![\w-])")


class Bash(Completion, unittest.TestCase):
    command = ("bash", "--norc", "--noprofile", "-i")
    list_keys = "\t\t"
    prepare = "bind 'set enable-bracketed-paste off'; source <({kedge} completion bash)"


class Zsh(Completion, unittest.TestCase):
    command = ("zsh", "-f", "-i")
    list_keys = "\t"
    prepare = "PS1='ready> '; LISTMAX=1000; autoload -Uz compinit; compinit -u -D; source <({kedge} completion zsh)"


class ZshFunction(Completion, unittest.TestCase):
    """As a file in $fpath, which is how a package installs it."""
    command = ("zsh", "-f", "-i")
    list_keys = "\t"
    prepare = "PS1='ready> '; LISTMAX=1000; {kedge} completion zsh > _kedge; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D"


if __name__ == "__main__":
    unittest.main(verbosity=2)
