/* SPDX-License-Identifier: ISC */
/*
 * A stand-in for sys/file.c that does the same with plain system calls, and fails when a test says so.
 */
#ifndef TEST_STORE_DISK_H
#define TEST_STORE_DISK_H

#include "base/fault.h"

struct disk {
	fault write_fault, sync_fault;  /* given once the countdown is over; OK: none */
	int writes_left, syncs_left;    /* until then; -1: never */
	unsigned writes, syncs;         /* so far */
};
extern struct disk disk;
void disk_heal(void);

#endif
