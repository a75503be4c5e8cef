/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "proto/txt.h"

/* What a record says, as "key=value|" for each field and then how it ended. */
static void tell(struct buf *out, struct txt_fields *fields)
{
	struct str name, value;
	fault f;
	while ((f = txt_next(fields, &name, &value)) == OK)
		assert_int_equal(buf_addf(out, "%.*s=%.*s|", STR_ARG(name), STR_ARG(value)), OK);
	assert_int_equal(buf_addf(out, "%s", f == F_ABSENT ? "." : "?"), OK);
}

static void records(void **state)
{
	(void)state;
	const struct { const char *record, *want; } cases[] = {
		{ "v=X1;a=b", "a=b|." },
		{ "v=X1; a=b;", "a=b|." },
		{ "v=X1 \t; \ta=b \t; c-d.e_f=g=h ", "a=b|c-d.e_f=g=h|." },
		{ "v=X1; a=; b=c", "a=|b=c|." },
		{ "v=X1;", "." },
		{ "v=X1; ", "." },
		{ "v=X1;;", "?" },
		{ "v=X1; a=b;;", "a=b|?" },
		{ "v=X1; a", "?" },
		{ "v=X1; a=b; c", "a=b|?" },
		{ "v=X1; =b", "?" },
		{ "v=X1; a =b", "?" },
		{ "v=X1; -a=b", "?" },
		{ "v=X1; a,=b", "?" },
		{ "v=X1", NULL },
		{ "v=X10; a=b", NULL },
		{ "v=x1; a=b", NULL },
		{ " v=X1; a=b", NULL },
		{ "v = X1; a=b", NULL },
		{ "", NULL },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str record = str_of(cases[i].record);
		struct txt_fields fields;
		struct buf told;
		buf_init(&told, 1000);
		size_t n = txt_find(&record, 1, STR("v=X1"), &fields);
		if (n == 1)
			tell(&told, &fields);
		if (n != (cases[i].want != NULL) || !str_eq(buf_view(&told), str_of(cases[i].want)))
			fail_msg("\"%s\": %zu, %.*s", cases[i].record, n, STR_ARG(buf_view(&told)));
		buf_fini(&told);
	}
}

static void several(void **state)
{
	(void)state;
	const struct str list[] = { STR("v=spf1 -all"), STR("v=X1; a=1"), STR("v=X1; a=2") };
	struct txt_fields fields;
	struct str name, value;
	assert_int_equal(txt_find(list, 1, STR("v=X1"), &fields), 0);
	assert_int_equal(txt_next(&fields, &name, &value), F_ABSENT);
	assert_int_equal(txt_find(list, 2, STR("v=X1"), &fields), 1);
	assert_int_equal(txt_find(list, 3, STR("v=X1"), &fields), 2);
	assert_int_equal(txt_next(&fields, &name, &value), OK);
	assert_str(value, "2");
}

/* TXT_NAME_MAX */
static void names_and_values(void **state)
{
	(void)state;
	char name[40];
	for (int more = 0; more <= 1; more++) {
		(void)snprintf(name, sizeof name, "%0*d", TXT_NAME_MAX + more, 0);
		assert_int_equal(txt_name_is_valid(str_of(name)), !more);
	}
	assert_false(txt_name_is_valid(STR_NONE));
	assert_true(txt_value_is_valid(STR("!~")));
	assert_true(txt_is_visible(STR("a=b")));
	for (int c = 0; c < 256; c++) {
		char text[] = { 'a', (char)c };
		bool visible = c > 32 && c < 127;
		assert_int_equal(txt_is_visible((struct str){ text, 2 }), visible);
		assert_int_equal(txt_value_is_valid((struct str){ text, 2 }), visible && c != '=');
	}
	assert_false(txt_is_visible(STR_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(several),
		cmocka_unit_test(names_and_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
