/* SPDX-License-Identifier: ISC */
/*
 * sys/seccomp.c -- the system calls of a role. What is not on the list ends the process.
 *
 * libseccomp writes the filter, so that the numbers are right on every machine; two instructions go before it: a call newer
 * than every list is answered as an older kernel would answer it, so that a newer C library falls back on what it did
 * before; and the number -1, which a tracer (strace -e inject) puts in place of a call that it answers itself, is no offence.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/confine_inside.h"
#include "sys/socket.h"

enum { FIRST_UNKNOWN_CALL = 451, INSTRUCTIONS_MAX = 4000, TYPE_MASK = 0xf };

/* ---- the list ---- */

static const int always[] = {
	/* what it has open */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(lseek),
	SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(dup), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	/* the loop */
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(pipe2), SCMP_SYS(eventfd2),
	SCMP_SYS(restart_syscall),
	/* memory, but none that can be executed (see below) */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	/* time, chance, threads that there are, signals to be heard */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
	SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list), SCMP_SYS(membarrier), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
	/* itself */
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getcpu), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* Landlock says where. */
static const int in_folders[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(getdents64), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(rename),
	SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(pwrite64), SCMP_SYS(pwritev),
	SCMP_SYS(truncate), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(flock), SCMP_SYS(fchmod), SCMP_SYS(fchown),
};

/* Answered with an error, because libraries try them by themselves and go on without: a file of the system's, a name for a
 * piece of memory, a newer way to start a thread, an older one to wait where the newer found no descriptor (libevent). More of
 * these below, where it depends on an argument. */
static const struct { int call, error; } tried_in_vain[] = {
	{ SCMP_SYS(open), EACCES },       { SCMP_SYS(openat), EACCES },   { SCMP_SYS(openat2), EACCES },  { SCMP_SYS(stat), EACCES },
	{ SCMP_SYS(lstat), EACCES },      { SCMP_SYS(statx), EACCES },    { SCMP_SYS(access), EACCES },   { SCMP_SYS(faccessat), EACCES },
	{ SCMP_SYS(faccessat2), EACCES }, { SCMP_SYS(readlink), EACCES }, { SCMP_SYS(readlinkat), EACCES },
	{ SCMP_SYS(getcwd), EACCES },     { SCMP_SYS(prctl), EPERM },     { SCMP_SYS(getrlimit), EPERM },
	{ SCMP_SYS(clone3), ENOSYS },     { SCMP_SYS(epoll_create), ENOSYS },
};

/* ---- libseccomp ---- */

struct calls {
	scmp_filter_ctx ctx;
	unsigned may;
	int error;                     /* the first that libseccomp gave */
};

static void add(struct calls *l, uint32_t action, int call, unsigned n, const struct scmp_arg_cmp *arguments)
{
	if (call < 0)
		return; /* this machine has no such call */
	int error = seccomp_rule_add_array(l->ctx, action, call, n, arguments);
	if (error != 0 && l->error == 0)
		l->error = error;
}

static void allow(struct calls *l, int call)
{
	add(l, SCMP_ACT_ALLOW, call, 0, NULL);
}

static void allow_if(struct calls *l, int call, struct scmp_arg_cmp argument)
{
	add(l, SCMP_ACT_ALLOW, call, 1, &argument);
}

static void allow_all(struct calls *l, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		allow(l, calls[i]);
}

static struct scmp_arg_cmp without(unsigned argument, uint64_t bits)
{
	return (struct scmp_arg_cmp){ .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = bits, .datum_b = 0 };
}

static struct scmp_arg_cmp equal(unsigned argument, uint64_t value)
{
	return (struct scmp_arg_cmp){ .arg = argument, .op = SCMP_CMP_EQ, .datum_a = value };
}

/* Sending with MSG_FASTOPEN connects, past every rule for connect(). */
static void allow_to_send(struct calls *l)
{
	allow_if(l, SCMP_SYS(sendto), without(3, MSG_FASTOPEN));
	allow_if(l, SCMP_SYS(sendmsg), without(2, MSG_FASTOPEN));
	allow_if(l, SCMP_SYS(sendmmsg), without(3, MSG_FASTOPEN));
	/* libunbound begins each TCP connection so, and goes on with connect() where it hears that there is no such thing. */
	if ((l->may & MAY_ASK_UDP) != 0) {
		const struct scmp_arg_cmp fast = { .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = MSG_FASTOPEN, .datum_b = MSG_FASTOPEN };
		add(l, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(sendmsg), 1, &fast);
	}
}

static void allow_sockets(struct calls *l, int type, int protocol)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const int protocols[] = { 0, protocol };
	for (size_t f = 0; f < COUNT(families); f++)
		for (size_t p = 0; p < COUNT(protocols); p++) {
			const struct scmp_arg_cmp these[] = {
				equal(0, (uint64_t)families[f]),
				{ .arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = TYPE_MASK, .datum_b = (uint64_t)type },
				equal(2, (uint64_t)protocols[p]),
			};
			add(l, SCMP_ACT_ALLOW, SCMP_SYS(socket), COUNT(these), these);
		}
}

static void allow_to_connect(struct calls *l)
{
	if ((l->may & MAY_CONNECT) != 0)
		allow_sockets(l, SOCK_STREAM, IPPROTO_TCP);
	if ((l->may & MAY_ASK_UDP) != 0)
		allow_sockets(l, SOCK_DGRAM, IPPROTO_UDP);
	if ((l->may & MAY_SEE_ADDRESSES) != 0) {
		const struct scmp_arg_cmp routes[] = { equal(0, AF_NETLINK), equal(2, NETLINK_ROUTE) };
		add(l, SCMP_ACT_ALLOW, SCMP_SYS(socket), COUNT(routes), routes);
	}
	allow(l, SCMP_SYS(connect));
	allow(l, SCMP_SYS(bind));
	allow_if(l, SCMP_SYS(socketpair), equal(0, AF_UNIX));
}

/* Threads, but neither processes nor namespaces. */
static void allow_threads(struct calls *l)
{
	enum { THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD };
	const uint64_t spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
	                        CLONE_NEWNET;
	allow_if(l, SCMP_SYS(clone),
	         (struct scmp_arg_cmp){ .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = THREAD | spaces, .datum_b = THREAD });
}

/* What a library asks of a descriptor; that it is no terminal it may hear. */
static void allow_ioctl(struct calls *l)
{
	static const uint64_t allowed[] = { FIONBIO, FIOCLEX, FIONREAD }, in_vain[] = { TCGETS, TIOCGWINSZ };
	for (size_t i = 0; i < COUNT(allowed); i++)
		allow_if(l, SCMP_SYS(ioctl), equal(1, allowed[i]));
	for (size_t i = 0; i < COUNT(in_vain); i++) {
		struct scmp_arg_cmp one = equal(1, in_vain[i]);
		add(l, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 1, &one);
	}
}

/* A limit may be asked for, not changed. */
static void allow_to_ask_for_limits(struct calls *l)
{
	struct scmp_arg_cmp change = { .arg = 2, .op = SCMP_CMP_NE, .datum_a = 0 };
	allow_if(l, SCMP_SYS(prlimit64), equal(2, 0));
	add(l, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, &change);
}

/* fstat() by another name, which asks about a descriptor; about a path it may not. */
static void allow_fstat(struct calls *l)
{
	struct scmp_arg_cmp path = without(3, AT_EMPTY_PATH), descriptor = path;
	descriptor.datum_b = AT_EMPTY_PATH;
	allow_if(l, SCMP_SYS(newfstatat), descriptor);
	add(l, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(newfstatat), 1, &path);
}

static void fill(struct calls *l)
{
	allow_all(l, always, COUNT(always));
	allow_if(l, SCMP_SYS(mmap), without(2, PROT_EXEC));
	allow_if(l, SCMP_SYS(mprotect), without(2, PROT_EXEC));
	allow_if(l, SCMP_SYS(tgkill), equal(0, (uint64_t)getpid())); /* abort() */
	allow_ioctl(l);
	allow_to_ask_for_limits(l);
	allow_to_send(l);
	if ((l->may & MAY_ACCEPT) != 0)
		allow(l, SCMP_SYS(accept4));
	if ((l->may & (MAY_CONNECT | MAY_ASK_UDP)) != 0)
		allow_to_connect(l);
	if ((l->may & MAY_START_THREADS) != 0)
		allow_threads(l);
	if ((l->may & MAY_USE_FOLDERS) != 0)
		allow_all(l, in_folders, COUNT(in_folders));
	else
		allow_fstat(l);
}

/* A call may be in both lists: what is allowed is not refused as well. */
static bool is_in_folders(int call)
{
	for (size_t i = 0; i < COUNT(in_folders); i++)
		if (in_folders[i] == call)
			return true;
	return false;
}

static void refuse_politely(struct calls *l)
{
	for (size_t i = 0; i < COUNT(tried_in_vain); i++)
		if ((l->may & MAY_USE_FOLDERS) == 0 || !is_in_folders(tried_in_vain[i].call))
			add(l, SCMP_ACT_ERRNO((unsigned)tried_in_vain[i].error), tried_in_vain[i].call, 0, NULL);
}

/* ---- into the kernel ---- */

static fault load(const struct calls *l, struct why *why)
{
	static struct sock_filter code[INSTRUCTIONS_MAX] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0), /* another machine's: libseccomp knows what to do */
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN_CALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	enum { BEFORE = 5 };
	int file = memfd_create("calls", MFD_CLOEXEC);
	int error = file < 0 ? -errno : seccomp_export_bpf(l->ctx, file);
	ssize_t n = error == 0 ? pread(file, code + BEFORE, sizeof code - BEFORE * sizeof code[0], 0) : -1;
	fd_close(&file);
	if (n <= 0 || (size_t)n % sizeof code[0] != 0 || (size_t)n == sizeof code - BEFORE * sizeof code[0])
		return why_say(why, F_SYS, "the list of system calls cannot be written: %s", strerror(error < 0 ? -error : errno));
	struct sock_fprog program = { .len = (unsigned short)(BEFORE + (size_t)n / sizeof code[0]), .filter = code };
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		return why_say(why, F_SYS, "the kernel refuses the list of system calls: %s", strerror(errno));
	return OK;
}

/* It does not look which machine's call it is: the number is the same on all for which Debian has a libseccomp. */
fault confine_without_rings(struct why *why)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	static bool done; /* of the process, as the filter is */
	struct sock_fprog program = { .len = COUNT(code), .filter = code };
	if (done)
		return OK;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return why_say(why, F_SYS, "the kernel does not let us do without io_uring: %s", strerror(errno));
	done = true;
	return OK;
}

fault seccomp_enforce(unsigned may, struct why *why)
{
	struct calls l = { .ctx = seccomp_init(SCMP_ACT_KILL_PROCESS), .may = may };
	if (l.ctx == NULL)
		return why_say(why, F_SYS, "libseccomp does not start");
	fill(&l);
	refuse_politely(&l);
	/* Not the thread alone, which would leave a keeper that does not answer. */
	int error = seccomp_attr_set(l.ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error != 0 && l.error == 0)
		l.error = error;
	/* As a tree: a handful of comparisons for each call instead of a hundred. */
	(void)seccomp_attr_set(l.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	fault f = l.error == 0 ? load(&l, why)
	                       : why_say(why, F_SYS, "libseccomp refuses a rule: %s", strerror(-l.error));
	seccomp_release(l.ctx);
	return f;
}
