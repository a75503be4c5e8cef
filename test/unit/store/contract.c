/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "contract.h"

#include <stdio.h>

enum { CASES_MAX = 50 };
static const struct store_ops *const stores[] = { &store_memory, &store_sqlite };

static int setup(void **state)
{
	*state = fixture_new(*state, "/tmp");
	return 0;
}

struct store_draft *draft_of(struct fixture *f, struct str content)
{
	struct store_draft *d;
	assert_int_equal(f->ops->draft_new(f->store, &d), OK);
	assert_int_equal(f->ops->draft_append(f->store, d, content), OK);
	return d;
}

struct store_rcpt rcpt_to(const char *address, const char *key, int64_t next_s)
{
	return (struct store_rcpt){ .address = str_of(address), .original = str_of(address), .key = str_of(key),
		                    .state = RCPT_QUEUED, .next_s = next_s };
}

fault put_from(struct fixture *f, const char *id, const char *sender, struct str content,
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

fault put(struct fixture *f, const char *id, struct str content, const struct store_rcpt *rcpts, size_t n)
{
	return put_from(f, id, "a@x.example", content, rcpts, n);
}

void put_one(struct fixture *f, const char *id, const char *address, const char *key)
{
	struct store_rcpt r = rcpt_to(address, key, NOW);
	assert_int_equal(put(f, id, STR("Subject: x\r\n\r\nbody\r\n"), &r, 1), OK);
}

size_t lease(struct fixture *f, int64_t now_s, struct store_rcpt *out, size_t max)
{
	size_t n = 99;
	assert_int_equal(f->ops->lease(f->store, now_s, 60, &anything, f->arena, out, max, &n, NULL), OK);
	return n;
}

fault settle(struct fixture *f, const struct store_rcpt *r, enum settle_kind kind, int64_t next_s)
{
	struct store_outcome o = { .rcpt = r->number, .fence = r->fence, .kind = kind, .next_s = next_s,
		                   .reply = STR("450 4.2.0 busy"), .dialogue = STR("RCPT\n450 busy"),
		                   .counts = true };
	assert_int_equal(f->ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
	return o.result;
}

struct store_counts counts(struct fixture *f)
{
	struct store_counts c;
	assert_int_equal(f->ops->counts(f->store, &c), OK);
	return c;
}

/* The whole content, read in pieces of a size that fits nothing. */
struct str content_of(struct fixture *f, const char *id, size_t piece)
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

int contract_run(const struct contract_case *cases, size_t n)
{
	static struct CMUnitTest tests[CASES_MAX * COUNT(stores)];
	static char names[CASES_MAX * COUNT(stores)][96];
	check(n <= CASES_MAX);
	for (size_t s = 0; s < COUNT(stores); s++)
		for (size_t i = 0; i < n; i++) {
			size_t at = s * n + i;
			union { const void *in; void *out; } ops = { stores[s] };
			snprintf(names[at], sizeof names[at], "%s: %s", stores[s]->name, cases[i].name);
			tests[at] = (struct CMUnitTest){ names[at], cases[i].run, setup, fixture_teardown, ops.out };
		}
	return _cmocka_run_group_tests("contract", tests, n * COUNT(stores), NULL, NULL);
}
