"""`migrate diff` on real servers: nothing in clean messages, each planted defect with its number and nothing else, and it goes on
after kill -9. Defects of the log are planted with SQLite while kedged is down, those of the copy by JetStream's API.

KEDGE_DIFF_MESSAGES: so many clean messages, of both homes.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import unittest

from harness import eventually
from links import TIMEOUT
from migrating import STREAM, TOKEN, Migrating

MESSAGES = int(os.environ.get("KEDGE_DIFF_MESSAGES", "20000"))
LOW = (1 << 40) - 1  # of a number: the row or the place; above it the stream or the mirror


class Diff(Migrating):
    def fill(self, count):
        """By turns: rows of SSH clients, then native messages, in a few pieces; each with headers and a body of its own."""
        pieces = 4
        for piece in range(pieces):
            numbers = range(piece * count // pieces, (piece + 1) * count // pieces)
            half = len(numbers) // 2
            lines = "".join(json.dumps({"subject": f"{TOKEN}.ssh.{n % 7}", "seq": n + 1, "stream": STREAM,
                                        "headers": {"X-Number": str(n), "X-Kind": "talk"},
                                        "data": f"ssh {n}"}) + "\n" for n in numbers[:half])
            done = subprocess.run(self.server.kedge_argv("alice", "stream", "import", STREAM, "--node", "loader"), input=lines.encode(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT + count / 1000)
            self.assertEqual(done.returncode, 0, done.stderr)
            with self.nats.connect() as native:
                block = []
                for n in numbers[half:]:
                    block.append(native.encode(f"{TOKEN}.native.{n % 7}", f"native {n}", [("X-Number", str(n))], ""))
                    if len(block) == 1000:
                        native.write(b"".join(block))
                        native.flush()
                        block.clear()
                native.write(b"".join(block))
                native.flush()
        self.await_status(lambda s: s["last"] >= count and self.is_level(s), "everything is on both sides", TIMEOUT + count / 1000)

    @contextlib.contextmanager
    def database(self):
        """While kedged is down."""
        base = sqlite3.connect(os.path.join(self.server.home, "kedge.db"))
        try:
            with base:
                yield base
        finally:
            base.close()

    def places(self):
        """seq -> place"""
        with self.database() as base:
            return {key & LOW: place & LOW for key, place in base.execute("SELECT key, place FROM placed")}

    def stream_number(self):
        with self.database() as base:
            return base.execute("SELECT id FROM stream WHERE name = ?", (STREAM,)).fetchone()[0]

    @staticmethod
    def brief(report):
        return sorted((f["kind"], f["origin"], f["seq"]) for f in report["findings"])


class Clean(Diff):
    def test_nothing_is_found(self):
        self.start("--from", "first")
        self.fill(MESSAGES)
        began = time.monotonic()
        report = self.diff()
        took = time.monotonic() - began
        self.assertEqual((report["missing"], report["extra"], report["different"], report["out_of_order"], report["findings"]),
                         (0, 0, 0, 0, []))
        self.assertTrue(report["clean"])
        self.assertEqual((report["done"], report["total"]), (MESSAGES, MESSAGES))
        print(f"{MESSAGES} clean messages compared in {took:.1f} s, nothing found", file=sys.stderr, flush=True)


class Resumed(Diff):
    seconds = 12
    settings = f"diff_messages_second = {MESSAGES // seconds}"

    def test_goes_on_after_a_kill(self):
        self.start("--from", "first")
        self.fill(MESSAGES)
        self.server.stop()
        row = self.stream_number() << 40 | 7
        with self.database() as base:  # found before the kill, told after it
            base.execute("UPDATE log SET body = ? WHERE id = ?", (b"changed", row))
        self.server.start()
        self.level()
        channel = self.server.session("op").open_session(timeout=TIMEOUT)
        channel.exec_command(f"migrate diff {STREAM} --json")  # nobody waits for its end
        eventually(lambda: (self.status()["diff"] or {}).get("done", 0) >= MESSAGES * 0.6, "it is past the middle")
        self.server.kill()
        self.server.start()
        first = self.await_status(lambda s: (s["diff"] or {}).get("total", 0) == MESSAGES, "the diff is known")["diff"]
        self.assertGreater(first["done"], MESSAGES * 0.2, "it began anew")
        began = time.monotonic()
        report = self.diff("--follow")
        self.assertLess(time.monotonic() - began, self.seconds * 0.8 + 5)
        self.assertEqual(report["total"], MESSAGES)
        self.assertEqual(report["done"], MESSAGES)
        self.assertEqual(self.brief(report), [("body", "ssh", 7)])


class Planted(Diff):
    def setUp(self):
        super().setUp()
        self.start("--from", "first")
        self.fill(400)
        self.assertTrue(self.diff()["clean"])
        self.server.stop()
        self.at = self.places()
        self.stream = self.stream_number()
        with self.database() as base:
            self.senders = dict(base.execute("SELECT log.id & ?, text FROM log JOIN sender ON sender.id = log.sender", (LOW,)))
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.whole = os.path.join(self.server.home, "kedge.db")
        shutil.copy(self.whole, self.whole + ".whole")

    def of(self, origin, number):
        """The seq of the number-th row of that origin."""
        return [seq for seq, sender in sorted(self.senders.items()) if (sender == "nats") == (origin == "nats")][number]

    def found(self):
        self.server.start()
        self.level()
        report = self.diff()
        self.server.stop()
        return self.brief(report)

    def row(self, seq):
        return self.stream << 40 | seq

    def put_back(self):
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.whole + end)
        shutil.copy(self.whole + ".whole", self.whole)

    def test_in_the_log(self):
        change = "UPDATE log SET {} WHERE id = ?"
        for origin in ("ssh", "nats"):
            seq = self.of(origin, 90)
            other = self.of(origin, 95)
            plants = [
                ("body", [(change.format("body = x'00'"), (self.row(seq),))], [("body", origin, seq)]),
                ("header", [(change.format("""headers = json_set(headers, '$."X-Number"', 'changed')"""), (self.row(seq),))],
                 [("header", origin, seq)]),
                ("no headers", [(change.format("headers = NULL"), (self.row(seq),))], [("header", origin, seq)]),
                ("gone", [("DELETE FROM log WHERE id = ?", (self.row(seq),))], [("extra", origin, seq)]),
                ("exchanged", self.exchange(seq, other), sorted([("order", origin, seq), ("order", origin, other)])),
            ]
            for name, statements, expected in plants:
                with self.subTest(origin=origin, planted=name):
                    with self.database() as base:
                        for words, values in statements:
                            self.assertEqual(base.execute(words, values).rowcount, 1, words)
                    self.assertEqual(self.found(), expected)
                    self.put_back()

    def exchange(self, one, other):
        """Each row at the other's place."""
        with self.database() as base:
            mirror = base.execute("SELECT id FROM mirror").fetchone()[0]
        to = "UPDATE placed SET place = ? WHERE key = ?"
        return [(to, (place, mirror << 40 | seq)) for seq, place in
                ((one, LOW), (other, mirror << 40 | self.at[one]), (one, mirror << 40 | self.at[other]))]

    def test_in_jetstream(self):
        gone = [self.of("ssh", 50), self.of("nats", 60)]
        with self.nats.jet() as jet:
            for seq in gone:
                jet.api(f"STREAM.MSG.DELETE.{STREAM}", {"seq": self.at[seq], "no_erase": False})
        self.assertEqual(self.found(), sorted([("missing", "ssh", gone[0]), ("missing", "nats", gone[1])]))

    def test_a_copy_that_the_log_does_not_know(self):
        seq = self.of("ssh", 120)
        with self.database() as base:
            mirror = base.execute("SELECT id FROM mirror").fetchone()[0]
            self.assertEqual(base.execute("DELETE FROM placed WHERE key = ?", (mirror << 40 | seq,)).rowcount, 1)
        self.assertEqual(self.found(), [("extra", "ssh", seq)])


if __name__ == "__main__":
    unittest.main()
