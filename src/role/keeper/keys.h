/* SPDX-License-Identifier: ISC */
/*
 * role/keeper/keys.h -- the private keys, and the only two things that are ever signed with them.
 *
 * What is to be signed arrives whole and must be a TLS 1.3 CertificateVerify or the key exchange of TLS 1.2: whoever
 * owns a front can make handshakes with its help, but no other signature.
 *
 * Source   RFC 8446 4.4.3; RFC 8422 5.4 (ServerKeyExchange), RFC 5246 7.4.3.
 * Errors   F_ABSENT: no such key; F_DENIED: not a shape that may be signed, with this key; F_TLS.
 * Tests    test/unit/role/keeper/parts_test.c
 */
#ifndef ROLE_KEEPER_KEYS_H
#define ROLE_KEEPER_KEYS_H

#include "base/buf.h"
#include "base/fault.h"
#include "ipc/sign.h"

enum { KEYS_FORMER_MAX = 64 };
enum sign_side { SIGN_AS_SERVER, SIGN_AS_CLIENT };

struct keys;

struct keys *keys_new(void);
void keys_free(struct keys **k);
size_t keys_count(const struct keys *k);   /* without the former ones */

/* The keys of an older configuration go on signing beside ours, for fronts that still show their certificates, at most
 * KEYS_FORMER_MAX of them; until they are forgotten. */
void keys_keep_former(struct keys *k, const struct keys *older);
void keys_forget_former(struct keys *k);

/* The key of this chain's leaf. F_SYNTAX, F_DENIED (they are not a pair), with the reason. */
MUST_USE fault keys_add(struct keys *k, struct str chain_pem, struct str key_pem, struct why *why);
MUST_USE fault keys_sign(struct keys *k, enum sign_side side, const struct sign_request *q, struct buf *signature_out, struct why *why);

/* Is this something that this side of a handshake signs? Pure. */
bool keys_may_sign(enum sign_side side, struct str message, bool *tls12_out);

#endif
