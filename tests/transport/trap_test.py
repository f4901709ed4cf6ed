"""What a peer can do to a server on libssh, each while other sessions on the same thread go on undisturbed."""

import os
import socket
import struct
import time
import unittest

import paramiko

from harness import Bystander, Client, Keys, Server

TCP_REPAIR = 19


def closed_by_peer(peer, seconds):
    """Whether the other side closes this socket in time; reads whatever comes before."""
    peer.settimeout(seconds)
    try:
        while peer.recv(65536):
            pass
        return True
    except socket.timeout:
        return False
    except OSError:
        return True


class StalledReader(unittest.TestCase):
    """A client that stops reading must not put the thread to sleep in `send`, nor make the server hold more than a bound."""

    def test_stops_and_goes_on(self):
        size = 30_000_000
        with Server("link_unsent_bytes=4000000") as server, Bystander(server):
            with Client(server, "mallory", receive_buffer=65536) as client:
                link = client.open(window=2**31 - 1)
                link.line()
                before = server.memory()
                client.socket.stalled = True
                link.say('{"op":"pub","subject":"flood.%d"}' % size)
                time.sleep(1.5)  # long enough for a thread that is stuck to be noticed
                counts = server.counts()
                self.assertGreater(counts["unsent"], 0)
                self.assertLessEqual(counts["unsent"], 4_000_000)
                self.assertLess(server.memory() - before, 32_000_000)
                client.socket.stalled = False
                got = 0
                while got < size:
                    line = link.line()
                    self.assertTrue(line)
                    got += line.count(b"x")
                self.assertEqual(got, size)

    def test_closed_window(self):
        """The window is closed though the socket is not; a window adjustment raises no event of its own."""
        with Server() as server, Bystander(server), Client(server, "mallory") as client:
            link = client.open(window=10_000)
            link.line()
            link.say('{"op":"pub","subject":"flood.1000000"}')
            time.sleep(0.3)
            got = 0
            while got < 1_000_000:
                line = link.line()
                self.assertTrue(line)
                got += line.count(b"x")

    def test_gone_while_it_is_written_to(self):
        with Server() as server, Bystander(server):
            for _ in range(5):
                client = Client(server, "mallory", receive_buffer=65536)
                link = client.open(window=2**31 - 1)
                client.socket.stalled = True
                link.say('{"op":"pub","subject":"flood.50000000"}')
                server.wait_for(lambda counts: counts["unsent"] > 0)
                # Reset, not an orderly end.
                client.socket.inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.socket.inner.shutdown(socket.SHUT_RDWR)
                client.socket.inner.close()
                client.close()
            server.wait_for(lambda counts: counts["sessions"] == 1)


class TinyPackets(unittest.TestCase):
    """A maximum packet of 10 bytes or less makes libssh's write spin for half a minute."""

    def test_refused(self):
        """The channel is, not the session: its other links go on."""
        with Server() as server, Bystander(server), Client(server, "mallory") as client:
            link = client.open()
            link.line()
            for size in (0, 1, 9, 10, 11, 64, 1023):
                with self.subTest(size=size):
                    with self.assertRaises((paramiko.SSHException, EOFError)):
                        client.open(packet=size, seconds=20 if size else 1)  # libssh does not answer to 0
                    self.assertTrue(link.ping(f"after-{size}"))
            self.assertIn(b"welcome", client.open(packet=1024).line())

    def test_refused_for_commands_and_shells(self):
        with Server() as server, Bystander(server), Client(server, "mallory") as client:
            link = client.open()
            link.line()
            for request in ("exec", "shell", "exec again"):
                with self.subTest(request=request):
                    channel = client.transport.open_session(window_size=2**21, max_packet_size=10)
                    with self.assertRaises((paramiko.SSHException, EOFError)):
                        channel.invoke_shell() if request == "shell" else channel.exec_command("help")
                    self.assertTrue(link.ping(request))


class WindowOverrun(unittest.TestCase):
    """libssh takes whatever is sent, window or not."""

    def test_ends_the_session(self):
        with Server("link_inflight_bytes=65536") as server, Bystander(server), Client(server, "mallory") as client:
            link = client.open()
            link.line()
            before = server.memory()
            link.say('{"op":"pub","subject":"hold","data":"%s"}' % ("x" * 70_000))  # its credit never comes back
            piece = b'{"op":"pub","subject":"sink","data":"%s"}\n' % (b"y" * 30_000)
            sent = 0
            try:
                while sent < 200_000_000 and client.transport.is_active():
                    link.overrun(piece)
                    sent += len(piece)
            except (OSError, EOFError, paramiko.SSHException):
                pass
            self.assertLess(sent, 100_000_000)
            server.wait_for(lambda counts: counts["sessions"] == 1)
            self.assertLess(server.memory() - before, 48_000_000)

    def test_an_honest_client_is_only_slowed_down(self):
        with Server("link_inflight_bytes=65536") as server, Bystander(server), Client(server, "mallory") as client:
            link = client.open()
            link.line()
            link.say('{"op":"pub","subject":"hold","data":"%s"}' % ("x" * 70_000))
            link.channel.settimeout(1)
            sent = 0
            with self.assertRaises(socket.timeout):
                while sent < 50_000_000:
                    sent += link.channel.send(b'{"op":"pub","subject":"sink"}\n' * 1000)
            self.assertLess(sent, 8_000_000)
            self.assertTrue(client.transport.is_active())


class HalfOpen(unittest.TestCase):
    """A peer that vanished says nothing; the server must find out by itself."""

    def test_vanished(self):
        with Server("keepalive_ms=300", "dead_peer_ms=1000") as server, Bystander(server):
            client = Client(server, "mallory")
            client.open().line()
            try:
                client.socket.inner.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            except PermissionError:
                client.close()
                self.skipTest("only root can make a socket vanish without a word")
            client.socket.inner.close()
            server.wait_for(lambda counts: counts["sessions"] == 1, 8)
            client.close()

    def test_acknowledges_nothing_new(self):
        with Server("keepalive_ms=300", "dead_peer_ms=1000") as server, Bystander(server):
            client = Client(server, "mallory", receive_buffer=4096)
            link = client.open(window=2**31 - 1)
            client.socket.stalled = True
            link.say('{"op":"pub","subject":"flood.50000000"}')
            server.wait_for(lambda counts: counts["sessions"] == 1, 15)
            client.close()

    def test_idle_but_there(self):
        with Server("keepalive_ms=100", "dead_peer_ms=500") as server, Client(server) as client:
            link = client.open()
            time.sleep(1.5)
            self.assertTrue(link.ping("after"))


class SlowLogin(unittest.TestCase):
    def test_grace(self):
        with Server("login_grace_ms=1000") as server, Bystander(server):
            silent = server.connect()
            banner = server.connect()
            banner.sendall(b"SSH-2.0-slow\r\n")
            drip = server.connect()
            begin = time.monotonic()
            drip.settimeout(0.05)
            try:
                for byte in b"SSH-2.0-" + b"x" * 100:
                    drip.sendall(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                pass
            self.assertLess(time.monotonic() - begin, 4)
            for peer in (silent, banner, drip):
                self.assertTrue(closed_by_peer(peer, 4))
                peer.close()
            counts = server.counts()
            self.assertEqual(counts["refused_grace"], 3)
            self.assertEqual(counts["unauthenticated"], 0)

    def test_garbage(self):
        with Server() as server, Bystander(server):
            for words in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 5000, b"SSH-2.0-x\r\n" + os.urandom(70_000)):
                peer = server.connect()
                try:
                    peer.sendall(words)
                except OSError:
                    pass
                self.assertTrue(closed_by_peer(peer, 25), words[:20])
                peer.close()
            server.wait_for(lambda counts: counts["unauthenticated"] == 0)

    def test_flood_before_login(self):
        for limit, packets, size in (("login_packets=40", 100, 100), ("login_bytes=65536", 10, 20_000)):
            with self.subTest(limit), Server(limit) as server, Bystander(server):
                transport = paramiko.Transport(server.connect())
                transport.start_client(timeout=10)
                try:
                    for _ in range(packets):
                        transport.send_ignore(size)
                except (OSError, EOFError, paramiko.SSHException):
                    pass
                server.wait_for(lambda counts: counts["refused_flood"] == 1)
                transport.close()


class ManyUnauthenticated(unittest.TestCase):
    def test_over_all(self):
        with Server("unauthenticated=20") as server, Bystander(server):
            peers = [server.connect() for _ in range(60)]
            counts = server.wait_for(lambda counts: counts["refused_unauthenticated"] == 40)
            self.assertEqual(counts["unauthenticated"], 20)
            for peer in peers:
                peer.close()
            server.wait_for(lambda counts: counts["unauthenticated"] == 0)
            self.assertEqual(server.ssh("ping").returncode, 0)

    def test_from_one_address(self):
        with Server("exempt=", "unauthenticated_address=5", "penalty_ms_max=0") as server, Bystander(server):
            peers = [server.connect() for _ in range(5)]
            server.wait_for(lambda counts: counts["unauthenticated"] == 5)
            sixth = server.connect()
            self.assertTrue(sixth.recv(100).startswith(b"kedge: not now"))
            self.assertEqual(server.counts()["refused_address"], 1)
            for peer in (*peers, sixth):
                peer.close()
            server.wait_for(lambda counts: counts["unauthenticated"] == 0)

    def test_penalties(self):
        with Server("exempt=") as server:
            with Bystander(server):
                for attempt in range(4):
                    self.assertEqual(server.ssh("ping", key="stranger").returncode, 255, attempt)
                    server.wait_for(lambda counts, attempt=attempt: counts["refused_key"] == attempt + 1)
                refused = server.connect()
                self.assertTrue(refused.recv(100).startswith(b"kedge: not now"))
                refused.close()
                self.assertEqual(server.counts()["refused_penalised"], 1)
            self.assertEqual(server.text().count("refused:"), 1, "logged once a minute a source")


class Rekeying(unittest.TestCase):
    """libssh holds everything back while keys are exchanged, without a bound and without a word."""

    def test_under_traffic(self):
        size = 8_000_000
        with Server("rekey_bytes=300000") as server, Bystander(server), Client(server, "mallory") as client:
            link = client.open()
            link.line()
            link.say('{"op":"pub","subject":"flood.%d"}' % size)
            got = 0
            while got < size:
                line = link.line()
                self.assertTrue(line)
                got += line.count(b"x")
            self.assertEqual(got, size)

    def test_both_ways_with_stock_ssh(self):
        with Server("rekey_bytes=1048576") as server, Bystander(server):
            lines = 3000
            data = b"".join(b'{"op":"pub","id":"%d","subject":"a","data":"%s"}\n' % (at, b"z" * 1000) for at in range(lines))
            result = server.ssh("kedge-json", options=("-s", "-o", "RekeyLimit=1M"), data=data, timeout=60)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout.count(b'"op":"ok"'), lines)
            self.assertEqual(result.stdout.count(b"z" * 1000), lines)

    def test_never_answered(self):
        with Server("rekey_bytes=100000", "link_unsent_bytes=2000000") as server, Bystander(server):
            client = Client(server, "mallory")
            link = client.open(window=2**31 - 1)
            link.line()
            before = server.memory()
            client.transport._handler_table = dict(client.transport._handler_table)
            client.transport._handler_table[20] = lambda *_: None  # SSH_MSG_KEXINIT; paramiko 3 passes no `self`
            link.say('{"op":"pub","subject":"flood.100000000"}')
            time.sleep(1.5)
            stuck = server.counts()["unsent"]
            self.assertGreater(stuck, 0)
            self.assertLess(server.memory() - before, 24_000_000)
            time.sleep(0.5)
            self.assertEqual(server.counts()["unsent"], stuck, "nothing counts as written before it left")
            client.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
