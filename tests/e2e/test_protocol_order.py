"""§5 Guarantees: order of subjects and streams, the barrier, answers in order, end of input."""

import subprocess
import unittest

from harness import Case
from wire import Lines

FORMS = ("lines", "frames")


def batch(link, *operations):
    """One write, so that the server finds them all at once. An operation is (fields, body)."""
    link.write(b"".join(link.codec.encode(fields, body) for fields, body in operations))


class Order(Case):
    def test_one_subject(self):
        """§5.1: messages of one link on one subject reach every subscriber in the order in which they were sent."""
        t = self.name("t")
        readers = [self.link(user, form=form) for user, form in (("alice", "lines"), ("bob", "frames"))]
        for reader in readers:
            reader.ok("sub", subject=t)
        writers = [self.link(form=form) for form in FORMS]
        for which, writer in enumerate(writers):
            batch(writer, *(({"op": "pub", "subject": t}, f"{which} {n}".encode()) for n in range(500)))
        for writer in writers:
            writer.ping()
        for reader in readers:
            bodies = [body.split() for body in self.bodies(reader.msgs(1000))]
            for which in ("0", "1"):
                self.assertEqual([n for w, n in bodies if w == which], [str(n) for n in range(500)])

    def test_stream_order_is_the_order_of_all(self):
        """§5.2: a stream has one order; a consumer's first deliveries and plain subscribers follow it."""
        name, token = self.stream()
        consumer, plain = self.link(), self.link("bob")
        consumer.ok("consume", stream=name, consumer="c", window=1000)
        plain.ok("sub", subject=token + ".>")
        writers = [self.link(form=form) for form in FORMS]
        for which, writer in enumerate(writers):
            batch(writer, *(({"op": "pub", "subject": f"{token}.{n % 3}", "id": f"{n}"}, f"{which} {n}".encode())
                            for n in range(300)))
        got = consumer.msgs(600)
        self.assertEqual(self.seqs(got), list(range(1, 601)))
        self.assertEqual(self.bodies(plain.msgs(600)), self.bodies(got))
        for which in ("0", "1"):
            mine = [body.split()[1] for body in self.bodies(got) if body.startswith(which)]
            self.assertEqual(mine, [str(n) for n in range(300)])

    def test_operations_take_effect_in_the_order_sent(self):
        """§5.7"""
        for form in FORMS:
            with self.subTest(form):
                link = self.link(form=form)
                t = self.name("t")
                pub = {"op": "pub", "subject": t}
                batch(link, (pub, b"before"), ({"op": "sub", "subject": t}, None), (pub, b"during"),
                      ({"op": "unsub", "subject": t}, None), (pub, b"after"), ({"op": "sub", "subject": t}, None), (pub, b"again"))
                self.assertEqual(self.bodies(link.arrived()), ["during", "again"])

    def test_ping_is_a_barrier(self):
        """§5.7: `pong` follows everything that earlier operations put on this link, except an `ok` that waits for a commit."""
        for form in FORMS:
            with self.subTest(form):
                link = self.link(form=form)
                t = self.name("t")
                operations = [({"op": "sub", "subject": t, "id": "s"}, None)]
                operations += [({"op": "pub", "subject": t}, b"%d" % n) for n in range(200)]
                operations += [({"op": "pub", "subject": "a..b", "id": "bad"}, b""), ({"op": "who", "id": "w"}, None),
                               ({"op": "nonsense", "id": "u"}, None), ({"op": "ping", "id": "end"}, None)]
                batch(link, *operations)
                notices = []
                while not notices or notices[-1].get("id") != "end":
                    notices.append(link.next())
                self.assertEqual(self.bodies(notices), [str(n) for n in range(200)])
                self.assertLessEqual({"s", "bad", "w", "u"}, {n.get("id") for n in notices})

    def test_barrier_holds_under_load_of_others(self):
        """§5.7: whoever else publishes, a ping covers this link's own operations."""
        noise = self.link("bob")
        t = self.name("t")
        batch(noise, *(({"op": "pub", "subject": t + ".noise"}, b"x" * 100) for _ in range(5000)))
        link = self.link()
        link.ok("sub", subject=t + ".>")
        for number in range(50):
            link.send("pub", str(number), subject=t + ".own")
            self.assertIn(str(number), self.bodies(link.arrived()))

    def test_after_ok_of_sub_nothing_is_missed(self):
        """§5.7: after the `ok` of `sub` nothing later is missed."""
        publisher = self.link("bob")
        for number in range(30):
            link = self.channel(self.session()) if number % 10 == 0 else link
            t = self.name("t")
            link.ok("sub", subject=t)
            publisher.ok("pub", "x", subject=t)
            self.assertEqual(link.msgs(1)[0]["subject"], t)

    def test_answers_of_one_stream_in_the_order_sent(self):
        """§5.7: answers to a link's publishes on one stream come in the order sent, duplicates too."""
        name, token = self.stream()
        other, second = self.stream()
        for form in FORMS:
            link = self.link(form=form, node=form)
            sent = []
            operations = []
            for number in range(300):
                identity = f"{form}{number - 1 if number % 5 == 4 else number}"  # every fifth repeats the one before
                fields = {"op": "pub", "subject": f"{token}.x", "id": identity}
                sent.append(identity)
                operations.append((fields, b"b%d" % (number - 1 if number % 5 == 4 else number)))
                if number % 7 == 0:
                    operations.append(({"op": "pub", "subject": f"{second}.y", "id": f"o{form}{number}"}, b"x"))
                if number % 11 == 0:
                    bad = {"op": "pub", "subject": f"{token}.x", "id": f"bad{number}", "headers": {"A": " "}}
                    operations.append((bad, b""))
            batch(link, *operations)
            answers = [link.take(lambda n: n.op == "ok" and n.get("stream") == name) for _ in sent]
            self.assertEqual([n["id"] for n in answers], sent)
            self.assertEqual([n["seq"] for n in answers], sorted(n["seq"] for n in answers))
            self.assertEqual([bool(n.get("dup")) for n in answers], [n % 5 == 4 for n in range(300)])

    def test_every_answer_exactly_once(self):
        """§4: an operation with an `id` is answered exactly once."""
        name, token = self.stream()
        link = self.link(node="once")
        operations = [({"op": op, "id": f"{op}{n}", **fields}, None)
                      for n in range(100)
                      for op, fields in (("ping", {}), ("sub", {"subject": f"{token}.{n}"}), ("who", {}), ("nope", {}),
                                         ("pub", {"subject": f"{token}.{n}"}), ("unsub", {"subject": f"{token}.{n}"}))]
        batch(link, *operations)
        got = [link.take(lambda n: "id" in n)["id"] for _ in operations]
        self.assertEqual(sorted(got), sorted(fields["id"] for fields, _ in operations))
        self.assertEqual([n for n in link.arrived() if "id" in n], [])


class ExactlyOnce(Case):
    def test_resent_publishes_after_reconnect(self):
        """§5.6: unanswered publishes sent again, first, in their order and with their ids: each stored once and in order."""
        name, token = self.stream()
        sent = [({"op": "pub", "subject": f"{token}.x", "id": str(n)}, b"%d" % n) for n in range(400)]
        link = self.link(node="n")
        batch(link, *sent)
        answered = {link.expect("ok")["id"] for _ in range(100)}
        self.server.kill()
        self.server.start()
        link = self.link(node="n")
        again = [(fields, body) for fields, body in sent if fields["id"] not in answered]
        batch(link, *again)
        for fields, _ in again:
            self.assertEqual(link.expect("ok")["id"], fields["id"])
        reader = self.link()
        reader.ok("consume", stream=name, consumer="c", start="first", window=1000)
        self.assertEqual(self.bodies(reader.msgs(400)), [str(n) for n in range(400)])
        self.assertEqual(reader.arrived(), [])


class EndOfInput(Case):
    def piped(self, text, user="alice"):
        return self.server.ssh(user, "kedge-json", options=("-s",), input=text)

    def notices(self, output):
        return list(Lines().feed(output))

    def test_printf_in_a_pipe(self):
        """§1: what was sent is finished and answered, then `bye` `quit` and exit status 0."""
        name, token = self.stream()
        text = b"".join(Lines.encode({"op": "pub", "id": str(n), "subject": f"{token}.x"}, b"x") for n in range(200))
        done = self.piped(text)
        self.assertEqual(done.returncode, 0, done)
        notices = self.notices(done.stdout)
        self.assertEqual(notices[0].op, "welcome")
        self.assertEqual([n["seq"] for n in notices if n.op == "ok"], list(range(1, 201)))
        self.assertEqual((notices[-1].op, notices[-1]["code"]), ("bye", "quit"))

    def test_nothing_sent(self):
        done = self.piped(b"")
        self.assertEqual(done.returncode, 0)
        self.assertEqual([n.op for n in self.notices(done.stdout)], ["welcome", "bye"])

    def test_clean_output(self):
        """ssh.md: a clean machine-readable interface for bots: no banner, nothing on stderr."""
        done = self.piped(b'{"op":"ping","id":"1"}\n')
        self.assertEqual(done.stderr, b"")
        self.assertEqual([n.op for n in self.notices(done.stdout)], ["welcome", "pong", "bye"])

    def test_errors_do_not_change_the_status(self):
        """§4.2: exit status 0 after `quit`; an operation that failed is an answer, not an end."""
        done = self.piped(b'nonsense\n{"op":"quit"}\n{"op":"ping"}\n')
        self.assertEqual(done.returncode, 0)
        self.assertEqual([n.op for n in self.notices(done.stdout)], ["welcome", "error", "bye"])

    def test_shell_here(self):
        """§9 by hand, through a shell."""
        argv = self.server.ssh_argv("bot1", "kedge-json", options=("-s",))
        line = '{"op":"pub","id":"2","subject":"chat.qw","data":"hello"}'
        done = subprocess.run(["sh", "-c", 'printf "%s\\n" "$0" | "$@"', line, *argv], stdout=subprocess.PIPE, timeout=60)
        self.assertEqual((done.returncode, [n.op for n in self.notices(done.stdout)]), (0, ["welcome", "ok", "bye"]))


if __name__ == "__main__":
    unittest.main()
