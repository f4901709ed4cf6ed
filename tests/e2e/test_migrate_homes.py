"""Who a copy belongs to: two kedged on one JetStream stream, a home restored from an older backup, another NATS server, and clocks
that do not agree."""

import json
import os
import shutil
import subprocess
import time
import unittest

from harness import KEDGE, Server, eventually, scratch
from links import TIMEOUT
from migrating import STREAM, TOKEN, Migrating

DAY_MS = 86_400_000

# Shifts the wall clock of whoever loads it.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, t);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec -= 86400;
    return result;
}
int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real)
        real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    struct timespec t = *until;
    if (t.tv_sec > 1000000000) /* of the wall clock, which the kernel knows better */
        t.tv_sec += 86400;
    return real(c, m, &t);
}
"""


class Homes(Migrating):
    def backup(self):
        path = scratch("backup")
        done = self.server.kedge("backup", path)
        self.assertEqual(done.returncode, 0, done)
        return path

    def restored(self, path):
        """A kedged of its own on a home made of that backup."""
        other = Server(self.users, self.configuration(self.nats.url()))
        self.addCleanup(other.destroy)
        done = subprocess.run([KEDGE, "--home", other.home, "restore", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT, env=Server.environment())
        self.assertEqual(done.returncode, 0, done)
        return other.start()

    def broken(self, server=None):
        s = self.await_status(lambda s: s["broken"], "it says that it cannot go on", server=server)
        self.assertIn("broken", s["flags"])
        self.assertTrue(s["broken"]["reason"] and s["broken"]["why"] and s["broken"]["next"], s)
        self.assertFalse(s["ready"])
        return s["broken"]

    def test_another_home(self):
        """It is told whose the stream is; the owner notices nothing."""
        self.start()
        other = self.kedged(self.nats.url())
        other.add_stream(STREAM, TOKEN + ".>")
        said = self.refused("start", STREAM, server=other)
        self.assertIn("belongs to", said)
        self.publish(self.link(), 3)
        self.level()
        self.assertIsNone(self.status()["broken"])
        self.assert_same_sides()

    def test_an_older_backup_while_sqlite_orders(self):
        """The log lacks what the copy holds: nothing is done until an operator says; `--adopt` takes it over."""
        self.start()
        self.publish(self.link("alice", "desk"), 10)
        path = self.backup()
        self.publish(self.link("alice", "desk"), 10, first=11)
        self.publish_native(5)
        self.level()
        self.server.stop()
        other = self.restored(path)
        self.assertTrue(self.broken(other)["reason"])
        self.assertEqual(self.status(server=other)["state"], "MIRRORING")
        link = self.link("alice", "desk", server=other)
        self.assertEqual(link.ok("pub", "after", id="after", subject=TOKEN + ".after")["stream"], STREAM)  # publishing goes on
        self.server = other
        self.migrate("resume", STREAM, "--adopt")
        self.level()
        self.assert_same_sides()
        bodies = [row.body for row in self.rows()]
        self.assertEqual(sorted(bodies), sorted([f"ssh {n}".encode() for n in range(1, 21)] + [f"native {n}".encode() for n in range(1, 6)]
                                                + [b"after"]))
        seqs = [row["seq"] for row in self.rows()]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.publish(self.link("alice", "desk"), 5, first=30)
        self.level()
        self.assert_same_sides()

    def test_an_older_backup_with_nothing_missing(self):
        """A backup that holds all that the copy holds goes on by itself."""
        self.start()
        self.publish(self.link("alice", "desk"), 10)
        self.publish_native(5)
        self.level()
        path = self.backup()
        self.server.stop()
        self.server = self.restored(path)
        self.publish(self.link("alice", "desk"), 15)  # ten of them again
        self.level()
        self.assertIsNone(self.status()["broken"])
        self.assert_bodies("ssh", range(1, 16))
        self.assert_same_sides()

    def test_an_older_backup_while_jetstream_orders(self):
        """What was answered `ok` since then is in JetStream; no answer is given for anything before that is seen to."""
        self.start()
        self.switch()
        self.publish(self.link("alice", "desk"), 10)
        self.level()
        path = self.backup()
        self.publish(self.link("alice", "desk"), 10, first=11)
        self.publish_native(5)
        self.level()
        self.server.stop()
        self.server = self.restored(path)
        s = self.await_status(lambda s: s["broken"] or self.is_level(s), "it goes on or says why not")
        if s["broken"]:
            self.assertTrue(s["broken"]["next"])
            self.migrate("resume", STREAM, "--adopt")
        self.level()
        self.assert_bodies("ssh", range(1, 21))
        self.assert_bodies("native", range(1, 6))
        self.assertEqual(self.publish(self.link("alice", "desk"), 1, first=50)[0].op, "ok")
        self.assert_same_sides()

    def test_a_backup_that_runs_beside_its_original(self):
        """The one that was restored takes the stream over; the other one finds that and stops, but for its clients."""
        self.start()
        self.publish(self.link("alice", "desk"), 10)
        self.level()
        other = self.restored(self.backup())
        self.level(server=other)
        self.broken()
        self.assertEqual(self.publish(self.link("alice", "desk"), 1, first=11)[0].op, "ok")
        self.publish(self.link("alice", "desk", server=other), 1, first=12)
        self.level(server=other)
        copies = [copy.body for _, copy in self.copies()]
        self.assertEqual(copies, [f"ssh {n}".encode() for n in (*range(1, 11), 12)])
        # The other one was a mistake: it stops, and its original takes the stream back, with what was published there.
        other.stop()
        self.assertIn("--adopt", self.broken()["next"])
        self.refused("resume", STREAM)
        self.migrate("resume", STREAM, "--adopt")
        self.level()
        self.assertIsNone(self.status()["broken"])
        self.assertEqual(sorted(row.body for row in self.rows()), sorted(f"ssh {n}".encode() for n in range(1, 13)))
        self.assert_same_sides()

    def test_a_cancel_leaves_the_stream_of_another_database(self):
        """Its operator may say what they like: what the other one has marked is not deleted."""
        self.start()
        self.publish(self.link("alice", "desk"), 5)
        self.level()
        other = self.restored(self.backup())
        self.level(server=other)
        self.broken()
        self.migrate("cancel", STREAM)
        self.assertIn("belongs to", self.refused("cancel", STREAM, "--delete-stream", "--yes"))
        self.publish(self.link("alice", "desk", server=other), 1, first=6)
        self.level(server=other)
        self.assertEqual([copy.body for _, copy in self.copies()], [f"ssh {n}".encode() for n in range(1, 7)])

    def test_a_stream_that_another_home_made_anew_is_not_adopted(self):
        self.start()
        self.publish(self.link("alice", "desk"), 5)
        self.level()
        with self.nats.jet() as jet:
            jet.delete(STREAM)
            jet.create(STREAM, TOKEN + ".>", description="kedge 0123456789abcdef 1234567890abcdef CHAT")
        self.assertIn(self.broken()["reason"], ("stream gone", "foreign owner"))
        self.assertIn("belongs to", self.refused("resume", STREAM, "--adopt"))
        self.assertEqual(self.broken()["reason"], "foreign owner")
        with self.nats.jet() as jet:
            self.assertEqual(jet.info(STREAM)["config"]["description"], "kedge 0123456789abcdef 1234567890abcdef CHAT")
        self.assertEqual(self.copies(), [])

    def test_a_stream_that_was_removed_and_added_again(self):
        """It begins anew; what the copy of the former one holds is left alone."""
        self.start("--from", "first")
        self.publish(self.link("alice", "desk"), 10)
        self.publish_native(5)
        self.level()
        self.migrate("cancel", STREAM)
        self.server.admin("stream", "remove", STREAM)
        self.server.add_stream(STREAM, TOKEN + ".>")
        self.publish(self.link("alice", "desk"), 10, first=11)
        self.migrate("start", STREAM, "--from", "unacked")
        self.level()
        self.publish_native(5, first=6)
        self.level()
        self.assertEqual([row.body.decode() for row in self.rows()],
                         [f"ssh {n}" for n in range(11, 21)] + [f"native {n}" for n in range(6, 11)])

    def test_a_copy_whose_nats_is_gone_for_good(self):
        """It can be forgotten, and the stream be purged then."""
        self.start()
        self.publish(self.link("alice", "desk"), 5)
        self.level()
        self.nats.kill()
        eventually(lambda: self.link_state()["state"] == "down", "the link is down")
        self.refused("cancel", STREAM, "--delete-stream", "--yes")
        self.assertEqual(self.state(), "MIRRORING")
        self.migrate("cancel", STREAM)
        status, value, _ = self.run_migrate("migrate", "cancel", STREAM, "--delete-stream")
        self.assertEqual((status != 0, value["confirm"]), (True, STREAM))
        self.assertIn("stays", " ".join(value["risk"]))
        self.assertEqual(self.migrate("cancel", STREAM, "--delete-stream", "--yes")["deleted"], False)
        self.server.admin("stream", "purge", STREAM, "--up-to", "5")

    def another_server(self, state):
        self.bring_to(state)
        self.publish(self.link("alice", "desk"), 10)
        self.level()
        self.nats.kill()
        shutil.rmtree(self.nats.directory)
        os.makedirs(self.nats.directory)
        self.nats.start()
        self.assertIn("stream", self.broken()["why"].lower())
        link = self.link("alice", "desk")
        if state == "MIRRORING":
            self.assertEqual(self.publish(link, 5, first=11)[0].op, "ok")
        else:
            self.assertEqual(link.ask("pub", "11", id="p11", subject=TOKEN + ".x")["code"], "unavailable")
        self.assertEqual(len(self.rows()), 15 if state == "MIRRORING" else 10)  # readers notice nothing

    def test_another_server_while_sqlite_orders(self):
        """Publishes go on; cancel and start make the copy anew."""
        self.another_server("MIRRORING")
        self.migrate("cancel", STREAM)
        self.start("--from", "first")
        self.assert_same_sides()

    def test_another_server_while_jetstream_orders(self):
        """Publishers are told `unavailable`; `reverse --abandon` makes SQLite the authority again, with all that was answered."""
        self.another_server("NATS")
        status, value, _ = self.run_migrate("migrate", "reverse", STREAM, "--abandon")
        self.assertEqual((status != 0, value["confirm"]), (True, STREAM))
        self.assertTrue(value["risk"])
        self.migrate("reverse", STREAM, "--abandon", "--yes")
        self.assertEqual(self.status()["authority"], "sqlite")
        self.assertEqual(self.publish(self.link("alice", "desk"), 5, first=11)[0].op, "ok")
        self.assert_log("ssh", range(1, 16))

    def assert_log(self, prefix, numbers):
        bodies = [row.body.decode() for row in self.rows()]
        self.assertEqual([body for body in bodies if body.startswith(prefix)], [f"{prefix} {n}" for n in numbers])


@unittest.skipUnless(shutil.which("cc"), "a C compiler makes the library that shifts the clock")
class Clocks(Migrating):
    """kedged is a day behind, which makes the native clock a day ahead."""

    config = "[limits]\nmirror_sync_ms = 1000\n"

    def kedged(self, url, settings=None, **more):
        source, library = scratch("clock.c"), scratch("clock.so")
        with open(source, "w", encoding="ascii") as file:
            file.write(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        server = Server(self.users, self.configuration(url, settings), **more)
        server.extra_environment = {"LD_PRELOAD": library, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        self.addCleanup(server.destroy)
        return server.start()

    def stored(self, name):
        """How many rows a stream has."""
        link = self.link("audit")
        streams = json.loads(link.ask("who", what="streams").body)["streams"]
        link.close()
        return next(stream["messages"] for stream in streams if stream["stream"] == name)

    def test_a_native_clock_a_day_ahead(self):
        """It does not push the stored times ahead: retention goes on."""
        self.server.add_stream("SHORT", "short.>", max_age="2s")
        reader = self.link("audit")
        reader.ok("consume", stream="SHORT", consumer="reader", start="first")
        self.migrate("start", "SHORT")
        self.publish(self.link(), 3, subject="short.x")
        self.publish_native(3, subject="short.x")
        rows = reader.msgs(6)
        self.publish(self.link(), 3, first=4, subject="short.x")
        here_ms = time.time() * 1000 - DAY_MS
        rows += reader.msgs(3)
        times = [row["time_ms"] for row in rows]
        self.assertEqual(times, sorted(times))
        for when in times:
            self.assertLess(abs(when - here_ms), 60_000, "as kedged's clock says, a day behind")
        reader.ok("ack", consumer="reader", upto=rows[-1]["seq"])
        eventually(lambda: self.stored("SHORT") == 0, "retention takes them")
        with self.nats.jet() as jet:
            self.assertEqual(jet.publish("short.x", b"still", [("Kedge-Time", str(2**62))])["stream"], "SHORT")
        self.level(stream="SHORT")


if __name__ == "__main__":
    unittest.main()
