# SPDX-License-Identifier: ISC
"""Very many clients that are connected over TLS and say nothing: what one of them costs, before and after a burst of letters,
and what another client notices.

IDLE_CONNECTIONS says how many; `make idle` asks for ten thousand.
"""
import concurrent.futures
import os
import pathlib
import resource
import ssl
import time

import harness
from flood_test import JADA, Honest
from harness import Sealpost, letter, wait_until
from harness.raw import Raw

CONNECTIONS = int(os.environ.get("IDLE_CONNECTIONS", "500"))
OLD_TLS_KB_MAX = 16       # of the fronts, for each connection, also after a burst: with OpenSSL before 3.2 ...
NEW_TLS_KB_MAX = 24       # ... and with later ones, whose two record layers are 9 KB ...
MEMORY_KB_MAX = NEW_TLS_KB_MAX if ssl.OPENSSL_VERSION_INFO >= (3, 2) else OLD_TLS_KB_MAX  # Python has the library that the server has
FRONT_KB_SPARE = 1000     # ... and of each front for all: tables, and pages of the heap that are not quite free ...
OTHERS_KB_MAX = 2000      # ... while the other roles hold no more than this, however many connections there are: nothing for one
LETTERS = ((10_000, 1), (1_000_000, 50))  # octets, and each how many-th connection sends one
CPU_PERCENT_MAX = 20      # of a front, while nobody says anything
WATCHED_S = 3
SETTLES_S = 7             # a front's TRIM_MS, and a little more


def memory_kb(server):
    """Of the fronts, and of all others together. What is their own: how much of the libraries is counted as whose depends on who else runs."""
    fronts = others = 0
    for name, pid in (("supervisor", server.process.pid), *server.roles().items()):
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
        fronts += own if name.startswith("front") else 0
        others += 0 if name.startswith("front") else own
    return fronts, others


def settled_kb(server):
    """The least of some seconds: what nobody uses goes back a while later."""
    until, seen = time.monotonic() + SETTLES_S, [memory_kb(server)]
    while time.monotonic() < until:
        time.sleep(0.5)
        seen.append(memory_kb(server))
    return tuple(map(min, zip(*seen)))


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Memory:
    """What the server holds more than when this was made, in all, beside what it may."""

    def __init__(self, server):
        self.server = server
        self.spare_kb = FRONT_KB_SPARE * sum(name.startswith("front") for name in server.roles())
        self.fronts_kb, self.others_kb = settled_kb(server)

    def more(self):
        fronts, others = memory_kb(self.server)
        return fronts - self.fronts_kb, others - self.others_kb

    def is_cheap(self):
        fronts, others = self.more()
        return fronts <= MEMORY_KB_MAX * CONNECTIONS + self.spare_kb and others <= OTHERS_KB_MAX

    def told(self):
        fronts, others = self.more()
        return f"{fronts / CONNECTIONS:.1f} KB of the fronts each, {others} KB more of all other roles"

    def check(self, when):
        try:
            wait_until(self.is_cheap, "memory")
        except AssertionError as late:
            raise AssertionError(f"{when}: {self.told()}, where {MEMORY_KB_MAX} and {OTHERS_KB_MAX} are the most") from late


def connect(server, i):
    return Raw(server.port_submissions, server.authority, "implicit", source=f"127.0.{i % 200}.1")


def burst(numbered):
    i, connection = numbered
    connection.login(*JADA)
    for octets, every in LETTERS:
        if i % every == 0:
            connection.mail("jada@example.test", "sam@elsewhere.test")
            code, text = connection.data(letter().as_bytes() + (b"x" * 70 + b"\r\n") * (octets // 72))
            assert code == 250, (code, text)


def all_burst(connections):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(burst, enumerate(connections)))


def percent_of_cpu(pid):
    cpu, since = cpu_s(pid), time.monotonic()
    time.sleep(WATCHED_S)  # what is measured is what happens when nothing does
    return 100 * (cpu_s(pid) - cpu) / (time.monotonic() - since)


class Idle(harness.Scenario):
    def serve(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.assertGreater(hard, CONNECTIONS + 1000, "ulimit -Hn allows too few descriptors for so many connections")
        program = os.environ["MEASURED"]
        self.assertTrue(os.access(program, os.X_OK), f"{program} is missing: `make test` and `make idle` build it")
        return self.start(Sealpost(self.folder, program=program, limits="\n".join(
            f"{name} 1000000" for name in ("connections", "connections-per-client", "connections-per-network"))))

    def test_p9_idle_connections_are_cheap(self):
        server = self.serve()
        warm = [connect(server, i) for i in range(100)]  # what the first ones make the processes load
        all_burst(warm)
        memory = Memory(server)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            held = list(pool.map(lambda i: connect(server, i), range(CONNECTIONS)))
        took = time.monotonic() - began
        with Honest(server) as honest:
            since = time.monotonic()
            while time.monotonic() - since < WATCHED_S and not honest.failure:
                honest.over.wait(0.1)
        honest.told(f"{CONNECTIONS} idle TLS connections")
        percent = percent_of_cpu(server.roles()["front"])
        memory.check("before they have sent anything")
        print(f"# {CONNECTIONS} idle TLS connections, made in {took:.1f} s: {memory.told()}, {percent:.1f} % of a processor for all", flush=True)
        all_burst(held)
        print(f"# when each has sent a letter, at once: {memory.told()}", flush=True)
        memory.check("after a burst")
        print(f"# and then: {memory.told()}", flush=True)
        for connection in held + warm:
            connection.close()
        self.assertLess(percent, CPU_PERCENT_MAX)


if __name__ == "__main__":
    harness.main()
