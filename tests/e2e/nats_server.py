"""The real `nats-server` under test: JetStream in a directory of its own, a loopback port that the kernel chooses, and what can
happen to it: kill -9, a freeze, a restart, an older copy of its directory. And a proxy before it whose connections can be cut."""

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from harness import Test, eventually, scratch
from jetstream import JetStream
from links import TIMEOUT
from nats import Connection

NATS_SERVER = shutil.which("nats-server") or "/usr/sbin/nats-server"


class NatsServer:
    """`config` is added to the server's configuration, `limits` (max_file, …) to its jetstream block; None = no JetStream.
    Starts on the thread that makes it, and dies with that thread: the test's."""

    def __init__(self, config="", limits="", jetstream=True, max_payload=2 * 1024 * 1024):
        self.directory = scratch("jetstream")
        self.port = -1
        self.process = None
        self.log_path = scratch("nats.log")
        self.config = config
        self.limits = limits
        self.jetstream = jetstream
        self.max_payload = max_payload
        self.credentials = {}  # arguments for the fixture's own connections
        self._config_path = scratch("nats.conf")
        os.makedirs(self.directory)
        self.start()

    def url(self, port=None):
        return f"nats://127.0.0.1:{port or self.port}"

    def start(self):
        ports = scratch("ports")
        os.makedirs(ports)
        block = f'jetstream {{ store_dir: "{self.directory}"\n{self.limits}\n}}' if self.jetstream else ""
        size = f"max_payload: {self.max_payload}"
        with open(self._config_path, "w", encoding="utf-8") as file:
            file.write(f'listen: "127.0.0.1:{self.port}"\nports_file_dir: "{ports}"\n{size}\n{block}\n{self.config}\n')
        for attempt in range(50):
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", NATS_SERVER, "-c", self._config_path],
                                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            if self._came_up(ports):
                return self
            if attempt == 49 or "address already in use" not in self.log():
                break
            time.sleep(0.1)  # somebody's outgoing connection has our port for a moment
        raise AssertionError(f"nats-server did not get ready; log:\n{self.log()}")

    def _came_up(self, ports):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError, IndexError, KeyError):
                with open(os.path.join(ports, os.listdir(ports)[0]), encoding="utf-8") as file:
                    self.port = int(json.load(file)["nats"][0].rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", self.port), timeout=2) as greeting:
                    info = greeting.recv(4096)
                # The port opens before JetStream has recovered its streams; INFO tells.
                if info.startswith(b"INFO ") and (b'"jetstream":true' in info or not self.jetstream):
                    return True
            time.sleep(0.01)
        return False

    def kill(self):
        """kill -9."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)

    def restart(self):
        self.kill()
        return self.start()

    def freeze(self):
        """SIGSTOP; returns when no thread of it runs any more."""
        self.process.send_signal(signal.SIGSTOP)
        eventually(self._stopped, "the server stands still")

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self):
        self.freeze()
        try:
            yield self
        finally:
            self.thaw()

    def copy(self):
        """A copy of the directory as a kill -9 now would leave it. The path of it."""
        path = scratch("older")
        running = self.process.poll() is None
        if running:
            self.freeze()
        try:
            shutil.copytree(self.directory, path)
        finally:
            if running:
                self.thaw()
        return path

    def _stopped(self):
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with contextlib.suppress(OSError):
                with open(f"{tasks}/{task}/stat", encoding="ascii", errors="replace") as file:
                    if file.read().rpartition(") ")[2][0] not in "TtZX":
                        return False
        return True

    def put_back(self, path):
        """The server goes (if it runs) and comes again with that copy of its directory."""
        self.kill()
        shutil.rmtree(self.directory)
        shutil.copytree(path, self.directory)
        return self.start()

    def destroy(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait(TIMEOUT)

    def log(self, lines=60):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def connect(self, **options):
        return Connection(self.port, **{**self.credentials, **options})

    @contextlib.contextmanager
    def jet(self, **options):
        """JetStream on a connection for a moment."""
        with self.connect(**options) as connection:
            yield JetStream(connection)

    def contents(self, stream, start=1):
        """(place, message) of all that a stream holds."""
        with self.jet() as jet:
            return list(jet.read_all(stream, start))


def make_certificate(directory, name, issuer=None):
    """A certificate for 127.0.0.1 and `localhost`, its own authority without `issuer`. Paths of certificate and key."""
    os.makedirs(directory, exist_ok=True)
    certificate, key = os.path.join(directory, name + ".crt"), os.path.join(directory, name + ".key")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate]
    # Python 3.13 accepts no authority that does not say that it may sign.
    if issuer:
        words += ["-CA", issuer[0], "-CAkey", issuer[1], "-addext", "basicConstraints=critical,CA:FALSE",
                  "-addext", "keyUsage=critical,digitalSignature"]
    else:
        words += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return certificate, key


def tls_context(authority, certificate=None, key=None):
    context = ssl.create_default_context(cafile=authority)
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


class Proxy:
    """A TCP proxy on loopback whose connections can be cut, refused, held still or slowed down."""

    def __init__(self, target):
        self.target = target  # a function that gives the port to connect to
        self.refusing = False
        self.delay = 0.0  # seconds that each piece of at most 16 KiB waits
        self.connections = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._open = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target()), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self.connections += 1
            with self._lock:
                self._open |= {near, far}
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        try:
            while data := one.recv(16384 if self.delay else 262144):
                self._flowing.wait()
                if self.delay:
                    time.sleep(self.delay)
                other.sendall(data)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open -= {one, other}
            for end in (one, other):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut(self):
        """All connections end at once, in the middle of whatever they carry."""
        with self._lock:
            ends = list(self._open)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hold(self):
        """Connections stay and carry nothing: the cable is out."""
        self._flowing.clear()

    def release(self):
        self._flowing.set()

    def close(self):
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.release()
        self.cut()


class NatsTest(Test):
    """Servers and connections that end with the test."""

    def nats_server(self, **options):
        server = NatsServer(**options)
        self.addCleanup(server.destroy)
        return server

    def native(self, server, **options):
        connection = server.connect(**options)
        self.addCleanup(connection.close)
        return connection
