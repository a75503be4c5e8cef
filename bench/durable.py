# SPDX-License-Identifier: ISC
"""Counts a server's calls of fsync and fdatasync while it takes messages one after the other: each must wait for one at least."""
import re
import signal
import subprocess

from harness.case import die_with_us, need, wait_until

LETTERS = 40
CALLS = "fsync,fdatasync,sync_file_range,msync,syncfs"


def syncs_per_message(server, load, folder):
    """(calls that succeeded, messages)"""
    load(10)  # what it does only once, it has done
    trace = folder / "trace"
    words = [need("strace"), "-f", "-qq", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", trace]
    for pid in server.group.pids():
        words += ["-p", pid]
    tracer = subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True, preexec_fn=die_with_us)

    def attached():
        assert tracer.poll() is None, tracer.stderr.read()
        return all(is_traced(pid) for pid in server.group.pids())
    wait_until(attached, f"strace at {server.name}")
    load(LETTERS)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(30)
    tracer.stderr.close()
    count = len(re.findall(r"(?m)(?:fsync|fdatasync)(?:\(\d+\)| resumed>\)) *= 0$", trace.read_text()))
    trace.unlink()
    return count, LETTERS


def is_traced(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return "TracerPid:\t0\n" not in f.read()
    except OSError:
        return True  # it has ended
