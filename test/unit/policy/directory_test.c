/* SPDX-License-Identifier: ISC */
/* Who is a recipient, where mail goes, who may send as whom; and what is wrong with users, aliases and recipients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "policy/directory.h"

#define SECRET "$y$j9T$salt$hash"
#define HEAD "hostname mx1.example.org\npostmaster admin@example.org\nlisten local {\n on unix:/l\n}\n"

static const char configuration[] = HEAD
	"users staff {\n source file /staff\n send-as jada sales@example.org *@news.example.org\n"
	" send-as bo@example.org guest@far.example\n}\n"
	"users guests {\n source file /guests\n}\n"
	"domain example.org example.net {\n users staff\n aliases /aliases /more\n catch-all lost@example.org\n"
	" deliver maildir /var/mail/{domain}/{local}\n}\n"
	"domain team.example {\n users staff guests\n tag -\n deliver lmtp unix:/lmtp\n}\n"
	"domain notag.example {\n users staff\n tag none\n deliver maildir /m/{local}\n}\n"
	"domain any.example {\n recipients any\n aliases /any\n deliver lmtp unix:/lmtp\n}\n"
	"domain heap.example {\n recipients any\n deliver maildir /m/{domain}/{local}\n}\n"
	"domain asks.example asks2.example {\n recipients verify\n deliver relay corp\n}\n"
	"domain partner.example {\n recipients file /partner\n deliver mx\n}\n"
	"domain b\xc3\xbc" "cher.example {\n aliases /books\n}\n"
	"relay corp {\n host a.example:25\n}\n";

static const struct { const char *path, *text; } texts[] = {
	{ "/staff", "# people\n\nadmin:" SECRET "\nJada:" SECRET "\r\nbo:" SECRET "\nlost:" SECRET "\nx@alone.example:" SECRET
	            "\n  tim:SCRAM-SHA-256$4096:c2FsdA==$a:b  \npia@EXAMPLE.net:" SECRET },
	{ "/guests", "guest:" SECRET "\nann@team.example:" SECRET "\n" },
	{ "/aliases", "sales: jada\n"
	              "# a comment\n"
	              "everybody: jada, bo,\n   tim,\n\n   # between\n   outside@far.example  # the agency\n"
	              "all: everybody, sales, jada+x\n"
	              "\"big boss\": \\bo\n"
	              "away: x@far.example\n"
	              "webmaster@example.net: jada, bo\n"
	              "crossing: guest@team.example\n"
	              "to-any: \"od d\"@any.example, list@asks.example\n"
	              "with+plus: bo\n" },
	{ "/more", "info: sales" },
	{ "/any", "root: postmaster\nl\xc3\xb6wen: bo@example.org\n" },
	{ "/partner", "# known\nann\nben@partner.example\nelse@other.example\n" },
	{ "/books", "shop: jada@example.org\npostmaster: bo@example.org\n" },
};

static struct conf *conf;
static struct directory *directory;
static struct arena *arena;

static struct conf *read_conf(const char *text)
{
	struct conf *c = NULL;
	struct conf_report report;
	struct conf_text one = { STR("sealpost.conf"), str_of(text) };
	conf_report_init(&report);
	if (conf_read(&one, 1, &c, &report) != OK)
		print_error("%.*s", STR_ARG(buf_view(&report.text)));
	conf_report_fini(&report);
	return c;
}

static int setup(void **state)
{
	(void)state;
	struct directory_file files[COUNT(texts)];
	struct conf_report report;
	for (size_t i = 0; i < COUNT(texts); i++)
		files[i] = (struct directory_file){ str_of(texts[i].path), str_of(texts[i].text) };
	conf = read_conf(configuration);
	if (conf == NULL)
		return -1;
	conf_report_init(&report);
	if (directory_new(conf, files, COUNT(files), &directory, &report) != OK || report.warnings != 0)
		print_error("%.*s", STR_ARG(buf_view(&report.text)));
	conf_report_fini(&report);
	arena = arena_new(1 << 20);
	return directory != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	directory_free(&directory);
	conf_free(&conf);
	arena_free(&arena);
	return 0;
}

/* "local 2 a@b c@d", "unknown", ... */
static const struct { const char *address, *answer; } recipients[] = {
	/* users, by any name of the domain, in any case */
	{ "jada@example.org", "local Jada@example.org" },
	{ "JADA@Example.ORG", "local Jada@example.org" },
	{ "jada@example.net", "local Jada@example.org" },
	{ "pia@example.org", "local pia@example.org" },
	{ "pia@example.net", "local pia@example.org" },
	{ "x@alone.example", "remote" },
	{ "guest@team.example", "local guest@team.example" },
	{ "ann@team.example", "local ann@team.example" },
	{ "pia@team.example", "unknown" },
	/* tags */
	{ "jada+lists@example.org", "local Jada@example.org" },
	{ "jada+a+b@example.org", "local Jada@example.org" },
	{ "jada-x@team.example", "local jada-x@team.example" },
	{ "jada+x@team.example", "unknown" },
	{ "jada+x@notag.example", "unknown" },
	{ "sales+x@example.org", "local Jada@example.org" },
	{ "with+plus@example.org", "local bo@example.org" },
	{ "+x@example.org", "local lost@example.org" },
	/* aliases */
	{ "sales@example.org", "local Jada@example.org" },
	{ "info@example.net", "local Jada@example.org" },
	{ "everybody@example.org", "local Jada@example.org bo@example.org tim@example.org outside@far.example" },
	{ "all@example.org", "local Jada@example.org bo@example.org tim@example.org outside@far.example" },
	{ "\"big boss\"@example.org", "local bo@example.org" },
	{ "away@example.org", "local x@far.example" },
	{ "webmaster@example.org", "local Jada@example.org bo@example.org" },
	{ "crossing@example.org", "local guest@team.example" },
	{ "to-any@example.org", "local \"od d\"@any.example list@asks.example" },
	{ "sales@team.example", "unknown" },
	{ "l\xc3\xb6wen@any.example", "local bo@example.org" },
	{ "shop@b\xc3\xbc" "cher.example", "local Jada@example.org" },
	{ "shop@xn--bcher-kva.example", "local Jada@example.org" },
	/* postmaster */
	{ "postmaster@example.org", "local admin@example.org" },
	{ "PostMaster@team.example", "local admin@example.org" },
	{ "postmaster@any.example", "local admin@example.org" },
	{ "postmaster@asks.example", "local admin@example.org" },
	{ "postmaster@b\xc3\xbc" "cher.example", "local bo@example.org" },
	{ "root@any.example", "local admin@example.org" },
	{ "postmaster@far.example", "remote" },
	/* catch-all, any, verify, file */
	{ "whoever@example.org", "local lost@example.org" },
	{ "whoever@any.example", "local whoever@any.example" },
	{ "Whoever+x@heap.example", "local whoever@heap.example" },
	{ "\"../x\"@heap.example", "unknown" },
	{ "\".hidden\"@heap.example", "unknown" },
	{ "Whoever+x@asks2.example", "verify Whoever+x@asks2.example" },
	{ "ann@partner.example", "local ann@partner.example" },
	{ "Ann+tag@partner.example", "local Ann+tag@partner.example" },
	{ "ben@partner.example", "local ben@partner.example" },
	{ "else@partner.example", "unknown" },
	{ "whoever@partner.example", "unknown" },
	/* not ours */
	{ "a@far.example", "remote" },
	{ "a@sub.example.org", "remote" },
	{ "a@[192.0.2.1]", "remote" },
};

static void answer_text(const struct directory_answer *answer, char *text, size_t size)
{
	static const char *const words[] = { [DIR_LOCAL] = "local", [DIR_VERIFY] = "verify", [DIR_UNKNOWN] = "unknown",
		                             [DIR_REMOTE] = "remote" };
	snprintf(text, size, "%s", words[answer->verdict]);
	for (size_t i = 0; i < answer->n_targets; i++)
		snprintf(text + strlen(text), size - strlen(text), " %.*s", STR_ARG(answer->targets[i]));
}

static void who_is_a_recipient(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(recipients); i++) {
		struct address address;
		struct directory_answer answer;
		char text[500];
		arena_reset(arena);
		assert_int_equal(address_parse(str_of(recipients[i].address), arena, &address), OK);
		assert_int_equal(directory_recipient(directory, &address, arena, &answer), OK);
		answer_text(&answer, text, sizeof text);
		if (strcmp(text, recipients[i].answer) != 0)
			fail_msg("%s: got \"%s\", want \"%s\"", recipients[i].address, text, recipients[i].answer);
	}
	struct address bare = { .local = STR("Postmaster") };
	struct directory_answer answer;
	assert_int_equal(directory_recipient(directory, &bare, arena, &answer), OK);
	assert_int_equal(answer.verdict, DIR_LOCAL);
	assert_true(str_eq(answer.targets[0], STR("admin@example.org")));
}

static struct conf_list tables_named(const char *names, struct str items[4])
{
	struct conf_list list = { items, 0 };
	struct str rest = str_of(names);
	while (str_take_word(&rest, &items[list.n]))
		list.n++;
	return list;
}

static void logins(void **state)
{
	(void)state;
	static const struct { const char *tables, *login, *name; } cases[] = {
		{ "staff", "jada", "Jada" }, { "staff", "JADA", "Jada" }, { "staff", "jada@example.org", "Jada" },
		{ "staff", "jada@Example.NET", "Jada" }, { "staff", "jada@team.example", "Jada" },
		{ "staff", "jada@any.example", NULL }, { "staff", "jada@far.example", NULL },
		{ "staff", "x@alone.example", "x@alone.example" }, { "staff", "x", NULL },
		{ "staff", "pia@example.net", "pia@example.net" }, { "staff", "pia@example.org", "pia@example.net" },
		{ "staff", "pia", NULL }, { "staff", "guest", NULL }, { "staff guests", "guest", "guest" },
		{ "guests", "jada", NULL }, { "guests", "ann@team.example", "ann@team.example" },
		{ "staff", "", NULL }, { "staff", "@example.org", NULL }, { "staff", "jada@", NULL },
		{ "staff", "jada+x", NULL }, { "staff", "sales", NULL }, { "", "jada", NULL },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str items[4], name = STR_NONE, credential = STR_NONE;
		struct conf_list tables = tables_named(cases[i].tables, items);
		fault f = directory_user(directory, &tables, str_of(cases[i].login), &name, &credential);
		if (f != (cases[i].name != NULL ? OK : F_ABSENT) || !str_eq(name, str_of(cases[i].name)))
			fail_msg("%s in %s: %s, \"%.*s\"", cases[i].login, cases[i].tables, fault_name(f), STR_ARG(name));
		assert_true(f != OK || str_eq(credential, STR(SECRET)));
	}
}

static void ownership(void **state)
{
	(void)state;
	static const struct { const char *user, *address; bool may; } cases[] = {
		{ "Jada", "jada@example.org", true }, { "Jada", "jada@example.net", true }, { "Jada", "jada@team.example", true },
		{ "Jada", "jada+x@example.org", true }, { "Jada", "jada@any.example", false }, { "Jada", "jada@far.example", false },
		{ "Jada", "bo@example.org", false },
		/* aliases that lead to the user alone */
		{ "Jada", "sales@example.org", true }, { "Jada", "info@example.net", true }, { "Jada", "everybody@example.org", false },
		{ "Jada", "webmaster@example.org", false }, { "bo", "\"big boss\"@example.org", true },
		{ "bo", "l\xc3\xb6wen@any.example", true }, { "Jada", "shop@b\xc3\xbc" "cher.example", true },
		{ "admin", "postmaster@team.example", true }, { "Jada", "postmaster@team.example", false },
		/* the catch-all owns nothing but itself */
		{ "lost", "lost@example.org", true }, { "lost", "whoever@example.org", false },
		/* send-as */
		{ "Jada", "anything@news.example.org", true }, { "Jada", "a@sub.news.example.org", false },
		{ "bo", "anything@news.example.org", false }, { "bo", "guest@far.example", true }, { "bo", "other@far.example", false },
		{ "jada", "anything@NEWS.example.org", true },
		/* whole addresses */
		{ "x@alone.example", "x@alone.example", true }, { "x@alone.example", "y@alone.example", false },
		{ "x@alone.example", "X@Alone.example", true },
		{ "pia@example.net", "pia@example.org", true }, { "pia@example.net", "pia@example.net", true },
		{ "pia@example.net", "pia@team.example", false },
		{ "nobody", "nobody@example.org", false }, { "nobody", "jada@example.org", false },
	};
	struct str items[4];
	struct str more[4];
	struct conf_list tables = tables_named("staff guests", items), guests = tables_named("guests", more);
	struct address address;
	for (size_t i = 0; i < COUNT(cases); i++) {
		arena_reset(arena);
		assert_int_equal(address_parse(str_of(cases[i].address), arena, &address), OK);
		if (directory_may_send(directory, &tables, str_of(cases[i].user), &address, arena) != cases[i].may)
			fail_msg("%s as %s: %s", cases[i].user, cases[i].address, cases[i].may ? "refused" : "allowed");
	}
	assert_int_equal(address_parse(STR("jada@example.org"), arena, &address), OK);
	assert_false(directory_may_send(directory, &guests, STR("jada"), &address, arena));
	struct address null = { .utf8 = false };
	assert_true(directory_may_send(directory, &tables, STR("jada"), &null, arena));
}

/* Broken ----------------------------------------------------------------------------------------- */

#define ONE HEAD "users staff {\n source file /u\n}\ndomain example.org {\n users staff\n aliases /a\n" \
	         " deliver maildir /m/{local}\n}\ndomain example.net {\n users staff\n aliases /a\n deliver maildir /m/{local}\n}\n"
#define ADMIN "admin:" SECRET "\n"

static const struct { const char *users, *aliases, *report; } broken[] = {
	{ "admin\n" ADMIN, "", "/u:1:1: expected name:credential, as `sealpost passwd NAME` prints it\n" },
	{ ADMIN "bo:geheim\n", "", "/u:2:1: this credential is of no known form; `sealpost passwd NAME` makes one\n" },
	{ ADMIN "bo:\n", "", "/u:2:1: this credential is of no known form; `sealpost passwd NAME` makes one\n" },
	{ ADMIN "bo:$6$a b\n", "", "/u:2:1: this credential is of no known form; `sealpost passwd NAME` makes one\n" },
	{ ADMIN ":" SECRET, "", "/u:2:1: this line's name is neither a local part nor an address\n" },
	{ ADMIN "a@b@c:" SECRET, "", "/u:2:1: this line's name is neither a local part nor an address\n" },
	{ ADMIN "\xff:" SECRET, "", "/u:2:1: this line's name is neither a local part nor an address\n" },
	{ ADMIN "bo:" SECRET "\nBO:" SECRET, "", "/u:3:1: this user stands in line 2 already\n" },
	{ ADMIN "bo:" SECRET "\nbo@example.net:" SECRET, "",
	  "/u:3:1: this mailbox is that of line 2, whose name stands without a domain\n" },
	{ ADMIN "a/b:" SECRET, "", "/u:2:1: this name cannot name a Maildir: no / and no dot at its start\n" },
	{ "bo:" SECRET, "", "postmaster: \"admin\" is nobody in example.org\n" },
	{ ADMIN, "sales jada\n", "/a:1:7: expected a colon after the name\n    sales jada\n          ^\n" },
	{ ADMIN, "\"sales: admin\n", "/a:1:1: a quote does not end on its line\n    \"sales: admin\n    ^\n" },
	{ ADMIN, "sales: admin bo\n", "/a:1:14: expected a comma between values\n    sales: admin bo\n                 ^\n" },
	{ ADMIN, "sales:\n", "/a:1:1: \"sales\" leads nowhere: expected a name or an address after the colon\n    sales:\n    ^\n" },
	{ ADMIN, "  sales: admin\n", "/a:1:3: a line that begins with a blank goes on with the one above, and there is none\n"
	                             "      sales: admin\n      ^\n" },
	{ ADMIN, "a: \"|/bin/cat\"\n", "/a:1:4: mail is never given to a command\n    a: \"|/bin/cat\"\n       ^\n" },
	{ ADMIN, "a: admin, |cat\n", "/a:1:11: mail is never given to a command\n    a: admin, |cat\n              ^\n" },
	{ ADMIN, "a: /var/tmp/x\n", "/a:1:4: mail is never written to a file that an alias names\n    a: /var/tmp/x\n       ^\n" },
	{ ADMIN, "a: :include:/x\n", "/a:1:4: :include: is not taken: write the names here\n    a: :include:/x\n       ^\n" },
	{ ADMIN, "a: ,admin\n", "/a:1:4: an empty value\n    a: ,admin\n       ^\n" },
	{ ADMIN, "a: b@c@d\n", "/a:1:4: \"b@c@d\" is neither a name nor an address\n    a: b@c@d\n       ^\n" },
	{ ADMIN, "a b: admin\n", "/a:1:3: expected a colon after the name\n    a b: admin\n      ^\n" },
	{ ADMIN, "a..@x: admin\n", "/a:1:1: \"a..@x\" is not a name\n    a..@x: admin\n    ^\n" },
	{ ADMIN, "a\xff: admin\n", "/a:1:1: this line is not UTF-8 text\n" },
	{ ADMIN, "a: admin\nA: admin\n", "/a:2:1: \"A\" stands in line 1 of /a already\n    A: admin\n    ^\n" },
	{ ADMIN, "a: nobody\n", "/a:1:4: \"nobody\" is nobody in example.org\n    a: nobody\n       ^\n" },
	{ ADMIN, "a: x@far.example, nobody@example.net\n",
	  "/a:1:19: \"nobody\" is nobody in example.net\n    a: x@far.example, nobody@example.net\n                      ^\n" },
	{ ADMIN, "x@far.example: admin\n", "/a:1:1: \"x@far.example\" is in no domain that takes this file\n    x@far.example: admin\n    ^\n" },
	{ ADMIN, "a: a\n", "/a:1:1: \"a\" leads back to itself: a -> a\n    a: a\n    ^\n" },
	{ ADMIN, "a: b\nb: admin, c@example.org\nc: a, x@far.example\n",
	  "/a:1:1: \"a\" leads back to itself: a -> b -> c -> a\n    a: b\n    ^\n" },
	{ ADMIN, "x: a\na: b\nb: a\n", "/a:2:1: \"a\" leads back to itself: a -> b -> a\n    a: b\n    ^\n" },
	{ "bo:" SECRET, "admin: postmaster\n", "/a:1:1: \"admin\" leads back to itself: admin -> postmaster -> admin\n    admin: postmaster\n    ^\n" },
};

static fault build(const char *conf_text, const char *users, const char *aliases, struct conf_report *report)
{
	struct conf *c = read_conf(conf_text);
	struct directory *d = NULL;
	assert_non_null(c);
	struct directory_file files[] = { { STR("/u"), str_of(users) }, { STR("/a"), str_of(aliases) } };
	fault f = directory_new(c, files, aliases != NULL ? 2 : 1, &d, report);
	assert_true((f == OK) == (d != NULL));
	assert_true((f == OK) == (report->errors == 0));
	directory_free(&d);
	conf_free(&c);
	return f;
}

static void broken_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(broken); i++) {
		struct conf_report report;
		conf_report_init(&report);
		fault f = build(ONE, broken[i].users, broken[i].aliases, &report);
		struct str got = buf_view(&report.text);
		if (f != F_SYNTAX || !str_eq(got, str_of(broken[i].report)))
			fail_msg("users \"%s\" aliases \"%s\": %s\ngot\n%.*swant\n%s", broken[i].users, broken[i].aliases, fault_name(f),
			         STR_ARG(got), broken[i].report);
		size_t at;
		assert_false(str_find_str(got, STR("$y$"), &at) || str_find_str(got, STR("geheim"), &at));
		conf_report_fini(&report);
	}
}

static void assert_report(const char *conf_text, const char *users, const char *aliases, fault want, const char *text)
{
	struct conf_report report;
	conf_report_init(&report);
	fault f = build(conf_text, users, aliases, &report);
	if (f != want || !str_eq(buf_view(&report.text), str_of(text)))
		fail_msg("%s\ngot\n%.*swant\n%s", fault_name(f), STR_ARG(buf_view(&report.text)), text);
	conf_report_fini(&report);
}

static void other_troubles(void **state)
{
	(void)state;
	assert_report(ONE, ADMIN, NULL, F_SYNTAX, "/a: this file was not read\n");
	assert_report(ONE, ADMIN, "Admin: x@far.example\n", OK,
	              "/a:1:1: warning: \"Admin\" is a user: this line has no effect\n    Admin: x@far.example\n    ^\n");
#define CATCH HEAD "users staff {\n source file /u\n}\ndomain example.org {\n users staff\n aliases /a\n catch-all %s\n deliver mx\n}\n"
	char text[1000];
	snprintf(text, sizeof text, CATCH, "admin@example.org");
	assert_report(text, ADMIN, "a: nobody\n", OK,
	              "/a:1:4: warning: \"nobody\" is nobody in example.org: the catch-all takes it\n    a: nobody\n       ^\n");
	snprintf(text, sizeof text, CATCH, "lost@example.org");
	assert_report(text, ADMIN, "", F_SYNTAX, "sealpost.conf:9:1: \"lost\" is nobody in example.org\n");
#define SEND HEAD "users staff {\n source file /u\n send-as admin x@far.example\n send-as bo x@far.example\n" \
	" send-as admin@example.org x@far.example\n send-as admin@far.example x@far.example\n}\n" \
	"domain example.org {\n users staff\n aliases /a\n deliver mx\n}\n"
	assert_report(SEND, ADMIN, "", OK,
	              "sealpost.conf:6:1: warning: send-as names \"bo\", who is not in this table\n"
	              "sealpost.conf:6:1: warning: send-as names \"admin@far.example\", who is not in this table\n");
}

/* Limits: the depth of aliases, the number of targets and values. */
static void aliases_at_their_limits(void **state)
{
	(void)state;
	static char text[200000];
	for (int depth = 31; depth <= 33; depth++) {
		for (int order = 0; order < 2; order++) {
			size_t n = 0;
			for (int i = 0; i < depth; i++) {
				int k = order == 0 ? i : depth - 1 - i;
				n += (size_t)snprintf(text + n, sizeof text - n, k == depth - 1 ? "n%d: admin\n" : "n%d: n%d\n", k, k + 1);
			}
			struct conf_report report;
			conf_report_init(&report);
			fault f = build(ONE, ADMIN, text, &report);
			if (f != (depth <= 32 ? OK : F_SYNTAX))
				fail_msg("depth %d: %s", depth, fault_name(f));
			conf_report_fini(&report);
		}
	}
	for (int targets = 1000; targets <= 1001; targets++) {
		size_t n = (size_t)snprintf(text, sizeof text, "one: x1@far.example");
		for (int i = 2; i <= 600; i++)
			n += (size_t)snprintf(text + n, sizeof text - n, ",\n x%d@far.example", i);
		n += (size_t)snprintf(text + n, sizeof text - n, "\nall: one, one");
		for (int i = 601; i <= targets; i++)
			n += (size_t)snprintf(text + n, sizeof text - n, ",\n x%d@far.example", i);
		assert_report(ONE, ADMIN, text, targets <= 1000 ? OK : F_SYNTAX,
		              targets <= 1000 ? "" : "/a:601:1: \"all\" leads to more than 1000 recipients\n    all: one, one,\n    ^\n");
	}
	size_t n = (size_t)snprintf(text, sizeof text, "one: admin");
	for (int i = 2; i <= 1000; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, ",\n admin");
	assert_report(ONE, ADMIN, text, OK, "");
	snprintf(text + n, sizeof text - n, ",\n admin");
	assert_report(ONE, ADMIN, text, F_SYNTAX, "/a:1001:2: more than 1000 values for one name\n     admin\n     ^\n");
}

/* Names that fan out at every level must not be walked once for every way to them. */
static void aliases_that_fan_out(void **state)
{
	(void)state;
	char text[2000];
	size_t n = 0;
	for (int i = 0; i < 30; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "n%d: n%d, n%d\n", i, i + 1, i + 1);
	snprintf(text + n, sizeof text - n, "n30: admin\n");
	assert_report(ONE, ADMIN, text, OK, "");
}

static void a_small_arena(void **state)
{
	(void)state;
	struct address address;
	struct directory_answer answer;
	assert_int_equal(address_parse(STR("everybody@example.org"), arena, &address), OK);
	size_t failed = 0;
	for (size_t bytes = 64; bytes < 4096; bytes += 64) {
		struct arena *small = arena_new(bytes);
		fault f = directory_recipient(directory, &address, small, &answer);
		assert_true(f == F_LIMIT || (f == OK && answer.n_targets == 4));
		failed += f == F_LIMIT;
		arena_free(&small);
	}
	assert_true(failed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_a_recipient), cmocka_unit_test(logins), cmocka_unit_test(ownership),
		cmocka_unit_test(broken_tables), cmocka_unit_test(other_troubles), cmocka_unit_test(aliases_at_their_limits),
		cmocka_unit_test(aliases_that_fan_out), cmocka_unit_test(a_small_arena),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
