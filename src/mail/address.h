/* SPDX-License-Identifier: ISC */
/*
 * mail/address.h -- a mailbox address, and the path that SMTP carries it in.
 *
 * One canonical form: a local part is kept without its quotes and quoted pairs, a domain in lower
 * case. address_text() quotes again where the grammar demands it, so that parse and text are
 * inverse. Comments, folding, source routes and a second unquoted @ are refused. A % or ! is a sign
 * like any other: nothing is ever routed by what stands before the @. Signs that UTS 46 would turn into a dot
 * or an @ are refused.
 *
 * Source   RFC 5321 4.1.2, RFC 6531 3.3 (UTF-8), RFC 5890 (domains).
 * Limits   Local part 64 octets, domain 255, path 256 (RFC 5321 4.5.3.1), label 63.
 * Errors   F_SYNTAX, F_LIMIT (too long); *rest and *out are untouched then.
 * Owns     What out points to lies in the arena.
 * Tests    test/unit/mail/address_test.c, fuzz/address.c
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/arena.h"
#include "base/buf.h"

struct address {
	struct str local;   /* without quotes; empty in the null path */
	struct str domain;  /* lower case, as U-labels or A-labels; empty: null path or bare postmaster */
	bool literal;       /* the domain is an address literal, brackets included */
	bool utf8;          /* holds a byte above 127: needs SMTPUTF8 */
};

/* "local@domain", the whole of text. A bare local part is F_SYNTAX. */
MUST_USE fault address_parse(struct str text, struct arena *a, struct address *out);

/* "<local@domain>" or "<>" at the front of *rest, which is consumed (not the blank after it).
 * "<postmaster>" without a domain, in any case, is accepted (RFC 5321 4.1.1.3). */
MUST_USE fault path_parse(struct str *rest, struct arena *a, struct address *out);

bool address_is_null(const struct address *address);

/* The canonical text, "" for the null path. */
MUST_USE fault address_put(struct buf *out, const struct address *address);
struct str     address_text(const struct address *address, struct arena *a);

/* What is behind the last '@' of such a text, or nothing. It is not looked at any closer. */
struct str     address_domain_of(struct str text);

/* Domains by their A-label form, local parts byte for byte. */
bool address_equal(const struct address *a, const struct address *b);

/* May this local part become part of a file name? No '/', NUL, control byte, leading dot; 1 to 64
 * octets. */
bool local_is_file_safe(struct str local);

/* IDNA 2008, UTS 46 non-transitional; ASCII is lower-cased and checked to be LDH. */
MUST_USE fault domain_to_ascii(struct str domain, struct arena *a, struct str *out);
bool       domain_is_valid(struct str domain); /* ASCII form: LDH labels, no dot at the end */
/* The same, and underscores: mail servers have them in their names (RFC 2181 11), addresses never. */
bool       host_is_valid(struct str host);

#endif
