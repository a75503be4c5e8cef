/* SPDX-License-Identifier: ISC */
/*
 * store/crc32c.h -- the checksum of a content record (Castagnoli polynomial, as iSCSI and ext4 use it).
 *
 * Source   RFC 3720 12.1 and B.4 (test vectors).
 * Tests    test/unit/store/parts_test.c
 */
#ifndef STORE_CRC32C_H
#define STORE_CRC32C_H

#include "base/str.h"

struct crc32c {
	bool by_cpu;
	uint32_t table[8][256];
	uint32_t over[4][256];           /* what each byte of a sum becomes over CRC32C_PART zeros */
};

enum { CRC32C_PART = 1024 };             /* bytes: three such parts are summed side by side */

void     crc32c_init(struct crc32c *c);
/* Goes on from `crc`, the sum so far (0 at the start). */
uint32_t crc32c(const struct crc32c *c, uint32_t crc, struct str bytes);

/* By the processor itself, where it can: crc32c() looks after that. */
bool     crc32c_cpu_can(void);
uint32_t crc32c_cpu(uint32_t crc, struct str bytes);
/* Goes on with three registers (sums that are not inverted) over three parts that lie one behind the other. */
void     crc32c_cpu_three(uint32_t registers[3], const char *parts);

#endif
