"""Sessions as clients see them: login, requests, commands, limits, revocation, drain; with stock ssh where that is enough."""

import json
import os
import pty
import select
import subprocess
import time
import unittest

import paramiko

from harness import Bystander, Client, Keys, Server


def lines(output):
    return [json.loads(line) for line in output.splitlines() if line]


class Requests(unittest.TestCase):
    def test_lines_and_the_end_of_input(self):
        with Server() as server:
            data = b'{"op":"ping","id":"1"}\n{"op":"pub","id":"2","subject":"a.b","data":"hi"}'  # no line end
            result = server.ssh("kedge-json", options=("-s",), data=data)
            self.assertEqual(result.returncode, 0)
            said = lines(result.stdout)
            self.assertEqual([each["op"] for each in said], ["welcome", "pong", "msg", "ok", "bye"])
            self.assertRegex(said[0]["session"], "^[0-9a-f]{16}$")
            self.assertEqual(said[0]["role"], "user")

    def test_frames(self):
        with Server() as server:
            header = b'{"op":"ping","id":"1"}'
            frame = (4 + len(header)).to_bytes(4, "big") + b"%-4x" % len(header) + header
            result = server.ssh("kedge", options=("-s",), data=frame * 100)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stdout.count(b'"op":"pong"'), 100)

    def test_lost_framing_ends_the_link_with_1(self):
        with Server() as server, Client(server) as client:
            link = client.open(subsystem="kedge")
            link.channel.sendall(b"\xff" * 100)
            while link.channel.recv(65536):
                pass
            self.assertEqual(link.channel.recv_exit_status(), 1)

    def test_shell_says_who_you_are(self):
        with Server() as server:
            for options in ((), ("-tt",)):
                result = server.ssh(options=options)
                self.assertEqual(result.returncode, 0)
                self.assertIn(b"Hello alice", result.stdout)
            self.assertIn(b"\r\n", result.stdout)

    def test_everything_else_is_refused(self):
        with Server() as server:
            self.assertEqual(server.ssh("sftp", options=("-s",)).returncode, 255)
            self.assertEqual(server.ssh(options=("-W", "127.0.0.1:22")).returncode, 255)
            forward = ("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
            self.assertEqual(server.ssh("help", options=forward).returncode, 255)
            self.assertEqual(server.ssh("help", options=("-A", "-X", "-o", "SetEnv=A=b")).returncode, 0)
            with Client(server) as client:
                with self.assertRaises(paramiko.SSHException):
                    client.transport.open_session().request_x11()
                with self.assertRaises(paramiko.SSHException):
                    client.transport.open_channel("direct-tcpip", ("127.0.0.1", 1), ("127.0.0.1", 2))
                with self.assertRaises(paramiko.SSHException):
                    client.transport.request_port_forward("", 0)

    def test_one_request_a_channel(self):
        with Server() as server, Client(server) as client:
            link = client.open()
            link.line()
            with self.assertRaises((paramiko.SSHException, EOFError)):
                link.channel.exec_command("help")

    def test_links_of_a_session_are_independent_and_bounded(self):
        with Server("session_links=4") as server, Client(server) as client:
            links = [client.open() for _ in range(4)]
            with self.assertRaises(paramiko.ChannelException):
                client.transport.open_session(timeout=5)
            for number, link in enumerate(links):
                self.assertTrue(link.ping(number))
            links[0].say('{"op":"quit"}')
            while links[0].line():
                pass
            self.assertEqual(links[0].channel.recv_exit_status(), 0)
            links[0].channel.close()
            server.wait_for(lambda counts: counts["links"] == 3)
            self.assertTrue(links[1].ping("still"))
            self.assertTrue(client.open().ping("again"))

    def test_a_client_that_never_closes_keeps_its_place(self):
        """A channel that only the server closed still counts: else each would be kept in libssh for good."""
        with Server("session_links=2") as server, Client(server) as client:
            client.transport._channel_handler_table = dict(client.transport._channel_handler_table)
            client.transport._channel_handler_table[97] = lambda *_: None  # SSH_MSG_CHANNEL_CLOSE
            links = [client.open() for _ in range(2)]
            for link in links:
                link.say('{"op":"quit"}')
            server.wait_for(lambda counts: counts["links"] == 0)
            with self.assertRaises(paramiko.ChannelException):
                client.transport.open_session(timeout=5)


class Commands(unittest.TestCase):
    def test_over_a_link(self):
        with Server() as server:
            for _ in range(5):
                result = server.ssh("pub", "a.b", "-", data=b"one\ntwo\nthree\n")
                self.assertEqual(result.returncode, 0, result.stderr)
            result = server.ssh("sub 'a.>' --count 1")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(b"one message", result.stdout)
            self.assertIn(b"pong", server.ssh("ping").stdout)

    def test_administrative(self):
        with Server() as server:
            result = server.ssh("status")
            self.assertEqual((result.returncode, result.stdout, result.stderr), (1, b"", b"kedge: no status here\n"))

    def test_wrong_use(self):
        with Server() as server:
            for command in ("nonsense", "pub", "'open quote", "", "--home /tmp status"):
                with self.subTest(command=command), Client(server) as client:
                    channel = client.transport.open_session()
                    channel.exec_command(command)
                    self.assertNotEqual(channel.recv_exit_status(), 0)
                    self.assertEqual(channel.recv(100), b"")

    def test_interrupted_by_the_client(self):
        with Server() as server:
            with Client(server) as client:
                channel = client.transport.open_session()
                channel.exec_command("sub 'a.>'")
                channel.recv(100)
                channel.close()
                server.wait_for(lambda counts: counts["links"] == 0)

    def test_typed_in_a_terminal(self):
        with Server() as server:
            main, slave = pty.openpty()
            process = subprocess.Popen(
                ["ssh", "-F", "none", "-tt", "-p", str(server.port), "-i", Keys.path("alice"), "-o", "IdentitiesOnly=yes", "-o",
                 "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "alice@127.0.0.1",
                 "sub", "a"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
            os.close(slave)
            seen = b""
            end = time.monotonic() + 10
            while b"one message" not in seen and time.monotonic() < end:
                if select.select([main], [], [], 0.1)[0]:
                    seen += os.read(main, 65536)
            self.assertIn(b"one message", seen)
            self.assertIn(b"\r\n", seen)
            os.write(main, b"\x03")
            self.assertEqual(process.wait(timeout=10), 0)
            os.close(main)

    def test_a_slow_reader_gets_all_of_it(self):
        """The exit status waits for the output, however long that takes."""
        with Server("bye_ms=200") as server, Bystander(server), Client(server) as client:
            channel = client.transport.open_session(window_size=300, max_packet_size=2**15)
            channel.settimeout(10)
            channel.exec_command("help --help")
            whole = server.ssh("help --help").stdout
            got = b""
            while True:
                time.sleep(0.15)
                more = channel.recv(100)
                if not more:
                    break
                got += more
            self.assertEqual(got, whole)
            self.assertEqual(channel.recv_exit_status(), 0)


class Login(unittest.TestCase):
    def test_only_known_keys_of_known_users(self):
        with Server() as server:
            self.assertEqual(server.ssh("help", key="stranger").returncode, 255)
            self.assertEqual(server.ssh("help", user="nobody", key="alice").returncode, 255)
            self.assertEqual(server.ssh("help", user="mallory", key="alice").returncode, 255)
            self.assertEqual(server.ssh("help", user="Ugly User", key="alice").returncode, 255)
            counts = server.wait_for(lambda counts: counts["unauthenticated"] == 0)
            self.assertEqual((counts["refused_key"], counts["refused_unknown_user"]), (2, 2))

    def test_only_public_keys(self):
        with Server() as server:
            transport = paramiko.Transport(server.connect())
            transport.start_client(timeout=10)
            with self.assertRaises(paramiko.BadAuthenticationType) as raised:
                transport.auth_none("alice")
            self.assertEqual(raised.exception.allowed_types, ["publickey"])
            with self.assertRaises(paramiko.SSHException):
                transport.auth_password("alice", "secret", fallback=False)
            transport.close()

    def test_tries(self):
        with Server("login_tries=3") as server:
            transport = paramiko.Transport(server.connect())
            transport.start_client(timeout=10)
            for _ in range(3):
                with self.assertRaises((paramiko.SSHException, EOFError)):
                    transport.auth_publickey("alice", Keys.private("stranger"))
            server.wait_for(lambda counts: counts["refused_tries"] == 1)
            transport.close()

    def test_nothing_before_login(self):
        with Server() as server:
            transport = paramiko.Transport(server.connect())
            transport.start_client(timeout=10)
            with self.assertRaises((paramiko.SSHException, EOFError)):
                transport.open_session(timeout=1)
            transport.close()
            server.wait_for(lambda counts: counts["unauthenticated"] == 0)
            self.assertEqual(server.counts()["opened"], 0)

    def test_sessions_of_a_user(self):
        with Server("user_sessions=2", "threads=2") as server:
            clients = [Client(server), Client(server)]
            with self.assertRaises((paramiko.SSHException, EOFError)):
                Client(server)
            server.wait_for(lambda counts: counts["refused_user_sessions"] == 1)
            Client(server, "mallory").close()
            clients.pop().close()
            server.wait_for(lambda counts: counts["sessions"] == 1)
            clients.append(Client(server))
            for each in clients:
                each.close()

    def test_sessions_of_the_server(self):
        with Server("sessions=2", "threads=2") as server:
            clients = [Client(server), Client(server, "mallory")]
            self.assertTrue(server.connect().recv(100).startswith(b"kedge: not now"))
            self.assertEqual(server.counts()["refused_sessions"], 1)
            for each in clients:
                each.close()

    def test_algorithms(self):
        with Server() as server:
            for option in ("KexAlgorithms=diffie-hellman-group14-sha256", "Ciphers=aes128-cbc", "MACs=hmac-sha1",
                           "HostKeyAlgorithms=rsa-sha2-512"):
                extra = ("-o", "Ciphers=aes256-ctr") if option.startswith("MACs") else ()
                self.assertEqual(server.ssh("help", options=("-o", option, *extra)).returncode, 255, option)
            for cipher in ("chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr"):
                self.assertEqual(server.ssh("help", options=("-c", cipher)).returncode, 0, cipher)
            self.assertEqual(server.ssh("help", options=("-C",)).returncode, 0)  # compression: none, whatever is asked


class Revocation(unittest.TestCase):
    def gone(self, server, act):
        with Client(server, "mallory") as client, Bystander(server):
            link = client.open()
            second = client.open()
            link.line(), second.line()
            act()
            begin = time.monotonic()
            for each in (link, second):
                bye = json.loads(each.line())
                self.assertEqual((bye["op"], bye["code"]), ("bye", "revoked"))
                self.assertEqual(each.line(), b"")
                self.assertEqual(each.channel.recv_exit_status(), 1)
            server.wait_for(lambda counts: counts["sessions"] == 1, 2)
            self.assertLess(time.monotonic() - begin, 1.2)

    def test_removed(self):
        with Server() as server:
            self.gone(server, lambda: (server.tell("revoke mallory"), server.tell("publish")))
            self.assertEqual(server.ssh("help", user="mallory").returncode, 255)

    def test_another_role(self):
        with Server() as server:
            def act():
                server.tell("revoke mallory")
                server.tell(f"allow mallory bot {Keys.public('mallory')}")
                server.tell("publish")
            self.gone(server, act)

    def test_expired(self):
        with Server(users=("alice",)) as server:
            end = time.time() + 1.5
            server.tell(f"allow mallory user {Keys.public('mallory')} {int(end * 1000)}")
            server.tell("publish")
            self.gone(server, lambda: time.sleep(max(0, end - time.time())))

    def test_a_reader_that_does_not_read(self):
        with Server() as server, Bystander(server):
            client = Client(server, "mallory", receive_buffer=4096)
            link = client.open(window=2**31 - 1)
            link.line()
            client.socket.stalled = True
            link.say('{"op":"pub","subject":"flood.50000000"}')
            server.wait_for(lambda counts: counts["unsent"] > 0)
            server.tell("revoke mallory")
            server.tell("publish")
            server.wait_for(lambda counts: counts["sessions"] == 1, 2)
            client.close()

    def test_a_command(self):
        with Server() as server, Client(server, "mallory") as client:
            channel = client.transport.open_session()
            channel.exec_command("sub a")
            channel.recv(10)
            server.tell("revoke mallory")
            server.tell("publish")
            self.assertEqual(channel.recv_exit_status(), 1)

    def test_others_stay(self):
        with Server() as server, Client(server) as client:
            link = client.open()
            server.tell("revoke mallory")
            server.tell("publish")
            self.assertTrue(link.ping("there"))


class End(unittest.TestCase):
    def test_drain_refuses_the_new_and_keeps_the_old(self):
        with Server("threads=2") as server, Client(server) as client:
            waiting = server.connect()
            server.wait_for(lambda counts: counts["unauthenticated"] == 1)
            link = client.open()
            server.tell("drain")
            with self.assertRaises(OSError):
                server.connect()
            waiting.settimeout(5)
            while waiting.recv(1000):
                pass
            self.assertTrue(link.ping("there"))

    def test_stop_ends_sessions_and_says_so(self):
        server = Server("threads=3")
        clients = [Client(server) for _ in range(6)]
        for each in clients:
            each.open().line()
        counts = server.stop()
        self.assertEqual((counts["opened"], counts["closed"], counts["open"]), (6, 6, 0))
        for each in clients:
            each.transport.join(5)
            self.assertFalse(each.transport.is_active())
            each.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
