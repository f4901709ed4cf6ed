"""Links to a server: a channel of stock `ssh` in a pipe or of paramiko, with either encoding on it.

A link reads on a thread of its own. What arrived waits in one list, in its order, until the test takes it. Every wait is
bounded by TIMEOUT; none of them is a sleep.
"""

import collections
import os
import socket
import subprocess
import threading
import time

from wire import Frames, Lines, WireError

# Generous: it only matters when something is broken, or under a sanitizer on a loaded machine.
TIMEOUT = float(os.environ.get("KEDGE_E2E_TIMEOUT", "40"))


class LinkClosed(Exception):
    """The channel ended while something was still expected from it."""


class SshPipe:
    """A channel of stock `ssh`, its two ends in pipes."""

    def __init__(self, argv):
        # A session of its own: a signal to the test run does not hit it before the test's own cleanup.
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         bufsize=0, start_new_session=True)
        self._stderr = bytearray()
        self._stderr_thread = threading.Thread(target=self._drain, daemon=True)
        self._stderr_thread.start()

    def _drain(self):
        for chunk in iter(lambda: self._process.stderr.read(4096), b""):
            self._stderr += chunk

    def read(self):
        return self._process.stdout.read(65536)

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view):]

    def end_input(self):
        self._process.stdin.close()

    def exit_status(self, timeout):
        return self._process.wait(timeout)

    def complaint(self):
        self._stderr_thread.join(1)
        return self._stderr.decode("utf-8", "replace")

    def cut(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(TIMEOUT)

    def close(self):
        """After `cut`, and after the last reader has ended: a descriptor that is closed under a reader may be somebody
        else's by the time it reads."""
        self._stderr_thread.join(TIMEOUT)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                pipe.close()
            except OSError:
                pass


class ParamikoChannel:
    """A channel of a paramiko session that the caller owns (or that this link owns, with `transport`)."""

    def __init__(self, channel, transport=None):
        self._channel = channel
        self._transport = transport

    def read(self):
        while True:
            try:
                return self._channel.recv(65536)
            except socket.timeout:  # the channel's timeout is for writing; a quiet link is none
                continue

    def write(self, data):
        self._channel.sendall(data)

    def end_input(self):
        self._channel.shutdown_write()

    def exit_status(self, timeout):
        if not self._channel.status_event.wait(timeout):
            raise subprocess.TimeoutExpired("paramiko channel", timeout)
        return self._channel.exit_status

    def complaint(self):
        return ""

    def cut(self):
        try:
            self._channel.close()
        except (EOFError, OSError):  # the line was cut already
            pass
        if self._transport:
            self._transport.close()

    def close(self):
        pass


class Link:
    """One message channel. `reading=False` leaves what the server sends where it is until `start_reading`."""

    def __init__(self, raw, codec, reading=True):
        self.raw = raw
        self.codec = codec
        self.welcome = None
        self._inbox = collections.deque()
        self._changed = threading.Condition()
        self._fault = None
        self._ended = False
        self._ids = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        if reading:
            self.start_reading()

    def start_reading(self):
        self._thread.start()

    def _read(self):
        fault = None
        try:
            while True:
                data = self.raw.read()
                if not data:
                    if self.codec.left():
                        fault = WireError(f"the channel ended within a unit of {self.codec.left()} bytes")
                    break
                for notice in self.codec.feed(data):
                    with self._changed:
                        self._inbox.append(notice)
                        self._changed.notify_all()
        except (OSError, ValueError, EOFError, WireError) as error:
            fault = error  # EOFError: paramiko tells the server of its window in a read, on a line that was cut
        finally:  # whatever ends this thread, nobody may wait for it
            with self._changed:
                self._ended = True
                self._fault = fault
                self._changed.notify_all()

    # --- sending

    def write(self, data):
        """Raw bytes, e.g. something that is not an operation."""
        self.raw.write(data)

    def send(self, op, body=None, **fields):
        if isinstance(body, str):
            body = body.encode("utf-8")
        self.raw.write(self.codec.encode({"op": op, **fields}, body))

    def end_input(self):
        self.raw.end_input()

    def new_id(self):
        self._ids += 1
        return f"t{self._ids}"

    # --- receiving

    def take(self, wanted, timeout=None, what="a notice"):
        """The first notice, arrived or still to come, for which `wanted` is true; it leaves the inbox."""
        deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
        seen = 0
        with self._changed:
            while True:
                while seen < len(self._inbox):
                    notice = self._inbox[seen]
                    if wanted(notice):
                        del self._inbox[seen]
                        return notice
                    seen += 1
                if self._ended:
                    raise LinkClosed(f"closed while waiting for {what}; fault: {self._fault!r}; left: "
                                     f"{list(self._inbox)[-5:]}; ssh says: {self.raw.complaint()!r}")
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"no {what}; left: {list(self._inbox)[-5:]}")

    def next(self, timeout=None):
        return self.take(lambda notice: True, timeout)

    def expect(self, op, timeout=None, **fields):
        return self.take(lambda n: n.op == op and all(n.get(k) == v for k, v in fields.items()), timeout,
                         f"{op} {fields}")

    def msgs(self, count, timeout=None):
        """The next `count` deliveries, in their order."""
        return [self.expect("msg", timeout) for _ in range(count)]

    def answer(self, identity):
        """What answers the operation with that id (a `msg` has no id of its own)."""
        return self.take(lambda n: n.get("id") == identity, what=f"answer to {identity}")

    def ask(self, op, body=None, **fields):
        identity = fields.setdefault("id", self.new_id())
        self.send(op, body, **fields)
        return self.answer(identity)

    def ok(self, op, body=None, **fields):
        answer = self.ask(op, body, **fields)
        if answer.op != "ok":
            raise AssertionError(f"{op} {fields} was answered {dict(answer)}")
        return answer

    def refused(self, op, body=None, **fields):
        """The code of the error that answers it."""
        answer = self.ask(op, body, **fields)
        if answer.op != "error":
            raise AssertionError(f"{op} {fields} was not refused but answered {dict(answer)}")
        if not answer.get("message"):
            raise AssertionError(f"an error without a sentence: {dict(answer)}")
        return answer["code"]

    def ping(self):
        """A barrier (§5.7): what earlier operations put on this link is in the inbox afterwards."""
        return self.ask("ping")

    def arrived(self):
        """Barrier; then everything that is in the inbox, taken out."""
        self.ping()
        with self._changed:
            notices = list(self._inbox)
            self._inbox.clear()
        return notices

    def hello(self, node=None, **fields):
        if node is not None:
            fields["node"] = node
        answer = self.ask("hello", **fields)
        if answer.op != "welcome":
            raise AssertionError(f"hello {fields} was answered {dict(answer)}")
        return answer

    def end(self, timeout=None):
        """Waits for the end of the channel; returns the `bye` (or None) and the exit status."""
        timeout = TIMEOUT if timeout is None else timeout
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError("the channel did not end")
        if isinstance(self._fault, WireError):
            raise self._fault
        byes = [notice for notice in self._inbox if notice.op == "bye"]
        if byes and self._inbox[-1].op != "bye":
            raise AssertionError(f"something follows bye: {list(self._inbox)[-3:]}")
        return (byes[0] if byes else None), self.raw.exit_status(timeout)

    def rest(self):
        """What is in the inbox now, taken out, without a barrier (for a link that ended)."""
        with self._changed:
            notices = list(self._inbox)
            self._inbox.clear()
        return notices

    def close(self):
        self.raw.cut()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT)
        self.raw.close()


CODECS = {"lines": Lines, "frames": Frames}
