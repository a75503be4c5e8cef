/* SPDX-License-Identifier: ISC */
/*
 * ipc/spool_keeper.h -- spool <-> keeper: where does mail for this address of ours go?
 *
 * Asked for the recipients of notices: a sender of ours may be an alias, or carry a tag. What comes in over a front
 * was asked there. Every ASK_TARGETS gets its TARGETs, then one TARGETS_END, whose verdict is ipc/front_keeper.h's.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_SPOOL_KEEPER_H
#define IPC_SPOOL_KEEPER_H

#include "ipc/codec.h"

#define SPOOL_TO_KEEPER(MSG, U, I, S) \
	MSG(SPOOL_ASK_TARGETS, spool_ask_targets, U(request) S(address))
#define KEEPER_TO_SPOOL(MSG, U, I, S)                                        \
	MSG(KEEPER_TARGET, keeper_target, U(request) S(address))             \
	MSG(KEEPER_TARGETS_END, keeper_targets_end, U(request) U(verdict))

IPC_DECLARE(SPOOL_TO_KEEPER, spool_to_keeper)
IPC_DECLARE(KEEPER_TO_SPOOL, keeper_to_spool)

#endif
