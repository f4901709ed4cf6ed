"""`migrate plan` finds what would fail later and says what to do about it; `start` refuses the same; neither leaves anything behind."""

import json
import os
import signal
import unittest

from harness import Server, eventually, scratch
from migrating import STREAM, TOKEN, Migrating
from nats import new_nkey, public_nkey
from nats_server import make_certificate, tls_context


class PlanBase(Migrating):
    def setUp(self):
        pass  # each test has servers of its own

    def prepare(self, settings="", **nats):
        self.nats = self.nats_server(**nats)
        self.server = self.kedged(self.nats.url(), settings)
        self.await_link()
        self.server.add_stream(STREAM, TOKEN + ".>")

    def plan(self, *words, stream=STREAM):
        status, plan, error = self.run_migrate("migrate", "plan", stream, *words)
        self.assertIsNotNone(plan, error)
        self.assertEqual(plan["stream"], stream)
        self.assertEqual(plan["ok"], all(check["result"] != "bad" for check in plan["checks"]))
        self.assertEqual(status == 0, plan["ok"], f"exit status {status} for {plan}")
        for check in plan["checks"]:
            self.assertIn(check["result"], ("ok", "warn", "bad"))
            self.assertTrue(check["what"] and check["text"], check)
            self.assertTrue(check["do"] or check["result"] == "ok", f"nothing to do about {check}")
        return plan

    def bad(self, words, *more, stream=STREAM):
        """The plan is not ok, one of its bad checks speaks of `words`, and `start` fails too."""
        plan = self.plan(*more, stream=stream)
        said = " | ".join(f"{check['what']}: {check['text']} {check['do']}" for check in plan["checks"] if check["result"] == "bad")
        self.assertFalse(plan["ok"], plan)
        for word in words:
            self.assertIn(word.lower(), said.lower())
        self.refused("start", stream, *more)
        self.assertEqual([s["state"] for s in self.migrate("status")["streams"] if s["stream"] == stream and s["state"] != "LEGACY"], [])

    def names(self):
        with self.nats.jet() as jet:
            return jet.names()


class Plan(PlanBase):
    def test_all_is_well(self):
        self.prepare()
        self.publish(self.link(), 20)
        for start, rows in (("first", 20), ("now", 0)):
            plan = self.plan("--from", start)
            self.assertTrue(plan["ok"], plan)
            self.assertEqual(plan["copy"]["rows"], rows)
        self.assertGreater(self.plan("--from", "first")["copy"]["bytes"], 20 * 5)
        self.assertEqual(self.names(), [])
        self.assertEqual((self.state(), self.events()), ("LEGACY", []))

    def test_no_nats_configured(self):
        self.server = Server(self.users)
        self.addCleanup(self.server.destroy)
        self.server.start()
        self.server.add_stream(STREAM, TOKEN + ".>")
        self.assertIn("nats", self.refused("plan", STREAM).lower())
        self.assertIn("nats", self.refused("start", STREAM).lower())
        self.assertEqual(self.link_state()["state"], "none")

    def test_nats_away(self):
        self.prepare()
        self.nats.kill()
        eventually(lambda: self.link_state()["state"] == "down", "the link is down")
        self.bad(["no link"])
        self.assertTrue(self.link_state()["why"])

    def test_no_jetstream(self):
        self.prepare(jetstream=False)
        self.bad(["jetstream"])

    def test_max_payload(self):
        """Messages with their headers have to fit: a body of the greatest size and 64 KiB."""
        self.prepare(max_payload=1024 * 1024 + 64 * 1024 - 1)
        self.bad(["max_payload"])
        # What the plan says to do can be done without a restart.
        self.server.configure(self.configuration(self.nats.url(), "") + "[limits]\nbody_bytes = 1048575\n")
        self.server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "configuration reloaded" in self.server.log(None), "the configuration is reloaded")
        self.assertTrue(self.plan()["ok"])

    def test_max_payload_that_is_just_enough(self):
        self.prepare(max_payload=1024 * 1024 + 64 * 1024)
        self.assertTrue(self.plan()["ok"])

    def test_foreign_owner(self):
        self.prepare()
        with self.nats.jet() as jet:
            jet.create(STREAM, TOKEN + ".>", description="kedge 0123456789abcdef 1234567890abcdef CHAT")
        self.bad(["belongs to"])
        self.assertEqual(self.names(), [STREAM])

    def test_overlapping_stream(self):
        self.prepare()
        with self.nats.jet() as jet:
            jet.create("ELSE", TOKEN + ".*.x")
        self.bad(["ELSE"])

    def test_a_stream_of_another_kind(self):
        self.prepare()
        with self.nats.jet() as jet:
            jet.create(STREAM, TOKEN + ".>", retention="workqueue")
        self.bad(["work queue"])

    def test_missing_rights(self):
        """Found by trying, with what a plan leaves behind taken away again."""
        for subject in ("$JS.API.STREAM.CREATE.>", "$JS.API.CONSUMER.>", TOKEN + ".>", "$JS.API.STREAM.MSG.GET.>", "$JS.FC.>"):
            with self.subTest(subject):
                users = f"""[ {{user: "kedge", password: "secret", permissions: {{ publish: {{ deny: ["{subject}"] }} }} }},
                              {{user: "admin", password: "admin"}} ]"""
                self.nats = self.nats_server(config=f"authorization {{ users = {users} }}")
                self.nats.credentials = {"user": "admin", "password": "admin"}
                self.server = self.kedged(self.nats.url(), f'user = "kedge"\npassword_file = "{self.file("password", "secret")}"')
                self.server.add_stream(STREAM, TOKEN + ".>")
                self.bad([])
                self.assertEqual(self.names(), [])

    def test_interest_stream(self):
        self.prepare()
        self.server.add_stream("INTEREST", "interest.>", retention="interest")
        self.bad(["interest"], stream="INTEREST")

    def test_mail(self):
        self.prepare()
        self.refused("start", "INBOX")
        status, plan, error = self.run_migrate("migrate", "plan", "INBOX")
        self.assertTrue(status != 0 and (plan is None or not plan["ok"]), (plan, error))

    def test_a_row_that_is_too_large(self):
        self.prepare()
        self.link().ok("pub", b"x" * 300_000, subject=TOKEN + ".x")
        self.server.stop()
        self.server.configure(self.configuration(self.nats.url(), "") + "[limits]\nbody_bytes = 65536\n")
        self.server.start()
        self.bad(["large"], "--from", "first")
        self.assertTrue(self.plan("--from", "now")["ok"])

    def test_services_listen_there(self):
        """A NATS service whose subject the stream would take: it would be answered by JetStream's acks."""
        self.prepare()
        service = self.native(self.nats)
        info = {"type": "io.nats.micro.v1.info_response", "name": "calc", "id": "x", "version": "1.0.0", "description": "",
                "subject": TOKEN + ".calc", "subjects": [TOKEN + ".calc"], "endpoints": [{"name": "calc", "subject": TOKEN + ".calc"}]}
        service.subscribe("$SRV.INFO", lambda message: service.publish(message.reply, json.dumps(info)))
        service.flush()
        checks = self.plan()["checks"]
        self.assertTrue(any("calc" in check["text"] and check["result"] in ("bad", "warn") for check in checks), checks)

    def test_unknown_stream(self):
        self.prepare()
        self.refused("plan", "NONE")


class Identity(PlanBase):
    """The ways to log in and to be sure of the other side."""

    def works(self):
        self.await_link()
        self.assertTrue(self.plan()["ok"])
        self.publish(self.link(), 3)
        self.start("--from", "first")
        self.publish_native(2)
        self.level()
        self.assert_same_sides()

    def serve(self, settings, credentials, url="nats", **nats):
        self.nats = self.nats_server(**nats)
        self.nats.credentials = credentials
        self.server = self.kedged(f"{url}://127.0.0.1:{self.nats.port}", settings)
        self.server.add_stream(STREAM, TOKEN + ".>")

    def test_nkey(self):
        seed = new_nkey()
        self.serve(f'nkey_file = "{self.file("seed", seed + chr(10))}"', {"nkey": seed},
                   config=f'authorization {{ users = [ {{nkey: "{public_nkey(seed)}"}} ] }}')
        self.works()

    def test_token(self):
        self.serve(f'token_file = "{self.file("token", "secret" + chr(10))}"', {"token": "secret"}, config='authorization { token: "secret" }')
        self.works()

    def test_wrong_password(self):
        self.serve(f'user = "u"\npassword_file = "{self.file("password", "wrong" + chr(10))}"', {"user": "u", "password": "right"},
                   config='authorization { user: "u", password: "right" }')
        eventually(lambda: "authorization" in self.migrate("status")["link"]["why"].lower(), "the first try to connect has failed")
        self.bad(["authorization"])

    def test_tls(self):
        directory = scratch("tls")
        authority, other = make_certificate(directory, "authority"), make_certificate(directory, "other")
        certificate, key = make_certificate(directory, "server", authority)
        mine, mine_key = make_certificate(directory, "kedge", authority)
        os.chmod(mine_key, 0o600)
        config = f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{authority[0]}", verify: true, timeout: 20 }}'
        credentials = {"tls": tls_context(authority[0], mine, mine_key)}
        own = f'certificate_file = "{mine}"\nkey_file = "{mine_key}"\n'
        self.serve(own + f'ca_file = "{authority[0]}"', credentials, url="tls", config=config)
        self.works()
        for settings in (own + f'ca_file = "{other[0]}"', own + f'ca_file = "{authority[0]}"\nexpected_name = "elsewhere"',
                         f'ca_file = "{authority[0]}"'):
            with self.subTest(settings):
                self.serve(settings, credentials, url="tls", config=config)
                self.bad([])


if __name__ == "__main__":
    unittest.main()
