"""§4.1 `serve`, `call`, `reply`, `unserve`; §5.4; §7 service events; issue item 3."""

import json
import subprocess
import time
import unittest

from harness import KEDGE, Case, eventually
from links import TIMEOUT


class Services(Case):
    """Each test has a service name of its own."""

    arguments = ("--http", "127.0.0.1:0")

    def setUp(self):
        self.service = self.name("Time")

    def serve(self, user="bot1", service=None, version="1.0", methods=("now",), link=None, **fields):
        link = link or self.link(user)
        link.instance = link.ok("serve", service=service or self.service, version=version, methods=list(methods), **fields)["instance"]
        self.assertRegex(link.instance, r"^[0-9a-f]{16}$")
        return link

    def call(self, link, body="", method="now", service=None, **fields):
        """Sends a call; returns its id."""
        identity = fields.setdefault("id", link.new_id())
        link.send("call", body, service=service or self.service, method=method, **fields)
        return identity

    def refused_call(self, link, **fields):
        answer = link.answer(self.call(link, **fields))
        self.assertEqual(answer.op, "error", dict(answer))
        return answer["code"]

    def services(self, link):
        return [s for s in json.loads(link.ask("who", what="services").body)["services"] if s["service"] == self.service]


class Calls(Services):
    config = "[limits]\ndrain_ms = 1000\n"

    def test_call_and_reply(self):
        """§4.2: the fields of `call` and of `reply`."""
        for form in ("lines", "frames"):
            with self.subTest(form):
                service = self.name("Time")
                server = self.serve(link=self.link("bot1", "gate-" + form, form), service=service, methods=["now", "zone"])
                caller = self.link("alice", "desk-" + form, form)
                identity = self.call(caller, "in Oslo", "zone", service, timeout_ms=4000)
                call = server.expect("call")
                self.assertEqual((call["service"], call["method"], call["from"], call.body),
                                 (service, "zone", "alice/desk-" + form, b"in Oslo"))
                self.assertTrue(0 < call["left_ms"] <= 4000, call["left_ms"])
                server.send("reply", "CET", call=call["call"])
                reply = caller.answer(identity)
                self.assertEqual((reply.op, reply["from"], reply.body), ("reply", "bot1/gate-" + form, b"CET"))
                self.assertEqual([n.op for n in caller.arrived() + server.arrived()], [])

    def test_any_octets(self):
        server, caller = self.serve(link=self.link("bot1", form="frames")), self.link(form="frames")
        body = bytes(range(256)) * 4096
        identity = self.call(caller, body)
        call = server.expect("call")
        self.assertEqual(call.body, body)
        server.send("reply", body[::-1], call=call["call"])
        self.assertEqual(caller.answer(identity).body, body[::-1])

    def test_error_replies(self):
        """§4.1 `reply`: `error` = `{"code","message"}`; §4.1 `call`: answered by `reply` or `error`."""
        server, caller = self.serve(), self.link()
        identity = self.call(caller)
        server.send("reply", call=server.expect("call")["call"], error={"code": "no_zone", "message": "There is none."})
        answer = caller.answer(identity)
        self.assertEqual((answer.op, answer["code"], answer["message"]), ("error", "no_zone", "There is none."))

    def test_pipelined_and_out_of_order(self):
        server, caller = self.serve(), self.link()
        identities = [self.call(caller, str(n)) for n in range(50)]
        calls = [server.expect("call") for _ in identities]
        self.assertEqual([c.body for c in calls], [str(n).encode() for n in range(50)])
        for call in reversed(calls):
            server.send("reply", b"answer to " + call.body, call=call["call"])
        self.assertEqual([caller.answer(i).body for i in identities], [b"answer to %d" % n for n in range(50)])

    def test_to_oneself(self):
        link = self.serve(link=self.link())
        identity = self.call(link, "me")
        link.send("reply", "you", call=link.expect("call")["call"])
        self.assertEqual(link.answer(identity).body, b"you")

    def test_no_responders(self):
        """§5.4: no instance: `error` `no_responders` at once."""
        caller = self.link()
        self.assertEqual(self.refused_call(caller), "no_responders")
        server = self.serve(methods=["now"])
        self.assertEqual(self.refused_call(caller, method="other"), "no_responders")
        server.ok("unserve", service=self.service)
        self.assertEqual(self.refused_call(caller), "no_responders")

    def test_unavailable(self):
        """§5.4: the instance goes away: `error` `unavailable`; what waits for another instance goes on."""
        for away in ("close", "replaced"):
            with self.subTest(away):
                one = self.serve(link=self.link("bot1", "one"))
                caller = self.link()
                first = self.call(caller)
                one.expect("call")
                two = self.serve("bob")
                second = self.call(caller)
                call = two.expect("call")
                one.close() if away == "close" else self.link("bot1", "one")
                self.assertEqual(caller.answer(first)["code"], "unavailable")
                two.send("reply", "done", call=call["call"])
                self.assertEqual(caller.answer(second).body, b"done")
                two.close()
                eventually(lambda: not self.services(caller), "all are gone")

    def test_timeout_and_late_reply(self):
        """§5.4: no answer in time: `error` `timeout`; a late `reply` is dropped and counted."""
        server, caller = self.serve(), self.link()
        start = time.monotonic()
        late = self.call(caller, timeout_ms=300)
        call = server.expect("call")
        self.assertLessEqual(call["left_ms"], 300)
        self.assertEqual(caller.answer(late)["code"], "timeout")
        self.assertGreaterEqual(time.monotonic() - start, 0.25)
        before = self.server.metric("kedge_replies_dropped_total")
        server.send("reply", "late", call=call["call"])
        server.ping()
        self.assertEqual(self.server.metric("kedge_replies_dropped_total"), before + 1)
        identity = self.call(caller)
        server.send("reply", "in time", call=server.expect("call")["call"])
        self.assertEqual(caller.answer(identity).body, b"in time")
        self.assertEqual(caller.arrived() + server.arrived(), [])

    def test_default_and_longest_timeout(self):
        """§5.4: default 5000 ms; §8 call timeout 5 min."""
        server, caller = self.serve(), self.link()
        for fields, low, high in (({}, 3000, 5000), ({"timeout_ms": 300_000}, 290_000, 300_000)):
            self.call(caller, **fields)
            left = server.expect("call")["left_ms"]
            self.assertTrue(low < left <= high, left)
        for bad in (0, 300_001, -1, "soon"):
            self.assertEqual(self.refused_call(caller, timeout_ms=bad), "bad_request")

    def test_answered_once(self):
        """§4: answered exactly once, whatever the instance says afterwards."""
        server, caller = self.serve(), self.link()
        identity = self.call(caller)
        call = server.expect("call")["call"]
        for body in ("first", "second"):
            server.send("reply", body, call=call)
        server.send("reply", call=call, error={"code": "no", "message": "no"})
        server.ping()
        self.assertEqual(caller.answer(identity).body, b"first")
        self.assertEqual(caller.arrived(), [])

    def test_only_who_was_asked_replies(self):
        """§4.1 `reply`: a `call` that was delivered *here*."""
        server, caller, thief = self.serve(), self.link(), self.serve("bob", self.name("Other"))
        identity = self.call(caller)
        call = server.expect("call")["call"]
        for handle in (call, "0" * 32, "1"):
            thief.send("reply", "stolen", call=handle)
        thief.ping()
        server.send("reply", "real", call=call)
        self.assertEqual(caller.answer(identity).body, b"real")

    def test_the_caller_went(self):
        """Nobody waits any more: the reply is dropped, the instance goes on."""
        server, caller = self.serve(), self.link()
        self.call(caller)
        call = server.expect("call")["call"]
        caller.close()
        server.send("reply", "to nobody", call=call)
        other = self.link()
        identity = self.call(other)
        server.send("reply", "to somebody", call=server.expect("call")["call"])
        self.assertEqual(other.answer(identity).body, b"to somebody")

    def test_the_end_of_input(self):
        """§1: an instance that ends its input has nothing more to say; a caller's calls are answered first."""
        server, caller = self.serve(), self.link()
        identity = self.call(caller)
        server.expect("call")
        server.end_input()
        self.assertEqual(server.end()[0]["code"], "quit")
        self.assertEqual(caller.answer(identity)["code"], "unavailable")

    def test_the_server_stops(self):
        """§4: answered exactly once: an open call is not left without an answer by a drain."""
        server, caller = self.serve(), self.link()
        identity = self.call(caller, timeout_ms=60_000)
        server.expect("call")
        self.server.stop()
        answers = [n for n in caller.rest() if n.get("id") == identity]
        self.assertEqual([(n.op, n["code"] in ("unavailable", "draining")) for n in answers], [("error", True)])
        self.server.start()

    def test_needs_an_id(self):
        caller = self.link()
        caller.send("call", service=self.service, method="now")
        self.assertEqual(caller.expect("error")["code"], "bad_request")

    def test_with_stock_ssh_in_a_pipe(self):
        """§1: what was sent is finished and answered, then `bye` `quit`: a call too."""
        server = self.serve()
        argv = self.server.ssh_argv("alice", "kedge-json", options=("-s",))
        caller = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: caller.poll() is None and caller.kill())
        caller.stdin.write(b'{"op":"call","id":"1","service":"%s","method":"now"}\n' % self.service.encode())
        caller.stdin.close()
        caller.stdin = None
        server.send("reply", "noon", call=server.expect("call")["call"])
        out, _ = caller.communicate(timeout=TIMEOUT)
        notices = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([n["op"] for n in notices], ["welcome", "reply", "bye"])
        self.assertEqual((notices[1]["data"], caller.returncode), ("noon", 0))


class Balance(Services):
    def asked(self, servers):
        """Which instance was asked, and how."""
        (index, call), = eventually(lambda: [(i, n) for i, s in enumerate(servers) for n in s.arrived() if n.op == "call"],
                                    "an instance is asked")
        return index, call

    def test_least_busy(self):
        """Issue item 3: load balanced to the least busy."""
        servers = [self.serve("bot1"), self.serve("bob"), self.serve("alice")]
        caller = self.link()
        taken = {}

        def call():
            """Which instance got it."""
            self.call(caller, timeout_ms=60_000)
            index, notice = self.asked(servers)
            taken.setdefault(index, []).append(notice["call"])
            return index
        self.assertEqual(sorted(call() for _ in range(3)), [0, 1, 2])
        self.assertEqual(sorted(call() for _ in range(3)), [0, 1, 2])
        for handle in taken[1]:  # bob is idle, the others have two each
            servers[1].send("reply", call=handle)
        servers[1].ping()
        self.assertEqual([call(), call()], [1, 1])

    def test_in_turn_when_idle(self):
        """Equally busy: the one that was asked longest ago."""
        servers = [self.serve("bot1"), self.serve("bob")]
        caller = self.link()
        counts = [0, 0]
        for _ in range(6):
            identity = self.call(caller)
            index, call = self.asked(servers)
            counts[index] += 1
            servers[index].send("reply", call=call["call"])
            self.assertEqual(caller.answer(identity).op, "reply")
        self.assertEqual(counts, [3, 3])

    def test_only_those_that_have_the_method(self):
        old, new = self.serve("bot1", version="1.0"), self.serve("bob", version="2.0", methods=["now", "zone"])
        caller = self.link()
        for _ in range(4):
            identity = self.call(caller, method="zone")
            new.send("reply", call=new.expect("call")["call"])
            self.assertEqual(caller.answer(identity).op, "reply")
        self.assertEqual(old.arrived(), [])

    def test_who_services(self):
        """Issue item 3: versions shown; `kedge who services`."""
        self.serve("bot1", version="1.0", description="tells the time")
        two = self.serve("bob", version="2.0-rc1", methods=["now", "zone"])
        text = json.dumps(self.services(self.link()))
        for word in (self.service, "1.0", "2.0-rc1", "bot1", "bob", two.instance, "zone", "tells the time"):
            self.assertIn(word, text)
        out = self.server.admin("who", "services")
        for word in (self.service, "1.0", "2.0-rc1"):
            self.assertIn(word, out)

    def test_unserve(self):
        one, two = self.serve("bot1"), self.serve("bob")
        one.ok("unserve", service=self.service)
        caller = self.link()
        for _ in range(3):
            identity = self.call(caller)
            two.send("reply", call=two.expect("call")["call"])
            self.assertEqual(caller.answer(identity).op, "reply")
        self.assertEqual(one.arrived(), [])
        self.assertEqual(one.ask("unserve", service=self.service).op, "error")
        self.serve(link=one)


class Limits(Services):
    config = "[limits]\nlink_calls = 3\nlink_services = 2\nservice_methods = 3\n"

    def test_calls_open(self):
        """§8 calls open a link 1024 (here 3)."""
        server, caller = self.serve(), self.link()
        identities = [self.call(caller, timeout_ms=60_000) for _ in range(3)]
        self.assertEqual(self.refused_call(caller), "quota")
        server.send("reply", call=server.expect("call")["call"])
        self.assertEqual(caller.answer(identities[0]).op, "reply")
        self.call(caller, timeout_ms=60_000)
        self.assertEqual(self.refused_call(caller), "quota")
        other = self.link()
        self.call(other)
        self.assertEqual([server.expect("call")["from"] for _ in range(4)][-1].split("/")[0], "alice")

    def test_services_and_methods(self):
        link = self.serve(methods=["a", "b", "c"])
        self.assertIn(link.refused("serve", service=self.name("T"), version="1", methods=["a", "b", "c", "d"]), ("quota", "bad_request"))
        self.serve(link=link, service=self.name("Time"))
        self.assertEqual(link.refused("serve", service=self.name("Time"), version="1", methods=["x"]), "quota")

    def test_names(self):
        link = self.link()
        for service, method in (("a b", "x"), ("", "x"), ("a.b", "x"), ("ok", "x y"), ("ok", ""), ("x" * 65, "x"), ("ok", "*")):
            with self.subTest(service=service, method=method):
                self.assertEqual(link.refused("serve", service=service, version="1", methods=[method]), "bad_request")
                self.assertEqual(self.refused_call(link, service=service or " ", method=method or " "), "bad_request")


class Events(Services):
    def setUp(self):
        super().setUp()
        self.watch = self.link("op")
        self.watch.ok("sub", subject="$sys.service.>")
        self.watch.ok("sub", subject="$sys.unhandled")

    def event(self):
        msg = self.watch.take(lambda n: n.op == "msg" and n["subject"] != "$sys.unhandled" and json.loads(n.body)["service"] == self.service,
                              what="an event")
        self.assertEqual(msg["from"], "$sys")
        body = json.loads(msg.body)
        return msg["subject"].removeprefix("$sys.service."), body["user"], body["version"], body["instance"]

    def test_pairs(self):
        """§7: connect and disconnect for each instance, online and offline for the first and the last; in the right order."""
        one = self.serve("bot1", version="1")
        two = self.serve("bob", version="2")
        self.assertEqual(self.event(), ("connect", "bot1", "1", one.instance))
        self.assertEqual(self.event(), ("online", "bot1", "1", one.instance))
        self.assertEqual(self.event(), ("connect", "bob", "2", two.instance))
        one.close()  # stock ssh is killed
        self.assertEqual(self.event(), ("disconnect", "bot1", "1", one.instance))
        two.ok("unserve", service=self.service)
        self.assertEqual(self.event(), ("disconnect", "bob", "2", two.instance))
        self.assertEqual(self.event(), ("offline", "bob", "2", two.instance))

    def test_a_node_that_is_replaced(self):
        """The old instance goes before the new one comes: no gap is hidden, no pair is torn."""
        one = self.serve(link=self.link("bot1", "gate"))
        two = self.serve(link=self.link("bot1", "gate"))
        self.assertEqual([self.event()[0::3] for _ in range(6)],
                         [("connect", one.instance), ("online", one.instance), ("disconnect", one.instance),
                          ("offline", one.instance), ("connect", two.instance), ("online", two.instance)])

    def test_balanced_under_crashes(self):
        """Issue item 3: the events in the right order under crashes."""
        up = {}
        online = 0
        for round_ in range(12):
            link = self.serve(link=self.link("bot1", f"n{round_ % 3}"), version=str(round_))
            if round_ % 4 == 3:
                link.close()
        last = link.instance
        while last not in up or up[last]:  # the last one was closed, and nothing is behind that
            kind, _, _, instance = self.event()
            if kind == "connect":
                self.assertNotIn(instance, up)
                up[instance] = True
            elif kind == "disconnect":
                self.assertTrue(up[instance])
                up[instance] = False
            elif kind == "online":
                self.assertEqual((online, sum(up.values())), (0, 1))
                online = 1
            else:
                self.assertEqual((kind, online, sum(up.values())), ("offline", 1, 0))
                online = 0

    def test_a_service_comes_back_after_kill_9(self):
        self.serve(link=self.link("bot1", "gate"))
        self.server.kill()
        self.server.start()
        self.watch = self.link("op")
        self.watch.ok("sub", subject="$sys.service.>")
        self.assertEqual(self.services(self.watch), [])
        server = self.serve(link=self.link("bot1", "gate"))
        self.assertEqual([self.event()[0] for _ in range(2)], ["connect", "online"])
        caller = self.link()
        identity = self.call(caller)
        server.send("reply", "again", call=server.expect("call")["call"])
        self.assertEqual(caller.answer(identity).body, b"again")

    def test_unhandled(self):
        """§7 `$sys.unhandled`: a call with no responder: `subject` `from`."""
        caller = self.link("alice", "desk")
        self.assertEqual(self.refused_call(caller), "no_responders")
        caller.send("call", id="s", subject=f"nobody.{self.service}")
        self.assertEqual(caller.answer("s")["code"], "no_responders")
        bodies = [json.loads(self.watch.take(lambda n: n.op == "msg" and n["subject"] == "$sys.unhandled").body) for _ in range(2)]
        self.assertEqual([(b["subject"], b["from"]) for b in bodies],
                         [(f"svc.{self.service}.now", "alice/desk"), (f"nobody.{self.service}", "alice/desk")])

    def test_only_for_those_who_may(self):
        """§7: to subscribe needs a rule that gives the subject."""
        for subject in ("$sys.service.>", "$sys.service.online", "$sys.unhandled"):
            self.assertEqual(self.link("alice").refused("sub", subject=subject), "denied")


class BySubject(Services):
    """Issue item 3: a call from a `reply_to` subject works like NATS request/reply."""

    def setUp(self):
        self.subject = self.name("ask") + ".it"

    def ask(self, link, body="?", **fields):
        identity = fields.setdefault("id", link.new_id())
        link.send("call", body, subject=self.subject, **fields)
        return identity

    def test_request_and_reply(self):
        for form in ("lines", "frames"):
            with self.subTest(form):
                server, caller = self.link("bot1", form=form), self.link("alice", "desk-" + form, form)
                server.ok("sub", subject=self.subject)
                identity = self.ask(caller, "how are you")
                msg = server.expect("msg")
                self.assertEqual((msg["subject"], msg["from"], msg.body), (self.subject, "alice/desk-" + form, b"how are you"))
                self.assertTrue(msg["reply_to"])
                server.ok("pub", "well", subject=msg["reply_to"])
                reply = caller.answer(identity)
                self.assertEqual((reply.op, reply.body), ("reply", b"well"))
                self.assertEqual(reply["from"].split("/")[0], "bot1")
                server.close()

    def test_the_first_answer_counts(self):
        caller, servers = self.link(), [self.link("bot1"), self.link("bob")]
        for server in servers:
            server.ok("sub", subject=self.subject)
        identity = self.ask(caller)
        targets = [server.expect("msg")["reply_to"] for server in servers]
        servers[1].ok("pub", "bob was first", subject=targets[1])
        servers[0].ping()
        servers[0].send("pub", "too late", subject=targets[0])
        servers[0].ping()
        self.assertEqual(caller.answer(identity).body, b"bob was first")
        self.assertEqual(caller.arrived(), [])

    def test_a_group_shares(self):
        caller, servers = self.link(), [self.link("bot1"), self.link("bob")]
        for server in servers:
            server.ok("sub", subject=self.subject, group="workers")
        for _ in range(4):
            self.ask(caller)
        caller.ping()
        counts = [len([n for n in server.arrived() if n.op == "msg"]) for server in servers]
        self.assertEqual(counts, [2, 2])

    def test_no_responders_and_timeout(self):
        caller, server = self.link(), self.link("bot1")
        self.assertEqual(caller.answer(self.ask(caller))["code"], "no_responders")
        server.ok("sub", subject=self.subject)
        identity = self.ask(caller, timeout_ms=200)
        target = server.expect("msg")["reply_to"]
        self.assertEqual(caller.answer(identity)["code"], "timeout")
        server.send("pub", "late", subject=target)
        server.ping()
        self.assertEqual(caller.arrived(), [])

    def test_a_subject_of_a_stream(self):
        _, token = self.stream()
        caller = self.link()
        caller.send("call", id="1", subject=token + ".x")
        self.assertEqual(caller.answer("1")["code"], "bad_request")

    def test_answers_are_private(self):
        """§3: what begins with `_` is reserved: nobody listens to the answers of others, or makes one up."""
        spy, caller, server = self.link("bob"), self.link(), self.link("bot1")
        for pattern in ("_call.>", "_call.*", ">"):
            if pattern == ">":
                spy.ok("sub", subject=pattern)
            else:
                self.assertEqual(spy.refused("sub", subject=pattern), "denied")
        server.ok("sub", subject=self.subject)
        identity = self.ask(caller)
        target = server.expect("msg")["reply_to"]
        spy.send("pub", "made up", subject="_call." + "0" * 32)
        spy.ping()
        server.ok("pub", "real", subject=target)
        self.assertEqual(caller.answer(identity).body, b"real")
        self.assertEqual([n["subject"] for n in spy.arrived() if n.op == "msg" and n["subject"].startswith("_")], [])

    def test_rules_hold(self):
        """Who may not publish there may not call there."""
        self.server.admin("rule", "add", "deny", "call", self.subject, "--user", "bob")
        self.link("bot1").ok("sub", subject=self.subject)
        caller = self.link("bob")
        self.assertEqual(caller.answer(self.ask(caller))["code"], "denied")


class Commands(Services):
    def kedge(self, *words, **more):
        return self.server.kedge(*words, **more)

    def test_call(self):
        server = self.serve(methods=["echo"])
        process = subprocess.Popen([KEDGE, "--home", self.server.home, "call", self.service, "echo", "some text"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.server.environment())
        self.addCleanup(lambda: process.poll() is None and process.kill())
        call = server.expect("call")
        self.assertEqual((call["method"], call.body), ("echo", b"some text"))
        server.send("reply", "an answer", call=call["call"])
        out, error = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, out.decode().rstrip("\n")), (0, "an answer"), error)

    def test_call_that_fails(self):
        done = self.kedge("call", self.service, "echo", "x")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"no_responders", done.stderr)

    def served(self, command, *words):
        """`kedge serve --exec`, once it is there."""
        process = subprocess.Popen([KEDGE, "--home", self.server.home, "serve", self.service, "--method", *words, "--exec", command],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.server.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(lambda: process.poll() is None and process.terminate())
        watch = self.link("op")
        eventually(lambda: process.poll() is not None or self.services(watch), "the service is there")
        self.assertIsNone(process.poll(), process.poll() is not None and process.stderr.read())
        return process

    def test_serve_exec(self):
        """Issue item 3: a shell command becomes a service."""
        self.served("tr a-z A-Z", "upper")
        caller = self.link()
        for text in ("hello", "", "Grüße"):
            answer = caller.answer(self.call(caller, text, "upper"))
            self.assertEqual((answer.op, answer.body.decode()), ("reply", text.translate({c: c - 32 for c in range(97, 123)})))

    def test_serve_exec_that_fails(self):
        """A command that fails is an error to the caller, and the service goes on."""
        self.served('test "$(cat)" = good || { echo it is bad >&2; exit 3; }', "check")
        caller = self.link()
        self.assertEqual(caller.answer(self.call(caller, "bad", "check")).op, "error")
        self.assertEqual(caller.answer(self.call(caller, "good", "check")).op, "reply")

    def test_serve_exec_survives_kill_9(self):
        self.served("cat", "echo")
        self.server.kill()
        self.server.start()
        caller = self.link()
        eventually(lambda: self.services(caller), "the service is back")
        self.assertEqual(caller.answer(self.call(caller, "still here", "echo")).body, b"still here")


if __name__ == "__main__":
    unittest.main()
