/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/arrows.h"
#include "ipc/front_spool.h"

/* Exactly n bytes, so that the sanitizer sees a read past the end. */
static char *exact(struct str s)
{
	char *p = must_alloc(s.n);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

static size_t strings_in(const struct ipc_message *m)
{
	size_t n = 0;
	for (const char *shape = m->shape; *shape != '\0'; shape++)
		n += *shape == 's';
	return n;
}

static void the_tables_agree_with_the_structs(void **state)
{
	(void)state;
	for (size_t i = 0; i < IPC_ARROWS; i++) {
		assert_true(ipc_arrows[i]->n > 0);
		for (size_t k = 0; k < ipc_arrows[i]->n; k++) {
			const struct ipc_message *m = &ipc_arrows[i]->messages[k];
			size_t fields = 0;
			for (const char *c = m->fields; *c != '\0'; c++)
				fields += *c == ' ';
			assert_int_equal(fields, strlen(m->shape));
			assert_int_equal(m->size, 8 * fields + 8 * strings_in(m));
			assert_int_equal(strspn(m->shape, "uis"), fields);
		}
		for (size_t other = 0; other < i; other++)
			assert_ptr_not_equal(ipc_arrows[i], ipc_arrows[other]);
	}
}

static void cut_short_or_too_long_is_refused_for_every_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < IPC_ARROWS; i++)
		for (unsigned k = 0; k < ipc_arrows[i]->n; k++) {
			_Alignas(max_align_t) char msg[IPC_MESSAGE_SIZE_MAX];
			const struct ipc_message *m = &ipc_arrows[i]->messages[k];
			char *at = msg;
			for (const char *shape = m->shape; *shape != '\0'; shape++) {
				struct str s = STR("text");
				uint64_t n = 0x0123456789abcdefu;
				memcpy(at, *shape == 's' ? (void *)&s : (void *)&n, *shape == 's' ? sizeof s : sizeof n);
				at += *shape == 's' ? sizeof s : sizeof n;
			}
			struct buf out;
			buf_init(&out, 1000);
			assert_int_equal(ipc_put(&out, ipc_arrows[i], k, msg), OK);
			size_t n = buf_view(&out).n;
			assert_int_equal(n, m->size - 8 * strings_in(m));
			for (size_t cut = 0; cut <= n; cut++) {
				char *bytes = exact(str_sub(buf_view(&out), 0, cut));
				fault f = ipc_get(ipc_arrows[i], k, (struct str){ bytes, cut }, msg);
				assert_int_equal(f, cut == n ? OK : F_SYNTAX);
				free(bytes);
			}
			assert_int_equal(buf_add_char(&out, 'x'), OK);
			assert_int_equal(ipc_get(ipc_arrows[i], k, buf_view(&out), msg), F_SYNTAX);
			buf_fini(&out);
		}
}

static void what_does_not_fit_changes_nothing(void **state)
{
	(void)state;
	struct front_chunk m = { 1, STR("12345") };
	struct buf out;
	buf_init(&out, 17);
	assert_int_equal(ipc_put(&out, &front_to_spool, FRONT_CHUNK, &m), OK);
	buf_fini(&out);
	buf_init(&out, 16);
	assert_int_equal(ipc_put(&out, &front_to_spool, FRONT_CHUNK, &m), F_LIMIT);
	assert_int_equal(buf_view(&out).n, 0);
	assert_int_equal(ipc_put(&out, &front_to_spool, 99, &m), F_STATE);
	assert_int_equal(ipc_get(&front_to_spool, 99, STR_NONE, &m), F_SYNTAX);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tables_agree_with_the_structs),
		cmocka_unit_test(cut_short_or_too_long_is_refused_for_every_message),
		cmocka_unit_test(what_does_not_fit_changes_nothing),
	};
	return cmocka_run_group_tests_name("ipc/codec", tests, NULL, NULL);
}
