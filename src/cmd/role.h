/* SPDX-License-Identifier: ISC */
/*
 * cmd/role.h -- a role's process from its start to its end. The program calls it; so does a test that then tries what the
 * role must not do.
 *
 * Tests    test/scenario/attack_confined_test.py, by way of test/scenario/deeds.c
 */
#ifndef CMD_ROLE_H
#define CMD_ROLE_H

#include <stddef.h>

/* Descriptor 3 is the control channel. once_confined is called before anybody is listened to; NULL in the program. Returns the
 * exit status. */
int role_process(const char *name, const char *const *folders, size_t n_folders, void (*once_confined)(const char *name));

#endif
