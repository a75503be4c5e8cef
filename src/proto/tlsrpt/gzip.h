/* SPDX-License-Identifier: ISC */
/*
 * proto/tlsrpt/gzip.h -- small texts, packed and unpacked. Pure.
 *
 * Source   RFC 1952, by zlib: of one member when written, of any number when read.
 * Limits   The buffers' ceilings: what unpacks to more, all members together, is refused as soon as it does.
 * Errors   F_LIMIT; F_SYNTAX: this is no gzip, or a part of it, or something else follows it. The buffer is unchanged.
 * Tests    test/unit/proto/tlsrpt_test.c, fuzz/tlsrpt.c
 */
#ifndef PROTO_TLSRPT_GZIP_H
#define PROTO_TLSRPT_GZIP_H

#include "base/buf.h"

bool           gzip_looks_like(struct str bytes);
MUST_USE fault gzip_put(struct buf *out, struct str bytes);
MUST_USE fault gzip_get(struct buf *out, struct str packed);

#endif
