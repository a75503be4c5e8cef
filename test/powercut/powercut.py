# SPDX-License-Identifier: ISC
"""Cuts the power of a recorded disk, again and again: see README.md."""
import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from blocklog import FLUSH, Disks, Log, cuts_of
from classic import ORDERS, try_order
from house import House
from judge import History, judge
from report import Row, put_into
from rig import DISK_BYTES, FILE_SYSTEMS, Recorded, fresh, mounted, places, run

# Name, disks, whether roles are killed on the way.
COURSES = (
    ("queue and mailboxes on one disk", 1, False),
    ("on two disks", 2, False),
    ("on two disks, roles killed meanwhile", 2, True),
)
# What a faulty server leaves out (unsynced.c), and on how many disks that shows.
PLANTS = (
    ("every flush left out", "all", 1),
    ("no flush of the content", "program", 1),
    ("no flush of the database", "libraries", 1),
    ("no flush of folders", "folders", 2),
)


class Course:
    """One run of a real server on one kind of file system, and its cuts."""

    def __init__(self, options, file_system, disks, with_kills=False, plant=None):
        self.number, self.again = (options.cuts // 4 + 4, 0) if plant else (options.cuts, options.again)
        self.o, self.file_system, self.disks, self.with_kills, self.plant = options, file_system, disks, with_kills, plant
        self.chance = random.Random(f"{options.seed} {file_system} {disks} {with_kills} {plant}")
        self.cuts = self.bad = self.flushes = self.acknowledged = 0
        self.troubles = []

    def run(self):
        with tempfile.TemporaryDirectory(prefix="house-", dir=self.o.folder) as home:
            os.chmod(home, 0o755)
            self.home = pathlib.Path(home)
            at = places(self.home, self.disks)
            self.house = House(self.home, self.o.program, at[0] / "spool", at[-1] / "mail")
            try:
                log = self.record(self.o.letters)
                self.cut(log, self.number, (), self.again)
            finally:
                self.house.close()
        return self

    def record(self, letters, images=()):
        program = self.o.program
        if self.plant:
            os.environ["UNSYNCED"] = self.plant
            program = self.o.programs / "sealpost-unsynced"
        with Recorded(self.o.programs, self.file_system, self.home, self.disks, images) as disk:
            if not images:
                self.house.furnish()
                run("sync")
            self.house.run(program, disk.mark, letters, len(self.house.letters), self.with_kills)
        log = Log(disk.log)
        self.flushes += log.count(FLUSH)
        self.acknowledged += len(log.told("250", len(log.records)))
        return log

    def cut(self, log, number, lives, again):
        """again: how many of the cut disks live on with more letters, to be cut a second time."""
        cuts = cuts_of(log, number, self.chance)
        live_on = set(self.chance.sample(range(len(cuts)), min(again, len(cuts))))
        with Disks(log, self.disks, DISK_BYTES, self.home) as disks:
            for i, cut in enumerate(cuts):
                images = disks.after(cut, self.chance)
                history = History(*lives, (log, cut.at))
                if i in live_on:
                    kept = [shutil.copy(image, image.with_suffix(".kept")) for image in images]
                self.judge(images, history, cut)
                if i in live_on:
                    second = self.home / "second"
                    self.second_life(kept, history, second)

    def judge(self, images, history, cut):
        self.cuts += 1
        try:
            with mounted(self.file_system, images, self.home):
                troubles = judge(self.house.letters, history, self.house.recover(self.o.program))
        except AssertionError as trouble:
            troubles = [str(trouble)[-2000:]]
        self.bad += bool(troubles)
        if troubles:
            self.troubles.append((cut, troubles))
        if troubles and not self.plant:
            print(f"  {self.file_system}: cut {cut}: {len(troubles)} troubles, such as", *troubles[:5], sep="\n    ", flush=True)

    def second_life(self, images, history, folder):
        """The same disk, powered on, more mail, and cut anew."""
        # The images of the first life are still in use: this one has files of its own.
        log = self.record(self.o.letters // 4 + 1, images)
        cuts = cuts_of(log, self.o.cuts // 4 + 1, self.chance)
        with Disks(log, self.disks, DISK_BYTES, fresh(folder)) as disks:
            for cut in cuts:
                self.judge(disks.after(cut, self.chance), History(*history.lives, (log, cut.at)), cut)


def classic_rows(o):
    for text, order, promised in ORDERS:
        for file_system in o.file_systems:
            cuts, losses, most = try_order(o.programs, file_system, order, o.cuts, o.seed, o.folder / "classic")
            yield Row("classic", text, file_system, cuts, losses, most=most, expect=0 if promised else None)


def course_rows(o):
    for text, disks, with_kills in COURSES:
        for file_system in o.file_systems:
            done = Course(o, file_system, disks, with_kills).run()
            yield Row("sealpost", text, file_system, done.cuts, done.bad, flushes=done.flushes, letters=done.acknowledged,
                      expect=0)


def plant_rows(o):
    for text, plant, disks in PLANTS:
        for file_system in o.file_systems:
            done = Course(o, file_system, disks, plant=plant).run()
            yield Row("planted", text, file_system, done.cuts, done.bad, expect="some")


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--programs", type=pathlib.Path, required=True, help="the folder in which powercut-disk is")
    p.add_argument("--program", type=pathlib.Path, required=True, help="the sealpost to try")
    p.add_argument("--file-systems", nargs="+", default=list(FILE_SYSTEMS), choices=list(FILE_SYSTEMS), help="which to try")
    p.add_argument("--parts", nargs="+", default=["classic", "sealpost", "planted"], help="which to run (default: all three)")
    p.add_argument("--cuts", type=int, default=60, help="of each recording")
    p.add_argument("--letters", type=int, default=20, help="for each of the four clients")
    p.add_argument("--again", type=int, default=3, help="cut disks that live on and are cut a second time")
    p.add_argument("--seed", type=int, default=1, help="the same cuts each time")
    p.add_argument("--page", type=pathlib.Path, help="the page into which the results of a whole run are written")
    return p.parse_args()


def main():
    o = options()
    assert os.geteuid() == 0, "powercut needs root, for loop devices and mounts"
    parts = {"classic": classic_rows, "sealpost": course_rows, "planted": plant_rows}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    rows, began = [], time.monotonic()
    with contextlib.ExitStack() as stack:
        where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        o.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="powercut-", dir=where)))
        o.folder.chmod(0o755)
        for part in o.parts:
            for row in parts[part](o):
                print(row, flush=True)
                rows.append(row)
    wrong = [row for row in rows if not row.is_right()]
    print(f"{sum(row.cuts for row in rows)} cuts in {time.monotonic() - began:.0f} s (seed {o.seed}); "
          f"{len(wrong)} rows are not as they should be")
    for row in wrong:
        print(f"WRONG: {row}")
    if o.page and not wrong and {(row.part, row.file_system) for row in rows} >= {(p, f) for p in parts for f in FILE_SYSTEMS}:
        put_into(o.page, rows, o)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
