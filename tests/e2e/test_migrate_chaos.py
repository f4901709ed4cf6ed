"""Clients of both homes work on one stream while everything around them is killed, frozen, cut off and put back to an older copy, at
labelled points of every transition and at random, and an operator goes on migrating. In the end the history must hold
(mirror_history.py, I1 to I12).

KEDGE_CHAOS_SEED repeats a run's schedule, KEDGE_CHAOS_KILLS says how many kill -9 of a process that ran it has at least: it goes on until
they are reached. KEDGE_CHAOS_TELL prints each step.
"""

import collections
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

import chaos
from harness import Test, eventually
from links import TIMEOUT
from migrating import STREAM, TOKEN, Refused
from mirror_history import Frozen, Rewind
from mirror_world import World
from nats_server import Proxy
from workers import LINE_CUT, NATS_CUT, TRY_AGAIN

SEED = int(os.environ.get("KEDGE_CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = int(os.environ.get("KEDGE_CHAOS_KILLS", "12"))
TELL = os.environ.get("KEDGE_CHAOS_TELL")
PATIENCE_S = 3  # for more answers, when nobody may be there to give them
WHOLE = 300  # kills of a run in which everything is to be met
# What the journal calls a change of state; it tells more than these.
TRANSITIONS = ("started", "cancelled", "switch intended", "switched", "switch rolled back", "reverse intended", "reversed", "reverse rolled back",
               "completed")


class Schedule(Test):
    """It follows from the seed alone, and has everything in it."""

    def test_reproducible(self):
        self.assertEqual(chaos.schedule(SEED, 300), chaos.schedule(SEED, 300))
        self.assertNotEqual(chaos.schedule(SEED, 300), chaos.schedule(SEED + 1, 300))

    def test_complete(self):
        steps = chaos.schedule(SEED, WHOLE)
        self.assertGreaterEqual(sum(map(chaos.kills_of, steps)), WHOLE)
        self.assertEqual({step.what for step in steps}, set(chaos.KILLS) | set(chaos.OTHERS))
        self.assertLessEqual(set(chaos.LABELS) | set(chaos.TAKEBACK), {(step.label or "").partition("#")[0] for step in steps})


class Chaos(World):
    users = World.users_for(6)
    settings = "hold_ms = 1500\nanswer_ms = 1000\nconnect_ms = 1000\n"
    between_s = 0.15

    def setUp(self):
        print(f"KEDGE_CHAOS_SEED={SEED} KEDGE_CHAOS_KILLS={KILLS}", file=sys.stderr, flush=True)
        super().setUp()
        self.kills = collections.Counter()  # of processes that ran
        self.cut = 0  # clients without a process
        self.done = collections.Counter()
        self.tried = 0  # labels
        self.reached = set()
        self.missed = []
        self.told = {}  # the events of the journal, which keeps only the last
        self.completed = {}  # stream -> bodies
        self.operator = None
        self.probes = self.history.publisher("alice/probe")
        self.add_clients(4, TRY_AGAIN, native_count=3, readers=3)

    def kedged(self, url, settings=None, **more):
        self.proxy = Proxy(lambda: self.nats.port)
        self.addCleanup(self.proxy.close)
        return super().kedged(self.nats.url(self.proxy.port), settings, **more)

    # --- the operator: the CLI, on a thread of its own, for whom nothing is certain

    def order(self, *words):
        """True when it was done."""
        try:
            return self.server.kedge("migrate", *words, "--yes" if words[0] == "cancel" and len(words) > 2 else "--json").returncode == 0
        except (subprocess.TimeoutExpired, OSError):
            return False

    def now(self):
        """The state as far as somebody answers."""
        s = self.sample()
        return s["state"] if s else None

    def go(self, command, state):
        if command == "advance":
            if state == "LEGACY":
                self.order("start", STREAM, "--from", "first")
            elif state == "MIRRORING":
                self.order("diff", STREAM)
                self.order("switch", STREAM)
            elif state == "NATS":
                self.order("reverse", STREAM)
        elif command == "pause":
            self.order("pause", STREAM)
            self.order("resume", STREAM)
        elif command == "diff":
            self.order("diff", STREAM)
        elif command == "dry run" and state:
            self.order("reverse" if state == "NATS" else "switch", STREAM, "--dry-run")
        elif command == "cancel" and state == "MIRRORING":
            self.order("cancel", STREAM)
            self.order("start", STREAM, "--from", "first")

    def command(self, step):
        """At most one at a time."""
        self.await_operator()
        state = self.now()
        self.operator = threading.Thread(target=self.go, args=(step.command, state), daemon=True)
        self.operator.start()

    def await_operator(self):
        if self.operator:
            self.operator.join(TIMEOUT * 2)
            self.assertFalse(self.operator.is_alive(), "a command that never ends")
            self.operator = None

    def bring(self, wanted):
        """Towards the state that a step needs; False when it could not be had in time."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            state = self.now()
            if state == wanted:
                return True
            if wanted == "LEGACY" and state == "MIRRORING":
                self.order("cancel", STREAM)
            elif wanted == "NATS" or state in ("LEGACY", "NATS"):
                self.go("advance", state)
        return False

    # --- what happens

    def returned(self):
        """kedged is back: what it says before anybody asks for anything."""
        self.sample(alone=self.operator is None or not self.operator.is_alive())

    def kill_kedged(self):
        self.kills["kedged"] += self.server.process.poll() is None
        self.server.kill()

    def kill_nats(self):
        self.kills["nats"] += self.nats.process.poll() is None
        self.nats.kill()

    def restart_kedged(self, label=None):
        self.kill_kedged()
        self.server.fault_point = label
        self.server.start_until_ready_or_end()
        self.server.fault_point = None

    def await_own_end(self, step):
        """kedged kills itself at the label; if its way did not lead there, that is noted."""
        try:
            eventually(lambda: self.server.process.poll() is not None, "", 10)
        except AssertionError:
            self.missed.append(step.label)
            self.kill_kedged()
        else:
            self.assertEqual(self.server.process.returncode, -signal.SIGKILL, f"{step}; log:\n{self.server.log()}")
            self.kills["kedged, at a label"] += 1
            self.reached.add(step.label.partition("#")[0])
        self.server.kill()
        self.server.start()
        self.returned()

    def on_kill_kedged(self, step):
        self.kill_kedged()
        if step.who % 4 == 0:  # in its next start, too
            self.server.launch()
            threading.Event().wait(step.delay)
            self.kill_kedged()
        self.server.start()
        self.returned()

    def on_kill_at_label(self, step):
        name = step.label.partition("#")[0]
        needed = chaos.LABELS[name]
        self.tried += 1
        self.await_operator()
        if needed == chaos.OWN:
            return self.complete(step)
        if needed and not self.bring(needed):
            self.missed.append(f"{step.label}: never {needed}")
            return
        self.restart_kedged(step.label)
        if needed:
            verb = name.partition(".")[0]
            deadline = time.monotonic() + 15
            while self.server.process.poll() is None and time.monotonic() < deadline:
                if verb == "switch":
                    self.order("diff", STREAM)
                self.order(verb, STREAM)
        self.await_own_end(step)

    def complete(self, step):
        """The stream with the clients could go no further then: another one is completed beside it."""
        name, bodies = f"DONE{step.number}", [f"{number} of {step.number}" for number in range(1, 41)]
        self.server.add_stream(name, name.lower() + ".>")
        self.insist(name, bodies[:10])
        if not self.bring_other(name):
            self.missed.append(f"{step.label}: never NATS")
            return
        self.insist(name, bodies[:20])
        self.restart_kedged(step.label)
        deadline = time.monotonic() + 15
        while self.server.process.poll() is None and time.monotonic() < deadline:
            self.order("complete", name, "--yes")
        self.await_own_end(step)
        state = self.status(name)["state"]
        self.assertIn(state, ("COMPLETE",) if "committed" in step.label and step.label not in self.missed else ("NATS", "COMPLETE"))
        eventually(lambda: self.order("complete", name, "--yes"), f"{name} is completed", TIMEOUT)
        self.insist(name, bodies)
        self.completed[name] = bodies

    def bring_other(self, name):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            state = self.status(name)["state"]
            if state == "NATS":
                return True
            if state == "LEGACY":
                self.order("start", name, "--from", "first")
            elif state == "MIRRORING":
                self.order("switch", name)
        return False

    def insist(self, name, bodies):
        """Published with their numbers as ids, again and again, until each is stored."""
        link = self.server.link("alice", "frames")
        try:
            link.hello("done")
            deadline = time.monotonic() + TIMEOUT
            left = list(enumerate(bodies))
            while left:
                for number, body in left:
                    link.send("pub", body, id=f"{name}-{number}", subject=name.lower() + ".x")
                answers = [link.answer(f"{name}-{number}") for number, _ in left]
                left = [each for each, answer in zip(left, answers) if answer.op != "ok"]
                self.assertLess(time.monotonic(), deadline, [dict(answer) for answer in answers])
                link.ping()
        finally:
            link.close()

    def check_completed(self):
        for name, bodies in self.completed.items():
            s = self.level(stream=name)
            self.assertEqual(s["state"], "COMPLETE", s)
            self.assertEqual([copy.body.decode() for _, copy in self.copies(name)], bodies)

    def on_kill_nats(self, step):
        self.kill_nats()
        if step.who % 2:
            threading.Event().wait(step.seconds)
        self.nats.start()

    def on_kill_both(self, step):
        for kill in (self.kill_kedged, self.kill_nats) if step.who % 2 else (self.kill_nats, self.kill_kedged):
            kill()
        if step.who % 4 < 2:
            self.nats.start()
            self.server.start()
        else:
            self.server.start()
            threading.Event().wait(step.seconds)
            self.nats.start()
        self.returned()

    def on_put_back(self, step, label=None):
        """Native clients go on publishing as soon as the older server is there, whether kedge has seen it or not."""
        self.await_operator()
        if self.now() in (None, "LEGACY") and not self.bring("MIRRORING"):
            return
        copied = time.monotonic()
        older = self.nats.copy()
        with self.nats.jet() as jet:
            last = jet.last(STREAM)
        self.more(step.answers)
        if label:
            self.restart_kedged(label)
        s = self.sample()
        if step.who % 3 == 0 and not label:
            self.kill_kedged()
        self.kill_nats()
        eventually(lambda: all(not client.line or client.line.ended for client in self.clients if hasattr(client, "acked")),
                   "native publishers have heard of it")
        self.rewinds += 1
        self.history.rewinds.append(Rewind(copied, time.monotonic(), last, s["checkpoint"] if s else 0))
        self.nats.put_back(older)
        if step.who % 3 == 0 and not label:
            self.server.start()
            self.returned()

    def on_put_back_and_kill(self, step):
        rewinds = self.rewinds
        self.on_put_back(step, step.label)
        if self.rewinds > rewinds:
            self.tried += 1
            self.await_own_end(step)

    def victim(self, step):
        return self.clients[step.who % len(self.clients)]

    def on_kill_client(self, step):
        line = self.victim(step).line
        process = getattr(getattr(line, "raw", None), "_process", None)
        if process:
            self.kills["client"] += process.poll() is None
            process.kill()
            return
        if hasattr(line, "raw"):
            line.raw.cut()
        elif line:
            line.cut("killed")
        self.cut += line is not None

    def on_freeze_client(self, step):
        process = getattr(getattr(self.victim(step).line, "raw", None), "_process", None)
        if process and process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            threading.Event().wait(step.seconds)
            process.send_signal(signal.SIGCONT)

    def on_freeze_nats(self, step):
        """I8: with SQLite the authority a publisher notices nothing."""
        self.await_operator()
        before = self.now()
        with self.nats.frozen():
            if before == "MIRRORING":
                self.probe(time.monotonic() + step.seconds)
            else:
                threading.Event().wait(step.seconds)

    def probe(self, deadline):
        """NATS stays frozen until each of these has its answer."""
        first = self.probes.sent
        link = self.server.link("alice")
        link.hello("probe")
        try:
            while time.monotonic() < deadline or self.probes.sent < first + 10:
                self.probes.sent += 1
                number = self.probes.sent
                answer = link.ok("pub", f"alice/probe {number}", id=str(number), subject=TOKEN + ".probe")
                self.probes.answers.append((number, answer["seq"]))
        finally:
            link.close()
            answered = sum(number > first for number, _ in self.probes.answers)
            self.history.frozen.append(Frozen(self.probes.sent - first, answered))

    def on_freeze_kedged(self, step):
        self.server.process.send_signal(signal.SIGSTOP)
        threading.Event().wait(step.seconds)
        self.server.process.send_signal(signal.SIGCONT)

    def on_cut(self, step):
        self.proxy.cut()

    def on_hold_the_line(self, step):
        self.proxy.hold()
        threading.Event().wait(step.seconds)
        self.proxy.release()

    def on_look(self, step):
        self.inspect(f"step {step.number}")

    # --- the run

    def more(self, answers):
        """So many more, or as many as there are in a while: perhaps nobody can answer now."""
        try:
            self.await_progress(answers, PATIENCE_S)
        except AssertionError:
            self.healthy()

    def take(self, step):
        self.more(step.answers)
        if step.command:
            self.command(step)
        threading.Event().wait(step.delay)
        getattr(self, "on_" + step.what.replace(" ", "_"))(step)
        self.done[step.what] += 1
        s = self.sample()
        self.remember_events()
        if TELL:
            print(f"    {s and [s[key] for key in ('state', 'flags', 'broken', 'checkpoint', 'jet_last', 'floor', 'last', 'counters')]}",
                  file=sys.stderr, flush=True)
        self.healthy()

    def remember_events(self):
        try:
            events = self.events()
        except (Refused, *LINE_CUT):
            return
        for event in events:
            self.told.setdefault(tuple(event[key] for key in ("time_ms", "what", "state", "why")), event)

    def calm(self):
        """Nothing is wrong any more, and an operator leaves it in a state in which both sides are copied."""
        self.await_operator()
        if self.server.process.poll() is not None:
            self.server.start()
        self.order("resume", STREAM)
        self.assertTrue(self.bring("NATS" if SEED % 2 else "MIRRORING"), f"it never got there: {self.sample()}; events: {self.events()}")

    def test_chaos(self):
        self.order("start", STREAM, "--from", "first")
        for client in self.clients:
            client.start()
        self.await_progress(50)
        for step in chaos.steps(SEED):
            if self.kills.total() >= KILLS:
                break
            self.assertLess(step.number, 4 * KILLS + 30, f"too few of the steps kill: {self.kills}")
            if TELL:
                print(step, file=sys.stderr, flush=True)
            try:
                self.take(step)
            except (Refused, *LINE_CUT, *NATS_CUT) as error:
                raise AssertionError(f"{step}: {error!r}") from error
        self.calm()
        self.settle()
        self.check_completed()
        self.remember_events()
        self.history.reordered = self.status()["counters"]["reordered"]
        found = self.violations()
        transitions = collections.Counter(event["what"] for event in self.told.values() if event["what"] in TRANSITIONS)
        print(f"{self.kills.total()} kills {dict(self.kills)}, {self.cut} clients cut, {len(self.history.rewinds)} directories put back, "
              f"{transitions.total()} transitions {dict(transitions)} of {STREAM} and {len(self.completed)} streams completed, "
              f"{len({sample.epoch for sample in self.history.samples})} authority epochs, {len(self.history.log)} messages, "
              f"{len(self.history.inspections)} inspections, {self.tried} labels tried, not reached {self.missed}, {len(found)} violations, "
              f"seed {SEED}", file=sys.stderr, flush=True)
        for violation in found:
            print(violation, file=sys.stderr, flush=True)
        if found and TELL:
            for place, message in self.copies():
                print(f"copy {place} {message.body[:20]} {message.headers}", file=sys.stderr)
            for row, event in [*zip(self.history.log, [self.history.senders[seq] for seq, _, _ in self.history.log]),
                               *(("event", event) for event in self.told.values())]:
                print(row, event, file=sys.stderr)
        self.assertFalse(found, f"KEDGE_CHAOS_SEED={SEED}")
        self.assertGreaterEqual(self.kills.total(), KILLS)
        self.assertLessEqual(len(self.missed), 2 + self.tried // 10, f"KEDGE_CHAOS_SEED={SEED}: labels not reached: {self.missed}")
        if KILLS >= WHOLE:
            self.assertLessEqual(set(chaos.LABELS) | set(chaos.TAKEBACK), self.reached, f"KEDGE_CHAOS_SEED={SEED}")
            self.assertEqual(set(TRANSITIONS) - {"completed", "switch rolled back", "reverse rolled back"} - set(transitions), set())
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
