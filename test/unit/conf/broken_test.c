/* SPDX-License-Identifier: ISC */
/*
 * Every broken/NAME.conf must be refused with exactly the text in broken/NAME.err, and every example in etc/ be taken.
 * EXPECT_WRITE=1 writes the .err files anew, to be read before they are committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/conf.h"
#include "files.h"

#define FOLDER "test/unit/conf/broken"
enum { BROKEN_MIN = 45 };

static void write_expected(const char *name, struct str text)
{
	char path[1024];
	FILE *f = fopen(source_path(FOLDER, name, path), "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	fclose(f);
}

static bool is_refused(const char *name)
{
	struct arena *a = arena_new(8 << 20);
	struct conf_text text = { STR("sealpost.conf"), source_text(FOLDER, name, a) };
	struct conf_report report;
	struct conf *conf = NULL;
	conf_report_init(&report);
	fault f = conf_read(&text, 1, &conf, &report);

	char expected_name[300];
	snprintf(expected_name, sizeof expected_name, "%.*s.err", (int)strlen(name) - 5, name);
	struct str got = buf_view(&report.text);
	if (getenv("EXPECT_WRITE") != NULL)
		write_expected(expected_name, got);
	struct str expected = source_text(FOLDER, expected_name, a);
	bool good = f == F_SYNTAX && conf == NULL && report.errors > 0 && expected.n > 0 && str_eq(got, expected);
	if (!good)
		print_error("%s: %s, %u errors\n--- got\n%.*s--- expected\n%.*s", name, fault_name(f), report.errors,
		            STR_ARG(got), STR_ARG(expected));
	conf_free(&conf);
	conf_report_fini(&report);
	arena_free(&a);
	return good;
}

static void broken_files(void **state)
{
	(void)state;
	struct dirent **names;
	int n = conf_names(FOLDER, &names), good = 0;
	for (int i = 0; i < n; i++) {
		good += is_refused(names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	assert_int_equal(good, n);
	assert_true(n >= BROKEN_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(broken_files) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
