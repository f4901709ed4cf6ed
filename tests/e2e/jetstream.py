"""JetStream over a `nats.Connection`, by its wire API: streams, publishes with their acks, messages by number, consumers."""

import base64
import json

from links import TIMEOUT
from nats import ApiError, Disconnected, Message, NatsError, Place

PULL_MS = 500  # how long the server waits for messages of a pull


def place_of(message):
    """Where a delivery stands, from its reply subject (both forms: with and without a domain)."""
    words = message.reply.split(".")
    if len(words) < 9 or words[:2] != ["$JS", "ACK"]:
        raise ValueError(f"not a delivery of JetStream: {message.reply!r}")
    words = words[2:9] if len(words) == 9 else words[4:11]
    return Place(words[0], words[1], *(int(word) for word in words[2:]))


class JetStream:
    def __init__(self, connection):
        self.connection = connection

    def api(self, what, body=None, timeout=None):
        answer = json.loads(self.connection.request("$JS.API." + what, json.dumps(body).encode() if body is not None else b"",
                                                    timeout=timeout).body)
        if "error" in answer:
            raise ApiError(answer["error"])
        return answer

    # --- streams

    def create(self, name, *subjects, **config):
        return self.api("STREAM.CREATE." + name, {"name": name, "subjects": list(subjects), "retention": "limits", "storage": "file",
                                                  "num_replicas": 1, "discard": "old", "max_consumers": -1, "max_msgs": -1,
                                                  "max_bytes": -1, "max_age": 0, "duplicate_window": 120 * 10**9, **config})

    def update(self, name, **changes):
        return self.api("STREAM.UPDATE." + name, {**self.info(name)["config"], **changes})

    def info(self, name):
        return self.api("STREAM.INFO." + name)

    def last(self, name):
        return self.info(name)["state"]["last_seq"]

    def names(self):
        return self.api("STREAM.NAMES").get("streams") or []

    def delete(self, name):
        return self.api("STREAM.DELETE." + name)

    def purge(self, name, **options):
        return self.api("STREAM.PURGE." + name, options)

    # --- messages

    def publish(self, subject, body=b"", headers=(), msg_id=None, timeout=None):
        """Publishes and waits for the ack, which it returns. ApiError when it was refused, NatsError when no stream takes it."""
        headers = [*headers, *([("Nats-Msg-Id", msg_id)] if msg_id is not None else [])]
        ack = json.loads(self.connection.request(subject, body, headers, timeout).body)
        if "error" in ack:
            raise ApiError(ack["error"])
        return ack

    def get(self, name, place):
        """The message at a place, or None."""
        try:
            found = self.api("STREAM.MSG.GET." + name, {"seq": place})["message"]
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        headers = []
        if "hdrs" in found:
            lines = base64.b64decode(found["hdrs"]).decode("utf-8", "surrogateescape").split("\r\n")[1:]
            headers = [(line.partition(":")[0], line.partition(":")[2].strip(" ")) for line in lines if line]
        return Message(found["subject"], "", headers, base64.b64decode(found.get("data", "")), "")

    def delete_message(self, name, place):
        return self.api("STREAM.MSG.DELETE." + name, {"seq": place})

    def read_all(self, name, start=1, batch=500):
        """(place, message) of everything that the stream holds when the last batch is fetched, in its order."""
        if self.info(name)["state"]["messages"] == 0:
            return
        consumer = self.api("CONSUMER.CREATE." + name, {"stream_name": name, "config": {
            "deliver_policy": "by_start_sequence", "opt_start_seq": max(start, 1), "ack_policy": "none", "replay_policy": "instant",
            "inactive_threshold": 60 * 10**9}})["name"]
        pull = Pull(self, name, consumer)
        try:
            while True:
                messages = pull.fetch(batch, wait=False)
                if not messages:
                    return
                for message in messages:
                    yield place_of(message).place, message
        finally:
            pull.end()
            try:
                self.api(f"CONSUMER.DELETE.{name}.{consumer}")
            except (NatsError, Disconnected, TimeoutError):
                pass

    # --- consumers

    def durable(self, stream, consumer, **config):
        """A durable pull consumer with explicit acks; there already with the same configuration is fine."""
        self.api(f"CONSUMER.DURABLE.CREATE.{stream}.{consumer}", {"stream_name": stream, "config": {
            "durable_name": consumer, "deliver_policy": "all", "ack_policy": "explicit", "ack_wait": 30 * 10**9,
            "replay_policy": "instant", "max_ack_pending": 10_000, **config}})
        return Pull(self, stream, consumer)


class Pull:
    """Fetches of a consumer."""

    def __init__(self, jetstream, stream, consumer):
        self._connection = jetstream.connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = "_INBOX.pull." + consumer + "." + hex(id(self))[2:]
        self._subscription = self._connection.subscribe(self._inbox)

    def fetch(self, batch, wait=True):
        """Up to `batch` messages; what there is at once, or (`wait`) what comes within PULL_MS. May be empty."""
        how = {"batch": batch, **({"expires": PULL_MS * 10**6} if wait else {"no_wait": True})}
        self._connection.publish(self._subject, json.dumps(how), reply=self._inbox)
        messages = []
        while len(messages) < batch:
            message = self._subscription.next(TIMEOUT)
            if message.status == "100":
                continue
            if message.status in ("404", "408"):  # nothing there, or no more in time
                break
            if message.status == "409":  # the pull is over otherwise, e.g. the consumer was deleted
                if messages:
                    break
                raise NatsError(f"pull refused: {message.headers}")
            if message.status == "503":
                raise NatsError("no consumer")
            messages.append(message)
        return messages

    def ack(self, message, confirm=False):
        if confirm:
            self._connection.request(message.reply, b"+ACK")
        else:
            self._connection.publish(message.reply, b"+ACK")

    def end(self):
        try:
            self._subscription.end()
        except Disconnected:
            pass
