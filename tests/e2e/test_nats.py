"""The NATS client and server fixture of these tests, against the real nats-server: what the migration's tests stand on."""

import json
import os
import threading
import unittest

from harness import eventually, scratch
from jetstream import JetStream, place_of
from links import TIMEOUT
from mirror_history import MirrorHistory
from nats import ApiError, Connection, Disconnected, NatsError, header, new_nkey, public_nkey
from nats_server import NatsServer, NatsTest, Proxy, make_certificate, tls_context
from workers import Counter, NativeConsumer, NativePublisher


class Plain(NatsTest):
    @classmethod
    def setUpClass(cls):
        cls.server = NatsServer()
        cls.addClassCleanup(cls.server.destroy)

    def test_publish_and_subscribe(self):
        one, two = self.native(self.server), self.native(self.server)
        subscription = one.subscribe("live.>")
        one.flush()
        two.publish("live.a.b", b"with \r\n in it", [("Name", "value"), ("Name", "again"), ("Empty", "")], reply="back")
        two.publish("live.c")
        two.publish("other")
        two.flush()
        first, second = subscription.next(), subscription.next()
        self.assertEqual((first.subject, first.reply, first.body), ("live.a.b", "back", b"with \r\n in it"))
        self.assertEqual(first.headers, [("Name", "value"), ("Name", "again"), ("Empty", "")])
        self.assertEqual((second.subject, second.reply, second.headers, second.body), ("live.c", "", [], b""))
        one.flush()
        self.assertEqual(subscription.rest(), [])
        subscription.end()
        two.publish("live.d")
        two.flush()
        one.flush()
        self.assertEqual(subscription.rest(), [])

    def test_echo(self):
        for no_echo in (False, True):
            connection = self.native(self.server, no_echo=no_echo)
            subscription = connection.subscribe("echo")
            connection.publish("echo", b"x")
            connection.flush()
            self.assertEqual(len(subscription.rest()), 0 if no_echo else 1)

    def test_queue(self):
        connection = self.native(self.server)
        members = [connection.subscribe("shared", queue="q") for _ in range(2)]
        for _ in range(40):
            connection.publish("shared")
        connection.flush()
        self.assertEqual(sum(len(member.rest()) for member in members), 40)

    def test_request(self):
        asker, service = self.native(self.server), self.native(self.server)
        service.subscribe("svc", lambda message: service.publish(message.reply, message.body.upper()))
        service.flush()
        self.assertEqual(asker.request("svc", b"abc").body, b"ABC")
        with self.assertRaises(NatsError):
            asker.request("nobody")
        service.subscribe("mute")
        service.flush()
        with self.assertRaises(TimeoutError):
            asker.request("mute", timeout=0.05)

    def test_much_and_large(self):
        connection = self.native(self.server)
        subscription = connection.subscribe("much")
        bodies = [os.urandom(number % 3000) for number in range(3000)] + [os.urandom(900_000)]
        for body in bodies:
            connection.publish("much", body)
        connection.flush()
        self.assertEqual([message.body for message in subscription.rest()], bodies)

    def test_ends(self):
        connection = self.native(self.server)
        subscription = connection.subscribe("x")
        threading.Timer(0.05, connection.cut).start()
        with self.assertRaises(Disconnected):
            subscription.next()
        with self.assertRaises(Disconnected):
            connection.publish("x")
        with self.assertRaises(Disconnected):
            connection.flush()

    def test_errors_are_kept(self):
        connection = self.native(self.server)
        connection.write(b"NONSENSE\r\n")
        eventually(lambda: connection.ended, "the server ends it")
        self.assertIn("Unknown Protocol", "".join(connection.errors))


class Streams(NatsTest):
    @classmethod
    def setUpClass(cls):
        cls.server = NatsServer()
        cls.addClassCleanup(cls.server.destroy)

    def setUp(self):
        self.connection = self.native(self.server)
        self.jet = JetStream(self.connection)
        self.name = "S" + self._testMethodName
        self.subject = self.name.lower()
        self.jet.create(self.name, self.subject + ".>")

    def test_publish(self):
        self.assertEqual(self.jet.publish(self.subject + ".a", b"1", [("Color", "red")], msg_id="m1"), {"stream": self.name, "seq": 1})
        self.assertEqual(self.jet.publish(self.subject + ".a", b"1", msg_id="m1"),
                         {"stream": self.name, "seq": 1, "duplicate": True})
        self.assertEqual(self.jet.publish(self.subject + ".b", b"2")["seq"], 2)
        self.assertEqual(self.jet.last(self.name), 2)
        first = self.jet.get(self.name, 1)
        self.assertEqual((first.subject, first.body), (self.subject + ".a", b"1"))
        self.assertEqual(header(first.headers, "Color"), "red")
        self.assertEqual(header(first.headers, "Nats-Msg-Id"), "m1")
        self.assertIsNone(header(first.headers, "Other"))
        self.assertIsNone(self.jet.get(self.name, 3))
        with self.assertRaises(NatsError):
            self.jet.publish("no.stream.here")

    def test_read_all(self):
        self.assertEqual(list(self.jet.read_all(self.name)), [])
        for number in range(1, 1301):
            self.connection.publish(self.subject + ".x", str(number))
        eventually(lambda: self.jet.last(self.name) == 1300, "all is stored")
        self.jet.delete_message(self.name, 7)
        found = [(place, int(message.body)) for place, message in self.jet.read_all(self.name)]
        self.assertEqual(found, [(number, number) for number in range(1, 1301) if number != 7])
        self.assertEqual([place for place, _ in self.jet.read_all(self.name, start=1299)], [1299, 1300])
        self.assertEqual(self.jet.info(self.name)["state"]["consumer_count"], 0)

    def test_durable(self):
        for number in range(10):
            self.jet.publish(self.subject + ".x", str(number))
        pull = self.jet.durable(self.name, "D", ack_wait=10**9)
        messages = pull.fetch(6)
        self.assertEqual([int(message.body) for message in messages], list(range(6)))
        self.assertEqual((place_of(messages[0]).place, place_of(messages[0]).tries, place_of(messages[0]).pending), (1, 1, 9))
        for message in messages[:5]:
            pull.ack(message, confirm=True)
        again = self.jet.durable(self.name, "D", ack_wait=10**9)
        found = []
        eventually(lambda: found.extend(again.fetch(10)) or len(found) >= 5, "the rest and what was not acknowledged")
        self.assertEqual({int(message.body) for message in found}, {5, 6, 7, 8, 9})
        self.assertIn((5, 2), [(int(message.body), place_of(message).tries) for message in found])

    def test_refusals(self):
        with self.assertRaises(ApiError) as caught:
            self.jet.create("OTHER", self.subject + ".x")
        self.assertEqual(caught.exception.err_code, 10065)  # subjects overlap
        with self.assertRaises(ApiError) as caught:
            self.jet.info("NONE")
        self.assertEqual((caught.exception.code, caught.exception.err_code), (404, 10059))
        self.jet.update(self.name, max_msg_size=10)
        with self.assertRaises(ApiError) as caught:
            self.jet.publish(self.subject + ".x", b"0123456789a")
        self.assertEqual(caught.exception.err_code, 10054)
        self.assertIn(self.name, self.jet.names())
        self.jet.delete(self.name)
        self.assertNotIn(self.name, self.jet.names())


class Fixture(NatsTest):
    def test_kill_keeps_what_was_acknowledged(self):
        server = self.nats_server()
        port = server.port
        with server.jet() as jet:
            jet.create("K", "k.>")
            for number in range(50):
                jet.publish("k.x", str(number), msg_id=str(number))
            server.restart()
            with self.assertRaises(Disconnected):
                jet.info("K")
        self.assertEqual(server.port, port)
        self.assertEqual([int(message.body) for _, message in server.contents("K")], list(range(50)))
        with server.jet() as jet:
            self.assertTrue(jet.publish("k.x", b"49", msg_id="49")["duplicate"])  # it remembers ids over the restart

    def test_freeze(self):
        server = self.nats_server()
        connection = self.native(server)
        with server.frozen():
            with self.assertRaises(TimeoutError):
                connection.flush(0.1)
        connection.flush()

    def test_older_copy(self):
        server = self.nats_server()
        with server.jet() as jet:
            jet.create("R", "r.>")
            for number in range(20):
                jet.publish("r.x", str(number))
            older = server.copy()
            for number in range(20, 30):
                jet.publish("r.x", str(number))
            self.assertEqual(jet.last("R"), 30)
        server.put_back(older)
        with server.jet() as jet:
            self.assertEqual(jet.last("R"), 20)
            self.assertEqual(jet.publish("r.x", b"other")["seq"], 21)
        server.put_back(older)  # the copy is still what it was
        with server.jet() as jet:
            self.assertEqual(jet.last("R"), 20)

    def test_without_jetstream(self):
        server = self.nats_server(jetstream=False)
        with self.assertRaises(NatsError):
            JetStream(self.native(server)).info("X")

    def test_users(self):
        seed = new_nkey()
        server = self.nats_server(config=f'authorization {{ users = [ {{user: "u", password: "p"}}, {{nkey: "{public_nkey(seed)}"}} ] }}')
        with self.assertRaises(NatsError):
            server.connect()
        with self.assertRaises(NatsError):
            server.connect(user="u", password="wrong")
        with self.assertRaises(NatsError):
            server.connect(nkey=new_nkey())
        self.native(server, user="u", password="p").flush()
        self.native(server, nkey=seed).flush()

    def test_tls(self):
        directory = scratch("tls")
        authority = make_certificate(directory, "authority")
        certificate, key = make_certificate(directory, "server", authority)
        mine = make_certificate(directory, "client", authority)
        server = self.nats_server(config=f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{authority[0]}", verify: true, timeout: 20 }}')
        self.native(server, tls=tls_context(authority[0], *mine)).flush()
        with self.assertRaises((Disconnected, NatsError)):
            server.connect(tls=tls_context(authority[0])).flush()


class Cuts(NatsTest):
    def setUp(self):
        self.server = self.nats_server()
        self.proxy = Proxy(lambda: self.server.port)
        self.addCleanup(self.proxy.close)

    def test_proxy(self):
        connection = Connection(self.proxy.port)
        self.addCleanup(connection.close)
        connection.flush()
        self.proxy.hold()
        with self.assertRaises(TimeoutError):
            connection.flush(0.1)
        self.proxy.release()
        connection.flush()
        self.proxy.cut()
        eventually(lambda: connection.ended, "it notices")
        self.proxy.refusing = True
        with self.assertRaises(Disconnected):
            Connection(self.proxy.port)
        self.proxy.refusing = False
        with Connection(self.proxy.port) as again:
            self.assertTrue(json.dumps(again.info))
            self.proxy.delay = 0.02
            again.flush()


class Workers(NatsTest):
    """The native clients of the migration's tests, with no kedge near: what they find amiss later is not their own doing."""

    rewinds = 0
    between_s, batch = 0.01, 10

    def setUp(self):
        self.nats = self.nats_server()
        self.history = MirrorHistory()
        self.progress = Counter()
        self.publishing_ended, self.consuming_ended = threading.Event(), threading.Event()
        with self.nats.jet() as jet:
            jet.create("W", "w.>")
        self.clients = [NativePublisher(self, f"n{n}", "W", "w") for n in range(3)] + [NativeConsumer(self, f"c{n}", "W") for n in range(2)]
        self.addCleanup(self.end)

    def end(self):
        self.publishing_ended.set()
        self.consuming_ended.set()
        for client in self.clients:
            if client.is_alive():
                client.join(TIMEOUT)

    def more(self, answers):
        goal = self.progress.value + answers
        eventually(lambda: self.progress.value >= goal or [c.failure for c in self.clients if c.failure], f"{answers} more answers")
        self.assertEqual([c.failure for c in self.clients if c.failure], [])

    def test_over_kills_and_freezes(self):
        for client in self.clients:
            client.start()
        for round_ in range(6):
            self.more(150)
            if round_ % 3 == 2:
                with self.nats.frozen():
                    threading.Event().wait(0.1)
            else:
                self.nats.restart()
        self.more(150)
        self.publishing_ended.set()
        for client in self.clients[:3]:
            client.join(TIMEOUT)
        found = [tuple(message.body.decode().split()[:2]) for _, message in self.nats.contents("W")]
        for client in self.clients[:3]:
            numbers = [int(number) for name, number in found if name == client.name_]
            self.assertEqual(numbers, list(range(1, client.record.sent + 1)))
            self.assertEqual([ack.number for ack in client.record.acks], numbers)
            self.assertGreater(client.life, 3)
        for deliveries in self.history.native_consumers.values():
            eventually(lambda got=deliveries: {(name, str(number)) for _, name, number in list(got)} >= set(found), "all are read")


if __name__ == "__main__":
    unittest.main()
