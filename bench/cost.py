#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Where a message's time goes: one row of the benchmark on Sealpost alone, with perf looking on, told by role, library, system
call and function. bench/README.md says more."""
import argparse
import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "test/scenario"))
import bench
import steps
from harness.case import die_with_us, need
from harness.ports import free_port
from servers import TOP, Sealpost, workplace

SAMPLES_A_SECOND = 2000
STACK_BYTES = 16384             # copied with each sample, for whole stacks: most libraries are built without frame pointers
FRAME = re.compile(r"^\s*[0-9a-f]+ (?P<name>.+?)(\+0x[0-9a-f]+)? \((?P<object>[^()]*(\([^()]*\))?[^()]*)\)$")


def roles(server):
    """pid -> the role's name."""
    found = {}
    for pid in server.group.pids():
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        found[pid] = words[2].decode() if len(words) > 2 and words[1] == b"role" else "supervisor"
    return found


class Perf:
    """Looks at these processes as long as the block runs. Whole stacks, beyond libraries too, cost the processes time of their own."""

    def __init__(self, pids, data, whole):
        self.pids, self.data, self.how = pids, data, f"dwarf,{STACK_BYTES}" if whole else "fp"

    def __enter__(self):
        words = [need("perf"), "record", "-F", SAMPLES_A_SECOND, "-e", "cpu-clock", "--call-graph", self.how, "-o", self.data,
                 "-p", ",".join(map(str, self.pids))]
        self.popen = subprocess.Popen([str(w) for w in words], stderr=subprocess.DEVNULL, preexec_fn=die_with_us)
        while not self.data.exists():  # it is attached before it writes the first byte
            assert self.popen.poll() is None, "perf record does not run here"
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.popen.send_signal(signal.SIGINT)
        self.popen.wait()

    def stacks(self):
        """(pid, frames from the innermost on, each a name and the file it is in) for each sample."""
        done = subprocess.run([need("perf"), "script", "-i", self.data, "-F", "pid,ip,sym,dso"], capture_output=True, check=True)
        for block in done.stdout.decode(errors="replace").split("\n\n"):
            lines = block.strip("\n").splitlines()
            frames = [FRAME.match(line) for line in lines[1:]]
            frames = [(m["name"], m["object"].rsplit("/", 1)[-1]) for m in frames if m]
            if frames:
                yield int(lines[0].split()[-1]), frames


def measured(o, folder):
    """Runs the row. Gives messages, CPU seconds by pid's role, and the samples as (role, frames)."""
    b = bench.Bench(o, folder)
    relay = o.row == "relay"
    port = free_port()
    server = b.server(Sealpost, hold=not relay, next_hop=port)
    per = 1 if o.row == "new" else o.messages
    try:
        def run(count):
            if relay:
                b.relayed(server, port, count)
            else:
                b.load(server, "--messages", per, "--count", count)
        run(max(200, o.count // 10))
        names = roles(server)
        with Perf(names, folder / "perf.data", o.steps) as perf:
            before = server.group.cpu_s()
            run(o.count)
            cpu_s = server.group.cpu_s() - before
    finally:
        server.stop()
    return cpu_s, [(names.get(pid, "another"), frames) for pid, frames in perf.stacks()]


def tell(title, counter, total, most, us):
    rows = [(name, n) for name, n in counter.most_common(most) if n / total >= 0.005]
    if rows:
        print(f"  {title}: " + ", ".join(f"{name} {n / total * us:.1f}" for name, n in rows))


def tell_steps(samples):
    """Shares, not time: to copy whole stacks costs so much that the times would be too long."""
    for role, n in collections.Counter(role for role, _ in samples).most_common():
        mine = collections.Counter(steps.step_of(role, {name.split(".")[0].split(" ")[0] for name, _ in frames})
                                   for r, frames in samples if r == role)
        print(f"\n{role}, {n} samples, of its time:")
        for step, k in mine.most_common():
            print(f"  {k / n * 100:5.1f} % {step}")


def tell_costs(o, cpu_s, samples):
    us = cpu_s / o.count * 1e6
    print(f"{o.row}: {o.count} messages of {o.size} octets, {o.connections} connections: {us:.0f} us of processor time each, "
          f"{len(samples)} samples\nAll figures are us a message.")
    by_role = collections.Counter(role for role, _ in samples)
    for role, n in by_role.most_common():
        mine = [frames for r, frames in samples if r == role]
        share = us * n / len(samples)
        print(f"\n{role}: {share:.1f}")
        if share < 1:
            continue
        where = collections.Counter("kernel" if "kernel" in f[0][1] else f[0][1].split(".so")[0] for f in mine)
        calls = collections.Counter(name.removeprefix("__x64_sys_") for f in mine for name in
                                    [next((name for name, _ in f if name.startswith("__x64_sys_")), None)] if name)
        inclusive = collections.Counter(name for f in mine for name in {name for name, place in f if place.startswith("sealpost")})
        tell("in", where, n, 8, share)
        tell("system calls", calls, n, 8, share)
        tell("functions, with what they call", inclusive, n, 40, share)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--row", default="relay", choices=("accept", "new", "relay"), help="of the benchmark's rows")
    p.add_argument("--count", default=20000, type=bench.number(), help="messages")
    p.add_argument("--program", default=str(TOP / "build-profile/sealpost"), type=bench.program, help="with frame pointers")
    p.add_argument("--connections", default=50, type=bench.number(), help="of the client, at a time")
    p.add_argument("--messages", default=100, type=bench.number(), help="on each connection")
    p.add_argument("--size", default=10000, type=bench.number(), help="of each message, in octets")
    p.add_argument("--folder", default="/var/tmp", help="on the disk where the queue is to lie")
    p.add_argument("--steps", action="store_true", help="each role's time by the steps of its work, in shares")
    p.add_argument("--folded", type=pathlib.Path, help="the stacks into this file, a line each, as flame graph tools read them")
    o = p.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("cost: it starts the server as root: make profile as root, as in a container")
    Sealpost.program = o.program
    with workplace("profile", o.folder) as folder:
        cpu_s, samples = measured(o, folder)
    if not samples:
        raise SystemExit("cost: perf has seen nothing")

    if o.steps:
        print(f"{o.row}: {o.count} messages of {o.size} octets, {o.connections} connections")
        tell_steps(samples)
    else:
        tell_costs(o, cpu_s, samples)
    if o.folded:
        folded = collections.Counter(";".join([role, *(name for name, _ in reversed(frames))]) for role, frames in samples)
        o.folded.write_text("".join(f"{stack} {n}\n" for stack, n in folded.items()))
        print(f"\nstacks: {o.folded}", file=sys.stderr)


if __name__ == "__main__":
    main()
