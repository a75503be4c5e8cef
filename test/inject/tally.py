# SPDX-License-Identifier: ISC
"""What the runs came to: a record that a later run goes on with, and tables."""
import collections
import hashlib
import json
import pathlib
import re
import time

import faults
from points import ROLES
from rig import Point

BEGIN, END = "<!-- written by `make inject`: -->\n", "<!-- end -->"


def sha256_of(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Record:
    """A file for this very program: the calls of its short run, and a line for each point that was tried. Who is broken off goes on."""

    def __init__(self, folder, program, anew=False):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{sha256_of(program)[:16]}.jsonl"
        if anew:
            self.path.unlink(missing_ok=True)
        self.calls, self.common, self.results = None, {}, {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # half a line, where it was broken off
            if "calls" in entry:
                self.calls, self.common = entry["calls"], entry["common"]
            else:
                self.results[entry["point"]] = entry
        self.file = open(self.path, "a", encoding="utf-8", buffering=1)

    def go_on_from(self, other):
        """What a build before this one has passed: for a mend that touches nothing but what failed."""
        if self.calls is None:
            self.keep_calls(other.calls, other.common)
        for point, entry in other.results.items():
            if not entry["trouble"] and point not in self.results:
                self.take({**entry, "earlier": True})

    def keep_calls(self, calls, common):
        self.calls, self.common = calls, common
        self.write({"calls": calls, "common": common})

    def write(self, entry):
        self.file.write("\n" * (self.file.tell() == 0) + json.dumps(entry) + "\n")

    def take(self, entry):
        self.results[entry["point"]] = entry
        self.write(entry)

    def settled(self, point):
        """Tried, and well: what failed is tried again."""
        entry = self.results.get(str(point))
        return entry is not None and not entry["trouble"]


class Tally:
    """Counts for each role, call and kind."""

    def __init__(self):
        self.cells = collections.defaultdict(collections.Counter)
        self.failed = []

    def take(self, entry):
        point = Point.parse(entry["point"])
        cell = self.cells[point.role, point.call, point.kind]
        cell["tried"] += 1
        cell["fired"] += entry["fired"]
        cell["ended"] += bool(entry["ended"])
        cell["died"] += entry["died"] > (point.life == "again")
        if entry["trouble"]:
            cell["failed"] += 1
            self.failed.append(point)

    def sum(self, what, **where):
        return sum(cell[what] for (role, call, kind), cell in self.cells.items()
                   if all({"role": role, "call": call, "kind": kind}[k] == v for k, v in where.items()))

    def table(self, calls):
        """One row a role and call: its calls until the server is ready and in all, then how many met each kind of fault."""
        head = ["role", "call", "start", "all", *faults.KINDS]
        rows = []
        for role in ROLES:
            for call, (start, n) in sorted(plain(calls.get(role, {})).items()):
                cells = [self.cells.get((role, call, kind)) for kind in faults.KINDS]
                if any(cells):
                    rows.append([role, call, start, n] + [cell["fired"] if cell else "" for cell in cells])
            if role in calls:
                rows.append([role, "all", *sums(calls[role])] + [self.sum("fired", role=role, kind=kind) or "" for kind in faults.KINDS])
        return render(head, rows)

    def summary(self, calls, possible):
        """For the page: a row a role, `met of all` for each kind of fault."""
        head = ["", "calls", *faults.KINDS, "role died", "server ended", "failed"]
        rows = []
        for role in [r for r in ROLES if r in calls]:
            of = collections.Counter(point.kind for point in possible if point.role == role)
            rows.append([role, sums(calls[role])[1]] +
                        [f"{self.sum('fired', role=role, kind=kind)} of {of[kind]}" if of[kind] else "" for kind in faults.KINDS] +
                        [self.sum(what, role=role) for what in ("died", "ended", "failed")])
        of = collections.Counter(point.kind for point in possible)
        rows.append(["all", sum(row[1] for row in rows)] +
                    [f"{self.sum('fired', kind=kind)} of {of[kind]}" if of[kind] else "" for kind in faults.KINDS] +
                    [self.sum(what) for what in ("died", "ended", "failed")])
        return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows])


def plain(calls):
    return {call: n for call, n in calls.items() if "+" not in call}


def sums(calls):
    return [sum(n[i] for n in plain(calls).values()) for i in (0, 1)]


def render(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(str(cell).ljust(w) if i < 2 else str(cell).rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in [head, *rows])


def put_into(page, tally, calls, possible, earlier):
    page = pathlib.Path(page)
    before = f" ({earlier} of them passed by a build before the last mend)" if earlier else ""
    text = (f"{tally.sum('tried')} points{before} in {sum(sums(c)[1] for c in calls.values())} system calls, each in a run of its own. A cell tells "
            "at how many of them the fault was met: no two runs make quite the same calls, and the last of a name may not be made.\n\n" +
            tally.summary(calls, possible))
    page.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: f"{BEGIN}\n{text}\n\n{END}", page.read_text(), flags=re.S))


class Progress:
    """A line now and then."""

    def __init__(self, done, all_of_them, every_s=30):
        self.before, self.done, self.all, self.every_s = done, done, all_of_them, every_s
        self.began = self.told = time.monotonic()

    def one_more(self, failed):
        self.done += 1
        now = time.monotonic()
        if now - self.told < self.every_s:
            return
        self.told = now
        rate = (self.done - self.before) / (now - self.began)
        print(f"{time.strftime('%H:%M:%S')} {self.done} of {self.all} points, {failed} failed; {rate:.1f} a second, "
              f"{(self.all - self.done) / rate / 60:.0f} minutes left", flush=True)
