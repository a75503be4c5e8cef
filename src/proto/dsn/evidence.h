/* SPDX-License-Identifier: ISC */
/*
 * proto/dsn/evidence.h -- what a notice says of how a letter was protected: its parts, without their look.
 *
 * Foreign text is in what they put, as it came: the caller filters it.
 *
 * Errors   F_LIMIT when out has no room.
 * Tests    test/unit/proto/dsn_test.c, fuzz/dsn.c
 */
#ifndef PROTO_DSN_EVIDENCE_H
#define PROTO_DSN_EVIDENCE_H

#include "proto/dsn/dsn.h"

/* For programs: "DANE; TLSv1.3; X25519MLKEM768"; nothing if the level is unknown. */
MUST_USE fault dsn_put_receipt(struct buf *out, const struct dsn_rcpt *r);
/* The same as a sentence. */
MUST_USE fault dsn_put_proof(struct buf *out, const struct dsn_rcpt *r);
/* Why it could not go: the rules that decided and what was wrong with the connection, a sentence a line. */
MUST_USE fault dsn_put_evidence(struct buf *out, const struct dsn_rcpt *r);

#endif
