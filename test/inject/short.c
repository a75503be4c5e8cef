/* SPDX-License-Identifier: ISC */
/*
 * short -- makes the N-th call of one kind move few bytes, or brk() get no memory, truly: the length that the process asks for is cut before the
 * kernel sees it. strace can only pretend (`retval=3`: nothing is moved, and the process is told 3), which no disk does.
 *
 *     short -o FILE -p PID CALL N BYTES              a process that is there
 *     short -o FILE -s CALL N BYTES PROGRAM ...      becomes PROGRAM; a grandchild of ours watches it
 *
 * FILE says INJECTED once it has happened.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
int main(void)
{
	(void)fprintf(stderr, "short: only for x86-64\n");
	return 77;
}
#else

/* Where the length is: the third argument, an iovec, a msghdr's iovec. Or BREAK: brk() is asked for nothing, and so tells the old
 * end of the heap, which is how the kernel says that there is no memory; an error it never returns. */
enum how { LENGTH, VECTOR, MESSAGE, BREAK };

static const struct { const char *name; long number; enum how how; } calls[] = {
	{ "read", SYS_read, LENGTH },         { "pread64", SYS_pread64, LENGTH },   { "write", SYS_write, LENGTH },
	{ "pwrite64", SYS_pwrite64, LENGTH }, { "sendto", SYS_sendto, LENGTH },     { "recvfrom", SYS_recvfrom, LENGTH },
	{ "writev", SYS_writev, VECTOR },     { "pwritev", SYS_pwritev, VECTOR },   { "sendmsg", SYS_sendmsg, MESSAGE },
	{ "recvmsg", SYS_recvmsg, MESSAGE },  { "brk", SYS_brk, BREAK },
};

struct cut {
	pid_t in;            /* whose call is under way, cut; 0: none */
	uintptr_t at;        /* the iovec that was changed; 0: a register was */
	struct iovec was;
	bool is_break;
	unsigned long length; /* what the third argument was; brk()'s only one */
};

static void die(const char *what)
{
	(void)fprintf(stderr, "short: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool peek(pid_t pid, uintptr_t at, void *to, size_t n)
{
	struct iovec ours = { to, n }, theirs = { (void *)at, n };
	return process_vm_readv(pid, &ours, 1, &theirs, 1, 0) == (ssize_t)n;
}

static void poke(pid_t pid, uintptr_t at, void *from, size_t n)
{
	struct iovec ours = { from, n }, theirs = { (void *)at, n };
	if (process_vm_writev(pid, &ours, 1, &theirs, 1, 0) != (ssize_t)n)
		die("process_vm_writev");
}

static bool is_datagram(pid_t pid, int fd)
{
	int type = SOCK_STREAM;
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	int copy = process >= 0 ? (int)syscall(SYS_pidfd_getfd, process, fd, 0) : -1;
	if (copy >= 0)
		(void)getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof type });
	(void)close(copy);
	(void)close(process);
	return type != SOCK_STREAM;
}

/* Pipes, eventfds and datagrams pass small records whole, always, and those who use them rely on it. */
static bool comes_whole(pid_t pid, int fd)
{
	if (is_datagram(pid, fd))
		return true;
	char path[64], to[64] = "";
	(void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
	return readlink(path, to, sizeof to - 1) < 0 || strncmp(to, "pipe:", 5) == 0 || strncmp(to, "anon_inode:", 11) == 0;
}

/* False if there is nothing to cut: so few bytes are asked for anyway. */
static bool cut_it(pid_t pid, struct user_regs_struct *r, enum how how, size_t bytes, struct cut *c)
{
	*c = (struct cut){ .in = pid, .length = r->rdx };
	if (how == BREAK) {
		c->is_break = true;
		c->length = r->rdi;
		r->rdi = 0;
		return ptrace(PTRACE_SETREGS, pid, NULL, r) == 0;
	}
	if (comes_whole(pid, (int)r->rdi))
		return false;
	if (how == LENGTH) {
		if (r->rdx <= bytes)
			return false;
		r->rdx = bytes;
		return ptrace(PTRACE_SETREGS, pid, NULL, r) == 0;
	}
	c->at = r->rsi;
	struct msghdr m;
	if (how == MESSAGE) {
		if (!peek(pid, r->rsi, &m, sizeof m) || m.msg_iovlen != 1)
			return false; /* with a second part, a hole would be cut into the middle */
		c->at = (uintptr_t)m.msg_iov;
	}
	if (!peek(pid, c->at, &c->was, sizeof c->was) || c->was.iov_len <= bytes)
		return false;
	struct iovec less = { c->was.iov_base, bytes };
	poke(pid, c->at, &less, sizeof less);
	if (how == VECTOR && r->rdx > 1) {
		r->rdx = 1;
		return ptrace(PTRACE_SETREGS, pid, NULL, r) == 0;
	}
	return true;
}

static void put_back(pid_t pid, struct cut *c)
{
	struct user_regs_struct r;
	if (c->at != 0)
		poke(pid, c->at, &c->was, sizeof c->was);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &r) == 0) {
		if (c->is_break)
			r.rdi = c->length;
		else
			r.rdx = c->length;
		(void)ptrace(PTRACE_SETREGS, pid, NULL, &r);
	}
	c->in = 0;
}

/* Each thread has a count of its own, as with strace. */
static unsigned long count_of(pid_t pid)
{
	static struct { pid_t pid; unsigned long n; } counts[256];
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		if (counts[i].pid == pid || counts[i].pid == 0) {
			counts[i].pid = pid;
			return ++counts[i].n;
		}
	}
	return 0;
}

static void watch(FILE *out, size_t which, unsigned long number, size_t bytes)
{
	struct cut c = { 0 };
	bool done = false;
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0)
			return; /* all have ended */
		if (!WIFSTOPPED(status))
			continue;
		int sig = WSTOPSIG(status), event = status >> 16;
		if (sig == (SIGTRAP | 0x80)) {
			struct user_regs_struct r;
			struct __ptrace_syscall_info info;
			if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0)
				continue;
			if (c.in == pid && info.op == PTRACE_SYSCALL_INFO_EXIT)
				put_back(pid, &c);
			if (!done && info.op == PTRACE_SYSCALL_INFO_ENTRY && (long)info.entry.nr == calls[which].number &&
			    count_of(pid) == number) {
				done = true;
				if (ptrace(PTRACE_GETREGS, pid, NULL, &r) == 0 && cut_it(pid, &r, calls[which].how, bytes, &c))
					(void)fprintf(out, "%d %s (INJECTED)\n", pid, calls[which].name);
				else
					c.in = 0;
				(void)fflush(out);
			}
			sig = 0;
		} else if (event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP)) {
			(void)ptrace(PTRACE_LISTEN, pid, NULL, NULL);
			continue;
		} else if (event != 0) {
			sig = 0;
		}
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)sig);
	}
}

static void attach(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(intptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)) != 0)
		die("PTRACE_SEIZE");
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0)
		die("PTRACE_INTERRUPT");
}

/* The program keeps our pid: its parent's child stays what it was. */
static void become(char **program, FILE *out, size_t which, unsigned long number, size_t bytes)
{
	int ready[2];
	pid_t us = getpid();
	if (pipe(ready) != 0)
		die("pipe");
	pid_t child = fork();
	if (child == 0 && fork() == 0) {
		attach(us);
		(void)close(ready[0]);
		(void)close(ready[1]);
		watch(out, which, number, bytes);
		exit(0);
	}
	if (child == 0)
		_exit(0);
	(void)waitpid(child, NULL, 0);
	(void)close(ready[1]);
	char byte;
	(void)!read(ready[0], &byte, 1); /* ends when the watcher is there */
	(void)close(ready[0]);
	(void)fclose(out);
	(void)execv(program[0], program);
	die(program[0]);
}

int main(int argc, char **argv)
{
	const char *to = NULL;
	pid_t pid = 0;
	int opt;
	bool start = false;
	while ((opt = getopt(argc, argv, "+o:p:s")) != -1) {
		if (opt == 'o')
			to = optarg;
		else if (opt == 'p')
			pid = atoi(optarg);
		else if (opt == 's')
			start = true;
	}
	if (to == NULL || argc - optind < 3 || start == (pid != 0) || (start && argc - optind < 4)) {
		(void)fprintf(stderr, "usage: short -o FILE {-p PID CALL N BYTES | -s CALL N BYTES PROGRAM ...}\n");
		return 64;
	}
	size_t which = 0;
	while (which < sizeof calls / sizeof calls[0] && strcmp(calls[which].name, argv[optind]) != 0)
		which++;
	if (which == sizeof calls / sizeof calls[0]) {
		(void)fprintf(stderr, "short: no idea how to cut %s\n", argv[optind]);
		return 64;
	}
	FILE *out = fopen(to, "we");
	if (out == NULL)
		die(to);
	unsigned long number = strtoul(argv[optind + 1], NULL, 10), bytes = strtoul(argv[optind + 2], NULL, 10);
	if (start)
		become(argv + optind + 3, out, which, number, bytes);
	attach(pid);
	watch(out, which, number, bytes);
	return 0;
}
#endif
