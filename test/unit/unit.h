/* SPDX-License-Identifier: ISC */
/* What every unit test includes: cmocka with what it needs, and how to compare a slice. */
#ifndef TEST_UNIT_H
#define TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"

#define assert_str(got_, want_)                                                                           \
	do {                                                                                              \
		struct str got__ = (got_), want__ = str_of(want_);                                        \
		if (!str_eq(got__, want__))                                                               \
			fail_msg("got \"%.*s\", want \"%.*s\"", STR_ARG(got__), STR_ARG(want__));           \
	} while (0)

#define assert_ok(call_)                                                                        \
	do {                                                                                    \
		fault got__ = (call_);                                                          \
		if (got__ != OK)                                                                \
			fail_msg("%s: %s", #call_, fault_name(got__));                          \
	} while (0)

#endif
