"""The client library against a real server that is killed: mail exactly once and in order, calls answered or failed, services
registered again. The program is clients/examples/talk.cpp; CTest gives it in TALK."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import Case, key_of  # noqa: E402
from links import TIMEOUT  # noqa: E402

COUNT = 60


class Library(Case):
    def test_talk_survives_kill_9(self):
        process = subprocess.Popen([os.environ["TALK"], f"alice@127.0.0.1:{self.server.port}", key_of("alice"),
                                    os.path.join(self.server.home, "known_hosts"), str(COUNT)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.server.environment(), text=True)
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        came = []
        while len(came) < COUNT:
            line = process.stdout.readline()
            self.assertTrue(line, f"it ended after {came[-1:]}: {process.poll() is not None and process.stderr.read()}")
            came.append(line.rstrip("\n"))
            if len(came) in (COUNT // 4, COUNT // 2, 3 * COUNT // 4):
                self.server.kill()
                self.server.start()
        rest, error = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, rest, error), (0, "", ""))
        self.assertEqual(came, [f"number {n}" for n in range(1, COUNT + 1)])


if __name__ == "__main__":
    unittest.main()
