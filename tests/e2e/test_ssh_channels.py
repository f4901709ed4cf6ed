"""§1 Reaching it: what a channel may be asked for, and what is refused; rekeying; the traps of ssh.md that a stock client
can set."""

import subprocess
import threading
import unittest

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from harness import Case
from links import LinkClosed


class Channels(Case):
    def test_exec(self):
        """§1 `exec COMMAND`: one `kedge` command, subject to the caller's role; exit status as the CLI's."""
        done = self.server.ssh("op", "stream", "add", "EXECD", "--subjects", "'execd.>'")
        self.assertEqual(done.returncode, 0, done)
        done = self.server.ssh("op", "stream list --json")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(b"EXECD", done.stdout)
        self.assertNotEqual(self.server.ssh("op", "no-such-command").returncode, 0)
        self.assertNotEqual(self.server.ssh("op", "stream", "add").returncode, 0)

    def test_exec_is_subject_to_the_role(self):
        for user in ("alice", "bot1"):
            for words in (["user", "add", "eve"], ["user", "remove", "op"], ["stream", "add", "EVIL", "--subjects", "evil.>"],
                          ["rule", "list"], ["key", "list", "op"]):
                with self.subTest(user=user, words=words):
                    done = self.server.ssh(user, *words)
                    self.assertNotIn(done.returncode, (0, 255), done)
                    self.assertTrue(done.stderr)
        self.assertNotIn("eve", self.server.admin("user", "list"))

    def test_exec_pub_and_sub(self):
        """Issue: each command also works as `ssh bus COMMAND`."""
        watch = self.link()
        watch.ok("sub", subject="by.exec")
        self.assertEqual(self.server.ssh("bot1", "pub by.exec 'hello world'").returncode, 0)
        self.assertEqual(watch.msgs(1)[0].body, b"hello world")
        done = self.server.ssh("bot1", "pub by.exec -", input=b"one\ntwo\n")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(self.bodies(watch.msgs(2)), ["one", "two"])

    def test_shell(self):
        """§1 `shell`: a short text saying who you are and what you can do here, then exit 0."""
        for options in (("-T",), ("-tt",)):
            with self.subTest(options):
                done = self.server.ssh("bot1", options=options)
                self.assertEqual(done.returncode, 0, done)
                self.assertIn(b"bot1", done.stdout)
                self.assertGreater(len(done.stdout.splitlines()), 1)

    def asked(self, name, *fields):
        """Whether the server grants a channel request on a new session channel."""
        session = self.session("alice")
        channel = session.open_session(timeout=30)
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string(name)
        message.add_boolean(True)
        for field in fields:
            message.add_int(field) if isinstance(field, int) else message.add_string(field)
        channel._event_pending()
        session._send_user_message(message)
        try:
            channel._wait_for_event()
            return True
        except paramiko.SSHException:
            # The session itself goes on.
            self.channel(session).ping()
            return False

    def test_refused_requests(self):
        """§1: everything else (forwarding, agent, X11, env, sftp) is refused."""
        self.assertTrue(self.asked("subsystem", "kedge"))
        for request in (("env", "LANG", "C"), ("auth-agent-req@openssh.com",), ("subsystem", "sftp"), ("subsystem", "no-such"),
                        ("subsystem", ""), ("subsystem", "kedge-jso"), ("subsystem", "mq"), ("subsystem", "texto"),
                        ("subsystem", "central"), ("subsystem", "services"), ("nonsense",)):
            with self.subTest(request):
                self.assertFalse(self.asked(*request))

    def test_refused_x11(self):
        channel = self.session("alice").open_session(timeout=30)
        with self.assertRaises(paramiko.SSHException):
            channel.request_x11()

    def test_refused_forwarding(self):
        session = self.session("alice")
        with self.assertRaises(paramiko.ChannelException):
            session.open_channel("direct-tcpip", ("127.0.0.1", self.server.port), ("127.0.0.1", 1), timeout=30)
        with self.assertRaises(paramiko.ChannelException):
            session.open_channel("x11", src_addr=("127.0.0.1", 1), timeout=30)
        with self.assertRaises(paramiko.ChannelException):
            session.open_channel("direct-streamlocal@openssh.com", timeout=30)
        with self.assertRaises(paramiko.SSHException):
            session.request_port_forward("127.0.0.1", 0)
        self.channel(session).ping()
        done = self.server.ssh("alice", "kedge-json", options=("-s", "-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"))
        self.assertEqual(done.returncode, 255)

    def test_sixteen_links_a_session(self):
        """§1: one session may hold up to 16 channels; each is an independent link."""
        session = self.session("alice")
        links = [self.channel(session, "frames" if n % 2 else "lines") for n in range(16)]
        self.assertEqual(len({link.welcome["session"] for link in links}), 1)
        with self.assertRaises((paramiko.SSHException, LinkClosed, EOFError)):
            self.channel(session)
        for number, link in enumerate(links):
            link.ok("sub", subject=f"link.{number}")
        for number in range(16):
            links[0].send("pub", str(number), subject=f"link.{number}")
        for number, link in enumerate(links):
            self.assertEqual(self.bodies(link.msgs(1)), [str(number)])

    def test_two_requests_on_one_channel(self):
        """RFC 4254 §6.5: only one of shell, exec, subsystem a channel."""
        session = self.session("alice")
        link = self.channel(session)
        with self.assertRaises(paramiko.SSHException):
            link.raw._channel.exec_command("status")

    def test_a_bye_on_one_link_leaves_the_others(self):
        """§1: independent links."""
        session = self.session("alice")
        one, two = self.channel(session), self.channel(session)
        one.write(b"\x00\x00\x00\x08zzzzzzzz")
        self.assertEqual(one.end()[0]["code"], "bad_frame")
        self.assertEqual(two.ping().op, "pong")


class Rekeying(Case):
    """ssh.md, issue item 1: rekeying while traffic flows, asked for by either side."""

    config = "[limits]\nrekey_bytes = 1048576\n"
    bodies_each = 60

    def exchange(self, link):
        """Both directions at once, several times the limit."""
        subject = self.name("rekey")
        link.ok("sub", subject=subject)
        body = bytes(range(256)) * 256
        failure = []

        def send():
            try:
                for number in range(self.bodies_each):
                    link.send("pub", b"%d " % number + body, subject=subject)
            except OSError as error:
                failure.append(error)
        thread = threading.Thread(target=send)
        thread.start()
        for number in range(self.bodies_each):
            self.assertEqual(link.msgs(1)[0].body, b"%d " % number + body)
        thread.join()
        self.assertEqual(failure, [])
        self.assertEqual(link.ping().op, "pong")

    def test_asked_for_by_the_client(self):
        self.exchange(self.link(options=("-o", "RekeyLimit=256K")))

    def test_asked_for_by_the_server(self):
        self.exchange(self.link())
        self.exchange(self.link(form="frames"))

    def test_it_really_happens(self):
        argv = self.server.ssh_argv("alice", "kedge-json", options=("-s", "-v", "-o", "LogLevel=DEBUG1"))
        text = b'{"op":"sub","subject":"r"}\n' + b'{"op":"pub","subject":"r","data":"' + b"x" * 500_000 + b'"}\n'
        text += text.splitlines(True)[1] * 5 + b'{"op":"ping"}\n'
        done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(b'"op":"msg"'), 6)
        self.assertGreater(done.stderr.count(b"SSH2_MSG_NEWKEYS received"), 1)


class Backpressure(Case):
    """ssh.md: a stalled reader, half-open peers: other sessions go on undisturbed."""

    def test_stalled_session(self):
        """A client that reads nothing at all (its process is stopped) costs the others nothing."""
        import os
        import signal
        stalled = self.link("bob")
        stalled.ok("sub", subject="stall")
        pid = stalled.raw._process.pid
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: stalled.raw._process.poll() is None and os.kill(pid, signal.SIGCONT))
        link = self.link()
        body = b"x" * 100_000
        for _ in range(200):
            link.send("pub", body, subject="stall")
        link.ok("sub", subject="lively")
        for number in range(50):
            link.ok("pub", str(number), subject="lively")
        self.assertEqual(self.bodies(link.msgs(50)), [str(n) for n in range(50)])

    def test_pipelining_without_reading(self):
        """A client that sends a lot before it reads anything gets every answer."""
        name, token = self.stream()
        link = self.channel(self.session(), "lines", reading=False, window=65536)
        count = 3000
        text = b"".join(link.codec.encode({"op": "pub", "subject": token + ".x", "id": str(n)}, b"y" * 300) for n in range(count))
        thread = threading.Thread(target=link.write, args=(text,))
        thread.start()
        self.link("bob").ping()
        link.start_reading()
        self.assertEqual([link.expect("ok")["seq"] for _ in range(count)], list(range(1, count + 1)))
        thread.join()


if __name__ == "__main__":
    unittest.main()
