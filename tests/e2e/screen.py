"""A real terminal of a given size, in which a program runs: tmux, whose own terminal nobody sees."""

import itertools
import os
import re
import shlex
import subprocess

from harness import eventually, scratch

_numbers = itertools.count(1)


class Screen:
    """`argv` in a terminal of `columns` by `rows`. `close` ends both; the test's cleanup calls it."""

    def __init__(self, argv, columns, rows, env=None):
        self._socket = scratch("tmux")
        self._session = f"s{next(_numbers)}"
        # What the program left on the screen stays, and its status is told below it: tmux itself tells it only sometimes.
        shell = "trap : INT; env -u TMUX " + " ".join(shlex.quote(word) for word in argv) + '; echo "[ended $?]"; exec tail -f /dev/null'
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", self._session, shell, env=env)

    def _tmux(self, *words, env=None):
        done = subprocess.run(["tmux", "-S", self._socket, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
                              env=dict(env or os.environ, LC_ALL="C.UTF-8", TERM="xterm-256color"))
        if done.returncode != 0:
            raise AssertionError(f"tmux {words}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "replace")

    def text(self):
        """What is to be seen now, without blanks at the ends of lines."""
        return self._tmux("capture-pane", "-p", "-t", self._session).rstrip("\n")

    def escapes(self):
        """The same with the sequences that colour it."""
        return self._tmux("capture-pane", "-p", "-e", "-t", self._session)

    def type(self, *keys):
        self._tmux("send-keys", "-t", self._session, *keys)

    def resize(self, columns, rows):
        self._tmux("resize-window", "-t", self._session, "-x", str(columns), "-y", str(rows))

    def await_text(self, *words):
        """The screen, once all of the words are on it."""
        def look():
            text = self.text()
            return text if all(word in text for word in words) else None
        try:
            return eventually(look, "")
        except AssertionError:
            raise AssertionError(f"{words} never were on the screen:\n{self.text()}") from None

    def status(self):
        """The exit status, once the program has ended."""
        self.await_text("[ended ")
        return int(re.findall(r"\[ended (\d+)\]", self.text())[-1])

    def close(self):
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
