"""What happens in a chaos run, as one list that follows from the seed alone: no clock, no answer of a server has a say in it. The
test carries the steps out one after another; how the world looks then is up to the machine."""

import collections
import itertools
import random

Step = collections.namedtuple("Step", "number what answers delay seconds label command who")
Step.__doc__ = """`what` happens after so many more `answers` to publishes and a `delay`; `seconds`: how long it lasts; `label`: the point of
the migration at which kedged kills itself; `command`: what the operator does just before; `who`: which client."""

# Each is dealt so often in a round of the deck; every card kills something at least once.
KILLS = {"kill kedged": 3, "kill at label": 4, "kill nats": 2, "kill both": 1, "put back": 2, "put back and kill": 1, "kill client": 2}
OTHERS = ("freeze nats", "freeze kedged", "freeze client", "cut", "hold the line", "look", "look")
COMMANDS = ("advance", "advance", "advance", "pause", "diff", "dry run", "cancel", None, None, None)

OWN = "a stream of its own"  # which is brought that far for it
# label -> the state in which the command that passes it has a place; None = traffic passes it
LABELS = {
    "start.intent": "LEGACY", "start.created": "LEGACY", "start.committed": "LEGACY",
    **{f"switch.{point}": "MIRRORING" for point in ("intent", "held", "fenced", "committed", "released")},
    **{f"reverse.{point}": "NATS" for point in ("intent", "held", "fenced", "committed", "released")},
    "cancel.intent": "MIRRORING", "cancel.committed": "MIRRORING",
    "complete.intent": OWN, "complete.committed": OWN,
    "pump.sent": None, "import.asked": None, "import.stored": None,
}
TAKEBACK = ("takeback.asked", "takeback.done")


def _dealt(source, cards):
    """Without end: all cards, shuffled, again and again."""
    while True:
        deck = list(cards)
        source.shuffle(deck)
        yield from deck


def kills_of(step):
    """How many kill -9 it is, when all goes as written. Before a label kedged is killed to come back with it; a client may be one without
    a process, whose line is cut instead."""
    return {"kill kedged": 1, "kill at label": 2, "kill nats": 1, "kill both": 2, "put back": 1, "put back and kill": 3,
            "kill client": 1}.get(step.what, 0)


def steps(seed):
    """Without end."""
    source = random.Random(seed)
    deck = _dealt(source, [name for name, times in KILLS.items() for _ in range(times)])
    labels, takeback = _dealt(source, LABELS), _dealt(source, TAKEBACK)
    for number in itertools.count(1):
        if source.random() < 0.4:
            what, label = source.choice(OTHERS), None
        else:
            what = next(deck)
            label = next(labels) if what == "kill at label" else next(takeback) if what == "put back and kill" else None
        if label and source.random() < 0.3 and LABELS.get(label, 1) is None:
            label += f"#{source.randint(2, 20)}"
        command = source.choice(COMMANDS) if what != "kill at label" else None
        yield Step(number, what, source.randint(10, 150), source.uniform(0, 0.1), round(source.uniform(0.2, 1.2), 2), label, command,
                   source.randrange(1 << 16))


def schedule(seed, kills):
    """As many as have so many kills, when all goes as written."""
    found, planned = [], 0
    for step in steps(seed):
        if planned >= kills:
            return found
        found.append(step)
        planned += kills_of(step)
