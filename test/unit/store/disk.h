/* SPDX-License-Identifier: ISC */
/*
 * A stand-in for sys/file.c that does the same with plain system calls, and fails when a test says so.
 */
#ifndef TEST_STORE_DISK_H
#define TEST_STORE_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

struct disk {
	fault write_fault, sync_fault;  /* given once the countdown is over; OK: none */
	int writes_left, syncs_left;    /* until then; -1: never */
	unsigned writes, syncs;         /* so far */
	uint64_t bytes_free;            /* as file_space says; 0: the truth */
	int dies_in;                    /* the process ends in this write or flush from now; -1: never */
};
extern struct disk disk;
void disk_heal(void);
/* One write or flush, of these files or of SQLite's. True: this is the one in which the process dies; the caller
 * does half of it and calls disk_die. */
bool disk_step(void);
_Noreturn void disk_die(void);

#endif
