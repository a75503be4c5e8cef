/* SPDX-License-Identifier: ISC */
/* The order of mail servers: every way in which a set of MX records can be odd. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "policy/mx.h"

static const char *verdict_name(enum mx_verdict v)
{
	static const char *const names[] = { "hosts", "null", "ourselves", "unusable" };
	return names[v];
}

/* "10 a.example, 20 b.example" */
static size_t read_records(const char *text, struct mx_record *out)
{
	struct str rest = str_of(text), part;
	size_t n = 0;
	while (rest.n > 0) {
		if (!str_take_until(&rest, ',', &part)) {
			part = rest;
			rest = STR_NONE;
		}
		part = str_trim(part);
		assert_true(str_take_u64(&part, &out[n].preference));
		(void)str_take_char(&part, ' ');
		out[n++].host = part;
	}
	return n;
}

static void plan(const char *records, uint64_t random, struct mx_plan *out)
{
	static const struct str own[] = { { "mx.own.example", 14 }, { "own.example", 11 } };
	struct mx_record r[64];
	struct mx_question q = {
		.domain = STR("y.example"), .records = r, .n_records = read_records(records, r),
		.own_names = own, .n_own_names = 2, .random = random,
	};
	mx_plan_hosts(&q, out);
}

static void to_text(const struct mx_plan *p, char *text, size_t room)
{
	size_t n = (size_t)snprintf(text, room, "%s%s", verdict_name(p->verdict), p->implicit ? " implicit" : "");
	for (size_t i = 0; i < p->n_hosts; i++)
		n += (size_t)snprintf(text + n, room - n, " %.*s", STR_ARG(p->hosts[i].name));
}

static void sets_of_records(void **state)
{
	(void)state;
	static const struct { const char *records, *expected; } cases[] = {
		{ "", "hosts implicit y.example" },
		{ "10 a.example", "hosts a.example" },
		{ "20 b.example, 10 a.example, 30 c.example", "hosts a.example b.example c.example" },
		{ "0 .", "null" },
		{ "0 ", "null" },
		{ "10 ., 20 a.example", "hosts a.example" },
		{ "10 ., 20 .", "unusable" },
		{ "10 192.0.2.1", "unusable" },
		{ "10 [192.0.2.1]", "unusable" },
		{ "10 2001:db8::1", "unusable" },
		{ "10 192.0.2.1, 20 a.example", "hosts a.example" },
		{ "10 bad_host!.example, 20 a.example", "hosts a.example" },
		{ "10 mx_1.example, 20 _a._b.example", "hosts mx_1.example _a._b.example" },
		{ "10 -_.example, 20 a..example", "unusable" },
		{ "10 mx.own.example", "ourselves" },
		{ "10 MX.OWN.example", "ourselves" },
		{ "10 a.example, 20 mx.own.example", "hosts a.example" },
		{ "10 a.example, 20 mx.own.example, 20 b.example", "hosts a.example" },
		{ "10 a.example, 20 mx.own.example, 30 b.example", "hosts a.example" },
		{ "10 mx.own.example, 20 a.example", "ourselves" },
		{ "10 a.example, 20 b.example, 20 own.example, 15 mx.own.example", "hosts a.example" },
		{ "10 a.example, 20 a.example", "hosts a.example" },
		{ "20 a.example, 15 b.example, 10 a.example", "hosts a.example b.example" },
		{ "65535 a.example, 0 b.example", "hosts b.example a.example" },
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		for (uint64_t random = 0; random < 20; random++) {
			struct mx_plan p;
			char text[1024];
			plan(cases[i].records, random, &p);
			to_text(&p, text, sizeof text);
			if (strcmp(text, cases[i].expected) != 0)
				fail_msg("%s: %s, expected %s", cases[i].records, text, cases[i].expected);
		}
}

static void the_domain_is_ours(void **state)
{
	(void)state;
	struct str own = STR("y.example");
	struct mx_question q = { .domain = STR("y.example"), .own_names = &own, .n_own_names = 1 };
	struct mx_plan p;
	mx_plan_hosts(&q, &p);
	assert_int_equal(p.verdict, MX_OURSELVES);
	assert_int_equal(p.n_hosts, 0);
}

/* Each of three equals comes first about as often, and never before a better one. */
static void equals_take_turns(void **state)
{
	(void)state;
	unsigned first[3] = { 0 };
	for (uint64_t random = 0; random < 3000; random++) {
		struct mx_plan p;
		plan("10 a.example, 10 b.example, 10 c.example, 5 best.example, 20 last.example", random * 7919, &p);
		assert_int_equal(p.n_hosts, 5);
		assert_true(str_eq(p.hosts[0].name, STR("best.example")));
		assert_true(str_eq(p.hosts[4].name, STR("last.example")));
		first[p.hosts[1].name.p[0] - 'a']++;
	}
	for (size_t i = 0; i < 3; i++)
		assert_in_range(first[i], 850, 1150);
}

static void hosts_are_capped(void **state)
{
	(void)state;
	static const size_t counts[] = { MX_HOSTS_MAX - 1, MX_HOSTS_MAX, MX_HOSTS_MAX + 1, 60 };
	for (size_t c = 0; c < COUNT(counts); c++) {
		struct mx_record r[64];
		char names[64][40];
		for (size_t i = 0; i < counts[c]; i++) {
			(void)snprintf(names[i], sizeof names[i], "h%zu.example", i);
			r[i] = (struct mx_record){ counts[c] - i, str_of(names[i]) }; /* the worst first */
		}
		struct mx_question q = { .domain = STR("y.example"), .records = r, .n_records = counts[c] };
		struct mx_plan p;
		mx_plan_hosts(&q, &p);
		assert_int_equal(p.n_hosts, counts[c] < MX_HOSTS_MAX ? counts[c] : MX_HOSTS_MAX);
		for (size_t i = 0; i < p.n_hosts; i++)
			assert_int_equal(p.hosts[i].preference, i + 1);
	}
}

static void an_address_is_ours(void **state)
{
	(void)state;
	static const struct { size_t index; const char *expected; } cases[] = {
		{ 0, "ourselves" }, { 1, "hosts a.example" }, { 2, "hosts a.example" },
		{ 3, "hosts a.example b.example c.example" }, { 4, "hosts a.example b.example c.example d.example" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct mx_plan p;
		char text[1024];
		plan("10 a.example, 30 d.example", 0, &p);
		/* b and c are equals: put in by hand, so that their order is known. */
		p.hosts[3] = p.hosts[1];
		p.hosts[1] = (struct mx_host){ STR("b.example"), 20 };
		p.hosts[2] = (struct mx_host){ STR("c.example"), 20 };
		p.n_hosts = 4;
		mx_plan_is_ours(&p, cases[i].index);
		to_text(&p, text, sizeof text);
		assert_string_equal(text, cases[i].expected);
	}
}

static void refusals_say_why(void **state)
{
	(void)state;
	assert_int_equal(mx_refusal(MX_NULL).status.detail, 10);
	assert_int_equal(mx_refusal(MX_OURSELVES).status.detail, 6);
	for (enum mx_verdict v = MX_NULL; v <= MX_UNUSABLE; v++) {
		assert_int_equal(mx_refusal(v).status.class, 5);
		assert_int_equal(mx_refusal(v).code, 0);
		assert_true(mx_refusal(v).text.n > 20);
	}
}

/* Addresses as a word: 4 and 6, numbered in order. */
static void addresses_take_turns(void **state)
{
	(void)state;
	static const struct { const char *in; unsigned family; const char *out; } cases[] = {
		{ "", FAMILY_ANY, "" },
		{ "4", FAMILY_ANY, "4a" },
		{ "6", FAMILY_ANY, "6a" },
		{ "46", FAMILY_ANY, "6b4a" },
		{ "444666", FAMILY_ANY, "6d4a6e4b6f" },
		{ "4444444", FAMILY_ANY, "4a4b4c4d4e" },
		{ "66664", FAMILY_ANY, "6a4e6b6c6d" },
		{ "6666644444", FAMILY_ANY, "6a4f6b4g6c" },
		{ "4646", FAMILY_IPV4, "4a4c" },
		{ "4646", FAMILY_IPV6, "6b6d" },
		{ "444", FAMILY_IPV6, "" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct mx_address in[16] = { 0 }, out[MX_ADDRESSES_MAX];
		char text[32] = "";
		size_t n = strlen(cases[i].in);
		for (size_t k = 0; k < n; k++)
			in[k] = (struct mx_address){ .ipv6 = cases[i].in[k] == '6', .ip = { (unsigned char)('a' + k) } };
		size_t got = mx_order_addresses(in, n, cases[i].family, out);
		for (size_t k = 0; k < got; k++)
			(void)snprintf(text + 2 * k, 3, "%c%c", out[k].ipv6 ? '6' : '4', out[k].ip[0]);
		assert_string_equal(text, cases[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_of_records), cmocka_unit_test(the_domain_is_ours),
		cmocka_unit_test(equals_take_turns), cmocka_unit_test(hosts_are_capped),
		cmocka_unit_test(an_address_is_ours), cmocka_unit_test(refusals_say_why),
		cmocka_unit_test(addresses_take_turns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
