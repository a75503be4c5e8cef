/* SPDX-License-Identifier: ISC */
/* Every configuration in etc/ is taken as it stands, weakens only what its comments say, and together they show every
 * directive; and every row of the tables is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "conf/table.h"
#include "files.h"

static const struct { const char *folder, *name; unsigned warnings; } weak[] = {
	{ "etc/examples", "test.conf", 2 }, /* tls none, allow-loopback */
};

static struct map *shown_directives;

static void note_directives(const struct conf_text *text, struct arena *a)
{
	struct troubles t;
	troubles_init(&t, a, text, 1);
	for (const struct node *n = tree_parse(text, &t)->first; n != NULL; n = n->next) {
		map_set(shown_directives, n->words[0].text, a);
		for (const struct node *inner = n->first; inner != NULL; inner = inner->next)
			for (size_t i = 0; i < inner->n_words; i++) {
				char path[200];
				snprintf(path, sizeof path, "%.*s.%.*s", STR_ARG(n->words[0].text), STR_ARG(inner->words[i].text));
				map_set(shown_directives, str_of(path), a);
				if (!str_eq(n->words[0].text, STR("route")))
					break;
			}
	}
}

static int examples_in(const char *folder)
{
	struct dirent **names;
	int n = conf_names(folder, &names);
	for (int i = 0; i < n; i++) {
		struct arena *a = arena_new(8 << 20);
		struct conf_report report;
		struct conf *conf = NULL;
		struct conf_text text = { str_of(names[i]->d_name), source_text(folder, names[i]->d_name, a) };
		unsigned warnings = 0;
		for (size_t j = 0; j < COUNT(weak); j++)
			if (strcmp(weak[j].folder, folder) == 0 && strcmp(weak[j].name, names[i]->d_name) == 0)
				warnings = weak[j].warnings;
		conf_report_init(&report);
		if (conf_read(&text, 1, &conf, &report) != OK || report.warnings != warnings)
			fail_msg("%s/%s:\n%.*s", folder, names[i]->d_name, STR_ARG(buf_view(&report.text)));
		note_directives(&text, a);
		conf_free(&conf);
		conf_report_fini(&report);
		arena_free(&a);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return n;
}

static void examples(void **state)
{
	(void)state;
	shown_directives = map_new(0);
	assert_int_equal(examples_in("etc"), 1);
	assert_true(examples_in("etc/examples") >= 6);
	for (const struct directive *d = conf_directives; d->name != NULL; d++) {
		if (map_get(shown_directives, str_of(d->name)) == NULL)
			fail_msg("no example in etc/ shows %s", d->name);
		for (const struct directive *row = d->rows; row != NULL && row->name != NULL; row++) {
			char path[200];
			snprintf(path, sizeof path, "%s.%s", d->name, row->name);
			if (map_get(shown_directives, str_of(path)) == NULL)
				fail_msg("no example in etc/ shows %s", path);
		}
	}
	map_free(&shown_directives);
}

/* of_route: a condition or an action, and no default is sought. */
static void assert_row(const struct directive *d, bool of_route)
{
	if (d->help == NULL || strlen(d->help) < 12 || d->help[strlen(d->help) - 1] != '.')
		fail_msg("%s: its help is no sentence", d->name);
	if (d->argument == NULL || d->example == NULL)
		fail_msg("%s: argument and example must be written, if only \"\"", d->name);
	bool left_out = d->preset != NULL || d->otherwise != NULL;
	if (d->type != VALUE_BLOCK && !of_route && !left_out && !(d->flags & REQUIRED))
		fail_msg("%s: what if it is left out?", d->name);
}

static void rows(void **state)
{
	(void)state;
	for (const struct directive *d = conf_directives; d->name != NULL; d++) {
		assert_row(d, false);
		for (const struct directive *row = d->rows; row != NULL && row->name != NULL; row++)
			assert_row(row, strcmp(d->name, "route") == 0);
	}
}

/* The first thing that anybody copies. */
static void readme(void **state)
{
	(void)state;
	struct arena *a = arena_new(8 << 20);
	struct conf_report report;
	struct conf *conf = NULL;
	struct str page = source_text(".", "README.md", a), block;
	size_t at;
	assert_true(str_find_str(page, STR("```\nhostname"), &at));
	page = str_from(page, at + 4);
	assert_true(str_find_str(page, STR("```"), &at));
	block = str_sub(page, 0, at);
	conf_report_init(&report);
	if (conf_read(&(struct conf_text){ STR("README.md"), block }, 1, &conf, &report) != OK || report.warnings != 0)
		fail_msg("%.*s", STR_ARG(buf_view(&report.text)));
	conf_free(&conf);
	conf_report_fini(&report);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(examples),
		cmocka_unit_test(readme), cmocka_unit_test(rows) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
