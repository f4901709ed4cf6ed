"""§4.1 `post`, `hello` with an inbox: mail reaches every node of a user, each with a cursor of its own; issue item 1."""

import json
import select
import subprocess
import unittest

from harness import Case, eventually, key_of, public_key
from links import TIMEOUT


class Mail(Case):
    """Each test has users of its own, for mail stays. The postman is an operator's link without a node."""

    def setUp(self):
        self.postman = self.link("op")
        self.alice, self.bob = self.user(), self.user()

    def post(self, body, *to, link=None, **fields):
        answer = (link or self.postman).ok("post", body, to=list(to), **fields)
        self.assertEqual(answer["stream"], "INBOX")
        return answer["seq"]

    def received(self, link, address, done=True):
        """The messages in that inbox up to now. A last post says where the end is, for an inbox has one order (§5.2)."""
        end = self.name("end")
        self.post(end, address)
        got = []
        while not got or got[-1].body != end.encode():
            got.append(link.expect("msg"))
        if done:
            link.ok("ack", consumer="inbox", seq=[msg["seq"] for msg in got])
        return got[:-1]

    def texts(self, link, address):
        return self.bodies(self.received(link, address))

    def restart(self):
        self.server.kill()
        self.server.start()
        self.postman = self.link("op")


class Posting(Mail):
    def test_one_post(self):
        """§4.1 `hello`: deliveries have stream `INBOX`, consumer `inbox`, and are acknowledged like any other."""
        for form in ("lines", "frames"):
            with self.subTest(form):
                link = self.inbox(self.alice, "desk-" + form, form=form)
                sender = self.link(self.bob, "phone", form)
                seq = self.post("hello", self.alice, link=sender, id="m1-" + form, headers={"Mood": "good"})
                msg = link.expect("msg")
                self.assertEqual({key: msg.get(key) for key in ("subject", "from", "stream", "seq", "consumer", "tries", "pub_id", "headers")},
                                 {"subject": f"inbox.{self.alice}", "from": f"{self.bob}/phone", "stream": "INBOX", "seq": seq,
                                  "consumer": "inbox", "tries": 1, "pub_id": "m1-" + form, "headers": {"Mood": "good"}})
                self.assertEqual(msg.body, b"hello")
                self.assertGreater(msg["time_ms"], 1_700_000_000_000)
                link.ok("ack", consumer="inbox", seq=seq)
                self.assertEqual(self.texts(link, self.alice), [])

    def test_any_octets(self):
        link = self.inbox(self.alice, form="frames")
        body = bytes(range(256)) * 4096
        self.post(body, self.alice, link=self.link(self.bob, form="frames"))
        self.assertEqual(self.received(link, self.alice)[0].body, body)

    def test_every_node_and_one_node(self):
        """§4.1: `alice` is all her nodes, `alice/laptop` one."""
        desk, laptop = self.inbox(self.alice, "desk"), self.inbox(self.alice, "laptop")
        self.post("both", self.alice)
        self.post("laptop only", self.alice + "/laptop")
        self.post("desk only", self.alice + "/desk")
        self.assertEqual(self.texts(desk, self.alice), ["both", "desk only"])
        self.assertEqual(self.bodies(laptop.msgs(2)), ["both", "laptop only"])

    def test_stored_once(self):
        """Issue item 1: the body of a post to many is stored once: one seq for all of them."""
        links = [self.inbox(user) for user in (self.alice, self.bob)]
        seq = self.post("to both", self.alice, self.bob)
        self.assertEqual([link.expect("msg")["seq"] for link in links], [seq, seq])
        self.assertEqual(self.post("next", self.alice), seq + 1)

    def test_alias_list_nested_list(self):
        """§4.1: an alias `~al`, a distribution list `@admins`; lists within lists; someone named twice gets it once."""
        carol = self.user()
        links = {user: self.inbox(user) for user in (self.alice, self.bob, carol)}
        alias, inner, outer = "~" + self.name("al"), self.name("inner"), self.name("outer")
        links[self.alice].ok("alias", add=[alias])
        owner = self.link(carol)
        owner.ok("list", list=inner, add=[alias, self.bob])
        owner.ok("list", list=outer, add=["@" + inner, carol, self.alice])
        for to in ([alias], ["@" + inner], ["@" + outer], [alias, self.alice, self.alice, "@" + outer, "@" + inner, self.alice + "/desk"]):
            self.post(" ".join(to), *to)
        all_four = [" ".join(to) for to in ([alias], ["@" + inner], ["@" + outer],
                                            [alias, self.alice, self.alice, "@" + outer, "@" + inner, self.alice + "/desk"])]
        self.assertEqual(self.texts(links[self.alice], self.alice), all_four)
        self.assertEqual(self.texts(links[self.bob], self.bob), all_four[1:])
        self.assertEqual(self.texts(links[carol], carol), all_four[2:])

    def test_to_oneself(self):
        """§5.5: one gets one's own, too."""
        link = self.inbox(self.alice)
        self.post("note", self.alice, link=link)
        self.assertEqual(self.texts(link, self.alice), ["note"])

    def test_unknown_recipients(self):
        """§4.1: all or nothing: any unknown recipient is an error naming them, and nothing is stored."""
        desk = self.inbox(self.alice)
        unknown = ["nobody-here", "~no-alias", "@no-list", self.alice + "/nowhere", "nobody-else/desk"]
        before = self.post("before", self.alice)
        answer = self.postman.ask("post", "never", to=[self.alice, *unknown, self.bob])
        self.assertEqual((answer.op, answer["code"]), ("error", "unknown_recipient"))
        self.assertEqual(sorted(answer["unknown"]), sorted(unknown))
        self.assertEqual(self.post("after", self.alice), before + 1)
        self.assertEqual(self.texts(desk, self.alice), ["before", "after"])

    def test_an_unknown_recipient_does_not_stick(self):
        """§6 names the errors that stick to a link; this one does not."""
        desk = self.inbox(self.alice)
        self.postman.send("post", "bad", id="1", to=["nobody-here"])
        self.postman.send("post", "good", id="2", to=[self.alice])
        self.assertEqual(self.postman.answer("1")["code"], "unknown_recipient")
        self.assertEqual(self.postman.answer("2").op, "ok")
        self.assertEqual(self.texts(desk, self.alice), ["good"])

    def test_a_removed_user_is_unknown(self):
        self.server.admin("user", "remove", self.bob)
        answer = self.postman.ask("post", "x", to=[self.alice, self.bob])
        self.assertEqual((answer["code"], answer["unknown"]), ("unknown_recipient", [self.bob]))

    def test_from_now_on(self):
        """§4.1: the node becomes a consumer from now on; a user without nodes is known all the same."""
        self.post("before", self.alice)
        desk = self.inbox(self.alice, "desk")
        self.post("between", self.alice)
        laptop = self.inbox(self.alice, "laptop")
        self.assertEqual(self.texts(laptop, self.alice), [])
        self.assertEqual(self.bodies(desk.msgs(1)), ["between"])

    def test_number_of_recipients(self):
        """§4.1: 1 to 256; §8 recipients a post 256."""
        desk = self.inbox(self.alice)
        self.post("256 times", *[self.alice] * 256)
        for to in ([], [self.alice] * 257, [""], ["two words"], ["a/b/c"], ["@"], ["~"], "alice", None):
            with self.subTest(to=to):
                self.assertEqual(self.postman.refused("post", "x", to=to), "bad_request")
        self.assertEqual(self.texts(desk, self.alice), ["256 times"])

    def test_inbox_without_node(self):
        """§4.1: `inbox` without a node is `bad_request`."""
        self.assertEqual(self.link(self.alice).refused("hello", inbox=True), "bad_request")

    def test_hello_without_inbox(self):
        """Only who asks for it has an inbox; a node with one that comes without asking gets nothing and loses nothing."""
        plain = self.link(self.alice, "plain")
        desk = self.inbox(self.alice, "desk")
        self.post("one", self.alice)
        self.assertEqual(self.texts(desk, self.alice), ["one"])
        self.assertEqual(self.bodies(plain.arrived()), [])
        desk.close()
        quiet = self.link(self.alice, "desk")
        self.post("two", self.alice)
        self.assertEqual(self.bodies(quiet.arrived()), [])
        self.assertEqual(self.texts(self.inbox(self.alice, "desk"), self.alice), ["two"])

    def test_without_an_id(self):
        """§4: an operation without an id is not answered unless it fails."""
        desk, sender = self.inbox(self.alice), self.link(self.bob)
        sender.send("post", "quiet", to=[self.alice])
        sender.send("post", "x", to=["nobody-here"])
        error = sender.expect("error")
        self.assertEqual((error["code"], error["unknown"], "id" in error), ("unknown_recipient", ["nobody-here"], False))
        self.assertEqual(self.texts(desk, self.alice), ["quiet"])
        self.assertEqual(sender.arrived(), [])

    def test_with_stock_ssh_in_a_pipe(self):
        """§1: what was sent is finished and answered, then `bye` `quit` and exit status 0."""
        desk = self.inbox(self.alice)
        lines = b'{"op":"post","id":"1","to":["%s"],"data":"by hand"}\n' % self.alice.encode()
        done = self.server.ssh(self.bob, "kedge-json", options=("-s",), input=lines)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((done.returncode, [a["op"] for a in answers]), (0, ["welcome", "ok", "bye"]))
        self.assertEqual(self.texts(desk, self.alice), ["by hand"])


class Privacy(Mail):
    def test_plain_subscription(self):
        """§3: `inbox.USER` is a user's mail: its owner may watch it plainly, nobody else, operators neither."""
        watch = self.link(self.alice)
        watch.ok("sub", subject=f"inbox.{self.alice}")
        for link in (self.postman, self.link(self.bob)):
            for pattern in (f"inbox.{self.alice}", "inbox.*", "inbox.>"):
                self.assertEqual(link.refused("sub", subject=pattern), "denied")
        desk = self.inbox(self.alice)
        self.post("hello", self.alice)
        self.assertEqual(self.texts(desk, self.alice), ["hello"])
        msg = watch.expect("msg")
        self.assertEqual((msg["subject"], msg.body), (f"inbox.{self.alice}", b"hello"))
        self.assertNotIn("consumer", msg)

    def test_not_through_the_stream(self):
        """Issue 2 item 5: no one but its owner reads an inbox."""
        self.inbox(self.alice)
        self.post("secret", self.alice)
        for link in (self.postman, self.link(self.bob, "spy")):
            for fields in ({}, {"filter": f"inbox.{self.alice}"}, {"filter": "inbox.*"}, {"filter": ">"}):
                with self.subTest(user=link.welcome["user"], **fields):
                    answer = link.ask("consume", stream="INBOX", consumer=self.name("c"), start="first", **fields)
                    self.assertEqual(answer.op, "error", dict(answer))
                    self.assertEqual(self.bodies(link.arrived()), [])

    def test_not_by_a_later_user_of_that_name(self):
        """Who is removed takes the mail along: somebody who gets the name later does not read it."""
        self.inbox(self.alice).close()
        self.post("for the first alice", self.alice)
        self.server.admin("user", "remove", self.alice)
        self.server.admin("user", "add", self.alice, "--key", public_key(key_of(self.alice)))
        desk = eventually(lambda: self.inbox(self.alice), "she is back")
        self.assertEqual(self.texts(desk, self.alice), [])

    def test_not_by_peeking(self):
        self.inbox(self.alice)
        self.post("top-secret-text", self.alice)
        for words in (["stream", "peek", "INBOX"], ["stream", "peek", "INBOX", "--json"]):
            _, out, error = self.server.execute("op", *words)
            self.assertNotIn("top-secret-text", out + error)

    def test_the_stream_stays(self):
        """Nobody takes the mail of all away by a slip, or publishes into it."""
        for words in (["stream", "remove", "INBOX"], ["stream", "add", "INBOX", "--subjects", "x.>"],
                      ["stream", "edit", "INBOX", "--subjects", "x.>"]):
            with self.subTest(words):
                self.assertNotEqual(self.server.execute("op", *words)[0], 0)
        for user in (self.alice, "op"):
            self.assertEqual(self.link(user).refused("pub", "x", subject=f"inbox.{self.alice}"), "denied")


class Cursors(Mail):
    def test_away(self):
        """Issue item 1: a node that was away gets what it missed, in order."""
        self.inbox(self.alice, "laptop").close()
        numbers = [str(n) for n in range(300)]  # more than a window
        for number in numbers:
            self.postman.send("post", number, id=number, to=[self.alice])
        for number in numbers:
            self.assertEqual(self.postman.answer(number).op, "ok")
        link = self.inbox(self.alice, "laptop")
        got = link.msgs(200)
        link.ok("ack", consumer="inbox", upto=got[-1]["seq"])
        got += self.received(link, self.alice)
        self.assertEqual(self.bodies(got), numbers)
        self.assertEqual([msg["tries"] for msg in got], [1] * 300)

    def test_each_node_its_own(self):
        """Issue item 1: every one of their nodes, each with its own cursor."""
        desk, laptop = self.inbox(self.alice, "desk"), self.inbox(self.alice, "laptop")
        for number in range(6):
            self.post(str(number), self.alice)
        seqs = self.seqs(desk.msgs(6))
        self.assertEqual(self.seqs(laptop.msgs(6)), seqs)
        desk.ok("ack", consumer="inbox", upto=seqs[3])
        laptop.ok("ack", consumer="inbox", seq=seqs[0])
        for link in (desk, laptop):
            link.close()
        self.assertEqual(self.texts(self.inbox(self.alice, "desk"), self.alice), ["4", "5"])
        again = self.inbox(self.alice, "laptop").msgs(6)  # with the mark that ended the other's
        self.assertEqual(self.bodies(again)[:5], ["1", "2", "3", "4", "5"])
        self.assertEqual([msg["tries"] for msg in again], [2] * 5 + [1])

    def test_redelivery(self):
        """§5.3: `nak`, `term`; §4.1: acknowledged like any other."""
        link = self.inbox(self.alice)
        first, second = self.post("first", self.alice), self.post("second", self.alice)
        link.msgs(2)
        link.ok("nak", consumer="inbox", seq=second)
        msg = link.expect("msg")
        self.assertEqual((msg["seq"], msg["tries"]), (second, 2))
        link.ok("term", consumer="inbox", seq=first, reason="unreadable")
        link.ok("ack", consumer="inbox", seq=second)
        link.close()
        self.assertEqual(self.texts(self.inbox(self.alice), self.alice), [])

    def test_replacement(self):
        """§4.1: a later link that says the same node replaces the earlier one; what was unacknowledged comes again."""
        old = self.inbox(self.alice)
        seqs = [self.post(str(n), self.alice) for n in range(3)]
        old.msgs(3)
        old.ok("ack", consumer="inbox", seq=seqs[1])
        new = self.inbox(self.alice)
        bye, status = old.end()
        self.assertEqual((bye["code"], status), ("replaced", 1))
        got = self.received(new, self.alice)
        self.assertEqual([(msg["seq"], msg["tries"]) for msg in got], [(seqs[0], 2), (seqs[2], 2)])

    def test_beside_a_consumer_of_that_name(self):
        """§4.1: where one name is attached in two streams, `ack` and its kin need `stream`."""
        name, token = self.stream()
        link = self.inbox(self.alice)
        link.ok("consume", stream=name, consumer="inbox", start="first")
        link.ok("pub", "stored", subject=token + ".x")
        self.post("mail", self.alice)
        got = link.msgs(2)
        self.assertEqual({msg["stream"] for msg in got}, {name, "INBOX"})
        self.assertEqual(link.refused("ack", consumer="inbox", seq=got[0]["seq"]), "bad_request")
        for msg in got:
            link.ok("ack", consumer="inbox", stream=msg["stream"], seq=msg["seq"])

    def test_order_of_many_senders(self):
        """§5.1: messages of one link reach every inbox in the order in which they were sent; §5.2: one order for all nodes."""
        nodes = [self.inbox(self.alice, "a"), self.inbox(self.alice, "b"), self.inbox(self.bob, "c")]
        senders = [self.link("op"), self.link("bot1", form="frames"), self.link("bob")]
        for number in range(40):
            for which, sender in enumerate(senders):
                sender.send("post", f"{which} {number}", id=f"{number}", to=[self.alice, self.bob])
        for sender in senders:
            for number in range(40):
                self.assertEqual(sender.answer(f"{number}").op, "ok")
        got = [self.bodies(node.msgs(120)) for node in nodes]
        self.assertEqual(got[0], got[1])
        self.assertEqual(got[0], got[2])
        for which in range(3):
            self.assertEqual([text for text in got[0] if text.startswith(f"{which} ")], [f"{which} {n}" for n in range(40)])


class Once(Mail):
    def test_the_same_id(self):
        """§4.1: the same id from the same node stores nothing and is answered by the first `seq`; other recipients or
        another body under it: `exists`."""
        desk = self.inbox(self.alice)
        sender = self.link(self.bob, "phone")
        seq = self.post("once", self.alice, link=sender, id="m")
        again = sender.ok("post", "once", to=[self.alice], id="m")
        self.assertEqual((again["seq"], again["dup"]), (seq, True))
        self.assertEqual(sender.refused("post", "twice", to=[self.alice], id="m"), "exists")
        self.assertEqual(sender.refused("post", "once", to=[self.bob], id="m"), "exists")
        sender.close()
        again = self.link(self.bob, "phone").ok("post", "once", to=[self.alice], id="m")
        self.assertEqual((again["seq"], again["dup"]), (seq, True))
        other = self.post("once", self.alice, link=self.link(self.bob, "tablet"), id="m")
        self.assertEqual(other, seq + 1)
        self.assertEqual(self.texts(desk, self.alice), ["once", "once"])

    def test_kill_9(self):
        """What must always hold: an acknowledged post survives, a cursor too, an id is still known."""
        desk, laptop = self.inbox(self.alice, "desk"), self.inbox(self.alice, "laptop")
        sender = self.link(self.bob, "phone")
        seqs = [self.post(str(n), self.alice, link=sender, id=f"m{n}") for n in range(5)]
        desk.msgs(5)
        desk.ok("ack", consumer="inbox", upto=seqs[2])
        laptop.msgs(5)
        laptop.ok("ack", consumer="inbox", seq=[seqs[0], seqs[4]])
        self.restart()
        sender = self.link(self.bob, "phone")
        again = sender.ok("post", "4", to=[self.alice], id="m4")
        self.assertEqual((again["seq"], again["dup"]), (seqs[4], True))
        self.post("5", self.alice, link=sender)
        self.assertEqual(self.texts(self.inbox(self.alice, "desk"), self.alice), ["3", "4", "5"])
        got = self.inbox(self.alice, "laptop").msgs(4)
        self.assertEqual(self.bodies(got), ["1", "2", "3", "5"])

    def test_kill_9_while_all_are_away(self):
        """Issue item 1: nodes that are away across a restart miss nothing, in order."""
        nodes = [(user, node) for user in (self.alice, self.bob) for node in ("a", "b")]
        for user, node in nodes:
            self.inbox(user, node).close()
        self.post("one", self.alice, self.bob)
        self.restart()
        self.post("two", self.alice)
        self.post("three", self.bob + "/b")
        self.restart()
        self.post("four", self.bob, self.alice)
        wanted = {self.alice: ["one", "two", "four"], self.bob: ["one", "four"]}
        for user, node in nodes:
            link = self.inbox(user, node)
            texts = ["one", "three", "four"] if (user, node) == (self.bob, "b") else wanted[user]
            self.assertEqual(self.texts(link, f"{user}/{node}"), texts)


class Quota(Mail):
    config = "[limits]\nmail_messages = 5\nmail_bytes = 100000\n"

    def full(self, *to, link=None):
        """The sentence that refuses it; the barrier (§6) afterwards."""
        link = link or self.postman
        answer = link.ask("post", "too much", to=list(to))
        self.assertEqual((answer.op, answer["code"]), ("error", "quota"))
        link.ping()
        return answer["message"]

    def test_messages(self):
        """Issue item 1: a user's quota of stored mail answers `quota` to the sender and loses nothing that is stored."""
        self.inbox(self.alice, "desk").close()
        bob = self.inbox(self.bob)
        for number in range(5):
            self.post(str(number), self.alice)
        self.assertIn(self.alice, self.full(self.alice))
        self.assertIn(self.alice, self.full(self.bob, self.alice))
        self.post("bob is not full", self.bob)
        desk = self.inbox(self.alice, "desk")
        got = desk.msgs(5)
        self.assertEqual(self.bodies(got), [str(n) for n in range(5)])
        desk.ok("ack", consumer="inbox", seq=got[0]["seq"])
        self.post("5", self.alice)
        self.full(self.alice)
        desk.ok("ack", consumer="inbox", seq=[msg["seq"] for msg in got[1:]] + [desk.expect("msg")["seq"]])
        for number in range(6, 11):
            self.post(str(number), self.alice)
        self.full(self.alice)
        self.assertEqual(self.bodies(desk.msgs(5)), [str(n) for n in range(6, 11)])
        self.assertEqual(self.bodies(bob.msgs(1)), ["bob is not full"])

    def test_the_slowest_node_counts(self):
        desk = self.inbox(self.alice, "desk")
        self.inbox(self.alice, "laptop").close()
        for number in range(5):
            self.post(str(number), self.alice)
        desk.ok("ack", consumer="inbox", upto=desk.msgs(5)[-1]["seq"])
        self.full(self.alice)
        laptop = self.inbox(self.alice, "laptop")
        laptop.ok("ack", consumer="inbox", upto=laptop.msgs(5)[-1]["seq"])
        self.post("room again", self.alice)

    def test_nobody_to_keep_it_for(self):
        """A user without an inbox node stores nothing."""
        for number in range(7):
            self.post(str(number), self.alice)

    def test_bytes(self):
        self.inbox(self.alice).close()
        self.post("x" * 60000, self.alice)
        answer = self.postman.ask("post", "x" * 60000, to=[self.alice])
        self.assertEqual((answer.op, answer["code"]), ("error", "quota"))
        self.postman.ping()
        self.post("small", self.alice)
        self.assertEqual([len(msg.body) for msg in self.inbox(self.alice).msgs(2)], [60000, 5])

    def test_it_sticks(self):
        """§6: after `quota` the link's further publishes on that stream get the same error until a `ping` is answered."""
        self.inbox(self.alice).close()
        name, token = self.stream()
        for number in range(5):
            self.post(str(number), self.alice)
        self.postman.send("post", "x", id="1", to=[self.alice])
        self.postman.send("post", "x", id="2", to=[self.bob])
        self.postman.send("pub", "x", id="3", subject=token + ".x")
        self.postman.send("ping", id="4")
        self.postman.send("post", "x", id="5", to=[self.bob])
        self.assertEqual([self.postman.answer(n).get("code") for n in "12345"], ["quota", "quota", None, None, None])

    def test_after_kill_9(self):
        self.inbox(self.alice).close()
        for number in range(5):
            self.post(str(number), self.alice)
        self.restart()
        self.full(self.alice)
        desk = self.inbox(self.alice)
        got = desk.msgs(5)
        self.assertEqual(self.bodies(got), [str(n) for n in range(5)])
        desk.ok("ack", consumer="inbox", upto=got[1]["seq"])
        self.restart()
        self.post("5", self.alice)
        self.post("6", self.alice)
        self.full(self.alice)

    def test_one_users_own(self):
        """Issue item 6: from all configuration and per user."""
        self.inbox(self.alice).close()
        self.server.admin("user", "edit", self.alice, "--limit", "mail_messages=2")
        for number in range(2):
            self.post(str(number), self.alice)
        self.full(self.alice)
        self.restart()
        self.full(self.alice)
        self.server.admin("user", "edit", self.alice, "--limit", "mail_messages=")
        for number in range(3):
            self.post(str(number), self.alice)
        self.full(self.alice)


class Nodes(Mail):
    def nodes(self, *words):
        return json.loads(self.server.admin("node", "list", *words, "--json"))["nodes"]

    def test_list_show_remove(self):
        """Issue item 1: `node list|show|remove` for operators."""
        desk = self.inbox(self.alice, "desk")
        self.inbox(self.alice, "laptop").close()
        plain = self.link(self.alice, "plain")
        self.post("12345", self.alice)
        desk.ok("ack", consumer="inbox", seq=desk.msgs(1)[0]["seq"])
        eventually(lambda: not [n for n in self.nodes(self.alice) if n["node"] == self.alice + "/laptop" and n["online"]],
                   "the laptop is away")
        found = {n["node"]: n for n in self.nodes(self.alice)}
        self.assertEqual({name: (n["online"], n["inbox"]) for name, n in found.items()},
                         {self.alice + "/desk": (True, True), self.alice + "/laptop": (False, True), self.alice + "/plain": (True, False)})
        self.assertEqual(found[self.alice + "/laptop"]["mail"]["messages"], 1)
        self.assertGreaterEqual(found[self.alice + "/laptop"]["mail"]["bytes"], 5)
        self.assertEqual(found[self.alice + "/desk"]["mail"]["messages"], 0)
        self.assertGreater(found[self.alice + "/laptop"]["seen_ms"], 1_700_000_000_000)
        self.assertIn(self.alice + "/laptop", self.server.admin("node", "show", self.alice + "/laptop"))
        self.server.admin("node", "remove", self.alice + "/laptop")
        self.assertEqual({n["node"] for n in self.nodes(self.alice)}, {self.alice + "/desk", self.alice + "/plain"})
        self.assertEqual(self.postman.ask("post", "x", to=[self.alice + "/laptop"]).get("unknown"), [self.alice + "/laptop"])
        self.assertEqual(self.texts(self.inbox(self.alice, "laptop"), self.alice), [])
        plain.ping()

    def test_ones_own(self):
        """One's own nodes are one's own to list and remove; those of others are not."""
        self.inbox(self.alice, "desk").close()
        self.inbox(self.bob, "desk").close()
        status, out, _ = self.server.execute(self.alice, "node", "list", "--json")
        self.assertEqual((status, [n["node"] for n in json.loads(out)["nodes"]]), (0, [self.alice + "/desk"]))
        self.assertNotEqual(self.server.execute(self.alice, "node", "remove", self.bob + "/desk")[0], 0)
        self.assertNotEqual(self.server.execute(self.alice, "node", "show", self.bob + "/desk")[0], 0)
        self.assertEqual(self.server.execute(self.alice, "node", "remove", self.alice + "/desk")[0], 0)

    def test_a_node_that_is_here(self):
        """Removing a node that is connected: refused, or its link ends; never a link without what it asked for."""
        desk = self.inbox(self.alice)
        status, _, error = self.server.execute("op", "node", "remove", self.alice + "/desk")
        if status:
            self.assertTrue(error)
            self.post("still here", self.alice)
            self.assertEqual(self.texts(desk, self.alice), ["still here"])
        else:
            self.assertIsNotNone(desk.end()[0])

    def test_removing_the_user(self):
        """Mail of somebody who is gone waits for nobody."""
        self.inbox(self.alice).close()
        self.post("x", self.alice)
        self.server.admin("user", "remove", self.alice)
        self.assertEqual([n for n in self.nodes() if n["node"].startswith(self.alice + "/")], [])


class Retirement(Mail):
    config = "[limits]\nnode_idle_ms = 300\n"

    def left(self, watch, node):
        msg = watch.take(lambda n: n.op == "msg" and json.loads(n.body)["node"] == node, what=f"{node} to leave")
        return json.loads(msg.body)["reason"]

    def test_retired_with_notice(self):
        """Issue item 1: nodes that have not come back for a time are retired with notice (`$sys.node.leave`, `retired`)."""
        watch = self.link("op")
        watch.ok("sub", subject="$sys.node.leave")
        stays = self.inbox(self.alice, "stays")
        goes = self.inbox(self.alice, "goes")
        self.post("one", self.alice)
        goes.close()
        self.assertNotEqual(self.left(watch, "goes"), "retired")
        self.assertEqual(self.left(watch, "goes"), "retired")
        answer = self.postman.ask("post", "x", to=[self.alice + "/goes", self.alice])
        self.assertEqual((answer["code"], answer["unknown"]), ("unknown_recipient", [self.alice + "/goes"]))
        self.assertEqual(self.texts(stays, self.alice), ["one"])
        self.assertEqual(self.texts(self.inbox(self.alice, "goes"), self.alice), [])

    def test_across_a_restart(self):
        """A node that was away before the server's end retires after it."""
        self.inbox(self.alice, "goes").close()
        self.restart()
        watch = self.link("op")
        watch.ok("sub", subject="$sys.node.leave")
        eventually(lambda: self.postman.ask("post", "x", to=[self.alice + "/goes"]).get("code") == "unknown_recipient", "it is gone")

    def test_its_mail_goes_too(self):
        """What only retired nodes waited for does not count against the quota of its user."""
        watch = self.link("op")
        watch.ok("sub", subject="$sys.node.leave")
        self.server.admin("user", "edit", self.alice, "--limit", "mail_messages=2")
        stays = self.inbox(self.alice, "stays")
        self.inbox(self.alice, "goes").close()
        for number in range(2):
            self.post(str(number), self.alice)
        stays.ok("ack", consumer="inbox", upto=stays.msgs(2)[-1]["seq"])
        while self.left(watch, "goes") != "retired":
            pass
        for number in range(2):
            self.post(str(number), self.alice)


class Commands(Mail):
    def spawn(self, user, *words):
        process = subprocess.Popen(self.server.kedge_argv(user, *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.server.environment())
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def run_as(self, user, *words, input=b""):
        process = self.spawn(user, *words)
        out, error = process.communicate(input, timeout=TIMEOUT)
        return process.returncode, out.decode(), error.decode()

    def test_post(self):
        """`kedge post TO… TEXT`."""
        desk = self.inbox(self.alice)
        self.assertEqual(self.run_as(self.bob, "post", self.alice, self.bob, "a few words")[0], 0)
        self.assertEqual(self.run_as(self.bob, "post", self.alice, "-", input=b"two\nlines\n")[0], 0)
        got = self.received(desk, self.alice)
        self.assertEqual(self.bodies(got), ["a few words", "two\nlines\n"])
        self.assertEqual(got[0]["from"].split("/")[0], self.bob)
        status, out, error = self.run_as(self.bob, "post", self.alice, "nobody-here", "text")
        self.assertNotEqual(status, 0)
        self.assertIn("nobody-here", error)
        self.assertEqual((out, self.texts(desk, self.alice)), ("", []))

    def test_inbox(self):
        """`kedge inbox`: what comes to a node, acknowledged; what came while it was away, too."""
        self.inbox(self.alice, "laptop").close()
        for number in range(4):
            self.post(str(number), self.alice)
        texts = lambda out: [json.loads(line)["data"] for line in out.splitlines()]
        status, out, error = self.run_as(self.alice, "inbox", "--node", "laptop", "--count", "3", "--json")
        self.assertEqual((status, texts(out)), (0, ["0", "1", "2"]), error)
        waiting = self.spawn(self.alice, "inbox", "--node", "laptop", "--count", "2", "--json")
        self.post("4", self.alice)
        out, error = waiting.communicate(timeout=TIMEOUT)
        self.assertEqual(texts(out.decode()), ["3", "4"], error)

    def test_inbox_survives_kill_9(self):
        self.inbox(self.alice, "laptop").close()
        self.post("before", self.alice)
        reading = self.spawn(self.alice, "inbox", "--node", "laptop", "--count", "2", "--json")
        ready, _, _ = select.select([reading.stdout], [], [], TIMEOUT)
        self.assertTrue(ready, "it prints what comes as it comes")
        self.assertIn("before", reading.stdout.readline().decode())
        self.restart()
        self.post("after", self.alice)
        out, error = reading.communicate(timeout=TIMEOUT)
        self.assertEqual([json.loads(line)["data"] for line in out.splitlines()], ["after"], error)


if __name__ == "__main__":
    unittest.main()
