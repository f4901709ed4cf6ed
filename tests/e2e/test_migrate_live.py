"""There and back on a live system: clients of both homes publish and consume on one stream all the time while the operator goes
LEGACY → MIRRORING → NATS → MIRRORING → NATS → COMPLETE. No client sees an error, nothing is lost, doubled or out of order, durable
consumers go on where they were.

KEDGE_MIGRATE_CLIENTS: so many publishers and consumers of each home.
"""

import os
import sys
import unittest

from links import TIMEOUT
from mirror_world import World
from migrating import STREAM

CLIENTS = int(os.environ.get("KEDGE_MIGRATE_CLIENTS", "4"))
HOLD_S = 5


class Live(World):
    users = World.users_for(CLIENTS)
    between_s = 0.05 * max(1, CLIENTS / 4)

    def setUp(self):
        super().setUp()
        # The native clients wait for the stream: in LEGACY nothing is published there.
        self.add_clients(CLIENTS)
        for client in self.clients:
            client.start()

    def test_there_and_back(self):
        self.await_progress(100)
        self.migrate("start", STREAM, "--from", "first")
        states, held = ["MIRRORING"], []
        self.await_progress(60 * CLIENTS)
        for step in ("switch", "reverse", "switch"):
            self.inspect(f"before {step}")
            if step == "switch":
                self.make_ready()
            done = self.migrate(step, STREAM)
            held.append((step, done["held_ms"], done["held_messages"]))
            self.assertLessEqual(done["held_ms"], HOLD_S * 1000)
            states.append(self.status()["state"])
            self.inspect(f"after {step}")
            self.await_progress(60 * CLIENTS)
        self.migrate("complete", STREAM, "--yes")
        states.append(self.status()["state"])
        self.await_progress(60 * CLIENTS)
        self.assertEqual(states, ["MIRRORING", "NATS", "MIRRORING", "NATS", "COMPLETE"])
        self.settle()
        longest = max(client.record.wait_max_s for client in self.publishers())
        print(f"{len(self.history.log)} messages, {CLIENTS} + {CLIENTS} clients, held {held}, longest wait {longest:.2f} s",
              file=sys.stderr, flush=True)
        self.assertEqual(self.violations(), [])
        for client in self.clients:
            self.assertEqual(client.life, 1, f"{client.name_} had to connect again")
        for client in self.publishers():
            self.assertLess(client.record.wait_max_s, HOLD_S + TIMEOUT / 8, client.name_)
            self.assertGreater(client.record.sent, 20)
        seqs = [seq for seq, _, _ in self.history.log]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
