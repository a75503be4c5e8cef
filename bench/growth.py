#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""How Sealpost's cost grows: with fronts, sizes, recipients and connections. bench/README.md says more."""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "test/scenario"))
import bench
import limits
from cost import roles
from harness.case import die_with_us, wait_until
from harness.ports import free_port
from servers import TOP, Sealpost, workplace

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RECIPIENTS = (1, 10, 100, 1_000)
CONNECTIONS = (10, 100, 1_000, 10_000)
SMALL = 2_000                   # octets of a message where its size is not the question
ROLES = ("front", "spool", "courier")
LEAST_EACH = 4                  # messages on each connection, however many those are
# A further unit that costs so much more than those before it is pointed at.
GROWS = 1.5

# Axis -> what is counted, in the singular, and the points. A point's unit is what "each further" is about.
AXES = {
    "fronts": ("front", (1, 2), "accept messages of 10,000 octets, by fronts"),
    "sizes": ("KB", SIZES, "accept, by size"),
    "relay-sizes": ("KB", SIZES, "accept and relay, by size"),
    "recipients": ("recipient", RECIPIENTS, "accept, by recipients of a message"),
    "relay-recipients": ("recipient", RECIPIENTS, "accept and relay, by recipients of a message"),
    "connections": ("connection", CONNECTIONS, "accept, by connections that all send"),
    "idle": ("connection", CONNECTIONS, "accept on 50 connections, by connections that are silent beside them"),
}


class Cpu:
    """CPU seconds of the server and of each role, and the time, since this was made."""

    def __init__(self, server):
        self.server, self.names = server, roles(server)
        self.before, self.begin = self.now(), time.monotonic()

    def now(self):
        used = collections.Counter({"all": self.server.group.cpu_s()})
        for pid, name in self.names.items():
            used[name] += limits.cpu_s(pid)
        return used

    def since(self):
        now = self.now()
        return {name: now[name] - self.before[name] for name in now}, time.monotonic() - self.begin


class Growth(bench.Bench):
    def __init__(self, o, folder):
        super().__init__(o, folder)
        self.short = {}                               # (axis, point) -> connections that stood, where those are fewer
        self.points = collections.defaultdict(list)   # (axis, point) -> [(messages/s, {role: CPU us a message})]

    def load_words(self, server, *options):
        return [str(word) for word in (
            self.o.program, "load", "--json", "--quiet", "--from", "load@example.test", "--to", "r%r.%1000m@elsewhere.test", "--size", SMALL,
            "--connections", 50, "--messages", 100, *options, f"127.0.0.1:{server.port_tls}")]

    @contextlib.contextmanager
    def running(self, hold=True, next_hop=0, fronts=None):
        Sealpost.fronts = fronts
        server = self.server(Sealpost, hold=hold, next_hop=next_hop)
        try:
            yield server
        finally:
            server.stop()
            Sealpost.fronts = None

    def keep_point(self, axis, point, count, cpu, seconds):
        us = {name: used / count * 1e6 for name, used in cpu.items()}
        self.points[axis, point].append((count / seconds, us))
        self.say(f"{axis}, {point:,}: {count:,} messages, {count / seconds:,.0f} a second, {us['all']:,.0f} us of CPU each: "
                 + ", ".join(f"{role} {us.get(role, 0):,.0f}" for role in ROLES))

    def counted(self, axis, point, count, *options, fronts=None):
        """So many messages, accepted and held."""
        with self.running(fronts=fronts) as server:
            self.load(server, *options, "--count", max(10, count // 10))
            cpu = Cpu(server)
            told = self.load(server, *options, "--count", count)
            used, _ = cpu.since()
        self.keep_point(axis, point, count, used, told["seconds"])

    def through(self, axis, point, count, *options):
        """So many messages, accepted and relayed."""
        port = free_port()
        with self.running(hold=False, next_hop=port) as server:
            for n in (max(10, count // 10), count):
                sink = self.sink(port, n)
                cpu = Cpu(server)
                self.load(server, *options, "--count", n)
                wait_until(lambda s=sink: not s.alive(), f"{n} messages at the sink", patience_s=300)
                used, seconds = cpu.since()
        self.keep_point(axis, point, count, used, seconds)

    # ---- axes ----

    def axis_fronts(self, fronts):
        self.counted("fronts", fronts, self.o.messages, "--size", 10_000, fronts=fronts)

    def by_size(self, size):
        """Few of the large ones, many of the small."""
        return max(20, min(self.o.messages, self.o.octets // size)), ("--size", size, "--connections", 10 if size >= 1_000_000 else 50)

    def axis_sizes(self, size):
        count, options = self.by_size(size)
        self.counted("sizes", size, count, *options)

    def axis_relay_sizes(self, size):
        count, options = self.by_size(size)
        self.through("relay-sizes", size, count, *options)

    def by_recipients(self, n):
        return max(20, min(self.o.messages, self.o.recipients // n)), ("--recipients", n)

    def axis_recipients(self, n):
        count, options = self.by_recipients(n)
        self.counted("recipients", n, count, *options)

    def axis_relay_recipients(self, n):
        count, options = self.by_recipients(n)
        self.through("relay-recipients", n, count, *options)

    def axis_connections(self, n):
        """All stand before any sends, and stay when they have sent: from the first MAIL to the last 250, no handshake and no QUIT is in it."""
        each = max(LEAST_EACH, self.o.messages // n)
        with self.running() as server:
            self.load(server, "--count", self.o.messages // 10)
            with self.holding(server, n, "--messages", each, "--opening", 50) as client:
                stood = self.stood(client, "connections", n)
                cpu = Cpu(server)
                held = self.told(client, "held").get("connections", 0)
                used, seconds = cpu.since()
                client.terminate()
                total = self.told(client, "total")
        if held < stood or total["failed"]:
            raise SystemExit(f"growth: {held:,} of {stood:,} connections have sent all: {total}")
        self.keep_point("connections", n, total["accepted"], used, seconds)

    def axis_idle(self, n):
        with self.running() as server:
            with self.holding(server, n, "--messages", 0, "--opening", 50) as holder:
                stood = self.stood(holder, "idle", n)
                self.held(holder, stood)
                self.load(server, "--count", self.o.messages // 10)
                cpu = Cpu(server)
                told = self.load(server, "--count", self.o.messages)
                used, _ = cpu.since()
        self.keep_point("idle", n, self.o.messages, used, told["seconds"])

    def stood(self, client, axis, n):
        """How many, once all do or it has taken too long."""
        told = self.told(client, "gathered")
        stood = told.get("stood", 0)
        if stood == 0:
            raise SystemExit(f"growth: none of {n:,} connections stood within {bench.GATHER_S} s: {told}")
        if stood < n:
            self.short[axis, n] = stood
            self.say(f"{axis}, {n:,}: ONLY {stood:,} connections stood after {told['seconds']:.0f} s: {told['lost'] or 'too slow'}")
        return stood

    def run_axes(self):
        for number in range(self.o.rounds):
            for axis in self.o.axes:
                for point in AXES[axis][1]:
                    if axis in ("connections", "idle") and point > self.o.most:
                        continue
                    begin = time.monotonic()
                    getattr(self, "axis_" + axis.replace("-", "_"))(point)
                    self.say(f"round {number + 1} of {self.o.rounds}: {axis}, {point:,}: {time.monotonic() - begin:.0f} s")

    # ---- the table ----

    def median(self, axis, point, name):
        return statistics.median(cpu.get(name, 0) for _, cpu in self.points[axis, point])

    def rows(self, axis):
        """(cells, is it pointed at). What each further unit costs: this point less the one before it."""
        unit, points, _ = AXES[axis]
        last = None
        for point in points:
            if (axis, point) not in self.points:
                continue
            count = point / 1000 if unit == "KB" else point
            cost = self.median(axis, point, "all")
            further = (cost - last[1]) / (count - last[0]) if last else None
            grows = last is not None and last[2] is not None and further > GROWS * max(last[2], 0.02 * last[1] / last[0])
            rate = statistics.median(rate for rate, _ in self.points[axis, point])
            yield [f"{count:,.0f}", f"{rate:,.0f}", f"{cost:,.0f}", *(f"{self.median(axis, point, role):,.0f}" for role in ROLES),
                   f"{cost / count:,.2f}", "-" if further is None else f"{further:,.3f}"], grows
            last = count, cost, further

    def tables(self):
        for axis in self.o.axes:
            unit, _, title = AXES[axis]
            head = [f"{unit}s", "messages/s", "CPU us a message", *(f"of it {role}" for role in ROLES), f"us a {unit}", f"each further {unit}"]
            rows = list(self.rows(axis))
            lines = [head, *(cells for cells, _ in rows)]
            widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
            print(f"\n{title}\n")
            for cells, mark in [(head, False), (["-" * w for w in widths], False), *rows]:
                line = " | ".join(text.rjust(w) for text, w in zip(cells, widths))
                print(f"| {line} |" + (f"  <- over {GROWS} times that above" if mark else ""))
            for (of, point), stood in self.short.items():
                if of == axis:
                    print(f"Of {point:,} connections only {stood:,} stood.")


def options_of(words):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--program", default=str(TOP / "build/sealpost"), type=bench.program, help="the Sealpost that is measured")
    p.add_argument("--axes", default=",".join(AXES), help="tables: " + ",".join(AXES))
    p.add_argument("--rounds", default=3, type=bench.number(), help="through all points of all tables")
    p.add_argument("--messages", default=20_000, type=bench.number(), help="of a point, if they are small")
    p.add_argument("--octets", default=1_000_000_000, type=bench.number(), help="of a point, at most, where messages are large")
    p.add_argument("--recipients", default=200_000, type=bench.number(), help="of a point, at most, where a message has many")
    p.add_argument("--most", default=10_000, type=bench.number(), help="connections, at most")
    p.add_argument("--folder", default="/var/tmp", help="on the disk where queues are to lie")
    p.add_argument("--short", action="store_true", help="one round of little: for the shape, not to be quoted")
    o = p.parse_args(words)
    if o.short:
        o.rounds, o.messages, o.octets, o.recipients = 1, 4_000, 200_000_000, 40_000
    o.axes = o.axes.split(",")
    for axis in o.axes:
        if axis not in AXES:
            p.error(f"there is no table {axis}")
    return o


def main():
    o = options_of(sys.argv[1:])
    if os.geteuid() != 0:
        raise SystemExit("growth: it starts the server as root: make growth as root, as in a container")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = hard - 1000
    if most < o.most:
        print(f"growth: this machine lets a process have {hard} descriptors: {most} connections at most", file=sys.stderr)
        o.most = most
    Sealpost.program = o.program
    with workplace("growth", o.folder) as folder:
        growth = Growth(o, folder)
        growth.run_axes()
        print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}; {Sealpost.version()}; {o.rounds} rounds: medians. "
              f"CPU is that of all processes of the server. Messages are of {SMALL:,} octets where nothing else is said.")
        growth.tables()


if __name__ == "__main__":
    main()
