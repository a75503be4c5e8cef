/* SPDX-License-Identifier: ISC */
/*
 * ipc/courier_keeper.h -- courier <-> keeper: log in to a relay without having its credentials.
 *
 * START names the relay and what the server offers; the keeper chooses the mechanism and runs the
 * client's side. Steps are decoded bytes.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_COURIER_KEEPER_H
#define IPC_COURIER_KEEPER_H

#include "ipc/codec.h"

#define COURIER_TO_KEEPER(MSG, U, I, S)                                                      \
	MSG(COURIER_LOGIN_START, courier_login_start, U(session) S(relay) S(mechanisms) S(channel_binding)) \
	MSG(COURIER_LOGIN_STEP, courier_login_step, U(session) S(challenge))                 \
	MSG(COURIER_LOGIN_END, courier_login_end, U(session))

/* FIRST: send AUTH mechanism [initial]. STEP: send response. FAILED: give up, text says why. */
#define KEEPER_TO_COURIER(MSG, U, I, S)                                                      \
	MSG(KEEPER_LOGIN_FIRST, keeper_login_first, U(session) S(mechanism) U(has_initial) S(initial)) \
	MSG(KEEPER_LOGIN_STEP, keeper_login_step, U(session) S(response))                    \
	MSG(KEEPER_LOGIN_FAILED, keeper_login_failed, U(session) S(text))

IPC_DECLARE(COURIER_TO_KEEPER, courier_to_keeper)
IPC_DECLARE(KEEPER_TO_COURIER, keeper_to_courier)

#endif
