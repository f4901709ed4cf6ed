"""The operator's way through the states: what each command does, what it refuses, and that nothing of it is lost when kedged goes."""

import json
import unittest

from harness import eventually
from migrating import STREAM, TOKEN, Migrating


class Way(Migrating):
    def test_there_and_back_and_there(self):
        """Each side's publishes reach the other in every state, `seq` goes on, a durable consumer goes on."""
        alice, watch = self.link("alice", "desk"), self.link("bob", "desk")
        self.assertEqual([a["seq"] for a in self.publish(alice, 10)], list(range(1, 11)))
        watch.ok("consume", stream=STREAM, consumer="durable", start="first")
        expected = [f"ssh {number}" for number in range(1, 11)]
        self.start("--from", "first")
        number = 11
        for state in ("MIRRORING", "NATS", "MIRRORING", "NATS", "COMPLETE"):
            if state == "NATS":
                done = self.switch()
                self.assertEqual((done["stream"], done["state"]), (STREAM, "NATS"))
                self.assertLess(done["held_ms"], 5000)
            elif state == "COMPLETE":
                self.level()
                self.migrate("complete", STREAM, "--yes")
            elif number > 11:
                self.reverse()
            s = self.status()
            self.assertEqual((s["state"], s["authority"]), (state, "sqlite" if state == "MIRRORING" else "nats"))
            self.publish(alice, 5, first=number)
            expected += [f"ssh {n}" for n in range(number, number + 5)]
            self.level()
            self.publish_native(5, first=number)
            expected += [f"native {n}" for n in range(number, number + 5)]
            self.level()
            number += 5
        got = watch.msgs(len(expected))
        self.assertEqual([msg.body.decode() for msg in got], expected)
        self.assertEqual([msg["seq"] for msg in got], list(range(1, len(expected) + 1)))
        self.assertEqual({msg["tries"] for msg in got}, {1})
        self.assertEqual({msg["from"] for msg in got}, {"alice/desk", "nats"})
        self.assert_same_sides()
        self.assert_bodies("ssh", range(1, number))
        self.assert_bodies("native", range(11, number))
        states = [event["state"] for event in self.events()]
        self.assertEqual([state for state, before in zip(states, [None, *states]) if state not in (before, "LEGACY")],
                         ["MIRRORING", "SWITCHING", "NATS", "REVERSING", "MIRRORING", "SWITCHING", "NATS", "COMPLETE"])

    def test_start_from(self):
        """`now`: nothing of what is there is copied; `unacked`: from what a consumer is not done with; `first`: all."""
        link = self.link("alice")
        for name, want in (("NOW", 0), ("UNACKED", 6), ("FIRST", 10)):
            with self.subTest(name):
                self.server.add_stream(name, name.lower() + ".>")
                self.publish(link, 10, subject=name.lower() + ".x")
                reader = self.link("bob")
                reader.ok("consume", stream=name, consumer="c", start="first")
                reader.msgs(10)
                reader.ok("ack", consumer="c", stream=name, upto=4)
                self.migrate("start", name, "--from", name.lower())
                self.level(stream=name)
                self.assertEqual([m.body.decode() for _, m in self.copies(name)], [f"ssh {n}" for n in range(11 - want, 11)])
                link.ok("pub", "later", subject=name.lower() + ".x")
                self.level(stream=name)
                self.assertEqual(len(self.copies(name)), want + 1)

    def test_start_copies_everything_of_a_message(self):
        link = self.link("alice", "desk")
        link.ok("pub", b"\x00\xff body", id="an id", subject=TOKEN + ".a.b", headers={"Color": "dunkelgrün", "N": "1"})
        self.start("--from", "first")
        ((place, copy),) = self.copies()
        self.assertEqual((place, copy.subject, copy.body), (1, TOKEN + ".a.b", b"\x00\xff body"))
        headers = dict(copy.headers)
        self.assertEqual((headers["Color"], headers["N"]), ("dunkelgrün", "1"))
        self.assertEqual(headers["Kedge-From"], "alice/desk")
        self.assertTrue(headers["Kedge-Row"].startswith("r "))
        self.assertEqual(headers["Kedge-Id"].replace("%20", " "), "an id")
        self.assertIn("Nats-Msg-Id", headers)

    def test_native_messages_are_delivered(self):
        """With their headers, without those that are JetStream's or ours, to plain subscribers and consumers."""
        self.start()
        plain, durable = self.link("alice"), self.link("bob")
        plain.ok("sub", subject=TOKEN + ".>")
        durable.ok("consume", stream=STREAM, consumer="d", start="first")
        with self.nats.jet() as jet:
            jet.publish(TOKEN + ".x", b"hello", [("Color", "red"), ("Kedge-From", "op/desk"), ("Kedge-Other", "x")], msg_id="native-1")
        for msg in (plain.expect("msg"), durable.expect("msg")):
            self.assertEqual((msg["subject"], msg.body, msg["from"], msg["stream"], msg["seq"]), (TOKEN + ".x", b"hello", "nats", STREAM, 1))
            self.assertEqual(msg["headers"], {"Color": "red"})
        self.level()
        self.assertEqual(len(self.copies()), 1)

    def test_states_survive_a_kill(self):
        """`kill -9` and a new start in every state: the same state, the same sides, and on it goes."""
        number, natives = 1, 0
        keeper = self.link("audit")  # done with nothing: COMPLETE keeps what consumers need
        keeper.ok("consume", stream=STREAM, consumer="keeper", start="first", window=1)
        for state in ("LEGACY", "MIRRORING", "NATS", "COMPLETE"):
            with self.subTest(state):
                if state == "MIRRORING":
                    self.start("--from", "first")
                elif state == "NATS":
                    self.switch()
                elif state == "COMPLETE":
                    self.level()
                    self.migrate("complete", STREAM, "--yes")
                link = self.link("alice", "desk")
                self.publish(link, 20, first=number)
                before = self.status()
                self.server.kill()
                self.server.start()
                after = self.status()
                for field in ("state", "authority", "authority_epoch"):
                    self.assertEqual(after[field], before[field])
                link = self.link("alice", "desk")
                answers = self.publish(link, 25, first=number)  # 20 of them again
                self.assertEqual([a.get("dup", False) for a in answers], [True] * 20 + [False] * 5)
                number += 25
                if state != "LEGACY":
                    natives += 1
                    self.publish_native(1, first=natives)
                    self.level()
                    self.assert_same_sides()
                self.assertEqual([row["seq"] for row in self.rows()], list(range(1, number + natives)))

    def test_pause(self):
        """Paused: nothing crosses, publishes are answered as ever, status says so; resumed it catches up."""
        self.start()
        link = self.link("alice")
        self.migrate("pause", STREAM)
        self.assertIn("paused", self.status()["flags"])
        self.publish(link, 20)
        self.publish_native(5)
        s = self.await_status(lambda s: s["lag"]["messages"] == 20, "what waits is counted")
        self.assertFalse(s["ready"])
        self.assertTrue(s["not_ready"])
        self.assertEqual(len(self.copies()), 5)
        self.refused("switch", STREAM)
        self.server.kill()
        self.server.start()
        self.assertIn("paused", self.status()["flags"])
        self.migrate("pause", STREAM)  # once more does no harm
        self.migrate("resume", STREAM)
        self.level()
        self.assert_same_sides()

    def test_cancel_and_start_again(self):
        """`cancel` keeps the checkpoint: `start` goes on, with what both sides got meanwhile, and nothing twice."""
        self.start()
        link = self.link("alice")
        self.publish(link, 10)
        self.publish_native(10)
        self.level()
        self.migrate("cancel", STREAM)
        self.assertEqual(self.state(), "LEGACY")
        self.publish(link, 10, first=11)
        self.publish_native(10, first=11)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.state(), "LEGACY")
        self.assertEqual(len(self.rows()), 30)
        self.start()
        self.assert_same_sides()
        self.assert_bodies("ssh", range(1, 21))
        self.assert_bodies("native", range(1, 21))

    def test_cancel_and_delete(self):
        """`--delete-stream` wants the name typed; then the copy is gone and a start begins anew."""
        self.start("--from", "first")
        self.publish(self.link("alice"), 10)
        self.level()
        status, value, _ = self.run_migrate("migrate", "cancel", STREAM, "--delete-stream")
        self.assertNotEqual(status, 0)
        self.assertEqual(value["confirm"], STREAM)
        self.assertTrue(value["risk"])
        self.assertEqual(self.state(), "MIRRORING")
        self.migrate("cancel", STREAM, "--delete-stream", "--yes")
        with self.nats.jet() as jet:
            self.assertNotIn(STREAM, jet.names())
        self.assertEqual(self.state(), "LEGACY")
        self.assertEqual(len(self.rows()), 10)
        self.start("--from", "first")
        self.assert_same_sides()

    def test_complete_has_no_way_back(self):
        self.bring_to("NATS")
        status, value, _ = self.run_migrate("migrate", "complete", STREAM)
        self.assertEqual((status != 0, value["confirm"]), (True, STREAM))
        self.assertEqual(self.state(), "NATS")
        self.migrate("complete", STREAM, "--yes")
        self.assertEqual(self.state(), "COMPLETE")
        for words in (("reverse", STREAM), ("cancel", STREAM), ("switch", STREAM), ("start", STREAM), ("complete", STREAM, "--yes"),
                      ("reverse", STREAM, "--abandon", "--yes")):
            with self.subTest(words):
                if words[0] != "complete":  # that one is harmless
                    self.refused(*words)
                self.assertEqual(self.state(), "COMPLETE")
        self.publish(self.link("alice"), 3)

    def test_wrong_commands(self):
        """A command that has no place in a state is refused with a sentence and changes nothing."""
        steps = (("LEGACY", ("switch", "reverse", "complete --yes", "pause", "resume")),
                 ("MIRRORING", ("complete --yes",)),
                 ("NATS", ("cancel", "start")))
        for state, commands in steps:
            if state == "MIRRORING":
                self.start()
            elif state == "NATS":
                self.switch()
            for command in commands:
                with self.subTest(state=state, command=command):
                    verb, *rest = command.split()
                    self.refused(verb, STREAM, *rest)
                    self.assertEqual(self.state(), state)
        self.refused("start", "NONE")
        self.refused("status", "NONE")

    def test_only_operators(self):
        for command in ("status", "plan CHAT", "start CHAT", "switch CHAT"):
            status, out, error = self.server.execute("alice", "migrate", *command.split())
            self.assertNotEqual(status, 0, out)
            self.assertTrue(error)
        self.assertEqual(self.state(), "LEGACY")


class Dry(Migrating):
    def test_dry_runs_change_nothing(self):
        self.start()
        link = self.link("alice")
        self.publish(link, 10)
        self.make_ready()
        for before, command, go in (("MIRRORING", "switch", lambda: self.switch()), ("NATS", "reverse", None), ("NATS", "complete", None)):
            with self.subTest(command):
                events = self.events()
                plan = self.migrate(command, STREAM, "--dry-run")
                self.assertTrue(plan["ok"], plan)
                self.assertEqual(plan["stream"], STREAM)
                self.assertTrue(plan["steps"] and all(step["text"] for step in plan["steps"]))
                self.assertEqual(plan["why_not"], [])
                self.assertEqual((self.state(), self.events()), (before, events))
                if go:
                    go()
                    self.level()
        self.publish(link, 10, first=11)

    def test_a_dry_run_says_why_not(self):
        self.start()
        self.migrate("pause", STREAM)
        status, plan, _ = self.run_migrate("migrate", "switch", STREAM, "--dry-run")
        self.assertFalse(plan["ok"])
        self.assertTrue(plan["why_not"])
        self.assertEqual(self.state(), "MIRRORING")


class Events(Migrating):
    def test_system_events(self):
        """Each change of state and of a flag is told to those who subscribe, and kept."""
        watch = self.link("op")
        watch.ok("sub", subject="$sys.migration.*")
        self.start()
        self.migrate("pause", STREAM)
        self.migrate("resume", STREAM)
        self.switch()
        self.nats.freeze()
        self.nats.thaw()
        self.reverse()
        seen = []

        def arrived():
            seen.extend(json.loads(n.body) for n in watch.arrived() if n.op == "msg" and n["subject"] == f"$sys.migration.{STREAM}")
            return seen and seen[-1]["state"] == "MIRRORING" and any(s["state"] == "REVERSING" for s in seen)

        eventually(arrived, "the last event")
        for event in seen:
            self.assertEqual(event["stream"], STREAM)
            self.assertTrue(event["what"])
            self.assertGreater(event["time_ms"], 1_600_000_000_000)
        states = [event["state"] for event in seen]
        for state in ("MIRRORING", "SWITCHING", "NATS", "REVERSING"):
            self.assertIn(state, states)
        self.assertTrue(any("pause" in event["what"] for event in seen), seen)
        self.server.kill()
        self.server.start()
        kept = self.events()
        self.assertEqual([e["state"] for e in kept if e["state"] == "SWITCHING"], ["SWITCHING"])
        self.assertTrue(all(e["by"] for e in kept if "intended" in e["what"]), kept)
        self.assertEqual(sorted(e["time_ms"] for e in kept), [e["time_ms"] for e in kept])

    def test_a_refusal_of_what_would_break_the_copy(self):
        """A mirrored stream is not purged, edited in its subjects or removed; other edits are."""
        self.start()
        self.publish(self.link("alice"), 3)
        for words in (("stream", "purge", STREAM, "--yes"), ("stream", "purge", STREAM), ("stream", "remove", STREAM, "--yes"),
                      ("stream", "remove", STREAM), ("stream", "edit", STREAM, "--subjects", "other.>")):
            with self.subTest(words):
                status, out, error = self.server.execute("op", *words)
                self.assertNotEqual(status, 0, out)
        self.assertEqual(len(self.rows()), 3)
        self.level()
        self.assert_same_sides()

    def test_a_bridge_and_a_stream_do_not_meet(self):
        """Neither may be made where the other is."""
        def bridge(*words):
            return self.server.execute("op", "bridge", *words)

        for pattern in (TOKEN + ".>", TOKEN + ".x", ">", "*.x"):
            with self.subTest(pattern):
                status, out, error = bridge("add", pattern)
                self.assertNotEqual(status, 0, out)
        self.assertEqual(bridge("add", "live.>")[0], 0)
        for subjects in ("live.x", "live.>", "*.y"):
            with self.subTest(subjects):
                status, out, error = self.server.execute("op", "stream", "add", "LIVE", "--subjects", subjects)
                self.assertNotEqual(status, 0, out)
        self.assertNotEqual(self.server.execute("op", "stream", "edit", STREAM, "--subjects", TOKEN + ".>,live.x")[0], 0)
        self.start()
        self.assertEqual([b["pattern"] for b in self.migrate("status")["bridges"]], ["live.>"])
        self.assertEqual(bridge("remove", "live.>")[0], 0)
        self.server.add_stream("LIVE", "live.>")


class Named(Migrating):
    """A stream whose copy has a name of its own, given in the configuration."""

    settings = f'stream_prefix = "K_"\nstream_names = ["{STREAM}=TALK"]'

    def test_there_and_back(self):
        self.server.add_stream("OTHER", "other.>")
        self.migrate("start", "OTHER")
        self.start()
        self.publish(self.link("alice", "desk"), 3)
        self.switch()
        self.publish(self.link("alice", "desk"), 3, first=4)
        self.reverse()
        self.assertEqual(self.level()["jet"], "TALK")
        self.assertEqual(self.status("OTHER")["jet"], "K_OTHER")
        self.assertEqual([copy.body for _, copy in self.copies("TALK")], [b"ssh %d" % n for n in range(1, 7)])


if __name__ == "__main__":
    unittest.main()
