/* SPDX-License-Identifier: ISC */
/*
 * cmd/amount.h -- amounts as they are written on the command lines of `load` and `sink`.
 *
 * Errors   false: not such an amount, or outside of the bounds; *out is untouched.
 * Tests    test/scenario/load_sink_test.py
 */
#ifndef CMD_AMOUNT_H
#define CMD_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

bool amount_count(const char *text, uint64_t least, uint64_t most, uint64_t *out);
bool amount_time(const char *text, int64_t most_ms, int64_t *ms_out);     /* "50ms", "2s", "5m", "1h": never without a unit */
bool amount_size(const char *text, uint64_t most, uint64_t *bytes_out);   /* "10000", "64K", "1M" (powers of 1024) */
bool amount_share(const char *text, unsigned *of_a_million_out);          /* "5%", "0.25%": never without the % */

#endif
