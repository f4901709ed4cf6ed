"""ssh.md: expiring a key ends its live sessions. Of its own, because it waits for the next minute."""

import time
import unittest

from harness import Case, eventually, key_of, make_key, public_key


class Expiry(Case):
    def test_a_key_that_expires_ends_its_sessions(self):
        """ssh.md "Authentication": `expiry-time="YYYYMMDDHHMM"`; `bye` `revoked`; afterwards the key does not open."""
        key = make_key("short")
        now = time.time()
        ends = now - now % 60 + (60 if now % 60 < 45 else 120)  # on a minute, and not before we are in
        text = time.strftime("%Y%m%d%H%M", time.localtime(ends))
        standing = [f'user="{name}",role="{role}" {public_key(key_of(name))}' for name, role in self.users.items()]
        self.server.authorize(*standing, f'user="alice",expiry-time="{text}" {public_key(key)}')

        def enters():
            return self.server.ssh("alice", "kedge-json", key=key, options=("-s",)).returncode == 0
        eventually(enters, "the key is known")
        link, stays = self.link("alice", key=key), self.link("alice")
        bye, status = link.end(150)
        self.assertGreaterEqual(time.time(), ends - 0.05)
        self.assertEqual((bye["code"], status), ("revoked", 1))
        self.assertFalse(enters())
        self.assertEqual(stays.ping().op, "pong")


if __name__ == "__main__":
    unittest.main()
