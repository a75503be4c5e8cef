/* SPDX-License-Identifier: ISC */
/* The children are this same test program, started as `role NAME`. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/clock.h"
#include "sys/process.h"
#include "sys/socket.h"

/* --- what the children do --- */

static int tell_descriptors(void)
{
	char text[64] = "";
	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			(void)snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", fd);
	return write(3, text, strlen(text)) > 0 ? 7 : 1;
}

static int role(const char *name)
{
	char c;
	if (strcmp(name, "tell") == 0)
		return tell_descriptors();
	if (strcmp(name, "abort") == 0)
		(void)raise(SIGKILL);
	if (strcmp(name, "deaf") == 0) { /* what is meant for the supervisor does not reach us */
		(void)raise(SIGTERM);
		(void)raise(SIGINT);
		(void)raise(SIGHUP);
		return getenv("NOTIFY_SOCKET") == NULL ? 9 : 8;
	}
	(void)fcntl(3, F_SETFL, 0);
	return read(3, &c, 1) == 0 ? 0 : 1; /* until the supervisor is gone */
}

/* --- the tests --- */

struct watch { struct loop *loop; char how[128]; unsigned ended; };

static void on_ended(void *owner, const char *how)
{
	struct watch *w = owner;
	(void)snprintf(w->how, sizeof w->how, "%s", how);
	w->ended++;
}

static void ends(const char *name, bool kill, const char *how)
{
	struct watch w = { .loop = loop_new() };
	int control = -1;
	struct why why;
	struct child *c = child_start(w.loop, &(struct child_plan){ .role = name }, &control, on_ended, &w, &why);
	assert_non_null(c);
	assert_true(child_pid(c) > 0);
	if (kill)
		child_kill(c);
	loop_run(w.loop); /* a child is something to wait for */
	assert_int_equal(w.ended, 1);
	assert_string_equal(w.how, how);
	child_kill(c); /* nobody */
	child_free(&c);
	fd_close(&control);
	loop_free(&w.loop);
}

static void the_end_of_a_child_is_told(void **state)
{
	(void)state;
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	ends("tell", false, "exit status 7");
	ends("abort", false, "signal 9 (Killed)");
	ends("deaf", false, "exit status 9");
	ends("wait", true, "signal 9 (Killed)");
	unsetenv("NOTIFY_SOCKET");
}

static void a_child_has_four_descriptors(void **state)
{
	(void)state;
	struct watch w = { .loop = loop_new() };
	int control = -1, extra = dup(2);
	char got[64] = "";
	struct child *c = child_start(w.loop, &(struct child_plan){ .role = "tell" }, &control, on_ended, &w, NULL);
	assert_non_null(c);
	loop_run(w.loop);
	assert_true(read(control, got, sizeof got - 1) > 0);
	assert_string_equal(got, "0 1 2 3 ");
	close(extra);
	fd_close(&control);
	child_free(&c);
	loop_free(&w.loop);
}

static void two_children_are_told_apart(void **state)
{
	(void)state;
	struct watch a = { .loop = loop_new() }, b = { .loop = a.loop };
	int ca = -1, cb = -1;
	struct child *first = child_start(a.loop, &(struct child_plan){ .role = "wait" }, &ca, on_ended, &a, NULL);
	struct child *second = child_start(a.loop, &(struct child_plan){ .role = "wait" }, &cb, on_ended, &b, NULL);
	fd_close(&ca);
	fd_close(&cb);
	loop_run(a.loop);
	assert_int_equal(a.ended, 1);
	assert_int_equal(b.ended, 1);
	assert_string_equal(a.how, "exit status 0");
	child_free(&first);
	child_free(&second);
	loop_free(&a.loop);
}

static void an_unknown_user_is_told(void **state)
{
	(void)state;
	uint32_t uid, gid;
	assert_int_equal(user_find("no-such-user-here", &uid, &gid), F_ABSENT);
	assert_int_equal(user_find("root", &uid, &gid), OK);
	assert_int_equal(uid, 0);
	char name[5];
	assert_int_equal(user_name(0, name, sizeof name), OK);
	assert_string_equal(name, "root");
	assert_int_equal(user_name(0, name, 4), F_LIMIT);
	assert_int_equal(user_name(4000000001, name, sizeof name), F_ABSENT);
	if (!process_is_root())
		return;
	struct watch w = { .loop = loop_new() };
	int control = -1;
	struct why why;
	assert_null(child_start(w.loop, &(struct child_plan){ .role = "wait", .user = "no-such-user-here" }, &control, on_ended, &w, &why));
	assert_non_null(strstr(why.text, "no-such-user-here"));
	assert_int_equal(control, -1);
	loop_free(&w.loop);
}

struct heard { struct loop *loop; unsigned reload, stop; };

static void on_signal(void *owner, enum signal_kind which)
{
	struct heard *h = owner;
	h->reload += which == SIGNAL_RELOAD;
	h->stop += which == SIGNAL_STOP;
	if (h->stop == 2)
		loop_stop(h->loop);
}

static void too_late(void *owner)
{
	(void)owner;
	fail_msg("no signal came");
}

static void signals_are_told(void **state)
{
	(void)state;
	struct heard h = { .loop = loop_new() };
	struct timer t;
	signals_watch(h.loop, on_signal, &h);
	timer_init(&t, h.loop, too_late, NULL);
	timer_set(&t, loop_now_ms(h.loop) + 20000);
	(void)raise(SIGHUP);
	(void)raise(SIGTERM);
	(void)raise(SIGINT);
	(void)raise(SIGPIPE); /* ignored */
	loop_run(h.loop);
	timer_clear(&t);
	assert_int_equal(h.reload, 1);
	assert_int_equal(h.stop, 2);
	loop_free(&h.loop);
}

/* What fails for a moment is to be said again; what nobody listens to is not. */
static void the_service_manager_may_be_told_later(void **state)
{
	(void)state;
	char path[64];
	struct rlimit were, few;
	(void)snprintf(path, sizeof path, "/tmp/sealpost-nobody-%d", (int)getpid());
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &were), 0);
	few = (struct rlimit){ 0, were.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	bool told = service_notify("READY=1");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &were), 0);
	assert_false(told);
	assert_true(service_notify("READY=1"));
	unsetenv("NOTIFY_SOCKET");
}

static void the_service_manager_is_told(void **state)
{
	(void)state;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char got[128] = "";
	(void)snprintf(at.sun_path, sizeof at.sun_path, "/tmp/sealpost-notify-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_true(service_notify("READY=1")); /* without NOTIFY_SOCKET: nothing */
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	assert_true(service_notify("READY=1"));
	assert_int_equal(recv(fd, got, sizeof got - 1, 0), 7);
	assert_string_equal(got, "READY=1");
	assert_true(service_notify("RELOADING=1\nSTATUS=Taking it"));
	assert_true(recv(fd, got, sizeof got - 1, 0) > 0);
	assert_non_null(strstr(got, "RELOADING=1\nSTATUS=Taking it\nMONOTONIC_USEC="));
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_true(service_notify("READY=1"));
	assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), -1);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
	unlink(at.sun_path);
}

struct sum { int a, b, result; bool done; };

static void add(void *job)
{
	struct sum *s = job;
	s->result = s->a + s->b;
}

static void added(void *job)
{
	struct sum *s = job;
	s->done = true;
}

static void work_is_done_and_told(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct sum s = { 2, 3, 0, false };
	work_start(loop, add, added, &s);
	assert_false(s.done);
	loop_run(loop);
	assert_true(s.done);
	assert_int_equal(s.result, 5);
	loop_free(&loop);
}

static void clock_and_chance(void **state)
{
	(void)state;
	assert_true(clock_wall_s() > 1700000000);
	assert_true(clock_wall_ms() / 1000 - clock_wall_s() <= 1);
	assert_true(random_u64() != random_u64());
	setenv("TZ", "XXX-05:30", 1);
	tzset();
	assert_int_equal(clock_zone_minutes(1700000000), 330);
	assert_true(process_peak_bytes() > 1 << 20);
	assert_int_equal(process_user(), geteuid());
	assert_true(process_cores() >= 1);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "role") == 0)
		return role(argv[2]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_child_is_told),
		cmocka_unit_test(a_child_has_four_descriptors),
		cmocka_unit_test(two_children_are_told_apart),
		cmocka_unit_test(an_unknown_user_is_told),
		cmocka_unit_test(signals_are_told),
		cmocka_unit_test(the_service_manager_is_told),
		cmocka_unit_test(the_service_manager_may_be_told_later),
		cmocka_unit_test(work_is_done_and_told),
		cmocka_unit_test(clock_and_chance),
	};
	return cmocka_run_group_tests_name("sys/process", tests, NULL, NULL);
}
