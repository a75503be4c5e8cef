/* SPDX-License-Identifier: ISC */
/* Memory that one writes and others read: seen at once, not to be written by a reader, not to be cut by anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "sys/shared.h"
#include "sys/socket.h"

enum { BYTES = 1 << 16 };

static void readers_see_what_is_written(void **state)
{
	(void)state;
	int writer = -1, reader = -1;
	void *mine, *theirs;
	assert_int_equal(shared_make(BYTES, &writer, &reader), OK);
	assert_int_equal(shared_map(writer, BYTES, true, &mine), OK);
	assert_int_equal(shared_map(reader, BYTES, false, &theirs), OK);
	assert_int_equal(((char *)theirs)[BYTES - 1], 0);
	((char *)mine)[BYTES - 1] = 'x';
	assert_int_equal(((char *)theirs)[BYTES - 1], 'x');
	shared_unmap(mine, BYTES);
	shared_unmap(theirs, BYTES);
	fd_close(&writer);
	fd_close(&reader);
}

/* Pulling the memory away would kill whoever reads it. */
static void attack_69_nobody_cuts_it_and_no_reader_writes(void **state)
{
	(void)state;
	int writer = -1, reader = -1;
	void *map = NULL;
	assert_int_equal(shared_make(BYTES, &writer, &reader), OK);
	assert_int_equal(ftruncate(writer, 0), -1);
	assert_int_equal(ftruncate(writer, BYTES * 2), -1);
	assert_int_not_equal(shared_map(reader, BYTES, true, &map), OK);
	assert_int_equal(write(reader, "x", 1), -1);
	fd_close(&writer);
	fd_close(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_see_what_is_written),
		cmocka_unit_test(attack_69_nobody_cuts_it_and_no_reader_writes),
	};
	return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
