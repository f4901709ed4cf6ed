#!/usr/bin/env python3
"""A bot in Python, with stock ssh and the standard library: answers each message of a stream, once, whatever happens to the
server or to it.

    bot.py HOST SSH_CONFIG NODE [STREAM [SUBJECT]]

HOST and SSH_CONFIG are ssh's (`ssh -F SSH_CONFIG HOST`), NODE is the bot's durable name: as consumer NODE of STREAM (WORK) it
publishes an answer to each message on SUBJECT (answers.NODE) under the id NODE-SEQ, and acknowledges when the answer is stored.
What was not acknowledged comes again, and an answer that was stored is not stored twice under its id. Ends with SIGTERM.
"""
import json
import subprocess
import sys
import time


def work(body):
    return "did " + body


def one_link(host, config, node, stream="WORK", subject=None):
    with subprocess.Popen(["ssh", "-F", config, "-o", "BatchMode=yes", "-s", host, "kedge-json"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, encoding="utf-8") as ssh:
        def say(op, **fields):
            ssh.stdin.write(json.dumps({"op": op, **fields}) + "\n")
            ssh.stdin.flush()

        try:
            say("hello", node=node)
            say("consume", stream=stream, consumer=node, start="first")
            for line in ssh.stdout:
                heard = json.loads(line)
                if heard["op"] == "msg":
                    body = heard.get("data", "something that is no text")
                    say("pub", id=f"{node}-{heard['seq']}", subject=subject or f"answers.{node}", data=work(body))
                elif heard["op"] == "ok" and heard.get("id", "").startswith(node + "-"):
                    say("ack", consumer=node, seq=int(heard["id"].rpartition("-")[2]))
                elif heard["op"] in ("error", "bye"):
                    sys.stderr.write(line)
                    break
        finally:
            ssh.kill()


if len(sys.argv) < 4:
    sys.exit("usage: bot.py HOST SSH_CONFIG NODE [STREAM [SUBJECT]]")
while True:
    try:
        one_link(*sys.argv[1:6])
    except BrokenPipeError:
        pass  # the link is gone; on the next one what was not acknowledged comes again
    time.sleep(1)
