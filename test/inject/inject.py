# SPDX-License-Identifier: ISC
"""Kills and fails every process of the server at its n-th system call. See README.md beside this file."""
import argparse
import contextlib
import multiprocessing
import os
import pathlib
import queue
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
import faults
import tally
from harness.case import LIBC, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG
from lab import Lab, measure, shorten
from points import ROLES, all_points, in_order
from rig import Point
from short_run import PLANTS

SLOW_S = 25  # such a run is told of


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

def session_of_its_own():
    """Linux gives each session its share of the machine; as nice as we are."""
    os.setsid()
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/autogroup").write_text(str(os.nice(0)))


def worker(folder, todo, results):
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    session_of_its_own()
    lab = Lab(folder)
    try:
        while True:
            point, until = todo.get()
            if point is None or time.monotonic() > until:
                break
            run = lab.run(point)
            results.put(({"point": str(point), "trouble": run.trouble, "fired": run.fired, "ended": run.refused_to_start, "died": run.died,
                          "how": [line.split(" ", 3)[-1] for line in run.log_text.splitlines() if " role-died " in line],
                          "notes": run.notes, "seconds": round(run.seconds, 2), "slowest": round(run.slow_s, 2)}, run.log_text))
    finally:
        lab.close()
        results.put(None)


def interesting(log):
    return [line for line in log.splitlines() if " spool control " not in line]


def tell(entry, log, verbose, show):
    if entry["trouble"]:
        print(f"FAILED {entry['point']}: {entry['trouble']}\n" + "\n".join("    " + line for line in interesting(log)[-60:]), flush=True)
    elif show:
        print("\n".join("    " + line for line in interesting(log)))
    if verbose or entry["seconds"] > SLOW_S:
        print(f"{entry['point']}: {'FAILED' if entry['trouble'] else 'ok'} {entry['seconds']:.1f} s"
              f"{'' if entry['fired'] else ', not reached'}{', ended' if entry['ended'] else ''}"
              f"{', died: %d' % entry['died'] if entry['died'] else ''}, slowest try {entry['slowest']:.1f} s {entry['notes'] or ''}", flush=True)


def run_points(points, folder, o, take):
    """Gives each result to take()."""
    until = time.monotonic() + o.seconds
    todo, results = multiprocessing.Queue(), multiprocessing.Queue()
    workers = min(o.workers, len(points))
    for point in points:
        todo.put((point, until))
    for _ in range(workers):
        todo.put((None, 0))
    processes = [multiprocessing.Process(target=worker, args=(folder / f"worker{i}", todo, results)) for i in range(workers)]
    for process in processes:
        process.start()
    running = workers
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
        entry, log = result
        tell(entry, log, o.verbose or o.point, o.point)
        take(entry)
    todo.cancel_join_thread()
    for process in processes:
        process.join()


# ---- the command ----

def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--point", action="append", default=[], help="ROLE.CALL.N.KIND.LIFE: just these, verbosely")
    p.add_argument("--role", action="append", choices=ROLES, help="only points of this role; several may be named")
    p.add_argument("--call", action="append", help="... and of this system call")
    p.add_argument("--kind", action="append", choices=faults.KINDS, help="... and of what happens there")
    p.add_argument("--life", choices=("first", "again"), help="... and of the process that was there first, or of one started again")
    p.add_argument("--seed", type=int, default=None, help="the order of the points; by default by chance, and told")
    p.add_argument("--points", type=int, help="at most so many")
    p.add_argument("--seconds", type=float, default=float("inf"), help="begin no other point after so long")
    p.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1), help="runs at a time; much of a run is waiting")
    p.add_argument("--plants", action="store_true", help="only see that the oracle is not blind")
    p.add_argument("--verbose", action="store_true", help="tell of each point, also of those that are passed")
    p.add_argument("--record", metavar="FOLDER", help="what this program has passed is noted there, and not tried again")
    p.add_argument("--after", metavar="PROGRAM", help="an earlier build, whose record counts: for a mend of what failed")
    p.add_argument("--anew", action="store_true", help="forget the record")
    p.add_argument("--page", metavar="FILE", help="the page that gets the sums for each role, once all points are tried")
    return p.parse_args()


def main():
    o = options()
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sealpost-inject-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        status = inject(o, folder)
    finally:
        if "INJECT_KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


def chosen(o, calls, points):
    """The points that were asked for, in their order."""
    points = [p for p in points if (not o.role or p.role in o.role) and (not o.call or p.call in o.call) and
              (not o.kind or p.kind in o.kind) and (not o.life or p.life == o.life)]
    seed = o.seed if o.seed is not None else random.randrange(1 << 31)
    print(f"{len(points)} points in {sum(tally.sums(c)[1] for c in calls.values())} system calls; seed {seed}", flush=True)
    return in_order(points, seed)


def measured(o, folder, record):
    if record and record.calls:
        return record.calls, record.common
    lab = Lab(folder / "measure")
    try:
        calls, common = measure(lab, ROLES, 2) if record else measure(lab, o.role or ROLES, 1)
    finally:
        lab.close()
    if record:
        record.keep_calls(calls, common)
    return calls, common


def inject(o, folder):
    program = os.environ["SEALPOST"]
    if not os.access(program, os.X_OK):
        print(f"{program} is not there")
        return 77
    shorten(folder)
    if o.plants:
        return see_plants(folder / "plants")
    sanitized = b"__asan_init" in pathlib.Path(program).read_bytes()
    record = tally.Record(o.record, program, o.anew) if o.record and not o.point else None
    if record and o.after:
        record.go_on_from(tally.Record(o.record, o.after))
    calls, common = ({}, {}) if o.point else measured(o, folder, record)
    everything = all_points(calls, common, sanitized)
    possible = [Point.parse(p) for p in o.point] or chosen(o, calls, everything)
    points = [p for p in possible if not (record and record.settled(p))][:o.points]
    counts = tally.Tally()
    for point in possible if record else []:
        if record.settled(point):
            counts.take(record.results[str(point)])
    progress = tally.Progress(counts.sum("tried"), len(possible))

    def take(entry):
        counts.take(entry)
        if record:
            record.take(entry)
        progress.one_more(len(counts.failed))
    if points:
        run_points(points, folder, o, take)
    if calls:
        print(counts.table(calls))
    print(f"{counts.sum('tried')} of {len(possible)} points tried, {counts.sum('fired')} reached; a process died at {counts.sum('died')}, the server "
          f"ended at {counts.sum('ended')} and was started again; {len(counts.failed)} failed")
    for point in counts.failed:
        print(f"again: make inject INJECT='--point {point}'")
    whole = record and len(possible) == len(everything) == counts.sum("tried")
    if o.page and whole and not counts.failed:
        tally.put_into(o.page, counts, calls, possible, sum(record.results[str(p)].get("earlier", False) for p in possible))
    return 1 if counts.failed or not counts.sum("fired") else 0


if __name__ == "__main__":
    main()
