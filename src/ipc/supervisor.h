/* SPDX-License-Identifier: ISC */
/*
 * ipc/supervisor.h -- supervisor <-> every role: configuration, descriptors, status.
 *
 * A generation of the configuration is handed over as its text, then the files and listeners this
 * role may have, then COMMIT; the role answers READY or FAILED and, on FAILED, keeps the old one.
 * The supervisor opens files and passes descriptors: it never reads a key, and a confined role
 * needs no path.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_SUPERVISOR_H
#define IPC_SUPERVISOR_H

#include "ipc/codec.h"

/* LINK says which arrow a passed descriptor is, from the receiver's view. */
enum ipc_arrow {
	ARROW_FRONT_SPOOL,
	ARROW_FRONT_KEEPER,
	ARROW_FRONT_SIGN,      /* channel_ask: front asks, keeper answers */
	ARROW_FRONT_RESOLVER,
	ARROW_SPOOL_COURIER,
	ARROW_SPOOL_PORTER,
	ARROW_COURIER_KEEPER,
	ARROW_COURIER_SIGN,
	ARROW_COURIER_RESOLVER,
	ARROW_RESOLVER_SPOOL,
	ARROW_SPOOL_KEEPER,
	IPC_ARROW_COUNT
};

/* CONFIG_TEXT: one per file of the configuration, the main file first; in order.
 * FILE: `path` is written as the configuration writes it; the fd is open for reading.
 * LISTENER: `listener` is the index in conf->listeners, `on` the index of its endpoint.
 * CONTROL: the operator's listener; `owner` is the user who may command us, beside root and the spool's own.
 * LINK: `instance` numbers the fronts (0 for roles that exist once).
 * SETTLED: to the keeper: every role has taken this generation, so nobody needs what only older ones had.
 * CROWD: the page on which the front `instance` counts its clients (policy/crowd.h), to write if own is 1, else to read. */
#define SUPERVISOR_TO_ROLE(MSG, U, I, S)                                     \
	MSG(TO_ROLE_CONFIG_TEXT, to_role_config_text, U(generation) S(name) S(text)) \
	MSG(TO_ROLE_FILE, to_role_file, U(generation) S(path))               \
	MSG(TO_ROLE_LISTENER, to_role_listener, U(generation) U(listener) U(on)) \
	MSG(TO_ROLE_CONTROL, to_role_control, U(generation) U(owner))        \
	MSG(TO_ROLE_COMMIT, to_role_commit, U(generation))                   \
	MSG(TO_ROLE_LINK, to_role_link, U(arrow) U(instance))                \
	MSG(TO_ROLE_UNIX, to_role_unix, U(request) S(error))                 \
	MSG(TO_ROLE_ASK_STATUS, to_role_ask_status, U(request))              \
	MSG(TO_ROLE_RELOADED, to_role_reloaded, U(request) U(ok) S(errors))  \
	MSG(TO_ROLE_STATUS, to_role_status, U(request) S(json))              \
	MSG(TO_ROLE_DRAIN, to_role_drain, U(grace_ms))                       \
	MSG(TO_ROLE_USER, to_role_user, U(request) S(name))                    \
	MSG(TO_ROLE_CROWD, to_role_crowd, U(instance) U(own) U(seed))           \
	MSG(TO_ROLE_SETTLED, to_role_settled, U(generation))

/* UNIX_CONNECT: please connect to a Unix socket named by the configuration (LMTP next hops).
 * STATUS: this role's share of `sealpost status`, a JSON object; RELOAD and ASK_STATUS come from the
 * spool, which serves the control socket. DRAINED: nothing is in hand any more.
 * LINK_BROKE: this link is closed; where the neighbour lives all the same, a new LINK comes to both. instance: the
 * neighbour's, if it is a front. links: how many of this arrow and instance have come so far, so that a report of an older
 * one is recognised.
 * STALE: a folder of this role is another one than when it was confined, or a front cannot use a CROWD; only a new process can.
 * WORKING: this role is still busy with the generation that was offered, and gets on with it.
 * ASK_USER: what is this account's name? A front may not look itself. The answer is USER, its name empty if there is none. */
#define ROLE_TO_SUPERVISOR(MSG, U, I, S)                                     \
	MSG(FROM_ROLE_READY, from_role_ready, U(generation))                 \
	MSG(FROM_ROLE_FAILED, from_role_failed, U(generation) S(text))       \
	MSG(FROM_ROLE_UNIX_CONNECT, from_role_unix_connect, U(request) S(path)) \
	MSG(FROM_ROLE_STATUS, from_role_status, U(request) S(json))          \
	MSG(FROM_ROLE_RELOAD, from_role_reload, U(request))                  \
	MSG(FROM_ROLE_ASK_STATUS, from_role_ask_status, U(request))          \
	MSG(FROM_ROLE_DRAINED, from_role_drained, U(unused))                 \
	MSG(FROM_ROLE_LINK_BROKE, from_role_link_broke, U(arrow) U(instance) U(links)) \
	MSG(FROM_ROLE_STALE, from_role_stale, U(unused))                     \
	MSG(FROM_ROLE_ASK_USER, from_role_ask_user, U(request) U(uid))       \
	MSG(FROM_ROLE_WORKING, from_role_working, U(unused))

IPC_DECLARE(SUPERVISOR_TO_ROLE, supervisor_to_role)
IPC_DECLARE(ROLE_TO_SUPERVISOR, role_to_supervisor)

#endif
