# SPDX-License-Identifier: ISC
"""The reader of a recorded disk, and the judge of what a power cut has left: small examples, without a disk."""
import pathlib
import random
import tempfile
import unittest

from blocklog import FLUSH, HEAD, MARK, SECTOR, WRITE, ZEROS, Cut, Disks, Log, cuts_of
from judge import HELD, MAILBOX, NEXT_HOP, REFUSED, History, compose, judge, whole

SIZE = 16 * SECTOR


def write(offset, letter, sectors=1, disk=0):
    data = letter.encode() * (SECTOR * sectors)
    return HEAD.pack(WRITE, disk, offset * SECTOR, len(data)) + data


def zeros(offset, disk=0):
    return HEAD.pack(ZEROS, disk, offset * SECTOR, SECTOR)


def flush(disk=0):
    return HEAD.pack(FLUSH, disk, 0, 0)


def mark(text):
    return HEAD.pack(MARK, 0, 0, len(text)) + text.encode()


class BlockLog(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sealpost-powercut-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def log(self, *records):
        (self.folder / "log").write_bytes(b"".join(records))
        return Log(self.folder / "log")

    def disks_at(self, log, *cuts, number=1):
        """The first byte of each sector, for each cut and disk."""
        with Disks(log, number, SIZE, self.folder) as disks:
            seen = [[path.read_bytes()[::SECTOR] for path in disks.after(cut, random.Random(1))] for cut in cuts]
        return [disk[0] if number == 1 else disk for disk in seen]

    def test_what_was_not_flushed_is_gone(self):
        log = self.log(write(0, "a"), flush(), write(1, "b"), write(0, "c"), flush(), write(2, "d"))
        at = self.disks_at(log, *(Cut(n) for n in range(7)))
        self.assertEqual([disk[:3] for disk in at], [b"\0\0\0", b"\0\0\0", b"a\0\0", b"a\0\0", b"a\0\0", b"cb\0", b"cb\0"])

    def test_what_was_not_flushed_may_be_there(self):
        log = self.log(write(0, "a"), flush(), write(1, "b"), zeros(0))
        self.assertEqual(self.disks_at(log, Cut(3, 1.0), Cut(4, 1.0, torn=True)), [b"ab" + bytes(14), b"\0b" + bytes(14)])

    def test_a_write_is_torn_between_sectors(self):
        log = self.log(write(0, "a", sectors=16))
        whole_writes = {self.disks_at(log, Cut(1, 0.5))[0] for _ in range(3)}
        self.assertLessEqual(whole_writes, {bytes(16), b"a" * 16})
        torn = self.disks_at(log, Cut(1, 0.5, torn=True))[0]
        self.assertEqual(set(torn), set(b"a\0"))

    def test_a_flush_is_of_one_disk(self):
        log = self.log(write(0, "a"), write(0, "b", disk=1), flush(1))
        self.assertEqual([disk[:1] for disk in self.disks_at(log, Cut(3), number=2)[0]], [b"\0", b"b"])

    def test_half_of_the_cuts_come_right_after_a_250(self):
        log = self.log(mark("dot x"), *[write(0, "a"), flush(), mark("250 x")] * 20)
        cuts = cuts_of(log, 20, random.Random(1))
        self.assertEqual(len(cuts), 20)
        told = {index + 1 for index, text in log.marks if text == "250 x"}
        self.assertGreaterEqual(sum(cut.at in told and cut.share == 0 for cut in cuts), 10)
        self.assertEqual([cut.at for cut in cuts], sorted(cut.at for cut in cuts))
        self.assertEqual(log.told("250", 4), ["x"])
        self.assertEqual(log.told("250", 3), [])


class Judge(unittest.TestCase):
    LETTERS = {"one": [MAILBOX, NEXT_HOP], "two": [HELD], "three": [REFUSED], "late": [MAILBOX]}
    MARKS = ("dot one", "sunk one", "250 one", "dot two", "250 two", "dot three", "250 three", "dot late")

    def found(self, **more):
        places = {"mailbox": MAILBOX, "hop": NEXT_HOP, "held": HELD, "refused": REFUSED}
        found = {MAILBOX: ["one"], NEXT_HOP: [], HELD: ["two"], REFUSED: ["three"]}
        found.update((places[place], names) for place, names in more.items())
        return found

    def judge(self, found, *more):
        with tempfile.NamedTemporaryFile(prefix="sealpost-powercut-") as file:
            file.write(b"".join(map(mark, (*self.MARKS, *more))))
            file.flush()
            log = Log(file.name)
        return judge(self.LETTERS, History((log, len(log.records))), found)

    def test_all_is_well(self):
        self.assertEqual(self.judge(self.found()), [])
        self.assertEqual(self.judge(self.found(mailbox=["one", "late"])), [])  # the end was sent, the 250 not seen
        self.assertEqual(self.judge(self.found(hop=["one"])), [])  # one more copy for the crash
        self.assertEqual(self.judge(self.found(hop=["one", "one"]), "killed courier"), [])

    def test_each_trouble_is_seen(self):
        for place, names, words in (
                ("mailbox", [], "one is lost on its way to sam"), ("held", [], "two is lost"), ("refused", [], "three is lost"),
                ("mailbox", ["torn one"], "one is lost"), ("mailbox", ["one", "torn x"], "torn x, which has no end"),
                ("mailbox", ["one", "half"], "half, which has no end"), ("mailbox", ["one", "one"], "too often"),
                ("held", ["two", "two"], "too often"), ("hop", ["one", "one"], "too often"), ("refused", ["three", "three"], "too often")):
            with self.subTest(place=place, names=names):
                self.assertIn(words, "\n".join(self.judge(self.found(**{place: names}))))

    def test_only_a_whole_letter_is_known(self):
        content = compose("letter-1", random.Random(1))
        self.assertEqual(whole(content, None), "letter-1")
        self.assertEqual(whole(b"Received: x\n" + content.replace(b"\r\n", b"\n"), None), "letter-1")
        self.assertIsNone(whole(content[:-1], None))
        for at in range(content.index(b"BEGIN"), len(content) - 2, 97):
            if content[at] not in b"\r\n":
                self.assertIsNone(whole(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:], None), at)


if __name__ == "__main__":
    unittest.main(verbosity=2)
