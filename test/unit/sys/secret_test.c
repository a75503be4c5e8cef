/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/secret.h"

/* What the kernel says of the mapping at p: its line of flags, and how much of it is locked. */
static bool mapping(const void *p, char flags[static 256], unsigned long *locked_kb)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[256];
	bool here = false, found = false;
	assert_non_null(smaps);
	while (!found && fgets(line, sizeof line, smaps) != NULL) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && sscanf(line, "Locked: %lu", locked_kb) == 1)
			continue;
		else if (here && strncmp(line, "VmFlags:", 8) == 0) {
			strcpy(flags, line);
			found = true;
		}
	}
	(void)fclose(smaps);
	return found;
}

static void secrets_are_locked_and_in_no_dump(void **state)
{
	bool locked;
	char *p = secret_new(5000, &locked), flags[256] = "";
	unsigned long kb = 0;
	(void)state;
	assert_non_null(p);
	assert_true(locked);
	assert_int_equal(p[0], 0);
	assert_int_equal(p[4999], 0);
	memset(p, 'x', 5000);
	assert_true(mapping(p, flags, &kb));
	assert_true(kb >= 8);
	assert_non_null(strstr(flags, " lo ")); /* locked */
	assert_non_null(strstr(flags, " dd ")); /* not in a dump */
	assert_non_null(strstr(flags, " wf ")); /* wiped in a forked child */
	secret_free((void **)&p, 5000);
	assert_null(p);
	secret_free((void **)&p, 5000);
}

static void a_forked_child_sees_zeros(void **state)
{
	bool locked;
	char *p = secret_new(100, &locked);
	int status;
	(void)state;
	p[99] = 'x';
	pid_t pid = fork();
	if (pid == 0)
		_exit(p[99] == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	secret_free((void **)&p, 100);
}

/* In a child of another user, because root may lock what it likes. */
static int beyond_the_limit(void)
{
	long page = sysconf(_SC_PAGESIZE);
	bool locked, more;
	if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ (rlim_t)page, (rlim_t)page }) != 0 || (geteuid() == 0 && setuid(65534) != 0))
		return 1;
	char *p = secret_new((size_t)page, &locked), *q = secret_new(1, &more);
	if (!locked || more || q == NULL)
		return 2;
	q[0] = 'x'; /* serves all the same */
	secret_free((void **)&p, (size_t)page);
	secret_free((void **)&q, 1);
	p = secret_new(0, &locked);
	if (p == NULL)
		return 3;
	secret_free((void **)&p, 0);
	return 0;
}

static void what_cannot_be_locked_says_so(void **state)
{
	int status;
	(void)state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(beyond_the_limit());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_locked_and_in_no_dump),
		cmocka_unit_test(a_forked_child_sees_zeros),
		cmocka_unit_test(what_cannot_be_locked_says_so),
	};
	return cmocka_run_group_tests_name("sys/secret", tests, NULL, NULL);
}
