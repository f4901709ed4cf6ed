"""There and back on a live system: clients of both homes publish and consume on one stream all the time while the operator goes
LEGACY → MIRRORING → NATS → MIRRORING → NATS → COMPLETE. No client sees an error, nothing is lost, doubled or out of order, durable
consumers go on where they were.

KEDGE_MIGRATE_CLIENTS: so many publishers and consumers of each home.
"""

import os
import sys
import time
import unittest

from mirror_world import World
from migrating import STREAM

CLIENTS = int(os.environ.get("KEDGE_MIGRATE_CLIENTS", "4"))
HOLD_S = 5
# What the machine adds to a wait: so many times the longest wait of this run when nothing was held, and at least so much.
ALLOWED_TIMES, ALLOWED_S = 4, 1


class Live(World):
    users = World.users_for(CLIENTS)
    settings = f"hold_ms = {HOLD_S * 1000}\n"
    between_s = 0.05 * max(1, CLIENTS / 4)

    def setUp(self):
        super().setUp()
        # The native clients wait for the stream: in LEGACY nothing is published there.
        self.add_clients(CLIENTS)
        self.waits = []  # of each publish over SSH: when it was sent, when it was answered
        for client in self.publishers():
            if hasattr(client, "user"):
                self.note_waits(client)
        for client in self.clients:
            client.start()

    def note_waits(self, client):
        forget = client.forget

        def noting(number):
            self.waits.append((client.unanswered[number], time.monotonic()))
            forget(number)

        client.forget = noting

    def check_waits(self, changes):
        """Who publishes during a change of authority waits as long as the server says that it held, and never longer than the hold."""
        longest = [0.0] * len(changes)
        usual = 0.0
        for sent, answered in self.waits:
            touched = [number for number, (began, ended, _) in enumerate(changes) if sent <= ended and answered >= began]
            for number in touched:
                longest[number] = max(longest[number], answered - sent)
            if not touched:
                usual = max(usual, answered - sent)
        allowed = max(ALLOWED_S, ALLOWED_TIMES * usual)
        print(f"waits of at most {', '.join(f'{wait:.2f}' for wait in longest)} s at the changes, {usual:.2f} s else", file=sys.stderr, flush=True)
        for wait, (_, _, held_s) in zip(longest, changes):
            self.assertLessEqual(held_s, HOLD_S)
            self.assertLessEqual(wait, held_s + allowed)

    def test_there_and_back(self):
        self.await_progress(100)
        self.migrate("start", STREAM, "--from", "first")
        states, held, changes = ["MIRRORING"], [], []
        self.await_progress(60 * CLIENTS)
        for step in ("switch", "reverse", "switch"):
            self.inspect(f"before {step}")
            if step == "switch":
                self.make_ready()
            began = time.monotonic()
            done = self.migrate(step, STREAM)
            changes.append((began, time.monotonic(), done["held_ms"] / 1000))
            held.append((step, done["held_ms"], done["held_messages"]))
            states.append(self.status()["state"])
            self.inspect(f"after {step}")
            self.await_progress(60 * CLIENTS)
        self.migrate("complete", STREAM, "--yes")
        states.append(self.status()["state"])
        self.await_progress(60 * CLIENTS)
        self.assertEqual(states, ["MIRRORING", "NATS", "MIRRORING", "NATS", "COMPLETE"])
        self.settle()
        print(f"{len(self.history.log)} messages, {CLIENTS} + {CLIENTS} clients, held {held}", file=sys.stderr, flush=True)
        self.check_waits(changes)
        self.assertEqual(self.violations(), [])
        for client in self.clients:
            self.assertEqual(client.life, 1, f"{client.name_} had to connect again")
        for client in self.publishers():
            self.assertGreater(client.record.sent, 20)
        seqs = [seq for seq, _, _ in self.history.log]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
