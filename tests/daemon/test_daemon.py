"""The process `kedged` from outside: options, first start, one server a home, signals, reload, HTTP pages.

CTest gives the program in KEDGED. No SSH client but OpenSSH's is needed here; what links say is tests/e2e's.
"""

import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

KEDGED = os.environ["KEDGED"]
TIMEOUT = float(os.environ.get("KEDGE_E2E_TIMEOUT", "40"))


def run(*arguments, **environment):
    return subprocess.run([KEDGED, *arguments], capture_output=True, text=True, timeout=TIMEOUT,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="kedge-daemon-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.home = os.path.join(self.top, "home")

    def path(self, *names):
        return os.path.join(self.top, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, *arguments, **environment):
        server = Server(self, *arguments, **environment)
        self.addCleanup(server.kill)
        return server


class Server:
    """A kedged that is ready; its log is gathered line by line."""

    def __init__(self, case, *arguments, ready=True, **environment):
        self.log = []
        self.news = threading.Condition()
        self.home = case.home
        self.user_home = case.top
        command = [KEDGED, "--home", case.home]
        if "--listen" not in arguments:
            command += ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        stdin=subprocess.DEVNULL, env={**os.environ, "HOME": case.top, **environment})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if ready:
            self.ready = self.process.stdout.readline().rstrip("\n")
            if not self.ready:
                raise AssertionError("not ready: " + "\n".join(self.log))

    def _read(self):
        for line in self.process.stderr:
            with self.news:
                self.log.append(line.rstrip("\n"))
                self.news.notify_all()

    def expect(self, pattern, start=0):
        """The first log line from `start` on in which the pattern is found; waits for it."""
        deadline = time.monotonic() + TIMEOUT
        with self.news:
            while True:
                for line in self.log[start:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                if not self.news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {pattern!r} in: " + "\n".join(self.log))

    def mark(self):
        with self.news:
            return len(self.log)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(TIMEOUT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)
        self.reader.join(TIMEOUT)
        self.process.stdout.close()
        self.process.stderr.close()

    @property
    def port(self):
        return int(self.ready.rsplit(":", 1)[1])

    def ssh(self, user, key, *command):
        return subprocess.run(
            ["ssh", "-F", "/dev/null", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
             "-o", f"UserKnownHostsFile={self.home}/known_hosts", "-o", "GlobalKnownHostsFile=/dev/null",
             "-o", "StrictHostKeyChecking=yes", "-p", str(self.port), f"{user}@127.0.0.1", *command],
            capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})


def operator():
    name = pwd.getpwuid(os.geteuid()).pw_name
    return name if re.fullmatch("[a-z0-9][a-z0-9_-]{0,31}", name) else "operator"


class Options(Case):
    def test_version_and_help(self):
        version = run("--version")
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r"^kedged \d+\.\d+\.\d+\n$")
        text = run("--help").stdout
        for option in ("--home", "--listen", "--config", "--log-level", "--log-format", "--http", "--version", "--help",
                       "--check-config", "--print-config"):
            self.assertIn(option, text)

    def test_mistakes(self):
        for arguments, says in (
                (["--nonsense"], "nonsense"),
                (["--listen", "localhost:22", "--check-config"], "--listen localhost:22"),
                (["--listen", "127.0.0.1", "--check-config"], "--listen 127.0.0.1"),
                (["--log-level", "loud", "--check-config"], "--log-level loud"),
                (["--log-format", "xml", "--check-config"], "--log-format xml"),
                (["--http", "0.0.0.0:80", "--check-config"], "loopback"),
                (["--http", "here", "--check-config"], "--http here"),
                (["--config", self.path("none"), "--check-config"], "cannot read"),
        ):
            with self.subTest(arguments):
                done = run("--home", self.home, *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(says, done.stderr)
                self.assertEqual(done.stdout, "")
        self.assertFalse(os.path.exists(self.home))

    def test_check_config(self):
        good = self.write("good.toml", "[limits]\nstreams = 7\n")
        done = run("--home", self.home, "--config", good, "--check-config")
        self.assertEqual((done.returncode, done.stdout), (0, f"kedged: {good} is sound\n"))
        bad = self.write("bad.toml", "[server]\nport = 22\n[limits]\n\nstreams = 0\n")
        done = run("--home", self.home, "--config", bad, "--check-config")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{bad}:2: unknown key server.port", done.stderr)
        self.assertRegex(done.stderr, re.escape(bad) + r":5: limits\.streams = 0 .*from 1 to \d+")

    def test_print_config_reads_back(self):
        printed = run("--home", self.home, "--print-config", "--listen", "127.0.0.1:7")
        self.assertEqual(printed.returncode, 0)
        self.assertIn('\nlisten = ["127.0.0.1:7"]\n', printed.stdout)
        again = run("--home", self.home, "--print-config", "--config", self.write("all.toml", printed.stdout))
        self.assertEqual(again.stdout, printed.stdout)


class FirstStart(Case):
    def test_home(self):
        server = self.start()
        self.assertRegex(server.ready, r"^kedged ready on 127\.0\.0\.1:\d+$")
        modes = {"host_ed25519": 0o600, "operator_ed25519": 0o600, "kedge.db": 0o600}
        for name, mode in modes.items():
            self.assertEqual(os.stat(os.path.join(self.home, name)).st_mode & 0o777, mode, name)
        self.assertEqual(os.stat(self.home).st_mode & 0o777, 0o700)
        with open(os.path.join(self.home, "endpoint"), encoding="ascii") as file:
            self.assertEqual(file.read(), f"127.0.0.1:{server.port}\n")
        for name in ("host_ed25519", "operator_ed25519"):
            path = os.path.join(self.home, name)
            shown = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True).stdout
            with open(path + ".pub", encoding="ascii") as file:
                self.assertEqual(file.read().split()[:2], shown.split()[:2])

        done = server.ssh(operator(), os.path.join(self.home, "operator_ed25519"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(operator(), done.stdout)

    def test_the_way_in_that_it_writes_for_openssh(self):
        self.home = self.path("a home")  # a blank in the path
        self.start()
        done = subprocess.run(["ssh", "-F", f"{self.home}/ssh_config", "-o", "BatchMode=yes", "bus"], capture_output=True,
                              text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(operator(), done.stdout)

    def test_keys_of_the_user_who_starts_it(self):
        os.mkdir(self.path(".ssh"))
        key = self.path(".ssh", "id_ed25519")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        server = self.start()
        done = server.ssh(operator(), key)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("operator", done.stdout)
        stranger = self.path("stranger")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
        self.assertEqual(server.ssh(operator(), stranger).returncode, 255)

    def test_a_user_without_a_home(self):
        """systemd's DynamicUser: no entry in passwd, no $HOME; the operator has the unit's name and the pair in HOME."""
        if os.geteuid() != 0:
            self.skipTest("only root can become a user that does not exist")
        program = shutil.copy(KEDGED, self.path("kedged"))  # where it was built may be closed to others
        os.chown(self.top, 61764, 61764)
        for user, name in (("bus", "bus"), (None, "operator")):
            with self.subTest(name):
                home = self.path("home-of-" + name)
                process = subprocess.Popen([program, "--home", home, "--listen", "127.0.0.1:0"], user=61764, group=61764,
                                           extra_groups=[], env={"USER": user} if user else {}, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                try:
                    self.assertIn("ready", process.stdout.readline())
                    with open(os.path.join(home, "operator"), encoding="ascii") as file:
                        self.assertEqual(file.read(), name + "\n")
                finally:
                    process.terminate()
                    self.assertEqual(process.wait(TIMEOUT), 0)
                    process.stdout.close()

    def test_the_same_after_a_restart(self):
        keys = []
        for _ in range(2):
            server = self.start()
            self.assertEqual(server.ssh(operator(), os.path.join(self.home, "operator_ed25519")).returncode, 0)
            with open(os.path.join(self.home, "host_ed25519"), encoding="ascii") as file:
                keys.append(file.read())
            server.kill()
        self.assertEqual(keys[0], keys[1])

    def test_listens_on_all_that_is_asked_for(self):
        server = self.start("--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0")
        self.assertRegex(server.ready, r"^kedged ready on 127\.0\.0\.1:\d+,127\.0\.0\.2:\d+$")

    def test_a_port_that_is_taken_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            where = "127.0.0.1:%d" % taken.getsockname()[1]
            done = run("--home", self.home, "--listen", where)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"127\.0\.0\.1\b.*\b" + where.rsplit(":", 1)[1] + r"\b")
        self.assertEqual(done.stdout, "")

    def test_two_servers_on_one_home(self):
        first = self.start()
        done = run("--home", self.home, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"pid {first.process.pid}", done.stderr)
        self.assertIn(self.home, done.stderr)
        first.kill()
        self.start()

    def test_the_configuration_in_home_is_used(self):
        os.mkdir(self.home, 0o700)
        self.write("home/kedged.toml", '[http]\nlisten = "127.0.0.1:0"\n')
        self.start().expect(r"http on 127\.0\.0\.1:\d+")


class Signals(Case):
    def notifications(self, name="notify"):
        path = self.path(name)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        listener.settimeout(TIMEOUT)
        self.addCleanup(listener.close)
        return path, lambda: listener.recv(4096).decode()

    def test_terminate_and_interrupt_end_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                path, receive = self.notifications(f"notify{number}")
                server = self.start(NOTIFY_SOCKET=path)
                self.assertIn("READY=1", receive())
                server.signal(number)
                self.assertIn("STOPPING=1", receive())
                self.assertEqual(server.wait(), 0)
                server.expect("stopped")

    def test_a_second_signal_ends_at_once(self):
        config = self.write("c.toml", "[limits]\ndrain_ms = 60000\n")
        server = self.start("--config", config)
        # A link that is never drained: the client does not read what it is sent, nor close.
        holder = subprocess.Popen(
            ["ssh", "-F", "/dev/null", "-i", f"{self.home}/operator_ed25519", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
             "-o", f"UserKnownHostsFile={self.home}/known_hosts", "-p", str(server.port), "-s", f"{operator()}@127.0.0.1",
             "kedge-json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertIn("welcome", holder.stdout.readline())
        holder.send_signal(signal.SIGSTOP)
        server.signal(signal.SIGTERM)
        server.expect("draining")
        began = time.monotonic()
        while server.process.poll() is None and time.monotonic() - began < TIMEOUT:
            server.signal(signal.SIGTERM)  # the first of these may come before the default action is back
            try:
                server.process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
        self.assertIn(server.process.returncode, (-signal.SIGTERM, 0))
        self.assertLess(time.monotonic() - began, 20)

    def test_hangup_reloads(self):
        config = self.write("c.toml", "")
        path, receive = self.notifications()
        server = self.start("--config", config, "--http", "127.0.0.1:0", NOTIFY_SOCKET=path)
        self.assertIn("READY=1", receive())
        port = int(server.expect(r"http on 127\.0\.0\.1:(\d+)")[1])

        self.write("c.toml", '[limits]\nstreams = 7\n[server]\nthreads = 1\n[log]\nlevel = "debug"\n')
        mark = server.mark()
        server.signal(signal.SIGHUP)
        self.assertRegex(receive(), r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual(receive(), "READY=1")
        server.expect("configuration reloaded", mark)
        server.expect("server.threads takes effect at the next start", mark)
        self.assertIn('kedge_limit{name="streams"} 7\n', page(port, "/metrics")[1])

        self.write("c.toml", "[limits]\nstreams = 8\nnonsense = 1\n")
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.expect(r"c\.toml:3: unknown key limits\.nonsense", mark)
        server.expect("stays as it was", mark)
        self.assertIn('kedge_limit{name="streams"} 7\n', page(port, "/metrics")[1])


class AuthorizedKeys(Case):
    def setUp(self):
        super().setUp()
        self.key = self.path("key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", self.key], check=True)
        with open(self.key + ".pub", encoding="ascii") as file:
            self.public = file.read().strip()

    def authorize(self, text):
        with open(self.path("new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path("new"), 0o600)
        os.replace(self.path("new"), os.path.join(self.home, "authorized_keys"))

    def test_changes_are_taken_over(self):
        server = self.start()
        self.assertEqual(server.ssh("bot1", self.key).returncode, 255)
        mark = server.mark()
        self.authorize(f'user="bot1",role="bot" {self.public}\nuser="x",command="ls" {self.public}\n')
        server.expect(r"authorized_keys:2: line refused: unknown option", mark)
        server.expect("1 keys of 1 users", mark)
        done = server.ssh("bot1", self.key)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(server.ssh("x", self.key).returncode, 255)

        mark = server.mark()
        os.remove(os.path.join(self.home, "authorized_keys"))
        server.expect("0 keys of 0 users", mark)
        self.assertEqual(server.ssh("bot1", self.key).returncode, 255)

    def test_a_file_that_others_may_write_is_not_believed(self):
        server = self.start()
        mark = server.mark()
        self.authorize(f'user="bot1",role="bot" {self.public}\n')
        server.expect("1 keys of 1 users", mark)
        mark = server.mark()
        os.chmod(os.path.join(self.home, "authorized_keys"), 0o666)
        server.expect("others may write it", mark)
        self.assertEqual(server.ssh("bot1", self.key).returncode, 0)

    def test_hangup_reads_them_too(self):
        server = self.start()
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.expect("0 keys of 0 users", mark)


def page(port, target, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.request(method, target)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


class Pages(Case):
    def test_pages(self):
        server = self.start("--http", "127.0.0.1:0")
        port = int(server.expect(r"http on 127\.0\.0\.1:(\d+)")[1])
        self.assertEqual(page(port, "/healthz"), (200, "ok\n"))
        self.assertEqual(page(port, "/readyz"), (200, "ready\n"))
        self.assertEqual(page(port, "/other")[0], 404)
        self.assertEqual(page(port, "/healthz", "POST")[0], 405)
        self.assertEqual(server.ssh(operator(), f"{self.home}/operator_ed25519").returncode, 0)
        status, text = page(port, "/metrics")
        self.assertEqual(status, 200)
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self.assertEqual(float(values["kedge_logins_total"]), 1)
        self.assertIn('kedge_refused_total{reason="grace"}', values)
        self.assertIn('kedge_errors_total{code="denied"}', values)
        self.assertIn('kedge_limit{name="body_bytes"}', values)
        self.assertGreater(float(values["process_resident_memory_bytes"]), 0)


class Log(Case):
    def test_a_file_is_opened_again_at_hangup(self):
        log = self.path("kedged.log")
        config = self.write("c.toml", f'[log]\nfile = "{log}"\n')
        server = self.start("--config", config)
        deadline = time.monotonic() + TIMEOUT
        while "kedged ready on" not in read(log):  # it follows what stdout says
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        os.rename(log, log + ".1")
        server.signal(signal.SIGHUP)
        deadline = time.monotonic() + TIMEOUT
        while not (os.path.exists(log) and "configuration reloaded" in read(log)):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual(os.stat(log).st_mode & 0o777, 0o600)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertIn("stopped", read(log))
        self.assertEqual(server.log, [])

    def test_json_is_one_object_a_line(self):
        server = self.start("--log-format", "json", "--log-level", "debug")
        server.ssh(operator(), f"{self.home}/operator_ed25519")
        server.ssh("nobody", f"{self.home}/operator_ed25519")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        server.reader.join(TIMEOUT)
        lines = [json.loads(line) for line in server.log]
        self.assertTrue(all({"time", "level", "message"} <= set(line) for line in lines))
        self.assertTrue(any(line.get("session") for line in lines))


if __name__ == "__main__":
    unittest.main(verbosity=2)
