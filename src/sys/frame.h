/* SPDX-License-Identifier: ISC */
/*
 * sys/frame.h -- how a message lies on a socketpair: 32-bit payload length, 16-bit kind, payload; little-endian.
 *
 * The top bit of the kind says that a descriptor comes with this frame. Pure: used by channels and by channel_ask.
 *
 * Limits   A payload has at most CHANNEL_FRAME_MAX bytes.
 * Errors   frame_put: F_LIMIT (too large), F_STATE (no such kind); out is unchanged. frame_take: F_BUSY (more bytes
 *          needed), F_SYNTAX (not a frame of this arrow).
 * Owns     A taken payload points into the bytes given.
 * Tests    test/unit/sys/channel_test.c, fuzz/ipc.c
 */
#ifndef SYS_FRAME_H
#define SYS_FRAME_H

#include "ipc/codec.h"

enum { FRAME_HEAD = 6 };

struct frame { unsigned kind; bool has_fd; struct str payload; };

MUST_USE fault frame_put(struct buf *out, const struct ipc_schema *schema, unsigned kind, const void *msg, bool has_fd);
/* The first frame of bytes, and its length with the head. */
MUST_USE fault frame_take(struct str bytes, const struct ipc_schema *schema, struct frame *out, size_t *size_out);

#endif
