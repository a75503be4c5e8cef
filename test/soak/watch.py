# SPDX-License-Identifier: ISC
"""What each role holds: memory, descriptors; and the queue's files. Looked at every few seconds."""
import collections
import dataclasses
import os
import pathlib
import statistics
import threading
import time

PAUSE_S = 5
# More than so much above what was before counts as growth. A heap keeps what its busiest moment took, and the courier alone may keep a
# hundred connections of 47 KB for later letters: 5 MB are such a moment more. In half an hour they are also some 200 octets a letter.
GROWTH_SHARE, GROWTH_KB = 0.10, 5120
# What is opened once and kept: the history's files, the resolver's sockets. A leak for each kill or reload is more.
GROWTH_FDS = 8
ENOUGH = 20  # samples, in each half of what is judged


@dataclasses.dataclass
class Sample:
    at: float
    own_kb: dict
    fds: dict
    queue_kb: int
    history_kb: int


def own_kb(pid):
    """A process's own memory: its share (Pss) of what belongs to no file. Pages of programs and libraries come and go with the rest of
    the machine, who shares them."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def sizes_kb(folder):
    """Of the queue's files, and of the history, which has a size of its own (`history-size`)."""
    total = collections.Counter()
    for path in pathlib.Path(folder).iterdir():
        try:
            total["history" if path.name.startswith("history-") else "queue"] += path.stat().st_blocks // 2
        except OSError:
            pass  # it has gone while we looked
    return total["queue"], total["history"]


def sample(server):
    own, fds = collections.Counter(), collections.Counter()
    for name, pid in {"supervisor": server.process.pid, **server.roles()}.items():
        try:
            memory, count = own_kb(pid), len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue  # it has just been killed
        own[name], fds[name] = memory, count
    return Sample(time.monotonic(), own, fds, *sizes_kb(server.spool))


class Watch(threading.Thread):
    def __init__(self, server, pause_s=PAUSE_S):
        super().__init__(daemon=True)
        self.server, self.pause_s, self.samples, self.done = server, pause_s, [], threading.Event()

    def run(self):
        while not self.done.wait(self.pause_s):
            try:
                self.samples.append(sample(self.server))
            except (OSError, AttributeError):
                pass

    def stop(self):
        self.done.set()
        self.join()


def steady(samples, since, until):
    """(rows of a table, troubles) of the memory between these times, in two halves. Without enough of it, nothing is judged."""
    inside = [s for s in samples if since <= s.at <= until]
    middle = (since + until) / 2
    halves = [s for s in inside if s.at < middle], [s for s in inside if s.at >= middle]
    is_judged = min(map(len, halves)) >= ENOUGH
    rows, troubles = [], []
    for what, of in [(role, lambda s, r=role: s.own_kb.get(r)) for role in sorted({r for s in samples for r in s.own_kb})] + \
                          [("queue", lambda s: s.queue_kb), ("history", lambda s: s.history_kb)]:
        values = [[v for v in map(of, half) if v is not None] for half in halves]
        most = max(v for v in map(of, samples) if v is not None)
        if not all(values):
            rows.append((what, None, None, most))
            continue
        first, second = map(statistics.median, values)
        rows.append((what, first, second, most))
        if is_judged and what not in ("queue", "history") and second > first * (1 + GROWTH_SHARE) + GROWTH_KB:
            troubles.append(f"{what} grows: {first:,.0f} KB, then {second:,.0f} KB")
    return rows, troubles, is_judged


def descriptors(before, after):
    """At rest, each role has about as many as it had at rest before."""
    return [f"{role} has {after.fds[role]} descriptors at rest, and had {before.fds[role]} before"
            for role in before.fds if after.fds[role] > before.fds[role] + GROWTH_FDS]
