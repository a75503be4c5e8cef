/* SPDX-License-Identifier: ISC */
/*
 * mail/header.h -- reads a header block field by field, and finds the addresses in one.
 *
 * Strict about line ends (CRLF only), tolerant about what people write inside fields. Linear in the
 * input; comments nest to a ceiling.
 *
 * Source   RFC 5322 2.2, 3.4, 3.6; RFC 6532 (UTF-8); RFC 6409 8 (what submission may add).
 * Limits   HEADER_BYTES_MAX for a block and HEADER_FIELDS_MAX fields are the caller's to hold; comment depth 16.
 * Errors   F_SYNTAX, F_LIMIT (an address too long, an arena full); *n_out is untouched then.
 * Owns     Fields point into the block, addresses into the arena.
 * Tests    test/unit/mail/header_test.c, fuzz/header.c
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "mail/address.h"

enum { HEADER_BYTES_MAX = 128 << 10, HEADER_FIELDS_MAX = 2000 };

struct header_field {
	struct str name;   /* without the colon */
	struct str value;  /* as it stands, folding included, without the last CRLF */
	struct str whole;  /* name to last CRLF */
};

/* The next field at the front of *rest, which is consumed. F_ABSENT at the end of the block (an empty
 * line, consumed, or nothing left); F_SYNTAX where a line is no field: *rest stays before it. */
MUST_USE fault header_take(struct str *rest, struct header_field *out);

/* The length of the header block at the front of bytes, its empty line included; false if the end
 * has not come yet. A block that starts with CRLF is empty and has length 2. */
bool header_end(struct str bytes, size_t *length_out);

/* The mailboxes of a From, Sender, To value: groups, display names, comments and folding understood. At most
 * max are stored; *n_out counts all. A bare name ("root") has an empty domain. F_SYNTAX: not an address list;
 * so is a display name with an unquoted @, unless it says the same as the address after it, and a route. */
MUST_USE fault header_addresses(struct str value, struct arena *a, struct address *out, size_t max,
                                size_t *n_out);

#endif
