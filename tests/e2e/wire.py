"""Both encodings of the protocol (PROTOCOL.md, "Encodings"), written from the contract and used by clients under test.

A codec turns operations into bytes and any split of bytes into notices. It is strict about what the server sends: a wrong
padding, a line with two bodies or text where base64 was due raises WireError, which fails the test that reads it.
"""

import base64
import json


class WireError(Exception):
    """The server broke the wire contract."""


class Notice(dict):
    """What the server said: the JSON object, and the body apart (None if there was none)."""

    def __init__(self, header, body):
        super().__init__(header)
        self.body = body

    @property
    def op(self):
        return self["op"]


def _object(text):
    try:
        header = json.loads(text)
    except ValueError as error:
        raise WireError(f"not JSON: {text[:200]!r}: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("op"), str):
        raise WireError(f"not an object with an op: {text[:200]!r}")
    return header


class Lines:
    """One JSON object a line; the body in `data` or `data64`."""

    subsystem = "kedge-json"

    def __init__(self):
        self._held = bytearray()

    @staticmethod
    def encode(header, body=None):
        header = dict(header)
        if body is not None:
            try:
                header["data"] = body.decode("utf-8")
            except UnicodeDecodeError:
                header["data64"] = base64.b64encode(body).decode("ascii")
        return json.dumps(header, ensure_ascii=False).encode("utf-8") + b"\n"

    def feed(self, data):
        self._held += data
        if b"\n" not in data:
            return
        lines = bytes(self._held).split(b"\n")
        self._held = bytearray(lines.pop())
        for line in lines:
            yield self._decode(line)

    @staticmethod
    def _decode(line):
        try:
            header = _object(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise WireError(f"a line that is not UTF-8: {line[:200]!r}") from error
        if "data" in header and "data64" in header:
            raise WireError(f"two bodies in one line: {line[:200]!r}")
        body = None
        if "data" in header:
            body = header.pop("data").encode("utf-8")
        elif "data64" in header:
            body = base64.b64decode(header.pop("data64"), validate=True)
        return Notice(header, body)

    def left(self):
        return len(self._held)


class Frames:
    """uint32 length, header size in hex padded with spaces, header, body."""

    subsystem = "kedge"

    def __init__(self):
        self._held = bytearray()

    @staticmethod
    def encode(header, body=None):
        text = json.dumps(header, ensure_ascii=False).encode("utf-8")
        return Frames.pack(b"%-4x" % len(text), text, body or b"")

    @staticmethod
    def pack(size, header, body=b""):
        """A frame from parts that may be wrong, for tests of what the server refuses."""
        rest = size + header + body
        return len(rest).to_bytes(4, "big") + rest

    def feed(self, data):
        self._held += data
        start = 0
        while len(self._held) - start >= 4:
            end = start + 4 + int.from_bytes(self._held[start:start + 4], "big")
            if len(self._held) < end:
                break
            yield self._decode(bytes(self._held[start + 4:end]))
            start = end
        if start:
            del self._held[:start]

    @staticmethod
    def _decode(frame):
        if len(frame) < 4:
            raise WireError(f"a frame of {len(frame)} bytes")
        try:
            size = int(frame[:4].decode("ascii").rstrip(" "), 16)
        except ValueError as error:
            raise WireError(f"header size {frame[:4]!r}") from error
        if frame[:4] != b"%-4x" % size or 4 + size > len(frame):
            raise WireError(f"header size {frame[:4]!r} in a frame of {len(frame)} bytes")
        return Notice(_object(frame[4:4 + size].decode("utf-8")), frame[4 + size:])

    def left(self):
        return len(self._held)
