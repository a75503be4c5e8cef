/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <stdio.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"

static void values_by_name(void **state)
{
	(void)state;
	int one = 1, two = 2;
	struct map *m = map_new(42);
	char key[] = "key";
	assert_null(map_get(m, STR("key")));
	assert_null(map_set(m, str_of(key), &one));
	key[0] = 'x'; /* keys are copied */
	assert_ptr_equal(map_get(m, STR("key")), &one);
	assert_ptr_equal(map_set(m, STR("key"), &two), &one);
	assert_int_equal(map_count(m), 1);
	assert_null(map_set(m, STR(""), &one));
	assert_null(map_set(m, (struct str){ "a\0b", 3 }, &one));
	assert_null(map_get(m, (struct str){ "a\0c", 3 }));
	assert_null(map_get(m, STR("a")));
	assert_ptr_equal(map_get(m, STR("")), &one);
	assert_ptr_equal(map_remove(m, STR("key")), &two);
	assert_null(map_remove(m, STR("key")));
	assert_int_equal(map_count(m), 2);
	map_free(&m);
	assert_null(m);
	map_free(&m);
}

static void many_keys_are_all_kept_and_all_seen(void **state)
{
	(void)state;
	enum { N = 20000 };
	static int values[N], seen[N];
	struct map *m = map_new(7);
	char text[32];
	for (int i = 0; i < N; i++) {
		(void)snprintf(text, sizeof text, "key-%d", i);
		assert_null(map_set(m, str_of(text), &values[i]));
		assert_null(map_set_u64(m, (uint64_t)i << 40 | 1, &values[i]));
	}
	assert_int_equal(map_count(m), 2 * N);
	for (int i = 0; i < N; i++) {
		(void)snprintf(text, sizeof text, "key-%d", i);
		assert_ptr_equal(map_get(m, str_of(text)), &values[i]);
		assert_ptr_equal(map_get_u64(m, (uint64_t)i << 40 | 1), &values[i]);
	}
	size_t cursor = 0, n = 0;
	struct str key;
	void *value;
	while (map_each(m, &cursor, &key, &value)) {
		seen[(int *)value - values]++;
		n++;
	}
	assert_int_equal(n, 2 * N);
	for (int i = 0; i < N; i++)
		assert_int_equal(seen[i], 2);
	for (int i = 0; i < N; i++)
		assert_ptr_equal(map_remove_u64(m, (uint64_t)i << 40 | 1), &values[i]);
	assert_int_equal(map_count(m), N);
	map_free(&m);
}

static void an_empty_map_has_nothing_to_show(void **state)
{
	(void)state;
	struct map *m = map_new(0);
	size_t cursor = 0;
	struct str key;
	void *value;
	assert_false(map_each(m, &cursor, &key, &value));
	assert_null(map_get_u64(m, 0));
	assert_null(map_remove_u64(m, 0));
	map_free(&m);
}

struct member { int n; struct link in_list; };

static void lists_keep_order_and_let_go(void **state)
{
	(void)state;
	struct list list;
	struct member m[5];
	list_init(&list);
	assert_true(list_empty(&list));
	assert_null(LIST_FIRST(&list, struct member, in_list));
	for (int i = 0; i < 5; i++) {
		m[i].n = i;
		link_init(&m[i].in_list);
		assert_false(link_used(&m[i].in_list));
		if (i == 4)
			list_add_first(&list, &m[i].in_list);
		else
			list_add_last(&list, &m[i].in_list);
		assert_true(link_used(&m[i].in_list));
	}
	int order = 0;
	LIST_EACH(l, &list) {
		struct member *got = LIST_MEMBER(l, struct member, in_list);
		order = order * 10 + got->n;
		if (got->n == 1 || got->n == 3)
			link_remove(&got->in_list); /* while walking */
	}
	assert_int_equal(order, 40123);
	link_remove(&m[1].in_list); /* twice is harmless */
	order = 0;
	LIST_EACH(l, &list)
		order = order * 10 + LIST_MEMBER(l, struct member, in_list)->n;
	assert_int_equal(order, 402);
	const struct member *first = LIST_FIRST(&list, struct member, in_list);
	check(first != NULL);
	assert_int_equal(first->n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_by_name),
		cmocka_unit_test(many_keys_are_all_kept_and_all_seen),
		cmocka_unit_test(an_empty_map_has_nothing_to_show),
		cmocka_unit_test(lists_keep_order_and_let_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
