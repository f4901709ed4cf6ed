"""What clients saw of one stream while the server was killed again and again, and what must be true of it.

The record is made by the clients of test_crash. `check` returns every violation as a sentence; an empty list is a pass.
test_history proves of each rule that it can fail.
"""

import collections
import threading

Delivery = collections.namedtuple("Delivery", "life seq publisher number tries")
Ack = collections.namedtuple("Ack", "number place time duplicate")


class Publisher:
    """One `user/node`. Its messages are numbered from 1 in the order in which it first sent them."""

    def __init__(self, name, home="ssh"):
        self.name = name
        self.home = home  # "ssh" or "nats"
        self.sent = 0  # highest number sent
        self.answers = []  # (number, seq) of each `ok`, in order of arrival
        self.covered = 0  # highest number that a `stored` or a `last` covers
        self.acks = []  # of JetStream, to a native publisher
        self.may_double = set()  # see workers.NativePublisher
        self.errors = collections.Counter()  # codes that it took for "send it again"
        self.wait_max_s = 0.0  # the longest for an answer, on one line


class Consumer:
    """One durable consumer. `ordered`: one link at a time, no nak, no expired ack wait, so §5.6 promises rising deliveries."""

    def __init__(self, name, ordered=True):
        self.name = name
        self.ordered = ordered
        self.deliveries = []
        self.confirmed = {}  # seq -> how many deliveries had been seen when the `ok` of its ack came


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.publishers = {}
        self.consumers = {}
        self.native_consumers = {}  # name -> [(place, publisher, number)]
        self.log = []  # (seq, publisher, number): the stream in the end, read by somebody new

    def publisher(self, name, home="ssh"):
        return self.publishers.setdefault(name, Publisher(name, home))

    def consumer(self, name, ordered=True):
        return self.consumers.setdefault(name, Consumer(name, ordered))

    def native_consumer(self, name):
        return self.native_consumers.setdefault(name, [])


def check(history):
    """All violations (at most a few of each kind)."""
    return [violation for rule in (_dense, _nothing_invented, _nothing_doubled, _publisher_order, _answers_hold, _covered_holds,
                                   _deliveries_match, _at_least_once, _consumer_order, _acknowledged_stays)
            for violation in rule(history)[:5]]


def _dense(history):
    """§3: seq from 1, dense, rising."""
    seqs = [seq for seq, _, _ in history.log]
    if seqs == list(range(1, len(seqs) + 1)):
        return []
    wrong = [(want, seq) for want, seq in enumerate(seqs, 1) if want != seq]
    return [f"seq is not dense: {wrong[:3]} of {len(seqs)}"]


def _nothing_invented(history):
    return [f"seq {seq} holds {publisher} {number}, which nobody sent" for seq, publisher, number in history.log
            if publisher not in history.publishers or not 1 <= number <= history.publishers[publisher].sent]


def _nothing_doubled(history):
    """§4.1: the same id or n is stored once."""
    places = collections.defaultdict(list)
    for seq, publisher, number in history.log:
        places[publisher, number].append(seq)
    return [f"{publisher} {number} is stored {len(seqs)} times: {seqs}"
            for (publisher, number), seqs in places.items() if len(seqs) > 1 and not _may_double(history, publisher, number)]


def _may_double(history, publisher, number):
    return publisher in history.publishers and number in history.publishers[publisher].may_double


def _publisher_order(history):
    """§5.6: in order, across reconnects."""
    highest = {}
    found = []
    for seq, publisher, number in history.log:
        if number < highest.get(publisher, 0) and not _may_double(history, publisher, number):
            found.append(f"seq {seq} holds {publisher} {number} after {highest[publisher]}")
        highest[publisher] = max(number, highest.get(publisher, 0))
    return found


def _answers_hold(history):
    """Invariant 1: what was answered `ok` is there, where the answer said."""
    log = {seq: (publisher, number) for seq, publisher, number in history.log}
    return [f"{publisher.name} {number} was acknowledged at seq {seq}, which holds {log.get(seq)}"
            for publisher in history.publishers.values() for number, seq in publisher.answers
            if log.get(seq) != (publisher.name, number)]


def _covered_holds(history):
    """§4.1: `stored` covers everything up to `n`."""
    there = collections.defaultdict(set)
    for _, publisher, number in history.log:
        there[publisher].add(number)
    return [f"{publisher.name} {number} was covered by `stored` {publisher.covered} and is not there"
            for publisher in history.publishers.values() for number in range(1, publisher.covered + 1)
            if number not in there[publisher.name]]


def _deliveries_match(history):
    """§3: a seq never changes."""
    log = {seq: (publisher, number) for seq, publisher, number in history.log}
    return [f"{consumer.name} was given {d} but the stream holds {log.get(d.seq)}"
            for consumer in history.consumers.values() for d in consumer.deliveries if log.get(d.seq) != (d.publisher, d.number)]


def _at_least_once(history):
    """Invariant 2: a durable consumer gets every message."""
    found = []
    for consumer in history.consumers.values():
        missing = {seq for seq, _, _ in history.log} - {d.seq for d in consumer.deliveries}
        found += [f"{consumer.name} never got seq {seq}" for seq in sorted(missing)]
    return found


def _consumer_order(history):
    """§5.2, §5.6: rising within one life of a link; first deliveries rise over all lives."""
    found = []
    for consumer in history.consumers.values():
        if not consumer.ordered:
            continue
        last = {}
        highest = 0
        for d in consumer.deliveries:
            if d.seq <= last.get(d.life, 0):
                found.append(f"{consumer.name} got seq {d.seq} after {last[d.life]} on one link")
            last[d.life] = d.seq
            if d.seq > highest + 1:
                found.append(f"{consumer.name} got seq {d.seq} first after {highest}: a gap")
            highest = max(highest, d.seq)
    return found


def _acknowledged_stays(history):
    """§4.1 `ack`: with an id, `ok` comes after the commit: not delivered again to a link that attaches later."""
    found = []
    for consumer in history.consumers.values():
        for index, d in enumerate(consumer.deliveries):
            if d.seq in consumer.confirmed and index >= consumer.confirmed[d.seq]:
                found.append(f"{consumer.name} got seq {d.seq} again in life {d.life} after its ack was confirmed")
    return found
