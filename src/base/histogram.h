/* SPDX-License-Identifier: ISC */
/*
 * base/histogram.h -- how values are spread, in a fixed amount of memory: for percentiles.
 *
 * Values up to 63 are kept as they are, larger ones to one part in 32, so a percentile is at most 3 % above the truth, and never
 * below it. Least and greatest are exact.
 *
 * Limits   Values from HISTOGRAM_VALUE_MAX on are counted as that.
 * Tests    test/unit/base/histogram_test.c
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_FINE = 32, HISTOGRAM_OCTAVES = 36, HISTOGRAM_CELLS = HISTOGRAM_FINE * (HISTOGRAM_OCTAVES + 1) };
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 41) - 1)

/* All zeros is an empty one. */
struct histogram {
	uint64_t n, least, greatest;
	uint64_t cells[HISTOGRAM_CELLS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* A value that `percent` of all do not exceed; 0 if there are none. 100: the greatest. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

#endif
