# SPDX-License-Identifier: ISC
"""Very many clients that are connected over TLS and say nothing: what one of them costs, before and after a burst of letters,
and what another client notices.

IDLE_CONNECTIONS says how many; `make idle` asks for ten thousand.
"""
import concurrent.futures
import os
import pathlib
import resource
import time

import harness
from flood_test import JADA, Honest
from harness import Sealpost, letter, wait_until
from harness.raw import Raw

CONNECTIONS = int(os.environ.get("IDLE_CONNECTIONS", "500"))
MEMORY_KB_MAX = 16        # of all roles, for each connection ...
MEMORY_BURST_KB_MAX = 17  # ... and after a burst, what waits in the queue with it ...
MEMORY_KB_SPARE = 7000    # ... and for all: tables and caches, however many connections there are
LETTERS = ((10_000, 1), (1_000_000, 100))  # octets, and each how many-th connection sends one
CPU_PERCENT_MAX = 20      # of a front, while nobody says anything
WATCHED_S = 3


def pss_kb(server):
    texts = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in (server.process.pid, *server.roles().values())]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("Pss:"))


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Idle(harness.Scenario):
    def test_p9_idle_connections_are_cheap(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.assertGreater(hard, CONNECTIONS + 1000, "ulimit -Hn allows too few descriptors for so many connections")
        program = os.environ["MEASURED"]
        self.assertTrue(os.access(program, os.X_OK), f"{program} is missing: `make test` and `make idle` build it")
        server = self.start(Sealpost(self.folder, program=program, limits="\n".join(
            f"{name} 1000000" for name in ("connections", "connections-per-client", "connections-per-network"))))
        front = server.roles()["front"]

        def connect(i):
            return Raw(server.port_submissions, server.authority, "implicit", source=f"127.0.{i % 200}.1")

        warm = [connect(i) for i in range(100)]  # what the first ones make the process load
        time.sleep(WATCHED_S)  # until they are idle
        before = pss_kb(server)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            held = list(pool.map(connect, range(CONNECTIONS)))
        took = time.monotonic() - began

        def each(spare_kb=MEMORY_KB_SPARE):
            return (pss_kb(server) - before - spare_kb) / CONNECTIONS

        def told():
            return f"{each(0):.1f} KB each, all roles together"

        def burst(numbered):
            i, connection = numbered
            connection.login(*JADA)
            for octets, every in LETTERS:
                if i % every == 0:
                    connection.mail("jada@example.test", "sam@elsewhere.test")
                    code, text = connection.data(letter().as_bytes() + (b"x" * 70 + b"\r\n") * (octets // 72))
                    assert code == 250, (code, text)
        with Honest(server) as honest:
            cpu, since = cpu_s(front), time.monotonic()
            while time.monotonic() - since < WATCHED_S and not honest.failure:
                honest.over.wait(0.1)
        honest.told(f"{CONNECTIONS} idle TLS connections")
        cpu, since = cpu_s(front), time.monotonic()
        honest.over.wait(WATCHED_S)
        time.sleep(WATCHED_S)  # what is measured is what happens when nothing does
        percent = 100 * (cpu_s(front) - cpu) / (time.monotonic() - since)
        wait_until(lambda: each() <= MEMORY_KB_MAX, f"at most {MEMORY_KB_MAX} KB for each")
        print(f"# {CONNECTIONS} idle TLS connections, made in {took:.1f} s: {told()}, {percent:.1f} % of a processor for all", flush=True)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(burst, enumerate(held)))
        print(f"# when each has sent a letter, at once: {told()}", flush=True)
        wait_until(lambda: each() <= MEMORY_BURST_KB_MAX, f"at most {MEMORY_BURST_KB_MAX} KB for each, after a burst")
        print(f"# and then: {told()}", flush=True)
        for connection in held + warm:
            connection.close()
        self.assertLess(percent, CPU_PERCENT_MAX)


if __name__ == "__main__":
    harness.main()
