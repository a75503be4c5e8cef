/* SPDX-License-Identifier: ISC */
/* A glance at a queue that no server has open: right where the database tells, refused where it does not, and without a trace. */
#include "fixture.h"

#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/inspect.h"

static const struct store_ops *const ops = &store_sqlite;

static int setup(void **state)
{
	*state = fixture_new(ops, "/dev/shm");
	return 0;
}

static void put(struct fixture *f, const char *id, int64_t arrived_s, enum rcpt_state first, enum rcpt_state second)
{
	struct store_rcpt rcpts[2] = { { .address = STR("a@y.example"), .original = STR("a@y.example"), .key = STR("k"), .state = first },
		                       { .address = STR("b@y.example"), .original = STR("b@y.example"), .key = STR("k"), .state = second } };
	struct store_commit c = { .message = { .id = str_of(id), .arrived_s = arrived_s }, .rcpts = rcpts, .n_rcpts = 2 };
	assert_ok(ops->draft_new(f->store, &c.draft));
	assert_ok(ops->draft_append(f->store, c.draft, STR("x")));
	assert_ok(ops->commit(f->store, &c, 1, NULL, 0, NULL));
	assert_ok(c.result);
}

static unsigned names_in(const char *path)
{
	unsigned n = 0;
	DIR *d = opendir(path);
	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

static void what_waits_is_counted(void **state)
{
	struct fixture *f = *state;
	struct inspect_glance g;
	struct why why = { "" };
	put(f, "m1", NOW - 50, RCPT_QUEUED, RCPT_HELD);
	put(f, "m2", NOW - 70, RCPT_QUEUED, RCPT_QUEUED);
	assert_ok(ops->remember(f->store, STR("spool:clock"), STR("12345"), INT64_MAX));
	assert_int_equal(inspect_glance(str_of(f->queue), &g, &why), F_STATE); /* somebody has it open: its log is not in it */
	assert_non_null(strstr(why.text, "did not end in order"));
	ops->close(&f->store);
	unsigned before = names_in(f->queue);
	assert_ok(inspect_glance(str_of(f->queue), &g, &why));
	assert_true(g.messages == 2 && g.queued == 3 && g.held == 1 && g.damaged == 0);
	assert_int_equal(g.oldest_s, NOW - 70);
	assert_int_equal(g.clock_s, 12345);
	assert_int_equal(names_in(f->queue), before);
}

static void an_empty_queue_has_no_oldest(void **state)
{
	struct fixture *f = *state;
	struct inspect_glance g = { .messages = 9 };
	ops->close(&f->store);
	assert_ok(inspect_glance(str_of(f->queue), &g, NULL));
	assert_true(g.messages == 0 && g.oldest_s == 0 && g.clock_s == -1);
}

static void its_name_may_be_any(void **state)
{
	struct fixture *f = *state;
	struct inspect_glance g;
	char odd[200];
	put(f, "m1", NOW, RCPT_QUEUED, RCPT_QUEUED);
	ops->close(&f->store);
	(void)snprintf(odd, sizeof odd, "%s?mode=rw&x#%%41 \xc3\xa4", f->queue);
	assert_int_equal(rename(f->queue, odd), 0);
	assert_ok(inspect_glance(str_of(odd), &g, NULL));
	assert_int_equal(g.messages, 1);
	assert_int_equal(rename(odd, f->queue), 0);
}

static void what_is_no_queue_is_said_to_be_none(void **state)
{
	struct fixture *f = *state;
	struct inspect_glance g;
	struct why why = { "" };
	char path[200];
	ops->close(&f->store);
	assert_int_equal(inspect_glance(STR("/nonexistent/queue"), &g, &why), F_ABSENT);
	(void)snprintf(path, sizeof path, "%s/queue.db", f->queue);
	int fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0 && write(fd, "no database, whatever it is", 27) == 27);
	close(fd);
	assert_int_equal(inspect_glance(str_of(f->queue), &g, &why), F_STORE);
	assert_non_null(strstr(why.text, "cannot be read"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0); /* nobody waits for it */
	assert_int_not_equal(inspect_glance(str_of(f->queue), &g, &why), OK);
	assert_int_equal(unlink(path), 0);
	char name[1000];
	memset(name, 'a', sizeof name);
	assert_int_equal(inspect_glance((struct str){ name, sizeof name }, &g, &why), F_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_waits_is_counted),
		TEST(an_empty_queue_has_no_oldest),
		TEST(its_name_may_be_any),
		TEST(what_is_no_queue_is_said_to_be_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
