/* SPDX-License-Identifier: ISC */
/* store/crc32c_plain.c -- for processors that we know no instruction of; the tables do the work. */
#include "store/crc32c.h"

bool crc32c_cpu_can(void)
{
	return false;
}

uint32_t crc32c_cpu(uint32_t crc, struct str bytes)
{
	(void)bytes;
	return crc;
}

void crc32c_cpu_three(uint32_t registers[3], const char *parts)
{
	(void)registers;
	(void)parts;
}
