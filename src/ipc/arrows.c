/* SPDX-License-Identifier: ISC */
/* ipc/arrows.c -- the schema tables of every arrow, expanded once. */
#include "ipc/arrows.h"

#include "ipc/control.h"
#include "ipc/courier_keeper.h"
#include "ipc/front_keeper.h"
#include "ipc/front_spool.h"
#include "ipc/resolver.h"
#include "ipc/sign.h"
#include "ipc/spool_delivery.h"
#include "ipc/spool_keeper.h"
#include "ipc/supervisor.h"

#include "base/check.h"

#define U_SHAPE(name) "u"
#define I_SHAPE(name) "i"
#define S_SHAPE(name) "s"
#define FIELD(name) #name " "

/* A macro cannot take another list of macros twice, so shapes and names are two passes. */
#define SHAPE_ROW(kind, tag, fields) static const char tag##_shape[] = "" fields;
#define NAMES_ROW(kind, tag, fields) static const char tag##_fields[] = "" fields;
#define TABLE_ROW(kind, tag, fields) { #tag, tag##_shape, tag##_fields, sizeof(struct tag) },

#define DEFINE(LIST, arrow_)                                                           \
	LIST(SHAPE_ROW, U_SHAPE, I_SHAPE, S_SHAPE)                                     \
	LIST(NAMES_ROW, FIELD, FIELD, FIELD)                                           \
	static const struct ipc_message arrow_##_messages[] = {                        \
		LIST(TABLE_ROW, IPC_NONE, IPC_NONE, IPC_NONE)                          \
	};                                                                             \
	const struct ipc_schema arrow_ = { #arrow_, COUNT(arrow_##_messages), arrow_##_messages };

DEFINE(SUPERVISOR_TO_ROLE, supervisor_to_role)
DEFINE(ROLE_TO_SUPERVISOR, role_to_supervisor)
DEFINE(FRONT_TO_SPOOL, front_to_spool)
DEFINE(SPOOL_TO_FRONT, spool_to_front)
DEFINE(FRONT_TO_KEEPER, front_to_keeper)
DEFINE(KEEPER_TO_FRONT, keeper_to_front)
DEFINE(TO_SIGNER, to_signer)
DEFINE(FROM_SIGNER, from_signer)
DEFINE(SPOOL_TO_WORKER, spool_to_worker)
DEFINE(WORKER_TO_SPOOL, worker_to_spool)
DEFINE(COURIER_TO_KEEPER, courier_to_keeper)
DEFINE(KEEPER_TO_COURIER, keeper_to_courier)
DEFINE(TO_RESOLVER, to_resolver)
DEFINE(FROM_RESOLVER, from_resolver)
DEFINE(RESOLVER_TO_SPOOL, resolver_to_spool)
DEFINE(SPOOL_TO_RESOLVER, spool_to_resolver)
DEFINE(SPOOL_TO_KEEPER, spool_to_keeper)
DEFINE(KEEPER_TO_SPOOL, keeper_to_spool)
DEFINE(TO_CONTROL, to_control)
DEFINE(FROM_CONTROL, from_control)

const struct ipc_schema *const ipc_arrows[IPC_ARROWS] = {
	&supervisor_to_role, &role_to_supervisor, &front_to_spool, &spool_to_front, &front_to_keeper,
	&keeper_to_front, &to_signer, &from_signer, &spool_to_worker, &worker_to_spool, &courier_to_keeper,
	&keeper_to_courier, &to_resolver, &from_resolver, &resolver_to_spool, &spool_to_resolver, &to_control,
	&from_control, &spool_to_keeper, &keeper_to_spool,
};
