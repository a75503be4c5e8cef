#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs the same load in turn against Sealpost and others, and prints one table. bench/README.md says more."""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "test/scenario"))
import limits
from durable import syncs_per_message
from harness.case import Process, die_with_us, wait_until
from harness.certificates import Authority
from harness.ports import free_port
from servers import SERVERS, TOP, Sealpost, workplace

# Row -> what it is called, and whether more is better. A row of several is measured together.
ROWS = {
    "accept": [("accept.rate", "accept over TLS, {m} messages a connection: messages/s", "x{:,.0f}"),
               ("accept.cpu", "  server CPU seconds for 1,000 of those", "{:.3f}"),
               ("accept.p50", "  from the dot to the 250: p50, ms", "{:.1f}"),
               ("accept.p99", "  from the dot to the 250: p99, ms", "{:.1f}")],
    "new": [("new.rate", "accept, a new full TLS handshake for each: messages/s", "x{:,.0f}"),
            ("new.cpu", "  server CPU seconds for 1,000 of those", "{:.3f}")],
    "relay": [("relay.rate", "accept and relay over STARTTLS to a sink, end to end: messages/s", "x{:,.0f}"),
              ("relay.cpu", "  server CPU seconds for 1,000 of those", "{:.3f}")],
    "idle": [("idle.pss", "memory of an idle TLS connection (Pss), KB", "{:,.1f}"),
             ("idle.burst", "  after each has sent three messages, and others messages of 1 MB", "{:,.1f}")],
}


GATHER_S = 240                  # for all connections to stand: servers commonly wait for five minutes for a client that says nothing


class Bench:
    def __init__(self, options, folder):
        self.o, self.folder = options, folder
        self.values = {}             # (quantity, server) -> a value for each round
        self.tls = Authority(folder).issue("mx1.example.test", "localhost", "127.0.0.1")
        self.count = 0
        self.unsafe = []             # sentences

    @property
    def clients(self):
        """Processes of the client, where a rate is measured."""
        return min(2, self.o.connections)

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def keep(self, server, quantity, value):
        self.values.setdefault((quantity, server), []).append(value)

    # ---- client and sink ----

    def load_words(self, server, *options):
        return [str(word) for word in (
            self.o.program, "load", "--json", "--quiet", "--from", "load@example.test", "--to", "sink%1000m@elsewhere.test", "--size", self.o.size,
            "--connections", self.o.connections, *options, f"127.0.0.1:{server.port_tls}")]

    def load(self, server, *options):
        done = subprocess.run(self.load_words(server, *options), capture_output=True, text=True, check=False, preexec_fn=die_with_us)
        told = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        if done.returncode != 0:
            raise SystemExit(f"bench: the load was not all taken: {told or done.stderr}")
        return told

    def sink(self, port, count, *options):
        self.count += 1
        words = [self.o.program, "sink", "--json", "--tls", "starttls", "--count", count, *options, f"127.0.0.1:{port}"]
        sink = Process(f"sink-{self.count}", words, self.folder)
        sink.wait_for_log('"ready"')
        return sink

    # ---- rows ----

    def server(self, kind, hold=True, next_hop=0, **more):
        self.count += 1
        return kind(self.folder / f"{self.count}-{kind.name.lower()}", self.tls, hold, next_hop, **more).start()

    def accepting(self, kind, row, *options):
        server = self.server(kind, processes=2 * self.o.connections)
        try:
            self.load(server, *options, "--duration", "1s")  # processes started, segments made, caches filled
            before = server.group.cpu_s()
            told = self.load(server, *options, "--duration", f"{self.o.seconds}s", "--processes", self.clients)
            cpu = server.group.cpu_s() - before
        finally:
            server.stop()
        self.keep(kind.name, f"{row}.rate", told["rate"])
        self.keep(kind.name, f"{row}.cpu", cpu / told["accepted_in_all"] * 1000)
        self.keep(kind.name, f"{row}.p50", told["dot_ms"]["p50"])
        self.keep(kind.name, f"{row}.p99", told["dot_ms"]["p99"])
        self.keep(kind.name, f"{row}.client", told["cpu_seconds"] / told["accepted_in_all"] * 1000)

    def row_accept(self, kind):
        self.accepting(kind, "accept", "--messages", self.o.messages)

    def row_new(self, kind):
        self.accepting(kind, "new", "--messages", 1)

    def relayed(self, server, port, count):
        """Seconds from the first connection of the client until the sink has taken the last one, and the server's CPU seconds."""
        sink = self.sink(port, count)
        before, begin = server.group.cpu_s(), time.monotonic()
        self.load(server, "--messages", self.o.messages, "--count", count, "--processes", self.clients)
        wait_until(lambda: not sink.alive(), f"{count} messages at the sink behind {server.name}", patience_s=300)
        told = json.loads(sink.log().splitlines()[-1])
        assert told["messages"] == count, told
        return time.monotonic() - begin, server.group.cpu_s() - before

    def row_relay(self, kind):
        port = free_port()
        server = self.server(kind, hold=False, next_hop=port, processes=2 * self.o.connections)
        try:
            warm_up = 4 * self.o.connections
            seconds, _ = self.relayed(server, port, warm_up)
            count = max(warm_up, int(warm_up / seconds * self.o.seconds))
            seconds, cpu = self.relayed(server, port, count)
        finally:
            server.stop()
        self.keep(kind.name, "relay.rate", count / seconds)
        self.keep(kind.name, "relay.cpu", cpu / count * 1000)

    def row_idle(self, kind):
        count = min(self.o.idle, kind.idle)
        server = self.server(kind, processes=count + 10)
        try:
            self.load(server, "--count", 200)
            before = self.settled_kb(server)
            with self.holding(server, count) as holder:
                self.held(holder, count)
                self.keep(kind.name, "idle.pss", (self.settled_kb(server) - before) / count)
            with self.holding(server, count - 10, "--messages", 3) as holder:
                self.held(holder, count - 10)
                self.load(server, "--connections", 10, "--count", 40, "--size", 1000000)
                self.keep(kind.name, "idle.burst", (self.settled_kb(server) - before) / count)
        finally:
            server.stop()

    @contextlib.contextmanager
    def holding(self, server, count, *options):
        """A client of so many connections, which all stand before any sends, and all stay."""
        words = self.load_words(server, "--hold", "--gather", f"{GATHER_S}s", "--connections", count, *options)
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_us) as holder:
            try:
                yield holder
            finally:
                holder.terminate()

    @staticmethod
    def told(client, kind):
        """What a client that is running tells next of this kind; {} if it ends before."""
        for line in client.stdout:
            told = json.loads(line)
            if told["kind"] == kind:
                return told
        return {}

    def held(self, holder, count):
        held = self.told(holder, "held").get("connections", 0)
        if held < count:
            raise SystemExit(f"bench: only {held:,} of {count:,} connections stood after {GATHER_S} s and stayed: see the limits of the server "
                             "and of this machine")

    def settled_kb(self, server, patience_s=20):
        """The least of some seconds: connections are idle once the server has noticed."""
        until, least_since, least = time.monotonic() + patience_s, time.monotonic(), server.group.pss_kb()
        while time.monotonic() < min(until, least_since + 8):
            time.sleep(0.5)
            now = server.group.pss_kb()
            if now < 0.99 * least:
                least_since = time.monotonic()
            least = min(now, least)
        return least

    # ---- the sink itself: a server without storage ----

    def sink_limits(self):
        for row, options in (("accept", ("--messages", self.o.messages)), ("new", ("--messages", 1))):
            if row not in self.o.rows:
                continue
            self.count += 1
            sink = Process(f"sink-{self.count}", [self.o.program, "sink", "--json", "--tls", "implicit", "0"], self.folder)
            sink.wait_for_log('"ready"')
            sink.port_tls = json.loads(sink.log().splitlines()[0])["port"]
            before = limits.cpu_s(sink.pid)
            told = self.load(sink, *options, "--duration", f"{self.o.seconds}s", "--processes", self.clients)
            cpu = limits.cpu_s(sink.pid) - before
            sink.stop()
            self.keep("sink", f"{row}.rate", told["rate"])
            self.keep("sink", f"{row}.cpu", cpu / told["accepted_in_all"] * 1000)
            self.keep("sink", f"{row}.p50", told["dot_ms"]["p50"])
            self.keep("sink", f"{row}.p99", told["dot_ms"]["p99"])

    def machine_limits(self):
        self.keep("", "limit.signs", limits.signs(self.o.seconds))
        rate, cpu = limits.handshakes(self.o.seconds, self.tls)
        self.keep("", "limit.handshakes", rate)
        self.keep("", "limit.handshake-cpu", cpu)
        self.keep("", "limit.syncs", limits.syncs(min(2, self.o.seconds), self.folder))

    # ---- all of it ----

    def durability(self, kinds):
        """Before anything is measured: does each of them make every message durable before its 250?"""
        for kind in kinds:
            server = self.server(kind, processes=20)
            try:
                count, letters = syncs_per_message(server, lambda n, s=server: self.load(s, "--connections", 1, "--count", n), self.folder)
            finally:
                server.stop()
            self.keep(kind.name, "syncs", count / letters)
            if count >= letters:
                continue
            self.unsafe.append(f"{kind.name} says 250 to {letters} messages, one after the other, with only {count} calls of fsync: what it has "
                               "taken is not safe, and its figures are not those of a durable server")
            if kind is Sealpost:
                raise SystemExit(f"bench: {self.unsafe[-1]}")

    def run(self, kinds):
        if self.o.strace:
            self.durability(kinds)
        for number in range(self.o.rounds):
            if self.o.limits:
                self.machine_limits()
                self.sink_limits()
            turn = kinds[number % len(kinds):] + kinds[:number % len(kinds)]  # nobody is always first
            for row in self.o.rows:
                for kind in turn:
                    begin = time.monotonic()
                    getattr(self, f"row_{row}")(kind)
                    self.say(f"round {number + 1} of {self.o.rounds}: {row}, {kind.name}: {time.monotonic() - begin:.0f} s")

    def spread(self, quantity, server, shape):
        values = self.values.get((quantity, server))
        if not values:
            return "-"
        shape = shape.removeprefix("x")
        middle = shape.format(statistics.median(values))
        return middle if len(values) == 1 else f"{middle} ({shape.format(min(values))} - {shape.format(max(values))})"

    def ratio(self, quantity, shape):
        """Of medians; the better Sealpost is, the greater, whichever way the quantity runs."""
        ours, theirs = (self.values.get((quantity, name)) for name in ("Sealpost", "Postfix"))
        if not ours or not theirs:
            return "-"
        r = statistics.median(ours) / max(1e-9, statistics.median(theirs))
        return f"{r if shape.startswith('x') else 1 / max(1e-9, r):.1f} x"

    def table(self, kinds):
        names = [kind.name for kind in kinds]
        head = ["", *names, "sink without storage", "Sealpost against Postfix"]
        lines = [[title.format(m=self.o.messages), *(self.spread(q, name, shape) for name in (*names, "sink")), self.ratio(q, shape)]
                 for row in self.o.rows for q, title, shape in ROWS[row]]
        if self.o.strace:
            lines.append(["calls of fsync for each message, one at a time", *(self.spread("syncs", name, "{:.1f}") for name in names), "-", "-"])
        widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
        for line in (head, ["-" * w for w in widths], *lines):
            print("| " + " | ".join(text.ljust(w) for text, w in zip(line, widths)) + " |")
        for sentence in self.unsafe:
            print(f"NOT DURABLE: {sentence}")
        if self.o.limits:
            for q, title, shape in (("limit.signs", "ECDSA P-256 signatures/s, one core", "{:,.0f}"),
                                    ("limit.handshakes", "full handshakes/s of openssl s_server", "{:,.0f}"),
                                    ("limit.handshake-cpu", "its CPU seconds for 1,000 of those", "{:.3f}"),
                                    ("limit.syncs", "write of 4 KB and fdatasync/s, one after the other", "{:,.0f}")):
                print(f"limit: {title}: {self.spread(q, '', shape)}")


def number(least=1):
    """Of an option."""
    def read(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'"{text}" is not a number from {least} on')
        return int(text)
    return read


def program(text):
    path = pathlib.Path(text).resolve()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f'there is no program "{text}"')
    return path


def options_of(words):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--program", default=str(TOP / "build/sealpost"), type=program, help="the Sealpost that is measured")
    p.add_argument("--peers", default="postfix", help="whom to measure beside it: " + ",".join(n for n in SERVERS if n != "sealpost") + ", or none")
    p.add_argument("--rows", default=",".join(ROWS), help="rows of the table: " + ",".join(ROWS))
    p.add_argument("--rounds", default=5, type=number(), help="through all rows and servers")
    p.add_argument("--seconds", default=5, type=number(), help="how long each is measured")
    p.add_argument("--connections", default=50, type=number(), help="of the client, at a time")
    p.add_argument("--messages", default=100, type=number(), help="on each connection")
    p.add_argument("--size", default=10000, type=number(), help="of each message, in octets")
    p.add_argument("--idle", default=1000, type=number(11), help="connections of the memory row, at most")
    p.add_argument("--folder", default="/var/tmp", help="on the disk where queues are to lie")
    p.add_argument("--json", type=pathlib.Path, help="every value, into this file")
    p.add_argument("--no-limits", dest="limits", action="store_false", help="do not measure the machine, nor the sink as a server")
    p.add_argument("--no-strace", dest="strace", action="store_false", help="do not count calls of fsync first")
    p.add_argument("--short", action="store_true", help="one round of a second each: a ratio in some seconds, not to be quoted")
    o = p.parse_args(words)
    if o.short:
        o.rounds, o.seconds, o.limits, o.strace, o.rows = 1, 1, False, False, "accept,new,relay"
    o.rows = o.rows.split(",")
    for row in o.rows:
        if row not in ROWS:
            p.error(f"there is no row {row}")
    return o


def main():
    o = options_of(sys.argv[1:])
    peers = [] if o.peers == "none" else o.peers.split(",")
    unknown = [name for name in peers if name not in SERVERS]
    if unknown:
        raise SystemExit(f"bench: {unknown[0]} is unknown; there are: {', '.join(SERVERS)}")
    if os.geteuid() != 0:
        raise SystemExit("bench: it starts servers as root, as they are run: make bench as root, as in a container")
    Sealpost.program = o.program
    stages = [stage for name in peers for stage in SERVERS[name].stages]
    if stages:
        subprocess.run([TOP / "dev/setup", *stages], check=True)
    for name in peers:
        SERVERS[name].prepare()
    kinds = [Sealpost, *(SERVERS[name] for name in peers)]
    with workplace("bench", o.folder) as folder:
        bench = Bench(o, folder)
        bench.run(kinds)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}; "
              f"{', '.join(kind.version() for kind in kinds)}; {o.connections} connections, {o.size} octets, "
              f"{o.rounds} rounds of {o.seconds} s: median (least - most)")
        bench.table(kinds)
        if o.json:
            o.json.write_text(json.dumps([{"quantity": q, "server": s, "values": v} for (q, s), v in bench.values.items()], indent=1) + "\n")


if __name__ == "__main__":
    main()
