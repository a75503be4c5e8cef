/* SPDX-License-Identifier: ISC */
/* The medium: what is seen, what is durable, and every legal state after the power has failed. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "fates.h"
#include "medium.h"

static struct medium *after(const struct medium *m, enum fate_style style, uint64_t number)
{
	struct fates fates = { style, number };
	struct fate fate = fate_of(&fates);
	return medium_after(m, &fate);
}

static uint32_t new_file(struct medium *m, const char *name)
{
	uint32_t f = medium_make(m, false);
	medium_link(m, MEDIUM_ROOT, str_of(name), f);
	return f;
}

/* The file's bytes; "-" if it is absent. */
static const char *shown(const struct medium *m, const char *name)
{
	static char text[32];
	uint32_t f = medium_find(m, MEDIUM_ROOT, str_of(name));
	memset(text, 0, sizeof text);
	if (f == 0)
		return "-";
	(void)medium_read(m, f, 0, text, sizeof text - 1);
	return text;
}

#define assert_after(m, style, number, name, text)                    \
	do {                                                          \
		struct medium *a_ = after((m), (style), (number));    \
		assert_string_equal(shown(a_, (name)), (text));       \
		medium_free(&a_);                                     \
	} while (0)

static void bytes_need_their_file_synced_and_names_their_directory(void **state)
{
	(void)state;
	struct medium *m = medium_new();
	uint32_t f = new_file(m, "f");
	medium_write(m, f, 0, STR("hello"));
	assert_string_equal(shown(m, "f"), "hello");
	assert_after(m, FATE_NOTHING, 0, "f", "-");
	assert_after(m, FATE_EVERYTHING, 0, "f", "hello");
	medium_sync(m, f);
	assert_after(m, FATE_NOTHING, 0, "f", "-"); /* the bytes are durable, and nobody finds them */
	medium_sync(m, MEDIUM_ROOT);
	assert_after(m, FATE_NOTHING, 0, "f", "hello");
	medium_write(m, f, 0, STR("jell"));
	assert_string_equal(shown(m, "f"), "jello");
	assert_after(m, FATE_NOTHING, 0, "f", "hello");
	assert_after(m, FATE_EVERYTHING, 0, "f", "jello");
	medium_unlink(m, MEDIUM_ROOT, STR("f"));
	assert_string_equal(shown(m, "f"), "-");
	assert_after(m, FATE_NOTHING, 0, "f", "hello");
	assert_after(m, FATE_ONLY_ONE, 1, "f", "-");
	medium_free(&m);
}

static void a_rename_is_whole_or_has_not_happened(void **state)
{
	(void)state;
	struct medium *m = medium_new();
	uint32_t old = new_file(m, "to"), young = new_file(m, "from");
	medium_write(m, old, 0, STR("old"));
	medium_write(m, young, 0, STR("new"));
	medium_sync(m, old);
	medium_sync(m, young);
	medium_sync(m, MEDIUM_ROOT);
	medium_rename(m, MEDIUM_ROOT, STR("from"), MEDIUM_ROOT, STR("to"));
	assert_after(m, FATE_NOTHING, 0, "to", "old");
	assert_after(m, FATE_NOTHING, 0, "from", "new");
	assert_after(m, FATE_EVERYTHING, 0, "to", "new");
	assert_after(m, FATE_EVERYTHING, 0, "from", "-");
	medium_free(&m);
}

static void a_size_comes_without_its_bytes(void **state)
{
	(void)state;
	char bytes[4 * MEDIUM_SECTOR];
	struct medium *m = medium_new();
	uint32_t f = new_file(m, "f");
	medium_sync(m, MEDIUM_ROOT);
	memset(bytes, 'x', sizeof bytes);
	medium_write(m, f, 0, (struct str){ bytes, sizeof bytes });
	unsigned zeros = 0, junk = 0, whole = 0, empty = 0, torn = 0;
	for (uint64_t n = 0; n < 400; n++) {
		struct medium *a = after(m, n % 2 == 0 ? FATE_SECTORS : FATE_TORN, n);
		uint32_t g = medium_find(a, MEDIUM_ROOT, STR("f"));
		size_t size = medium_read(a, g, 0, bytes, sizeof bytes);
		empty += size == 0;
		for (size_t s = 0; s < size; s += MEDIUM_SECTOR) {
			size_t x = 0;
			for (size_t i = s; i < s + MEDIUM_SECTOR; i++) {
				x += bytes[i] == 'x';
				assert_true(bytes[i] == 'x' || bytes[i] == 'J' || bytes[i] == '\0');
			}
			whole += x == MEDIUM_SECTOR;
			torn += x > 0 && x < MEDIUM_SECTOR;
			zeros += x == 0 && bytes[s] == '\0';
			junk += x == 0 && bytes[s] == 'J';
		}
		medium_free(&a);
	}
	assert_true(empty > 50 && zeros > 50 && junk > 10 && whole > 50 && torn > 10);
	medium_free(&m);
}

/* Two writes to one sector: the second never without the first, for the sector is what the disk writes. */
static void a_sector_has_a_content_that_it_once_had(void **state)
{
	(void)state;
	struct medium *m = medium_new();
	uint32_t f = new_file(m, "f");
	medium_write(m, f, 0, STR("......"));
	medium_sync(m, f);
	medium_sync(m, MEDIUM_ROOT);
	medium_write(m, f, 0, STR("A"));
	medium_write(m, f, 3, STR("B"));
	assert_after(m, FATE_MASK, 0, "f", "......");
	assert_after(m, FATE_MASK, 1, "f", "A.....");
	assert_after(m, FATE_MASK, 2, "f", "A..B..");
	assert_after(m, FATE_MASK, 3, "f", "A..B..");
	medium_free(&m);
}

static void what_a_failed_sync_drops_is_seen_and_never_durable(void **state)
{
	(void)state;
	struct medium *m = medium_new();
	uint32_t f = new_file(m, "f");
	medium_sync(m, MEDIUM_ROOT);
	medium_write(m, f, 0, STR("lost"));
	medium_sync_fails(m, f);
	medium_sync(m, f); /* this one says yes */
	assert_string_equal(shown(m, "f"), "lost");
	assert_after(m, FATE_EVERYTHING, 0, "f", "");
	medium_free(&m);
}

static void a_shorter_file_forgets(void **state)
{
	(void)state;
	struct medium *m = medium_new();
	uint32_t f = new_file(m, "f");
	medium_write(m, f, 0, STR("abcdef"));
	medium_sync_everything(m);
	medium_resize(m, f, 2);
	medium_resize(m, f, 4);
	assert_string_equal(shown(m, "f"), "ab");
	assert_int_equal(medium_size(m, f), 4);
	assert_after(m, FATE_NOTHING, 0, "f", "abcdef");
	assert_after(m, FATE_ONLY_ONE, 0, "f", "ab");
	medium_free(&m);
}

static void replay(void *owner, struct op *op)
{
	medium_do(owner, op);
}

/* What is recorded and done again elsewhere is the same disk, now and after the power has failed. */
static void operations_can_be_done_again(void **state)
{
	(void)state;
	struct medium *m = medium_new(), *again = medium_new();
	char bytes[9000];
	medium_watch(m, replay, again);
	uint32_t d = medium_make(m, true);
	medium_link(m, MEDIUM_ROOT, STR("d"), d);
	for (unsigned i = 0; i < 200; i++) {
		char name[2] = { (char)('a' + i % 7), '\0' };
		uint32_t f = medium_find(m, d, str_of(name));
		memset(bytes, (int)i, sizeof bytes);
		if (f == 0) {
			f = medium_make(m, false);
			medium_link(m, d, str_of(name), f);
		}
		medium_write(m, f, i * 613 % 20000, (struct str){ bytes, i * 97 % sizeof bytes });
		if (i % 5 == 0)
			medium_sync(m, i % 10 == 0 ? d : f);
		if (i % 13 == 0)
			medium_resize(m, f, i * 41);
		if (i % 17 == 0)
			medium_unlink(m, d, str_of(name));
		assert_int_equal(medium_hash(m), medium_hash(again));
		for (unsigned style = 0; style < FATE_STYLES; style++) {
			struct medium *a = after(m, (enum fate_style)style, i), *b = after(again, (enum fate_style)style, i);
			assert_int_equal(medium_hash(a), medium_hash(b));
			medium_free(&a);
			medium_free(&b);
		}
	}
	medium_sync_everything(m);
	assert_int_equal(medium_n_pending(m), 0);
	struct medium *a = after(m, FATE_NOTHING, 0);
	assert_int_equal(medium_hash(a), medium_hash(m));
	medium_free(&a);
	medium_watch(m, NULL, NULL);
	medium_free(&m);
	medium_free(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_need_their_file_synced_and_names_their_directory),
		cmocka_unit_test(a_rename_is_whole_or_has_not_happened),
		cmocka_unit_test(a_size_comes_without_its_bytes),
		cmocka_unit_test(a_sector_has_a_content_that_it_once_had),
		cmocka_unit_test(what_a_failed_sync_drops_is_seen_and_never_durable),
		cmocka_unit_test(a_shorter_file_forgets),
		cmocka_unit_test(operations_can_be_done_again),
	};
	return cmocka_run_group_tests_name("sim/medium", tests, NULL, NULL);
}
