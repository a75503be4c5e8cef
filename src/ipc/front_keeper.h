/* SPDX-License-Identifier: ISC */
/*
 * ipc/front_keeper.h -- front <-> keeper: who is this, is this a recipient, may they send as this?
 *
 * The keeper runs the SASL exchange; the front carries the decoded steps. Every request gets one
 * answer (RCPT: its TARGETs first). Numbers are chosen by the front.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_FRONT_KEEPER_H
#define IPC_FRONT_KEEPER_H

#include "ipc/codec.h"

/* AUTH_START: listener is the index in conf->listeners (its users tables decide); channel_binding the 32
 * tls-exporter bytes, always given under TLS 1.3 or TLS 1.2 with extended master secret, else empty.
 * has_initial tells an empty initial response from none.
 * ASK_SENDER: may user send as this address? asked for MAIL, header From and Sender. */
#define FRONT_TO_KEEPER(MSG, U, I, S)                                                          \
	MSG(FRONT_AUTH_START, front_auth_start, U(session) U(listener) S(mechanism)            \
	    U(has_initial) S(initial) S(channel_binding) S(client))                            \
	MSG(FRONT_AUTH_STEP, front_auth_step, U(session) S(response))                          \
	MSG(FRONT_AUTH_CANCEL, front_auth_cancel, U(session))                                  \
	MSG(FRONT_ASK_RCPT, front_ask_rcpt, U(request) S(address))                             \
	MSG(FRONT_ASK_SENDER, front_ask_sender, U(request) U(listener) S(user) S(address))

enum rcpt_verdict {
	RCPT_LOCAL,    /* ours: the TARGETs are where it goes */
	RCPT_VERIFY,   /* ours, but the next hop knows its recipients: ask it through the spool */
	RCPT_UNKNOWN,  /* our domain, no such recipient */
	RCPT_REMOTE,   /* not our domain: relaying, if this client may */
	RCPT_FAILED,   /* could not be looked up now (4yz) */
};

/* AUTH_MORE: a challenge to send, and so is the last word of a mechanism that has one: it is answered by an empty
 * line. AUTH_DONE: user is the canonical name. AUTH_FAILED: delay_ms is to be waited before the reply; code 535,
 * 501, 454 ...
 * TICKET_SEEDS: unasked, when the link is new and whenever they change: for the session tickets that all fronts share
 * (tls/tls.h). past is empty, or the one before the present one, whose tickets are still good.
 * RULES: unasked, when it has another configuration, be it an older one again because somebody has refused the newer: what it
 * has allowed before is to be asked anew. */
#define KEEPER_TO_FRONT(MSG, U, I, S)                                                     \
	MSG(KEEPER_AUTH_MORE, keeper_auth_more, U(session) S(challenge))                  \
	MSG(KEEPER_AUTH_DONE, keeper_auth_done, U(session) S(user))                       \
	MSG(KEEPER_AUTH_FAILED, keeper_auth_failed, U(session) U(code) S(status) S(text) U(delay_ms)) \
	MSG(KEEPER_RCPT_TARGET, keeper_rcpt_target, U(request) S(address))                \
	MSG(KEEPER_RCPT, keeper_rcpt, U(request) U(verdict) S(text))                      \
	MSG(KEEPER_SENDER, keeper_sender, U(request) U(allowed))                          \
	MSG(KEEPER_TICKET_SEEDS, keeper_ticket_seeds, S(present) S(past))                 \
	MSG(KEEPER_RULES, keeper_rules, U(number))

IPC_DECLARE(FRONT_TO_KEEPER, front_to_keeper)
IPC_DECLARE(KEEPER_TO_FRONT, keeper_to_front)

#endif
