# SPDX-License-Identifier: ISC
"""Very many clients that are connected over TLS and say nothing: what one of them costs, and what another client notices.

IDLE_CONNECTIONS says how many; `make idle` asks for ten thousand.
"""
import concurrent.futures
import os
import pathlib
import resource
import time

import harness
from flood_test import Honest
from harness import Sealpost, wait_until
from harness.raw import Raw

CONNECTIONS = int(os.environ.get("IDLE_CONNECTIONS", "500"))
MEMORY_KB_MAX = 24        # of a front, for each connection
CPU_PERCENT_MAX = 20      # of a front, while nobody says anything
WATCHED_S = 3


def private_kb(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


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
        before = private_kb(front)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            held = list(pool.map(connect, range(CONNECTIONS)))
        took = time.monotonic() - began

        def each():
            return (private_kb(front) - before) / CONNECTIONS
        with Honest(server) as honest:
            cpu, since = cpu_s(front), time.monotonic()
            while time.monotonic() - since < WATCHED_S and not honest.failure:
                honest.over.wait(0.1)
        honest.told(f"{CONNECTIONS} idle TLS connections")
        cpu, since = cpu_s(front), time.monotonic()
        honest.over.wait(WATCHED_S)
        time.sleep(WATCHED_S)  # what is measured is what happens when nothing does
        percent = 100 * (cpu_s(front) - cpu) / (time.monotonic() - since)
        wait_until(lambda: each() < MEMORY_KB_MAX, f"less than {MEMORY_KB_MAX} KB of the front's memory for each")
        print(f"# {CONNECTIONS} idle TLS connections, made in {took:.1f} s: {each():.1f} KB of the front's memory each, "
              f"{percent:.1f} % of a processor for all", flush=True)
        for connection in held + warm:
            connection.close()
        self.assertLess(percent, CPU_PERCENT_MAX)


if __name__ == "__main__":
    harness.main()
