# SPDX-License-Identifier: ISC
"""A server's processes as one: the CPU time that all of them have used, also those that have ended, and the memory they hold."""
import os
import pathlib
import time

PLACES = [("/sys/fs/cgroup", "cpu.stat"), ("/sys/fs/cgroup/unified", "cpu.stat"), ("/sys/fs/cgroup/cpuacct", "cpuacct.usage")]


class Group:
    """A control group: whatever its processes start belongs to it, and no process gets out by losing its parent."""

    def __init__(self, name):
        self.folder, self.file = None, None
        for place, file in PLACES:
            folder = pathlib.Path(place) / f"sealpost-bench-{os.getpid()}-{name}"
            try:
                folder.mkdir()
            except OSError:
                continue
            if (folder / file).exists() and (folder / "cgroup.procs").exists():
                self.folder, self.file = folder, folder / file
                return
            folder.rmdir()
        raise SystemExit("bench: no control group can be made below /sys/fs/cgroup: run it as root, with cpu.stat (cgroup 2) or cpuacct")

    def enter(self):
        """In a child, before it executes the server."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def pids(self):
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]

    def cpu_s(self):
        text = self.file.read_text()
        if self.file.name == "cpuacct.usage":
            return int(text) / 1e9
        return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6

    def pss_kb(self):
        total = 0
        for pid in self.pids():
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue  # it has ended meanwhile
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        return total

    def end(self, patience_s=20):
        """Kills whoever is left, and removes the group, which the kernel lets us only once all are gone."""
        until = time.monotonic() + patience_s
        while True:
            for pid in self.pids():
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            try:
                self.folder.rmdir()
                return
            except OSError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.02)
