"""Clients that work on one stream until they are told to end, over every cut of the line: careful ones, that do what the protocol
(§5.6) and NATS recommend. What they did and saw goes into a `history.History`; what went wrong stays in `failure`.

`world` is the test: `world.server` (kedged), `world.nats` for native clients, `world.history`, the events `publishing_ended` and
`consuming_ended`, `world.progress` (a `Counter`), and `world.rewinds`: how often JetStream lost messages so far. `world.between_s`
and `world.batch` set a pace: so many new publishes at once, so long between them.
"""

import collections
import json
import random
import threading
import time

import paramiko

from history import Ack, Delivery
from jetstream import JetStream, place_of
from links import LinkClosed
from nats import Connection, Disconnected, NatsError

UNANSWERED = 60  # pipelined publishes of one client
PER_LIFE = 500  # new publishes of one client on one connection, which bounds the run's volume
LINE_CUT = (LinkClosed, OSError, EOFError, paramiko.SSHException)
TRY_AGAIN = ("unavailable", "internal", "draining")  # §6: perhaps not stored; send again with the same id
NATS_CUT = (Disconnected, NatsError, TimeoutError, OSError)
NO_ACK_S = 10  # then a native publisher takes the line for dead


class Counter:
    """Of answers, over all clients."""

    def __init__(self):
        self._lock = threading.Lock()
        self.value = 0

    def add(self):
        with self._lock:
            self.value += 1


class Worker(threading.Thread):
    """Connects, works, and connects again when the line is cut, until `finished`. What goes wrong is kept for the test."""

    line_cut = LINE_CUT

    def __init__(self, world, name):
        super().__init__(daemon=True)
        self.world = world
        self.name_ = name
        self.life = 0
        self.failure = None
        self.line = None  # the connection now, for a test that cuts it

    def run(self):
        try:
            while not self.finished():
                try:
                    self.line = self.connect()
                except self.line_cut:
                    time.sleep(0.05)  # nobody is there; a client's backoff
                    continue
                self.life += 1
                try:
                    self.work(self.line)
                except self.line_cut:
                    pass
                finally:
                    self.line.close()
        except BaseException as error:  # whatever it is, the test must hear of it
            self.failure = error


class Publishing:
    """Numbers from 1, in order; what is not answered goes out again first on the next line, in its order."""

    def begin(self, home):
        self.record = self.world.history.publisher(self.name_, home)
        self.unanswered = collections.OrderedDict()  # number -> when it was sent last, in the order of first sending
        self.pace = random.Random(self.name_)

    def finished(self):
        return self.world.publishing_ended.is_set() and not self.unanswered

    def body(self, number):
        return f"{self.name_} {number} ".encode() + b"." * (number % 200)

    def resend(self, write):
        now = time.monotonic()
        for number in self.unanswered:
            self.unanswered[number] = now
        write(b"".join(self.operation(number) for number in self.unanswered))

    def send_new(self, write):
        batch, now = [], time.monotonic()
        wait = getattr(self.world, "between_s", 0)  # a pace, where a test wants time more than volume
        if wait and now < self.next_batch:
            return
        self.next_batch = now + wait * self.pace.uniform(0.5, 1.5)
        most = UNANSWERED if not wait else min(UNANSWERED, len(self.unanswered) + self.world.batch)
        while len(self.unanswered) < most and self.new < getattr(self.world, "per_life", PER_LIFE) and not self.world.publishing_ended.is_set():
            self.record.sent += 1
            self.new += 1
            self.unanswered[self.record.sent] = now
            batch.append(self.operation(self.record.sent))
        if batch:
            write(b"".join(batch))

    next_batch = 0.0

    def forget(self, number):
        """It was answered; the longest wait is kept."""
        self.record.wait_max_s = max(self.record.wait_max_s, time.monotonic() - self.unanswered.pop(number))
        self.world.progress.add()


class SshWorker(Worker):
    def __init__(self, world, user, form, name):
        super().__init__(world, name)
        self.user = user
        self.form = form

    def connect(self):
        return self.world.server.link(self.user, self.form)

    @staticmethod
    def idle(link):
        """The next notice, or None after a short while (so that the client looks at what the test wants)."""
        try:
            return link.next(0.1)
        except TimeoutError:
            return None


class SshPublisher(Publishing, SshWorker):
    """`tolerates`: the codes that it takes as "send it again"; every other error is a failure."""

    def __init__(self, world, user, form, node, stream="CRASH", token="crash", tolerates=("draining",)):
        super().__init__(world, user, form, f"{user}/{node}")
        self.node = node
        self.stream = stream
        self.token = token
        self.tolerates = tolerates
        self.begin("ssh")

    def subject(self, number):
        return f"{self.token}.{number % 5}"

    def operation(self, number):
        return self.line.codec.encode(self.header(number), self.body(number))

    def work(self, link):
        self.greeted(link.hello(self.node))
        self.resend(link.write)
        self.new = 0
        barrier = None  # the id of the ping that we wait for before we send again
        while not self.finished():
            if not barrier:
                self.send_new(link.write)
            notice = self.idle(link)
            if notice is None or notice.op in ("info", "bye"):
                continue
            if notice.op == "pong":
                if notice.get("id") == barrier:
                    barrier = None
                    self.resend(link.write)
                continue
            if notice.op == "error" and notice["code"] in self.tolerates:
                self.record.errors[notice["code"]] += 1
                self.refused(notice)
                if notice["code"] != "draining" and not barrier:  # who drains says bye; it stays unanswered for the next life
                    barrier = link.new_id()
                    link.send("ping", id=barrier)
                continue
            if notice.op not in ("ok", "stored"):
                raise AssertionError(f"{self.name_} was told {dict(notice)}")
            self.answered(notice)


class ById(SshPublisher):
    def header(self, number):
        return {"op": "pub", "id": str(number), "subject": self.subject(number), "headers": {"Number": str(number)}}

    def greeted(self, welcome):
        pass

    def resend(self, write):
        self.again = set()  # what is to be sent again, on this link: another that is stored already is `ok` behind it
        super().resend(write)

    def refused(self, notice):
        self.again.add(int(notice["id"]))

    def answered(self, notice):
        if notice.op == "ok":
            number = int(notice["id"])
            if number not in self.unanswered:
                raise AssertionError(f"{self.name_}: {number} was answered twice on one link")
            first = next((each for each in self.unanswered if each not in self.again), None)
            if number != first:
                raise AssertionError(f"{self.name_}: {number} was answered before {first}")
            self.forget(number)
            self.record.answers.append((number, notice["seq"]))


class ByNumber(SshPublisher):
    def header(self, number):
        return {"op": "pub", "n": number, "subject": self.subject(number)}

    def cover(self, number, by):
        if number < self.record.covered:
            raise AssertionError(f"{self.name_}: {by} covers up to {number}, after {self.record.covered} was covered; life {self.life}")
        self.record.covered = number
        while self.unanswered and next(iter(self.unanswered)) <= number:
            self.forget(next(iter(self.unanswered)))

    def refused(self, notice):
        pass

    def greeted(self, welcome):
        self.cover(welcome["last"].get(self.stream, 0), "`last`")

    def answered(self, notice):
        if notice.op == "stored":
            self.cover(notice["n"], f"`stored` {dict(notice)}")
            self.record.answers.append((notice["n"], notice["seq"]))


class SshConsumer(SshWorker):
    """`shared`: several links on one consumer, which acknowledge each seq; else one link that acknowledges `upto`."""

    def __init__(self, world, user, form, name, shared=False, stream="CRASH"):
        super().__init__(world, user, form, name)
        self.stream = stream
        self.shared = shared
        self.record = world.history.consumer(name, ordered=not shared)
        self.seen = world.seen.setdefault(name, set())  # the seqs that it had, over all its links

    def finished(self):
        return self.world.consuming_ended.is_set()

    def work(self, link):
        life = f"{id(self)}-{self.life}"
        if not self.shared:  # a link of before, whose end the server has not seen yet, goes
            link.hello(self.name_)
        link.ok("consume", stream=self.stream, consumer=self.name_, start="first", window=100)
        asked = {}  # id of an ack -> what it covers
        unacknowledged = []
        while not self.finished():
            notice = self.idle(link)
            if notice is not None and notice.op == "msg":
                publisher, number = notice.body.split()[:2]
                with self.world.history.lock:
                    self.record.deliveries.append(Delivery(life, notice["seq"], publisher.decode(), int(number), notice["tries"]))
                self.seen.add(notice["seq"])
                unacknowledged.append(notice["seq"])
            elif notice is not None and notice.op == "ok":
                with self.world.history.lock:
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


class NativeWorker(Worker):
    """A client of NATS that knows nothing of kedge. It works when the stream is there: before, a publish would be for nobody."""

    line_cut = NATS_CUT

    def __init__(self, world, name, stream):
        super().__init__(world, name)
        self.stream = stream

    def connect(self):
        connection = Connection(self.world.nats.port, name=self.name_)
        try:
            JetStream(connection).api("STREAM.INFO." + self.stream, timeout=5)
            return connection
        except BaseException:
            connection.close()
            raise


class NativePublisher(Publishing, NativeWorker):
    def __init__(self, world, name, stream, token):
        super().__init__(world, name, stream)
        self.token = token
        self.rewinds = 0  # of which it knows
        self.acks = collections.deque()
        self.waiting = threading.Condition()
        self.begin("nats")

    def subject(self, number):
        return f"{self.token}.{number % 5}"

    def operation(self, number):
        return self.line.request_async(self.subject(number), self.body(number),
                                       [("Number", str(number)), ("Nats-Msg-Id", f"{self.name_}-{number}")],
                                       lambda message, number=number: self.acked(number, message))

    def acked(self, number, message):  # the reader's thread
        with self.waiting:
            self.acks.append((number, message, time.monotonic()))
            self.waiting.notify()

    def work(self, connection):
        self.acks.clear()
        if self.rewinds != self.world.rewinds:
            # What it sent before JetStream lost messages may have been taken over by kedge before that, and JetStream does not
            # know its id any more: this client's second try is a second message.
            self.rewinds = self.world.rewinds
            self.record.may_double.update(self.unanswered)
        self.resend(connection.write)
        self.new = 0
        while not self.finished():
            self.send_new(connection.write)
            with self.waiting:
                if not self.acks:
                    self.waiting.wait(0.1)
                acks = list(self.acks)
                self.acks.clear()
            for number, message, when in acks:
                if message is None or message.status == "503":
                    raise Disconnected("no answer")
                ack = json.loads(message.body)
                if "error" in ack:
                    raise AssertionError(f"{self.name_}: {number} was refused: {ack['error']}")
                if number not in self.unanswered:
                    continue
                self.record.acks.append(Ack(number, ack["seq"], when, bool(ack.get("duplicate"))))
                self.forget(number)
            if self.unanswered and time.monotonic() - next(iter(self.unanswered.values())) > NO_ACK_S:
                connection.cut("no acks")


class NativeConsumer(NativeWorker):
    """A durable pull consumer with explicit acks."""

    def __init__(self, world, name, stream):
        super().__init__(world, name, stream)
        self.record = world.history.native_consumer(name)
        self.paused = threading.Event()

    def finished(self):
        return self.world.consuming_ended.is_set()

    def work(self, connection):
        pull = JetStream(connection).durable(self.stream, self.name_, ack_wait=2 * 10**9)
        while not self.finished():
            for message in pull.fetch(100):
                publisher, number = message.body.split()[:2]
                with self.world.history.lock:
                    self.record.append((place_of(message).place, publisher.decode(), int(number)))
                pull.ack(message)
