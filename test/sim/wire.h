/* SPDX-License-Identifier: ISC */
/* test/sim/wire.h -- lines over a stream, with or without TLS: what the scripted clients and servers speak through. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "base/buf.h"
#include "sys/loop.h"
#include "tls/tls.h"

struct wire;

/* notify comes whenever there is something new: bytes, the end, TLS. The owner may close the wire inside it. */
struct wire *wire_new(struct loop *loop, int fd, void (*notify)(void *owner), void *owner);
void wire_close(struct wire **w);
void wire_tls(struct wire *w, struct tls *tls);       /* from here on; takes tls over */
bool wire_secure(const struct wire *w);                /* the handshake is done */
bool wire_gone(const struct wire *w);                  /* the other end is, or TLS is broken */
void wire_say(struct wire *w, struct str bytes);
bool wire_line(struct wire *w, struct str *line_out);  /* without CRLF; lives until the next call */
bool wire_take(struct wire *w, size_t n, struct str *bytes_out); /* exactly n bytes */
size_t wire_unsent(const struct wire *w);

#endif
