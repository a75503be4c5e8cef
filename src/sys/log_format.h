/* SPDX-License-Identifier: ISC */
/*
 * sys/log_format.h -- a log line as bytes. Pure: the time and the role come from the caller. Values as in base/escape.h.
 *
 * Limits   A value, as it is written, LOG_VALUE_MAX bytes; "..." tells that it was cut.
 * Tests    test/unit/sys/log_test.c
 */
#ifndef SYS_LOG_FORMAT_H
#define SYS_LOG_FORMAT_H

#include "base/buf.h"
#include "sys/log.h"

enum { LOG_VALUE_MAX = 512, LOG_LINE_MAX = 16 << 10 };

/* One line with its LF. Facts that do not fit into the buffer are left out. */
void log_format(struct buf *out, bool json, const char *role, int64_t wall_ms, enum log_event event, size_t n,
                const struct log_fact *facts);

#endif
