"""Issue, "What must be shown": OpenSSH, paramiko, asyncssh and dropbear's dbclient each log in and exchange messages."""

import asyncio
import json
import os
import shutil
import subprocess
import unittest
import warnings

warnings.filterwarnings("ignore")
import asyncssh  # noqa: E402

from harness import Case, eventually, key_of, scratch  # noqa: E402
from links import TIMEOUT, Link, SshPipe  # noqa: E402
from wire import Frames, Lines  # noqa: E402


class Interop(Case):
    def exchange(self, link):
        """Both ways with a client that is known to work."""
        other = self.link("bob", form="frames")
        subject = self.name("interop")
        for each in (link, other):
            each.ok("sub", subject=subject)
        link.ok("pub", "from here", subject=subject)
        other.ok("pub", b"from there \xff", subject=subject)
        for each in (link, other):
            self.assertEqual([m.body for m in each.msgs(2)], [b"from here", b"from there \xff"])
        big = bytes(range(256)) * 4000
        link.ok("pub", big, subject=subject)
        self.assertEqual(other.msgs(1)[0].body, big)
        self.assertEqual(link.msgs(1)[0].body, big)
        link.send("quit")
        bye, status = link.end()
        self.assertEqual((bye["code"], status), ("quit", 0))

    def test_openssh(self):
        self.exchange(self.link("alice"))

    def test_openssh_shared_connection(self):
        """OpenSSH's ControlMaster: several channels over one session."""
        path = scratch("control")
        options = ("-o", f"ControlPath={path}")
        master = subprocess.Popen(self.server.ssh_argv("alice", options=("-M", "-N", *options)), stdin=subprocess.DEVNULL)

        def end():
            if master.poll() is not None:
                return
            subprocess.run(self.server.ssh_argv("alice", options=("-O", "exit", *options)), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=TIMEOUT)
            master.terminate()
            master.wait(TIMEOUT)
        self.addCleanup(end)
        eventually(lambda: os.path.exists(path), "the master is there")
        links = [self.link("alice", options=options) for _ in range(3)]
        self.assertEqual(len({link.welcome["session"] for link in links}), 1)
        self.exchange(links[0])
        self.exchange(links[1])
        self.assertEqual(links[2].ping().op, "pong")
        end()  # before the links: the master holds their pipes

    def test_paramiko(self):
        for form in ("lines", "frames"):
            with self.subTest(form):
                self.exchange(self.channel(self.session(), form))

    def dropbear_key(self):
        path = scratch("dropbear")
        if shutil.which("dropbearconvert"):
            subprocess.run(["dropbearconvert", "openssh", "dropbear", key_of("alice"), path], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return path

    @unittest.skipUnless(shutil.which("dbclient"), "needs dropbear's dbclient")
    def test_dropbear(self):
        key = self.dropbear_key()
        home = scratch("home")
        os.makedirs(home)
        argv = ["env", f"HOME={home}", "dbclient", "-y", "-y", "-p", str(self.server.port), "-i", key, "-s", "alice@127.0.0.1"]
        for codec in (Lines, Frames):
            with self.subTest(codec.subsystem):
                link = Link(SshPipe([*argv, codec.subsystem]), codec())
                self.addCleanup(link.close)
                link.welcome = link.next()
                self.assertEqual(link.welcome["user"], "alice")
                self.exchange(link)
        done = subprocess.run([*argv[:-2], "alice@127.0.0.1", "who --json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0, done)


class Asyncssh(Case):
    def run_async(self, coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, TIMEOUT))

    def connect(self):
        return asyncssh.connect("127.0.0.1", self.server.port, username="alice", client_keys=[key_of("alice")], known_hosts=None,
                                config=None, agent_path=None)

    def test_lines(self):
        async def talk():
            async with self.connect() as connection:
                process = await connection.create_process(subsystem="kedge-json", encoding="utf-8")

                async def read(op):
                    while True:
                        notice = json.loads(await process.stdout.readline())
                        if notice["op"] == op:
                            return notice
                self.assertEqual((await read("welcome"))["user"], "alice")
                process.stdin.write('{"op":"sub","id":"s","subject":"async.>"}\n')
                self.assertEqual((await read("ok"))["id"], "s")
                process.stdin.write('{"op":"pub","subject":"async.x","data":"grüße"}\n')
                self.assertEqual((await read("msg"))["data"], "grüße")
                process.stdin.write_eof()
                self.assertEqual((await read("bye"))["code"], "quit")
                await process.wait()
                self.assertEqual(process.exit_status, 0)
        self.run_async(talk())

    def test_frames(self):
        async def talk():
            async with self.connect() as connection:
                process = await connection.create_process(subsystem="kedge", encoding=None)
                codec = Frames()
                held = []

                async def read(op):
                    while True:
                        while not held:
                            data = await process.stdout.read(65536)
                            self.assertTrue(data, "closed")
                            held.extend(codec.feed(data))
                        notice = held.pop(0)
                        if notice.op == op:
                            return notice
                await read("welcome")
                process.stdin.write(Frames.encode({"op": "sub", "id": "s", "subject": "asyncf.>"}))
                await read("ok")
                process.stdin.write(Frames.encode({"op": "pub", "subject": "asyncf.x"}, b"\x00\xff" * 100_000))
                self.assertEqual((await read("msg")).body, b"\x00\xff" * 100_000)
                process.stdin.write(Frames.encode({"op": "quit"}))
                await read("bye")
                await process.wait()
                self.assertEqual(process.exit_status, 0)
        self.run_async(talk())

    def test_exec(self):
        async def talk():
            async with self.connect() as connection:
                done = await connection.run("pub async.exec hello")
                self.assertEqual(done.exit_status, 0, done.stderr)
        self.run_async(talk())

    def test_tiny_packets(self):
        """ssh.md: a channel with a maximum packet size of 10 or less is refused; others go on."""
        async def talk():
            link = self.link()
            for size in (1, 10):
                async with self.connect() as connection:
                    with self.assertRaises(asyncssh.Error):
                        process = await connection.create_process(subsystem="kedge-json", max_pktsize=size)
                        if not await process.stdout.read(1):
                            raise asyncssh.Error(0, "closed without a word")
                self.assertEqual(link.ping().op, "pong")
        self.run_async(talk())

    def test_small_window(self):
        """A peer with a small window and small packets gets everything, in its pieces."""
        async def talk():
            async with self.connect() as connection:
                process = await connection.create_process(subsystem="kedge-json", window=1000, max_pktsize=1024, encoding="utf-8")
                process.stdin.write('{"op":"sub","subject":"sw"}\n{"op":"pub","subject":"sw","data":"' + "y" * 50_000 + '"}\n')
                text = ""
                while text.count("\n") < 2:  # a line is longer than what asyncssh holds with such a window
                    text += await process.stdout.read(1000)
                self.assertEqual(json.loads(text.splitlines()[1])["data"], "y" * 50_000)
        self.run_async(talk())


if __name__ == "__main__":
    unittest.main()
