/* SPDX-License-Identifier: ISC */
#include "sys/frame.h"

#include "sys/channel.h"

#define HAS_FD 0x8000u

static uint32_t byte_at(struct str s, size_t i)
{
	return (unsigned char)s.p[i];
}

static void put_head(char *to, size_t n, unsigned kind)
{
	for (size_t i = 0; i < 4; i++)
		to[i] = (char)(n >> (8 * i) & 0xff);
	to[4] = (char)(kind & 0xff);
	to[5] = (char)(kind >> 8 & 0xff);
}

fault frame_put(struct buf *out, const struct ipc_schema *schema, unsigned kind, const void *msg, bool has_fd)
{
	size_t before = buf_view(out).n;
	char *head = buf_reserve(out, FRAME_HEAD);
	if (head == NULL)
		return F_LIMIT;
	buf_filled(out, FRAME_HEAD);
	fault f = ipc_put(out, schema, kind, msg);
	size_t n = buf_view(out).n - before - FRAME_HEAD;
	if (f == OK && n > CHANNEL_FRAME_MAX)
		f = F_LIMIT;
	if (f != OK) {
		buf_cut(out, before);
		return f;
	}
	put_head(out->base + out->head + before, n, has_fd ? kind | HAS_FD : kind);
	return OK;
}

fault frame_take(struct str bytes, const struct ipc_schema *schema, struct frame *out, size_t *size_out)
{
	if (bytes.n < FRAME_HEAD)
		return F_BUSY;
	size_t n = byte_at(bytes, 0) | byte_at(bytes, 1) << 8 | byte_at(bytes, 2) << 16 | byte_at(bytes, 3) << 24;
	unsigned kind = byte_at(bytes, 4) | byte_at(bytes, 5) << 8;
	*out = (struct frame){ kind & ~HAS_FD, (kind & HAS_FD) != 0, STR_NONE };
	if (n > CHANNEL_FRAME_MAX || out->kind >= schema->n)
		return F_SYNTAX;
	if (bytes.n - FRAME_HEAD < n)
		return F_BUSY;
	out->payload = str_sub(bytes, FRAME_HEAD, n);
	*size_out = FRAME_HEAD + n;
	return OK;
}
