# SPDX-License-Identifier: ISC
"""A server of which one process meets one fault at one system call.

The supervisor starts under an strace that stops every role at the moment of its execveat(), before its first own call.
Who is to meet the fault gets an strace of its own, that counts and injects; then it, like the others, is let go.
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time

import faults
from harness import Sealpost, wait_until
from harness.case import die_with_us, need

SHORT_BYTES = 3
LASTS_S = 7  # a fault that lasts: longer than the spool's pause before it opens its storage anew
# LeakSanitizer cannot work where another traces.
SANITIZERS = "export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=99:handle_abort=1\n"


class Point:
    """role.call.number.kind.life: `first`: the role's first process of the server's life; `again`: its successor."""

    def __init__(self, role, call, number, kind, life="first"):
        self.role, self.call, self.number, self.kind, self.life = role, call, int(number), kind, life

    def __str__(self):
        return f"{self.role}.{self.call}.{self.number}.{self.kind}.{self.life}"

    @staticmethod
    def parse(text):
        return Point(*text.split("."))


def by_short(point):
    """What strace could only pretend."""
    return point.kind == "SHORT" or point.call == "brk" and point.kind == "ENOMEM"


def tracer(point, pid, to):
    """The command that makes `pid` meet the fault; without a point it only writes down all calls."""
    if point is None:
        return [need("strace"), "-f", "-qq", "-y", "-o", to, "-p", pid]
    if by_short(point):
        return [os.environ["SHORT"], "-o", to, "-p", pid, point.call, point.number, SHORT_BYTES]
    return [need("strace"), "-f", "-qq", "-y", "-o", to, "-e", f"trace={point.call}",
            "-e", "inject=" + faults.strace_inject(point.kind, point.call, point.number), "-p", pid]


class Rig(Sealpost):
    def __init__(self, folder, **parts):
        super().__init__(folder, **parts)
        self.traced_program = self.folder / "program"
        self.trace = self.folder / "trace"
        self.roles_may_die = True
        self.point, self.tracers, self.watcher, self.armed = None, [], None, None
        self.ready_bytes = 0

    def start(self, point=None, measure=None, wait=True):
        """measure: the role whose calls are to be written down."""
        self.point, self.measure, self.deaths, self.armed = point, measure, 0, None
        self.trace.unlink(missing_ok=True)
        pathlib.Path(self.folder, f"{self.name}.out").unlink(missing_ok=True)
        target = point.role if point else measure
        strace = need("strace")
        if target == "supervisor":
            head = [strace, "-D", "-qq", "-y", "-o", self.trace]
            if point and by_short(point):
                head = [os.environ["SHORT"], "-o", self.trace, "-s", point.call, point.number, SHORT_BYTES]
            elif point:
                head += ["-e", f"trace={point.call}", "-e",
                         "inject=" + faults.strace_inject(point.kind, point.call, point.number, faults.BURST)]
        else:
            head = [strace, "-D", "-f", "-qq", "-b", "execve", "-o", "/dev/null", "-e", "trace=execveat", "-e",
                    "inject=execveat:signal=SIGSTOP"]
        if target is None:
            head = []
        self.traced_program.write_text(f"#!/bin/sh\n{SANITIZERS}exec {' '.join(map(str, head))} {self.program} \"$@\"\n")
        self.traced_program.chmod(0o755)
        self.process = self.supervisor = None
        self.over = threading.Event()
        if target not in (None, "supervisor"):
            self.to_trace = 2 if point and point.life == "again" else 1
            self.watcher = threading.Thread(target=self.watch, args=(target,), daemon=True)
            self.watcher.start()
        plain, self.program = self.program, self.traced_program
        try:
            super().start(wait)
        finally:
            self.program = plain
        return self

    def mark_ready(self):
        """What is in the trace by now belongs to the start."""
        self.ready_bytes = self.trace.stat().st_size

    def children(self):
        pid = self.supervisor.pid
        try:
            return [int(k) for k in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def watch(self, target):
        """Lets every role go that was stopped at its start."""
        seen, number, until_s = set(), 0, None
        while not self.over.is_set():
            if until_s is None and self.lasts() and self.fired():
                until_s = time.monotonic() + LASTS_S
            if until_s and time.monotonic() > until_s:
                self.lift()
            self.supervisor = self.process or self.supervisor  # it starts roles while it is stopped, too
            for pid in (self.children() if self.supervisor else []):
                if pid in seen:
                    continue
                try:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if "State:\tT" not in status or "TracerPid:\t0" not in status or words[1:2] != [b"role"]:
                    continue
                seen.add(pid)
                if words[2].decode() == target:
                    number += 1
                    if number == self.to_trace:
                        self.attach(pid)
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGCONT)
            time.sleep(0.001)  # between two looks

    def attach(self, pid):
        self.tracers.append(subprocess.Popen([str(a) for a in tracer(self.point, pid, self.trace)], stdin=subprocess.DEVNULL,
                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_us))
        with contextlib.suppress(AssertionError):
            wait_until(lambda: traced(pid), f"a tracer for {pid}", 10)
        self.armed = pid

    def fired(self):
        if self.point is None:
            return False
        text = self.trace.read_text(errors="replace") if self.trace.exists() else ""
        return "killed by SIGKILL" in text if self.point.kind == "KILL" else "INJECTED" in text

    def died(self):
        return len(self.lines("role-died"))

    def kill_role(self, role):
        """A first death, so that its successor meets the fault."""
        pid = self.roles().get(role)
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self.armed or not self.process.alive(), f"a new {role}")

    def lift(self):
        """Ends a fault that lasts: its tracer lets go."""
        if self.lasts():
            for popen in self.tracers:
                popen.terminate()
                popen.wait()

    def lasts(self):
        return self.point is not None and self.point.kind in faults.LASTING and self.point.role != "supervisor"

    def end(self):
        """Waits for the tracers too."""
        self.over.set()
        if self.watcher:
            self.watcher.join()
            self.watcher = None
        for popen in self.tracers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(0.5)
            if popen.poll() is None:
                popen.terminate()
                popen.wait()
        self.tracers = []


def traced(pid):
    try:
        return "TracerPid:\t0" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True  # it is gone
