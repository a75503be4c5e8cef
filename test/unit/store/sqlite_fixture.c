/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "sqlite_fixture.h"

#include <stdio.h>

#include "disk.h"

const struct store_ops *const ops = &store_sqlite;

int sqlite_setup(void **state)
{
	*state = fixture_new(ops, "/tmp");
	return 0;
}

int sqlite_teardown(void **state)
{
	disk_heal();
	return fixture_teardown(state);
}

fault put_text(struct fixture *f, const char *id, struct str content)
{
	struct store_rcpt r = { .address = STR("b@y.example"), .key = STR("k"), .next_s = NOW };
	struct store_commit c = { .message = { .id = str_of(id), .arrived_s = NOW }, .rcpts = &r, .n_rcpts = 1 };
	fault g = ops->draft_new(f->store, &c.draft);
	if (g != OK)
		return g;
	(void)!ops->draft_append(f->store, c.draft, content);
	g = ops->commit(f->store, &c, 1, NULL, 0, NULL);
	assert_null(c.draft);
	if (g != OK)
		assert_int_not_equal(c.result, OK);
	return c.result;
}

fault read_all(struct fixture *f, const char *id, struct str *out)
{
	struct buf all;
	buf_init(&all, 16 << 20);
	size_t n = 1;
	fault g = OK;
	while (g == OK && n > 0) {
		char *to = buf_reserve(&all, 50000);
		g = ops->content(f->store, str_of(id), buf_view(&all).n, to, 50000, &n);
		buf_filled(&all, n);
	}
	*out = arena_copy(f->arena, buf_view(&all));
	buf_fini(&all);
	return g;
}

void assert_content(struct fixture *f, const char *id, struct str want)
{
	struct str got;
	assert_int_equal(read_all(f, id, &got), OK);
	assert_true(str_eq(got, want));
}

uint64_t messages(struct fixture *f)
{
	struct store_counts c;
	assert_int_equal(ops->counts(f->store, &c), OK);
	return c.messages;
}

void settle_all(struct fixture *f, enum settle_kind kind)
{
	struct store_rcpt out[100];
	size_t n;
	assert_int_equal(ops->lease(f->store, NOW, 60, &anything, f->arena, out, 100, &n, NULL), OK);
	for (size_t i = 0; i < n; i++) {
		struct store_outcome o = { .rcpt = out[i].number, .fence = out[i].fence, .kind = kind, .next_s = NOW };
		assert_int_equal(ops->commit(f->store, NULL, 0, &o, 1, NULL), OK);
		assert_int_equal(o.result, OK);
	}
}

void segment_path(struct fixture *f, char out[128], unsigned number)
{
	snprintf(out, 128, "%s/content-%06u", f->queue, number);
}
