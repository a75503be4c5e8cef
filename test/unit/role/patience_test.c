/* SPDX-License-Identifier: ISC */
/* How long a role may take over its configuration: only silence counts. */
#include "unit.h"

#include <sys/socket.h>

#include "role/role.h"
#include "role/supervisor/slot.h"
#include "sys/socket.h"

enum { S = 1000, OFFERED = 7 * S };

/* When it was looked at, with what was heard until then; the last time is that of its end, or of the last look. */
static int64_t looks(int64_t (*heard_by)(int64_t now_ms), int64_t *at, size_t max, size_t *n_out)
{
	int64_t now = OFFERED;
	for (*n_out = 0; *n_out < max; ++*n_out) {
		int64_t next = patience_until_ms(OFFERED, heard_by(now), now);
		if (next == 0)
			return now;
		assert_true(next > now);
		at[*n_out] = now = next;
	}
	return now;
}

static int64_t nothing(int64_t now_ms)
{
	(void)now_ms;
	return OFFERED;
}

static int64_t always(int64_t now_ms)
{
	return now_ms - S;
}

static int64_t for_an_hour(int64_t now_ms)
{
	return now_ms < OFFERED + 3600 * S ? now_ms - S : OFFERED + 3600 * S;
}

static void silence_has_an_end(void **state)
{
	(void)state;
	int64_t at[10];
	size_t n;
	assert_int_equal(looks(nothing, at, 10, &n), OFFERED + 120 * S);
	assert_int_equal(n, 4);
	static const int64_t want[] = { 20, 40, 80, 120 };
	for (size_t i = 0; i < n; i++)
		assert_int_equal(at[i], OFFERED + want[i] * S);
}

static void who_gets_on_has_time(void **state)
{
	(void)state;
	int64_t at[1000];
	size_t n;
	int64_t last = looks(always, at, COUNT(at), &n);
	assert_int_equal(n, COUNT(at));
	assert_true(last > OFFERED + 24 * 3600 * S);
	assert_true(n < 1200); /* a line in two minutes */
}

static void who_falls_silent_late_hangs_too(void **state)
{
	(void)state;
	int64_t at[100];
	size_t n;
	int64_t end = looks(for_an_hour, at, COUNT(at), &n);
	assert_in_range(end, OFFERED + 3720 * S, OFFERED + 3960 * S);
}

/* ---- a role that says so ---- */

static int64_t wall_s = 1800000000;
static int supervisor_fd;
static unsigned told[4];

int64_t __wrap_clock_wall_s(void);
int64_t __wrap_clock_wall_s(void)
{
	return wall_s;
}

static unsigned waiting_bytes(void)
{
	char bytes[4096];
	ssize_t n = recv(supervisor_fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	return n < 0 ? 0 : (unsigned)n;
}

/* The turn does not end meanwhile: what is said has left all the same. */
static fault apply_slowly(void *role, const struct conf *conf, struct why *why)
{
	(void)conf, (void)why;
	struct role_base *b = *(struct role_base **)role;
	told[0] = waiting_bytes();
	role_working(b);
	told[1] = waiting_bytes();
	wall_s++;
	role_working(b);
	told[2] = waiting_bytes();
	role_working(b);
	told[3] = waiting_bytes();
	return OK;
}

static void on_ready(void *owner, unsigned kind, const void *msg, int fd)
{
	(void)msg, (void)fd;
	static const unsigned want[] = { FROM_ROLE_WORKING, FROM_ROLE_READY };
	unsigned *n = owner;
	assert_in_range(*n, 0, 1);
	assert_int_equal(kind, want[*n]);
	++*n;
}

static void on_closed(void *owner, const char *reason)
{
	(void)owner;
	fail_msg("%s", reason);
}

static void stop(void *owner)
{
	loop_stop(owner);
}

static void nothing_to_free(void *role)
{
	(void)role;
}

static void a_role_says_that_it_gets_on(void **state)
{
	(void)state;
	static const struct channel_handler handler = { on_ready, on_closed };
	static const struct role_hooks hooks = { .name = "spool", .apply = apply_slowly, .free = nothing_to_free };
	static const char text[] = "hostname mx1.example.org\npostmaster a@example.net\nrun-as x\nlisten mx {\n on 127.0.0.1:25\n}\n"
	                           "tls mx1.example.org {\n cert /c\n key /k\n}\n";
	struct loop *loop = loop_new();
	struct role_base *base = NULL;
	struct timer limit;
	int pair[2];
	unsigned n = 0;
	assert_int_equal(socket_pair(pair), OK);
	supervisor_fd = pair[0];
	struct channel *supervisor = channel_new(loop, pair[0], &role_to_supervisor, &supervisor_to_role, &handler, &n);
	base = role_base_new(loop, pair[1], &hooks, &base);
	channel_send(supervisor, TO_ROLE_CONFIG_TEXT, &(struct to_role_config_text){ .generation = 1, .name = STR("c"), .text = str_of(text) });
	channel_send(supervisor, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = 1 });
	timer_init(&limit, loop, stop, loop);
	while (n < 2) {
		timer_set(&limit, loop_now_ms(loop) + 20);
		loop_run(loop);
	}
	timer_clear(&limit);
	assert_int_equal(told[0], 0);
	assert_int_equal(told[1], 0);
	assert_true(told[2] > 0);
	assert_int_equal(told[3], told[2]);
	role_free(&base);
	channel_close(&supervisor);
	loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_has_an_end),
		cmocka_unit_test(who_gets_on_has_time),
		cmocka_unit_test(who_falls_silent_late_hangs_too),
		cmocka_unit_test(a_role_says_that_it_gets_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
