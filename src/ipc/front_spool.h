/* SPDX-License-Identifier: ISC */
/*
 * ipc/front_spool.h -- front <-> spool: a letter comes in, and is ours once STORED.
 *
 * BEGIN and the recipients are sent when the client says DATA or BDAT; BEGUN names the queue id (it
 * goes into the Received line) or REFUSED says no. Content follows in CHUNKs, never more than
 * FRONT_CREDIT_BYTES ahead of TAKEN. FINISH asks for durability: STORED or REFUSED is the last word.
 * `txn` is chosen by the front and unique within the channel.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_FRONT_SPOOL_H
#define IPC_FRONT_SPOOL_H

#include "ipc/codec.h"

enum { FRONT_CREDIT_BYTES = 256 << 10, FRONT_CHUNK_BYTES = 64 << 10 };

/* BEGIN: sender and addresses in canonical text; body, ret as in mail/envelope.h; client is the
 * peer's address ("192.0.2.1" or "2001:db8::1", "" for local), helo and user as given; with is the RFC 3848
 * word; tls a short text for people ("TLSv1.3 TLS_AES_256_GCM_SHA384 x25519") or "".
 * RCPT: address is where it goes now, original what the client said; notify bits of enum dsn_notify. With NOTIFY_EXPANDED nothing
 * goes there: it has been expanded to several others, which are recipients of their own.
 * FINISH: body as it turned out to be: 8BIT where 7BIT was promised and 8-bit bytes came; tls_tag of enum tls_tag, by MAIL or,
 * without a word there, by the header.
 * VERIFY asks the next hop whether it would take this address; VERIFIED answers with its reply. */
#define FRONT_TO_SPOOL(MSG, U, I, S)                                                          \
	MSG(FRONT_BEGIN, front_begin, U(txn) S(sender) U(size_bytes) U(body) U(smtputf8) U(ret) \
	    S(envid) S(client) S(helo) S(user) S(with) S(tls))                                \
	MSG(FRONT_RCPT, front_rcpt, U(txn) S(address) S(original) U(notify) S(orcpt))         \
	MSG(FRONT_CHUNK, front_chunk, U(txn) S(bytes))                                        \
	MSG(FRONT_FINISH, front_finish, U(txn) U(size_bytes) U(body) U(tls_tag))              \
	MSG(FRONT_ABORT, front_abort, U(txn))                                                 \
	MSG(FRONT_VERIFY, front_verify, U(request) S(address) S(sender))

/* REFUSED: code 4yz or 5yz, status "4.3.1", text one line. TAKEN: bytes of content taken over.
 * SHORTAGE: refuse new mail with this text (452 4.3.1) until it comes again with an empty one. */
#define SPOOL_TO_FRONT(MSG, U, I, S)                                             \
	MSG(SPOOL_BEGUN, spool_begun, U(txn) S(id))                              \
	MSG(SPOOL_TAKEN, spool_taken, U(txn) U(bytes))                           \
	MSG(SPOOL_STORED, spool_stored, U(txn) S(id))                            \
	MSG(SPOOL_REFUSED, spool_refused, U(txn) U(code) S(status) S(text))      \
	MSG(SPOOL_VERIFIED, spool_verified, U(request) U(code) S(status) S(text)) \
	MSG(SPOOL_SHORTAGE, spool_shortage, S(text))

IPC_DECLARE(FRONT_TO_SPOOL, front_to_spool)
IPC_DECLARE(SPOOL_TO_FRONT, spool_to_front)

#endif
