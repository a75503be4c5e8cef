/* SPDX-License-Identifier: ISC */
/* Half a day of a keeper's: every front gets new seeds for session tickets in time, and the one before with them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/front_keeper.h"
#include "ipc/supervisor.h"
#include "role/keeper/keeper.h"
#include "sys/channel.h"
#include "sys/socket.h"
#include "world.h"

/* Of the resolver, which does not run here. */
_Noreturn void process_end(int status)
{
	(void)status;
	abort();
}

enum { SEED_MS = TICKET_SEED_S * 1000, SEEDS_MAX = 8 };

struct front { unsigned n; char seeds[SEEDS_MAX][TLS_TICKET_SEED_BYTES]; int64_t at_ms[SEEDS_MAX]; };

static void on_seeds(void *owner, unsigned kind, const void *msg, int fd)
{
	struct front *f = owner;
	const struct keeper_ticket_seeds *m = msg;
	assert_int_equal(kind, KEEPER_TICKET_SEEDS);
	assert_int_equal(fd, -1);
	assert_true(f->n < SEEDS_MAX);
	assert_int_equal(m->present.n, TLS_TICKET_SEED_BYTES);
	memcpy(f->seeds[f->n], m->present.p, TLS_TICKET_SEED_BYTES);
	f->at_ms[f->n] = world.now_ms;
	if (f->n == 0) {
		assert_int_equal(m->past.n, 0);
	} else {
		assert_int_equal(m->past.n, TLS_TICKET_SEED_BYTES);
		assert_memory_equal(m->past.p, f->seeds[f->n - 1], TLS_TICKET_SEED_BYTES);
		assert_memory_not_equal(m->past.p, m->present.p, TLS_TICKET_SEED_BYTES);
	}
	f->n++;
}

static void ignore(void *owner, unsigned kind, const void *msg, int fd)
{
	(void)owner;
	(void)kind;
	(void)msg;
	fd_close(&fd);
}

static void closed(void *owner, const char *reason)
{
	(void)owner;
	(void)reason;
}

static void stop(void *owner)
{
	loop_stop(owner);
}

static struct channel *link_front(struct loop *loop, struct channel *control, unsigned instance, struct front *f)
{
	static const struct channel_handler handler = { on_seeds, closed };
	int pair[2];
	assert_int_equal(socket_pair(pair), OK);
	channel_send_fd(control, TO_ROLE_LINK, &(struct to_role_link){ ARROW_FRONT_KEEPER, instance }, pair[1]);
	return channel_new(loop, pair[0], &keeper_to_front, &front_to_keeper, &handler, f);
}

static void attack_42_seeds_rotate(void **state)
{
	static const struct channel_handler as_supervisor = { ignore, closed };
	struct front one = { 0 }, two = { 0 };
	struct timer end;
	int pair[2];
	(void)state;
	world_begin(42);
	struct loop *loop = loop_new();
	assert_int_equal(socket_pair(pair), OK);
	struct role_base *keeper = keeper_start(loop, pair[1]);
	struct channel *control = channel_new(loop, pair[0], &role_to_supervisor, &supervisor_to_role, &as_supervisor, NULL);
	struct channel *fronts[] = { link_front(loop, control, 0, &one), link_front(loop, control, 1, &two) };
	int64_t from_ms = world.now_ms;
	timer_init(&end, loop, stop, loop);
	timer_set(&end, loop_now_ms(loop) + 2 * (int64_t)SEED_MS + 1000);
	loop_run(loop);

	assert_int_equal(one.n, 3);
	assert_int_equal(two.n, 3);
	assert_memory_equal(one.seeds, two.seeds, sizeof one.seeds);
	for (unsigned i = 1; i < one.n; i++) {
		assert_true(one.at_ms[i] - from_ms >= (int64_t)i * SEED_MS);
		assert_true(one.at_ms[i] - from_ms < (int64_t)i * SEED_MS + 1000);
	}
	assert_true(2 * (int64_t)SEED_MS <= 24 * 3600 * 1000); /* no ticket is good for more than a day */
	timer_clear(&end);
	for (size_t i = 0; i < COUNT(fronts); i++)
		channel_close(&fronts[i]);
	role_free(&keeper);
	channel_close(&control);
	loop_free(&loop);
	net_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(attack_42_seeds_rotate) };
	return cmocka_run_group_tests_name("sim/rotation", tests, NULL, NULL);
}
