/* SPDX-License-Identifier: ISC */
/* Servers with chains of all kinds, TLSA records that match them or do not, and clients that hold the one to the other. */
#ifndef UNIT_TLS_PROVEN_H
#define UNIT_TLS_PROVEN_H

#include "raw.h"
#include "tls/home.h"
#include "tls/tls.h"

enum { DATA_MAX = 4096, PEM_MAX = 1 << 20 };

/* nobody: no anchor of ours plays a part for this client. For a group of tests. */
struct place { struct home home; struct tls_client *nobody, *trusting; };

int proven_setup(void **state);
int proven_teardown(void **state);

/* ---- what a server shows ---- */

enum leaf { RIGHT, OTHER_NAME, DOMAIN_NAME, EXPIRED, TOO_EARLY, SELF_SIGNED, SELF_EXPIRED, COMMON_NAME, COMMON_BESIDE, WILD, WILD_DEEP,
            WILD_PART, NO_NAMES, BY_MIDDLE, LEAVES };

extern const struct home_certificate leaves[LEAVES];

enum sends { ALONE, CA, MIDDLE, BOTH };  /* with the leaf */

struct set { struct buf chain, other; struct tls_server *server; };

void set_make(struct place *p, const struct home_certificate *leaf, unsigned sends, struct set *out);
void set_drop(struct place *p, struct set *s);
void raw_server(struct raw *r, struct place *p, struct set *set); /* the same of OpenSSL itself, to be as old and odd as we need */

/* ---- its TLSA records ---- */

struct made { unsigned char bytes[DATA_MAX]; };
struct dane_record record_of(struct str pem, unsigned usage, unsigned selector, unsigned matching, struct made *to);

/* "3 1 1 leaf, 2 0 1 ca, 2 0 1 middle, 3 1 1 other": other is somebody else's certificate. */
struct records { struct dane_record list[8]; struct made made[8]; size_t n; };
void set_records(struct place *p, const struct set *s, const char *words, struct records *out);

extern const struct tls_wish dane_wish;

#endif
