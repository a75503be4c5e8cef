/* SPDX-License-Identifier: ISC */
/*
 * ipc/codec.h -- one schema per arrow between processes; structs, encoder and decoder from one list.
 *
 * An arrow's header lists its messages:
 *
 *     #define FRONT_TO_SPOOL(MSG, U, I, S) \
 *         MSG(FRONT_BEGIN, front_begin, U(txn) S(sender)) \
 *         MSG(FRONT_ABORT, front_abort, U(txn))
 *     IPC_DECLARE(FRONT_TO_SPOOL, front_to_spool)
 *
 * which gives the enum { FRONT_BEGIN, ... }, `struct front_begin { uint64_t txn; struct str sender; }`
 * and `extern const struct ipc_schema front_to_spool`, defined in ipc/arrows.c.
 *
 * U is a uint64_t, I an int64_t, S a byte string; every field is a multiple of 8 bytes wide, so the
 * shape ("us") alone tells a decoder where each field lies. On the wire numbers are 8 bytes, a
 * string is a 32-bit length and its bytes, all little-endian.
 *
 * Errors   ipc_get: F_SYNTAX for an unknown kind, a string past the end, or a single byte too many.
 * Owns     Decoded strings point into the frame.
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_CODEC_H
#define IPC_CODEC_H

#include "base/buf.h"
#include "base/fault.h"

struct ipc_message { const char *name, *shape, *fields; size_t size; };
struct ipc_schema { const char *arrow; size_t n; const struct ipc_message *messages; };

enum { IPC_MESSAGE_SIZE_MAX = 512 }; /* the largest message struct, in bytes */

#define IPC_KIND(kind, tag, fields) kind,
#define IPC_STRUCT(kind, tag, fields) struct tag { fields };
#define IPC_ROW(kind, tag, fields_) \
	_Static_assert(sizeof(struct tag) <= IPC_MESSAGE_SIZE_MAX, "message too large");
#define IPC_U_DECL(name) uint64_t name;
#define IPC_I_DECL(name) int64_t name;
#define IPC_S_DECL(name) struct str name;
#define IPC_NONE(name)

#define IPC_DECLARE(LIST, arrow)                                          \
	enum { LIST(IPC_KIND, IPC_NONE, IPC_NONE, IPC_NONE) arrow##_kinds };  \
	LIST(IPC_STRUCT, IPC_U_DECL, IPC_I_DECL, IPC_S_DECL)              \
	LIST(IPC_ROW, IPC_NONE, IPC_NONE, IPC_NONE)                       \
	extern const struct ipc_schema arrow;

/* Payload only; the frame's length and kind are the channel's. F_LIMIT leaves out unchanged. */
MUST_USE fault ipc_put(struct buf *out, const struct ipc_schema *schema, unsigned kind,
                       const void *msg);
/* msg_out must have room for IPC_MESSAGE_SIZE_MAX bytes, aligned for a pointer. */
MUST_USE fault ipc_get(const struct ipc_schema *schema, unsigned kind, struct str payload,
                       void *msg_out);

#endif
