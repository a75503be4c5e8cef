# SPDX-License-Identifier: ISC
"""A network that this process and what it starts have for themselves: fixed ports and addresses that collide with nobody's."""
import ctypes
import fcntl
import os
import socket
import struct

from .case import LIBC, need_root

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
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


def own_file(path, instead):
    """From now on, for this process and what it starts, the system's file at `path` is `instead`."""
    need_root("a file of the system in its own version")
    if LIBC.unshare(CLONE_NEWNS) != 0 or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0 or \
            LIBC.mount(str(instead).encode(), str(path).encode(), None, MS_BIND, None) != 0:
        raise AssertionError(f"no {path} of our own: {os.strerror(ctypes.get_errno())}")


def address():
    """One that was not given out before."""
    return next(ADDRESSES)


def _set(s, request, device, value):
    fcntl.ioctl(s, request, struct.pack("16s24s", device.encode(), value))
