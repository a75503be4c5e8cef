/* SPDX-License-Identifier: ISC */
/* Header fields and the addresses in them: tolerant, linear, and of one opinion about who is meant. */
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/header.h"

static int setup(void **state)
{
	*state = arena_new(1 << 20);
	return 0;
}

static int teardown(void **state)
{
	struct arena *a = *state;
	arena_free(&a);
	return 0;
}

static void fields_one_by_one(void **state)
{
	(void)state;
	struct str rest = STR("From: a@b\r\nSubject:one\r\n two\r\n\t \r\nX-Empty:\r\nOld : x\r\n\r\nBody: no\r\n");
	struct header_field f;
	assert_ok(header_take(&rest, &f));
	assert_str(f.name, "From");
	assert_str(f.value, " a@b");
	assert_str(f.whole, "From: a@b\r\n");
	assert_ok(header_take(&rest, &f));
	assert_str(f.value, "one\r\n two\r\n\t ");
	assert_ok(header_take(&rest, &f));
	assert_str(f.name, "X-Empty");
	assert_str(f.value, "");
	assert_ok(header_take(&rest, &f));
	assert_str(f.name, "Old");
	assert_str(f.value, " x");
	assert_str(f.whole, "Old : x\r\n");
	assert_int_equal(header_take(&rest, &f), F_ABSENT);
	assert_str(rest, "Body: no\r\n");
	rest = STR_NONE;
	assert_int_equal(header_take(&rest, &f), F_ABSENT);
}

static void what_is_no_field_stays(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"no colon\r\n", ": x\r\n", " folded: x\r\n", "From jada Fri Nov 20\r\n", "A: x", "A: x\r", "A: x\n", "A: x\ry\r\n",
		"A: x\ny\r\n", "\nA: x\r\n", "\rA: x\r\n", "G\xc3\xbc: x\r\n", "A", "A\r\n", "A:", "A\x7f: x\r\n", "A: x\r\n ",
	};
	struct header_field f = { .name = STR("untouched") };
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct str rest = str_of(bad[i]);
		if (header_take(&rest, &f) != F_SYNTAX)
			fail_msg("%s was taken", bad[i]);
		assert_str(rest, bad[i]);
		assert_str(f.name, "untouched");
	}
}

static void where_the_block_ends(void **state)
{
	(void)state;
	size_t n = 0;
	assert_true(header_end(STR("A: b\r\n\r\nbody"), &n));
	assert_int_equal(n, 8);
	assert_true(header_end(STR("\r\nbody"), &n));
	assert_int_equal(n, 2);
	assert_false(header_end(STR("A: b\r\n"), &n));
	assert_false(header_end(STR("A: b\r\n\r"), &n));
	assert_false(header_end(STR("A: b\n\nbody"), &n));
	assert_false(header_end(STR(""), &n));
	assert_false(header_end(STR("\r"), &n));
}

/* want: the addresses with a blank between; NULL: no address list. */
static const struct { const char *value, *want; } lists[] = {
	{ "", "" },
	{ " a@b", "a@b" },
	{ " Jada <jada@example.org>\r\n", "jada@example.org" },
	{ "a@b, c@d,\r\n e@f", "a@b c@d e@f" },
	{ ",, a@b ,,", "a@b" },
	{ "\"Jada, the first\" <a@b>", "a@b" },
	{ "J. R. \"Bob\" O'Neil [x] <a@b>", "a@b" },
	{ "J\xc3\xbcrgen <a@b>", "a@b" },
	{ "J\xfcrgen <a@b>", "a@b" },
	{ "=?utf-8?q?a=40evil=2Etest?= <a@b>", "a@b" },
	{ "<a@b>", "a@b" },
	{ "a@b (Jada)", "a@b" },
	{ "(c) a (c) @ (c) b.c (c)", "a@b.c" },
	{ "a @ b . c", "a@b.c" },
	{ "\"a\".b@c", "a.b@c" },
	{ "\"a b\"@c", "\"a b\"@c" },
	{ "\"xclow3n@gmail.example x\"@internal.example", "\"xclow3n@gmail.example x\"@internal.example" },
	{ "Team: a@b, C <c@d>;", "a@b c@d" },
	{ "undisclosed-recipients:;", "" },
	{ "undisclosed-recipients:", "" },
	{ "A: a@b;, B: c@d;, e@f", "a@b c@d e@f" },
	{ "a@[127.0.0.1]", "a@[127.0.0.1]" },
	{ "root", "root" },
	{ "root, a@b", "root a@b" },
	{ "Cron <root>", "root" },
	{ "a@B\xc3\x9c" "CHER.example", "a@b\xc3\xbc" "cher.example" },
	{ "a@b <a@b>", "a@b" },
	{ "(a (nested (deep)) \\) comment) a@b", "a@b" },
	{ "((((((((((((((((16))))))))))))))))a@b", "a@b" },
	/* one parser's first address is another's last: refused */
	{ "alice@example.org <bob@evil.test>", NULL },
	{ "alice@example.org, <bob@evil.test> x", NULL },
	{ "a@b c@d", NULL },
	{ "a@b;c@d", NULL },
	{ "a@b <c@d> <e@f>", NULL },
	{ "<a@b> c@d", NULL },
	{ "<a@b", NULL },
	{ "a@b>", NULL },
	{ "<>", NULL },
	{ "\"\"", NULL },
	{ "<@x:a@b>", NULL },
	{ "John Smith", NULL },
	{ "a@", NULL },
	{ "@b", NULL },
	{ "a@b@c", NULL },
	{ "a@b..c", NULL },
	{ "a..b@c", NULL },
	{ "a@.b", NULL },
	{ ":", NULL },
	{ ": a@b;", NULL },
	{ "A: B: a@b;;", NULL },
	{ "a@b;", NULL },
	{ "(unclosed a@b", NULL },
	{ "(unclosed \\", NULL },
	{ "\"unclosed a@b", NULL },
	{ "\"unclosed \\", NULL },
	{ "a@[1.2.3.4", NULL },
	{ "(((((((((((((((((17)))))))))))))))))a@b", NULL },
	{ "a@b_c", NULL },
	{ "\"a\x01\"@b", NULL },
};

static void address_lists(void **state)
{
	for (size_t i = 0; i < COUNT(lists); i++) {
		struct address got[8];
		size_t n = 99;
		fault f = header_addresses(str_of(lists[i].value), *state, got, COUNT(got), &n);
		if ((f == OK) != (lists[i].want != NULL))
			fail_msg("%s: %s", lists[i].value, fault_name(f));
		if (f != OK) {
			assert_int_equal(n, 99);
			continue;
		}
		struct buf all;
		buf_init(&all, 1000);
		for (size_t k = 0; k < n; k++) {
			assert_ok(buf_add(&all, k > 0 ? STR(" ") : STR("")));
			assert_ok(address_put(&all, &got[k]));
		}
		if (!str_eq(buf_view(&all), str_of(lists[i].want)))
			fail_msg("%s: got %.*s, want %s", lists[i].value, STR_ARG(buf_view(&all)), lists[i].want);
		buf_fini(&all);
	}
}

static void more_than_the_caller_has_room_for_are_counted(void **state)
{
	struct address got[2];
	size_t n;
	assert_ok(header_addresses(STR("a@b, c@d, e@f"), *state, got, 2, &n));
	assert_int_equal(n, 3);
	assert_str(got[1].local, "c");
	assert_ok(header_addresses(STR("a@b, c@d"), *state, NULL, 0, &n));
	assert_int_equal(n, 2);
}

/* A megabyte of whatever makes a careless parser quadratic: each must be over in no time, one way or the other. */
static void a_megabyte_of_anything_is_linear(void **state)
{
	static const char *const pieces[] = { "(", "\"", "<", "a@b,", ",", ":", "a:", "[", "\\", "a.", "a ", "(a)", "\r\n ",
	                                      "a@[", "a@(", "\"a\".", "a:;" };
	static char text[1 << 20];
	for (size_t i = 0; i < COUNT(pieces); i++) {
		size_t step = strlen(pieces[i]), n = 0;
		for (size_t at = 0; at + step <= sizeof text; at += step)
			memcpy(text + at, pieces[i], step);
		struct address got[1];
		fault f = header_addresses((struct str){ text, sizeof text / step * step }, *state, got, 1, &n);
		assert_true(f == OK || f == F_SYNTAX || f == F_LIMIT);
		arena_reset(*state);
	}
}

/* -- messages of others, where SEALPOST_VECTORS names a folder that has them ------------------ */

struct tally { size_t files, fields, addresses, compared; };

/* What another parser has made of the same message, or NULL. */
static json_t *opinion_about(const char *path)
{
	char json[1100];
	size_t n = strlen(path);
	if (n < 4 || strcmp(path + n - 4, ".eml") != 0)
		return NULL;
	(void)snprintf(json, sizeof json, "%.*s.json", (int)(n - 4), path);
	json_t *whole = json_load_file(json, 0, NULL);
	json_t *first = json_incref(json_array_get(json_object_get(whole, "parts"), 0));
	json_decref(whole);
	return first;
}

/* Its addresses of the first field of this name; 0 if it has none, or one that is not understood. */
static size_t addresses_of(json_t *opinion, struct str name, struct buf *out)
{
	size_t i, k, n = 0;
	json_t *header, *one;
	json_array_foreach(json_object_get(opinion, "headers"), i, header) {
		json_t *value = json_object_get(header, "value");
		if (!str_eq_nocase(str_of(json_string_value(json_object_get(header, "name"))), name))
			continue;
		json_array_foreach(json_object_get(json_object_get(value, "Address"), "List"), k, one) {
			const char *text = json_string_value(json_object_get(one, "address"));
			if (text == NULL)
				return 0;
			assert_ok(buf_addf(out, "%s ", text));
			n++;
		}
		return n;
	}
	return 0;
}

static void compare_addresses(const struct header_field *f, json_t *opinion, struct tally *t, struct arena *a)
{
	struct address got[16];
	struct buf theirs, ours;
	size_t count = 0;
	fault result = header_addresses(f->value, a, got, COUNT(got), &count);
	buf_init(&theirs, 10000);
	buf_init(&ours, 10000);
	if (result == OK)
		t->addresses += count;
	if (opinion != NULL && addresses_of(opinion, f->name, &theirs) > 0) {
		assert_ok(result);
		for (size_t i = 0; i < count; i++) {
			assert_ok(address_put(&ours, &got[i]));
			assert_ok(buf_add_char(&ours, ' '));
		}
		if (!str_eq_nocase(buf_view(&ours), buf_view(&theirs)))
			fail_msg("%.*s: %.*s, but another parser says %.*s", STR_ARG(f->whole), STR_ARG(buf_view(&ours)),
			         STR_ARG(buf_view(&theirs)));
		t->compared++;
	}
	buf_fini(&theirs);
	buf_fini(&ours);
	arena_reset(a);
}

static void read_message(const char *path, struct tally *t, struct arena *a)
{
	static char raw[4 << 20], text[8 << 20];
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("cannot open %s", path);
	size_t n = fread(raw, 1, sizeof raw, file), m = 0, end = 0, lines = 0;
	(void)fclose(file);
	for (size_t i = 0; i < n; i++) { /* the files end their lines with LF */
		if (raw[i] == '\n' && (i == 0 || raw[i - 1] != '\r'))
			text[m++] = '\r';
		text[m++] = raw[i];
	}
	json_t *opinion = opinion_about(path);
	struct str rest = { text, m };
	struct header_field f;
	fault got;
	while ((got = header_take(&rest, &f)) == OK) {
		t->fields++;
		assert_int_equal(f.whole.p[f.whole.n - 1], '\n');
		if (str_eq_nocase(f.name, STR("From")) || str_eq_nocase(f.name, STR("To")) || str_eq_nocase(f.name, STR("Cc")))
			compare_addresses(&f, opinion, t, a);
	}
	if (opinion != NULL && got == F_ABSENT) { /* the body begins at the same place, counted without CR */
		end = m - rest.n;
		for (size_t i = 0; i < end; i++)
			lines += text[i] == '\n';
		assert_int_equal(end - lines, json_integer_value(json_object_get(opinion, "offset_body")));
		t->compared++;
	}
	json_decref(opinion);
	t->files++;
}

static void messages_of_others(void **state)
{
	const char *folder = getenv("SEALPOST_VECTORS");
	char command[2048], path[1024];
	if (folder == NULL || strchr(folder, '\'') != NULL) {
		print_message("# SEALPOST_VECTORS names no folder with messages: skipped\n");
		return;
	}
	(void)snprintf(command, sizeof command, "find '%s/mime-mail-parser' '%s/eai-messages' -type f ! -name '*.json' "
	               "! -name SOURCE ! -name '*.md'", folder, folder);
	FILE *list = popen(command, "r");
	assert_non_null(list);
	struct tally t = { 0 };
	while (fgets(path, sizeof path, list) != NULL) {
		path[strcspn(path, "\n")] = '\0';
		read_message(path, &t, *state);
	}
	(void)pclose(list);
	print_message("# %zu messages, %zu fields, %zu addresses, %zu comparisons\n", t.files, t.fields, t.addresses, t.compared);
	assert_true(t.files > 50 && t.fields > t.files * 3 && t.addresses > t.files && t.compared > t.files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_one_by_one),
		cmocka_unit_test(what_is_no_field_stays),
		cmocka_unit_test(where_the_block_ends),
		cmocka_unit_test_setup_teardown(address_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_the_caller_has_room_for_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_megabyte_of_anything_is_linear, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_of_others, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
