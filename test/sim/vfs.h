/* SPDX-License-Identifier: ISC */
/* test/sim/vfs.h -- SQLite on the simulated disk. */
#ifndef SIM_VFS_H
#define SIM_VFS_H

void vfs_begin(void);  /* from now on */
void vfs_reseed(void); /* SQLite's chance starts again from the world's */

#endif
