/* SPDX-License-Identifier: ISC */
/* The queue's contract: every case runs on every store. store_memory says what is right; the others follow. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static const struct store_ops *const stores[] = { &store_memory, &store_sqlite };

static int setup(void **state)
{
	*state = fixture_new(*state, "/tmp");
	return 0;
}

static struct store_draft *draft_of(struct fixture *f, struct str content)
{
	struct store_draft *d;
	assert_int_equal(f->ops->draft_new(f->store, &d), OK);
	assert_int_equal(f->ops->draft_append(f->store, d, content), OK);
	return d;
}

static struct store_rcpt rcpt_to(const char *address, const char *key, int64_t next_s)
{
	return (struct store_rcpt){ .address = str_of(address), .original = str_of(address), .key = str_of(key),
		                    .state = RCPT_QUEUED, .next_s = next_s };
}

static fault put_from(struct fixture *f, const char *id, const char *sender, struct str content,
                      const struct store_rcpt *rcpts, size_t n)
{
	struct store_commit c = {
		.draft = draft_of(f, content),
		.message = { .id = str_of(id), .sender = str_of(sender), .arrived_s = NOW, .user = STR("jada"),
		             .body = BODY_8BIT, .smtputf8 = true, .ret = RET_FULL, .tls_tag = TLS_TAG_OPTIONAL, .envid = STR("env-1"),
		             .client = STR("192.0.2.7"), .helo = STR("client.example"), .with = STR("ESMTPSA"),
		             .tls = STR("TLSv1.3") },
		.rcpts = rcpts,
		.n_rcpts = n,
	};
	struct why why = { "" };
	assert_int_equal(f->ops->commit(f->store, &c, 1, NULL, 0, &why), OK);
	return c.result;
}

static fault put(struct fixture *f, const char *id, struct str content, const struct store_rcpt *rcpts, size_t n)
{
	return put_from(f, id, "a@x.example", content, rcpts, n);
}

static void put_one(struct fixture *f, const char *id, const char *address, const char *key)
{
	struct store_rcpt r = rcpt_to(address, key, NOW);
	assert_int_equal(put(f, id, STR("Subject: x\r\n\r\nbody\r\n"), &r, 1), OK);
}

static size_t lease(struct fixture *f, int64_t now_s, struct store_rcpt *out, size_t max)
{
	size_t n = 99;
	assert_int_equal(f->ops->lease(f->store, now_s, 60, &anything, f->arena, out, max, &n, NULL), OK);
	return n;
}

static fault settle(struct fixture *f, const struct store_rcpt *r, enum settle_kind kind, int64_t next_s)
{
	struct store_outcome o = { .rcpt = r->number, .fence = r->fence, .kind = kind, .next_s = next_s,
		                   .reply = STR("450 4.2.0 busy"), .dialogue = STR("RCPT\n450 busy"),
		                   .counts = true };
	assert_int_equal(f->ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
	return o.result;
}

static struct store_counts counts(struct fixture *f)
{
	struct store_counts c;
	assert_int_equal(f->ops->counts(f->store, &c), OK);
	return c;
}

static void assert_str(struct str got, const char *want)
{
	if (!str_eq(got, str_of(want)))
		fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

static void tidy_all(struct fixture *f)
{
	bool more = true;
	for (int i = 0; more && i < 10000; i++)
		assert_int_equal(f->ops->tidy(f->store, &more, NULL), OK);
	assert_false(more);
}

/* The whole content, read in pieces of a size that fits nothing. */
static struct str content_of(struct fixture *f, const char *id, size_t piece)
{
	struct buf all;
	buf_init(&all, 32 << 20);
	for (;;) {
		size_t n = 0;
		char *to = buf_reserve(&all, piece);
		assert_int_equal(f->ops->content(f->store, str_of(id), buf_view(&all).n, to, piece, &n), OK);
		assert_true(n <= piece);
		if (n == 0)
			break;
		buf_filled(&all, n);
	}
	struct str copy = arena_copy(f->arena, buf_view(&all));
	buf_fini(&all);
	return copy;
}

static struct str pattern(struct fixture *f, size_t n, unsigned seed)
{
	char *p = arena_alloc(f->arena, n);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (char)(seed >> 16);
	}
	return (struct str){ p, n };
}

/* ---- the cases ---- */

static void what_is_put_comes_out(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r = rcpt_to("b@y.example", "mx:y.example", NOW);
	r.orcpt = STR("rfc822;b@y.example");
	r.notify = NOTIFY_SUCCESS | NOTIFY_FAILURE;
	assert_int_equal(put(f, "abc", STR("hello\r\n"), &r, 1), OK);

	struct store_message m;
	assert_int_equal(f->ops->message(f->store, STR("abc"), f->arena, &m), OK);
	assert_str(m.id, "abc");
	assert_str(m.sender, "a@x.example");
	assert_str(m.envid, "env-1");
	assert_str(m.client, "192.0.2.7");
	assert_str(m.helo, "client.example");
	assert_str(m.user, "jada");
	assert_str(m.with, "ESMTPSA");
	assert_str(m.tls, "TLSv1.3");
	assert_int_equal(m.arrived_s, NOW);
	assert_int_equal(m.size_bytes, 7);
	assert_int_equal(m.body, BODY_8BIT);
	assert_true(m.smtputf8);
	assert_int_equal(m.ret, RET_FULL);
	assert_int_equal(m.tls_tag, TLS_TAG_OPTIONAL);

	struct store_rcpt out[4];
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_str(out[0].id, "abc");
	assert_str(out[0].address, "b@y.example");
	assert_str(out[0].original, "b@y.example");
	assert_str(out[0].orcpt, "rfc822;b@y.example");
	assert_str(out[0].key, "mx:y.example");
	assert_int_equal(out[0].notify, NOTIFY_SUCCESS | NOTIFY_FAILURE);
	assert_int_equal(out[0].state, RCPT_LEASED);
	assert_int_equal(out[0].attempts, 0);
	assert_int_equal(out[0].lease_until_s, NOW + 60);
	assert_str(content_of(f, "abc", 3), "hello\r\n");
	assert_int_equal(f->ops->message(f->store, STR("abd"), f->arena, &m), F_ABSENT);
}

static void strings_may_hold_anything(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r = rcpt_to("", "k", NOW);
	r.address = (struct str){ "x\0'\"; DROP TABLE message;--@y", 28 };
	assert_int_equal(put(f, "abc", (struct str){ "a\0b\r\n", 5 }, &r, 1), OK);
	struct store_rcpt out[1];
	assert_int_equal(lease(f, NOW, out, 1), 1);
	assert_true(str_eq(out[0].address, r.address));
	struct str c = content_of(f, "abc", 100);
	assert_int_equal(c.n, 5);
	assert_memory_equal(c.p, "a\0b\r\n", 5);
}

static void content_of_every_size(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = { 0, 1, 4095, 16383, 16384, 16385, 65535, 65536, 65537, 1000000 };
	char id[16];
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct str c = pattern(f, sizes[i], (unsigned)i);
		struct store_rcpt r = rcpt_to("b@y.example", "k", NOW);
		snprintf(id, sizeof id, "m%zu", i);
		assert_int_equal(put(f, id, c, &r, 1), OK);
	}
	for (size_t i = 0; i < COUNT(sizes); i++) {
		snprintf(id, sizeof id, "m%zu", i);
		assert_true(str_eq(content_of(f, id, i % 2 == 0 ? 5000 : 70000), pattern(f, sizes[i], (unsigned)i)));
	}
}

static void drafts_interleave(void **state)
{
	struct fixture *f = *state;
	enum { N = 7, CHUNK = 9000, CHUNKS = 20 };
	struct store_draft *drafts[N];
	struct str whole[N];
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(f->ops->draft_new(f->store, &drafts[i]), OK);
		whole[i] = pattern(f, CHUNK * CHUNKS, (unsigned)i + 50);
	}
	for (size_t c = 0; c < CHUNKS; c++)
		for (size_t i = 0; i < N; i++)
			assert_int_equal(f->ops->draft_append(f->store, drafts[i], str_sub(whole[i], c * CHUNK, CHUNK)), OK);
	f->ops->draft_drop(f->store, &drafts[0]);
	assert_null(drafts[0]);
	struct store_rcpt r = rcpt_to("b@y.example", "k", NOW);
	struct store_commit commits[N - 1];
	static const char *const ids[] = { "m1", "m2", "m3", "m4", "m5", "m6" };
	for (size_t i = 0; i < N - 1; i++)
		commits[i] = (struct store_commit){ .draft = drafts[i + 1], .message = { .id = str_of(ids[i]) },
			                            .rcpts = &r, .n_rcpts = 1 };
	assert_int_equal(f->ops->commit(f->store, commits, N - 1, NULL, 0, NULL), OK);
	for (size_t i = 0; i < N - 1; i++) {
		assert_int_equal(commits[i].result, OK);
		assert_true(str_eq(content_of(f, ids[i], 65536), whole[i + 1]));
	}
	assert_int_equal(counts(f).messages, N - 1);
}

static void a_draft_without_commit_is_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_draft *d = draft_of(f, STR("never"));
	assert_int_equal(counts(f).messages, 0);
	f->ops->draft_drop(f->store, &d);
	assert_int_equal(counts(f).messages, 0);
	int64_t due_s;
	assert_int_equal(f->ops->next_due(f->store, &anything, &due_s), F_ABSENT);
	draft_of(f, STR("left open when the store closes"));
}

static void one_bad_message_does_not_spoil_the_batch(void **state)
{
	struct fixture *f = *state;
	put_one(f, "taken", "b@y.example", "k");
	struct store_rcpt r = rcpt_to("b@y.example", "k", NOW);
	struct store_commit c[] = {
		{ .draft = draft_of(f, STR("1")), .message = { .id = STR("first") }, .rcpts = &r, .n_rcpts = 1 },
		{ .draft = draft_of(f, STR("2")), .message = { .id = STR("taken") }, .rcpts = &r, .n_rcpts = 1 },
		{ .draft = draft_of(f, STR("3")), .message = { .id = STR("") }, .rcpts = &r, .n_rcpts = 1 },
		{ .draft = draft_of(f, STR("4")), .message = { .id = STR("empty") }, .rcpts = &r, .n_rcpts = 0 },
		{ .draft = draft_of(f, STR("5")), .message = { .id = STR("last") }, .rcpts = &r, .n_rcpts = 1 },
	};
	assert_int_equal(f->ops->commit(f->store, c, COUNT(c), NULL, 0, NULL), OK);
	assert_int_equal(c[0].result, OK);
	assert_int_equal(c[1].result, F_EXISTS);
	assert_int_equal(c[2].result, F_STATE);
	assert_int_equal(c[3].result, F_STATE);
	assert_int_equal(c[4].result, OK);
	assert_int_equal(counts(f).messages, 3);
	assert_str(content_of(f, "last", 10), "5");
	assert_str(content_of(f, "taken", 100), "Subject: x\r\n\r\nbody\r\n");
}

static void an_id_has_a_longest_length(void **state)
{
	struct fixture *f = *state;
	char id[STORE_ID_MAX + 2] = { 0 };
	memset(id, 'a', STORE_ID_MAX);
	struct store_rcpt r = rcpt_to("b@y.example", "k", NOW);
	assert_int_equal(put(f, id, STR("x"), &r, 1), OK);
	id[STORE_ID_MAX] = 'a';
	assert_int_equal(put(f, id, STR("x"), &r, 1), F_STATE);
	assert_int_equal(counts(f).messages, 1);
}

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
	struct store_load load = { STR("y"), 2 };
	struct store_room room = { &load, 1, 4 };
	assert_int_equal(f->ops->lease(f->store, NOW + 1, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 3); /* two of y, one of z */
	load.messages = 4;
	assert_int_equal(f->ops->lease(f->store, NOW + 1, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 0);
	int64_t due_s = 0;
	room.key_max = 5;
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_true(due_s <= NOW);
	assert_int_equal(f->ops->lease(f->store, NOW + 1, 60, &room, f->arena, out, 9, &n, NULL), OK);
	assert_int_equal(n, 1);
}

static void next_due_passes_over_what_is_full(void **state)
{
	struct fixture *f = *state;
	put_one(f, "y1", "b@y", "y");
	struct store_load load = { STR("y"), 1 };
	struct store_room room = { &load, 1, 1 };
	int64_t due_s;
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), F_ABSENT);
	struct store_rcpt late = rcpt_to("b@z", "z", NOW + 77);
	assert_int_equal(put(f, "z1", STR("x"), &late, 1), OK);
	assert_int_equal(f->ops->next_due(f->store, &room, &due_s), OK);
	assert_int_equal(due_s, NOW + 77);
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

static void a_clock_that_was_wrong_is_mended(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW + 900000), rcpt_to("2@y", "z", NOW + 500) }, out[4];
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	uint64_t n;
	assert_int_equal(f->ops->clamp(f->store, NOW - 10, NOW + 500, &n), OK);
	assert_int_equal(n, 1);
	struct store_message m;
	assert_int_equal(f->ops->message(f->store, STR("m1"), f->arena, &m), OK);
	assert_int_equal(m.arrived_s, NOW - 10);
	assert_int_equal(lease(f, NOW - 10, out, 4), 1);
	assert_str(out[0].address, "1@y");
	assert_int_equal(lease(f, NOW + 499, out + 1, 3), 1);
	assert_str(out[1].address, "1@y"); /* its lease was over */
}

static void times_move_together(void **state)
{
	struct fixture *f = *state;
	put_one(f, "m1", "a@x", "k");
	struct store_rcpt r;
	struct store_message m;
	size_t n;
	int64_t due_s;
	assert_int_equal(f->ops->shift(f->store, 5000), OK);
	assert_int_equal(f->ops->message(f->store, STR("m1"), f->arena, &m), OK);
	assert_int_equal(m.arrived_s, NOW + 5000);
	assert_false(m.damaged);
	assert_int_equal(f->ops->lease(f->store, NOW + 4999, 60, &anything, f->arena, &r, 1, &n, NULL), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->shift(f->store, -6000), OK);
	assert_int_equal(f->ops->next_due(f->store, &anything, &due_s), OK);
	assert_true(due_s <= NOW - 1000);
	assert_int_equal(f->ops->lease(f->store, NOW - 1000, 60, &anything, f->arena, &r, 1, &n, NULL), OK);
	assert_int_equal(n, 1);
	assert_int_equal(r.next_s, NOW - 1000);
	assert_false(r.damaged);
	assert_int_equal(f->ops->shift(f->store, -2 * NOW), OK);
	assert_int_equal(f->ops->message(f->store, STR("m1"), f->arena, &m), OK);
	assert_int_equal(m.arrived_s, 0);
}

static void selectors_select(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("Bo@y.example", "y", NOW), rcpt_to("c@z.example", "z", NOW) }, out[9];
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	assert_int_equal(put_from(f, "m2", "", STR("x"), r, 1), OK);
	const struct { struct store_selector which; size_t n; } cases[] = {
		{ { .id = STR_NONE }, 3 },
		{ { .id = STR("m1") }, 2 }, { { .id = STR("M1") }, 0 }, { { .id = STR("m") }, 0 },
		{ { .to = STR("bO@Y.example") }, 2 }, { { .to = STR("o@y.example") }, 0 },
		{ { .from = STR("A@x.example") }, 2 }, { { .from = STR("<>") }, 1 }, { { .from = STR("x") }, 0 },
		{ { .user = STR("JADA") }, 3 }, { { .user = STR("jad") }, 0 },
		{ { .domain = STR("Z.example") }, 1 }, { { .domain = STR("example") }, 0 },
		{ { .arrived_before_s = NOW + 1 }, 3 }, { { .arrived_before_s = NOW }, 0 },
		{ { .id = STR("m2"), .to = STR("bo@y.example"), .domain = STR("y.example") }, 1 },
		{ { .id = STR("m2"), .to = STR("c@z.example") }, 0 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = 99;
		assert_int_equal(f->ops->list(f->store, &cases[i].which, 0, f->arena, out, 9, &n), OK);
		if (n != cases[i].n)
			fail_msg("case %zu: %zu rows", i, n);
		assert_int_equal(f->ops->claim(f->store, &cases[i].which, NOW, 60, f->arena, out, 9, &n, NULL), OK);
		assert_int_equal(n, cases[i].n);
		assert_int_equal(f->ops->reclaim(f->store, NULL), OK);
		uint64_t hit = 99;
		assert_int_equal(f->ops->act(f->store, &cases[i].which, ACT_RETRY, NOW, &hit), OK);
		assert_int_equal(hit, cases[i].n);
	}
}

static void a_list_goes_on_where_it_stopped(void **state)
{
	struct fixture *f = *state;
	char id[16];
	for (int i = 0; i < 25; i++) {
		snprintf(id, sizeof id, "m%d", i);
		put_one(f, id, "b@y", "y");
	}
	struct store_rcpt out[10];
	uint64_t after = 0;
	size_t n, total = 0;
	do {
		assert_int_equal(f->ops->list(f->store, &(struct store_selector){ 0 }, after, f->arena, out, 10, &n), OK);
		for (size_t i = 0; i < n; i++) {
			assert_true(out[i].number > after);
			after = out[i].number;
			snprintf(id, sizeof id, "m%zu", total++);
			assert_str(out[i].id, id);
		}
	} while (n > 0);
	assert_int_equal(total, 25);
}

static void the_operator_acts(void **state)
{
	struct fixture *f = *state;
	struct store_rcpt r[] = { rcpt_to("1@y", "y", NOW + 500), rcpt_to("2@y", "y", NOW) }, out[4], none[4];
	assert_int_equal(put(f, "m1", STR("x"), r, 2), OK);
	struct store_selector all = { 0 }, one = { .to = STR("1@y") }, two = { .to = STR("2@y") };
	uint64_t n;
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_str(out[0].address, "2@y");

	assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW, &n), OK);
	assert_int_equal(n, 1); /* the leased one is being tried anyway */
	assert_int_equal(f->ops->act(f->store, &all, ACT_RELEASE, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(n, 2);
	assert_int_equal(f->ops->act(f->store, &all, ACT_HOLD, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), F_STATE); /* its fence is stale */
	assert_int_equal(lease(f, NOW + 9999, none, 4), 0);
	assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(f->ops->act(f->store, &one, ACT_RELEASE, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_str(out[0].address, "1@y");
	assert_int_equal(f->ops->act(f->store, &one, ACT_REMOVE, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW), F_STATE);
	assert_int_equal(counts(f).held, 1);
	assert_int_equal(f->ops->act(f->store, &two, ACT_REMOVE, NOW, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(counts(f).messages, 0);
	assert_int_equal(f->ops->act(f->store, &all, ACT_REMOVE, NOW, &n), OK);
	assert_int_equal(n, 0);
}

/* However often it is asked for: the attempt that follows costs no step of the schedule. */
static void an_attempt_that_is_asked_for_is_not_of_the_schedule(void **state)
{
	struct fixture *f = *state;
	struct store_selector all = { 0 };
	struct store_rcpt out[4];
	uint64_t n;
	put_one(f, "m1", "b@y", "y");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(lease(f, NOW + 1000 * i, out, 4), 1);
		assert_int_equal(out[0].attempts, i);
		assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW + 1000 * (i + 1)), OK);
	}
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned again = 0; again < 3; again++) {
			assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW + 10 * i, &n), OK);
			assert_int_equal(n, 1);
		}
		assert_int_equal(lease(f, NOW + 10 * i, out, 4), 1);
		assert_int_equal(out[0].attempts, 2);
		assert_int_equal(settle(f, &out[0], SETTLE_LATER, NOW + 9000), OK);
	}
	assert_int_equal(lease(f, NOW + 9000, out, 4), 1); /* of the schedule again */
	assert_int_equal(out[0].attempts, 3);
	put_one(f, "m2", "never-tried@z", "z");
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), OK);
	assert_int_equal(f->ops->act(f->store, &all, ACT_RETRY, NOW - 5, &n), OK);
	assert_int_equal(lease(f, NOW, out, 4), 1);
	assert_int_equal(out[0].attempts, 0);
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
	assert_int_equal(f->ops->claim(f->store, &(struct store_selector){ 0 }, NOW, 60, f->arena, claimed, 4, &n, NULL), OK);
	assert_int_equal(n, 2);
	assert_int_equal(counts(f).leased, 3);
	assert_int_equal(settle(f, &claimed[1], SETTLE_DONE, 0), OK);
	assert_int_equal(settle(f, &out[0], SETTLE_DONE, 0), OK);
	/* A claim that ends leaves a held recipient held. */
	assert_int_equal(lease(f, NOW + 9999, out, 4), 0);
	assert_int_equal(counts(f).held, 1);
}

struct heard { struct fixture *f; unsigned n; char text[200]; };

static void hear(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct heard *h = owner;
	h->n++;
	size_t used = strlen(h->text);
	snprintf(h->text + used, sizeof h->text - used, "%.*s=%.*s@%d ", STR_ARG(key), STR_ARG(value), (int)expires_s);
}

static void observations_are_kept_until_they_expire(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(f->ops->remember(f->store, STR("sts:y"), STR("old"), 100), OK);
	assert_int_equal(f->ops->remember(f->store, STR("sts:y"), STR("enforce"), 300), OK);
	assert_int_equal(f->ops->remember(f->store, STR("sts:z"), STR("none"), 200), OK);
	struct heard h = { f, 0, "" };
	assert_int_equal(f->ops->recall(f->store, 200, f->arena, hear, &h), OK);
	assert_string_equal(h.text, "sts:y=enforce@300 ");
	h = (struct heard){ f, 0, "" };
	assert_int_equal(f->ops->recall(f->store, 300, f->arena, hear, &h), OK);
	assert_int_equal(h.n, 0);
}

/* Much more than one segment goes through, with some staying behind: the living survive every tidying. */
static void the_living_survive_tidying(void **state)
{
	struct fixture *f = *state;
	enum { ROUNDS = 12, EACH = 20 };
	char id[16];
	struct store_rcpt r = rcpt_to("b@y", "y", NOW), out[EACH * ROUNDS];
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct store_commit c[EACH];
		char ids[EACH][16];
		for (unsigned i = 0; i < EACH; i++) {
			snprintf(ids[i], sizeof ids[i], "r%um%u", round, i);
			c[i] = (struct store_commit){ .draft = draft_of(f, pattern(f, 9000, round * 100 + i)),
				                      .message = { .id = str_of(ids[i]) }, .rcpts = &r, .n_rcpts = 1 };
		}
		assert_int_equal(f->ops->commit(f->store, c, EACH, NULL, 0, NULL), OK);
		size_t n = lease(f, NOW, out, COUNT(out));
		struct store_outcome o[EACH * ROUNDS];
		size_t done = 0;
		for (size_t i = 0; i < n; i++)
			o[i] = (struct store_outcome){ .rcpt = out[i].number, .fence = out[i].fence,
				                       .kind = str_ends_nocase(out[i].id, STR("m3")) ? SETTLE_HELD : SETTLE_DONE };
		assert_int_equal(f->ops->commit(f->store, NULL, 0, o, n, NULL), OK);
		for (size_t i = 0; i < n; i++)
			done += o[i].result == OK;
		assert_int_equal(done, n);
		tidy_all(f);
		for (unsigned k = 0; k <= round; k++) {
			snprintf(id, sizeof id, "r%um3", k);
			assert_true(str_eq(content_of(f, id, 4000), pattern(f, 9000, k * 100 + 3)));
		}
	}
	assert_int_equal(counts(f).held, ROUNDS);
	/* 2.1 MB went through segments of 128 KB; 108 KB of it lives: the disk does not grow with the past. */
	assert_true(counts(f).disk_bytes <= 6 * SEGMENT);
}

#define CASE(name) { #name, name }
static const struct { const char *name; CMUnitTestFunction run; } cases[] = {
	CASE(what_is_put_comes_out),
	CASE(strings_may_hold_anything),
	CASE(content_of_every_size),
	CASE(drafts_interleave),
	CASE(a_draft_without_commit_is_nothing),
	CASE(one_bad_message_does_not_spoil_the_batch),
	CASE(an_id_has_a_longest_length),
	CASE(a_lease_is_exclusive_until_it_ends),
	CASE(a_renewed_lease_lasts),
	CASE(later_keeps_what_happened),
	CASE(a_dialogue_is_cut),
	CASE(held_is_never_leased),
	CASE(content_leaves_with_the_last_recipient),
	CASE(recipients_of_one_message_and_key_come_together),
	CASE(oldest_first),
	CASE(a_full_destination_is_passed_over),
	CASE(next_due_passes_over_what_is_full),
	CASE(next_due_never_oversleeps),
	CASE(reclaim_gives_leases_back),
	CASE(a_bounce_rides_with_its_failure),
	CASE(without_its_bounce_nothing_is_settled),
	CASE(a_clock_that_was_wrong_is_mended),
	CASE(times_move_together),
	CASE(selectors_select),
	CASE(a_list_goes_on_where_it_stopped),
	CASE(the_operator_acts),
	CASE(an_attempt_that_is_asked_for_is_not_of_the_schedule),
	CASE(a_claim_takes_what_nobody_has),
	CASE(observations_are_kept_until_they_expire),
	CASE(the_living_survive_tidying),
};

int main(void)
{
	struct CMUnitTest tests[COUNT(cases) * COUNT(stores)];
	static char names[COUNT(cases) * COUNT(stores)][96];
	for (size_t s = 0; s < COUNT(stores); s++)
		for (size_t i = 0; i < COUNT(cases); i++) {
			size_t at = s * COUNT(cases) + i;
			union { const void *in; void *out; } ops = { stores[s] };
			snprintf(names[at], sizeof names[at], "%s: %s", stores[s]->name, cases[i].name);
			tests[at] = (struct CMUnitTest){ names[at], cases[i].run, setup, fixture_teardown, ops.out };
		}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
