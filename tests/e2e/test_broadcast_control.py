"""Issue item 4: `$sys.broadcast` reaches all who subscribe; `kedge control` commands bots and gathers their answers."""

import json
import subprocess
import unittest

from harness import KEDGE, Case, eventually
from links import TIMEOUT
from screen import Screen


class Broadcast(Case):
    def test_those_allowed_reach_all_who_subscribe(self):
        """§7 `$sys.broadcast`: whoever may publish there reaches every link that subscribes."""
        self.server.admin("rule", "add", "allow", "subscribe", "$sys.broadcast", "--role", "user")
        self.server.admin("rule", "add", "allow", "subscribe", "$sys.broadcast", "--role", "bot")
        links = [self.link(user, form=form) for user in ("alice", "bob", "bot1") for form in ("lines", "frames")]
        for link in links:
            link.ok("sub", subject="$sys.broadcast")
        bot = self.link("bot1")
        self.assertEqual(bot.refused("pub", "x", subject="$sys.broadcast"), "denied")
        self.link("op", "desk").ok("pub", "to all", subject="$sys.broadcast", headers={"Urgency": "low"})
        rule = json.loads(self.server.admin("rule", "add", "allow", "publish", "$sys.broadcast", "--user", "bot1", "--json"))["id"]
        bot.ok("pub", "from a bot", subject="$sys.broadcast")
        for link in links:
            one, two = link.msgs(2)
            self.assertEqual((one["subject"], one["from"], one["headers"], one.body), ("$sys.broadcast", "op/desk", {"Urgency": "low"}, b"to all"))
            self.assertEqual(two.body, b"from a bot")
        self.server.admin("rule", "remove", str(rule))
        self.assertEqual(bot.refused("pub", "x", subject="$sys.broadcast"), "denied")


class Control(Case):
    """Bots are nodes named `control` or `control-…`; they listen where `kedge control` speaks, and answer to its `reply_to`."""

    users = {"op": "operator", "bot1": "bot", "bot2": "bot", "bot3": "bot"}

    def bot(self, user, *groups):
        link = self.link(user, "control")
        for subject in ("control.all", f"control.bot.{user}", *(f"control.group.{group}" for group in groups)):
            link.ok("sub", subject=subject)
        return link

    def control(self, *words):
        process = subprocess.Popen([KEDGE, "--home", self.server.home, "control", *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.server.environment())
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def finished(self, process):
        """Its exit status and what it printed."""
        out, error = process.communicate(timeout=TIMEOUT)
        self.assertNotIn(b"\x1b", out, "colours only on a terminal")
        return process.returncode, out.decode() + error.decode()

    def answer(self, bot, text, **fields):
        msg = bot.expect("msg")
        bot.ok("pub", text, subject=msg["reply_to"], **fields)
        return msg

    def test_all_a_group_one(self):
        """Issue item 4: sends a command to all bots, a group, or one, and prints the answers; it waits for no more than are
        expected."""
        group = self.name("games")
        self.link("op").ok("list", list=group, add=["bot1", "bot2"])
        bots = {"bot1": self.bot("bot1", group), "bot2": self.bot("bot2", group), "bot3": self.bot("bot3")}
        for words, who in (([], ("bot1", "bot2", "bot3")), (["--group", group], ("bot1", "bot2")), (["--bot", "bot2"], ("bot2",)),
                           (["--bot", "bot3", "--bot", "bot1"], ("bot1", "bot3"))):
            with self.subTest(words):
                process = self.control("status now", *words, "--timeout", "60s")
                for user in who:
                    self.assertEqual(self.answer(bots[user], f"{user} is well").body, b"status now")
                status, text = self.finished(process)
                self.assertEqual(status, 0, text)
                for user in bots:
                    self.assertEqual(f"{user} is well" in text, user in who, text)
        for bot in bots.values():
            self.assertEqual(self.bodies(bot.arrived()), [])

    def test_those_that_did_not_answer(self):
        """Issue item 4: with those that did not answer."""
        bots = {user: self.bot(user) for user in ("bot1", "bot2", "bot3")}
        process = self.control("report", "--timeout", "2s")
        self.answer(bots["bot1"], "one reports")
        self.answer(bots["bot3"], "three reports")
        bots["bot2"].expect("msg")
        status, text = self.finished(process)
        self.assertNotEqual(status, 0)
        self.assertIn("one reports", text)
        self.assertIn("three reports", text)
        self.assertRegex(text, r"bot2.*no answer|no answer.*bot2")

    def test_a_failure_is_one(self):
        """An answer says how it went: `Control-Status`, 0 if absent."""
        bots = {user: self.bot(user) for user in ("bot1", "bot2")}
        process = self.control("restart", "--timeout", "60s", "--json")
        self.answer(bots["bot1"], "done")
        self.answer(bots["bot2"], "cannot", headers={"Control-Status": "3"})
        out, _ = process.communicate(timeout=TIMEOUT)
        self.assertNotEqual(process.returncode, 0)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertIn("cannot", json.dumps(lines))
        self.assertIn(3, [value for line in lines for value in line.values()])

    def test_a_listener(self):
        """`kedge control --listen --exec`: a shell command that is a bot; it obeys those whom it shall."""
        listener = subprocess.Popen(self.server.kedge_argv("bot1", "control", "--listen", "--from", "op", "--exec", 'echo "I heard $(cat)"'),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.server.environment())
        self.addCleanup(lambda: (listener.poll() is None and listener.kill(), listener.communicate()))
        op, other = self.link("op"), self.link("bot2")
        for link in (op, other):
            link.ok("sub", subject="my.answers")
        eventually(lambda: [n for n in json.loads(op.ask("who").body)["nodes"] if n["user"] == "bot1" and n["node"] == "control"], "it is there")
        # It subscribes after it said who it is: ask until it hears.
        numbers = iter(range(10_000))

        def heard():
            op.ok("pub", f"ask {next(numbers)}", subject="control.bot.bot1", reply_to="my.answers")
            return self.bodies(op.arrived())
        self.assertIn("I heard ask", eventually(heard, "an answer")[0])
        other.ok("pub", "not from you", subject="control.bot.bot1", reply_to="my.answers")
        op.ok("pub", "the end", subject="control.bot.bot1", reply_to="my.answers")
        answer = op.take(lambda n: n.op == "msg" and (b"the end" in n.body or b"not from you" in n.body))
        self.assertIn(b"the end", answer.body)

    def test_in_a_terminal(self):
        """A table as the answers come, narrow and wide, with and without colours."""
        bots = {user: self.bot(user) for user in ("bot1", "bot2")}
        long = "an answer that is rather long for a terminal of sixty columns, but not for one of two hundred; end"
        for columns, plain in ((60, True), (200, False)):
            with self.subTest(columns=columns):
                screen = Screen([KEDGE, "--home", self.server.home, "control", "report", "--timeout", "2s"], columns, 20,
                                dict(self.server.environment(), **({"NO_COLOR": "1"} if plain else {})))
                self.addCleanup(screen.close)
                self.answer(bots["bot1"], long)
                text = screen.await_text("bot1", "an answer")
                bots["bot2"].expect("msg")
                text = screen.await_text("bot2", "no answer")
                self.assertTrue(all(len(line) <= columns for line in text.split("\n")), text)
                self.assertIn("end", text.replace("\n", ""))
                if plain:
                    self.assertNotRegex(screen.escapes(), "\x1b\\[[0-9;]*3[0-9]")
                screen.status()


if __name__ == "__main__":
    unittest.main()
