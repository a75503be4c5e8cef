/* SPDX-License-Identifier: ISC */
/* sys/child.c -- a role as a process of its own: fork, and this same program executed anew. */
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/loop_uv.h"
#include "sys/socket.h"

enum { CONTROL_FD = 3, FIRST_FREE_FD = 4, EXIT_NOT_STARTED = 71, ROLE_ARGUMENT = 2 };

struct child {
	uv_signal_t watch;
	pid_t pid;          /* 0 once it has ended */
	void (*ended)(void *owner, const char *how);
	void *owner;
};

/* All that the new process needs, made ready before the fork: afterwards only async-signal-safe calls are allowed. */
struct launch {
	char **arguments;
	int control, program, null;
	bool become, keeps_chroot;
	uint32_t uid, gid;
	pid_t parent;
	char **environment;
};

static void describe(int status, char *to, size_t n)
{
	if (WIFSIGNALED(status))
		(void)snprintf(to, n, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(to, n, "exit status %d", WEXITSTATUS(status));
}

static void on_sigchld(uv_signal_t *watch, int number)
{
	(void)number;
	struct child *c = watch->data;
	int status;
	char how[128];
	pid_t ended;
	if (c->pid == 0)
		return;
	do
		ended = waitpid(c->pid, &status, WNOHANG);
	while (ended < 0 && errno == EINTR);
	if (ended != c->pid)
		return;
	c->pid = 0;
	(void)uv_signal_stop(&c->watch);
	describe(status, how, sizeof how);
	c->ended(c->owner, how);
}

/* Ctrl-C and a service manager signal every process of the group; only the supervisor decides what that means. */
static void ignore_what_is_meant_for_the_supervisor(void)
{
	static const int meant[] = { SIGHUP, SIGINT, SIGTERM };
	for (size_t i = 0; i < COUNT(meant); i++)
		(void)signal(meant[i], SIG_IGN);
}

static bool arrange_descriptors(const struct launch *l)
{
	/* The program's descriptor is moved out of the way of those that have fixed numbers. */
	int program = fcntl(l->program, F_DUPFD_CLOEXEC, FIRST_FREE_FD + 1);
	int control = fcntl(l->control, F_DUPFD_CLOEXEC, FIRST_FREE_FD + 1);
	if (program < 0 || control < 0 || dup2(l->null, 0) < 0 || dup2(l->null, 1) < 0 || dup2(control, CONTROL_FD) < 0 ||
	    dup3(program, FIRST_FREE_FD, O_CLOEXEC) < 0)
		return false;
	return syscall(SYS_close_range, FIRST_FREE_FD + 1, ~0u, 0) == 0;
}

static bool keeps_secrets(const char *role)
{
	return strcmp(role, "keeper") == 0;
}

/* The one right that an empty root takes survives the change of user and the new program. Without it, there is no such root. */
static void keep_chroot(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t one = 1u << CAP_SYS_CHROOT;
	struct __user_cap_data_struct these[_LINUX_CAPABILITY_U32S_3] = { { .effective = one, .permitted = one, .inheritable = one } };
	if (syscall(SYS_capset, &head, these) == 0)
		(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_CHROOT, 0, 0);
}

static bool become_user(const struct launch *l)
{
	if (l->keeps_chroot && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return false;
	if (setgroups(0, NULL) != 0 || setresgid(l->gid, l->gid, l->gid) != 0 || setresuid(l->uid, l->uid, l->uid) != 0)
		return false;
	if (l->keeps_chroot)
		keep_chroot();
	return true;
}

_Noreturn static void run_role(const struct launch *l)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	ignore_what_is_meant_for_the_supervisor();
	if (!arrange_descriptors(l))
		_exit(EXIT_NOT_STARTED);
	if (keeps_secrets(l->arguments[ROLE_ARGUMENT])) /* it wants to lock them in memory: raised while we still may */
		(void)setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	if (l->become && !become_user(l))
		_exit(EXIT_NOT_STARTED);
	/* A program file with capabilities of its own gives the role none. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		_exit(EXIT_NOT_STARTED);
	/* After the change of user, which resets it. No role outlives the supervisor. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != l->parent)
		_exit(EXIT_NOT_STARTED);
	(void)syscall(SYS_execveat, FIRST_FREE_FD, "", l->arguments, l->environment, AT_EMPTY_PATH);
	_exit(EXIT_NOT_STARTED);
}

/* The C library overwrites what is given back to it: what libraries copy and do not wipe themselves. It can be told so only
 * from outside, and passes by its caches then; others than glibc do not listen. */
static const char wiping[] = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.perturb=165";

/* The environment without what is meant for the supervisor alone. */
static char **role_environment(const char *role)
{
	size_t n = 0, kept = 0;
	bool wipes = keeps_secrets(role);
	while (environ[n] != NULL)
		n++;
	char **copy = must_alloc((n + 2) * sizeof *copy);
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0 && !(wipes && strncmp(environ[i], "GLIBC_TUNABLES=", 15) == 0))
			copy[kept++] = environ[i];
	if (wipes)
		copy[kept] = (char *)(uintptr_t)wiping;
	return copy;
}

/* "sealpost role NAME FOLDER ...", as ps(1) shows it. */
static char **role_arguments(const struct child_plan *plan)
{
	static const char *const first[] = { "sealpost", "role" };
	char **arguments = must_alloc((COUNT(first) + plan->n_folders + 2) * sizeof *arguments);
	size_t n = 0;
	for (size_t i = 0; i < COUNT(first); i++)
		arguments[n++] = (char *)(uintptr_t)first[i];
	arguments[n++] = (char *)(uintptr_t)plan->role;
	for (size_t i = 0; i < plan->n_folders; i++)
		arguments[n++] = (char *)(uintptr_t)plan->folders[i];
	return arguments;
}

static fault prepare(struct launch *l, const struct child_plan *plan, struct why *why)
{
	if (plan->user != NULL && process_is_root()) {
		l->uid = plan->uid;
		l->gid = plan->gid;
		if (!plan->is_known && user_find(plan->user, &l->uid, &l->gid) != OK)
			return why_say(why, F_ABSENT, "there is no user \"%s\" (run-as and mail-user name the accounts of the roles)",
			               plan->user);
		if (l->uid == 0)
			return why_say(why, F_DENIED, "\"%s\" is root's account, and no role runs as root", plan->user);
		l->become = true;
		l->keeps_chroot = plan->keeps_chroot;
	}
	l->program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	l->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (l->program < 0 || l->null < 0)
		return why_say(why, F_SYS, "cannot open %s: %s", l->program < 0 ? "/proc/self/exe" : "/dev/null",
		               strerror(errno));
	return OK;
}

static fault fork_role(struct launch *l, const struct child_plan *plan, int *ours_out, pid_t *pid_out, struct why *why)
{
	int pair[2];
	TRY(prepare(l, plan, why));
	if (socket_pair(pair) != OK)
		return why_say(why, F_LIMIT, "cannot make a socketpair: %s", strerror(errno));
	l->control = pair[1];
	l->environment = role_environment(plan->role);
	l->arguments = role_arguments(plan);
	pid_t pid = fork();
	if (pid == 0)
		run_role(l);
	int error = errno;
	free(l->environment);
	free(l->arguments);
	fd_close(&pair[1]);
	if (pid < 0) {
		fd_close(&pair[0]);
		return why_say(why, F_LIMIT, "cannot start a process: %s", strerror(error));
	}
	*ours_out = pair[0];
	*pid_out = pid;
	return OK;
}

static void free_child(uv_handle_t *watch)
{
	free(watch->data);
}

struct child *child_start(struct loop *loop, const struct child_plan *plan, int *control_fd_out,
                          void (*ended)(void *owner, const char *how), void *owner, struct why *why)
{
	struct child *c = NEW(struct child);
	c->ended = ended;
	c->owner = owner;
	check(uv_signal_init(loop_uv(loop), &c->watch) == 0);
	c->watch.data = c;
	/* Before the fork, so that no end is missed. */
	check(uv_signal_start(&c->watch, on_sigchld, SIGCHLD) == 0);

	struct launch l = { .control = -1, .program = -1, .null = -1, .parent = getpid() };
	fault f = fork_role(&l, plan, control_fd_out, &c->pid, why);
	fd_close(&l.program);
	fd_close(&l.null);
	if (f != OK)
		child_free(&c);
	return c;
}

void child_kill(struct child *c)
{
	if (c->pid > 0)
		(void)kill(c->pid, SIGKILL);
}

void child_free(struct child **c)
{
	if (*c == NULL)
		return;
	uv_close((uv_handle_t *)&(*c)->watch, free_child);
	*c = NULL;
}

int child_pid(const struct child *c)
{
	return c->pid;
}
