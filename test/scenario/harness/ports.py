# SPDX-License-Identifier: ISC
"""Free loopback ports, below those that the kernel gives to outgoing connections meanwhile."""
import pathlib
import random
import socket

FIRST = 10000


def free_ports(count):
    """All of them are held until all are known, so that no two are the same."""
    end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    held = []
    while len(held) < count:
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", random.randrange(FIRST, end) if end > FIRST + 1000 else 0))
        except OSError:
            s.close()
            continue
        held.append(s)
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def free_port():
    return free_ports(1)[0]


def listens(port):
    with socket.socket() as s:
        s.settimeout(5)
        return s.connect_ex(("127.0.0.1", port)) == 0
