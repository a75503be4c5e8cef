# SPDX-License-Identifier: ISC
"""What disk.c has recorded, and the disks that a power cut could have left."""
import os
import pathlib
import struct

WRITE, FLUSH, MARK, ZEROS = 1, 2, 3, 4
HEAD = struct.Struct("<QQQQ")
SECTOR = 4096  # what a disk writes whole or not at all


class Log:
    """records: (kind, disk, offset, length, where its bytes begin). marks: (index among the records, text)."""

    def __init__(self, path):
        self.bytes = pathlib.Path(path).read_bytes()
        self.records, self.marks, at = [], [], 0
        while at < len(self.bytes):
            kind, disk, offset, length = HEAD.unpack_from(self.bytes, at)
            at += HEAD.size
            self.records.append((kind, disk, offset, length, at))
            if kind == MARK:
                self.marks.append((len(self.records) - 1, self.bytes[at:at + length].decode()))
            if kind in (WRITE, MARK):
                at += length

    def told(self, word, before):
        """What was marked with this word before the cut."""
        return [text.split(" ", 1)[1] for index, text in self.marks if index < before and text.split(" ", 1)[0] == word]

    def count(self, *kinds):
        return sum(record[0] in kinds for record in self.records)

    def write(self, to, record, first=0, length=None):
        kind, _, offset, n, at = record
        length = n - first if length is None else length
        os.pwrite(to, bytes(length) if kind == ZEROS else self.bytes[at + first:at + first + length], offset + first)


class Cut:
    """The power goes after `at` records: what was flushed is there; of what was not, each write with the chance `share`, or,
    if torn, each sector of it."""

    def __init__(self, at, share=0.0, torn=False):
        self.at, self.share, self.torn = at, share, torn

    def __str__(self):
        return f"after record {self.at}, with {self.share:.0%} of the unflushed {'sectors' if self.torn else 'writes'}"


def cuts_of(log, number, chance):
    """Half of them at the worst moment, right after a client was told 250 and with nothing that was not flushed; the others
    anywhere from the first mark on, with a part of that."""
    told = [index for index, text in log.marks if text.startswith("250 ")]
    cuts = [Cut(index + 1) for index in chance.sample(told, min(number // 2, len(told)))]
    while len(cuts) < number:
        at = chance.randrange(log.marks[0][0], len(log.records)) + 1
        cuts.append(Cut(at, chance.choice((0.0, 0.1, 0.5, 0.9, 1.0)), chance.random() < 0.5))
    return sorted(cuts, key=lambda cut: cut.at)


def copy_data(source, to):
    """From one descriptor to the other; holes stay what they were."""
    size, at = os.fstat(source).st_size, 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(source, at, os.SEEK_HOLE)
        while at < end:
            at += os.pwrite(to, os.pread(source, min(end - at, 1 << 20), at), at)


class Image:
    """One disk: what is flushed of it, in a file, and the indices of its writes."""

    def __init__(self, log, number, size, folder):
        self.path = folder / f"cut{number}.img"
        self.fd = os.open(folder / f"flushed{number}.img", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.ftruncate(self.fd, size)
        self.records = [i for i, record in enumerate(log.records) if record[0] != MARK and record[1] == number]
        self.flushed = 0  # so many of records are in the file

    def copy(self):
        """To path."""
        to = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.ftruncate(to, os.fstat(self.fd).st_size)
        copy_data(self.fd, to)
        return to


class Disks:
    """Gives the disks of each cut as files; the cuts must come in their order."""

    def __init__(self, log, number, size, folder):
        self.log, self.images = log, [Image(log, i, size, folder) for i in range(number)]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for image in self.images:
            os.close(image.fd)

    def after(self, cut, chance):
        return [self.one_after(image, cut, chance) for image in self.images]

    def one_after(self, image, cut, chance):
        unflushed, records = [], self.log.records
        for i in image.records[image.flushed:]:
            if i >= cut.at:
                break
            if records[i][0] == FLUSH:
                image.flushed += len(unflushed) + 1
                for record in unflushed:
                    self.log.write(image.fd, record)
                unflushed = []
            else:
                unflushed.append(records[i])
        to = image.copy()
        for record in unflushed:
            self.perhaps_write(to, record, cut, chance)
        os.close(to)
        return image.path

    def perhaps_write(self, to, record, cut, chance):
        if not cut.torn:
            if chance.random() < cut.share:
                self.log.write(to, record)
            return
        for first in range(0, record[3], SECTOR):
            if chance.random() < cut.share:
                self.log.write(to, record, first, min(SECTOR, record[3] - first))
