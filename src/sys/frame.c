/* SPDX-License-Identifier: ISC */
#include "sys/frame.h"

#include "base/little.h"
#include "sys/channel.h"

#define HAS_FD 0x8000u

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
	head = out->base + out->head + before; /* the buffer may have moved */
	put_little(head, n, 4);
	put_little(head + 4, has_fd ? kind | HAS_FD : kind, 2);
	return OK;
}

fault frame_take(struct str bytes, const struct ipc_schema *schema, struct frame *out, size_t *size_out)
{
	if (bytes.n < FRAME_HEAD)
		return F_BUSY;
	size_t n = (size_t)get_little(bytes.p, 4);
	unsigned kind = (unsigned)get_little(bytes.p + 4, 2);
	*out = (struct frame){ kind & ~HAS_FD, (kind & HAS_FD) != 0, STR_NONE };
	if (n > CHANNEL_FRAME_MAX || out->kind >= schema->n)
		return F_SYNTAX;
	if (bytes.n - FRAME_HEAD < n)
		return F_BUSY;
	out->payload = str_sub(bytes, FRAME_HEAD, n);
	*size_out = FRAME_HEAD + n;
	return OK;
}
