/* SPDX-License-Identifier: ISC */
/* The texts of a configuration from the disk: order, what is left out, limits, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "role/supervisor/load.h"

static char top[64];

static const char *in_top(const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", top, name);
	return path;
}

static void put(const char *name, const char *text, size_t n)
{
	FILE *f = fopen(in_top(name), "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/sealpost-load-XXXXXX");
	return mkdtemp(top) != NULL && mkdir(in_top("d"), 0700) == 0 && mkdir(in_top("e"), 0700) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char command[100];
	snprintf(command, sizeof command, "rm -r %s", top);
	return system(command);
}

static void in_order(void **state)
{
	(void)state;
	struct conf_texts *texts;
	struct why why;
	put("main.conf", "include e\nhostname a.example\ninclude d\n", 39);
	put("d/2.conf", "two", 3);
	put("d/10.conf", "ten", 3);
	put("d/.hidden.conf", "x", 1);
	put("d/readme", "x", 1);
	put("d/3.conf~", "x", 1);
	put("e/z.conf", "", 0);
	assert_int_equal(conf_load(in_top("main.conf"), &texts, &why), OK);
	static const char *const order[] = { "main.conf", "e/z.conf", "d/10.conf", "d/2.conf" };
	assert_int_equal(texts->n, 4);
	for (size_t i = 0; i < 4; i++)
		assert_true(str_eq(texts->items[i].name, str_of(in_top(order[i]))));
	assert_true(str_eq(texts->items[2].text, STR("ten")));
	conf_texts_free(&texts);
	assert_null(texts);
}

static void assert_refused(const char *name, fault want, const char *part)
{
	struct conf_texts *texts;
	struct why why = { "" };
	fault f = conf_load(in_top(name), &texts, &why);
	if (f != want || strstr(why.text, part) == NULL)
		fail_msg("%s: %s, \"%s\"", name, fault_name(f), why.text);
	assert_null(texts);
}

static void what_is_missing(void **state)
{
	(void)state;
	assert_refused("absent.conf", F_ABSENT, "absent.conf");
	put("main.conf", "include nowhere\n", 16);
	assert_refused("main.conf", F_ABSENT, "nowhere");
	assert_refused("d", F_SYS, "/d");
}

static void too_much(void **state)
{
	(void)state;
	struct conf_texts *texts;
	struct why why;
	static char text[CONF_FILE_BYTES_MAX + 1];
	memset(text, '#', sizeof text);
	put("big.conf", text, CONF_FILE_BYTES_MAX);
	assert_int_equal(conf_load(in_top("big.conf"), &texts, &why), OK);
	conf_texts_free(&texts);
	put("big.conf", text, CONF_FILE_BYTES_MAX + 1);
	assert_refused("big.conf", F_LIMIT, "big.conf");

	/* Together. */
	size_t left = CONF_BYTES_MAX - CONF_FILE_BYTES_MAX;
	memcpy(text, "include f\n", 10);
	put("big.conf", text, CONF_FILE_BYTES_MAX);
	assert_int_equal(mkdir(in_top("f"), 0700), 0);
	for (char name[] = "f/1.conf"; left > CONF_FILE_BYTES_MAX; name[2]++, left -= CONF_FILE_BYTES_MAX) {
		memset(text, '#', 10);
		put(name, text, CONF_FILE_BYTES_MAX);
	}
	put("f/more.conf", text, left);
	assert_int_equal(conf_load(in_top("big.conf"), &texts, &why), OK);
	conf_texts_free(&texts);
	put("f/more.conf", text, left + 1);
	assert_refused("big.conf", F_LIMIT, "more.conf");
}

static void too_many(void **state)
{
	(void)state;
	struct conf_texts *texts;
	struct why why;
	assert_int_equal(mkdir(in_top("many"), 0700), 0);
	put("main.conf", "include many\n", 13);
	for (int i = 0; i < CONF_TEXTS_MAX; i++) {
		char name[32];
		if (i == CONF_TEXTS_MAX - 1) {
			assert_int_equal(conf_load(in_top("main.conf"), &texts, &why), OK);
			assert_int_equal(texts->n, CONF_TEXTS_MAX);
			conf_texts_free(&texts);
		}
		snprintf(name, sizeof name, "many/%04d.conf", i);
		put(name, "#", 1);
	}
	assert_refused("main.conf", F_LIMIT, "more than 1000 files");
}

static void one_file(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 16);
	struct why why;
	struct str text;
	put("file", "12345678", 8);
	assert_int_equal(load_file(in_top("file"), 8, a, &text, &why), OK);
	assert_true(str_eq(text, STR("12345678")));
	assert_int_equal(load_file(in_top("file"), 7, a, &text, &why), F_LIMIT);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order), cmocka_unit_test(what_is_missing), cmocka_unit_test(too_much), cmocka_unit_test(too_many),
		cmocka_unit_test(one_file),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
