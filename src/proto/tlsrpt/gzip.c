/* SPDX-License-Identifier: ISC */
#define ZLIB_CONST
#include "proto/tlsrpt/gzip.h"

#include <zlib.h>

#include "base/check.h"

enum { WINDOW_BITS = 15, GZIP_FRAME = 16, CHUNK = 16 << 10, MEMORY_LEVEL = 8 };

bool gzip_looks_like(struct str bytes)
{
	return str_starts(bytes, STR("\x1f\x8b"));
}

/* The next piece of room, up to what the buffer may still take. */
static bool give_room(struct buf *out, z_stream *z)
{
	size_t room = buf_room(out) < CHUNK ? buf_room(out) : CHUNK;
	char *to = room > 0 ? buf_reserve(out, room) : NULL;
	z->next_out = (unsigned char *)to;
	z->avail_out = to != NULL ? (unsigned)room : 0;
	return to != NULL;
}

static fault run(struct buf *out, z_stream *z, int (*step)(z_stream *z, int flush), int flush)
{
	for (;;) {
		if (!give_room(out, z))
			return F_LIMIT;
		unsigned before = z->avail_out;
		int result = step(z, flush);
		buf_filled(out, before - z->avail_out);
		if (result == Z_STREAM_END)
			return OK;
		if (result != Z_OK || before == z->avail_out)
			return F_SYNTAX;
	}
}

static fault finish(struct buf *out, size_t before, fault f)
{
	if (f != OK)
		buf_cut(out, before);
	return f;
}

fault gzip_put(struct buf *out, struct str bytes)
{
	size_t before = buf_view(out).n;
	z_stream z = { .next_in = (const unsigned char *)bytes.p, .avail_in = (unsigned)bytes.n };
	if (bytes.n > UINT32_MAX)
		return F_LIMIT;
	check(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS + GZIP_FRAME, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK);
	fault f = run(out, &z, deflate, Z_FINISH);
	deflateEnd(&z);
	return finish(out, before, f);
}

/* RFC 1952 2.2: one member or several, one behind the other, and nothing else. */
static fault unpack(struct buf *out, z_stream *z)
{
	TRY(run(out, z, inflate, Z_NO_FLUSH));
	while (z->avail_in > 0) {
		if (!gzip_looks_like((struct str){ (const char *)z->next_in, z->avail_in }))
			return F_SYNTAX;
		check(inflateReset(z) == Z_OK);
		TRY(run(out, z, inflate, Z_NO_FLUSH));
	}
	return OK;
}

fault gzip_get(struct buf *out, struct str packed)
{
	size_t before = buf_view(out).n;
	z_stream z = { .next_in = (const unsigned char *)packed.p, .avail_in = (unsigned)packed.n };
	if (packed.n > UINT32_MAX)
		return F_LIMIT;
	check(inflateInit2(&z, WINDOW_BITS + GZIP_FRAME) == Z_OK);
	fault f = unpack(out, &z);
	inflateEnd(&z);
	return finish(out, before, f);
}
