# SPDX-License-Identifier: ISC
"""The points of a short run: which calls each role makes in it, and in which way each of them is to meet a fault."""
import collections
import hashlib
import re

import faults
from rig import Point

ROLES = ("supervisor", "front", "spool", "courier", "porter", "keeper", "resolver")
SHARING = ROLES[1:]
# Counted beside the calls of that name: those of which one can fail in a way in which the others cannot.
SPECIAL = {("fcntl", b"F_DUPFD"): faults.DUPLICATES, ("openat", b"O_CREAT"): faults.CREATES, ("openat2", b"O_CREAT"): faults.CREATES}


def count_calls(trace, ready_bytes):
    """call -> [until the server was ready, in all], the most that one thread has made; and the names of the first thread's calls."""
    text = trace.read_bytes()
    counts, names, first = [collections.Counter(), collections.Counter()], [], None
    at = 0
    for line in text.splitlines(keepends=True):
        at += len(line)
        found = re.match(rb"(?:(\d+) +)?([a-z_0-9]+)\(", line)
        if not found:
            continue
        thread, call = found.group(1), found.group(2).decode()
        first = first or thread
        if thread == first:
            names.append(call)
        for name in (call, *(name for (of, word), name in SPECIAL.items() if of == call and word in line)):
            counts[1][thread, name] += 1
            counts[0][thread, name] += at <= ready_bytes
    calls = {}
    for when in (0, 1):
        for (_, call), n in counts[when].items():
            calls.setdefault(call, [0, 0])[when] = max(calls.get(call, [0, 0])[when], n)
    return calls, names


def in_common(sequences):
    """call -> how many of them all these begin with: loader, libraries and main() do the same in every role."""
    counts = collections.Counter()
    for calls in zip(*sequences):
        if len(set(calls)) > 1:
            break
        counts[calls[0]] += 1
    return counts


def more_of(a, b):
    """Runs differ a little: the longer one counts."""
    return {call: [max(x, y) for x, y in zip(a.get(call, [0, 0]), b.get(call, [0, 0]))] for call in {**a, **b}}


def all_points(table, common, sanitized):
    """Every call of every role with every fault that it can return. A role that starts does the same as the first and as a successor:
    of its start, odd numbers are tried with the first, even ones with its successor; what comes after with the first. What all roles
    begin with is shared out among them. What lasts begins once the server is ready, for the successor of who dies in its start is
    free of it anyway."""
    points = []
    for role, calls in table.items():
        for call, (start, n) in sorted(calls.items()):
            for kind in faults.kinds_for(role, call, calls):
                if sanitized and kind == "ENOMEM" and call in faults.NOT_UNDER_SANITIZERS:
                    continue
                for number in numbers(kind, start if role != "supervisor" else 0, n):
                    if number > start and (role, call, kind) in faults.NEVER_LATER or number == 1 and (call, kind) in faults.NEVER_FIRST:
                        continue
                    if role in SHARING and number <= common.get(call, 0) and SHARING[number // 2 % len(SHARING)] != role:
                        continue
                    again = role != "supervisor" and number <= start and number % 2 == 0
                    points.append(Point(role, call, number, kind, "again" if again else "first"))
    return points


def numbers(kind, start, n):
    """Which of n calls are to meet it."""
    if kind not in faults.LASTING:
        return range(1, n + 1)
    return range(start + 1, n + 1, max(1, (n - start) // faults.LASTING_STEPS))


def in_order(points, seed):
    """The same seed gives the same order, whatever else is among them; every role and kind has its turn early."""
    groups = collections.defaultdict(list)
    for point in points:
        groups[point.role, point.kind].append((hashlib.sha256(f"{seed} {point}".encode()).digest(), point))
    ranked = []
    for group in groups.values():
        ranked += [(rank, digest, point) for rank, (digest, point) in enumerate(sorted(group, key=lambda pair: pair[0]))]
    return [point for _, _, point in sorted(ranked, key=lambda entry: entry[:2])]
