/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <string.h>

#include "cmd/doctor/doctor.h"
#include "cmd/mail_roots.h"

enum { NOW = 1800000000, DAY = 86400 };

static struct findings f;

static int begin(void **state)
{
	(void)state;
	findings_init(&f);
	return 0;
}

static int end(void **state)
{
	(void)state;
	findings_fini(&f);
	return 0;
}

/* The only one, about this. */
static void assert_only(enum finding_weight weight, const char *what, const char *words)
{
	size_t at;
	assert_int_equal(f.n, 1);
	assert_int_equal(f.items[0].weight, weight);
	assert_string_equal(f.items[0].what, what);
	if (!str_find_str(str_of(f.items[0].text), str_of(words), &at))
		fail_msg("\"%s\" is not in \"%s\"", words, f.items[0].text);
	f.n = 0;
}

/* A server without any trouble; changes are put in over it. */
static const char sound[] =
	"{'running':true,'roles':["
	"{'role':'keeper','instance':0,'ready':true,'restarts':0,'confinement':{'seccomp':true,'less':''}},"
	"{'role':'resolver','instance':0,'ready':true,'restarts':0,'confinement':{'seccomp':true,'less':''},'dnssec':'validates',"
	"'dane':'active','dnssec_since_s':1,'dnssec_reason':'','dnssec_advice':'','policies':{'known':3,'enforced':1,'failing':0}},"
	"{'role':'spool','instance':0,'ready':true,'restarts':0,'confinement':{'seccomp':true,'less':''},'open':true,'messages':2,"
	"'held':0,'damaged':0,'disk_free_bytes':4000000000,'names_free':500000,'reserve_bytes':33554432,'reserve_names':200,"
	"'oldest_s':100,'clock_off_s':0}]}";

static json_t *parse(const char *text)
{
	char json[sizeof sound];
	for (size_t i = 0; i == 0 || text[i - 1] != '\0'; i++)
		json[i] = text[i] == '\'' ? '"' : text[i];
	json_error_t error;
	json_t *o = json_loads(json, 0, &error);
	if (o == NULL)
		fail_msg("%s at %d: %s", error.text, error.column, json);
	return o;
}

static void judge_with(const char *role, const char *change)
{
	size_t i;
	json_t *status = parse(sound), *one, *other = parse(change);
	json_array_foreach(json_object_get(status, "roles"), i, one)
		if (strcmp(json_string_value(json_object_get(one, "role")), role) == 0)
			json_object_update(one, other);
	judge_status(&f, status, 14400);
	json_decref(other);
	json_decref(status);
}

static void nothing_is_said_of_a_sound_server(void **state)
{
	(void)state;
	judge_with("none", "{}");
	assert_int_equal(f.n, 0);
	assert_int_equal(findings_tell(&f, true), 0);
}

static void each_trouble_of_a_server_is_told_once(void **state)
{
	(void)state;
	static const struct { const char *role, *change; enum finding_weight weight; const char *what, *words; } troubles[] = {
		{ "keeper", "{'ready':false}", FINDING_BROKEN, "role", "does not run" },
		{ "keeper", "{'restarts':1}", FINDING_WEAK, "role", "has died 1 time since" },
		{ "keeper", "{'confinement':{'seccomp':true,'less':'this kernel has no Landlock'}}", FINDING_ADVICE, "confinement", "no Landlock" },
		{ "keeper", "{'confinement':{'seccomp':false,'less':''}}", FINDING_ADVICE, "confinement", "no list of system calls" },
		{ "resolver", "{'dnssec':'cannot-validate','dnssec_advice':'name others','dnssec_reason':'bogus'}", FINDING_WEAK, "dnssec",
		  "name others (bogus)" },
		{ "resolver", "{'dnssec':'no-anchor','dnssec_advice':'install it'}", FINDING_WEAK, "dnssec", "install it" },
		{ "resolver", "{'dnssec':'lost','dnssec_advice':'it waits'}", FINDING_BROKEN, "dnssec", "it waits" },
		{ "resolver", "{'dnssec':'not-tried','dnssec_advice':'it waits'}", FINDING_BROKEN, "dnssec", "it waits" },
		{ "resolver", "{'policies':{'failing':2}}", FINDING_ADVICE, "policies", "2 domains have" },
		{ "spool", "{'open':false,'disk_free_bytes':0}", FINDING_BROKEN, "queue", "storage has failed" },
		{ "spool", "{'disk_free_bytes':33554431}", FINDING_BROKEN, "room", "31 MB of room left" },
		{ "spool", "{'disk_free_bytes':33554432}", FINDING_WEAK, "room", "below 32 MB new mail is refused" },
		{ "spool", "{'names_free':199}", FINDING_BROKEN, "room", "199 inodes left" },
		{ "spool", "{'names_free':1999}", FINDING_WEAK, "room", "below 200 new mail is refused" },
		{ "spool", "{'damaged':1}", FINDING_BROKEN, "damaged", "1 recipient is set aside" },
		{ "spool", "{'held':3}", FINDING_ADVICE, "held", "3 recipients are held" },
		{ "spool", "{'oldest_s':14401}", FINDING_ADVICE, "waiting", "waiting for 4 hours" },
		{ "spool", "{'resting':1,'queued':2}", FINDING_ADVICE, "resting", "1 destination rests after failures, then gets one letter to try" },
		{ "spool", "{'resting':3,'queued':2}", FINDING_ADVICE, "resting",
		  "3 destinations rest after failures, then get one letter to try: `sealpost queue list --by domain`" },
		{ "spool", "{'clock_off_s':301}", FINDING_WEAK, "clock", "ahead by 5 minutes" },
		{ "spool", "{'clock_off_s':-86400}", FINDING_WEAK, "clock", "back by 1 day " },
	};
	for (size_t i = 0; i < COUNT(troubles); i++) {
		judge_with(troubles[i].role, troubles[i].change);
		assert_only(troubles[i].weight, troubles[i].what, troubles[i].words);
	}
	static const struct { const char *role, *change; } none[] = {
		{ "spool", "{'names_free':-1}" }, { "spool", "{'disk_free_bytes':335544320}" }, { "spool", "{'names_free':2000}" },
		{ "spool", "{'oldest_s':14400}" }, { "spool", "{'clock_off_s':-300}" }, { "resolver", "{'dnssec':'testing'}" },
		{ "spool", "{'resting':1,'queued':0}" }, { "spool", "{'resting':0,'queued':2}" },
		{ "keeper", "{'instance':1,'confinement':{'seccomp':false,'less':''}}" },
	};
	for (size_t i = 0; i < COUNT(none); i++) {
		judge_with(none[i].role, none[i].change);
		assert_int_equal(f.n, 0);
	}
}

static void nonsense_of_a_server_is_borne(void **state)
{
	(void)state;
	static const char *const odd[] = { "{}", "{'running':1,'roles':7}", "{'running':true,'roles':[1,null,[],{},{'role':7}]}",
		                           "{'running':true,'roles':[{'role':'spool','open':'x','ready':true}]}" };
	for (size_t i = 0; i < COUNT(odd); i++) {
		json_t *o = parse(odd[i]);
		judge_status(&f, o, 0);
		json_decref(o);
	}
	judge_status(&f, NULL, 0);
	assert_true(f.n > 0);
}

static void what_all_roles_lack_is_told_once(void **state)
{
	(void)state;
	json_t *status = parse("{'running':true,'roles':[{'role':'a','ready':true,'confinement':{'less':'no Landlock'}},"
	                       "{'role':'b','ready':true,'confinement':{'less':'no Landlock'}},"
	                       "{'role':'c','ready':true,'confinement':{'less':'other'}}]}");
	judge_status(&f, status, 0);
	json_decref(status);
	assert_int_equal(f.n, 2);
	assert_string_equal(f.items[0].about, "a b");
	assert_string_equal(f.items[1].about, "c");
}

static void a_report_becomes_findings(void **state)
{
	(void)state;
	judge_report(&f, STR("/etc/a.conf:4:7: warning: this is weak: mend it\n    cert x: y\n         ^\n  expected: more\n/etc/b: no\n"
	                     "... and more; mend these first\n"));
	assert_int_equal(f.n, 2);
	assert_int_equal(f.items[0].weight, FINDING_WEAK);
	assert_string_equal(f.items[0].about, "/etc/a.conf:4:7");
	assert_string_equal(f.items[0].text, "this is weak: mend it");
	assert_int_equal(f.items[1].weight, FINDING_BROKEN);
	assert_string_equal(f.items[1].about, "/etc/b");
	assert_string_equal(f.items[1].text, "no");
}

static void exceptions_end(void **state)
{
	(void)state;
	struct conf_exception e = { .domain = STR("a.example"), .until_s = NOW };
	assert_string_equal(exception_state(&e, NOW), "ended");
	judge_exception(&f, &e, NOW);
	assert_int_equal(f.n, 0);
	assert_string_equal(exception_state(&e, NOW - 1), "ending");
	judge_exception(&f, &e, NOW - 14 * DAY);
	assert_only(FINDING_WEAK, "exception", "ends in 14 days");
	assert_string_equal(exception_state(&e, NOW - 14 * DAY - 1), "active");
	judge_exception(&f, &e, NOW - 14 * DAY - 1);
	assert_int_equal(f.n, 0);
}

static void a_clock_before_this_program_is_wrong(void **state)
{
	(void)state;
	judge_clock(&f, 1767225600);
	assert_int_equal(f.n, 0);
	judge_clock(&f, 1767225599);
	assert_only(FINDING_BROKEN, "clock", "earlier than this program");
}

static void a_clock_behind_the_last_run_is_told(void **state)
{
	(void)state;
	judge_last_run(&f, NOW, NOW + 300);
	judge_last_run(&f, NOW, -1);
	judge_last_run(&f, NOW, NOW - 10 * DAY);
	assert_int_equal(f.n, 0);
	judge_last_run(&f, NOW, NOW + 301);
	assert_only(FINDING_WEAK, "clock", "5 minutes behind the last run");
}

static void spans_are_words(void **state)
{
	(void)state;
	static const struct { int64_t s; const char *words; } spans[] = {
		{ -5, "0 seconds" }, { 0, "0 seconds" }, { 1, "1 second" }, { 59, "59 seconds" }, { 60, "1 minute" }, { 3599, "59 minutes" },
		{ 3600, "1 hour" }, { 86399, "23 hours" }, { 86400, "1 day" }, { INT64_MAX, "106751991167300 days" },
	};
	for (size_t i = 0; i < COUNT(spans); i++)
		assert_string_equal(doctor_span(spans[i].s).text, spans[i].words);
}

static void memories_are_read(void **state)
{
	(void)state;
	assert_string_equal(shape_words(STR("1")), "no post-quantum share");
	assert_null(shape_words(STR("4")));
	assert_null(shape_words(STR("x")));
	assert_null(shape_words(STR_NONE));
}

static void findings_are_bounded(void **state)
{
	(void)state;
	for (int i = 0; i < FINDINGS_MAX + 2; i++)
		findings_add(&f, FINDING_ADVICE, "x", STR_NONE, "y");
	assert_int_equal(f.n, FINDINGS_MAX);
	assert_int_equal(f.too_many, 2);
	f.n = 0; /* ten thousand lines would hide the other tests' */
	assert_int_equal(findings_tell(&f, true), 1); /* who knows what they would have been */
}

static void modes_are_understood(void **state)
{
	(void)state;
	static const struct { uint32_t mode; bool owner, group, other; } cases[] = {
		{ 0700, true, false, false }, { 0070, false, true, false }, { 0007, false, false, true }, { 0777, true, true, true },
		{ 0500, false, false, false }, { 0300, true, false, false },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct path_facts p = { .uid = 10, .gid = 20, .mode = 040000 | cases[i].mode };
		assert_int_equal(path_allows(&p, 10, 20, FILE_WRITE | FILE_SEARCH), cases[i].owner);
		assert_int_equal(path_allows(&p, 11, 20, FILE_WRITE | FILE_SEARCH), cases[i].group);
		assert_int_equal(path_allows(&p, 11, 21, FILE_WRITE | FILE_SEARCH), cases[i].other);
		assert_true(path_allows(&p, 0, 0, FILE_WRITE | FILE_SEARCH));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_said_of_a_sound_server, begin, end),
		cmocka_unit_test_setup_teardown(each_trouble_of_a_server_is_told_once, begin, end),
		cmocka_unit_test_setup_teardown(nonsense_of_a_server_is_borne, begin, end),
		cmocka_unit_test_setup_teardown(what_all_roles_lack_is_told_once, begin, end),
		cmocka_unit_test_setup_teardown(a_report_becomes_findings, begin, end),
		cmocka_unit_test_setup_teardown(exceptions_end, begin, end),
		cmocka_unit_test_setup_teardown(a_clock_before_this_program_is_wrong, begin, end),
		cmocka_unit_test_setup_teardown(a_clock_behind_the_last_run_is_told, begin, end),
		cmocka_unit_test_setup_teardown(spans_are_words, begin, end),
		cmocka_unit_test_setup_teardown(memories_are_read, begin, end),
		cmocka_unit_test_setup_teardown(findings_are_bounded, begin, end),
		cmocka_unit_test_setup_teardown(modes_are_understood, begin, end),
	};
	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
