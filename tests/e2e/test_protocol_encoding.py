"""§2 Encodings: frames and lines as they stand on the wire."""

import base64
import json
import unittest

from harness import Case
from wire import Frames, Lines

FORMS = ("lines", "frames")


class Lines_(Case):
    """§2.2"""

    def raw(self, form="lines"):
        return self.channel(self.session(), form)

    def test_cut_anywhere(self):
        """§2.2: a line may arrive in any pieces."""
        link = self.raw()
        subject = self.name("cut")
        link.ok("sub", subject=subject)
        text = Lines.encode({"op": "pub", "id": "c", "subject": subject}, "grüße".encode())
        for at in range(len(text)):
            link.write(text[at:at + 1])
        self.assertEqual(link.answer("c").op, "ok")
        self.assertEqual(link.msgs(1)[0].body, "grüße".encode())

    def test_many_in_one_piece(self):
        """§2.2: one write may hold many lines, and a part of the next."""
        link = self.raw()
        text = b"".join(Lines.encode({"op": "ping", "id": str(n)}) for n in range(50))
        link.write(text[:-7])
        link.write(text[-7:])
        self.assertEqual([link.expect("pong")["id"] for _ in range(50)], [str(n) for n in range(50)])

    def test_cr_lf_accepted(self):
        """§2.2: CR LF accepted."""
        link = self.link()
        link.write(b'{"op":"ping","id":"crlf"}\r\n')
        self.assertEqual(link.answer("crlf").op, "pong")

    def test_blank_lines_ignored(self):
        """§2.2: blank lines are ignored."""
        link = self.link()
        link.write(b'\n\r\n\n{"op":"ping","id":"after"}\n\n')
        self.assertEqual(link.next(), {"op": "pong", "id": "after"})

    def test_data64_accepted_for_text(self):
        """§2.2: a receiver takes either for any body."""
        link = self.link()
        subject = self.name("b")
        link.ok("sub", subject=subject)
        link.send("pub", subject=subject, data64=base64.b64encode(b"plain text").decode())
        self.assertEqual(link.msgs(1)[0].body, b"plain text")

    def test_both_bodies_are_bad_request(self):
        """§2.2: both at once is bad_request."""
        self.assertEqual(self.link().refused("pub", subject="x", data="a", data64="YQ=="), "bad_request")

    def test_wrong_base64_is_bad_request(self):
        """§2.2, RFC 4648 §4: padding and alphabet are as there."""
        link = self.link()
        for wrong in ("YQ", "YQ=", "Y!==", "YQ==YQ==", "Y Q=="):
            with self.subTest(wrong):
                self.assertEqual(link.refused("pub", subject="x", data64=wrong), "bad_request")
        self.assertEqual(link.refused("pub", subject="x", data=5), "bad_request")
        self.assertEqual(link.refused("pub", subject="x", data64=5), "bad_request")

    def test_choice_of_data_or_data64(self):
        """§2.2: `data` when valid UTF-8 that is no longer when escaped than in base64, else `data64`."""
        reader = self.raw()
        lines = []
        decode = reader.codec._decode
        reader.codec._decode = lambda line: (lines.append(line), decode(line))[1]
        writer = self.channel(self.session(), "frames")
        subject = self.name("choice")
        reader.ok("sub", subject=subject)
        for body, expected in ((b"hello", "data"), ("grüße €".encode(), "data"), (b"\xff\xfe", "data64"),
                               (b"\x00" * 30, "data64"), (b'"' * 3, "data64"), (b'a"b', "data"), (b"\xc0\x80", "data64"),
                               (b"\xed\xa0\x80", "data64"), ("\U0001f600".encode(), "data")):
            with self.subTest(body):
                lines.clear()
                writer.ok("pub", body, subject=subject)
                self.assertEqual(reader.msgs(1)[0].body, body)
                self.assertIn(expected, json.loads(lines[-1]))

    def test_malformed_lines_are_answered_and_the_link_goes_on(self):
        """§6: a malformed line is answered `bad_request` and the link goes on."""
        link = self.link()
        for line in (b"hello", b"{", b"[]", b"17", b'"op"', b"{}", b'{"op":5}', b'{"op":"ping"', b'{"op":"ping"}}',
                     b'{"op":"ping","id":"\xff"}', b'{"op":"ping",}', b"\x00", b"{\"op\":\"ping\"} x"):
            with self.subTest(line):
                link.write(line + b"\n")
                self.assertEqual(link.next()["code"], "bad_request")
                link.ping()

    def test_malformed_operation_keeps_its_id(self):
        """§4: an operation with an id is answered bearing that id, also when a field is wrong."""
        link = self.link()
        for fields in ({"op": "pub", "subject": 5}, {"op": "pub"}, {"op": "sub"}, {"op": "sub", "subject": ["a"]},
                       {"op": "who", "what": 7}, {"op": "ack"}, {"op": "consume"}, {"op": "nak", "consumer": "c"},
                       {"op": "pub", "subject": "a", "headers": "x"}):
            with self.subTest(str(fields)):
                self.assertEqual(link.refused(**fields), "bad_request")


class Frames_(Case):
    """§2.1"""

    def frames(self):
        return self.channel(self.session())

    def test_cut_anywhere(self):
        """§2.1: a frame may arrive in any pieces."""
        link = self.frames()
        subject = self.name("cut")
        link.ok("sub", subject=subject)
        text = Frames.encode({"op": "pub", "id": "c", "subject": subject}, bytes(range(32)))
        for cut in range(1, len(text)):
            link.write(text[:cut])
            link.write(text[cut:])
        for _ in range(1, len(text)):
            self.assertEqual(link.expect("ok")["id"], "c")
            self.assertEqual(link.msgs(1)[0].body, bytes(range(32)))

    def test_byte_by_byte(self):
        link = self.frames()
        for byte in Frames.encode({"op": "ping", "id": "slow"}):
            link.write(bytes([byte]))
        self.assertEqual(link.answer("slow").op, "pong")

    def test_any_octets(self):
        """§2.1: the body is any octets, also none."""
        link = self.frames()
        subject = self.name("octets")
        link.ok("sub", subject=subject)
        for body in (b"", bytes(range(256)), b"\n\r\n{}", b"\x00" * 100):
            link.ok("pub", body, subject=subject)
            self.assertEqual(link.msgs(1)[0].body, body)

    def test_header_size_forms(self):
        """§2.1: hex, left-justified, padded with spaces."""
        link = self.frames()
        header = b'{"op":"ping","id":"%s"}'
        for digits in (1, 2, 3, 4):
            pad = {1: None, 2: 60, 3: 600, 4: 5000}[digits]
            if pad is None:
                continue  # no operation fits into 15 bytes
            with self.subTest(digits=digits):
                text = header % b"h" + b" " * (pad - len(header % b"h"))
                size = b"%-4x" % len(text)
                self.assertEqual(len(size.rstrip()), digits)
                link.write(Frames.pack(size, text))
                self.assertEqual(link.answer("h").op, "pong")

    def test_wrong_header_sizes_end_the_link(self):
        """§6: a wrong header size is `bad_frame`, followed by `bye`; exit status 1 (§4.2)."""
        ping = b'{"op":"ping"}'
        for size in (b"    ", b"zz  ", b"  d ", b"d  d", b"ffff", b"0x0d", b"-1  ", b"d\x00  "):
            with self.subTest(size):
                link = self.frames()
                link.write(Frames.pack(size, ping))
                bye, status = link.end()
                self.assertEqual((bye["code"], status), ("bad_frame", 1))
                self.assertEqual([n["code"] for n in link.rest() if n.op == "error"], ["bad_frame"])

    def test_frame_without_room_for_the_size(self):
        """§2.1: four bytes of header size are the least."""
        link = self.frames()
        link.write(b"\x00\x00\x00\x03abc")
        bye, status = link.end()
        self.assertEqual((bye["code"], status), ("bad_frame", 1))

    def test_malformed_header_in_a_sound_frame(self):
        """§6: answered `bad_request`, and the link goes on."""
        link = self.frames()
        for header in (b"hello", b"{", b"[]", b'{"op":5}', b"\xff"):
            with self.subTest(header):
                link.write(Frames.pack(b"%-4x" % len(header), header))
                self.assertEqual(link.next()["code"], "bad_request")
                link.ping()

    def test_frame_over_the_limit_ends_the_link(self):
        """§6: only a frame longer than `max_frame` ends the link."""
        link = self.frames()
        link.write((16 * 1024 * 1024).to_bytes(4, "big") + b"d   ")
        bye, status = link.end()
        self.assertIn(bye["code"], ("bad_frame", "too_large"))
        self.assertEqual(status, 1)


class Both(Case):
    """§2.2: both encodings carry the same operations."""

    def test_across(self):
        """What one encoding publishes the other receives, with every field."""
        links = {form: self.link(form=form, node=form) for form in FORMS}
        subject = self.name("both")
        for link in links.values():
            link.ok("sub", subject=subject)
        for form, link in links.items():
            link.ok("pub", f"from {form} €", subject=subject, id="p", reply_to="answer.here", headers={"Kind": "a b"})
            for reader in links.values():
                with self.subTest(f"{form} to {reader.codec.subsystem}"):
                    msg = reader.msgs(1)[0]
                    self.assertEqual(msg.body, f"from {form} €".encode())
                    self.assertEqual({k: msg[k] for k in ("subject", "from", "pub_id", "reply_to", "headers")},
                                     {"subject": subject, "from": f"alice/{form}", "pub_id": "p",
                                      "reply_to": "answer.here", "headers": {"Kind": "a b"}})

    def test_unknown_fields_are_ignored(self):
        """Preamble: a receiver ignores fields that it does not know."""
        for form in FORMS:
            with self.subTest(form):
                link = self.link(form=form)
                self.assertEqual(link.ask("ping", mystery={"a": [1, None]}, zzz=1.5).op, "pong")

    def test_order_and_escapes_of_fields(self):
        """JSON is JSON: order, white space and \\u escapes do not matter."""
        link = self.link()
        link.write(b' { "id" : "\\u0061b" , "\\u006fp" : "ping" } \n')
        self.assertEqual(link.answer("ab").op, "pong")

    def test_end_of_input_within_a_unit(self):
        """§1: what was sent whole is finished and answered; the rest is none."""
        for form, part in (("lines", b'{"op":"pi'), ("frames", b"\x00\x00\x01\x00abcd")):
            with self.subTest(form):
                link = self.link(form=form)
                link.send("ping", id="whole")
                link.write(part)
                link.end_input()
                link.end()
                self.assertEqual(link.answer("whole").op, "pong")


if __name__ == "__main__":
    unittest.main()
