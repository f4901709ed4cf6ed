"""Clients of both homes at work on one stream, the record of what they did and saw, and what both sides hold in the end. What
happens to it all meanwhile is the business of the test (test_migrate_live, test_migrate_chaos)."""

import json
import threading
import time

from harness import eventually
from links import TIMEOUT
from migrating import STREAM, TOKEN, Migrating, Refused
from mirror_history import Copy, Inspection, MirrorHistory, Sample, check
from nats import header
from workers import LINE_CUT, NATS_CUT, ById, ByNumber, Counter, NativeConsumer, NativePublisher, SshConsumer

KEEPER = "keeper"  # a consumer that is done with nothing, so that the log stays whole in every state


class World(Migrating):
    between_s = 0.1
    batch = 4
    per_life = 1_000_000

    def setUp(self):
        self.seen = {}
        self.history = MirrorHistory()
        self.publishing_ended, self.consuming_ended = threading.Event(), threading.Event()
        self.progress = Counter()
        self.rewinds = 0
        self.clients = []
        self._jet, self._jet_rewinds = [], 0
        self._known_rewinds = 0  # of which kedge knows for certain
        super().setUp()
        self.addCleanup(self.end_clients)
        link = self.server.link("audit")
        link.ok("consume", stream=STREAM, consumer=KEEPER, start="first", window=1)
        link.close()

    def add_clients(self, count, tolerates=(), native_count=None, readers=None):
        """`count` publishers of each home, and as many consumers (or `readers`), of all kinds in turn."""
        for number in range(count):
            form = ("lines", "frames")[number % 2]
            kind = (ById, ByNumber)[number // 2 % 2]
            self.clients.append(kind(self, f"p{number}", form, "node", STREAM, TOKEN, tolerates))
        for number in range(count if native_count is None else native_count):
            self.clients.append(NativePublisher(self, f"native{number}", STREAM, TOKEN))
        for number in range(count if readers is None else readers):
            form = ("frames", "lines")[number % 2]
            name = f"shared{number // 8}" if number % 8 in (6, 7) else f"own{number}"
            user = f"c{number // 8}s" if number % 8 in (6, 7) else f"c{number}"
            self.clients.append(SshConsumer(self, user, form, name, name.startswith("shared"), STREAM))
            self.clients.append(NativeConsumer(self, f"reader{number}", STREAM))

    @staticmethod
    def users_for(count):
        names = [f"p{n}" for n in range(count)] + [f"c{n}" for n in range(count)] + [f"c{n}s" for n in range(count // 8 + 1)]
        return {"op": "operator", "audit": "bot", "alice": "user", "bob": "user", **{name: "bot" for name in names}}

    def publishers(self):
        return [client for client in self.clients if hasattr(client, "unanswered")]

    def end_clients(self):
        self.publishing_ended.set()
        self.consuming_ended.set()
        for client in self.clients:
            if client.is_alive():
                client.join(TIMEOUT)

    def healthy(self):
        failures = [f"{client.name_}: {client.failure!r}" for client in self.clients if client.failure]
        if failures:
            self.fail("\n".join(failures))
        return True

    def await_progress(self, answers, timeout=None):
        goal = self.progress.value + answers
        eventually(lambda: self.healthy() and self.progress.value >= goal, f"{answers} more answers", timeout or TIMEOUT * 2)

    # --- what it looks like from outside

    def sample(self, alone=False):
        """The status now, for the record; None when nobody answers."""
        try:
            s = self.status()
        except (Refused, *LINE_CUT):
            return None
        self.history.samples.append(Sample(time.monotonic(), s["state"], s["authority"], s["authority_epoch"], alone,
                                           s["broken"] and json.dumps(s["broken"])))
        return s

    def read_jet(self):
        """What the JetStream stream holds, read on from where the last look ended."""
        if self._jet_rewinds != self.rewinds:
            self._jet, self._jet_rewinds = [], self.rewinds
        start = self._jet[-1].place + 1 if self._jet else 1
        for place, message in self.nats.contents(STREAM, start):
            publisher, number = message.body.split()[:2]
            row = (header(message.headers, "Kedge-Row") or "").startswith("r ")
            self._jet.append(Copy(place, publisher.decode(), int(number), row))
        return self._jet

    def inspect(self, what):
        """A status, and right after it the copy: what is said to be there must be there."""
        s = self.sample()
        if s is None or s["state"] == "LEGACY":
            return
        try:
            held = frozenset((copy.publisher, copy.number) for copy in self.read_jet())
        except NATS_CUT:
            self._jet_rewinds = -1
            return
        zero = s["lag"]["known"] and s["lag"]["messages"] == 0
        if s["lag"]["known"]:
            self._known_rewinds = self.rewinds
        # Put back, and kedge has not seen it yet: what it says to be there is what was there before.
        floor = s["floor"] if self._known_rewinds == self.rewinds else 0
        self.history.inspections.append(Inspection(what, s, floor, s["last"], zero, held))

    # --- the end

    def end_publishing(self, timeout=TIMEOUT * 3):
        self.publishing_ended.set()
        deadline = time.monotonic() + timeout
        for client in self.publishers():
            client.join(max(0.1, deadline - time.monotonic()))
            self.healthy()
            self.assertFalse(client.is_alive(), f"{client.name_} still waits for {list(client.unanswered)[:5]}; {self.sample()}")

    def read_log(self):
        link = self.server.link("audit", "frames")
        streams = json.loads(link.ask("who", what="streams").body)["streams"]
        last = next(s["last_seq"] for s in streams if s["stream"] == STREAM)
        link.ok("consume", stream=STREAM, consumer=KEEPER, window=4000)
        log = self.history.log
        while not log or log[-1][0] < last:
            msg = link.expect("msg")
            publisher, number = msg.body.split()[:2]
            log.append((msg["seq"], publisher.decode(), int(number)))
            self.history.senders[msg["seq"]] = msg["from"]
            if len(log) % 1000 == 0:
                link.send("ack", consumer=KEEPER, upto=msg["seq"])
        link.close()
        return last

    def settle(self, timeout=TIMEOUT * 3):
        """Publishing ends, both sides get level, consumers get all; then nothing moves any more."""
        self.end_publishing(timeout)
        self.level(timeout)
        self.inspect("in the end")
        self.history.jet = list(self.read_jet())
        last = self.read_log()
        there = {(copy.publisher, copy.number) for copy in self.history.jet}

        def all_read():
            with self.history.lock:
                natives = [{(publisher, number) for _, publisher, number in deliveries}
                           for deliveries in self.history.native_consumers.values()]
            return self.healthy() and all(len(seen) >= last for seen in self.seen.values()) and all(there <= native for native in natives)

        try:
            eventually(all_read, "everything is read", timeout)
        except AssertionError:
            pass  # the checker says who lacks what
        self.end_clients()
        self.healthy()

    def violations(self):
        return check(self.history)
