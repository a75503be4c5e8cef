# SPDX-License-Identifier: ISC
"""The judges of `make soak`: small examples, without a server."""
import random
import tempfile
import types
import unittest

import hops
import watch
from ledger import Journal, Ledger, judge_bursts, read
from letters import compose, notice, whole

HOP, BOX = "a-1.0@good.test", "sam@example.test"
OFFERED = [(1.0, "offered", ["a-1", f"{HOP},{BOX}"]), (1.1, "accepted", ["a-1"])]
ARRIVED = [(2.0, "taken", ["a-1", HOP, "1.9"]), (2.0, "taken", ["a-1", BOX, "2.0"])]


class Bursts(unittest.TestCase):
    @staticmethod
    def came(*recipients):
        return [(1.0, "taken", ["burst", f"{recipient}@bulk.test", "0.9"]) for recipient in recipients]

    def test_right(self):
        self.assertEqual(judge_bursts(self.came("r1-1", "r2-1", "r2-1", "r1-2"), {1: (2, 0), 2: (0, 1)}), (3, []))

    def test_another_one_twice_covers_no_loss(self):
        _, troubles = judge_bursts(self.came("r1-1", "r1-1"), {1: (2, 0)})
        self.assertEqual(troubles, ["in burst 1 2 letters were accepted, of 0 nobody knows, and 1 different ones came"])
        _, troubles = judge_bursts(self.came("r1-1", "r2-1", "r1-2"), {1: (1, 0), 2: (2, 0)})
        self.assertEqual(len(troubles), 2)

    def test_what_nobody_sent(self):
        self.assertEqual(len(judge_bursts(self.came("r1-3"), {})[1]), 1)
        self.assertEqual(len(judge_bursts([(1.0, "torn", ["what-came-to-r1-1", "0.9"])], {})[1]), 1)


class Accounts(unittest.TestCase):
    def judge(self, rows, queued=()):
        return Ledger(sorted(rows, key=lambda row: row[0]), queued).judge()

    def right(self, rows, still=(), **counts):
        troubles, counted = self.judge(rows, still)
        self.assertEqual(troubles, [])
        for word, n in counts.items():
            self.assertEqual(counted[word], n, word)

    def wrong(self, rows, part):
        troubles, _ = self.judge(rows)
        self.assertEqual(len(troubles), 1, troubles)
        self.assertIn(part, troubles[0])

    def test_fates(self):
        self.right(OFFERED + ARRIVED, accepted=2, taken=2)
        self.right(OFFERED + ARRIVED[:1], [("a-1", BOX)], accepted=2, taken=1, queued=1)
        self.right(OFFERED + ARRIVED[1:] + [(3.0, "returned", ["a-1", HOP, "3.0"])], accepted=2, taken=1, returned=1)
        self.right(OFFERED + ARRIVED[1:] + [(3.0, "cut", ["a-1", HOP, "3.0"])], accepted=2, taken=1, cut=1)

    def test_lost(self):
        self.wrong(OFFERED + ARRIVED[:1], f"a-1 to {BOX} was accepted, and is nowhere")

    def test_a_letter_without_a_250_need_not_arrive(self):
        self.right(OFFERED[:1])
        self.right(OFFERED[:1] + ARRIVED)  # it was lost on its way to the client

    def test_twice(self):
        again = [(9.0, "taken", ["a-1", HOP, "8.9"])]
        self.wrong(OFFERED + ARRIVED + again, "came to a-1.0@good.test again")
        self.wrong(OFFERED + ARRIVED + again + [(2.5, "killed", ["porter"])], "again")
        self.wrong(OFFERED + ARRIVED + again + [(8.0, "killed", ["courier"])], "again")
        self.right(OFFERED + ARRIVED + again + [(2.5, "killed", ["courier"])])
        self.right(OFFERED + ARRIVED + [(9.0, "taken", ["a-1", BOX, "9.0"]), (2.5, "killed", ["porter"])])
        self.right(OFFERED + ARRIVED + [(1.5, "cut", ["a-1", HOP, "1.4"])])  # the hop has asked for it

    def test_taken_and_returned(self):
        returned = [(9.0, "returned", ["a-1", HOP, "9.0"])]
        self.wrong(OFFERED + ARRIVED + returned, "was taken, and returned as well")
        self.right(OFFERED + ARRIVED + returned + [(2.5, "killed", ["spool"])])
        self.wrong(OFFERED + ARRIVED[1:] + returned + [(9.5, "returned", ["a-1", HOP, "9.5"])], "told again")

    def test_unasked(self):
        self.wrong(ARRIVED[:1], "which nobody had asked for or ended")
        self.wrong(OFFERED + ARRIVED + [(2.0, "taken", ["a-1", "user3@example.test", "2.0"])], "which nobody had asked for")
        refused = OFFERED[:1] + [(1.1, "refused", ["a-1", "451"])]
        self.right(refused)
        self.wrong(refused + ARRIVED[:1], "was refused with 451, and came")
        self.right(refused + ARRIVED[:1] + [(1.0, "killed", ["spool"])])

    def test_torn(self):
        self.wrong(OFFERED + ARRIVED + [(2.0, "torn", ["that", "2.0"])], "that is not whole")

    def test_journals(self):
        with tempfile.TemporaryDirectory(prefix="sealpost-soak-", dir="/tmp") as folder:
            Journal(folder, "one").note("offered", "a-1", BOX, at=1)
            Journal(folder, "two").note("killed", "spool", at=0.5)
            self.assertEqual(read(folder), [(0.5, "killed", ["spool"]), (1.0, "offered", ["a-1", BOX])])


class Letters(unittest.TestCase):
    def test_whole_or_not(self):
        for size in (1000, 20000, 1000000):
            content = compose("a-1", size, "jada@example.test", BOX)
            self.assertLess(abs(len(content) - size), 400)
            self.assertEqual(whole(b"Received: from x\r\n" + content), "a-1")
            self.assertEqual(whole(content.replace(b"\r\n", b"\n")), "a-1")
            self.assertIsNone(whole(content[:-10]))
            self.assertIsNone(whole(content + b"x\r\n"))
            self.assertNotIn(b"\n.", content)

    def test_notices(self):
        text = ("Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry.\n\n--b\n"
                "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx1\n\nFinal-Recipient: rfc822; one@x.test\nAction: failed\n\n"
                "Final-Recipient: rfc822; two@x.test\nAction: delayed\n\n--b\nContent-Type: message/rfc822-headers\n\n"
                "Subject: a-1\nX-Soak: a-1 0123\n\n--b--\n")
        self.assertEqual(notice(text.encode()), ("a-1", ["one@x.test"]))
        self.assertIsNone(notice(compose("a-1", 1000, "jada@example.test", BOX)))


class Content(unittest.TestCase):
    """What the played next hops read, however it is cut into pieces."""

    def read(self, wire, at):
        class Peer:
            pieces = [wire[:at], wire[at:]]

            def recv(self, _):
                while self.pieces and not self.pieces[0]:
                    self.pieces.pop(0)
                return self.pieces.pop(0) if self.pieces else b""
        hop = types.SimpleNamespace(is_in_mood=lambda word: False, chance=random.Random(1))
        dialogue = hops.Dialogue(hop, Peer())
        return dialogue.content(), dialogue.pending + b"".join(dialogue.peer.pieces)

    def test_its_end(self):
        for content in (b"", b"a: b\r\n\r\nx\r\n", b"x\r\n..\r\n.x\r\n\r\n"):
            wire = content + b".\r\nQUIT\r\n"
            for at in range(len(wire)):
                self.assertEqual(self.read(wire, at), (content, b"QUIT\r\n"), (content, at))


class Memory(unittest.TestCase):
    def samples(self, values):
        return [watch.Sample(float(at), {"front": kb}, {"front": 9}, 100, 0) for at, kb in enumerate(values)]

    def steady(self, values):
        return watch.steady(self.samples(values), 0, len(values))

    def test_growth(self):
        n = 2 * watch.ENOUGH
        for values, grows in (([10000] * n, False), ([10000 + 20 * (i % 7) for i in range(n)], False),
                              ([10000 + 500 * i for i in range(n)], True), ([20000 - 100 * i for i in range(n)], False),
                              ([50000] + [10000] * (n - 1), False), ([10000] * watch.ENOUGH + [11000 + watch.GROWTH_KB] * watch.ENOUGH, False),
                              ([10000] * watch.ENOUGH + [11001 + watch.GROWTH_KB] * watch.ENOUGH, True)):
            rows, troubles, is_judged = self.steady(values)
            self.assertTrue(is_judged)
            self.assertEqual(bool(troubles), grows, troubles)
            self.assertEqual(rows[0][3], max(values))

    def test_too_few(self):
        self.assertEqual(self.steady([1000, 100000] * (watch.ENOUGH - 1))[1:], ([], False))

    def test_descriptors(self):
        before, few, many = (watch.Sample(0, {}, {"spool": n}, 0, 0) for n in (20, 20 + watch.GROWTH_FDS, 21 + watch.GROWTH_FDS))
        self.assertEqual(watch.descriptors(before, few), [])
        self.assertEqual(len(watch.descriptors(before, many)), 1)


if __name__ == "__main__":
    unittest.main()
