/* SPDX-License-Identifier: ISC */
/* What waits for each domain: counted whole, in order, a little at a time. */
#include "unit.h"

#include "role/spool/house.h"

#include <stdio.h>
#include <string.h>

#include "role/spool/by_domain.h"

static uint64_t n_domains; /* of the queue that many() has */
static int name_width = 7;

static fault many(struct store *s, uint64_t after, struct arena *a, struct store_glance *out, size_t max, size_t *n_out)
{
	(void)s;
	for (*n_out = 0; *n_out < max && after < n_domains; ++*n_out) {
		char address[300], key[300];
		unsigned n = (unsigned)(++after * 7919 % 1000003); /* in no order */
		out[*n_out] = (struct store_glance){
			.number = after, .state = RCPT_QUEUED, .next_s = 2000000000, .arrived_s = 1000000000,
			.address = arena_copy(a, (struct str){ address, (size_t)snprintf(address, sizeof address, "x@d%0*u.example", name_width, n) }),
			.key = arena_copy(a, (struct str){ key, (size_t)snprintf(key, sizeof key, "mx:d%0*u.example", name_width, n) }),
		};
	}
	return OK;
}

/* Where in what the operator has heard this row begins. */
static size_t place_of(const char *domain)
{
	char text[80];
	size_t at;
	(void)snprintf(text, sizeof text, "row {\"domain\":\"%s\"", domain);
	if (!str_find_str(buf_view(&h.heard), str_of(text), &at))
		fail_msg("no row of %s in\n%.*s", domain, STR_ARG(buf_view(&h.heard)));
	return at;
}

static unsigned rows_told(void)
{
	struct str heard = buf_view(&h.heard);
	unsigned n = 0;
	size_t at;
	for (; str_find_str(heard, STR("operator: row"), &at); n++)
		heard = str_from(heard, at + 1);
	return n;
}

static void each_domain_has_a_line(void **state)
{
	(void)state;
	static const char *const to[] = { "1@held.example", "2@b.example", "3@B.Example", "4@b.example", "5@c.example" };
	house_fill("m1", "a@x.example", to, COUNT(to), 0, 7200, "x");
	house_fill("m2", "a@x.example", to, 2, 0, 60, "x");
	answer(OUTCOME_LATER, 450, "4.2.1", "busy");
	house_open("route {\n to held.example hold\n otherwise direct\n}\n");
	settle_down();
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_int_equal(rows_told(), 3);
	assert_true(was_heard("row {\"domain\":\"b.example\",\"waiting\":4,\"in_hand\":0,\"held\":0,\"damaged\":0,\"oldest\":\"20"));
	assert_true(was_heard("\"destination\":\"mx:b.example\",\"sessions\":0,\"allowed\":"));
	assert_true(was_heard("row {\"domain\":\"held.example\",\"waiting\":0,\"in_hand\":0,\"held\":2,\"damaged\":0,\"oldest\":\"20"));
	assert_true(was_heard("row {\"domain\":\"c.example\",\"waiting\":1,"));
	assert_true(place_of("b.example") < place_of("held.example"));
	assert_true(place_of("held.example") < place_of("c.example"));
	assert_true(was_heard("operator: end 0 \n"));
	command(CONTROL_BY_DOMAIN, (struct store_selector){ .domain = STR("C.EXAMPLE") }, false);
	assert_int_equal(rows_told(), 4);
	command(CONTROL_BY_DOMAIN, (struct store_selector){ .domain = STR("d.example") }, false);
	assert_true(was_heard("operator: end 1 nothing in the queue matches"));
}

static void what_is_in_hand_is_told(void **state)
{
	(void)state;
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: job a@x.example to b@y.example");
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_true(was_heard("row {\"domain\":\"y.example\",\"waiting\":0,\"in_hand\":1,"));
	assert_true(was_heard("\"next_attempt\":null,\"destination\":\"mx:y.example\",\"sessions\":1,"));
}

/* Its row still has it as held by a route, which is no way: the one that it goes counts. */
static void what_is_released_is_told_with_its_way(void **state)
{
	(void)state;
	house_open("route {\n otherwise hold\n}\n");
	h.hands_off = true;
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("front: stored 1");
	settle_down();
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_true(was_heard("\"next_attempt\":null,\"destination\":\"hold:\",\"sessions\":null,\"allowed\":null,\"ceiling\":null,"));
	command(CONTROL_RELEASE, everything, false);
	wait_for("courier: job a@x.example to b@y.example");
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_true(was_heard("\"next_attempt\":null,\"destination\":\"mx:y.example\",\"sessions\":1,"));
	command(CONTROL_SHOW, (struct store_selector){ .id = str_of(h.last_id) }, false);
	assert_true(was_heard("\"destination\":\"mx:y.example\",\"dialogue\""));
}

static void an_empty_queue(void **state)
{
	(void)state;
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_true(was_heard("operator: end 1 the queue is empty"));
}

static void the_first_are_told_or_all(void **state)
{
	(void)state;
	h.glance = many;
	n_domains = DOMAINS_TOLD_MAX;
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_int_equal(rows_told(), DOMAINS_TOLD_MAX);
	assert_true(was_heard("operator: end 0 \n"));
	n_domains = DOMAINS_TOLD_MAX + 1;
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_int_equal(rows_told(), 2 * DOMAINS_TOLD_MAX);
	assert_true(was_heard("operator: end 0 20 of 21 domains; --all shows the others, too"));
	n_domains = 3000;
	command(CONTROL_BY_DOMAIN, everything, true);
	assert_int_equal(rows_told(), 2 * DOMAINS_TOLD_MAX + 3000);
}

/* All of them wait for as much: they come in the order of their names. */
static void they_are_in_order(void **state)
{
	(void)state;
	char name[40], last[40] = "";
	h.glance = many;
	n_domains = 1000;
	command(CONTROL_BY_DOMAIN, everything, true);
	struct str heard = buf_view(&h.heard);
	size_t at, n = 0;
	for (; str_find_str(heard, STR("{\"domain\":\""), &at); n++) {
		heard = str_from(heard, at + 11);
		(void)snprintf(name, sizeof name, "%.*s", STR_ARG(str_sub(heard, 0, 8)));
		assert_true(strcmp(last, name) < 0);
		memcpy(last, name, sizeof last);
	}
	assert_int_equal(n, 1000);
}

static void mail_goes_on_meanwhile(void **state)
{
	(void)state;
	h.glance = many;
	n_domains = DOMAINS_MAX;
	command_begin(CONTROL_BY_DOMAIN, everything, false);
	send_letter(1, "a@x.example", "b@y.example", 0);
	wait_for("courier: body");
	assert_false(was_heard("operator: end"));
	wait_for("operator: end 0 20 of 100000 domains; --all");
	assert_true(h.glances > DOMAINS_MAX / 1000); /* no call has read more than a little */
}

static void domains_are_bounded(void **state)
{
	(void)state;
	h.glance = many;
	n_domains = DOMAINS_MAX + 1;
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_true(was_heard("operator: end 0 20 of 100000 domains; there was no room to tell those of 1 more recipients apart"));
}

static void names_are_bounded(void **state)
{
	(void)state;
	h.glance = many;
	name_width = 250;
	n_domains = DOMAINS_BYTES_MAX / 1000; /* under it, whatever else is kept of each */
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_true(was_heard("operator: end 0 20 of 33554 domains; --all"));
	n_domains = DOMAINS_MAX; /* names and destinations alone are more than that */
	command(CONTROL_BY_DOMAIN, everything, false);
	name_width = 7;
	assert_true(was_heard("domains; there was no room to tell those of "));
}

static void so_many_count_at_a_time(void **state)
{
	(void)state;
	struct channel *others[CONTROL_BY_DOMAIN_MAX];
	h.glance = many;
	n_domains = DOMAINS_MAX;
	for (size_t i = 0; i < COUNT(others); i++) {
		command_begin(CONTROL_BY_DOMAIN, everything, true);
		channel_pause(h.operator.channel, true); /* who does not read keeps his place */
		others[i] = h.operator.channel;
		h.operator.channel = NULL;
	}
	settle_down();
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_true(was_heard("operator: end 69 the queue is being counted for as many as at a time can be"));
	for (size_t i = 0; i < COUNT(others); i++)
		channel_close(&others[i]);
	settle_down();
	n_domains = 1;
	command(CONTROL_BY_DOMAIN, everything, false);
	assert_int_equal(rows_told(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PREPARED(each_domain_has_a_line),
		OPEN(what_is_in_hand_is_told),
		PREPARED(what_is_released_is_told_with_its_way),
		OPEN(an_empty_queue),
		OPEN(the_first_are_told_or_all),
		OPEN(they_are_in_order),
		OPEN(mail_goes_on_meanwhile),
		OPEN(domains_are_bounded),
		OPEN(names_are_bounded),
		OPEN(so_many_count_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
