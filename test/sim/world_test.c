/* SPDX-License-Identifier: ISC */
/* The world itself: the same seed gives the same run, channels and descriptors work in it, a crash is a crash. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/arrows.h"
#include "ipc/sign.h"
#include "ipc/supervisor.h"
#include "role/role.h"
#include "sys/channel.h"
#include "sys/socket.h"
#include "world.h"

/* --- a role for the test: answers every COMMIT with READY, keeps one descriptor --- */

struct role_base { struct channel *control; int kept; void (*ended)(void *owner); void *owner; };

static void on_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct role_base *b = owner;
	if (kind == TO_ROLE_COMMIT) {
		uint64_t generation = ((const struct to_role_commit *)msg)->generation;
		channel_send(b->control, FROM_ROLE_READY, &(struct from_role_ready){ generation });
	} else if (fd >= 0) {
		fd_close(&b->kept);
		b->kept = fd;
		fd = -1;
	}
	fd_close(&fd);
}

static void on_closed(void *owner, const char *reason)
{
	struct role_base *b = owner;
	(void)reason;
	b->ended(b->owner);
}

struct role_base *role_start(struct loop *loop, const char *name, int control_fd)
{
	static const struct channel_handler handler = { on_message, on_closed };
	struct role_base *b = NEW(struct role_base);
	(void)name;
	b->kept = -1;
	b->control = channel_new(loop, control_fd, &supervisor_to_role, &role_to_supervisor, &handler, b);
	return b;
}

void role_free(struct role_base **b)
{
	if (*b == NULL)
		return;
	channel_close(&(*b)->control);
	fd_close(&(*b)->kept);
	free(*b);
	*b = NULL;
}

void role_on_end(struct role_base *base, void (*ended)(void *owner), void *owner)
{
	base->ended = ended;
	base->owner = owner;
}

/* --- its supervisor --- */

struct boss {
	struct loop *loop;
	struct child *child;
	struct channel *control;
	uint64_t ready, sum;
	char how[64];
	bool closed;
	uint64_t crash_at;
};

static void boss_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct boss *b = owner;
	assert_int_equal(kind, FROM_ROLE_READY);
	assert_int_equal(fd, -1);
	b->ready++;
	b->sum = b->sum * 31 + ((const struct from_role_ready *)msg)->generation + (uint64_t)world.now_ms;
}

static void boss_closed(void *owner, const char *reason)
{
	struct boss *b = owner;
	(void)reason;
	b->closed = true;
	channel_close(&b->control);
}

static void boss_ended(void *owner, const char *how)
{
	struct boss *b = owner;
	strcpy(b->how, how);
	child_free(&b->child);
}

static void maybe_crash(void *owner)
{
	struct boss *b = owner;
	if (b->crash_at != 0 && b->ready >= b->crash_at) {
		b->crash_at = 0;
		assert_true(roles_crash("any"));
	}
}

static void begin(struct boss *b, uint64_t seed)
{
	static const struct channel_handler handler = { boss_message, boss_closed };
	int fd = -1;
	world_begin(seed);
	*b = (struct boss){ .loop = loop_new() };
	b->child = child_start(b->loop, &(struct child_plan){ .role = "any" }, &fd, boss_ended, b, NULL);
	b->control = channel_new(b->loop, fd, &role_to_supervisor, &supervisor_to_role, &handler, b);
	world.weather = (struct weather){ .short_io = 5000, .delay = 5000, .delay_ms_max = 2000 };
	world.between_turns = maybe_crash;
	world.between_owner = b;
}

static void end(struct boss *b)
{
	channel_close(&b->control);
	child_free(&b->child);
	world.between_turns = NULL;
	loop_free(&b->loop);
	assert_int_equal(net_descriptors(), 0);
	net_end();
}

static void talk(struct boss *b)
{
	for (uint64_t i = 0; i < 200; i++) {
		struct to_role_commit m = { i };
		struct to_role_link link = { ARROW_FRONT_SPOOL, 0 };
		int pair[2];
		channel_send(b->control, TO_ROLE_COMMIT, &m);
		if (i % 10 != 0)
			continue;
		assert_int_equal(socket_pair(pair), OK);
		fd_close(&pair[1]);
		channel_send_fd(b->control, TO_ROLE_LINK, &link, pair[0]);
	}
	loop_run(b->loop);
}

static void the_same_seed_gives_the_same_run(void **state)
{
	(void)state;
	uint64_t sums[3], turns[3];
	for (uint64_t i = 0; i < 3; i++) {
		struct boss b;
		begin(&b, i == 2 ? 8 : 7);
		talk(&b);
		assert_int_equal(b.ready, 200);
		sums[i] = b.sum;
		turns[i] = world.turn;
		end(&b);
	}
	assert_int_equal(sums[0], sums[1]);
	assert_int_equal(turns[0], turns[1]);
	assert_true(sums[0] != sums[2]);
}

static void a_crash_closes_everything_and_is_told(void **state)
{
	(void)state;
	struct boss b;
	begin(&b, 3);
	b.crash_at = 1;
	talk(&b);
	assert_true(b.ready >= 1 && b.ready < 200);
	assert_true(b.closed);
	assert_string_equal(b.how, "signal 11 (Segmentation fault)");
	end(&b);
}

static void a_role_ends_with_its_supervisor(void **state)
{
	(void)state;
	struct boss b;
	begin(&b, 4);
	talk(&b);
	channel_close(&b.control);
	loop_run(b.loop);
	assert_string_equal(b.how, "exit status 0");
	end(&b);
	begin(&b, 5);
	talk(&b);
	child_kill(b.child);
	loop_run(b.loop);
	assert_string_equal(b.how, "signal 9 (Killed)");
	end(&b);
}

/* --- a question in the middle of a turn --- */

static void answer(void *owner, unsigned kind, const void *msg, int fd)
{
	struct channel **c = owner;
	const struct sign_request *m = msg;
	(void)fd;
	assert_int_equal(kind, SIGN_REQUEST);
	channel_send(*c, SIGN_DONE, &(struct sign_done){ m->message });
}

static void unreachable(void *owner, const char *reason)
{
	(void)owner;
	fail_msg("%s", reason);
}

static void note(void *owner)
{
	++*(unsigned *)owner;
}

static void a_question_is_answered_at_once_and_nothing_else_moves(void **state)
{
	(void)state;
	static const struct channel_handler handler = { answer, unreachable };
	int pair[2];
	unsigned kind = 9, put_off = 0;
	struct later later;
	struct buf scratch;
	_Alignas(max_align_t) char got[IPC_MESSAGE_SIZE_MAX];
	struct sign_request m = { STR("key"), STR("SHA256"), 0, STR("what is to be signed") };
	world_begin(1);
	struct loop *loop = loop_new();
	assert_int_equal(socket_pair(pair), OK);
	struct channel *signer = NULL;
	signer = channel_new(loop, pair[1], &to_signer, &from_signer, &handler, &signer);
	later_init(&later, note, &put_off);
	later_set(loop, &later);
	buf_init(&scratch, 4096);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(channel_ask(pair[0], &to_signer, SIGN_REQUEST, &m, &from_signer, &kind, got, &scratch, 1000), OK);
		assert_int_equal(kind, SIGN_DONE);
		assert_true(str_eq(((struct sign_done *)(void *)got)->signature, m.message));
	}
	assert_int_equal(put_off, 0);
	loop_run(loop);
	assert_int_equal(put_off, 1);
	channel_close(&signer);
	assert_int_equal(channel_ask(pair[0], &to_signer, SIGN_REQUEST, &m, &from_signer, &kind, got, &scratch, 1000), F_PEER);
	buf_fini(&scratch);
	fd_close(&pair[0]);
	loop_free(&loop);
	net_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_run),
		cmocka_unit_test(a_crash_closes_everything_and_is_told),
		cmocka_unit_test(a_role_ends_with_its_supervisor),
		cmocka_unit_test(a_question_is_answered_at_once_and_nothing_else_moves),
	};
	int failed = cmocka_run_group_tests_name("sim/world", tests, NULL, NULL);
	buf_fini(&world_log);
	return failed;
}
