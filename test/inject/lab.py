# SPDX-License-Identifier: ISC
"""Where runs are made, one after the other, and what is looked at after each."""
import collections
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import traceback

from harness import Authority
from harness.case import LIBC, children, need
from harness.peers import Nsd
from points import ROLES, SHARING, count_calls, in_common, more_of
from rig import Rig
from short_run import ShortRun, Sink

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
# To end by abort() is allowed; to touch what is not there, or to call what a role may not, is not.
MEMORY_ERROR = re.compile(r"AddressSanitizer: (?!ABRT|DEADLYSIGNAL)|runtime error:")
CRASH = re.compile(r'signal (?:4|5|7|8|11|31) ')  # ILL, TRAP, BUS, FPE, SEGV, SYS
ZONE = "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"


class Kept(Authority):
    """Every server has the same certificate."""
    @functools.lru_cache(maxsize=None)
    def issue(self, *names):
        return super().issue(*names)


def shorten(folder):
    """For root: in a mount namespace of our own, files are in memory and accounts in /etc/passwd. To ask systemd for accounts, too,
    takes a supervisor 1300 system calls of libc's. And in a network of our own nobody takes a port while a server starts again."""
    if os.geteuid() != 0 or "INJECT_KEEP" in os.environ or LIBC.unshare(CLONE_NEWNS) != 0:
        return
    if LIBC.unshare(CLONE_NEWNET) == 0:
        subprocess.run([need("ip"), "link", "set", "lo", "up"], check=True)
    mount = need("mount")
    subprocess.run([mount, "--make-rprivate", "/"], check=True)
    subprocess.run([mount, "-t", "tmpfs", "-o", "size=75%,mode=0755", "tmpfs", folder], check=True)
    switch = pathlib.Path("/etc/nsswitch.conf")
    if switch.exists():
        ours = folder / "nsswitch.conf"
        ours.write_text(re.sub(r"^(passwd|group|initgroups|shadow):.*$", r"\1: files", switch.read_text(), flags=re.M))
        ours.chmod(0o644)
        subprocess.run([mount, "--bind", ours, switch], check=True)


class Lab:
    """A folder with one server's configuration, a name server and a next hop, for many runs one after the other."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.nsd = Nsd(self.folder, {"sink.test": ZONE}, signed=["sink.test"]).start()
        self.authority = Kept(self.folder)
        self.number = 0
        self.ours = {pid for pid, _ in children()}

    def run(self, point=None, measure=None, plant=None):
        """Each run has an empty queue and empty mailboxes."""
        self.number += 1
        sink = Sink()
        sink.start()
        try:
            rig = Rig(self.folder, name=f"run{self.number}", authority=self.authority, route="otherwise direct",
                      direct=f"port {sink.port}\n    family ipv4\n    allow-loopback yes\n    ca {self.authority.cert}", queue="retry 1s",
                      limits="connections-per-client 1000",
                      extra=f"resolver {{\n    server {self.nsd.server}\n    trust-anchor {self.nsd.anchor}\n}}")
            return self.judged(rig, ShortRun(rig, sink, point, measure, plant))
        finally:
            sink.stop()

    def judged(self, rig, run):
        run.trouble, run.log_text, run.calls = None, "", {}
        began = time.monotonic()
        try:
            run.run()
        except Exception as trouble:  # whatever it is, it is this point's
            run.trouble = f"{type(trouble).__name__}: {trouble}" if isinstance(trouble, AssertionError) \
                else traceback.format_exc()
        run.seconds = time.monotonic() - began
        run.fired = getattr(run, "fired_before", False) or rig.fired()
        run.log_text, run.died = rig.log(), rig.died()
        wrong = [line for line in run.log_text.splitlines() if MEMORY_ERROR.search(line)] + \
            [line for line in rig.lines("role-died") if CRASH.search(line)] + \
            [line for line in rig.lines("confined") if " user=0 " in line and os.geteuid() == 0]
        if wrong and not run.trouble:
            run.trouble = wrong[0]
        run.notes += [line for line in run.log_text.splitlines() if "check failed" in line]
        if run.measure:
            run.calls, run.names = count_calls(rig.trace, rig.ready_bytes)
        for pid, name in children() if run.trouble else []:  # what a failed run has left over
            if pid not in self.ours:
                os.kill(pid, signal.SIGKILL)
        if not run.trouble or "INJECT_KEEP" not in os.environ:
            shutil.rmtree(rig.folder, ignore_errors=True)
        return run

    def close(self):
        self.nsd.stop()


def measure(lab, roles, times):
    """role -> call -> how often, in a run without faults: see count_calls(); and what all roles begin with."""
    table, beginnings = collections.defaultdict(dict), []
    for role in roles:
        for _ in range(times):
            run = lab.run(measure=role)
            if run.trouble:
                raise SystemExit(f"a run without faults failed ({role}):\n{run.trouble}\n{run.log_text[-8000:]}")
            table[role] = more_of(table[role], run.calls)
            if role in SHARING:
                beginnings.append(run.names)
    return dict(table), in_common(beginnings) if len(roles) == len(ROLES) else {}
