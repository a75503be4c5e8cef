# SPDX-License-Identifier: ISC
"""A network that this process and what it starts have for themselves: fixed ports and addresses that collide with nobody's."""
import ctypes
import fcntl
import os
import socket
import struct

from .case import LIBC, need_root

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP, IFF_RUNNING = 0x1, 0x40
NETWORK = "192.0.2."  # RFC 5737: addresses that are not loopback, and that nobody has
ADDRESSES = iter(())


def own_network():
    """To be called from setUpModule(), before anything is started: there is no way back for this process."""
    global ADDRESSES
    need_root("a network of its own")
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise AssertionError(f"no network of our own: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # On the loopback device, an address stands for its whole network.
        _set(s, SIOCSIFFLAGS, "lo", struct.pack("h", IFF_UP | IFF_RUNNING))
        for request, value in ((SIOCSIFADDR, NETWORK + "1"), (SIOCSIFNETMASK, "255.255.255.0")):
            _set(s, request, "lo:1", struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(value)))
    ADDRESSES = (f"{NETWORK}{n}" for n in range(2, 255))


def address():
    """One that was not given out before."""
    return next(ADDRESSES)


def _set(s, request, device, value):
    fcntl.ioctl(s, request, struct.pack("16s24s", device.encode(), value))
