"""The checker of the migration's histories can fail: a good record passes, and each way of spoiling it is found."""

import unittest

from history import Ack, Delivery
from mirror_history import Copy, Inspection, MirrorHistory, Rewind, Sample, Frozen, check


def good():
    """An SSH and a native publisher; native 3 was lost with the directory, native 2 restored from the log after native 4."""
    h = MirrorHistory()
    ssh, nat = h.publisher("p/a"), h.publisher("nat", "nats")
    ssh.sent, nat.sent = 3, 4
    ssh.answers = [(1, 1), (2, 3), (3, 5)]
    nat.acks = [Ack(1, 2, 1.0, False), Ack(2, 4, 3.0, False), Ack(3, 6, 4.0, False), Ack(4, 5, 7.0, False)]
    h.log = [(1, "p/a", 1), (2, "nat", 1), (3, "p/a", 2), (4, "nat", 2), (5, "p/a", 3), (6, "nat", 4)]
    h.senders = {1: "p/a", 2: "nats", 3: "p/a", 4: "nats", 5: "p/a", 6: "nats"}
    h.jet = [Copy(1, "p/a", 1, True), Copy(2, "nat", 1, False), Copy(3, "p/a", 2, True), Copy(4, "nat", 4, False),
             Copy(5, "nat", 2, True), Copy(6, "p/a", 3, True)]
    h.rewinds = [Rewind(2.0, 5.0, 3, 4)]
    h.samples = [Sample(0, "MIRRORING", "sqlite", 1), Sample(1, "SWITCHING", "sqlite", 1), Sample(2, "NATS", "nats", 2),
                 Sample(3, "REVERSING", "nats", 2), Sample(4, "MIRRORING", "sqlite", 3)]
    held = frozenset([("p/a", 1), ("nat", 1), ("p/a", 2), ("nat", 2)])
    h.inspections = [Inspection("in the middle", None, 3, 4, False, held), Inspection("then", None, 4, 4, True, held)]
    h.frozen = [Frozen(20, 20)]
    rows = {seq: (publisher, number) for seq, publisher, number in h.log}
    h.consumer("one").deliveries = [Delivery(1, seq, *rows[seq], 1) for seq in rows]
    h.native_consumer("n").extend((copy.place, copy.publisher, copy.number) for copy in h.jet)
    return h


class Checker(unittest.TestCase):
    def finds(self, h, words):
        violations = check(h)
        self.assertTrue(any(words in violation for violation in violations), violations)

    def test_good(self):
        self.assertEqual(check(good()), [])

    def test_i1_gap_below_what_is_confirmed(self):
        h = good()
        h.inspections[0] = h.inspections[0]._replace(jet=frozenset([("p/a", 1), ("p/a", 2)]))
        self.finds(h, "I1 in the middle: confirmed up to 3, but 1 rows are not in the copy: [2]")

    def test_i2_twice_in_the_copy(self):
        h = good()
        h.jet.append(Copy(7, "p/a", 3, True))
        self.finds(h, "I2 p/a 3 is in the copy 2 times: [6, 7]")

    def test_i2_twice_in_the_log(self):
        h = good()
        h.log.append((7, "p/a", 3))
        self.finds(h, "p/a 3 is stored 2 times")

    def test_i2_a_second_try_after_a_rewind_is_the_clients_own(self):
        h = good()
        h.publishers["nat"].may_double.add(4)
        h.log.append((7, "nat", 4))
        h.senders[7] = "nats"
        h.jet.append(Copy(7, "nat", 4, False))
        h.consumer("one").deliveries.append(Delivery(1, 7, "nat", 4, 1))
        self.assertEqual(check(h), [])

    def test_i3_out_of_order(self):
        h = good()
        h.jet[0], h.jet[2] = Copy(1, "p/a", 2, True), Copy(3, "p/a", 1, True)
        self.finds(h, "I3 place 3 holds p/a 1 after 2")
        h.reordered = 1  # kedge told of it
        self.assertEqual(check(h), [])

    def test_i3_native_order_among_those_never_lost(self):
        h = good()
        h.jet[4] = h.jet[4]._replace(row=False)
        self.finds(h, "I3 place 5 holds nat 2 after 4")

    def test_i4_answered_and_not_in_the_copy(self):
        h = good()
        h.jet.pop()
        self.finds(h, "I4 p/a 3 was answered at seq 5 and is not in the copy")
        self.finds(h, "I10 seq 5, ('p/a', 3), is not in the copy")

    def test_i4_answered_and_not_in_the_log(self):
        h = good()
        h.log[4] = (5, "nat", 3)
        self.finds(h, "p/a 3 was acknowledged at seq 5, which holds ('nat', 3)")

    def test_i5_two_authorities(self):
        h = good()
        h.samples.append(Sample(5, "NATS", "nats", 3))
        self.finds(h, "I5 authority epoch 3 had sqlite and then nats")

    def test_i5_back_in_time(self):
        h = good()
        h.samples.append(Sample(5, "NATS", "nats", 2))
        self.finds(h, "I5 authority epoch 2 after 3")

    def test_i5_not_the_states_authority(self):
        h = good()
        h.samples.append(Sample(5, "COMPLETE", "sqlite", 3))
        self.finds(h, "I5 sqlite is the authority in state COMPLETE")

    def test_i6_echo(self):
        h = good()
        h.senders[3] = "nats"
        self.finds(h, "I6 seq 3, p/a 2, came from nats")

    def test_i7_unknown_state(self):
        h = good()
        h.samples.append(Sample(5, "LOST", "sqlite", 3))
        self.finds(h, "I7 there is no state LOST")

    def test_i7_between_two_states_for_nobody(self):
        h = good()
        h.samples.append(Sample(5, "SWITCHING", "sqlite", 3, True))
        self.finds(h, "I7 SWITCHING after a restart")

    def test_i7_an_operator_is_needed(self):
        h = good()
        h.samples.append(Sample(5, "MIRRORING", "sqlite", 3, False, "stream_gone"))
        self.finds(h, "I7 it could not go on by itself: stream_gone")

    def test_i8_late(self):
        h = good()
        h.frozen.append(Frozen(20, 19))
        self.finds(h, "I8 19 of 20 publishes")

    def test_i9_redelivered_after_its_ack(self):
        h = good()
        one = h.consumer("one")
        one.confirmed = {1: 2}
        one.deliveries.append(Delivery(2, 1, "p/a", 1, 2))
        self.finds(h, "one got seq 1 again in life 2 after its ack was confirmed")

    def test_i9_never_delivered(self):
        h = good()
        h.consumer("one").deliveries.pop(3)
        self.finds(h, "one never got seq 4")

    def test_i10_only_in_the_copy(self):
        h = good()
        h.log.pop()
        self.finds(h, "I10 ('nat', 4) is in the copy and not in the log")

    def test_i10_native_consumer(self):
        h = good()
        h.native_consumer("n").pop(1)
        self.finds(h, "I10 native consumer n never got ('nat', 1)")

    def test_i11_lag_that_is_not_zero(self):
        h = good()
        h.inspections[1] = h.inspections[1]._replace(last=5, floor=3)
        self.finds(h, "I11 then: nothing lagged, but 1 rows are not in the copy: [5]")

    def test_i12_read_by_kedge_and_lost_all_the_same(self):
        h = good()
        h.rewinds = [Rewind(2.0, 5.0, 3, 6)]
        self.finds(h, "I12 nat 3, acknowledged at place 6, is not in the log")

    def test_i12_older_than_the_copy_and_lost(self):
        h = good()
        h.rewinds = [Rewind(4.5, 5.0, 3, 4)]
        self.finds(h, "I12 nat 3, acknowledged at place 6, is not in the log")

    def test_i12_another_place(self):
        h = good()
        h.rewinds = []
        self.finds(h, "I12 nat 2 was acknowledged at place 4, which holds ('nat', 4)")


if __name__ == "__main__":
    unittest.main()
