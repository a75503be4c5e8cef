#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a long queue costs: the same measured on an empty queue and on ones in which a million recipients wait. bench/README.md says more."""
import argparse
import os
import pathlib
import platform
import pwd
import re
import shutil
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

BIG = "big.backlog.test"        # half of all recipients are there
CALLED = "called@backlog.test"  # the sender of those that come due

# Quantity -> what it is called, and how it is written.
ROWS = [
    ("queue", "recipients that wait", "{:,.0f}"),
    ("start.s", "start until the ports answer: s", "{:.2f}"),
    ("start.cpu", "  CPU s of all processes until then", "{:.2f}"),
    ("start.pss", "memory of the spool then (Pss): KB", "{:,.0f}"),
    ("accept.us", "accept, on hold: CPU µs a message, all processes", "{:.0f}"),
    ("accept.spool", "  of the spool", "{:.0f}"),
    ("relay.us", "accept and relay past what waits: CPU µs a message", "{:.0f}"),
    ("relay.spool", "  of the spool", "{:.0f}"),
    ("relay.p99", "  from the dot to the 250: p99, ms", "{:.1f}"),
    ("status", "status: ms", "{:.0f}"),
    ("first", "queue list, until the first line: ms", "{:.0f}"),
    ("whole", "queue list, whole: s", "{:.2f}"),
    ("whole.row", "  CPU µs of the spool, a recipient", "{:.1f}"),
    ("domain.first", "queue list --domain D, the first time since the start: ms", "{:.0f}"),
    ("domain", "  and from then on: ms", "{:.0f}"),
    ("show", "queue show ID: ms", "{:.0f}"),
    ("why", "why ID: ms", "{:.0f}"),
    ("retry", "queue retry --domain D: ms", "{:.0f}"),
    ("remove", "queue remove --domain D: ms", "{:.0f}"),
    ("due", "of what waits, so many are called due", "{:,.0f}"),
    ("due.us", "  relayed: CPU µs a recipient, all processes", "{:.0f}"),
    ("due.spool", "  of the spool", "{:.0f}"),
    ("big", "queue remove --domain D of so many", "{:,.0f}"),
    ("big.s", "  s", "{:.1f}"),
    ("big.us", "  CPU µs of the spool, a recipient", "{:.1f}"),
    ("big.p99", "  messages accepted meanwhile, from the dot to the 250: p99, ms", "{:.1f}"),
    ("end.pss", "memory of the spool at the end (Pss): KB", "{:,.0f}"),
]


class Waiting(Sealpost):
    """Begins with a queue that was made before."""
    queue = None

    def begin(self):
        if self.queue:
            spool = pwd.getpwnam("sealpost-spool")
            shutil.copytree(self.queue, self.folder / "queue")
            for path in (self.folder / "queue", *(self.folder / "queue").iterdir()):
                os.chown(path, spool.pw_uid, spool.pw_gid)
            subprocess.run(["sync", "-f", self.folder], check=True)
        self.started = time.monotonic()
        super().begin()

    def start(self):
        super().start()
        wait_until(lambda: re.search(r"\bsupervisor ready\b", self.out.read_text(errors="replace")), "the word ready in the log")
        self.took_s = time.monotonic() - self.started
        return self


def pss_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


class Backlog(bench.Bench):
    def spool(self, server):
        return next(pid for pid, name in roles(server).items() if name == "spool")

    def begin(self, kind, **more):
        server = self.server(kind, **more)
        self.keep(self.column, "start.s", server.took_s)
        self.keep(self.column, "start.cpu", server.group.cpu_s())
        self.keep(self.column, "start.pss", pss_kb(self.spool(server)))
        return server

    def words(self, server, *words):
        return [str(w) for w in (self.o.program, *words, "-c", server.folder / "sealpost.conf")]

    def ask(self, server, *words):
        """What it says, and how many seconds it took."""
        begin = time.monotonic()
        done = subprocess.run(self.words(server, *words), capture_output=True, text=True, check=False, preexec_fn=die_with_us)
        return done.stdout, time.monotonic() - begin

    def kept(self, server, quantity, *words):
        out, seconds = self.ask(server, *words)
        self.keep(self.column, quantity, seconds * 1000)
        return out

    def until_first_line(self, server):
        begin = time.monotonic()
        with subprocess.Popen(self.words(server, "queue", "list"), stdout=subprocess.PIPE, text=True, preexec_fn=die_with_us) as p:
            p.stdout.readline()
            self.keep(self.column, "first", (time.monotonic() - begin) * 1000)
            p.stdout.close()
            p.kill()

    def next_domain(self):
        """Another one each time; half of the recipients are spread over all of them."""
        self.asked += 1
        return f"d{(self.asked * 7919) % self.o.domains}.backlog.test"

    # ---- what is measured ----

    def looks(self, server, waiting):
        pid = self.spool(server)
        self.until_first_line(server)
        if waiting:
            self.kept(server, "domain.first", "queue", "list", "--domain", self.next_domain())
        for _ in range(3):
            self.kept(server, "status", "status")
            self.kept(server, "domain", "queue", "list", "--domain", self.next_domain())
            self.kept(server, "show", "queue", "show", self.some_id(server, waiting))
            self.kept(server, "why", "why", self.some_id(server, waiting))
        if waiting:
            before, begin = limits.cpu_s(pid), time.monotonic()
            with subprocess.Popen(self.words(server, "queue", "list", "--json"), stdout=subprocess.PIPE, preexec_fn=die_with_us) as p:
                rows = sum(1 for _ in p.stdout)
            assert rows >= waiting, rows
            self.keep(self.column, "whole", time.monotonic() - begin)
            self.keep(self.column, "whole.row", (limits.cpu_s(pid) - before) / rows * 1e6)

    def some_id(self, server, waiting):
        return f"b{500 % self.messages:014d}" if waiting else "b00000000000000"

    def accepting(self, server):
        pid = self.spool(server)
        self.load(server, "--messages", 100, "--count", 500)
        before, spool = server.group.cpu_s(), limits.cpu_s(pid)
        self.load(server, "--messages", 100, "--count", self.o.count)
        self.keep(self.column, "accept.us", (server.group.cpu_s() - before) / self.o.count * 1e6)
        self.keep(self.column, "accept.spool", (limits.cpu_s(pid) - spool) / self.o.count * 1e6)

    def relaying(self, server, port):
        pid = self.spool(server)
        self.relayed(server, port, 500)
        spool = limits.cpu_s(pid)
        _, cpu = self.relayed(server, port, self.o.count)
        self.keep(self.column, "relay.us", cpu / self.o.count * 1e6)
        self.keep(self.column, "relay.spool", (limits.cpu_s(pid) - spool) / self.o.count * 1e6)

    def purging(self, server):
        for _ in range(3):
            self.kept(server, "retry", "queue", "retry", "--domain", self.next_domain())
            self.kept(server, "remove", "queue", "remove", "--domain", self.next_domain())

    def purging_half(self, server):
        """While others are being accepted."""
        pid = self.spool(server)
        words = self.words(server, "queue", "remove", "--domain", BIG)
        quiet = self.load(server, "--messages", 100, "--duration", "3s")
        self.keep(self.column, "relay.p99", quiet["dot_ms"]["p99"])
        before, begin = limits.cpu_s(pid), time.monotonic()
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_us) as p:
            told = self.load(server, "--messages", 100, "--duration", "3s")
            said = p.stdout.read()
        gone = int(said.split()[0])
        self.keep(self.column, "big", gone)
        self.keep(self.column, "big.s", time.monotonic() - begin)
        self.keep(self.column, "big.us", (limits.cpu_s(pid) - before) / gone * 1e6)
        self.keep(self.column, "big.p99", told["dot_ms"]["p99"])
        out, _ = self.ask(server, "queue", "list", "--domain", BIG)
        assert "nothing in the queue matches" in out, out[:500]

    def calling(self, server, port, n):
        """Those of one sender are called due, all at once, and the sink takes them."""
        pid = self.spool(server)
        sink = self.sink(port, n)
        before, spool = server.group.cpu_s(), limits.cpu_s(pid)
        said, _ = self.ask(server, "queue", "retry", "--from", CALLED)
        wait_until(lambda: not sink.alive(), f"{n} messages at the sink, after: {said}", patience_s=300)
        self.keep(self.column, "due", n)
        self.keep(self.column, "due.us", (server.group.cpu_s() - before) / n * 1e6)
        self.keep(self.column, "due.spool", (limits.cpu_s(pid) - spool) / n * 1e6)

    # ---- queues ----

    def make(self, messages, rcpts, big, called):
        self.count += 1
        queue = self.folder / f"queue-{self.count}"
        begin = time.monotonic()
        subprocess.run([str(w) for w in (self.o.maker, queue, messages, rcpts, self.o.domains, big, called)], check=True,
                       stdout=sys.stderr, preexec_fn=die_with_us)
        self.say(f"{queue.name}: made in {time.monotonic() - begin:.0f} s")
        return queue

    def measure(self, column, messages, rcpts):
        self.column, self.messages, self.asked = column, messages, 0
        waiting = messages * rcpts
        Waiting.queue = self.make(messages, rcpts, 50, 0) if waiting else None
        self.keep(column, "queue", waiting)
        server = self.begin(Waiting)
        try:
            self.looks(server, waiting)
            self.accepting(server)
        finally:
            server.stop()
        port = free_port()
        server = self.begin(Waiting, hold=False, next_hop=port)
        try:
            self.relaying(server, port)
            self.purging(server)
            self.keep(column, "end.pss", pss_kb(self.spool(server)))
        finally:
            server.stop()
        if waiting:
            server = self.begin(Waiting)
            try:
                self.purging_half(server)
            finally:
                server.stop()
            shutil.rmtree(Waiting.queue)
        self.called(messages if rcpts == 1 else 0)

    def called(self, messages):
        """The same letters come due in every queue: of one recipient each, at 10 in each of so many domains."""
        n = min(10_000, max(self.o.recipients // 10, 10))
        Waiting.queue = self.make(max(messages, n), 1, 0, n)
        port = free_port()
        server = self.server(Waiting, hold=False, next_hop=port)
        try:
            self.calling(server, port, n)
        finally:
            server.stop()
        shutil.rmtree(Waiting.queue)

    def tell(self, columns):
        lines = [[title, *(self.spread(quantity, column, shape) for column in columns)] for quantity, title, shape in ROWS]
        head = ["", *columns]
        widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
        for line in (head, ["-" * w for w in widths], *lines):
            print("| " + " | ".join(text.ljust(w) for text, w in zip(line, widths)) + " |")


QUEUES = ("empty", "single", "lists")


def queues(text):
    """The names in it, each of which there is."""
    names = text.split(",")
    for name in names:
        if name not in QUEUES:
            raise argparse.ArgumentTypeError(f"there is no queue {name!r}: {', '.join(QUEUES)} are")
    return names


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--recipients", default=1_000_000, type=bench.number(), help="that wait")
    p.add_argument("--domains", default=100_000, type=bench.number(), help="of those recipients")
    p.add_argument("--count", default=5_000, type=bench.number(), help="messages that are accepted, or relayed")
    p.add_argument("--queues", default=",".join(QUEUES), type=queues,
                   help="of these; empty: nothing waits, single: messages of one recipient, lists: of a thousand (default: %(default)s)")
    p.add_argument("--program", default=str(TOP / "build/sealpost"), type=bench.program, help="the server (default: build/sealpost)")
    p.add_argument("--maker", default=TOP / "build-backlog/bench/backlog", type=pathlib.Path, help="what makes queues, as `make backlog` builds it")
    p.add_argument("--connections", default=20, type=bench.number(), help="of the clients that hand messages in, at a time")
    p.add_argument("--size", default=2_000, type=bench.number(), help="of each message that is handed in: bytes")
    p.add_argument("--folder", default="/var/tmp", help="where the queues are made, which take a few GB")
    o = p.parse_args()
    o.messages = 100
    if os.geteuid() != 0:
        raise SystemExit("backlog: it starts the server as root: make backlog as root, as in a container")
    Sealpost.program = o.program
    o.maker = o.maker.resolve()
    columns = {"empty": (0, 1), "single": (o.recipients, 1), "lists": (max(1, o.recipients // 1000), min(1000, o.recipients))}
    with workplace("backlog", o.folder) as folder:
        b = Backlog(o, folder)
        for name in o.queues:
            begin = time.monotonic()
            b.measure(name, *columns[name])
            b.say(f"{name}: {time.monotonic() - begin:.0f} s")
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release()}, {Waiting.version()}; "
          f"load average {os.getloadavg()[0]:.1f}")
    b.tell(o.queues)


if __name__ == "__main__":
    main()
