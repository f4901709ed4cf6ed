"""What the tests of the migration share: a nats-server, a kedged that is configured for it, the stream CHAT, the operator's
commands, and both sides of the stream read as one client of each side sees them."""

import collections
import json
import os
import time

from harness import Server, eventually, scratch
from nats import Disconnected, NatsError
from nats_server import NatsTest

USERS = {"op": "operator", "alice": "user", "bob": "user", "audit": "bot"}
STREAM = "CHAT"
TOKEN = "chat"


class Refused(Exception):
    """A command ended with another status than 0."""

    def __init__(self, words, status, out, error):
        super().__init__(f"{' '.join(words)} ended with {status}: {out} {error}")


def content(subject, body, headers):
    """What both sides must have alike: subject, body, the client's own headers."""
    kept = sorted((name, value) for name, value in headers if not name.startswith(("Nats-", "Kedge-")))
    return subject, body or b"", tuple(kept)


class Migrating(NatsTest):
    nats_options = {}
    settings = ""  # lines of [nats]
    config = ""  # lines of other tables
    users = USERS

    @staticmethod
    def file(name, text):
        """A file that only its owner may read, as those of passwords are."""
        path = scratch(name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def setUp(self):
        self.nats = self.nats_server(**self.nats_options)
        self.server = self.kedged(self.nats.url())
        self.await_link()
        self.server.add_stream(STREAM, TOKEN + ".>")

    def configuration(self, url, settings=None):
        return f'{self.config}\n[nats]\nservers = ["{url}"]\n{self.settings if settings is None else settings}\n'

    def kedged(self, url, settings=None, **more):
        server = Server(self.users, self.configuration(url, settings), **more)
        self.addCleanup(server.destroy)
        return server.start()

    # --- the operator

    def run_migrate(self, *words, server=None):
        """Exit status, what `--json` printed, and the complaint."""
        status, out, error = (server or self.server).execute("op", *words, "--json")
        try:
            return status, json.loads(out), error
        except ValueError:
            return status, None, out + error

    def migrate(self, *words, server=None):
        status, value, error = self.run_migrate("migrate", *words, server=server)
        if status != 0 or value is None:
            raise Refused(words, status, value, error)
        return value

    def refused(self, *words, server=None):
        """What a command that must fail says."""
        status, value, error = self.run_migrate("migrate", *words, server=server)
        self.assertNotEqual(status, 0, f"{words} was not refused but printed {value}")
        self.assertTrue(value or error.strip(), "a refusal says why")
        return (json.dumps(value) if value else "") + error

    def status(self, stream=STREAM, server=None):
        streams = self.migrate("status", stream, server=server)["streams"]
        found = [s for s in streams if s["stream"] == stream]
        self.assertEqual(len(found), 1, streams)
        return found[0]

    def link_state(self, server=None):
        return self.migrate("status", server=server)["link"]

    def await_link(self):
        eventually(lambda: self.link_state()["state"] == "up", "there is a link to NATS")

    def state(self):
        return self.status()["state"]

    def await_status(self, check, what, timeout=None, stream=STREAM, server=None):
        """The status for which `check` holds; the last one is shown if there is none."""
        last = {}

        def holds():
            last.update(self.status(stream, server))
            return check(last)

        try:
            eventually(holds, what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {json.dumps(last)}") from None
        return dict(last)

    def is_level(self, s):
        """Both sides are equal as far as kedge knows, and it knows all that JetStream has."""
        flags = {"link_down", "broken", "catching_up", "paused"} & set(s["flags"])
        if flags or not s["lag"]["known"] or s["lag"]["messages"] or s["unread"]:
            return False
        try:
            with self.nats.jet() as jet:
                return max(s["checkpoint"], s["jet_last"]) >= jet.last(s["jet"])
        except (NatsError, Disconnected, TimeoutError):
            return False

    def level(self, timeout=None, **more):
        return self.await_status(self.is_level, "both sides are level", timeout, **more)

    def start(self, *words):
        self.migrate("start", STREAM, *words)
        return self.level()

    def diff(self, *words, stream=STREAM):
        """Runs one to its end and returns what it found."""
        status, report, error = self.run_migrate("migrate", "diff", stream, *words)
        self.assertIsNotNone(report, error)
        self.assertEqual(status == 0, bool(report["clean"]), report)
        return report

    def make_ready(self):
        if not self.status()["ready"]:
            self.diff()
        return self.await_status(lambda s: s["ready"], "it is ready")

    def switch(self, *words):
        self.make_ready()
        return self.migrate("switch", STREAM, *words)

    def reverse(self, *words):
        self.await_status(lambda s: self.is_level(s) or s["state"] != "NATS", "it is level")
        return self.migrate("reverse", STREAM, *words)

    def bring_to(self, state):
        """From LEGACY."""
        if state == "LEGACY":
            return
        self.start("--from", "first")
        if state in ("NATS", "COMPLETE"):
            self.switch()
        if state == "COMPLETE":
            self.level()
            self.migrate("complete", STREAM, "--yes")
        self.assertEqual(self.state(), state)

    def events(self):
        return self.migrate("events", STREAM)["events"]

    # --- clients

    def link(self, user="alice", node=None, form="lines", server=None):
        link = (server or self.server).link(user, form)
        self.addCleanup(link.close)
        if node:
            link.hello(node)
        return link

    def publish(self, link, count, first=1, subject=TOKEN + ".ssh", **more):
        """Numbered bodies, pipelined; the answers, in their order."""
        for number in range(first, first + count):
            link.send("pub", f"ssh {number}", id=f"p{number}", subject=subject, **more)
        return [link.answer(f"p{number}") for number in range(first, first + count)]

    def publish_native(self, count, first=1, subject=TOKEN + ".native", headers=()):
        """Numbered bodies, each acknowledged; the places."""
        with self.nats.jet() as jet:
            return [jet.publish(subject, f"native {number}", headers)["seq"] for number in range(first, first + count)]

    # --- both sides

    def rows(self, server=None, stream=STREAM):
        """The whole log, read by somebody new."""
        server = server or self.server
        link = server.link("audit", "frames")
        try:
            streams = json.loads(link.ask("who", what="streams").body)["streams"]
            found = next(s for s in streams if s["stream"] == stream)
            if found["messages"] == 0:
                return []
            name = f"audit{time.monotonic_ns()}"
            link.ok("consume", stream=stream, consumer=name, start="first", window=4000)
            rows = []
            while not rows or rows[-1]["seq"] < found["last_seq"]:
                rows.append(link.expect("msg"))
                if len(rows) % 1000 == 0:
                    link.send("ack", consumer=name, upto=rows[-1]["seq"])
            return rows
        finally:
            link.close()
            server.execute("op", "consumer", "remove", stream, name) if "name" in locals() else None

    def copies(self, stream=STREAM):
        return self.nats.contents(stream)

    @staticmethod
    def row_content(row):
        return content(row["subject"], row.body, (row.get("headers") or {}).items())

    @staticmethod
    def copy_content(copy):
        return content(copy[1].subject, copy[1].body, copy[1].headers)

    def assert_same_sides(self, from_seq=1):
        """As sets, with their numbers; order per sender has tests of its own."""
        rows = collections.Counter(self.row_content(row) for row in self.rows() if row["seq"] >= from_seq)
        copies = collections.Counter(self.copy_content(copy) for copy in self.copies())
        self.assertEqual((dict(rows - copies), dict(copies - rows)), ({}, {}), "only in the log, only in JetStream")

    def assert_bodies(self, prefix, numbers):
        """Each once and in order, on both sides."""
        for side, bodies in (("log", [row.body for row in self.rows()]), ("copy", [copy[1].body for copy in self.copies()])):
            with self.subTest(side=side):
                found = [int(body.split()[1]) for body in bodies if body.startswith(prefix.encode() + b" ")]
                self.assertEqual(found, list(numbers))
