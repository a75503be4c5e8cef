/* SPDX-License-Identifier: ISC */
/* The contract of what is kept: contents, envelopes, observations, and the room that they take. */
#include "unit.h"

#include "contract.h"

#include <stdio.h>
#include <string.h>

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

/* Slice after slice, in order, what has expired included; other prefixes do not show. */
static void observations_are_told_a_slice_at_a_time(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = { "seen/b", "seen/", "seem/z", "seen0", "seen/a", "seen/c", "seen/a.b" };
	for (size_t i = 0; i < COUNT(keys); i++)
		assert_int_equal(f->ops->remember(f->store, str_of(keys[i]), STR("v"), (int64_t)i), OK);
	struct heard h = { f, 0, "" };
	size_t n = 0;
	assert_int_equal(f->ops->recall_some(f->store, STR("seen/"), STR_NONE, 3, hear, &h, &n), OK);
	assert_int_equal(n, 3);
	assert_string_equal(h.text, "seen/=v@1 seen/a=v@4 seen/a.b=v@6 ");
	h = (struct heard){ f, 0, "" };
	assert_int_equal(f->ops->recall_some(f->store, STR("seen/"), STR("seen/a.b"), 3, hear, &h, &n), OK);
	assert_int_equal(n, 2);
	assert_string_equal(h.text, "seen/b=v@0 seen/c=v@5 ");
	assert_int_equal(f->ops->recall_some(f->store, STR("seen/"), STR("seen/c"), 3, hear, &h, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(h.n, 2);
}

/* The three limits: none, one of them, the other. */
static void observations_are_trimmed(void **state)
{
	struct fixture *f = *state;
	static const struct { const char *key; int64_t expires_s; } notes[] = {
		{ "seen/b", 30 }, { "seen/a", 10 }, { "seen/c", 20 }, { "seen/d", 20 }, { "shape/a", 5 }, { "seem/z", 1 },
	};
	struct heard h = { f, 0, "" };
	uint64_t gone = 9;
	for (size_t i = 0; i < COUNT(notes); i++)
		assert_int_equal(f->ops->remember(f->store, str_of(notes[i].key), STR("1234"), notes[i].expires_s), OK);
	assert_int_equal(f->ops->trim(f->store, STR("seen/"), 4, 40, &gone), OK);
	assert_int_equal(gone, 0);
	assert_int_equal(f->ops->trim(f->store, STR("seen/"), 3, 40, &gone), OK);
	assert_int_equal(gone, 1);
	assert_int_equal(f->ops->trim(f->store, STR("seen/"), 4, 29, &gone), OK);
	assert_int_equal(gone, 1);
	assert_int_equal(f->ops->recall(f->store, 0, f->arena, hear, &h), OK);
	assert_int_equal(h.n, 4);
	size_t at;
	assert_true(str_find_str(str_of(h.text), STR("seen/b="), &at) && str_find_str(str_of(h.text), STR("seen/c="), &at));
}

static void observations_go_along_with_the_clock(void **state)
{
	struct fixture *f = *state;
	struct heard h = { f, 0, "" };
	assert_int_equal(f->ops->remember(f->store, STR("seen/a"), STR("v"), 1000), OK);
	assert_int_equal(f->ops->shift(f->store, 5000), OK);
	assert_int_equal(f->ops->recall(f->store, 5999, f->arena, hear, &h), OK);
	assert_string_equal(h.text, "seen/a=v@6000 ");
	assert_int_equal(f->ops->remember(f->store, STR("seen/a"), STR("v"), INT64_MAX), OK);
	assert_int_equal(f->ops->shift(f->store, 5000), OK);
	h = (struct heard){ f, 0, "" };
	assert_int_equal(f->ops->recall(f->store, INT64_MAX - 1, f->arena, hear, &h), OK);
	assert_int_equal(h.n, 1);
}

static void tidy_all(struct fixture *f)
{
	bool more = true;
	for (int i = 0; more && i < 10000; i++)
		assert_int_equal(f->ops->tidy(f->store, &more, NULL), OK);
	assert_false(more);
}

/* Much more than one segment goes through, with some staying behind, held or leased: the living survive every tidying. */
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
		size_t done = 0, n_ended = 0;
		for (size_t i = 0; i < n; i++)
			if (!str_ends_nocase(out[i].id, STR("m7")))
				o[n_ended++] = (struct store_outcome){ .rcpt = out[i].number, .fence = out[i].fence,
					                       .kind = str_ends_nocase(out[i].id, STR("m3")) ? SETTLE_HELD : SETTLE_DONE };
		assert_int_equal(n_ended, EACH - 1);
		assert_int_equal(f->ops->commit(f->store, NULL, 0, o, n_ended, NULL), OK);
		for (size_t i = 0; i < n_ended; i++)
			done += o[i].result == OK;
		assert_int_equal(done, n_ended);
		tidy_all(f);
		for (unsigned k = 0; k <= round; k++) {
			snprintf(id, sizeof id, "r%um3", k);
			assert_true(str_eq(content_of(f, id, 4000), pattern(f, 9000, k * 100 + 3)));
			snprintf(id, sizeof id, "r%um7", k);
			assert_true(str_eq(content_of(f, id, 4000), pattern(f, 9000, k * 100 + 7)));
		}
	}
	assert_int_equal(counts(f).held, ROUNDS);
	assert_int_equal(counts(f).leased, ROUNDS);
	/* 2.1 MB went through segments of 128 KB; 216 KB of it lives: the disk does not grow with the past. */
	assert_true(counts(f).disk_bytes <= 6 * SEGMENT);
}

/* What a burst leaves in a cache is given back once, and no letter with it. */
static void rest_forgets_no_letter(void **state)
{
	struct fixture *f = *state;
	enum { N = 600 };
	static char ids[N][16];
	static struct store_commit c[N];
	struct store_rcpt r = rcpt_to("b@y", "y", NOW);
	struct str helo = pattern(f, 3000, 1);
	for (unsigned i = 0; i < N; i++) {
		snprintf(ids[i], sizeof ids[i], "m%u", i);
		c[i] = (struct store_commit){ .draft = draft_of(f, pattern(f, 10, i)),
			                      .message = { .id = str_of(ids[i]), .helo = helo }, .rcpts = &r, .n_rcpts = 1 };
	}
	assert_false(f->ops->rest(f->store)); /* there is nothing that would be worth it */
	assert_int_equal(f->ops->commit(f->store, c, N, NULL, 0, NULL), OK);
	assert_int_equal(f->ops->rest(f->store), f->ops == &store_sqlite); /* whose cache has 1.8 MB of it */
	assert_false(f->ops->rest(f->store));
	for (unsigned i = 0; i < N; i += 100)
		assert_true(str_eq(content_of(f, ids[i], 10), pattern(f, 10, i)));
	struct store_rcpt out[N];
	assert_int_equal(lease(f, NOW, out, N), N);
}

int main(void)
{
	static const struct contract_case cases[] = {
		CASE(what_is_put_comes_out),
		CASE(strings_may_hold_anything),
		CASE(content_of_every_size),
		CASE(drafts_interleave),
		CASE(a_draft_without_commit_is_nothing),
		CASE(one_bad_message_does_not_spoil_the_batch),
		CASE(an_id_has_a_longest_length),
		CASE(observations_are_kept_until_they_expire),
		CASE(observations_are_told_a_slice_at_a_time),
		CASE(observations_are_trimmed),
		CASE(observations_go_along_with_the_clock),
		CASE(the_living_survive_tidying),
		CASE(rest_forgets_no_letter),
	};
	return contract_run(cases, COUNT(cases));
}
