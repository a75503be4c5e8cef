/* SPDX-License-Identifier: ISC */
/* What `sealpost try` made goes again; and nothing else with it, whatever the accounts of its roles have put there. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/try_house.h"

static char top[64];

static const char *in_top(const char *name)
{
	static char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", top, name);
	return path;
}

static void put_file(const char *name)
{
	FILE *file = fopen(in_top(name), "w");
	assert_non_null(file);
	(void)fclose(file);
}

static void put_link(const char *to, const char *name)
{
	assert_int_equal(symlink(to, in_top(name)), 0);
}

static struct try_house house(bool is_named)
{
	struct try_house h = { .is_named = is_named };
	(void)snprintf(h.directory, sizeof h.directory, "%s", in_top("house"));
	return h;
}

static int setup(void **state)
{
	static const char *const folders[] = { "house", "house/mail", "house/mail/new", "house/spool", "kept" };
	(void)state;
	(void)snprintf(top, sizeof top, "/tmp/sealpost-unit-XXXXXX");
	assert_non_null(mkdtemp(top));
	for (size_t i = 0; i < COUNT(folders); i++)
		assert_int_equal(mkdir(in_top(folders[i]), 0700), 0);
	put_file("house/mail/new/letter");
	put_file("house/spool/queue.db");
	put_file("kept/file");
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	(void)snprintf(command, sizeof command, "rm -r %s", top);
	return system(command);
}

static void all_of_it_goes(void **state)
{
	(void)state;
	struct try_house h = house(false);
	assert_true(try_house_remove(&h));
	assert_int_not_equal(access(h.directory, F_OK), 0);
}

static void what_was_named_stays(void **state)
{
	(void)state;
	struct try_house h = house(true);
	assert_false(try_house_remove(&h));
	assert_int_equal(access(in_top("house/mail/new/letter"), F_OK), 0);
}

/* Root removes what the mail user could write to. */
static void a_link_leads_nowhere(void **state)
{
	(void)state;
	char kept[64 + 8];
	(void)snprintf(kept, sizeof kept, "%s/kept", top); /* in_top has room for one path */
	put_link(kept, "house/mail/cur");
	put_link("../../kept", "house/spool/content");
	put_link("../../kept/file", "house/spool/link");
	struct try_house h = house(false);
	bool gone = try_house_remove(&h);
	assert_int_equal(access(in_top("kept/file"), F_OK), 0);
	assert_true(gone);
	assert_int_not_equal(access(h.directory, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_it_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_named_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_leads_nowhere, setup, teardown),
	};
	return cmocka_run_group_tests_name("cmd/try_house", tests, NULL, NULL);
}
