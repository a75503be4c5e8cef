/* SPDX-License-Identifier: ISC */
/* What an operator is told of an address before a letter goes there: who stands behind it, and where that leads. */
#include "unit.h"

#include "role/spool/house.h"

#include <string.h>

#include "ipc/front_keeper.h"
#include "role/spool/spool.h"

static void explain(const char *address)
{
	buf_clear(&h.heard);
	h.passed = 0;
	command(CONTROL_EXPLAIN, (struct store_selector){ .to = str_of(address) }, false);
}

static void assert_told(const char *what)
{
	if (!was_heard(what))
		fail_msg("\"%s\" is not in: %.*s", what, STR_ARG(buf_view(&h.heard)));
}

static void a_mailbox_is_named_with_its_folder(void **state)
{
	(void)state;
	explain("jada@example.org");
	assert_true(was_heard("keeper: asked jada@example.org"));
	assert_told("{\"address\":\"jada@example.org\",\"result\":\"mailbox\",\"kind\":\"recipient\"}");
	assert_told("\"name\":\"/var/mail/example.org/jada\"");
	assert_told("\"result\":\"yes\"");
	assert_told("operator: end 0");
	assert_int_equal(h.n_jobs, 1);
	assert_int_equal(h.jobs[0].purpose, JOB_EXPLAIN); /* the porter has looked at it */
}

static void an_unknown_one_hears_what_rcpt_says(void **state)
{
	(void)state;
	h.alias.address = "nobody@example.org";
	h.alias.verdict = RCPT_UNKNOWN;
	explain("nobody@example.org");
	assert_told("{\"address\":\"nobody@example.org\",\"result\":\"unknown\",\"kind\":\"recipient\"}");
	assert_told("There is no such recipient here");
	assert_told("\"code\":550,\"status\":\"5.1.1\"");
	assert_told("operator: end 1");
}

static void an_alias_is_expanded(void **state)
{
	(void)state;
	h.alias.address = "staff@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.targets[1] = "sam@y.example";
	explain("staff@example.org");
	assert_told("\"result\":\"expanded\",\"targets\":2");
	assert_told("{\"address\":\"jada@example.org\",\"kind\":\"target\",\"name\":\"/var/mail/example.org/jada\",\"way\":\"maildir\"}");
	assert_told("{\"address\":\"sam@y.example\",\"kind\":\"target\",\"name\":\"y.example\",\"way\":\"mx\"}");
	assert_told("operator: end 0");
	assert_int_equal(h.n_jobs, 0); /* several are named, none is tried */
}

/* One that leads elsewhere is tried there. */
static void a_forwarded_one_is_tried(void **state)
{
	(void)state;
	h.alias.address = "away@example.org";
	h.alias.targets[0] = "sam@y.example";
	h.story = "mx domain=y.example secure=yes result=found hosts=mx.y.example\n";
	explain("away@example.org");
	assert_int_equal(h.n_jobs, 1);
	assert_int_equal(h.jobs[0].purpose, JOB_EXPLAIN);
	assert_string_equal(h.jobs[0].to[0], "sam@y.example");
	struct str told = buf_view(&h.heard);
	size_t target = 0, mx = 0, answer_at = 0;
	assert_true(str_find_str(told, STR("\"kind\":\"target\""), &target) && str_find_str(told, STR("\"kind\":\"mx\""), &mx) &&
	            str_find_str(told, STR("\"kind\":\"answer\""), &answer_at));
	assert_true(target < mx && mx < answer_at);
	assert_told("operator: end 0");
}

static void what_is_refused_or_held_says_so(void **state)
{
	(void)state;
	house_open("route {\n to refused.example refuse \"Not there\"\n to held.example hold\n otherwise direct\n}\n");
	explain("a@refused.example");
	assert_told("\"way\":\"refuse\"");
	assert_told("operator: end 1");
	h.alias.address = "staff@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.targets[1] = "sam@held.example";
	explain("staff@example.org");
	assert_told("\"result\":\"later\"");
	h.alias.targets[0] = "sam@refused.example";
	explain("staff@example.org");
	assert_told("\"result\":\"no\"");
	explain("no address");
	assert_told("that is no mail address");
	assert_false(was_heard("keeper: asked"));
}

/* Half an answer counts for nothing; the next keeper is asked again. */
static void a_keeper_that_goes_is_no_answer(void **state)
{
	(void)state;
	h.alias.address = "staff@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.goes_before_the_end = true;
	command_begin(CONTROL_EXPLAIN, (struct store_selector){ .to = STR("staff@example.org") }, false);
	wait_for("keeper: asked staff@example.org");
	link_keeper();
	wait_for("keeper: asked staff@example.org");
	wait_for("operator: end 0");
	assert_told("\"result\":\"expanded\",\"kind\":\"recipient\"}"); /* one target, not two */
}

static void nobody_waits_for_ever(void **state)
{
	(void)state;
	h.alias.address = "staff@example.org";
	h.alias.targets[0] = "jada@example.org";
	h.alias.goes_before_the_end = true;
	command_begin(CONTROL_EXPLAIN, (struct store_selector){ .to = STR("staff@example.org") }, false);
	wait_for("keeper: asked staff@example.org");
	h.ahead_ms += 60000;
	wait_for("operator: end 1");
	assert_told("the other side takes its time");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN(a_mailbox_is_named_with_its_folder),
		OPEN(an_unknown_one_hears_what_rcpt_says),
		OPEN(an_alias_is_expanded),
		OPEN(a_forwarded_one_is_tried),
		PREPARED(what_is_refused_or_held_says_so),
		OPEN(a_keeper_that_goes_is_no_answer),
		OPEN(nobody_waits_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
