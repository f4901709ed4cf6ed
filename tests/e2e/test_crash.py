"""The server is killed at random instants under load; clients reconnect and resend as §5.6 says. Afterwards the history
of everything that was sent, answered, delivered and stored must hold (history.py).

KEDGE_E2E_SEED repeats a run's choices, KEDGE_E2E_KILLS says how many ends of the server (one in ten is a SIGTERM).
"""

import json
import os
import random
import sys
import threading
import time
import unittest

from harness import Server, Test, eventually
from history import History, check
from links import TIMEOUT
from workers import ById, ByNumber, Counter, SshConsumer, SshPublisher

SEED = int(os.environ.get("KEDGE_E2E_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = int(os.environ.get("KEDGE_E2E_KILLS", "60"))
STREAM = "CRASH"


class Crash(Test):
    def setUp(self):
        print(f"KEDGE_E2E_SEED={SEED} KEDGE_E2E_KILLS={KILLS}", file=sys.stderr, flush=True)
        self.random = random.Random(SEED)
        self.history = History()
        self.seen = {}
        self.publishing_ended = threading.Event()
        self.consuming_ended = threading.Event()
        self.progress = Counter()
        users = {"op": "operator", **{name: "bot" for name in ("p1", "p2", "p3", "p4", "c1", "c2", "audit")}}
        self.server = Server(users)
        self.addCleanup(self.server.destroy)
        self.server.start()
        self.server.add_stream(STREAM, "crash.>")
        self.clients = [ById(self, "p1", "lines", "a"), ById(self, "p2", "frames", "b"),
                        ByNumber(self, "p3", "frames", "c"), ByNumber(self, "p4", "lines", "d"),
                        SshConsumer(self, "c1", "lines", "one"), SshConsumer(self, "c1", "frames", "two"),
                        SshConsumer(self, "c2", "frames", "both", shared=True), SshConsumer(self, "c2", "frames", "both", shared=True)]
        self.addCleanup(self.end_clients)

    def end_clients(self):
        self.publishing_ended.set()
        self.consuming_ended.set()
        for client in self.clients:
            if client.is_alive():
                client.join(TIMEOUT)

    def healthy(self):
        failures = [f"{client.name_}: {client.failure!r}" for client in self.clients if client.failure]
        if failures:
            self.fail(f"{failures}\nlog of the server:\n{self.server.log()}")
        return True

    def await_progress(self, answers):
        goal = self.progress.value + answers
        eventually(lambda: self.healthy() and self.progress.value >= goal, f"{answers} more answers", TIMEOUT * 2)

    def await_consumer(self, client, last):
        """Until it has had everything up to `last`; it may take its time, as long as it gets on."""
        had = -1
        while self.healthy() and len(client.seen) < last and len(client.seen) > had:
            had = len(client.seen)
            deadline = time.monotonic() + TIMEOUT
            while len(client.seen) in range(had, min(had + 1000, last)) and time.monotonic() < deadline:
                time.sleep(0.05)
        if len(client.seen) < last:
            state = self.server.admin("consumer", "show", STREAM, client.name_, "--json")
            missing = sorted(set(range(1, last + 1)) - client.seen)[:5]
            self.fail(f"{client.name_} has {len(client.seen)} of {last} and gets no more; missing {missing}; {state}")

    def one_kill(self):
        kind = self.random.random()
        if kind < 0.1:  # asked to leave: it answers what it took, and nothing is lost either
            self.await_progress(self.random.randint(1, 400))
            self.server.stop()
            self.server.start()
            return
        if kind < 0.7:  # under load
            self.await_progress(self.random.randint(1, 400))
            time.sleep(self.random.uniform(0, 0.05))
        elif kind < 0.85:  # as soon as it is there
            time.sleep(self.random.uniform(0, 0.2))
        else:  # in its next start, too
            self.await_progress(self.random.randint(1, 100))
            self.server.kill()
            self.server.launch()
            time.sleep(self.random.uniform(0, 0.15))
        self.server.kill()
        self.server.start()

    def read_log(self):
        """The whole stream, by somebody new."""
        link = self.server.link("audit")
        self.addCleanup(link.close)
        streams = json.loads(link.ask("who", what="streams").body)["streams"]
        last = next(stream["last_seq"] for stream in streams if stream["stream"] == STREAM)
        link.ok("consume", stream=STREAM, consumer="audit", start="first", window=4000)
        while len(self.history.log) < last:
            msg = link.expect("msg")
            publisher, number = msg.body.split()[:2]
            self.history.log.append((msg["seq"], publisher.decode(), int(number)))
            if len(self.history.log) % 1000 == 0:
                link.send("ack", consumer="audit", upto=msg["seq"])
        self.assertEqual([n for n in link.arrived() if n.op == "msg"], [])
        return last

    def test_kill_9(self):
        for client in self.clients:
            client.start()
        for _ in range(KILLS):
            self.one_kill()
        self.await_progress(1)
        self.publishing_ended.set()
        for client in self.clients:
            if isinstance(client, SshPublisher):
                client.join(TIMEOUT * 2)
                self.healthy()
                self.assertFalse(client.is_alive(), f"{client.name_} still waits for {list(client.unanswered)[:5]}")
        last = self.read_log()

        for client in self.clients:
            if isinstance(client, SshConsumer):
                self.await_consumer(client, last)
        self.end_clients()
        self.healthy()
        lives = sorted(client.life for client in self.clients)
        print(f"{last} messages, {KILLS} ends, {lives[0]} to {lives[-1]} lives a client", file=sys.stderr, flush=True)
        self.assertEqual(check(self.history), [], f"seed {SEED}; log of the server:\n{self.server.log()}")
        self.assertGreater(lives[0], KILLS // 3)
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
