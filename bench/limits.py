# SPDX-License-Identifier: ISC
"""What this machine can do at most, measured without any mail server."""
import os
import re
import subprocess
import time

from harness.case import die_with_us, need, wait_until
from harness.ports import free_port, listens


def signs(seconds):
    """ECDSA P-256 signatures a second, on one core."""
    done = subprocess.run([need("openssl"), "speed", "-seconds", str(max(1, int(seconds))), "ecdsap256"], capture_output=True, text=True,
                          check=True)
    return float(re.search(r"256 bits ecdsa \(nistp256\)\s+\S+s\s+\S+s\s+([\d.]+)", done.stdout)[1])


def handshakes(seconds, tls, both=2):
    """Full TLS 1.3 handshakes a second of one `openssl s_server`, and its CPU seconds for 1,000; `both` clients at a time."""
    port = free_port()
    server = subprocess.Popen([need("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", tls[0], "-key", tls[1], "-quiet", "-www",
                               "-num_tickets", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              preexec_fn=die_with_us)
    try:
        wait_until(lambda: listens(port), "openssl s_server")
        before = cpu_s(server.pid)
        clients = [subprocess.Popen([need("openssl"), "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(max(1, int(seconds))),
                                     "-tls1_3"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=die_with_us)
                   for _ in range(both)]
        count = rate = 0
        for client in clients:
            found = re.findall(r"(\d+) connections in (\d+) real seconds", client.communicate()[0])
            count += int(found[-1][0])
            rate += int(found[-1][0]) / max(1, int(found[-1][1]))
        return rate, (cpu_s(server.pid) - before) / max(1, count) * 1000
    finally:
        server.kill()
        server.wait()


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def syncs(seconds, folder):
    """Appending 4 KB to a file and fdatasync, over and over, a second: one writer, no batches."""
    path = folder / "syncs"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.write(fd, bytes(1 << 20))
        os.fsync(fd)
        os.lseek(fd, 0, os.SEEK_SET)
        count, begin = 0, time.monotonic()
        while time.monotonic() < begin + seconds:
            if count % 256 == 0:
                os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, b"x" * 4096)
            os.fdatasync(fd)
            count += 1
        return count / (time.monotonic() - begin)
    finally:
        os.close(fd)
        path.unlink()
