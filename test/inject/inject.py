# SPDX-License-Identifier: ISC
"""Kills and fails every process of the server at its n-th system call. See README.md beside this file."""
import argparse
import collections
import hashlib
import multiprocessing
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

import faults
from harness import Authority
from harness.case import LIBC, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, children
from harness.peers import Nsd
from rig import Point, Rig
from short_run import PLANTS, ShortRun, Sink

ROLES = ("supervisor", "front", "spool", "courier", "porter", "keeper", "resolver")
# To end by abort() is allowed; to touch what is not there is not.
MEMORY_ERROR = re.compile(r"AddressSanitizer: (?!ABRT|DEADLYSIGNAL)|runtime error:")
ZONE = "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"


class Lab:
    """A folder with one server's configuration, a name server and a next hop, for many runs one after the other."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.nsd = Nsd(self.folder, {"sink.test": ZONE}, signed=["sink.test"]).start()
        self.authority = Authority(self.folder)
        self.number = 0
        self.ours = {pid for pid, _ in children()}

    def run(self, point=None, measure=None, plant=None):
        """Each run has an empty queue and empty mailboxes."""
        self.number += 1
        sink = Sink()
        sink.start()
        try:
            rig = Rig(self.folder, name=f"run{self.number}", authority=self.authority, route="otherwise direct",
                      direct=f"port {sink.port}\n    family ipv4\n    allow-loopback yes", queue="retry 1s",
                      limits="connections-per-client 1000", extra=f"resolver {{\n    server {self.nsd.server}\n    trust-anchor {self.nsd.anchor}\n}}")
            return self.judged(rig, ShortRun(rig, sink, point, measure, plant))
        finally:
            sink.stop()

    def judged(self, rig, run):
        run.trouble, run.log_text, run.calls = None, "", collections.Counter()
        began = time.monotonic()
        try:
            run.run()
        except Exception as trouble:  # whatever it is, it is this point's
            run.trouble = f"{type(trouble).__name__}: {trouble}" if isinstance(trouble, AssertionError) \
                else traceback.format_exc()
        run.seconds = time.monotonic() - began
        run.fired = getattr(run, "fired_before", False) or rig.fired()
        run.log_text, run.died = rig.log(), rig.died()
        wrong = [line for line in run.log_text.splitlines() if MEMORY_ERROR.search(line)]
        if wrong and not run.trouble:
            run.trouble = wrong[0]
        run.notes += [line for line in run.log_text.splitlines() if "check failed" in line]
        if run.measure:
            run.calls = count_calls(rig.trace)
        for pid, name in children() if run.trouble else []:  # what a failed run has left over
            if pid not in self.ours:
                os.kill(pid, signal.SIGKILL)
        if not run.trouble or "INJECT_KEEP" not in os.environ:
            shutil.rmtree(rig.folder, ignore_errors=True)
        return run

    def close(self):
        self.nsd.stop()


def count_calls(trace):
    """call -> the most that one thread has made."""
    counts = collections.Counter()
    for line in trace.read_text(errors="replace").splitlines():
        found = re.match(r"(?:(\d+) +)?([a-z_0-9]+)\(", line)
        if found:
            counts[found.groups()] += 1
    calls = collections.Counter()
    for (_, call), n in counts.items():
        calls[call] = max(calls[call], n)
    return calls


def measure(lab, roles):
    """role -> call -> how often, in a run without faults."""
    table = {}
    for role in roles:
        run = lab.run(measure=role)
        if run.trouble:
            raise SystemExit(f"a run without faults failed ({role}):\n{run.trouble}\n{chr(10).join(interesting(run.log_text))}")
        table[role] = run.calls
    return table


def all_points(table, sanitized):
    points = []
    for role, calls in table.items():
        for call, n in sorted(calls.items()):
            for kind in faults.kinds_for(role, call):
                if sanitized and kind == "ENOMEM" and call in faults.NOT_UNDER_SANITIZERS:
                    continue
                for life in ("first", "again") if role != "supervisor" else ("first",):
                    points += [Point(role, call, number, kind, life) for number in faults.numbers(kind, n)]
    return points


def in_order(points, seed):
    """The same seed gives the same order, whatever else is among them; every role and kind has its turn early."""
    groups = collections.defaultdict(list)
    for point in points:
        groups[point.role, point.kind].append((hashlib.sha256(f"{seed} {point}".encode()).digest(), point))
    ranked = []
    for group in groups.values():
        ranked += [(rank, digest, point) for rank, (digest, point) in enumerate(sorted(group, key=lambda pair: pair[0]))]
    return [point for _, _, point in sorted(ranked, key=lambda entry: entry[:2])]


def see_plants(folder):
    """Exit status 0 if the oracle sees each fault that is made on purpose."""
    lab, blind = Lab(folder), []
    try:
        for plant in PLANTS:
            trouble = lab.run(plant=plant).trouble
            print(f"planted: {plant}; the oracle said: {trouble}")
            if not (trouble or "").startswith("Lost: "):
                blind.append(plant)
    finally:
        lab.close()
    return 1 if blind else 0


# ---- many at a time ----

def worker(folder, todo, results):
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lab = Lab(folder)
    try:
        while True:
            point, until = todo.get()
            if point is None or time.monotonic() > until:
                break
            run = lab.run(point)
            results.put((point, run.trouble, run.fired, run.refused_to_start, run.died, run.notes, run.seconds,
                         run.slow_s, run.log_text))
    finally:
        lab.close()
        results.put(None)


class Tally:
    def __init__(self):
        self.cells = collections.defaultdict(collections.Counter)
        self.failed = []

    def take(self, point, trouble, fired, refused, died, notes, seconds, slow_s, log):
        cell = self.cells[point.role, point.call, point.kind]
        cell["tried"] += 1
        cell["fired"] += fired
        cell["refused"] += bool(refused)
        cell["died"] += died > (point.life == "again")
        if trouble:
            cell["failed"] += 1
            self.failed.append(point)
            print(f"FAILED {point}: {trouble}\n" + "\n".join("    " + line for line in interesting(log)[-60:]), flush=True)

    def sum(self, what, **where):
        return sum(cell[what] for (role, call, kind), cell in self.cells.items()
                   if all({"role": role, "call": call, "kind": kind}[k] == v for k, v in where.items()))

    def summary(self, calls, possible):
        """For docs: a row a role, `reached of all` for each kind of fault."""
        head = ["role", "system calls", *faults.KINDS, "a process died", "the server ended", "failed"]
        rows = []
        for role in calls:
            of = collections.Counter(point.kind for point in possible if point.role == role)
            rows.append([role, sum(calls[role].values())] +
                        [f"{self.sum('fired', role=role, kind=kind)} of {of[kind]}" if of[kind] else "" for kind in faults.KINDS] +
                        [self.sum(what, role=role) for what in ("died", "refused", "failed")])
        return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows])

    def table(self, calls):
        """One row a role and call: calls in a short run, then fired for each kind of fault."""
        head = ["role", "call", "calls", *faults.KINDS]
        rows = []
        for role in ROLES:
            for call, n in sorted(calls.get(role, {}).items()):
                cells = [self.cells.get((role, call, kind)) for kind in faults.KINDS]
                if any(cells):
                    rows.append([role, call, n] + [cell["fired"] if cell else "" for cell in cells])
            if role in calls:
                rows.append([role, "all", sum(calls[role].values())] +
                            [self.sum("fired", role=role, kind=kind) or "" for kind in faults.KINDS])
        return render(head, rows)


def interesting(log):
    return [line for line in log.splitlines() if " spool control " not in line]


def render(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(str(cell).ljust(w) if i < 2 else str(cell).rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))) for row in [head, *rows])


def run_points(points, folder, workers, seconds, verbose, show):
    until = time.monotonic() + seconds
    todo, results = multiprocessing.Queue(), multiprocessing.Queue()
    for point in points:
        todo.put((point, until))
    for _ in range(workers):
        todo.put((None, 0))
    processes = [multiprocessing.Process(target=worker, args=(folder / f"worker{i}", todo, results)) for i in range(workers)]
    for process in processes:
        process.start()
    tally, running = Tally(), workers
    while running:
        try:
            result = results.get(timeout=5)
        except queue.Empty:
            if not any(process.is_alive() for process in processes):
                raise SystemExit("the workers have died") from None
            continue
        if result is None:
            running -= 1
            continue
        tally.take(*result)
        point, trouble, fired, refused, died, notes, took, slow, log = result
        if show and not trouble:
            print("\n".join("    " + line for line in interesting(log)))
        if verbose or took > 15:
            print(f"{point}: {'FAILED' if trouble else 'ok'} {took:.1f} s{'' if fired else ', not reached'}"
                  f"{', ended' if refused else ''}{f', {died} died' if died else ''}, slowest try {slow:.1f} s {notes or ''}", flush=True)
    todo.cancel_join_thread()
    for process in processes:
        process.join()
    return tally


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--point", action="append", default=[], help="ROLE.CALL.N.KIND.LIFE: just these, verbosely")
    options.add_argument("--role", action="append", choices=ROLES)
    options.add_argument("--call", action="append")
    options.add_argument("--kind", action="append", choices=faults.KINDS)
    options.add_argument("--life", choices=("first", "again"))
    options.add_argument("--seed", type=int, default=None, help="the order of the points; by default by chance, and told")
    options.add_argument("--points", type=int, help="at most so many")
    options.add_argument("--seconds", type=float, default=float("inf"), help="begin no other point after so long")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--plants", action="store_true", help="only see that the oracle is not blind")
    options.add_argument("--verbose", action="store_true")
    options.add_argument("--markdown", metavar="FILE", help="writes the sums for each role there")
    o = options.parse_args()
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sealpost-inject-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        status = inject(o, folder)
    finally:
        if "INJECT_KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


def inject(o, folder):
    if not os.access(os.environ["SEALPOST"], os.X_OK):
        print(f"{os.environ['SEALPOST']} is not there")
        return 77
    sanitized = b"__asan_init" in pathlib.Path(os.environ["SEALPOST"]).read_bytes()
    if o.plants:
        return see_plants(folder / "plants")
    if o.point:
        points, calls, possible = [Point.parse(p) for p in o.point], {}, []
    else:
        lab = Lab(folder / "measure")
        try:
            calls = measure(lab, o.role or ROLES)
        finally:
            lab.close()
        points = [p for p in all_points(calls, sanitized) if (not o.call or p.call in o.call) and
                  (not o.kind or p.kind in o.kind) and (not o.life or p.life == o.life)]
        seed = o.seed if o.seed is not None else random.randrange(1 << 31)
        points = in_order(points, seed)
        print(f"{len(points)} points in {sum(sum(c.values()) for c in calls.values())} system calls; seed {seed}", flush=True)
        possible, points = points, points[:o.points]
    tally = run_points(points, folder, min(o.workers, len(points)), o.seconds, o.verbose or bool(o.point), bool(o.point))
    print(tally.table(calls))
    print(f"{tally.sum('tried')} points tried, {tally.sum('fired')} reached; a process died at {tally.sum('died')}, the server "
          f"ended at {tally.sum('refused')} and was started again; {len(tally.failed)} failed")
    if o.markdown:
        pathlib.Path(o.markdown).write_text(tally.summary(calls, possible) + "\n")
    for point in tally.failed:
        print(f"again: make inject INJECT='--point {point}'")
    return 1 if tally.failed or not tally.sum("fired") else 0


if __name__ == "__main__":
    main()
