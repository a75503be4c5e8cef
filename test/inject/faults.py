# SPDX-License-Identifier: ISC
"""Which system call is made to fail in which way.

KILL    SIGKILL instead of the call: any call
EINTR   a signal came in between: nothing happened, and nobody may notice
EIO     a broken disk, or a broken anything
ENOSPC  a full disk, or a quota
EMFILE  no descriptors left
ENOMEM  no memory left (for sockets: no buffers)
SHORT   3 bytes are moved instead of all; done by short.c, because strace could only say so, and leave them unmoved
EIO+, ENOSPC+, EMFILE+   this call and every later one of its name, for some seconds; of the supervisor, the next ones
"""

DISK = "openat openat2 mkdir mkdirat linkat renameat rename unlink unlinkat ftruncate fallocate".split()
READS, WRITES = "read pread64".split(), "write pwrite64 writev pwritev".split()
SYNCS = "fsync fdatasync".split()
SENDS, RECEIVES = "sendto sendmsg sendmmsg".split(), "recvfrom recvmsg".split()
LOOKS = "newfstatat fstatfs statfs statx getdents64 lseek access readlink".split()
SOCKETS = "socket socketpair connect bind listen getsockname getpeername getsockopt setsockopt".split()
OPENERS = "openat openat2 socket socketpair accept4 epoll_create1 eventfd2 pipe2 dup dup2 dup3 fcntl".split()
MEMORY = "mmap brk mremap mprotect madvise".split()
STARTERS = "clone clone3 fork vfork execveat".split()

CALLS = {
    "EINTR": READS + WRITES + SENDS + RECEIVES + "accept4 connect epoll_wait epoll_pwait poll getrandom openat openat2 wait4".split(),
    "EIO": DISK + READS + WRITES + SYNCS + SENDS + RECEIVES + LOOKS + SOCKETS + ["close"],
    "ENOSPC": DISK + WRITES + SYNCS,
    "EMFILE": OPENERS,
    "ENOMEM": MEMORY + STARTERS + SENDS + RECEIVES + SOCKETS + OPENERS + ["epoll_ctl", "newfstatat", "getdents64"],
    "SHORT": READS + WRITES + "sendto sendmsg recvfrom recvmsg".split(),
    "EIO+": DISK + READS + WRITES + SYNCS,
    "ENOSPC+": DISK + WRITES + SYNCS,
    "EMFILE+": OPENERS,
}
LASTING = ("EIO+", "ENOSPC+", "EMFILE+")
BURST = 20
LASTING_STEPS = 12  # from so many places of a run on, not from each

ERRORS = tuple(CALLS)
KINDS = ("KILL", *ERRORS)

# libuv writes a signal's number into a pipe, which cannot fail so, and relies on it.
NEVER = {("supervisor", "write"): ("EIO", "ENOSPC", "EIO+", "ENOSPC+")}

# Loader, allocator and sanitizer would be what is tested.
NOT_UNDER_SANITIZERS = set(MEMORY)


def kinds_for(role, call):
    return ["KILL"] + [kind for kind in ERRORS if call in CALLS[kind] and kind not in NEVER.get((role, call), ())]


def numbers(kind, n):
    """Which of n calls are to meet it."""
    return range(1, n + 1, max(1, n // LASTING_STEPS) if kind in LASTING else 1)


def strace_inject(kind, call, number, burst=None):
    """The argument of strace's -e inject=. burst: how many calls are meant where it lasts; None: all later ones."""
    what = "signal=SIGKILL" if kind == "KILL" else f"error={kind.rstrip('+')}"
    until = "" if kind not in LASTING else f"..{number + burst - 1}" if burst else "+"
    return f"{call}:{what}:when={number}{until}"
