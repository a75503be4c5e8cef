/* SPDX-License-Identifier: ISC */
/* The listening sockets over reloads: a refused one leaves those there are, and takes away what it brought. */
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

#include "base/check.h"
#include "role/supervisor/slot.h"
#include "sys/socket.h"

static char top[64];

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/sealpost-bound-XXXXXX");
	return mkdtemp(top) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char command[100];
	snprintf(command, sizeof command, "rm -r %s", top);
	return system(command);
}

/* Listens on the sockets of these names in the folder, and for commands at the last. */
static struct generation reads(uint64_t number, const char *one, const char *two, const char *control)
{
	static char text[2000];
	struct generation g = { .number = number };
	struct conf_report report;
	conf_report_init(&report);
	snprintf(text, sizeof text,
	         "hostname mx.example\npostmaster root@example.com\nrun-as nobody\ncontrol %s/%s\n"
	         "listen local {\n    on unix:%s/%s\n    on unix:%s/%s\n}\nqueue {\n    directory %s/q\n}\nroute {\n    otherwise hold\n}\n",
	         top, control, top, one, top, two, top);
	struct conf_text whole = { STR("test.conf"), str_of(text) };
	if (conf_read(&whole, 1, &g.conf, &report) != OK)
		fail_msg("%.*s", STR_ARG(buf_view(&report.text)));
	conf_report_fini(&report);
	return g;
}

static fault binds(struct supervisor *sv, const struct generation *g)
{
	struct conf_report report;
	conf_report_init(&report);
	fault f = bound_all(sv, g, &report);
	assert_int_equal(report.errors > 0, f != OK);
	conf_report_fini(&report);
	return f;
}

static bool answers(const char *name)
{
	struct endpoint at = { .kind = ENDPOINT_UNIX };
	int fd = -1;
	snprintf(at.path, sizeof at.path, "%s/%s", top, name);
	fault f = socket_connect(&at, NULL, &fd);
	fd_close(&fd);
	return f == OK;
}

static struct supervisor *runs(struct generation g)
{
	struct supervisor *sv = NEW(struct supervisor);
	list_init(&sv->bound);
	assert_int_equal(binds(sv, &g), OK);
	sv->current = g;
	return sv;
}

static void ends(struct supervisor **sv)
{
	bound_close_listeners(*sv);
	generation_free(&(*sv)->current);
	free(*sv);
}

/* By a role that does not like its files, say: all could be bound, and what was is wanted still. */
static void a_generation_that_is_refused_later_takes_no_listener_along(void **state)
{
	(void)state;
	struct supervisor *sv = runs(reads(1, "a", "b", "control"));
	for (unsigned n = 2; n < 5; n++) {
		struct generation g = reads(n, "a", "new", "other-control");
		assert_int_equal(binds(sv, &g), OK);
		assert_true(answers("new") && answers("other-control"));
		bound_keep(sv, sv->current.conf);
		generation_free(&g);
		assert_true(answers("a") && answers("b") && answers("control"));
		assert_false(answers("new") || answers("other-control"));
	}
	struct generation good = reads(5, "b", "new", "control");
	assert_int_equal(binds(sv, &good), OK);
	bound_keep(sv, good.conf);
	assert_true(answers("b") && answers("new") && answers("control"));
	assert_false(answers("a"));
	generation_free(&good);
	ends(&sv);
}

static void an_address_that_cannot_be_bound_takes_no_listener_along(void **state)
{
	(void)state;
	struct supervisor *sv = runs(reads(1, "a", "b", "control"));
	for (unsigned n = 2; n < 5; n++) {
		struct generation g = reads(n, "a", n == 2 ? "no-such-folder/b" : "b", n == 3 ? "no-such-folder/control" : "control");
		assert_int_equal(binds(sv, &g), n < 4 ? F_ABSENT : OK);
		bound_keep(sv, sv->current.conf);
		generation_free(&g);
		assert_true(answers("a") && answers("b") && answers("control"));
	}
	ends(&sv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_generation_that_is_refused_later_takes_no_listener_along, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_that_cannot_be_bound_takes_no_listener_along, setup, teardown),
	};
	return cmocka_run_group_tests_name("supervisor/bound", tests, NULL, NULL);
}
