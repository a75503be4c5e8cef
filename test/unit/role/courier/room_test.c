/* SPDX-License-Identifier: ISC */
/* Names of which too much is said, and jobs with too many recipients: bounded, the letter waits, the courier lives. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/spool_delivery.h"
#include "role/courier/courier.h"
#include "scene.h"

enum { RCPT_ROOM = 900000, ZONE_MAX = 4096 };

static const struct job_spec to_b = { .kind = ROUTE_TO_MX, .domain = "y.example", .rcpts = "b@y.example", .attempt = 5 };

static void expect(const char *outcomes)
{
	expect_of(&to_b, outcomes);
}

static void begin(const char *rows)
{
	w.peers[0].script = (struct peer_script){ .ehlo = "STARTTLS" };
	direct("");
	publish(rows);
}

static void the_courier_lives(void)
{
	w.flooded = NULL;
	begin("MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1");
	expect("0 done 250 2.0.0 Ok|");
}

/* The MX records are lost: that is not to have none, which would mean the domain itself. */
static void test_attack_34_mail_servers_without_room(void **state)
{
	(void)state;
	begin("MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;A y.example 127.0.0.1");
	w.flooded = "MX";
	expect("0 later 0 4.4.3 The DNS says more about y.example than there is room for");
	nothing_has_left();
	the_courier_lives();
}

/* No room is left for the question, nor for the answer, nor for what is concluded from it. */
static void test_attack_34_tlsa_records_without_room(void **state)
{
	(void)state;
	begin(SIGNED_MX "+TLSA _%u._tcp.mx.y.example right");
	w.flooded = "MX";
	w.flood_last = true;
	expect("0 later 0 4");
	nothing_has_left();
	w.flooded = "A";
	expect("0 done 250 2.0.0 Ok|"); /* addresses are few */
	w.peers[0].letters = 0;
	buf_clear(&w.peers[0].said);
	w.flooded = "TLSA";
	for (int round = 0; round < 4; round++) { /* what was lost may be the one that counts */
		begin(SIGNED_MX "+TLSA _%u._tcp.mx.y.example unusable");
		w.flood_last = (round & 1) != 0;
		w.flood_coarse = (round & 2) != 0;
		expect("0 later 0 4");
		nothing_has_left();
	}
	the_courier_lives();
}

static void publish_many(unsigned n)
{
	struct buf rows;
	buf_init(&rows, ZONE_MAX);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(buf_addf(&rows, "MX y.example %u h%u.y.example;", 50 - i, i), OK);
	assert_int_equal(buf_addf(&rows, "A h%u.y.example 127.0.0.1%c", n - 1, '\0'), OK);
	begin(buf_view(&rows).p);
	buf_fini(&rows);
}

/* Of more hosts than are tried, the best are, and the story says so. */
static void the_best_of_many(void **state)
{
	(void)state;
	size_t at;
	publish_many(MX_HOSTS_MAX);
	expect("0 done 250 2.0.0 Ok|");
	assert_false(str_find_str(buf_view(&w.story), STR("are tried"), &at));
	publish_many(MX_HOSTS_MAX + 1);
	expect("0 done 250 2.0.0 Ok|");
	assert_true(str_find_str(buf_view(&w.story), STR("found, more than are tried: the 20 best"), &at));
	assert_true(str_find_str(buf_view(&w.story), STR("h20.y.example h19.y.example"), &at));
}

/* A spool that hands out more than was agreed: who has no room gets no outcome, and comes again. */
static void recipients_without_room(void **state)
{
	(void)state;
	char *address = must_alloc(RCPT_ROOM);
	uint64_t job = ++w.job;
	begin("MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1");
	memset(address, 'x', RCPT_ROOM);
	memcpy(address + RCPT_ROOM - 10, "@y.example", 10);
	channel_send(w.spool, WORKER_JOB, &(struct worker_job){ .job = job, .id = STR("q1"), .route_kind = ROUTE_TO_MX, .domain = STR("y.example"),
	                                                        .sender = STR("a@x.example"), .attempt = 1 });
	for (unsigned i = 0; i < 30; i++)
		channel_send(w.spool, WORKER_RCPT, &(struct worker_rcpt){ .job = job, .index = i, .address = { address, RCPT_ROOM } });
	channel_send(w.spool, WORKER_GO, &(struct worker_go){ .job = job });
	free(address);
	w.done = false;
	while (!w.done)
		world_run(&w);
	the_courier_lives();
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_attack_34_mail_servers_without_room),
		IN_WORLD(test_attack_34_tlsa_records_without_room),
		IN_WORLD(the_best_of_many),
		IN_WORLD(recipients_without_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
