/* SPDX-License-Identifier: ISC */
#include "base/histogram.h"

#include <stddef.h>

/* Each octave, from 32 on, has 32 cells: 32 to 63 one for each value, 64 to 127 one for each two, and so on. */
static size_t cell_of(uint64_t value)
{
	size_t octave = 0;
	while (value >> octave >= 2 * HISTOGRAM_FINE)
		octave++;
	return octave * HISTOGRAM_FINE + (size_t)(value >> octave);
}

/* The greatest value that falls into it. */
static uint64_t top_of(size_t cell)
{
	size_t octave = cell < 2 * HISTOGRAM_FINE ? 0 : cell / HISTOGRAM_FINE - 1;
	uint64_t within = cell - octave * HISTOGRAM_FINE;
	return ((within + 1) << octave) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	if (value > HISTOGRAM_VALUE_MAX)
		value = HISTOGRAM_VALUE_MAX;
	if (h->n == 0 || value < h->least)
		h->least = value;
	if (value > h->greatest)
		h->greatest = value;
	h->n++;
	h->cells[cell_of(value)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	if (from->n == 0)
		return;
	if (to->n == 0 || from->least < to->least)
		to->least = from->least;
	if (from->greatest > to->greatest)
		to->greatest = from->greatest;
	to->n += from->n;
	for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
		to->cells[i] += from->cells[i];
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	double wanted = (double)h->n * percent / 100.0;
	uint64_t seen = 0;
	for (size_t i = 0; i < HISTOGRAM_CELLS; i++) {
		seen += h->cells[i];
		if (h->cells[i] > 0 && (double)seen >= wanted)
			return top_of(i) < h->greatest ? top_of(i) : h->greatest;
	}
	return h->greatest;
}
