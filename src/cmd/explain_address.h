/* SPDX-License-Identifier: ISC */
/*
 * cmd/explain_address.h -- `sealpost explain ADDRESS`: what the running server would do now with a letter to it, without sending one.
 *
 * Tests    test/scenario/explain_test.py
 */
#ifndef CMD_EXPLAIN_ADDRESS_H
#define CMD_EXPLAIN_ADDRESS_H

/* argv[1] or a later word is an address. Returns the exit status. */
int explain_address(int argc, char **argv);

#endif
