# SPDX-License-Identifier: ISC
"""Which system call is made to fail in which way: what its man page lists, and no more; and what a disk adds to it.

KILL    SIGKILL instead of the call: any call but those that change nothing that anybody else could see (QUIET); to be killed
        before one of them is to be killed before the next that does
EINTR   a signal came in between; only a call that waits can return it (signal(7)): what is asked of files and of
        descriptors that never block, which all but a few of ours are, cannot
EIO     a broken disk, or a broken anything: also where only a driver's page says so, as for open(2). What merely makes a
        socket, names it or sets its options touches nothing that could be broken
ENOSPC  a full disk, or a quota: what can make a name or a block. To open can if the role ever opens with O_CREAT
EMFILE  no descriptors left: what makes one. Of fcntl(2) that is F_DUPFD alone, so only where a role uses it
ENOMEM  no memory left (for sockets: no buffers). brk(2) tells the old end of the heap instead of an error: done by short.c
SHORT   3 bytes are moved instead of all; done by short.c, because strace could only say so, and leave them unmoved
EIO+, ENOSPC+, EMFILE+   this call and every later one of its name, for some seconds; of the supervisor, the next ones

Other calls cannot fail (getpid, umask, exit_group), or would only through an error of the program (rt_sigaction, futex).
"""

NAMES = "mkdir mkdirat linkat renameat rename".split()
REMOVALS = "unlink unlinkat rmdir".split()
OPENS = "openat openat2 open".split()
ROOM = "ftruncate fallocate".split()
READS, WRITES = "read pread64".split(), "write pwrite64 writev pwritev".split()
SYNCS = "fsync fdatasync".split()
SENDS, RECEIVES = "sendto sendmsg sendmmsg".split(), "recvfrom recvmsg".split()
LOOKS = "newfstatat fstatfs statfs statx getdents64 access readlink readlinkat".split()
MAKES = "socket socketpair accept4 epoll_create1 eventfd2 memfd_create".split()  # descriptors, and memory for what they are
MEMORY = "mmap brk mremap mprotect madvise munmap mlock2".split()
STARTERS = "clone clone3 fork vfork execveat".split()

CALLS = {
    "EINTR": "epoll_wait epoll_pwait poll recvfrom".split(),
    "EIO": OPENS + NAMES + REMOVALS + ROOM + READS + WRITES + SYNCS + SENDS + RECEIVES + LOOKS + ["close", "connect"],
    "ENOSPC": OPENS + NAMES + ["fallocate"] + WRITES + SYNCS,
    "EMFILE": OPENS + MAKES + "pipe2 dup dup2 dup3 fcntl landlock_create_ruleset".split(),
    "ENOMEM": MEMORY + STARTERS + SENDS + RECEIVES + OPENS + NAMES + MAKES + REMOVALS + "connect bind setsockopt epoll_ctl newfstatat".split() +
    "readlink readlinkat access fstatfs statfs statx seccomp landlock_create_ruleset landlock_add_rule".split(),
    "SHORT": READS + WRITES + "sendto sendmsg recvfrom recvmsg".split(),
    "EIO+": OPENS + NAMES + READS + WRITES + SYNCS,
    "ENOSPC+": OPENS + NAMES + WRITES + SYNCS,
    "EMFILE+": OPENS + MAKES + ["pipe2", "dup", "fcntl"],
}
LASTING = ("EIO+", "ENOSPC+", "EMFILE+")
BURST = 20
LASTING_STEPS = 12  # from so many places of a run on, not from each

# About itself, its memory, its signals and the time; looks; locks, which end with the process, as do the options of its descriptors.
QUIET = set(MEMORY + LOOKS + "getpid gettid geteuid getuid getgid getegid getppid umask uname sysinfo getrandom clock_gettime".split() +
            "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack futex sched_yield sched_getaffinity arch_prctl set_tid_address".split() +
            "set_robust_list rseq prlimit64 prctl seccomp capset lseek pread64 fcntl ioctl epoll_ctl setsockopt getsockopt".split() +
            "getsockname getpeername landlock_create_ruleset landlock_add_rule memfd_create eventfd2 epoll_create1".split())
DUPLICATES, CREATES = "fcntl+F_DUPFD", "open+O_CREAT"

ERRORS = tuple(CALLS)
KINDS = ("KILL", *ERRORS)

# libuv writes a signal's number into a pipe, which cannot fail so, and relies on it, and reads it there; once it runs a supervisor reads
# nothing else.
NEVER = {("supervisor", "write"): ("EIO", "ENOSPC", "EIO+", "ENOSPC+"), ("supervisor", "read"): ("EIO+",)}
NEVER_LATER = {("supervisor", "read", "EIO")}
# The dynamic loader's first piece of memory: it does not look whether it has got any, and ends by SIGSEGV.
NEVER_FIRST = {("mmap", "ENOMEM")}

# Loader, allocator and sanitizer would be what is tested.
NOT_UNDER_SANITIZERS = set(MEMORY)


def kinds_for(role, call, calls):
    """calls: all that this role makes."""
    if "+" in call:
        return []  # no call, but some of one
    return ["KILL"] * (call not in QUIET) + [kind for kind in ERRORS if call in CALLS[kind] and kind not in NEVER.get((role, call), ()) and
                       (call != "fcntl" or DUPLICATES in calls) and
                       (call not in OPENS or not kind.startswith("ENOSPC") or CREATES in calls)]


def strace_inject(kind, call, number, burst=None):
    """The argument of strace's -e inject=. burst: how many calls are meant where it lasts; None: all later ones."""
    what = "signal=SIGKILL" if kind == "KILL" else f"error={kind.rstrip('+')}"
    until = "" if kind not in LASTING else f"..{number + burst - 1}" if burst else "+"
    return f"{call}:{what}:when={number}{until}"
