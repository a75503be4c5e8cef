# SPDX-License-Identifier: ISC
"""What the classic orders of write, fsync and rename lose: the measure for the rig, and for us."""
import random

from blocklog import Disks, Log, cuts_of
from rig import DISK_BYTES, Recorded, fresh, mounted, places, run

LETTERS, LETTER_BYTES = 80, 3000

# The order, its name in orders.c, and whether POSIX promises that it loses nothing.
ORDERS = (
    ("write, fsync the file, rename, fsync the folder", "write-fsync-rename-fsyncdir", True),
    ("write, fsync the file, link, fsync the folder, unlink (the porter's)", "write-fsync-link-fsyncdir", True),
    ("create under the final name, write, fsync the file", "create-write-fsync", False),
    ("write, fsync the file, rename", "write-fsync-rename", False),
    ("write, fsync the file, link, unlink", "write-fsync-link", False),
    ("write, rename, fsync the folder", "write-rename-fsyncdir", False),
    ("write, rename", "write-rename", False),
)


def is_whole(path):
    line = path.name + "\n"
    return path.read_bytes() == (line * (LETTER_BYTES // len(line) + 1))[:LETTER_BYTES].encode()


def lost_of(acknowledged, folder):
    return [name for name in acknowledged if not ((folder / name).exists() and is_whole(folder / name))]


def try_order(programs, file_system, order, cuts, seed, folder):
    """Records one run and cuts it: (cuts, those that lost a letter, the most that one lost)."""
    chance, place = random.Random(seed), places(fresh(folder), 1)[0]
    with Recorded(programs, file_system, folder, 1) as disk:
        for name in ("new", "tmp"):
            (place / name).mkdir()
        run("sync", "--file-system", place)
        run(programs / "powercut-orders", order, place, disk.fuse / "mark", LETTERS)
    log, lost = Log(disk.log), []
    chosen = cuts_of(log, cuts, chance)
    with Disks(log, 1, DISK_BYTES, folder) as disks:
        for cut in chosen:
            with mounted(file_system, disks.after(cut, chance), folder):
                lost.append(len(lost_of(log.told("250", cut.at), place / "new")))
    return len(lost), sum(map(bool, lost)), max(lost)
