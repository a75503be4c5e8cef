/* SPDX-License-Identifier: ISC */
/* What `sealpost report` shows of TLS reports that would be sent, and what it costs. */
#include "unit.h"

#include "role/spool/tls_days.h"

#include <stdio.h>
#include <string.h>

#include "proto/tlsrpt/gzip.h"
#include "role/spool/tls_reports.h"

static const struct store_selector all = { .id = { NULL, 0 } };

static void heard_anew(void)
{
	buf_clear(&h.heard);
	h.passed = 0;
}

/* Since heard_anew(), or from now on. */
static void hear(const char *what)
{
	if (!was_heard(what))
		wait_for(what);
}

static void what_would_be_sent_is_shown(void **state)
{
	(void)state;
	struct from_worker_tls good = a_failure, stripped = a_failure;
	good.result = TLSRPT_SUCCESS;
	stripped.result = TLSRPT_STARTTLS_NOT_SUPPORTED;
	stripped.policy = TLSRPT_TLSA;
	house_open("");
	command(CONTROL_REPORT, all, false);
	assert_true(was_heard("operator: end 1 no TLS session has been counted"));
	tell(&good);
	tell(&a_failure);
	tell(&stripped);
	tell(&stripped);
	command_begin(CONTROL_REPORT, all, false);
	hear("resolver: ask y.example");
	wish(REPORT_WANTED, "mailto:tls@y.example https://in.y.example/");
	hear("\"domain\":\"y.example\",\"state\":\"counting\",\"due\":\"2");
	hear("\"tries\":0,\"policies\":[{\"type\":\"sts\",\"succeeded\":1,\"failed\":1},{\"type\":\"tlsa\",\"succeeded\":0,\"failed\":2}],"
	         "\"failures\":{\"certificate-expired\":1,\"starttls-not-supported\":2},"
	         "\"wish\":\"wanted\",\"uris\":[\"mailto:tls@y.example\",\"https://in.y.example/\"]}");
	hear("operator: end 0");
	heard_anew();
	command(CONTROL_REPORT, (struct store_selector){ .domain = STR("z.example") }, false);
	assert_true(was_heard("operator: end 1"));
	assert_false(was_heard("resolver: ask"));
	command_begin(CONTROL_REPORT, (struct store_selector){ .domain = STR("Y.Example") }, false);
	hear("resolver: ask y.example");
	wish(REPORT_UNWANTED, "");
	hear("\"wish\":\"unwanted\",\"uris\":[]}");
	hear("operator: end 0");
}

/* The very bytes that are posted, but for what is counted later; and nothing of it counts as sent. */
static void reports_are_shown_as_they_would_be_sent(void **state)
{
	(void)state;
	struct buf json;
	size_t at, end;
	fill_day(2, "y.example");
	house_open("");
	expect_heard("resolver: ask y.example");
	wish(REPORT_WANTED, "https://a.y.example/in");
	buf_init(&json, 1 << 16);
	assert_int_equal(gzip_get(&json, buf_view(&h.report_body)), OK);
	heard_anew();
	command(CONTROL_REPORT, all, true);
	assert_true(was_heard("operator: end 0"));
	struct str heard = buf_view(&h.heard);
	assert_true(str_find_str(heard, STR("operator: body "), &at));
	heard = str_from(heard, at + 15);
	assert_true(str_find(heard, '\n', &end));
	assert_true(str_eq(str_sub(heard, 0, end), buf_view(&json)));
	buf_fini(&json);
	sent(true);
	heard_anew();
	command(CONTROL_REPORT, all, true); /* it is no longer to be sent */
	assert_true(was_heard("operator: end 1"));
	assert_false(was_heard("operator: body"));
}

static void what_nobody_would_get_is_shown(void **state)
{
	(void)state;
	house_open("tls-reports {\n send no\n}\n");
	tell(&a_failure);
	command(CONTROL_REPORT, all, false);
	assert_true(was_heard("\"wish\":\"off\""));
	assert_false(was_heard("resolver: ask"));
}

/* TLS_REPORTS_LOOKS_MAX for all who ask, also after they have gone; TLS_REPORTS_LOOK_MS for each. */
static void questions_of_onlookers_are_bounded(void **state)
{
	(void)state;
	char name[40];
	for (int i = 0; i < TLS_REPORTS_LOOKS_MAX + 1; i++) {
		(void)snprintf(name, sizeof name, "d%d.example", i);
		fill_day(0, name);
	}
	house_open("");
	command_begin(CONTROL_REPORT, all, false);
	hear("resolver: ask d15.example");
	settle_down();
	assert_int_equal(times_heard("resolver: ask"), TLS_REPORTS_LOOKS_MAX);
	wish(REPORT_UNKNOWN, "");
	hear("resolver: ask d16.example");
	/* He goes, another one comes: nothing is asked until the questions of the first have an end. */
	heard_anew();
	command_begin(CONTROL_REPORT, all, false);
	settle_down();
	settle_down();
	assert_false(was_heard("resolver: ask"));
	time_passes(TLS_REPORTS_LOOK_MS - WORN_MS);
	assert_false(was_heard("resolver: ask"));
	time_passes(2 * WORN_MS);
	hear("resolver: ask d15.example");
	/* Without an answer at all the rows come all the same, and the resolver's end is one. */
	channel_close(&h.resolver.channel);
	hear("operator: end 0");
	assert_int_equal(times_heard("\"wish\":\"unknown\""), TLS_REPORTS_LOOKS_MAX + 1);
}

/* A few days at a time: mail goes on between them, and is counted in those that come later. */
static void many_are_shown_in_slices(void **state)
{
	(void)state;
	char name[40];
	enum { MANY = 3000 };
	struct from_worker_tls good = a_failure;
	good.result = TLSRPT_SUCCESS;
	for (int i = 1; i < MANY; i++) {
		(void)snprintf(name, sizeof name, "d%d.example", i);
		fill_day(0, name);
	}
	fill_day(0, "y.example");
	house_open("");
	command_begin(CONTROL_REPORT, all, true);
	hear("operator: body");
	assert_true(times_heard("operator: body") < MANY / 2);
	tell(&good);
	hear("operator: end 0");
	assert_true(was_heard("\"policy-domain\":\"y.example\",\"mx-host\":[\"*.y.example\"]},\"summary\":"
	                      "{\"total-successful-session-count\":1,"));
	assert_int_equal(times_heard("operator: body"), MANY);
}

int main(void)
{
#define TODAY(name) cmocka_unit_test_setup_teardown(name, tls_days_setup, teardown)
	const struct CMUnitTest tests[] = {
		TODAY(what_would_be_sent_is_shown),
		TODAY(reports_are_shown_as_they_would_be_sent),
		TODAY(what_nobody_would_get_is_shown),
		TODAY(questions_of_onlookers_are_bounded),
		TODAY(many_are_shown_in_slices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
