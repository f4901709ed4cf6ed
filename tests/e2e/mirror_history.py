"""What must be true of a stream that lives in two places, after everything that a test did to it. The record is made by the
workers and by the test that directs them; `check` returns every violation as a sentence with the invariant's number (README of
migration/, "Invariants"). test_mirror_history proves of each rule that it can fail.
"""

import collections

import history
from history import _may_double

Copy = collections.namedtuple("Copy", "place publisher number row")
Copy.__doc__ = "A message of the JetStream stream in the end; `row`: it bears a Kedge-Row that begins with \"r\"."

Sample = collections.namedtuple("Sample", "time state authority epoch alone broken", defaults=(False, None))
Sample.__doc__ = """What `migrate status` said, at any time. `alone`: kedged has just come back and no command is under way. `broken`: why,
if it said so."""

Inspection = collections.namedtuple("Inspection", "what status floor last zero jet")
Inspection.__doc__ = """The copy looked at right after a status: `zero` = the status said that nothing lags, `jet` = set of (publisher,
number) that the JetStream stream held then."""

Rewind = collections.namedtuple("Rewind", "copied put_back last checkpoint")
Rewind.__doc__ = """The directory of JetStream was put back to an older copy: when it was copied, when it was put back, the copy's last place,
and up to where kedge had read before (0 = not known)."""

Frozen = collections.namedtuple("Frozen", "sent answered")
Frozen.__doc__ = "Publishes with SQLite the authority while NATS was frozen: how many, and how many were answered before it went on."

STATES = ("LEGACY", "MIRRORING", "SWITCHING", "NATS", "REVERSING", "COMPLETE")
AUTHORITY = {"LEGACY": "sqlite", "MIRRORING": "sqlite", "SWITCHING": "sqlite", "NATS": "nats", "REVERSING": "nats", "COMPLETE": "nats"}


class MirrorHistory(history.History):
    def __init__(self):
        super().__init__()
        self.senders = {}  # seq -> `from`
        self.jet = []  # Copy, by place
        self.samples = []
        self.inspections = []
        self.rewinds = []
        self.frozen = []
        self.reordered = 0  # what kedge counted as such
        self.start = 1  # the first seq that is part of the copy


def check(h):
    """All violations (at most a few of each kind)."""
    found = history.check(h)
    for rule in (_gapless, _twice, _order, _everywhere, _one_authority, _no_echo, _legal, _not_held_up, _same_sets, _zero_is_true, _native_kept,
                 _native_delivered):
        found += rule(h)[:5]
    return found


def _row_numbers(h):
    return {seq: (publisher, number) for seq, publisher, number in h.log}


def _gapless(h):
    rows = _row_numbers(h)
    found = []
    for inspection in h.inspections:
        missing = [seq for seq in range(h.start, inspection.floor + 1) if seq in rows and rows[seq] not in inspection.jet]
        if missing:
            found.append(f"I1 {inspection.what}: confirmed up to {inspection.floor}, but {len(missing)} rows are not in the copy: {missing[:5]}")
    return found


def _twice(h):
    places = collections.defaultdict(list)
    for copy in h.jet:
        places[copy.publisher, copy.number].append(copy.place)
    return [f"I2 {publisher} {number} is in the copy {len(found)} times: {found}" for (publisher, number), found in places.items()
            if len(found) > 1 and not _may_double(h, publisher, number)]


def _order(h):
    """What kedge restores for native publishers comes after what they published meanwhile: two orders, each kept."""
    highest, found, late = {}, [], 0
    for copy in h.jet:
        native = copy.publisher in h.publishers and h.publishers[copy.publisher].home == "nats"
        if native and _may_double(h, copy.publisher, copy.number):
            continue
        key = copy.publisher, native and copy.row
        if copy.number < highest.get(key, 0):
            late += 1
            found.append(f"I3 place {copy.place} holds {copy.publisher} {copy.number} after {highest[key]}")
        highest[key] = max(copy.number, highest.get(key, 0))
    return found if late > h.reordered else []


def _everywhere(h):
    """What was answered `ok` is in the copy as well (that it is in the log is a rule of history.check)."""
    there = {(copy.publisher, copy.number) for copy in h.jet}
    rows = _row_numbers(h)
    found = []
    for publisher in h.publishers.values():
        for number, seq in publisher.answers:
            if seq >= h.start and seq in rows and (publisher.name, number) not in there:
                found.append(f"I4 {publisher.name} {number} was answered at seq {seq} and is not in the copy")
    return found


def _one_authority(h):
    found, of_epoch, last = [], {}, None
    for sample in h.samples:
        if AUTHORITY.get(sample.state) != sample.authority:
            found.append(f"I5 {sample.authority} is the authority in state {sample.state}")
        if of_epoch.setdefault(sample.epoch, sample.authority) != sample.authority:
            found.append(f"I5 authority epoch {sample.epoch} had {of_epoch[sample.epoch]} and then {sample.authority}")
        if last and sample.epoch < last.epoch:
            found.append(f"I5 authority epoch {sample.epoch} after {last.epoch}")
        last = sample
    return found


def _no_echo(h):
    found = []
    for seq, name, number in h.log:
        publisher = h.publishers.get(name)
        if publisher and seq in h.senders:
            want = "nats" if publisher.home == "nats" else publisher.name
            if h.senders[seq] != want:
                found.append(f"I6 seq {seq}, {name} {number}, came from {h.senders[seq]}")
    return found


def _legal(h):
    return ([f"I7 there is no state {sample.state}" for sample in h.samples if sample.state not in STATES]
            + [f"I7 {sample.state} after a restart, and nobody asked for it" for sample in h.samples
               if sample.alone and sample.state in ("SWITCHING", "REVERSING")]
            + [f"I7 it could not go on by itself: {sample.broken}" for sample in h.samples if sample.broken])


def _not_held_up(h):
    return [f"I8 {each.answered} of {each.sent} publishes were answered while NATS was frozen" for each in h.frozen if each.answered < each.sent]


def _same_sets(h):
    there = {(copy.publisher, copy.number) for copy in h.jet}
    rows = {(publisher, number): seq for seq, publisher, number in h.log if seq >= h.start}
    below = {(publisher, number) for seq, publisher, number in h.log if seq < h.start}
    return ([f"I10 seq {seq}, {what}, is not in the copy" for what, seq in rows.items() if what not in there][:3]
            + [f"I10 {what} is in the copy and not in the log" for what in sorted(there - set(rows) - below)][:3])


def _zero_is_true(h):
    rows = _row_numbers(h)
    found = []
    for inspection in h.inspections:
        if not inspection.zero:
            continue
        missing = [seq for seq in range(h.start, inspection.last + 1) if seq in rows and rows[seq] not in inspection.jet]
        if missing:
            found.append(f"I11 {inspection.what}: nothing lagged, but {len(missing)} rows are not in the copy: {missing[:5]}")
    return found


def _lost_with_the_directory(h, ack):
    """Acknowledged after the copy of the directory was made, and kedge had not read it when that copy was put back."""
    before = 0.0
    for rewind in h.rewinds:
        if before < ack.time < rewind.put_back:
            return rewind.copied < ack.time and ack.place > rewind.checkpoint
        before = rewind.put_back
    return False


def _native_kept(h):
    rows = {(publisher, number) for _, publisher, number in h.log}
    places = {copy.place: (copy.publisher, copy.number) for copy in h.jet}
    found = []
    for publisher in h.publishers.values():
        for ack in publisher.acks:
            if (publisher.name, ack.number) not in rows and not _lost_with_the_directory(h, ack):
                found.append(f"I12 {publisher.name} {ack.number}, acknowledged at place {ack.place}, is not in the log")
            if not h.rewinds and places.get(ack.place) != (publisher.name, ack.number):
                found.append(f"I12 {publisher.name} {ack.number} was acknowledged at place {ack.place}, which holds {places.get(ack.place)}")
    return found


def _native_delivered(h):
    """JetStream's own consumers: each gets all that is there in the end."""
    there = {(copy.publisher, copy.number) for copy in h.jet}
    found = []
    for name, deliveries in h.native_consumers.items():
        missing = there - {(publisher, number) for _, publisher, number in deliveries}
        found += [f"I10 native consumer {name} never got {what}" for what in sorted(missing)[:3]]
    return found
