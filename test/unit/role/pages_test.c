/* SPDX-License-Identifier: ISC */
/* What a front is given to count its clients on: all pages, or it is not to live. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/check.h"
#include "ipc/supervisor.h"
#include "role/supervisor/slot.h"
#include "sys/socket.h"

enum { FRONTS = 3 };

static unsigned descriptors = UINT32_MAX; /* left */

int __real_fd_dup(int fd);
int __wrap_fd_dup(int fd);
int __wrap_fd_dup(int fd)
{
	if (descriptors == 0)
		return -1;
	descriptors--;
	return __real_fd_dup(fd);
}

struct front_end { struct loop *loop; unsigned pages, own, closed; };

static void on_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct front_end *f = owner;
	const struct to_role_crowd *m = msg;
	assert_int_equal(kind, TO_ROLE_CROWD);
	assert_true(fd >= 0);
	f->pages++;
	f->own += m->own == 1;
	assert_int_equal(m->own, m->instance == 1);
	fd_close(&fd);
}

static void on_closed(void *owner, const char *reason)
{
	struct front_end *f = owner;
	(void)reason;
	f->closed = 1;
	loop_stop(f->loop);
}

static void ignore_message(void *owner, unsigned kind, const void *msg, int fd)
{
	(void)owner;
	(void)kind;
	(void)msg;
	(void)fd;
}

static void ignore_end(void *owner, const char *reason)
{
	(void)owner;
	(void)reason;
}

/* Gives the second of three fronts its pages; *seen: what arrived. */
static bool give(struct supervisor *sv, enum role_kind kind, struct front_end *seen)
{
	static const struct channel_handler as_front = { on_message, on_closed }, as_supervisor = { ignore_message, ignore_end };
	int pair[2];
	*seen = (struct front_end){ .loop = loop_new() };
	assert_int_equal(socket_pair(pair), OK);
	struct channel *front = channel_new(seen->loop, pair[1], &supervisor_to_role, &role_to_supervisor, &as_front, seen);
	struct slot s = { .sv = sv, .kind = kind, .instance = 1 };
	s.control = channel_new(seen->loop, pair[0], &role_to_supervisor, &supervisor_to_role, &as_supervisor, NULL);
	bool given = pages_give(&s);
	channel_close(&s.control); /* what was sent goes out first */
	loop_run(seen->loop);
	assert_int_equal(seen->closed, 1);
	channel_close(&front);
	loop_free(&seen->loop);
	return given;
}

static void a_front_gets_all_pages_or_is_not_started(void **state)
{
	struct supervisor *sv = NEW(struct supervisor);
	struct front_end seen;
	(void)state;
	pages_make(sv, FRONTS);
	assert_int_equal(sv->n_pages, FRONTS);
	for (unsigned left = 0; left < FRONTS; left++) {
		descriptors = left;
		assert_false(give(sv, ROLE_FRONT, &seen));
	}
	descriptors = FRONTS;
	assert_true(give(sv, ROLE_FRONT, &seen));
	assert_int_equal(seen.pages, FRONTS);
	assert_int_equal(seen.own, 1);
	/* Nobody else gets any, so nobody else lacks one. */
	assert_int_equal(descriptors, 0);
	assert_true(give(sv, ROLE_SPOOL, &seen));
	assert_int_equal(seen.pages, 0);
	pages_free(sv);
	free(sv);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_front_gets_all_pages_or_is_not_started) };
	return cmocka_run_group_tests_name("supervisor/pages", tests, NULL, NULL);
}
