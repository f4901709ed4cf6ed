"""§4.1 `pub` into streams: durable, idempotent by id, by rising `n`; §5.6."""

import time
import unittest

from harness import Case, eventually


class Durable(Case):
    def test_ok_says_where(self):
        """§4.1: `ok` has `seq` and `stream` if the subject is in a stream."""
        name, token = self.stream()
        link = self.link()
        ok = link.ok("pub", "x", subject=token + ".a")
        self.assertEqual((ok["stream"], ok["seq"]), (name, 1))
        self.assertNotIn("dup", ok)
        plain = link.ok("pub", "x", subject=self.name("plain"))
        self.assertNotIn("seq", plain)
        self.assertNotIn("stream", plain)

    def test_plain_subscribers_see_seq_and_stream(self):
        """§4.2: `msg` has `seq` and `stream` for a stored message; without `consumer` it wants no ack."""
        name, token = self.stream()
        link = self.link()
        link.ok("sub", subject=token + ".>")
        link.send("pub", "x", subject=token + ".a", id="p")
        msg = link.msgs(1)[0]
        self.assertEqual((msg["stream"], msg["seq"], msg["pub_id"]), (name, 1, "p"))
        self.assertNotIn("consumer", msg)

    def test_committed_when_answered(self):
        """§4.1: with `ok` it is committed and synced: it survives kill -9."""
        name, token = self.stream()
        link = self.link(node="n")
        last = self.publish(link, token + ".x", 200)[-1]["seq"]
        self.server.kill()
        self.server.start()
        reader = self.link()
        reader.ok("consume", stream=name, consumer="c", start="first")
        self.assertEqual(self.seqs(reader.msgs(last)), list(range(1, last + 1)))
        self.assertEqual(self.link().ok("pub", "x", subject=token + ".x")["seq"], last + 1)

    def test_without_id_it_is_stored_too(self):
        name, token = self.stream()
        link = self.link()
        link.ok("consume", stream=name, consumer="c")
        for number in range(5):
            link.send("pub", str(number), subject=token + ".x")
        self.assertEqual(self.bodies(link.msgs(5)), ["0", "1", "2", "3", "4"])


class ById(Case):
    def setUp(self):
        self.stream_name, self.token = self.stream()
        self.node = self.name("n")

    def test_same_id_again(self):
        """§4.1: stores nothing and is answered by the first `seq` and `"dup":true`."""
        link = self.link(node=self.node)
        link.ok("sub", subject=self.token + ".>")
        first = link.ok("pub", "x", subject=self.token + ".a", id="one", headers={"A": "b"})
        again = link.ok("pub", "x", subject=self.token + ".a", id="one", headers={"A": "b"})
        self.assertEqual((again["stream"], again["seq"], again["dup"]), (self.stream_name, first["seq"], True))
        self.assertEqual(link.ok("pub", "x", subject=self.token + ".a", id="two")["seq"], first["seq"] + 1)
        self.assertEqual(self.seqs(link.arrived()), [1, 2])

    def test_headers_in_another_order_are_the_same(self):
        """JSON objects have no order: the same publish."""
        link = self.link(node=self.node)
        link.ok("pub", "x", subject=self.token + ".a", id="one", headers={"A": "1", "B": "2"})
        self.assertTrue(link.ok("pub", "x", subject=self.token + ".a", id="one", headers={"B": "2", "A": "1"})["dup"])

    def test_same_id_with_other_content(self):
        """§4.1: the same id with another subject, headers or body: `exists`."""
        link = self.link(node=self.node)
        link.ok("pub", "x", subject=self.token + ".a", id="one", headers={"A": "b"})
        for other in ({"subject": self.token + ".b", "headers": {"A": "b"}, "body": "x"},
                      {"subject": self.token + ".a", "headers": {"A": "c"}, "body": "x"},
                      {"subject": self.token + ".a", "body": "x"},
                      {"subject": self.token + ".a", "headers": {"A": "b"}, "body": "y"}):
            with self.subTest(str(other)):
                self.assertEqual(link.refused("pub", id="one", **other), "exists")
        self.assertEqual(link.ok("pub", "z", subject=self.token + ".a")["seq"], 2)

    def test_while_the_first_is_under_way(self):
        """§4.1: while the first is still under way the second waits for its answer."""
        link = self.link(node=self.node)
        count = 100
        text = b"".join(link.codec.encode({"op": "pub", "subject": self.token + ".a", "id": f"{n}"}, b"x")
                        for n in range(count) for _ in range(3))
        link.write(text)
        oks = [link.expect("ok") for _ in range(3 * count)]
        self.assertEqual([n["seq"] for n in oks], [n for n in range(1, count + 1) for _ in range(3)])
        self.assertEqual([n["id"] for n in oks], [str(n) for n in range(count) for _ in range(3)])
        self.assertEqual([bool(n.get("dup")) for n in oks], [False, True, True] * count)

    def test_other_content_while_the_first_is_under_way(self):
        """§4.1: `exists` holds for a publish in flight too."""
        link = self.link(node=self.node)
        encode = link.codec.encode
        link.write(encode({"op": "pub", "subject": self.token + ".a", "id": "x"}, b"1")
                   + encode({"op": "pub", "subject": self.token + ".a", "id": "x"}, b"2"))
        answers = [link.answer("x"), link.answer("x")]
        self.assertEqual([n.op for n in answers], ["ok", "error"])
        self.assertEqual(answers[1]["code"], "exists")

    def test_after_reconnect(self):
        """§4.1: the same `user/node`, on whatever link."""
        self.link(node=self.node).ok("pub", "x", subject=self.token + ".a", id="one")
        again = self.link(node=self.node, form="frames").ok("pub", "x", subject=self.token + ".a", id="one")
        self.assertEqual((again["seq"], again["dup"]), (1, True))

    def test_after_kill(self):
        """§4.1: a restart does not shorten the window."""
        link = self.link(node=self.node)
        count = 300
        self.publish(link, self.token + ".a", count)
        self.server.kill()
        self.server.start()
        link = self.link(node=self.node)
        again = self.publish(link, self.token + ".a", count)
        self.assertEqual([n["seq"] for n in again], list(range(1, count + 1)))
        self.assertTrue(all(n.get("dup") for n in again))
        self.assertEqual(link.refused("pub", "other", subject=self.token + ".a", id="p7"), "exists")

    def test_after_retention(self):
        """§4.1: retention does not shorten the window."""
        name, token = self.stream(max_msgs=1)
        link = self.link(node=self.node)
        self.publish(link, token + ".a", 20)
        again = self.publish(link, token + ".a", 20)
        self.assertEqual([n["seq"] for n in again], list(range(1, 21)))

    def test_no_window_without_node(self):
        """§4.1: a link without a node has none."""
        link = self.link()
        seqs = [link.ok("pub", "x", subject=self.token + ".a", id="same")["seq"] for _ in range(3)]
        self.assertEqual(seqs, [1, 2, 3])

    def test_each_node_its_own(self):
        one, two = self.link(node=self.node), self.link("bob", self.node)
        three = self.link(node=self.name("n"))
        seqs = [link.ok("pub", "x", subject=self.token + ".a", id="same")["seq"] for link in (one, two, three)]
        self.assertEqual(seqs, [1, 2, 3])


class SmallWindow(Case):
    config = "[limits]\ndedupe_ids = 5\n"

    def test_window_at_its_limit(self):
        """§4.1, §8: the node's last N ids, told in `welcome`: N are known, the one before is not."""
        name, token = self.stream()
        link = self.link(node="small")
        self.assertEqual(link.welcome["dedupe"]["ids"], 5)
        self.publish(link, token + ".a", 5)
        self.assertTrue(link.ok("pub", "1", subject=token + ".a", id="p1")["dup"])
        self.publish(link, token + ".a", 1, first=6)
        self.assertEqual(link.ok("pub", "1", subject=token + ".a", id="p1")["seq"], 7)
        self.assertTrue(link.ok("pub", "6", subject=token + ".a", id="p6")["dup"])


class ShortWindow(Case):
    config = "[limits]\ndedupe_ms = 1000\n"

    def test_window_ends(self):
        """§4.1: within the window the id is known; afterwards it is stored anew."""
        _, token = self.stream()
        link = self.link(node="short")
        self.assertEqual(link.welcome["dedupe"]["ms"], 1000)
        start = time.monotonic()
        link.ok("pub", "1", subject=token + ".a", id="one")

        def forgotten():
            return link.ok("pub", "1", subject=token + ".a", id="one")["seq"] == 2
        eventually(forgotten, "the id is forgotten")
        self.assertGreaterEqual(time.monotonic() - start, 0.95)


class BoundedWindows(Case):
    config = "[limits]\ndedupe_ids_total = 10\ndedupe_ids = 10\n"

    def test_least_recently_used_node_first(self):
        """§4.1: all windows together are bounded, the least recently used node first."""
        _, token = self.stream()
        old, new = self.link(node="old"), self.link(node="new")
        self.publish(old, token + ".a", 5)
        self.publish(new, token + ".a", 6)
        self.assertTrue(all(n.get("dup") for n in self.publish(new, token + ".a", 6)))
        self.assertEqual(old.ok("pub", "1", subject=token + ".a", id="p1")["seq"], 12)


class ByNumber(Case):
    def setUp(self):
        self.stream_name, self.token = self.stream()
        self.node = self.name("n")

    def send(self, link, *numbers):
        link.write(b"".join(link.codec.encode({"op": "pub", "subject": self.token + ".a", "n": n}, str(n).encode())
                            for n in numbers))

    def stored(self, link, up_to):
        """The `stored` notices until one covers `up_to`."""
        notices = [link.expect("stored")]
        while notices[-1]["n"] < up_to:
            notices.append(link.expect("stored"))
        return notices

    def test_stored_covers_everything_up_to_n(self):
        """§4.1: one `stored` (`stream` `n` `seq`) per commit that covers everything up to `n`."""
        link = self.link(node=self.node)
        self.send(link, *range(1, 1001))
        notices = self.stored(link, 1000)
        self.assertTrue(all(n["stream"] == self.stream_name and n["seq"] == n["n"] for n in notices))
        numbers = [n["n"] for n in notices]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(numbers[-1], 1000)

    def test_what_is_not_above_is_dropped(self):
        """§4.1: drops what is not above the highest `n` stored; gaps are fine."""
        link = self.link(node=self.node)
        self.send(link, 1, 5, 9)
        self.stored(link, 9)
        self.send(link, 1, 5, 7, 9, 10)
        self.assertEqual(self.stored(link, 10)[-1]["seq"], 4)
        self.assertEqual(link.ok("pub", "x", subject=self.token + ".a")["seq"], 5)

    def test_last_after_reconnect_and_kill(self):
        """§4.1: `welcome` after `hello` returns them in `last`."""
        link = self.link(node=self.node)
        self.send(link, *range(1, 51))
        self.stored(link, 50)
        for _ in range(2):
            link = self.link()
            self.assertEqual(link.hello(self.node)["last"], {self.stream_name: 50})
            self.server.kill()
            self.server.start()
        link = self.link(node=self.node)
        self.send(link, *range(40, 61))
        self.assertEqual(self.stored(link, 60)[-1]["seq"], 60)

    def test_each_stream_its_own(self):
        """§4.1: rises per `user/node` and stream."""
        other, token = self.stream()
        link = self.link(node=self.node)
        self.send(link, 7)
        self.stored(link, 7)
        link.send("pub", "x", subject=token + ".a", n=3)
        self.assertEqual(dict(link.expect("stored")), {"op": "stored", "stream": other, "n": 3, "seq": 1})
        self.assertEqual(self.link().hello(self.node)["last"], {self.stream_name: 7, other: 3})

    def test_needs_a_node(self):
        """§4.1: needs a node."""
        link = self.link()
        link.send("pub", "x", subject=self.token + ".a", n=1)
        error = link.expect("error")
        self.assertEqual((error["code"], error["n"], error["stream"]), ("bad_request", 1, self.stream_name))

    def test_errors_say_which(self):
        """§4.2: an error has what its code adds; without an id the `n` says what it answers."""
        link = self.link(node=self.node)
        link.send("pub", "x", subject="$sys.denied.a", n=12)
        error = link.expect("error")
        self.assertEqual((error["code"], error["n"]), ("denied", 12))
        self.assertNotIn("id", error)

    def test_instead_of_id(self):
        """§4.1: `n` instead of `id`; a number."""
        link = self.link(node=self.node)
        self.assertEqual(link.refused("pub", "x", subject=self.token + ".a", n=1), "bad_request")
        for bad in ("1", -1, 1.5, [1]):
            with self.subTest(bad):
                link.send("pub", "x", subject=self.token + ".a", n=bad)
                self.assertEqual(link.expect("error")["code"], "bad_request")

    def test_subscribers_and_order(self):
        """§5.1: messages of one link on one subject arrive in the order sent; once each."""
        link, reader = self.link(node=self.node), self.link("bob")
        reader.ok("sub", subject=self.token + ".>")
        self.send(link, *range(1, 101))
        self.send(link, *range(50, 151))
        self.stored(link, 150)
        self.assertEqual(self.bodies(reader.msgs(150)), [str(n) for n in range(1, 151)])


if __name__ == "__main__":
    unittest.main()
