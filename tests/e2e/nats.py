"""A NATS client for the tests, written from the NATS client protocol and the JetStream wire API: native clients that kedge
knows nothing of, and a second opinion on what a JetStream stream holds.

A connection reads on a thread of its own and never connects again by itself: who uses it says what a careful client does
then (native.py). Every wait is bounded. JetStream is `JetStream(connection)`.
"""

import base64
import collections
import json
import os
import socket
import ssl
import struct
import threading
import time

from links import TIMEOUT

Message = collections.namedtuple("Message", "subject reply headers body status")
Message.__doc__ = "As received; `headers` a list of (name, value), `status` e.g. \"503\" or \"\"."

Place = collections.namedtuple("Place", "stream consumer tries place consumed time_ns pending")
Place.__doc__ = "What a delivery's reply subject says of it."


class Disconnected(Exception):
    """There is no connection any more; what was not answered may or may not have happened."""


class NatsError(Exception):
    """The server said -ERR, or an answer was an error."""


class ApiError(NatsError):
    """JetStream refused: `code` like HTTP's, `err_code` its own."""

    def __init__(self, error):
        super().__init__(error.get("description", str(error)))
        self.code = error.get("code", 0)
        self.err_code = error.get("err_code", 0)


def header(headers, name):
    """The first value of that name, or None."""
    return next((value for key, value in headers if key == name), None)


class Subscription:
    def __init__(self, connection, sid, pattern, callback):
        self.connection = connection
        self.sid = sid
        self.pattern = pattern
        self._callback = callback
        self._inbox = collections.deque()
        self._changed = threading.Condition()

    def arrived(self, message):  # the reader's thread; None = the end
        if self._callback:
            if message:
                self._callback(message)
            return
        with self._changed:
            if message:
                self._inbox.append(message)
            self._changed.notify_all()

    def next(self, timeout=None):
        deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
        with self._changed:
            while not self._inbox:
                if self.connection.ended:
                    raise Disconnected(self.connection.why)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"nothing on {self.pattern}")
                self._changed.wait(left)
            return self._inbox.popleft()

    def rest(self):
        """What arrived and was not taken."""
        with self._changed:
            messages = list(self._inbox)
            self._inbox.clear()
        return messages

    def end(self):
        self.connection.unsubscribe(self)


class Connection:
    """`nkey` is a seed, `tls` an ssl.SSLContext. What is written while nobody reads fails after TIMEOUT as a cut."""

    def __init__(self, port, name="native", user=None, password=None, token=None, nkey=None, tls=None, no_echo=False):
        self.errors = []  # texts of -ERR
        self.ended = False
        self.why = None
        self.info = {}
        self._lock = threading.Lock()
        self._subscriptions = {}
        self._sids = 0
        self._pongs = collections.deque()
        self._waiting = {}  # token of an inbox -> callback
        self._inbox = "_INBOX." + os.urandom(8).hex()
        self._tokens = 0
        self._held = bytearray()
        self._thread = None
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        except OSError as error:
            raise Disconnected(f"cannot connect: {error}") from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._greet(name, user, password, token, nkey, tls, no_echo)
        except (OSError, ValueError) as error:
            self._socket.close()
            raise Disconnected(f"no greeting: {error}") from error
        except BaseException:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.subscribe(self._inbox + ".*", self._answered)
        self.flush()

    def _line(self):
        while b"\r\n" not in self._held:
            data = self._socket.recv(65536)
            if not data:
                raise Disconnected("closed before the greeting was over")
            self._held += data
        line, _, rest = bytes(self._held).partition(b"\r\n")
        self._held = bytearray(rest)
        return line

    def _greet(self, name, user, password, token, nkey, tls, no_echo):
        line = self._line()
        if not line.startswith(b"INFO "):
            raise ValueError(f"no INFO but {line[:80]!r}")
        self.info = json.loads(line[5:])
        if tls or self.info.get("tls_required"):
            self._socket = (tls or ssl.create_default_context()).wrap_socket(self._socket, server_hostname="localhost")
        options = {"verbose": False, "pedantic": False, "lang": "test", "version": "1", "protocol": 1, "headers": True,
                   "no_responders": True, "echo": not no_echo, "name": name}
        if user is not None:
            options.update(user=user, **({"pass": password} if password is not None else {}))
        if token is not None:
            options["auth_token"] = token
        if nkey is not None:
            options.update(nkey=public_nkey(nkey), sig=sign_nonce(nkey, self.info["nonce"]))
        self._socket.sendall(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        while True:
            line = self._line()
            if line.startswith(b"-ERR"):
                raise NatsError(line.decode())
            if line == b"PONG":
                return

    # --- reading

    def _read(self):
        why = "the server closed"
        try:
            self._parse()
            while True:
                try:
                    data = self._socket.recv(262144)
                except socket.timeout:  # it is for writing; a quiet connection is none
                    continue
                if not data:
                    break
                self._held += data
                self._parse()
        except (OSError, ValueError) as error:
            why = str(error)
        finally:
            self._end(why)
            # Here only: a descriptor that is closed under its reader may be another connection's by the time it reads.
            self._socket.close()

    def _parse(self):
        held, start = self._held, 0
        while True:
            end = held.find(b"\r\n", start)
            if end < 0:
                break
            verb, _, rest = bytes(held[start:end]).partition(b" ")
            if verb in (b"MSG", b"HMSG"):
                words = rest.decode().split(" ")
                size = int(words[-1])
                if len(held) < end + 2 + size + 2:
                    break
                payload = bytes(held[end + 2:end + 2 + size])
                start = end + 2 + size + 2
                head = int(words[-2]) if verb == b"HMSG" else 0
                fixed = 4 if verb == b"HMSG" else 3
                self._message(words[0], words[1], words[2] if len(words) > fixed else "", payload, head)
                continue
            start = end + 2
            if verb == b"PING":
                self.write(b"PONG\r\n")
            elif verb == b"PONG":
                with self._lock:
                    waiting = self._pongs.popleft() if self._pongs else None
                if waiting:
                    waiting.set()
            elif verb == b"-ERR":
                self.errors.append(rest.decode("utf-8", "replace"))
            elif verb == b"INFO":
                self.info = json.loads(rest)
        if start:
            del held[:start]

    def _message(self, subject, sid, reply, payload, head):
        headers, status = [], ""
        if head:
            lines = payload[:head].decode("utf-8", "surrogateescape").split("\r\n")
            status = lines[0][len("NATS/1.0"):].strip()[:3]
            for line in lines[1:]:
                if line:
                    name, _, value = line.partition(":")
                    headers.append((name, value.strip(" ")))
        with self._lock:
            subscription = self._subscriptions.get(sid)
        if subscription:
            subscription.arrived(Message(subject, reply, headers, payload[head:], status))

    def _end(self, why):
        with self._lock:
            if self.ended:
                return
            self.ended, self.why = True, why
            subscriptions = list(self._subscriptions.values())
            waiting, self._waiting = list(self._waiting.values()), {}
            pongs, self._pongs = list(self._pongs), collections.deque()
        for pong in pongs:
            pong.set()
        for callback in waiting:
            callback(None)
        for subscription in subscriptions:
            subscription.arrived(None)

    # --- writing

    def write(self, data):
        try:
            with self._lock:
                if self.ended:
                    raise Disconnected(self.why)
                self._socket.sendall(data)
        except OSError as error:
            self.cut(f"cannot write: {error}")
            raise Disconnected(self.why) from error

    @staticmethod
    def encode(subject, body=b"", headers=(), reply=""):
        """PUB or HPUB. `headers` go out as they are: a test may send what no library would."""
        if isinstance(body, str):
            body = body.encode()
        subject = subject if isinstance(subject, bytes) else subject.encode()
        reply = reply.encode() + b" " if reply else b""
        if not headers:
            return b"PUB %s %s%d\r\n%s\r\n" % (subject, reply, len(body), body)
        lines = b"".join(f"{name}: {value}\r\n".encode("utf-8", "surrogateescape") for name, value in headers)
        head = b"NATS/1.0\r\n" + lines + b"\r\n"
        return b"HPUB %s %s%d %d\r\n%s%s\r\n" % (subject, reply, len(head), len(head) + len(body), head, body)

    def publish(self, subject, body=b"", headers=(), reply=""):
        self.write(self.encode(subject, body, headers, reply))

    def subscribe(self, pattern, callback=None, queue=""):
        """With a callback, messages are given to it on the reader's thread; else they wait in the subscription."""
        with self._lock:
            self._sids += 1
            subscription = Subscription(self, str(self._sids), pattern, callback)
            self._subscriptions[subscription.sid] = subscription
        self.write(f"SUB {pattern} {queue + ' ' if queue else ''}{subscription.sid}\r\n".encode())
        return subscription

    def unsubscribe(self, subscription):
        with self._lock:
            self._subscriptions.pop(subscription.sid, None)
        self.write(f"UNSUB {subscription.sid}\r\n".encode())

    def flush(self, timeout=None):
        """PING and wait for PONG: the server has dealt with everything sent before, and what it sent before is here."""
        pong = threading.Event()
        try:
            with self._lock:  # the order of the pongs is that of the pings
                if self.ended:
                    raise Disconnected(self.why)
                self._pongs.append(pong)
                self._socket.sendall(b"PING\r\n")
        except OSError as error:
            self.cut(f"cannot write: {error}")
        if not pong.wait(TIMEOUT if timeout is None else timeout):
            raise TimeoutError("no PONG")
        if self.ended:
            raise Disconnected(self.why)

    def request_async(self, subject, body, headers, callback):
        """`callback` gets the answer on the reader's thread, or None when the connection ends. Returns the bytes to write."""
        with self._lock:
            if self.ended:
                raise Disconnected(self.why)
            self._tokens += 1
            token = str(self._tokens)
            self._waiting[token] = callback
        return self.encode(subject, body, headers, f"{self._inbox}.{token}")

    def _answered(self, message):
        with self._lock:
            callback = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if callback:
            callback(message)

    def request(self, subject, body=b"", headers=(), timeout=None):
        """The first answer. NatsError when nobody listens."""
        box, done = [], threading.Event()

        def answer(message):
            box.append(message)
            done.set()

        self.write(self.request_async(subject, body, headers, answer))
        if not done.wait(TIMEOUT if timeout is None else timeout):
            raise TimeoutError(f"no answer from {subject}")
        if box[0] is None:
            raise Disconnected(self.why)
        if box[0].status == "503":
            raise NatsError(f"nobody listens on {subject}")
        return box[0]

    # --- ends

    def cut(self, why="cut"):
        """As a crash of this client looks from the other side: a reset, and nothing more is said."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._end(why)

    def close(self):
        if not self.ended:
            try:
                self.flush(2)
            except (Disconnected, TimeoutError):
                pass
            self.cut("closed")
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- nkeys: an Ed25519 seed in base32 with a prefix and a CRC-16 (the "nkeys" scheme of NATS)

def _crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _encode_key(data):
    return base64.b32encode(data + _crc16(data).to_bytes(2, "little")).decode().rstrip("=")


_SEED, _USER = 18 << 3, 20 << 3


def new_nkey():
    """The seed of a new user key."""
    return _encode_key(bytes([_SEED | _USER >> 5, (_USER & 31) << 3]) + os.urandom(32))


def _signing_key(seed):
    from nacl.signing import SigningKey  # paramiko brings it; needed by few tests
    return SigningKey(base64.b32decode(seed + "=" * (-len(seed) % 8))[2:34])


def public_nkey(seed):
    return _encode_key(bytes([_USER]) + bytes(_signing_key(seed).verify_key))


def sign_nonce(seed, nonce):
    return base64.urlsafe_b64encode(_signing_key(seed).sign(nonce.encode()).signature).decode().rstrip("=")
