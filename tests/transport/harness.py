"""What the trap tests share: a test server, keys, clients that misbehave on purpose, and a bystander who must not notice."""

import os
import socket
import subprocess
import tempfile
import threading
import time

import paramiko
from paramiko.common import cMSG_CHANNEL_DATA
from paramiko.message import Message

SERVER = os.environ.get("KEDGE_TEST_SERVER", "build/dev/bin/transport_test_server")


class Keys:
    """Key pairs of this run, made once by ssh-keygen, for every client to read."""

    folder = tempfile.TemporaryDirectory(prefix="kedge-transport-")

    @classmethod
    def path(cls, name):
        path = os.path.join(cls.folder.name, name)
        if not os.path.exists(path):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
        return path

    @classmethod
    def public(cls, name):
        with open(cls.path(name) + ".pub", encoding="ascii") as file:
            return " ".join(file.read().split()[:2])

    @classmethod
    def private(cls, name):
        return paramiko.Ed25519Key.from_private_key_file(cls.path(name))


class Server:
    """One transport thread unless told otherwise, so that everyone shares it with whoever misbehaves."""

    def __init__(self, *options, users=("alice", "mallory")):
        self.log = tempfile.TemporaryFile(mode="w+")
        words = [SERVER, Keys.path("host"), "threads=1", *options]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        for user in users:
            self.tell(f"allow {user} user {Keys.public(user)}")
        self.tell("publish")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def counts(self):
        words = self.tell("counts").split()
        return {words[at]: int(words[at + 1]) for at in range(0, len(words) - 1, 2)}

    def wait_for(self, condition, seconds=10):
        """Until `condition(counts)` holds; fails with the last counts when it does not in time."""
        end = time.monotonic() + seconds
        while True:
            counts = self.counts()
            if condition(counts):
                return counts
            if time.monotonic() > end:
                raise AssertionError(f"still {counts}")
            time.sleep(0.02)

    def memory(self):
        """Resident bytes; 0 under a sanitizer, which keeps what was freed."""
        if os.environ.get("KEDGE_SANITIZE"):
            return 0
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

    def text(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        """Returns the router's last counts; the server must end by itself, cleanly."""
        last = self.tell("stop")
        while last and not last.startswith("stopped"):
            last = self.process.stdout.readline().strip()
        status = self.process.wait(timeout=20)
        self.close_pipes()
        assert status == 0, f"the server ended with {status}"
        words = last.split()[1:]
        return {words[at]: int(words[at + 1]) for at in range(0, len(words) - 1, 2)}

    def close_pipes(self):
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.text())
            self.process.kill()
            self.process.wait()
            self.close_pipes()
            return
        counts = self.stop()
        assert counts["opened"] == counts["closed"] and counts["open"] == 0, counts

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def ssh(self, *words, user="alice", options=(), data=b"", timeout=20, key=None):
        """Stock OpenSSH."""
        command = ["ssh", "-F", "none", "-p", str(self.port), "-i", Keys.path(key or user), "-o", "IdentitiesOnly=yes",
                   "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                   "LogLevel=ERROR", "-o", "BatchMode=yes", *options, f"{user}@127.0.0.1", *words]
        return subprocess.run(command, input=data, capture_output=True, timeout=timeout, check=False)


class StallingSocket:
    """A socket that can stop reading, as a stuck client does: its kernel buffer fills, then the server's."""

    def __init__(self, inner):
        self.inner = inner
        self.stalled = False

    def recv(self, size):
        if self.stalled:
            time.sleep(0.05)
            raise socket.timeout()
        return self.inner.recv(size)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Client:
    """One session of a paramiko client, and links that speak JSON lines."""

    def __init__(self, server, user="alice", key=None, receive_buffer=None):
        inner = socket.socket()
        if receive_buffer:
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        inner.connect(("127.0.0.1", server.port))
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = StallingSocket(inner)
        self.transport = paramiko.Transport(self.socket)
        # The tests set sizes that paramiko would correct.
        self.transport._sanitize_packet_size = lambda size: 2**15 if size is None else size
        self.transport._sanitize_window_size = lambda size: 2**21 if size is None else size
        self.transport.start_client(timeout=20)
        self.transport.auth_publickey(user, Keys.private(key or user))

    def open(self, window=2**21, packet=2**15, subsystem="kedge-json", seconds=20):
        channel = self.transport.open_session(window_size=window, max_packet_size=packet, timeout=seconds)
        channel.settimeout(20)
        channel.invoke_subsystem(subsystem)
        return Link(channel)

    def close(self):
        self.transport.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Link:
    def __init__(self, channel):
        self.channel = channel
        self.rest = b""

    def line(self):
        """The next line; empty at the end."""
        while b"\n" not in self.rest:
            more = self.channel.recv(65536)
            if not more:
                return b""
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def say(self, text):
        self.channel.sendall(text.encode() + b"\n")

    def overrun(self, data):
        """Sends whatever the window says."""
        message = Message()
        message.add_byte(cMSG_CHANNEL_DATA)
        message.add_int(self.channel.remote_chanid)
        message.add_string(data)
        self.channel.transport._send_user_message(message)

    def ping(self, number):
        self.say('{"op":"ping","id":"%s"}' % number)
        wanted = b'"id":"%s"' % str(number).encode()
        while True:
            line = self.line()
            if not line or wanted in line:
                return bool(line)


class Pinger:
    """Pings in a session of its own until it is stopped; how long the longest one took."""

    def __init__(self, server):
        self.client = Client(server)
        self.link = self.client.open()
        self.worst = 0.0
        self.lost = False
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        count = 0
        try:
            while True:  # once at least, however short the block
                begin = time.monotonic()
                if not self.link.ping(count):
                    break
                self.worst = max(self.worst, time.monotonic() - begin)
                count += 1
                if self.stopping.wait(0.01):
                    return
        except (OSError, EOFError):
            pass
        self.lost = True

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.client.close()


class Bystander:
    """Pings for as long as the block lasts, and fails if the server kept it waiting: longer than `patience` seconds on top of what a server
    with which nothing happens took meanwhile, for the machine may be busy."""

    def __init__(self, server, patience=1.0):
        self.patience = patience
        self.twin = Server()
        self.pinger = Pinger(server)
        self.compared = Pinger(self.twin)

    def __enter__(self):
        self.pinger.thread.start()
        self.compared.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.pinger.stop()
        self.compared.stop()
        self.twin.stop()
        if kind is None:
            assert not self.pinger.lost, "the bystander was thrown out"
            assert not self.compared.lost, "the twin has thrown out who only pings"
            worst, usual = self.pinger.worst, self.compared.worst
            assert worst < self.patience + 2 * usual, f"the bystander waited {worst:.3f} s, and {usual:.3f} s with a server that is left alone"
