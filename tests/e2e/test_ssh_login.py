"""ssh.md "Authentication", "Algorithms"; issue item 1: who gets in, and who is put out again."""

import re
import shutil
import subprocess
import unittest

import paramiko

from harness import Case, Server, Test, eventually, key_of, make_key, public_key
from links import LinkClosed


class Keys(Case):
    def enters(self, user, key=None, options=()):
        done = self.server.ssh(user, "kedge-json", key=key, options=("-s", *options), input=b'{"op":"ping","id":"in"}\n')
        if done.returncode == 0:
            self.assertIn(b'"pong"', done.stdout)
            return True
        if done.returncode == 1 and b'"revoked"' in done.stdout:
            return False  # the key went while this login was under way
        self.assertEqual(done.returncode, 255, done)
        self.assertEqual(done.stdout, b"")
        return False

    def authorize(self, *lines):
        """The standing users, and these lines."""
        standing = [f'user="{name}",role="{role}" {public_key(key_of(name))}' for name, role in self.users.items()]
        self.server.authorize(*standing, *lines)

    def settles(self, user, key, wanted=True):
        eventually(lambda: self.enters(user, key) == wanted, f"{user} {'gets in' if wanted else 'stays out'}")

    def marker(self):
        """Waits until the server has read authorized_keys as it is now: a user at the end of the file gets in."""
        key = make_key("marker")
        user = self.name("marker")
        path = f"{self.server.home}/authorized_keys"
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.server.authorize(*lines, f'user="{user}" {public_key(key)}')
        self.settles(user, key)

    def test_wrong_key(self):
        """A key that nobody registered."""
        self.assertFalse(self.enters("alice", make_key("stranger")))
        self.assertTrue(self.enters("alice"))

    def test_key_of_another_user(self):
        self.assertFalse(self.enters("alice", key_of("bob")))
        self.assertFalse(self.enters("bob", key_of("alice")))
        self.assertFalse(self.enters("op", key_of("alice")))

    def test_unknown_user(self):
        self.assertFalse(self.enters("nobody", key_of("alice")))
        self.assertFalse(self.enters("ALICE", key_of("alice")))

    def test_public_key_only(self):
        """ssh.md: public key only; no other method is answered."""
        session = self.server.session("alice")
        self.assertTrue(session.is_authenticated())
        sock = ("127.0.0.1", self.server.port)
        transport = paramiko.Transport(sock)
        self.addCleanup(transport.close)
        transport.start_client()
        with self.assertRaises(paramiko.BadAuthenticationType) as refused:
            transport.auth_none("alice")
        self.assertEqual(refused.exception.allowed_types, ["publickey"])
        with self.assertRaises(paramiko.AuthenticationException):
            transport.auth_password("alice", "secret")

    def test_not_logged_in_opens_nothing(self):
        """architecture.md: nobody unauthenticated reaches the codec."""
        transport = paramiko.Transport(("127.0.0.1", self.server.port))
        self.addCleanup(transport.close)
        transport.start_client()
        with self.assertRaises((paramiko.SSHException, EOFError)):
            transport.open_session(timeout=10)

    def test_kinds_of_keys(self):
        """ssh.md: ed25519, ecdsa-p256, rsa-sha2 from 2048 bits; nothing else."""
        keys = {"good": [make_key("e", "ecdsa", "-b", "256"), make_key("r", "rsa", "-b", "2048")],
                "bad": [make_key("e", "ecdsa", "-b", "384"), make_key("r", "rsa", "-b", "1024")]}
        self.authorize(*(f'user="alice" {public_key(key)}' for key in keys["good"] + keys["bad"]))
        self.marker()
        for key in keys["good"]:
            self.assertTrue(self.enters("alice", key))
        for key in keys["bad"]:
            self.assertFalse(self.enters("alice", key))
        self.assertFalse(self.enters("alice", keys["good"][1], ("-o", "PubkeyAcceptedAlgorithms=ssh-rsa")))

    def test_options_of_a_line(self):
        """ssh.md: `from`, `expiry-time`, `restrict`, and an unknown option refuses that line: it never widens it."""
        cases = {'from="127.0.0.0/8"': True, 'from="10.0.0.0/8"': False, 'from="10.0.0.0/8,127.0.0.1"': True,
                 'from="::/0"': False, 'expiry-time="20200101"': False, 'expiry-time="20990101"': True,
                 'expiry-time="202001011200"': False, 'expiry-time="209901011200"': True, "restrict": True,
                 'role="bot"': True, 'role="king"': False, 'command="date"': False, "no-pty": False, 'permitopen="a:1"': False,
                 "unheard-of": False, 'expiry-time="tomorrow"': False, 'from="127.0.0.1': False, 'from=""': False}
        keys = {option: make_key("k") for option in cases}
        self.authorize(*(f'user="alice",{option} {public_key(key)}' for option, key in keys.items()))
        self.marker()
        for option, wanted in cases.items():
            with self.subTest(option):
                self.assertEqual(self.enters("alice", keys[option]), wanted)
        self.assertTrue(self.enters("alice"))  # other lines hold
        self.assertRegex(self.server.log(None), "unheard-of|authorized_keys")  # loudly

    def test_a_line_without_user(self):
        """A line without `user="…"` belongs to nobody."""
        key = make_key("homeless")
        self.authorize(public_key(key), f'restrict {public_key(key)}')
        self.marker()
        for user in ("alice", "root", "op"):
            self.assertFalse(self.enters(user, key))

    def test_role_of_a_line(self):
        """ssh.md: options per key: `role`."""
        key = make_key("k")
        self.authorize(f'user="carol",role="bot" {public_key(key)}')
        self.settles("carol", key)
        link = self.link("carol", key=key)
        self.assertEqual(link.welcome["role"], "bot")

    def test_live_reload(self):
        """ssh.md: authorized_keys is read at start and when it changes."""
        key = make_key("k")
        self.assertFalse(self.enters("dave", key))
        self.authorize(f'user="dave" {public_key(key)}')
        self.settles("dave", key)
        self.authorize()
        self.settles("dave", key, False)
        self.assertTrue(self.enters("alice"))

    def test_revocation_ends_live_sessions(self):
        """ssh.md: removing or expiring a key, or a user, ends its live sessions with `bye` `revoked`."""
        key = make_key("k")
        for form in ("lines", "frames"):
            with self.subTest(form):
                self.authorize(f'user="erin" {public_key(key)}')
                self.settles("erin", key)
                link = self.link("erin", form=form, key=key)
                stays = self.link("alice")
                self.authorize()
                bye, status = link.end()
                self.assertEqual((bye["code"], status), ("revoked", 1))
                self.assertEqual(stays.ping().op, "pong")

    def test_key_of_the_store(self):
        """Issue item 6: keys are added and removed at run time; a removed key's session ends, the other key's does not."""
        one, two = make_key("one"), make_key("two")
        self.server.admin("user", "add", "frank", "--role", "bot")
        for key in (one, two):
            self.server.admin("key", "add", "frank", public_key(key))
            self.assertTrue(self.enters("frank", key))
        links = [self.link("frank", key=key) for key in (one, two)]
        self.assertEqual(links[0].welcome["role"], "bot")
        printed = subprocess.run(["ssh-keygen", "-lf", one + ".pub"], check=True, stdout=subprocess.PIPE).stdout
        fingerprint = printed.decode().split()[1]
        self.assertIn(fingerprint, self.server.admin("key", "list", "frank"))
        self.server.admin("key", "remove", "frank", fingerprint)
        self.assertEqual(links[0].end()[0]["code"], "revoked")
        self.assertEqual(links[1].ping().op, "pong")
        self.assertFalse(self.enters("frank", one))
        self.server.admin("user", "remove", "frank")
        self.assertEqual(links[1].end()[0]["code"], "revoked")
        self.assertFalse(self.enters("frank", two))

    def test_removed_user_stays_out(self):
        """§1: a removed user stays out until `user add`, whatever authorized_keys says."""
        key = make_key("k")
        self.authorize(f'user="grace" {public_key(key)}')
        self.settles("grace", key)
        link = self.link("grace", key=key)
        self.server.admin("user", "remove", "grace")
        self.assertEqual(link.end()[0]["code"], "revoked")
        self.assertFalse(self.enters("grace", key))
        self.authorize(f'user="grace" {public_key(key)}', f'user="grace",role="operator" {public_key(make_key("k2"))}')
        self.marker()
        self.assertFalse(self.enters("grace", key))
        self.server.kill()
        self.server.start()
        self.assertFalse(self.enters("grace", key))
        self.server.admin("user", "add", "grace")
        self.settles("grace", key)

    def test_tries(self):
        """§8, ssh.md: 6 tries: the sixth may succeed, a seventh is not heard."""
        wrong = [make_key("w") for _ in range(6)]
        right = key_of("alice")

        def tries(keys):
            options = [part for key in keys for part in ("-i", key)]
            argv = self.server.ssh_argv("alice", "kedge-json", key=keys[0], options=("-s", *options[2:]))
            return subprocess.run(argv, input=b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60).returncode
        self.assertEqual(tries(wrong[:5] + [right]), 0)
        self.assertEqual(tries(wrong + [right]), 255)


class Algorithms(Case):
    def negotiates(self, **options):
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        done = self.server.ssh("alice", "kedge-json", options=("-s", *flags), input=b"")
        return done.returncode == 0

    def test_offered(self):
        """ssh.md "Algorithms" """
        for options in ({"KexAlgorithms": "curve25519-sha256"}, {"KexAlgorithms": "curve25519-sha256@libssh.org"},
                        {"HostKeyAlgorithms": "ssh-ed25519"}, {"Ciphers": "chacha20-poly1305@openssh.com"},
                        {"Ciphers": "aes256-gcm@openssh.com"}, {"Ciphers": "aes128-gcm@openssh.com"}, {"Ciphers": "aes256-ctr"},
                        {"Ciphers": "aes256-ctr", "MACs": "hmac-sha2-256-etm@openssh.com"},
                        {"Ciphers": "aes256-ctr", "MACs": "hmac-sha2-512-etm@openssh.com"}):
            with self.subTest(**options):
                self.assertTrue(self.negotiates(**options))

    def test_not_offered(self):
        for options in ({"KexAlgorithms": "diffie-hellman-group14-sha256"}, {"KexAlgorithms": "ecdh-sha2-nistp256"},
                        {"HostKeyAlgorithms": "rsa-sha2-512"}, {"Ciphers": "aes128-cbc"}, {"Ciphers": "3des-cbc"},
                        {"Ciphers": "aes256-ctr", "MACs": "hmac-sha1"}, {"Ciphers": "aes256-ctr", "MACs": "hmac-sha2-256"}):
            with self.subTest(**options):
                self.assertFalse(self.negotiates(**options))

    def test_compression_is_none(self):
        """ssh.md: compression literally `none`."""
        done = self.server.ssh("alice", "kedge-json", options=("-s", "-v", "-o", "Compression=yes", "-o", "LogLevel=DEBUG"))
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr.decode(), r"kex: server->client .*compression: none")

    @unittest.skipUnless(shutil.which("ssh-audit"), "needs ssh-audit")
    def test_ssh_audit(self):
        """ssh.md: `ssh-audit` reports no failure."""
        done = subprocess.run(["ssh-audit", "--no-colors", "-p", str(self.server.port), "127.0.0.1"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        text = done.stdout.decode()
        self.assertIn("(gen) banner: SSH-2.0-", text)
        self.assertNotIn("[fail]", text)
        self.assertNotEqual(done.returncode, 3, text)

    def test_host_key_lasts(self):
        """ssh.md: host keys across restarts."""
        self.assertTrue(self.negotiates())
        with open(self.server.known_hosts, encoding="ascii") as file:
            known = file.read()
        self.server.kill()
        self.server.start()
        self.assertTrue(self.negotiates(StrictHostKeyChecking="yes"))
        with open(self.server.known_hosts, encoding="ascii") as file:
            self.assertEqual(file.read(), known)


class WithoutKeysFile(Test):
    def test_first_start(self):
        """Issue: first start makes HOME (0700), a host key, the database, and an operator key that the local `kedge` uses."""
        import os
        server = Server()
        self.addCleanup(server.destroy)
        os.unlink(f"{server.home}/authorized_keys")
        os.rmdir(server.home)
        server.start()
        self.assertEqual(os.stat(server.home).st_mode & 0o777, 0o700)
        done = server.kedge("user", "list")
        self.assertEqual(done.returncode, 0, done)
        for name in os.listdir(server.home):
            if re.search(r"key", name) and not name.endswith(".pub"):
                self.assertEqual(os.stat(f"{server.home}/{name}").st_mode & 0o077, 0, name)
        with self.assertRaises(LinkClosed):
            server.link("alice")
        server.stop()


if __name__ == "__main__":
    unittest.main()
