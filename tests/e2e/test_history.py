"""The history checker can fail: a good record passes, and each way of spoiling it is found."""

import unittest

from history import Delivery, History, check


def good():
    """Two publishers, two consumers, one crash after seq 4."""
    history = History()
    a, b = history.publisher("a"), history.publisher("b")
    a.sent, b.sent = 3, 4
    a.answers = [(1, 1), (2, 3), (3, 5)]
    b.covered = 3
    history.log = [(1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "b", 2), (5, "a", 3), (6, "b", 3)]
    rows = {seq: (publisher, number) for seq, publisher, number in history.log}
    one, two = history.consumer("one"), history.consumer("two", ordered=False)
    one.deliveries = [Delivery(life, seq, *rows[seq], tries) for life, seq, tries in
                      ((1, 1, 1), (1, 2, 1), (1, 3, 1), (1, 4, 1), (2, 3, 2), (2, 4, 2), (2, 5, 1), (2, 6, 1))]
    one.confirmed = {1: 3, 2: 3}
    two.deliveries = [Delivery(1, seq, *rows[seq], 1) for seq in (1, 3, 2, 4, 6, 5)]
    return history


class Checker(unittest.TestCase):
    def finds(self, history, words):
        violations = check(history)
        self.assertTrue(any(words in violation for violation in violations), violations)

    def test_good(self):
        self.assertEqual(check(good()), [])

    def test_acknowledged_message_lost(self):
        history = good()
        history.log.pop(4)
        self.finds(history, "a 3 was acknowledged at seq 5")

    def test_acknowledged_at_another_seq(self):
        history = good()
        history.publisher("a").answers.append((2, 5))
        self.finds(history, "a 2 was acknowledged at seq 5, which holds ('a', 3)")

    def test_covered_message_lost(self):
        history = good()
        history.publisher("b").covered = 4
        self.finds(history, "b 4 was covered by `stored` 4")

    def test_doubled(self):
        history = good()
        history.log.append((7, "b", 3))
        self.finds(history, "b 3 is stored 2 times")

    def test_out_of_order(self):
        history = good()
        history.log[3], history.log[5] = (4, "b", 3), (6, "b", 2)
        self.finds(history, "seq 6 holds b 2 after 3")

    def test_hole(self):
        history = good()
        history.log[5] = (7, "b", 3)
        self.finds(history, "not dense")

    def test_starts_late(self):
        history = good()
        del history.log[0]
        self.finds(history, "not dense")

    def test_invented(self):
        for row in ((7, "c", 1), (7, "a", 4), (7, "a", 0)):
            with self.subTest(row):
                history = good()
                history.log.append(row)
                self.finds(history, "which nobody sent")

    def test_never_delivered(self):
        for name in ("one", "two"):
            with self.subTest(name):
                history = good()
                history.consumer(name).deliveries.pop()
                self.finds(history, f"{name} never got seq")

    def test_delivered_with_other_content(self):
        history = good()
        history.consumer("two").deliveries[0] = Delivery(1, 1, "b", 1, 1)
        self.finds(history, "two was given")

    def test_falling_on_one_link(self):
        history = good()
        deliveries = history.consumer("one").deliveries
        deliveries[6], deliveries[7] = deliveries[7], deliveries[6]
        self.finds(history, "after 6 on one link")

    def test_twice_on_one_link(self):
        history = good()
        deliveries = history.consumer("one").deliveries
        deliveries.insert(2, deliveries[1])
        self.finds(history, "got seq 2 after 2 on one link")

    def test_gap(self):
        history = good()
        rows = {seq: (publisher, number) for seq, publisher, number in history.log}
        history.consumer("one").deliveries = [Delivery(life, seq, *rows[seq], 1) for life, seq in
                                              ((1, 1), (1, 3), (2, 2), (2, 4), (2, 5), (2, 6))]
        self.finds(history, "a gap")

    def test_again_after_its_ack(self):
        history = good()
        history.consumer("one").confirmed[3] = 4
        self.finds(history, "got seq 3 again in life 2")

    def test_no_order_is_asked_of_sharers(self):
        history = good()
        history.consumer("two").deliveries.reverse()
        self.assertEqual(check(history), [])


if __name__ == "__main__":
    unittest.main()
