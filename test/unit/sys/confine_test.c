/* SPDX-License-Identifier: ISC */
/* What happens before the loop is made. The confinement itself: test/scenario/attack_confined_test.py. */
#include "unit.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/confine.h"
#include "sys/loop.h"

static void end_soon(void *loop)
{
	loop_stop(loop);
}

/* In a process of its own: it is for good. */
static void without_rings_the_loop_works_all_the_same(void **state)
{
	int status = -1;
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct io_uring_params p = { 0 };
		struct why why = { "" };
		if (confine_without_rings(&why) != OK || syscall(SYS_io_uring_setup, 1, &p) != -1 || errno != ENOSYS)
			_exit(1);
		struct loop *loop = loop_new();
		struct timer timer;
		timer_init(&timer, loop, end_soon, loop);
		timer_set(&timer, loop_now_ms(loop));
		loop_run(loop);
		timer_clear(&timer);
		loop_free(&loop);
		_exit(0);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(without_rings_the_loop_works_all_the_same) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
