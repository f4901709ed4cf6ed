"""Mail while the server is killed again and again: each node gets each post once in effect (§5.6), in one order for all."""

import collections
import os
import random
import sys
import threading
import unittest

import paramiko

from harness import Server, Test, eventually
from links import TIMEOUT, LinkClosed

SEED = int(os.environ.get("KEDGE_E2E_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = int(os.environ.get("KEDGE_E2E_KILLS", "60")) // 5
UNANSWERED = 20
PER_LIFE = 200
LINE_CUT = (LinkClosed, OSError, EOFError, paramiko.SSHException)


class Client(threading.Thread):
    """Connects as a node and works, again and again, until `finished`."""

    def __init__(self, test, user, node, form):
        super().__init__(daemon=True)
        self.test = test
        self.user = user
        self.node = node
        self.form = form
        self.failure = None

    def run(self):
        try:
            while not self.finished():
                try:
                    link = self.test.server.link(self.user, self.form)
                except LINE_CUT:
                    self.test.came_back.wait(0.05)  # a client's backoff
                    continue
                try:
                    self.work(link)
                except LINE_CUT:
                    pass
                finally:
                    link.close()
        except BaseException as error:  # whatever it is, the test must hear of it
            self.failure = error

    def idle(self, link):
        try:
            return link.next(0.2)
        except TimeoutError:
            return None


class Poster(Client):
    """Posts rising numbers to a list, the unanswered ones again after a reconnect, first and in their order."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.sent = 0
        self.unanswered = collections.OrderedDict()
        self.places = {}  # number -> seq

    def finished(self):
        return self.test.ending.is_set() and not self.unanswered

    def operation(self, link, number):
        return link.codec.encode({"op": "post", "id": str(number), "to": ["@all"]}, f"{self.user} {number}".encode())

    def work(self, link):
        link.hello(self.node)
        link.write(b"".join(self.operation(link, number) for number in self.unanswered))
        new = 0
        while not self.finished():
            while len(self.unanswered) < UNANSWERED and new < PER_LIFE and not self.test.ending.is_set():
                self.sent += 1
                new += 1
                self.unanswered[self.sent] = None
                link.write(self.operation(link, self.sent))
            notice = self.idle(link)
            if notice is None or notice.op in ("info", "bye"):
                continue
            if notice.op != "ok":
                raise AssertionError(f"{self.user} was told {dict(notice)}")
            number = int(notice["id"])
            if number != next(iter(self.unanswered)):
                raise AssertionError(f"{self.user}: {number} was answered before {next(iter(self.unanswered))}")
            del self.unanswered[number]
            self.places[number] = notice["seq"]
            self.test.progress += 1


class Reader(Client):
    """A node with an inbox. It acts on each message that is above the last one it acted on, as §5.6 allows it."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.got = []  # (seq, text)
        self.repeated = 0

    def finished(self):
        return self.test.read.is_set()

    def work(self, link):
        link.hello(self.node, inbox=True)
        self.test.attached.add(self)
        while not self.finished():
            notice = self.idle(link)
            if notice is None or notice.op in ("info", "bye"):
                continue
            if notice.op == "ok":
                continue
            if notice.op != "msg":
                raise AssertionError(f"{self.user}/{self.node} was told {dict(notice)}")
            if self.got and notice["seq"] <= self.got[-1][0]:
                self.repeated += 1
            else:
                self.got.append((notice["seq"], notice.body.decode()))
            link.send("ack", consumer="inbox", seq=notice["seq"], **({"id": link.new_id()} if len(self.got) % 3 else {}))


class MailCrash(Test):
    def setUp(self):
        print(f"KEDGE_E2E_SEED={SEED} KEDGE_E2E_KILLS={KILLS * 5}", file=sys.stderr, flush=True)
        self.random = random.Random(SEED)
        self.ending, self.read, self.came_back = threading.Event(), threading.Event(), threading.Event()
        self.attached = set()
        self.progress = 0  # answers so far; races only make it a little too small
        self.server = Server({"op": "operator", "p1": "bot", "p2": "bot", "alice": "user", "bob": "user"},
                             config="[limits]\nmail_messages = 1000000\n")
        self.addCleanup(self.server.destroy)
        self.server.start()
        owner = self.server.link("op")
        owner.ok("list", list="inner", add=["bob"])
        owner.ok("list", list="all", add=["alice", "@inner"])
        owner.close()
        self.posters = [Poster(self, "p1", "a", "lines"), Poster(self, "p2", "b", "frames")]
        self.readers = [Reader(self, "alice", "desk", "lines"), Reader(self, "alice", "laptop", "frames"), Reader(self, "bob", "desk", "frames")]
        self.addCleanup(self.end_clients)

    def end_clients(self):
        self.ending.set()
        self.read.set()
        for client in self.posters + self.readers:
            if client.is_alive():
                client.join(TIMEOUT)

    def healthy(self):
        failures = [f"{client.user}/{client.node}: {client.failure!r}" for client in self.posters + self.readers if client.failure]
        if failures:
            self.fail(f"{failures}\nlog of the server:\n{self.server.log()}")
        return True

    def test_kill_9(self):
        for reader in self.readers:
            reader.start()
        eventually(lambda: self.healthy() and len(self.attached) == len(self.readers), "all inboxes are there")
        for poster in self.posters:
            poster.start()
        for _ in range(KILLS):
            goal = self.progress + self.random.randint(1, 200)
            eventually(lambda: self.healthy() and self.progress >= goal, "more answers", TIMEOUT * 2)
            self.server.kill()
            self.server.start()
        self.ending.set()
        for poster in self.posters:
            poster.join(TIMEOUT * 2)
            self.healthy()
            self.assertFalse(poster.is_alive(), f"{poster.user} still waits for {list(poster.unanswered)[:5]}")
        total = sum(poster.sent for poster in self.posters)
        eventually(lambda: self.healthy() and all(len(reader.got) >= total for reader in self.readers),
                   "everything is read", TIMEOUT * 2)
        self.end_clients()
        self.healthy()
        print(f"{total} posts, {KILLS} ends, {[reader.repeated for reader in self.readers]} repeated", file=sys.stderr, flush=True)
        for reader in self.readers:
            with self.subTest(reader=f"{reader.user}/{reader.node}"):
                self.assertEqual(reader.got, self.readers[0].got, f"seed {SEED}")
                for poster in self.posters:
                    places = {int(text.split()[1]): seq for seq, text in reader.got if text.startswith(poster.user + " ")}
                    self.assertEqual(list(places), list(range(1, poster.sent + 1)), f"seed {SEED}: each once, in order")
                    self.assertEqual(places, poster.places, f"seed {SEED}: where the answers said")
                self.assertEqual(len(reader.got), total)
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
