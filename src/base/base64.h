/* SPDX-License-Identifier: ISC */
/*
 * base/base64.h -- base64 and hexadecimal as SMTP uses them (RFC 4648 4 and 8).
 *
 * Strict: no white space, padding required, the unused bits zero, nothing after the padding.
 *
 * Tests    test/unit/base/base64_test.c, fuzz/base64.c
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

MUST_USE fault base64_put(struct buf *out, struct str bytes);
MUST_USE fault base64_get(struct buf *out, struct str text); /* F_SYNTAX, F_LIMIT: out unchanged */

MUST_USE fault hex_put(struct buf *out, struct str bytes);    /* lower case */
int            hex_digit(unsigned char c);                    /* -1 if it is none */

#endif
