"""The real `kedged` and `kedge` under test: a home in a temporary directory, a port that the kernel chooses, users with
keys, links to it, and its log when a test fails.

CTest gives the programs in KEDGED and KEDGE. Each test module is one CTest entry; two run at once, so nothing here has a
fixed name or port.
"""

import atexit
import collections
import itertools
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
import warnings

warnings.filterwarnings("ignore")  # old ciphers that the SSH libraries name and we do not use
import paramiko  # noqa: E402

from links import CODECS, TIMEOUT, Link, ParamikoChannel, SshPipe  # noqa: E402

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # a cut line is what we test, not news

KEDGED = os.environ.get("KEDGED", "kedged")
KEDGE = os.environ.get("KEDGE", "kedge")
SSH = shutil.which("ssh") or "/usr/bin/ssh"

_scratch = tempfile.mkdtemp(prefix="kedge-e2e-")
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
_numbers = itertools.count(1)


def scratch(name):
    """A new path below this process's temporary directory."""
    return os.path.join(_scratch, f"{next(_numbers)}-{name}")


def make_key(name="key", kind="ed25519", *options):
    """The path of a new private key; the public one is beside it in `.pub`."""
    path = scratch(name)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", name, "-f", path], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def public_key(path):
    with open(path + ".pub", encoding="ascii") as file:
        return file.read().strip()


_keys = {}


def key_of(user):
    """One key a user and process: making one costs more than using it."""
    if user not in _keys:
        _keys[user] = make_key(user)
    return _keys[user]


def eventually(check, what, timeout=None):
    """Polls until `check()` is true, for what has no event to wait on (a file, a list of nodes)."""
    deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)


class Server:
    """One `kedged` and its home. `start` may be called again after `kill` or `stop`: same home, same port."""

    recent = collections.deque(maxlen=2)  # those started last, for their logs

    def __init__(self, users=None, config="", arguments=(), home=None, ignore_file_size_signal=False):
        self.home = home or scratch("home")
        self.port = 0
        self.http = None
        self.users = dict(users or {})
        self.arguments = list(arguments)
        self.process = None
        self.fault_point = None  # a label of the migration: kill -9 of itself there
        self.extra_environment = {}
        self.log_path = scratch("kedged.log")
        self.known_hosts = scratch("known_hosts")
        self._config_path = scratch("kedged.toml")
        self._ignore_file_size_signal = ignore_file_size_signal
        self._sessions = []
        self._admin_session = None
        os.makedirs(self.home, mode=0o700, exist_ok=True)
        self.configure(config)
        self.authorize(*(f'user="{name}",role="{role}" {public_key(key_of(name))}' for name, role in self.users.items()))

    def configure(self, config):
        with open(self._config_path, "w", encoding="utf-8") as file:
            file.write(config)

    def authorize(self, *lines):
        """Replaces HOME/authorized_keys in one step."""
        path = os.path.join(self.home, "authorized_keys")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        os.chmod(path + ".new", 0o600)
        os.replace(path + ".new", path)

    def command(self):
        return [KEDGED, "--home", self.home, "--listen", f"127.0.0.1:{self.port}", "--config", self._config_path,
                *self.arguments]

    @staticmethod
    def environment():
        """No `~/.ssh` of whoever runs the tests."""
        return dict(os.environ, HOME=_scratch)

    def _own_environment(self):
        return dict(self.environment(), **self.extra_environment,
                    **({"KEDGE_FAULT_POINT": self.fault_point} if self.fault_point else {}))

    def start(self):
        self.launch()
        return self.await_ready()

    def launch(self):
        """Starts the process, no more."""
        if self not in Server.recent:
            Server.recent.append(self)
        with open(self.log_path, "ab") as log:
            log.write(b"--- start\n")
            log.flush()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            env=self._own_environment(), start_new_session=True,
                                            preexec_fn=self._before_exec if self._ignore_file_size_signal else None)
        self._ready = threading.Event()
        self._stdout = []
        threading.Thread(target=self._read_stdout, args=(self.process.stdout, self._ready, self._stdout), daemon=True).start()

    def start_until_ready_or_end(self):
        """For one that may kill itself before it is ready."""
        self.launch()
        self._ready.wait(TIMEOUT)

    def await_ready(self):
        self._ready.wait(TIMEOUT)
        if not self.port or self.process.poll() is not None or not self._ready.is_set():
            raise AssertionError(f"kedged did not get ready; it said {self._stdout}; log:\n{self.log()}")
        return self

    @staticmethod
    def _before_exec():
        # Python ignores SIGXFSZ and gives children the default back; here a write beyond the limit shall fail instead.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def _read_stdout(self, pipe, ready, said):
        with pipe:
            for raw in pipe:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                said.append(line)
                if "kedged ready on" in line:
                    found = re.findall(r"127\.0\.0\.1:(\d+)", line)
                    if found:
                        self.port = int(found[0])
                    ready.set()
        ready.set()  # it ended; whoever waits looks at the process

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        self._forget_sessions()

    def stop(self):
        """SIGTERM, and everything that a clean end promises. Sessions that are still open do not hold it up."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(TIMEOUT)
            raise AssertionError(f"kedged did not end at SIGTERM; log:\n{self.log()}") from None
        finally:
            self._forget_sessions()
        if status != 0:
            raise AssertionError(f"kedged ended with status {status}; log:\n{self.log()}")
        log = self.log(None)
        for sign in ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:"):
            if sign in log:
                raise AssertionError(f"a sanitizer spoke up; log:\n{log[-20000:]}")

    def destroy(self):
        """For cleanups: whatever is left goes."""
        self._forget_sessions()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIMEOUT)

    def log(self, lines=80):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            text = file.readlines()
        return "".join(text if lines is None else text[-lines:])

    # --- reaching it

    def ssh_options(self, key):
        return ["-F", "none", "-p", str(self.port), "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
                "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null",
                "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]

    def ssh_argv(self, user, *rest, key=None, options=()):
        """Stock ssh. `rest` follows the destination: a command, or nothing for a shell."""
        return [SSH, *self.ssh_options(key or key_of(user)), *options, f"{user}@127.0.0.1", *rest]

    def ssh(self, user, *rest, key=None, options=(), input=b"", timeout=None):
        return subprocess.run(self.ssh_argv(user, *rest, key=key, options=options), input=input, timeout=timeout or TIMEOUT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def session(self, user, key=None):
        """A paramiko session that the server object closes in the end."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT)
        transport = paramiko.Transport(sock)
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = TIMEOUT
        self._sessions.append(transport)
        try:
            transport.start_client(timeout=TIMEOUT)
            transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key or key_of(user)))
        except Exception:
            transport.close()
            raise
        return transport

    def channel(self, transport, form="frames", reading=True, window=None, owned=False):
        """A link on a paramiko session; `owned`: the session ends with the link."""
        codec = CODECS[form]()
        channel = transport.open_session(window_size=window, timeout=TIMEOUT)
        channel.settimeout(TIMEOUT)
        channel.invoke_subsystem(codec.subsystem)
        return self._greeted(Link(ParamikoChannel(channel, transport if owned else None), codec, reading), reading)

    def link(self, user, form="lines", key=None, options=()):
        """A link on a session of its own: lines through stock ssh, frames through paramiko."""
        if form == "frames":
            session = self.session(user, key)
            return self.channel(session, form, owned=True)
        codec = CODECS[form]()
        argv = self.ssh_argv(user, codec.subsystem, key=key, options=("-s", *options))
        return self._greeted(Link(SshPipe(argv), codec), True)

    @staticmethod
    def _greeted(link, reading):
        if reading:
            try:
                link.welcome = link.next()
            except BaseException:
                link.close()
                raise
            if link.welcome.op != "welcome":
                raise AssertionError(f"the server did not greet but said {dict(link.welcome)}")
        return link

    def _forget_sessions(self):
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self._admin_session = None

    def metric(self, name):
        """The value of a sample of /metrics, labels and all; needs `--http 127.0.0.1:0`."""
        port = re.findall(r"http on 127\.0\.0\.1:(\d+)", self.log(None))[-1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT) as page:
            lines = page.read().decode().splitlines()
        return float(next(line for line in lines if line.startswith(name + " ")).split()[-1])

    # --- administration

    def kedge(self, *words, input=None, timeout=None):
        """The CLI on this home."""
        return subprocess.run([KEDGE, "--home", self.home, *words], input=input, timeout=timeout or TIMEOUT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())

    def kedge_argv(self, user, *words):
        """The CLI as somebody on another machine types it."""
        return [KEDGE, "--to", f"{user}@127.0.0.1:{self.port}", "-i", key_of(user), "--known-hosts", self.known_hosts, "--accept-new",
                "--no-agent", *words]

    def execute(self, user, *words):
        """An exec request; returns exit status, stdout, stderr. The operator's session is kept."""
        session = self._admin_session if user == "op" else None
        if session is None or not session.is_active():
            session = self.session(user)
            if user == "op":
                self._admin_session = session
        channel = session.open_session(timeout=TIMEOUT)
        channel.settimeout(TIMEOUT)
        channel.exec_command(" ".join(shlex.quote(word) for word in words))
        out = b"".join(iter(lambda: channel.recv(65536), b""))
        error = b"".join(iter(lambda: channel.recv_stderr(65536), b""))
        status = channel.recv_exit_status()
        channel.close()
        return status, out.decode(), error.decode()

    def admin(self, *words):
        """A command of the operator `op` that must succeed; returns its output."""
        status, out, error = self.execute("op", *words)
        if status != 0:
            raise AssertionError(f"{' '.join(words)} ended with {status}: {out}{error}")
        return out

    def add_stream(self, name, *subjects, **options):
        words = ["stream", "add", name, "--subjects", ",".join(subjects)]
        for option, value in options.items():
            words += ["--" + option.replace("_", "-"), str(value)]
        self.admin(*words)
        return name


class Test(unittest.TestCase):
    """Shows what the servers logged when a test fails."""

    maxDiff = None

    def run(self, result=None):
        bad = len(result.failures) + len(result.errors) if result else 0
        done = super().run(result)
        if result and len(result.failures) + len(result.errors) > bad:
            for server in Server.recent:
                print(f"--- {self.id()}: end of the log of the server at {server.port}\n{server.log(50)}---", file=sys.stderr,
                      flush=True)
        return done


class Case(Test):
    """A test with one server for its class, and links that end with the test."""

    users = {"op": "operator", "alice": "user", "bob": "user", "bot1": "bot"}
    config = ""
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.users, cls.config, cls.arguments)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def link(self, user="alice", node=None, form="lines", **more):
        link = self.server.link(user, form, **more)
        self.addCleanup(link.close)
        if node:
            link.hello(node)
        return link

    def channel(self, transport, form="frames", **more):
        link = self.server.channel(transport, form, **more)
        self.addCleanup(link.close)
        return link

    def session(self, user="alice"):
        session = self.server.session(user)
        self.addCleanup(session.close)
        return session

    def user(self, role="user"):
        """A new user; `key_of` has the key."""
        name = self.name("u")
        self.server.admin("user", "add", name, "--role", role, "--key", public_key(key_of(name)))
        return name

    def inbox(self, user, node="desk", **more):
        """A link whose node has an inbox."""
        link = self.link(user, **more)
        link.hello(node, inbox=True)
        return link

    def name(self, prefix="s"):
        """A name that no other test of this process uses."""
        return f"{prefix}{next(_numbers)}"

    def stream(self, **options):
        """A new stream; returns its name and the first token of its subjects."""
        name = self.name("S")
        self.server.add_stream(name, f"{name.lower()}.>", **options)
        return name, name.lower()

    def filled(self, count, **options):
        """A new stream that holds `count` messages with the bodies "1", "2", …"""
        name, token = self.stream(**options)
        publisher = self.link("alice")
        self.publish(publisher, token + ".x", count)
        return name, token

    @staticmethod
    def publish(link, subject, count, first=1):
        """Publishes numbered bodies, pipelined; waits until all are stored."""
        for number in range(first, first + count):
            link.send("pub", str(number), id=f"p{number}", subject=subject)
        return [link.expect("ok", id=f"p{number}") for number in range(first, first + count)]

    @staticmethod
    def seqs(notices):
        return [notice["seq"] for notice in notices if notice.op == "msg"]

    @staticmethod
    def bodies(notices):
        return [notice.body.decode() for notice in notices if notice.op == "msg"]
