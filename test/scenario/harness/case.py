# SPDX-License-Identifier: ISC
"""The base of every scenario: a folder, processes with an owner, and the checks at the end."""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PATIENCE_S = float(os.environ.get("SCENARIO_PATIENCE_S", "60"))
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True)
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "check failed",
                   "Bad system call")  # a role that was confined too much


def wait_until(condition, what, patience_s=PATIENCE_S):
    """Looks again and again until the condition gives something true, and returns that."""
    end = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s:.0f} s in vain for {what}")
        time.sleep(0.02)  # between two looks; nothing relies on its length


def need(program, *elsewhere):
    """The path of a program that a scenario cannot do without."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    for place in (path, *elsewhere):
        if place and os.access(place, os.X_OK):
            return str(place)
    raise AssertionError(f"{program} is missing: dev/setup test installs it")


def need_root(what):
    assert os.geteuid() == 0, f"{what} needs root: run the scenarios as root, as in a container"


def children():
    """Pids of our own children, those included that lost their parents; zombies are reaped."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break
    ours = []
    for task in pathlib.Path("/proc/self/task").iterdir():
        try:
            ours += (task / "children").read_text().split()
        except OSError:
            pass  # a thread that has just ended: whose children it had are others' now, and seen at the next look
    me = os.getpid()
    return [(pid, name) for pid, name, state, parent in processes(ours) if parent == me and state != "Z"]


def processes(pids=None):
    """(pid, name, state, parent's pid) of each process, or of these, that lives on while we look."""
    for pid in filter(str.isdigit, os.listdir("/proc") if pids is None else pids):
        try:
            text = pathlib.Path("/proc", pid, "stat").read_text()
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        yield int(pid), text[text.index("(") + 1:text.rindex(")")], state, int(parent)


class Process:
    """A running program whose output goes to a file."""

    def __init__(self, name, argv, folder, env=None, cwd=None, **more):
        self.name, self.log_path = name, pathlib.Path(folder) / f"{name}.out"
        with open(self.log_path, "ab") as out:
            self.popen = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=env, cwd=cwd, preexec_fn=die_with_us, **more)
        self.pid = self.popen.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def alive(self):
        return self.popen.poll() is None

    def wait_for_log(self, text, patience_s=PATIENCE_S):
        def seen():
            assert self.alive() or text in self.log(), f"{self.name} ended early:\n{self.log()}"
            return text in self.log()
        wait_until(seen, f"{text!r} in the log of {self.name}", patience_s)

    def stop(self, how=signal.SIGTERM, patience_s=PATIENCE_S):
        """Returns the exit status."""
        if self.alive():
            self.popen.send_signal(how)
        try:
            return self.popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not stop within {patience_s:.0f} s:\n{self.log()}") from None


class SmallDisk:
    """A file system of its own, of this size; gone when the scenario ends. Mounting needs root."""

    def __init__(self, folder, size, owner):
        self.name, self.folder, self.size, self.owner = "small-disk", pathlib.Path(folder), size, owner

    def start(self):
        need_root("a file system of its own")
        self.folder.mkdir()
        subprocess.run([need("mount"), "-t", "tmpfs", "-o", f"size={self.size},mode=0700", "tmpfs", self.folder], check=True)
        if self.owner:
            shutil.chown(self.folder, self.owner)

    def stop(self):
        subprocess.run([need("umount"), "-l", self.folder], check=True)

    def log(self):
        return ""


def die_with_us():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Scenario(unittest.TestCase):
    """A test with a folder. What it starts through start() is stopped and judged when it ends."""
    maxDiff = None

    def setUp(self):
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sealpost-scenario-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.started = []
        self.addCleanup(self._end)

    def start(self, thing):
        """thing.stop() is called when the test ends; thing.log() is shown if it failed."""
        self.started.append(thing)
        thing.start()
        return thing

    def _end(self):
        result = self._outcome.result
        failed = any(test is self for test, _ in result.failures + result.errors)
        troubles = []
        for thing in reversed(self.started):
            try:
                thing.stop()
            except AssertionError as trouble:
                troubles.append(str(trouble))
        logs = [(thing, thing.log()) for thing in self.started]
        for thing, log in logs:
            troubles += [f"{thing.name}: {line}" for line in log.splitlines()
                         if any(mark in line for mark in SANITIZER_MARKS)
                         and not (getattr(thing, "memory_may_end", False) and "base/check.c" in line)
                         or " role-died " in line and not getattr(thing, "roles_may_die", True)]
        try:
            wait_until(lambda: not children(), "the last process to end", 10)
        except AssertionError:
            for pid, name in children():
                troubles.append(f"left over: {name} ({pid})")
                os.kill(pid, signal.SIGKILL)
        if failed or troubles:
            for thing, log in logs:
                print(f"--- {self.id()}: {thing.name} ---\n{log[-20000:]}", file=sys.stderr)
        if "SCENARIO_KEEP" not in os.environ:
            shutil.rmtree(self.folder, ignore_errors=True)
        if troubles:
            self.fail("\n".join(troubles))

    def run_program(self, *argv, input=None, status=0, env=None, patience_s=PATIENCE_S):
        """Runs a client to its end; returns what it printed, both streams together. status: the one it ends with, or some of which one."""
        program = need(str(argv[0]))
        done = subprocess.run([program, *map(str, argv[1:])], input=input, env=env, timeout=patience_s,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_us, check=False)
        text = done.stdout.decode(errors="replace")
        if status is not None:
            self.assertIn(done.returncode, status if isinstance(status, tuple) else (status,), f"{' '.join(map(str, argv))}\n{text}")
        return text


def main():
    unittest.main(verbosity=2)
