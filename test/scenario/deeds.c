/* SPDX-License-Identifier: ISC */
/*
 * test/scenario/deeds.c -- what somebody would try who has taken a role's process over.
 *
 *     deeds ROLE USER DEED ARGUMENT [FOLDER...]
 *
 * The role's process is started and confined as the server does it, then does the deed. ROLE may be "nobody": then nothing is
 * confined, which shows that the deed can be done. One word is printed: done, refused (with the error's name), or the name of
 * the signal that ended the process.
 *
 * Built with the tests only; nothing of it is in the program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/role.h"
#include "sys/process.h"
#include "sys/socket.h"

/* ---- the deeds: 0 done, -1 refused and errno ---- */

static const char *argument;   /* a path, a port or a process */

static const char *below(const char *name)
{
	static char path[4096];
	(void)snprintf(path, sizeof path, "%s/%s", argument, name);
	return path;
}

static int closed(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int read_file(void) { return closed(open(argument, O_RDONLY)); }
static int write_file(void) { return closed(open(argument, O_WRONLY)); }
static int empty_file(void) { return truncate(argument, 0); }
static int list_folder(void) { return closed(open(argument, O_RDONLY | O_DIRECTORY)); }
static int make_file(void) { return closed(open(below("made"), O_WRONLY | O_CREAT, 0600)); }
static int make_folder(void) { return mkdir(below("made"), 0700); }
static int make_fifo(void) { return mkfifo(below("fifo"), 0600); }
static int make_symlink(void) { return symlink("/etc", below("link")); }
static int make_socket_file(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s", below("socket"));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? -1 : bind(fd, (struct sockaddr *)&at, sizeof at);
}
static int link_file(void)
{
	char from[4096];
	(void)snprintf(from, sizeof from, "%s", below("a/one"));
	return link(from, below("b/two"));
}
static int remove_file(void) { return unlink(below("a/victim")); }
static int change_mode(void) { return chmod(argument, 0777); }
static int tell_size(void) { struct stat st; return stat(argument, &st); }
static int leave_root(void) { return closed(open("../../../../../../../etc/passwd", O_RDONLY)); }
static int change_root(void) { return chroot("/tmp"); }

static struct sockaddr_in loopback(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argument)) };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int connect_tcp(void)
{
	struct sockaddr_in to = loopback();
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to);
}

static int connect_by_sending(void)
{
	struct sockaddr_in to = loopback();
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? -1 : sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to) == 1 ? 0 : -1;
}

/* No socket of its own: with what is open already. */
static int send_fast_open(void)
{
	struct sockaddr_in to = loopback();
	return sendto(0, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to) == 1 || errno == ENOTSOCK ? 0 : -1;
}

static int send_udp(void)
{
	struct sockaddr_in to = loopback();
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	return fd < 0 ? -1 : sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1 ? 0 : -1;
}

static int connect_unix(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	(void)snprintf(to.sun_path, sizeof to.sun_path, "%s", argument);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to);
}

static int bind_tcp(void)
{
	struct sockaddr_in at = loopback();
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? -1 : bind(fd, (struct sockaddr *)&at, sizeof at);
}

static int bind_any_port(void)
{
	argument = "0";
	return bind_tcp();
}

static int listen_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? -1 : listen(fd, 1);
}

static int listen_here(void) { return listen(0, 1) == 0 || errno == ENOTSOCK ? 0 : -1; }
static int ask_netlink(void) { return closed(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int ask_netfilter(void) { return closed(socket(AF_NETLINK, SOCK_RAW, 12)); }
static int raw_packets(void) { return closed(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int other_family(void) { return closed(socket(AF_VSOCK, SOCK_STREAM, 0)); }

static int execute(void)
{
	char *const words[] = { (char[]){ "true" }, NULL };
	return execve("/bin/true", words, words + 1);
}

static int execute_memory(void)
{
	int fd = memfd_create("x", 0);
	return fd < 0 ? -1 : closed(fd);
}

static int run_written_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int fork_away(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid > 0 ? 0 : -1;
}

static void *nothing(void *unused)
{
	return unused;
}

static int start_thread(void)
{
	pthread_t thread;
	errno = pthread_create(&thread, NULL, nothing, NULL);
	return errno == 0 && pthread_join(thread, NULL) == 0 ? 0 : -1;
}

static int read_memory_file(void)
{
	char path[64];
	(void)snprintf(path, sizeof path, "/proc/%s/mem", argument);
	return closed(open(path, O_RDONLY));
}

static int read_memory(void)
{
	static char to[8];
	struct iovec here = { to, sizeof to }, there = { to, sizeof to }; /* the same program: something is there */
	return process_vm_readv(atoi(argument), &here, 1, &there, 1, 0) >= 0 || errno == EFAULT ? 0 : -1;
}

static int trace(void) { return ptrace(PTRACE_SEIZE, atoi(argument), NULL, NULL) == 0 ? 0 : -1; }
static int signal_process(void) { return kill(atoi(argument), 0); }
static int hold_process(void) { return closed((int)syscall(SYS_pidfd_open, atoi(argument), 0)); }

static int signal_parent(void)
{
	return kill(getppid(), 0);
}

static int become_root(void) { return setresuid(0, 0, 0); }
static int become_group(void) { return setresgid(0, 0, 0); }
static int change_groups(void) { return setgroups(0, NULL); }

static int raise_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[_LINUX_CAPABILITY_U32S_3] = { { ~0u, ~0u, ~0u }, { ~0u, ~0u, ~0u } };
	return (int)syscall(SYS_capset, &head, all);
}

static int mount_something(void) { return mount("none", "/mnt", "tmpfs", 0, NULL); }
static int own_namespace(void) { return unshare(CLONE_NEWUSER); }
static int keyring(void) { return syscall(SYS_keyctl, 0, -2, 1) >= 0 ? 0 : -1; }

static int own_ring(void)
{
	struct io_uring_params p = { 0 };
	return closed((int)syscall(SYS_io_uring_setup, 1, &p));
}

static int watch_performance(void)
{
	struct perf_event_attr a = { .type = PERF_TYPE_SOFTWARE, .size = sizeof a, .exclude_kernel = 1 };
	return closed((int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}

static int load_program(void) { return closed((int)syscall(SYS_bpf, 0, NULL, 0)); }
static int raise_limit(void) { return setrlimit(RLIMIT_CORE, &(struct rlimit){ 1, 1 }); }
static int be_dumped(void) { return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }
static int unknown_call(void) { return syscall(5000) == 0 ? 0 : -1; }
static int other_machines_call(void) { return syscall(0x40000000 | SYS_getpid) > 0 ? 0 : -1; }

#define DEED(name) { #name, name }
static const struct { const char *name; int (*try)(void); } deeds[] = {
	DEED(read_file), DEED(write_file), DEED(empty_file), DEED(list_folder), DEED(make_file), DEED(make_folder), DEED(make_fifo),
	DEED(make_symlink), DEED(make_socket_file), DEED(link_file), DEED(remove_file), DEED(change_mode), DEED(tell_size),
	DEED(leave_root), DEED(change_root), DEED(connect_tcp), DEED(connect_by_sending), DEED(send_fast_open), DEED(send_udp),
	DEED(connect_unix), DEED(bind_tcp), DEED(bind_any_port), DEED(listen_tcp), DEED(listen_here), DEED(ask_netlink),
	DEED(ask_netfilter), DEED(raw_packets), DEED(other_family), DEED(execute), DEED(execute_memory), DEED(run_written_memory),
	DEED(fork_away), DEED(start_thread), DEED(read_memory_file), DEED(read_memory), DEED(trace), DEED(signal_process),
	DEED(hold_process), DEED(signal_parent), DEED(become_root), DEED(become_group), DEED(change_groups),
	DEED(raise_capabilities), DEED(mount_something), DEED(own_namespace), DEED(keyring), DEED(own_ring),
	DEED(watch_performance), DEED(load_program), DEED(raise_limit), DEED(be_dumped), DEED(unknown_call),
	DEED(other_machines_call),
};

/* ---- in the role ---- */

enum { TOLD_FD = 3 };

static void do_it(const char *role)
{
	(void)role;
	const char *deed = getenv("DEED");
	argument = getenv("ARGUMENT");
	for (size_t i = 0; i < COUNT(deeds); i++) {
		if (deed == NULL || strcmp(deeds[i].name, deed) != 0)
			continue;
		bool done = deeds[i].try() == 0;
		char word[64];
		int n = snprintf(word, sizeof word, done ? "done" : "refused %s", strerrorname_np(errno));
		_exit(write(TOLD_FD, word, (size_t)n) == n ? 0 : 3);
	}
	_exit(4);
}

/* ---- the driver ---- */

struct driver { struct loop *loop; char how[128]; };

static void on_ended(void *owner, const char *how)
{
	struct driver *d = owner;
	(void)snprintf(d->how, sizeof d->how, "%s", how);
	loop_stop(d->loop);
}

/* As role/supervisor starts a role. */
static int drive(const char *role, const char *user, const char *const *folders, size_t n)
{
	struct driver d = { .loop = loop_new() };
	struct why why = { "" };
	char told[64] = "";
	int control = -1;
	struct child_plan plan = { .role = role, .user = strcmp(user, "-") == 0 ? NULL : user, .keeps_chroot = true,
	                           .folders = folders, .n_folders = n };
	struct child *c = child_start(d.loop, &plan, &control, on_ended, &d, &why);
	if (c == NULL) {
		fprintf(stderr, "deeds: %s\n", why.text);
		return 2;
	}
	loop_run(d.loop);
	bool said = read(control, told, sizeof told - 1) > 0;
	puts(said ? told : d.how);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "role") == 0 && strcmp(argv[2], "nobody") == 0) {
		do_it("nobody");
		return 4;
	}
	if (argc >= 3 && strcmp(argv[1], "role") == 0)
		return role_process(argv[2], (const char *const *)argv + 3, (size_t)argc - 3, do_it);
	if (argc == 2 && strcmp(argv[1], "victim") == 0) { /* does not hide, and lets anybody of its account trace it */
		(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		(void)write(STDOUT_FILENO, "", 1);
		for (;;)
			(void)pause();
	}
	if (argc < 5) {
		fprintf(stderr, "usage: deeds ROLE USER DEED ARGUMENT [FOLDER...]      USER may be -\n");
		return 2;
	}
	(void)setenv("DEED", argv[3], 1);
	(void)setenv("ARGUMENT", argv[4], 1);
	return drive(argv[1], argv[2], (const char *const *)argv + 5, (size_t)argc - 5);
}
