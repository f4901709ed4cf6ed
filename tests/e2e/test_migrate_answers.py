"""What an operator is told is what is so: plans that a start bears out, dry runs, comparisons, refusals, metrics."""

import json
import unittest

from migrating import STREAM, TOKEN, Migrating


class Base(Migrating):
    def down(self):
        self.nats.kill()
        self.await_status(lambda s: "link_down" in s["flags"], "the link is down")

    def typed(self, *words, status=0):
        """What a person in a pipe reads."""
        done = self.server.kedge("migrate", *words)
        self.assertEqual(done.returncode, status, done)
        return " ".join((done.stdout + done.stderr).decode().split())

    def names(self):
        with self.nats.jet() as jet:
            return jet.names()


class Plan(Base):
    def planned(self, stream, *words):
        """A plan that is not ok, and a start that says the same."""
        status, plan, error = self.run_migrate("migrate", "plan", stream)
        self.assertEqual(status, 1, (plan, error))
        bad = [check for check in plan["checks"] if check["result"] == "bad"]
        self.assertEqual(len(bad), 1, bad)
        refused = self.refused("start", stream)
        for word in words:
            self.assertIn(word, bad[0]["text"] + " " + bad[0]["do"])
            self.assertIn(word, refused)
        self.assertEqual(self.names(), [])

    def test_more_replicas_than_servers(self):
        self.server.stop()
        self.server.configure(self.configuration(self.nats.url(), "replicas = 3"))
        self.server.start()
        self.await_link()
        self.planned(STREAM, "replicas")


class Room(Base):
    nats_options = {"limits": "max_file: 20MB"}

    def test_no_room_for_what_is_reserved(self):
        """The server keeps room for max_bytes beforehand, and a copy asks for twice the stream's."""
        self.server.add_stream("CAP", "cap.>", max_bytes=12 * 1024 * 1024)
        self.planned = Plan.planned.__get__(self)
        self.planned("CAP", "insufficient", "max_file")
        self.server.add_stream("SMALL", "small.>", max_bytes=1024 * 1024)
        self.assertTrue(self.migrate("plan", "SMALL")["ok"])
        self.migrate("start", "SMALL")
        self.assertTrue(self.migrate("plan", "SMALL")["ok"])


class Told(Base):
    def test_nothing_to_do(self):
        self.assertIn("is not mirrored: nothing was done", self.typed("cancel", STREAM, "--delete-stream", "--yes"))
        self.assertIn("can be started", self.typed("plan", STREAM))
        self.start()
        self.assertIn(f"{STREAM} is MIRRORING already", self.typed("plan", STREAM))
        self.assertIn("from 'now'", self.refused("start", STREAM, "--from", "first"))
        self.assertIn("was started before", self.typed("start", STREAM))
        self.switch()
        self.assertIn("JetStream orders it already", self.typed("switch", STREAM))
        self.reverse()
        self.down()
        self.assertIn("no link", self.typed("start", STREAM) + self.typed("diff", STREAM, status=1))

    def test_a_dry_run_of_an_abandon(self):
        self.bring_to("NATS")
        self.level()
        self.publish(self.link("alice"), 3)
        self.publish_native(2)
        self.level()
        self.down()
        before = self.events(), self.status()["authority_epoch"]
        for more in ((), ("--yes",)):
            text = self.typed("reverse", STREAM, "--abandon", "--dry-run", *more)
            self.assertIn("behind message 5", text)
            self.assertIn("it can be done", text)
        self.assertEqual(self.state(), "NATS")
        self.assertEqual((self.events(), self.status()["authority_epoch"]), before)

    def test_a_dry_run_and_its_figures(self):
        self.start()
        self.make_ready()
        status, plan, _ = self.run_migrate("migrate", "switch", STREAM, "--dry-run", "--hold", "1ms")
        self.assertEqual((status, plan["ok"]), (1, False))
        self.assertIn("--hold", json.dumps(plan["why_not"]))
        self.assertIn("longest hold 5s, most held 64.0 MiB", self.typed("switch", STREAM, "--dry-run"))
        self.down()
        status, plan, _ = self.run_migrate("migrate", "switch", STREAM, "--dry-run")
        self.assertEqual(sum("no link" in why for why in plan["why_not"]), 1, plan["why_not"])

    def test_a_tail_is_not_the_whole(self):
        self.publish(self.link("alice"), 200)
        self.start("--from", "first")
        with self.nats.jet() as jet:
            jet.delete_message(STREAM, 100)
        self.assertEqual(self.diff()["missing"], 1)
        self.assertTrue(self.diff("--tail", "50")["clean"])
        s = self.await_status(lambda s: "checks in a row" not in json.dumps(s["not_ready"]), "the lag is small")
        self.assertFalse(s["ready"])
        self.assertEqual((s["diff"]["missing"], s["tail"]["clean"], s["tail"]["done"]), (1, True, 50))
        self.assertRegex(self.typed("status", STREAM), r"diff \S+ \S+ 200 compared, 1 missing tail \S+ \S+ the last 50 compared, clean")
        self.assertIn("differ", self.refused("switch", STREAM))  # its own tail is longer
        s = self.status()
        self.assertEqual((s["state"], s["ready"], s["diff"]["missing"], s["tail"]["missing"]), ("MIRRORING", False, 1, 1))

    def test_complete_and_its_stream(self):
        """With NATS away, and with the stream gone: no way is told that is none, and what is lost is said before."""
        self.publish(self.link("alice"), 20)
        self.bring_to("COMPLETE")
        self.down()
        self.assertNotIn("reverse", self.status()["next"])
        self.nats.start()
        self.level()
        with self.nats.jet() as jet:
            jet.delete(STREAM)
        self.await_status(lambda s: s["broken"], "it is missed")
        self.assertIn("--adopt", self.refused("resume", STREAM))
        self.assertIn("lost", self.typed("resume", STREAM, "--adopt", status=2))
        self.assertEqual(self.names(), [])
        self.migrate("resume", STREAM, "--adopt", "--yes")
        self.level()
        self.assertEqual(self.names(), [STREAM])

    def test_what_waits_for_nats(self):
        self.bring_to("NATS")
        self.down()
        self.link("alice").send("pub", "later", id="later", subject=TOKEN + ".ssh")
        hold = self.await_status(lambda s: s["hold"] and s["hold"]["age_ms"] >= 1000, "it has waited a second")["hold"]
        self.assertEqual(hold["messages"], 1)
        self.assertLessEqual(hold["left_ms"], 4000)


class Metrics(Base):
    def kedged(self, url, settings=None, **more):
        return super().kedged(url, settings, arguments=["--http", "127.0.0.1:0"], **more)

    def has(self, name):
        try:
            return self.server.metric(f'{name}{{stream="{STREAM}"}}')
        except StopIteration:
            return None

    def test_no_lag_that_is_not_known(self):
        self.start()
        self.make_ready()
        self.assertEqual([self.has("kedge_mirror_" + name) for name in ("lag_messages", "lag_known", "ready", "diff_found")], [0, 1, 1, 0])
        self.assertEqual(self.server.metric(f'kedge_mirror_state{{stream="{STREAM}",state="MIRRORING"}}'), 1)
        self.down()
        self.assertEqual([self.has("kedge_mirror_" + name) for name in ("lag_messages", "unread", "lag_known", "ready")], [None, None, 0, 0])


if __name__ == "__main__":
    unittest.main()
