"""The server is killed at random instants under load; clients reconnect and resend as §5.6 says. Afterwards the history
of everything that was sent, answered, delivered and stored must hold (history.py).

KEDGE_E2E_SEED repeats a run's choices, KEDGE_E2E_KILLS says how many ends of the server (one in ten is a SIGTERM).
"""

import collections
import json
import os
import random
import sys
import threading
import time
import unittest

import paramiko

from harness import Server, Test, eventually
from history import Delivery, History, check
from links import TIMEOUT, LinkClosed

SEED = int(os.environ.get("KEDGE_E2E_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = int(os.environ.get("KEDGE_E2E_KILLS", "60"))
STREAM = "CRASH"
UNANSWERED = 60  # pipelined publishes of one client
PER_LIFE = 500  # new publishes of one client between two kills, which bounds the run's volume
LINE_CUT = (LinkClosed, OSError, EOFError, paramiko.SSHException)


class Client(threading.Thread):
    """Connects, works, and connects again when the line is cut, until `finished`. What goes wrong is kept for the test."""

    def __init__(self, test, user, form):
        super().__init__(daemon=True)
        self.test = test
        self.user = user
        self.form = form
        self.life = 0
        self.failure = None

    def run(self):
        try:
            while not self.finished():
                try:
                    link = self.test.server.link(self.user, self.form)
                except LINE_CUT:
                    time.sleep(0.05)  # the server is away; a client's backoff
                    continue
                self.life += 1
                try:
                    self.work(link)
                except LINE_CUT:
                    pass
                finally:
                    link.close()
        except BaseException as error:  # whatever it is, the test must hear of it
            self.failure = error

    def idle(self, link):
        """The next notice, or None after a short while (so that the client looks at what the test wants)."""
        try:
            return link.next(0.2)
        except TimeoutError:
            return None

    def body(self, number):
        return f"{self.name_} {number} ".encode() + b"." * (number % 200)


class Publisher(Client):
    def __init__(self, test, user, form, node):
        super().__init__(test, user, form)
        self.node = node
        self.name_ = f"{user}/{node}"
        self.record = test.history.publisher(self.name_)
        self.unanswered = collections.OrderedDict()  # number -> None, in the order of first sending

    def finished(self):
        return self.test.publishing_ended.is_set() and not self.unanswered

    def operation(self, link, number):
        raise NotImplementedError

    def greeted(self, welcome):
        pass

    def answered(self, notice):
        raise NotImplementedError

    def work(self, link):
        self.greeted(link.hello(self.node))
        link.write(b"".join(self.operation(link, number) for number in self.unanswered))
        new = 0
        while not self.finished():
            batch = []
            while len(self.unanswered) < UNANSWERED and new < PER_LIFE and not self.test.publishing_ended.is_set():
                self.record.sent += 1
                new += 1
                self.unanswered[self.record.sent] = None
                batch.append(self.operation(link, self.record.sent))
            if batch:
                link.write(b"".join(batch))
            notice = self.idle(link)
            if notice is None:
                continue
            if notice.op == "error" and notice["code"] == "draining":
                continue  # not stored (§6): it stays unanswered, for the next life
            if notice.op not in ("ok", "stored", "info", "bye"):
                raise AssertionError(f"{self.name_} was told {dict(notice)}")
            self.answered(notice)
            self.test.progress += 1


class ById(Publisher):
    def operation(self, link, number):
        return link.codec.encode({"op": "pub", "id": str(number), "subject": f"crash.{number % 5}"}, self.body(number))

    def answered(self, notice):
        if notice.op == "ok":
            number = int(notice["id"])
            if number not in self.unanswered:
                raise AssertionError(f"{self.name_}: {number} was answered twice on one link")
            if number != next(iter(self.unanswered)):
                raise AssertionError(f"{self.name_}: {number} was answered before {next(iter(self.unanswered))}")
            del self.unanswered[number]
            self.record.answers.append((number, notice["seq"]))


class ByNumber(Publisher):
    def operation(self, link, number):
        return link.codec.encode({"op": "pub", "n": number, "subject": f"crash.{number % 5}"}, self.body(number))

    def cover(self, number):
        if number < self.record.covered:
            raise AssertionError(f"{self.name_}: covered up to {number} after {self.record.covered}")
        self.record.covered = number
        while self.unanswered and next(iter(self.unanswered)) <= number:
            self.unanswered.popitem(last=False)

    def greeted(self, welcome):
        self.cover(welcome["last"].get(STREAM, 0))

    def answered(self, notice):
        if notice.op == "stored":
            self.cover(notice["n"])
            self.record.answers.append((notice["n"], notice["seq"]))


class Consumer(Client):
    """`shared`: several links on one consumer, which acknowledge each seq; else one link that acknowledges `upto`."""

    def __init__(self, test, user, form, name, shared=False):
        super().__init__(test, user, form)
        self.name_ = name
        self.shared = shared
        self.record = test.history.consumer(name, ordered=not shared)
        self.seen = test.seen.setdefault(name, set())  # the seqs that it had, over all its links

    def finished(self):
        return self.test.consuming_ended.is_set()

    def work(self, link):
        life = f"{id(self)}-{self.life}"
        link.ok("consume", stream=STREAM, consumer=self.name_, start="first", window=100)
        asked = {}  # id of an ack -> what it covers
        unacknowledged = []
        while not self.finished():
            notice = self.idle(link)
            if notice is not None and notice.op == "msg":
                publisher, number = notice.body.split()[:2]
                with self.test.history.lock:
                    self.record.deliveries.append(Delivery(life, notice["seq"], publisher.decode(), int(number), notice["tries"]))
                self.seen.add(notice["seq"])
                unacknowledged.append(notice["seq"])
            elif notice is not None and notice.op == "ok":
                with self.test.history.lock:
                    for seq in asked.pop(notice["id"]):
                        self.record.confirmed.setdefault(seq, len(self.record.deliveries))
            elif notice is not None and notice.op not in ("info", "bye"):
                raise AssertionError(f"{self.name_} was told {dict(notice)}")
            if unacknowledged and (notice is None or len(unacknowledged) >= 20):
                identity = link.new_id()
                asked[identity] = unacknowledged
                fields = {"seq": unacknowledged} if self.shared else {"upto": unacknowledged[-1]}
                link.send("ack", id=identity, consumer=self.name_, **fields)
                unacknowledged = []


class Crash(Test):
    def setUp(self):
        print(f"KEDGE_E2E_SEED={SEED} KEDGE_E2E_KILLS={KILLS}", file=sys.stderr, flush=True)
        self.random = random.Random(SEED)
        self.history = History()
        self.seen = {}
        self.publishing_ended = threading.Event()
        self.consuming_ended = threading.Event()
        self.progress = 0  # answers to publishes so far; races only make it a little too small
        users = {"op": "operator", **{name: "bot" for name in ("p1", "p2", "p3", "p4", "c1", "c2", "audit")}}
        self.server = Server(users)
        self.addCleanup(self.server.destroy)
        self.server.start()
        self.server.add_stream(STREAM, "crash.>")
        self.clients = [ById(self, "p1", "lines", "a"), ById(self, "p2", "frames", "b"),
                        ByNumber(self, "p3", "frames", "c"), ByNumber(self, "p4", "lines", "d"),
                        Consumer(self, "c1", "lines", "one"), Consumer(self, "c1", "frames", "two"),
                        Consumer(self, "c2", "frames", "both", shared=True), Consumer(self, "c2", "frames", "both", shared=True)]
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
        goal = self.progress + answers
        eventually(lambda: self.healthy() and self.progress >= goal, f"{answers} more answers", TIMEOUT * 2)

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
            if isinstance(client, Publisher):
                client.join(TIMEOUT * 2)
                self.healthy()
                self.assertFalse(client.is_alive(), f"{client.name_} still waits for {list(client.unanswered)[:5]}")
        last = self.read_log()

        for client in self.clients:
            if isinstance(client, Consumer):
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
