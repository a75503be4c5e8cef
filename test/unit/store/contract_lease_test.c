/* SPDX-License-Identifier: ISC */
/* The contract of leases and outcomes: who has a recipient, who is next, and what becomes of it. */
#include "unit.h"

#include "contract.h"

#include <stdio.h>
#include <string.h>

static void a_lease_is_exclusive_until_it_ends(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "b@y.example", "k");
	struct store_rcpt one[4], two[4];
	assert_int_equal(lease(f, NOW, one, 4), 1);
	assert_int_equal(lease(f, NOW + 59, two, 4), 0);
	int64_t due_s;
	assert_int_equal(f->ops->next_due(f->store, &anything, &due_s), OK);
	assert_int_equal(due_s, NOW + 60);
	assert_int_equal(lease(f, NOW + 60, two, 4), 1);
	assert_int_equal(two[0].number, one[0].number);
	assert_true(two[0].fence > one[0].fence);
	assert_int_equal(settle(f, &one[0], SETTLE_DONE, 0), F_STATE);
	assert_int_equal(f->ops->renew(f->store, one[0].number, one[0].fence, NOW + 999), F_STATE);
	assert_int_equal(settle(f, &two[0], SETTLE_DONE, 0), OK);
	assert_int_equal(settle(f, &two[0], SETTLE_DONE, 0), F_STATE);
	assert_int_equal(counts(f).messages, 0);
}

static void a_renewed_lease_lasts(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "b@y.example", "k");
	put_one(f, "m2", "b@y.example", "k");
	struct store_rcpt one[4], two[4];
	assert_int_equal(lease(f, NOW, one, 1), 1);
	assert_int_equal(lease(f, NOW, one + 1, 1), 1);
	assert_int_equal(f->ops->renew(f->store, one[0].number, one[0].fence, NOW + 500), OK);
	assert_int_equal(lease(f, NOW + 60, two, 4), 1);
	assert_int_equal(two[0].number, one[1].number);
	assert_int_equal(settle(f, &one[0], SETTLE_DONE, 0), OK);
	assert_int_equal(f->ops->renew(f->store, 424242, 1, NOW), F_STATE);
}

static void later_keeps_what_happened(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "b@y.example", "k");
	struct store_rcpt out[4];
	assert_int_equal(lease(f, NOW, out, 4), 1);
	struct store_outcome o = { .rcpt = out[0].number, .fence = out[0].fence, .kind = SETTLE_LATER,
		                   .next_s = NOW + 300, .reply = STR("450 4.2.0 busy"), .key = STR("k2"),
		                   .dialogue = STR("RCPT\n450 busy"), .delay_warned = true, .counts = true };
	assert_int_equal(f->ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
	assert_int_equal(o.result, OK);
	assert_int_equal(lease(f, NOW + 299, out, 4), 0);
	assert_int_equal(lease(f, NOW + 300, out, 4), 1);
	assert_int_equal(out[0].attempts, 1);
	assert_str(out[0].last_reply, "450 4.2.0 busy");
	assert_str(out[0].last_dialogue, "RCPT\n450 busy");
	assert_str(out[0].key, "k2");
	assert_true(out[0].delay_warned);
	o = (struct store_outcome){ .rcpt = out[0].number, .fence = out[0].fence, .kind = SETTLE_LATER, .next_s = NOW };
	assert_int_equal(f->ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
	assert_int_equal(lease(f, NOW + 300, out, 4), 1);
	assert_int_equal(out[0].attempts, 1);
	assert_str(out[0].last_reply, "450 4.2.0 busy");
	assert_true(out[0].delay_warned);
}

static void a_dialogue_is_cut(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "b@y.example", "k");
	struct store_rcpt out[1];
	for (size_t extra = 0; extra < 2; extra++) {
		assert_int_equal(lease(f, NOW, out, 1), 1);
		struct store_outcome o = { .rcpt = out[0].number, .fence = out[0].fence, .kind = SETTLE_LATER,
			                   .dialogue = pattern(f, STORE_DIALOGUE_MAX + extra, 1), .next_s = NOW };
		assert_int_equal(f->ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
		assert_int_equal(lease(f, NOW, out, 1), 1);
		assert_int_equal(out[0].last_dialogue.n, STORE_DIALOGUE_MAX);
		assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW), OK);
	}
}

static void held_is_never_leased(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r = rcpt_to("b@y.example", "k", NOW), out[4];
	r.state = RCPT_HELD;
	assert_int_equal(put(f, "m1", STR("x"), &r, 1), OK);
	put_one(f, "m2", "c@y.example", "k");
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_str(out[0].id, "m2");
	assert_int_equal(settle(f, &out[0], SETTLE_HELD, NOW), OK);
	assert_int_equal(lease(f, NOW + 9999, out, 4), 0);
	assert_int_equal(counts(f).held, 2);
	int64_t due_s;
	assert_int_equal(f->ops->next_due(f->store, &anything, &due_s), F_ABSENT);
	uint64_t n;
	assert_int_equal(f->ops->act(f->store, &(struct store_selector){ 0 }, ACT_RELEASE, NOW + 5, &n), OK);
	assert_int_equal(n, 2);
	assert_int_equal(f->ops->next_due(f->store, &anything, &due_s), OK);
	assert_int_equal(due_s, NOW + 5);
	assert_int_equal(lease(f, NOW + 5, out, 4), 2);
}

static void content_leaves_with_the_last_recipient(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("b@y.example", "k", NOW), rcpt_to("c@y.example", "k", NOW) }, out[4];
	assert_int_equal(put(f, "m1", STR("four"), r, 2), OK);
	assert_int_equal(lease(f, NOW, out, 4), 2);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), OK);
	assert_str(content_of(f, "m1", 10), "four");
	assert_int_equal(counts(f).messages, 1);
	assert_int_equal(settle(f, &out[1], SETTLE_DONE, 0), OK);
	char c[8];
	size_t n;
	assert_int_equal(f->ops->content(f->store, STR("m1"), 0, c, 8, &n), F_ABSENT);
	assert_int_equal(counts(f).messages, 0);
	assert_int_equal(counts(f).content_bytes, 0);
}

static void recipients_of_one_message_and_key_come_together(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW), rcpt_to("2@z", "z", NOW), rcpt_to("3@y", "y", NOW),
		                  rcpt_to("4@z", "z", NOW), rcpt_to("5@y", "y", NOW + 50) }, out[9];
	assert_int_equal(put(f, "m1", STR("x"), r, 5), OK);
	struct store_rcpt s[] = { rcpt_to("6@y", "y", NOW), rcpt_to("7@z", "z", NOW) };
	assert_int_equal(put(f, "m2", STR("x"), s, 2), OK);
	assert_int_equal(lease(f, NOW, out, 9), 6);
	unsigned changes = 0;
	for (size_t i = 1; i < 6; i++)
		changes += !str_eq(out[i].key, out[i - 1].key) || !str_eq(out[i].id, out[i - 1].id);
	assert_int_equal(changes, 3);
}

static void oldest_first(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW - 1), rcpt_to("2@z", "z", NOW - 9), rcpt_to("3@w", "w", NOW - 5) };
	struct store_rcpt out[3];
	assert_int_equal(put(f, "m1", STR("x"), r, 3), OK);
	int64_t due_s;
	assert_int_equal(f->ops->next_due(f->store, &anything, &due_s), OK);
	assert_int_equal(due_s, NOW - 9);
	assert_int_equal(lease(f, NOW, out, 2), 2);
	assert_str(out[0].address, "2@z");
	assert_str(out[1].address, "3@w");
	assert_int_equal(lease(f, NOW, out, 2), 1);
	assert_str(out[0].address, "1@y");
}

static struct store_grant only_y_is_short(void *owner, struct str key)
{
	const struct store_grant *y = owner;
	return str_eq(key, STR("y")) ? *y : (struct store_grant){ .messages = 100 };
}

static void a_full_destination_is_passed_over(void **state)
{
	struct fixture *f = *state;
	char id[16];
	for (int i = 0; i < 6; i++) {
		snprintf(id, sizeof id, "y%d", i);
		put_one(f, id, "b@y", "y");
	}
	struct store_rcpt late = rcpt_to("b@z", "z", NOW + 1), out[9];
	assert_int_equal(put(f, "z1", STR("x"), &late, 1), OK);

	size_t n;
	struct store_grant y = { .messages = 2, .not_before_s = NOW + 30 };
	struct store_room room = { .grant = only_y_is_short, .owner = &y, .lane_room = { 100, 100 } };
	assert_int_equal(f->ops->lease(f->store, NOW + 1, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 3); /* two of y, one of z */
	int64_t due_s = 0;
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_true(due_s > NOW + 1 && due_s <= NOW + 30);
	y.messages = 1; /* it is not asked about before its time, ... */
	assert_int_equal(f->ops->lease(f->store, NOW + 29, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 0);
	f->ops->ask_again(f->store, STR("y")); /* ... unless the caller says so */
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_true(due_s <= NOW);
	assert_int_equal(f->ops->lease(f->store, NOW + 29, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_int_equal(f->ops->lease(f->store, NOW + 30, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 1);
	f->ops->ask_again(f->store, STR("nothing of this waits"));
}

static void a_grant_of_nothing_is_not_asked_again_at_once(void **state)
{
	struct fixture *f = *state;
	struct store_grant y = { .messages = 0, .not_before_s = NOW - 5 };
	struct store_room room = { .grant = only_y_is_short, .owner = &y, .lane_room = { 100, 100 } };
	struct store_rcpt out[2];
	size_t n;
	int64_t due_s;
	put_one(f, "y1", "b@y", "y");
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 2, &n, NULL), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_int_equal(due_s, NOW + 1);
}

static void next_due_passes_over_what_is_put_off(void **state)
{
	struct fixture *f = *state;
	struct store_grant y = { .messages = 0, .not_before_s = NOW + 500 };
	struct store_room room = { .grant = only_y_is_short, .owner = &y, .lane_room = { 100, 100 } };
	struct store_rcpt out[2], late = rcpt_to("b@z", "z", NOW + 77);
	size_t n;
	int64_t due_s;
	put_one(f, "y1", "b@y", "y");
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 2, &n, NULL), OK);
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_int_equal(due_s, NOW + 500);
	put_one(f, "y2", "b@y", "y"); /* what comes new waits behind the others */
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_int_equal(due_s, NOW + 500);
	assert_int_equal(put(f, "z1", STR("x"), &late, 1), OK);
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_int_equal(due_s, NOW + 77);
	/* A clock that is set back takes no time that was put off for with it. */
	assert_int_equal(f->ops->shift(f->store, -NOW / 2), OK);
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_true(due_s <= NOW / 2);
}

static void a_lane_without_room_is_waited_for(void **state)
{
	struct fixture *f = *state;
	char id[16];
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof id, "y%d", i);
		put_one(f, id, "b@y", i < 3 ? "y" : "z");
	}
	struct store_grant same = { .messages = 2, .lane = 1, .not_before_s = NOW + 900 };
	struct store_room room = { .grant = grant_the_same, .owner = &same, .lane_room = { 100, 1 } };
	struct store_rcpt out[9], w = rcpt_to("b@w", "w", NOW + 5);
	size_t n;
	int64_t due_s;
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 1); /* for all of the lane together */
	room.lane_room[1] = 0;
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_int_equal(due_s, NOW + 60); /* the lease */
	same.lane = 0;                     /* another destination is not in its way */
	assert_int_equal(put(f, "w1", STR("x"), &w, 1), OK);
	assert_int_equal(f->ops->lease(f->store, NOW + 5, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 1);
	room.lane_room[1] = 9;
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_true(due_s <= NOW + 5);
	assert_int_equal(f->ops->lease(f->store, NOW + 5, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 4);
}

static void a_lane_is_part_of_those_before_it(void **state)
{
	struct fixture *f = *state;
	struct store_grant same = { .messages = 9, .lane = 2, .not_before_s = NOW + 900 };
	struct store_room room = { .grant = grant_the_same, .owner = &same, .lane_room = { 3, 2, 9 } };
	struct store_rcpt out[9];
	size_t n;
	int64_t due_s;
	char id[16];
	for (int i = 0; i < 4; i++) {
		snprintf(id, sizeof id, "y%d", i);
		put_one(f, id, "b@y", "y");
	}
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 2);
	room.lane_room[1] = 0;
	put_one(f, "z0", "b@z", "z");
	put_one(f, "z1", "b@z", "z");
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 0); /* z waits there, too */
	put_one(f, "w0", "b@w", "w");
	same.lane = 0;
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_true(due_s <= NOW);
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_str(out[0].address, "b@w");
	same.lane = 2;
	memcpy(room.lane_room, (unsigned[]){ 0, 9, 9 }, sizeof room.lane_room);
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_int_equal(due_s, NOW + 60); /* a lease */
	memcpy(room.lane_room, (unsigned[]){ 3, 9, 9 }, sizeof room.lane_room);
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 3);
}

static void what_is_overdue_comes_all_the_same(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW - 50), rcpt_to("2@y", "y", NOW - 9), rcpt_to("3@y", "y", NOW - 8) }, out[4];
	struct store_grant y = { .messages = 1, .not_before_s = NOW + 30, .overdue_s = NOW - 50 };
	struct store_room room = { .grant = only_y_is_short, .owner = &y, .lane_room = { 0, 100 } };
	size_t n;
	char id[4] = "m0";
	for (int i = 0; i < 3; i++, id[1]++)
		assert_int_equal(put(f, id, STR("x"), &r[i], 1), OK);
	room.lane_room[0] = 1;
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 4, &n, NULL), OK);
	assert_int_equal(n, 1); /* what is granted begins with it */
	y.messages = 0;
	y.overdue_s = NOW - 9;
	f->ops->ask_again(f->store, STR("y"));
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 4, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_str(out[0].address, "2@y");
}

static void many_recipients_count_as_several(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[5], out[9];
	struct store_grant y = { .messages = 2, .not_before_s = NOW + 30 };
	struct store_room room = { .grant = only_y_is_short, .owner = &y, .lane_room = { 100, 100 }, .rcpts_max = 2 };
	size_t n;
	for (int i = 0; i < 5; i++)
		r[i] = rcpt_to("b@y", "y", NOW);
	assert_int_equal(put(f, "m1", STR("x"), r, 5), OK);
	assert_int_equal(f->ops->lease(f->store, NOW, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 4);
}

/* However due times move, next_due never says later than the truth, and lease gets everything in the end. */
static void next_due_never_oversleeps(void **state)
{
	struct fixture *f = *state;
	char id[16], key[4];
	unsigned seed = 7;
	for (int i = 0; i < 40; i++) {
		seed = seed * 1103515245 + 12345;
		snprintf(id, sizeof id, "m%d", i);
		snprintf(key, sizeof key, "k%u", (seed >> 16) % 5);
		struct store_rcpt r = rcpt_to("b@y", key, NOW + (seed >> 20) % 50);
		assert_int_equal(put(f, id, STR("x"), &r, 1), OK);
	}
	int64_t now_s = NOW, due_s;
	unsigned done = 0, turns = 0;
	while (f->ops->next_due(f->store, &anything, &due_s) == OK && turns++ < 1000) {
		now_s = due_s > now_s ? due_s : now_s;
		struct store_rcpt out[3];
		size_t n = lease(f, now_s, out, 3);
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1103515245 + 12345;
			bool again = (seed >> 16) % 2 == 0;
			assert_int_equal(settle(f, &out[i], again ? SETTLE_LATER : SETTLE_DONE, now_s + (seed >> 20) % 9), OK);
			done += !again;
		}
	}
	assert_int_equal(done, 40);
	assert_int_equal(counts(f).messages, 0);
}

static void reclaim_gives_leases_back(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "b@y", "y");
	struct store_rcpt out[2], again[2];
	assert_int_equal(lease(f, NOW, out, 2), 1);
	assert_int_equal(f->ops->reclaim(f->store, NULL), OK);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), F_STATE);
	assert_int_equal(lease(f, NOW, again, 2), 1);
	assert_int_equal(settle(f, &again[0], SETTLE_DONE, 0), OK);
}

static void a_bounce_rides_with_its_failure(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "b@y", "y");
	struct store_rcpt out[2], r = rcpt_to("a@x.example", "x", NOW);
	assert_int_equal(lease(f, NOW, out, 2), 1);
	struct store_outcome o[] = { { .rcpt = out[0].number, .fence = out[0].fence, .kind = SETTLE_DONE },
		                     { .rcpt = out[0].number, .fence = out[0].fence + 1, .kind = SETTLE_DONE } };
	struct store_commit c = { .draft = draft_of(f, STR("bounce")), .message = { .id = STR("b1") }, .rcpts = &r, .n_rcpts = 1 };
	assert_int_equal(f->ops->commit(f->store, &c, 1, o, 2, NULL), OK);
	assert_int_equal(c.result, OK);
	assert_int_equal(o[0].result, OK);
	assert_int_equal(o[1].result, F_STATE);
	assert_int_equal(lease(f, NOW, out, 2), 1);
	assert_str(out[0].id, "b1");
	assert_int_equal(counts(f).messages, 1);
}

static void without_its_bounce_nothing_is_settled(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "b@y", "y");
	struct store_rcpt out[2], r = rcpt_to("a@x.example", "x", NOW);
	assert_int_equal(lease(f, NOW, out, 2), 1);
	struct store_commit c = { .draft = draft_of(f, STR("bounce")), .message = { .id = STR("m1") }, .rcpts = &r, .n_rcpts = 1 };
	struct store_outcome o = { .rcpt = out[0].number, .fence = out[0].fence, .kind = SETTLE_DONE, .needs = &c };
	assert_int_equal(f->ops->commit(f->store, &c, 1, &o, 1, NULL), OK);
	assert_int_equal(c.result, F_EXISTS);
	assert_int_equal(o.result, F_EXISTS);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), OK); /* the lease still stands */
}

static void a_claim_takes_what_nobody_has(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt held = rcpt_to("h@y", "y", NOW), out[4], claimed[4];
	held.state = RCPT_HELD;
	put_one(f, "m1", "b@y", "y");
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_int_equal(put(f, "m2", STR("x"), &held, 1), OK);
	struct store_rcpt late = rcpt_to("l@y", "y", NOW + 5000);
	assert_int_equal(put(f, "m3", STR("x"), &late, 1), OK);
	size_t n;
	assert_int_equal(f->ops->list(f->store, &(struct store_selector){ 0 }, NULL, f->arena, claimed, 4, &n), OK);
	assert_int_equal(n, 3);
	assert_int_equal(f->ops->claim(f->store, NOW, 60, claimed, n, &n, NULL), OK);
	assert_int_equal(n, 2);
	assert_int_equal(counts(f).leased, 3);
	assert_int_equal(settle(f, &claimed[1], SETTLE_DONE, 0), OK);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), OK);
	/* A claim that ends leaves a held recipient held. */
	assert_int_equal(lease(f, NOW + 9999, out, 4), 0);
	assert_int_equal(counts(f).held, 1);
}

int main(void)
{
	static const struct contract_case cases[] = {
		CASE(a_lease_is_exclusive_until_it_ends),
		CASE(a_renewed_lease_lasts),
		CASE(later_keeps_what_happened),
		CASE(a_dialogue_is_cut),
		CASE(held_is_never_leased),
		CASE(content_leaves_with_the_last_recipient),
		CASE(recipients_of_one_message_and_key_come_together),
		CASE(oldest_first),
		CASE(a_full_destination_is_passed_over),
		CASE(a_grant_of_nothing_is_not_asked_again_at_once),
		CASE(next_due_passes_over_what_is_put_off),
		CASE(a_lane_without_room_is_waited_for),
		CASE(a_lane_is_part_of_those_before_it),
		CASE(what_is_overdue_comes_all_the_same),
		CASE(many_recipients_count_as_several),
		CASE(next_due_never_oversleeps),
		CASE(reclaim_gives_leases_back),
		CASE(a_bounce_rides_with_its_failure),
		CASE(without_its_bounce_nothing_is_settled),
		CASE(a_claim_takes_what_nobody_has),
	};
	return contract_run(cases, COUNT(cases));
}
