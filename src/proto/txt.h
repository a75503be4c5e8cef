/* SPDX-License-Identifier: ISC */
/*
 * proto/txt.h -- TXT records of the form "v=NAME; key=value; ...", as policies are announced. Pure.
 *
 * What a key means, and what its value may be, is the caller's; so is what to do with keys that nobody knows.
 *
 * Source   RFC 8461 3.1, RFC 8460 3: sts-ext-name and tlsrpt-ext-name are the same, and so are the delimiters.
 * Limits   TXT_NAME_MAX bytes of a key; a record is as long as its caller lets it be.
 * Errors   txt_next: F_ABSENT behind the last field, F_SYNTAX where a field is none.
 * Owns     Slices point into the record.
 * Tests    test/unit/proto/txt_test.c, fuzz/mtasts.c, fuzz/tlsrpt.c
 */
#ifndef PROTO_TXT_H
#define PROTO_TXT_H

#include "base/fault.h"
#include "base/str.h"

enum { TXT_NAME_MAX = 32 };

struct txt_fields { struct str rest; bool over; };

/* How many of the records begin with this version, as in "v=STSv1", and its delimiter. *out begins behind that of the last one. */
size_t txt_find(const struct str *records, size_t n, struct str version, struct txt_fields *out);

/* The next field. Between two there is one ';', behind the last there may be one. */
MUST_USE fault txt_next(struct txt_fields *fields, struct str *name_out, struct str *value_out);

/* A letter or digit, and then TXT_NAME_MAX - 1 of these and of '_', '-', '.'. */
bool txt_name_is_valid(struct str name);
/* One or more visible characters of ASCII, without '='. */
bool txt_value_is_valid(struct str value);
/* The same, where '=' may be. */
bool txt_is_visible(struct str value);

#endif
