/* SPDX-License-Identifier: ISC */
/*
 * test/sim/fates.h -- ways in which a failure of the power may decide (medium.h), each repeated by its numbers.
 *
 * Tests    test/sim/medium_test.c
 */
#ifndef SIM_FATES_H
#define SIM_FATES_H

#include "medium.h"

enum fate_style {
	FATE_NOTHING,           /* nothing that is pending is kept */
	FATE_EVERYTHING,
	FATE_MASK,              /* operation i is kept whole if bit i of number is set */
	FATE_BUT_ONE,           /* everything but operation number */
	FATE_ONLY_ONE,
	FATE_FIRST,             /* the first operations, up to number, which is torn */
	FATE_OPERATIONS,        /* each operation or not, by chance */
	FATE_SECTORS,           /* each sector, size and name or not, by chance */
	FATE_TORN,              /* the same, and some sectors in part */
	FATE_STYLES
};

struct fates { enum fate_style style; uint64_t number; };

/* junk by chance of the number, where the style leaves anything out by chance. */
struct fate fate_of(struct fates *f);
const char *fate_style_name(enum fate_style style);

#endif
