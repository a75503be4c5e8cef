/* SPDX-License-Identifier: ISC */
#include "ipc/codec.h"

#include <string.h>

#include "base/little.h"

static size_t payload_size(const char *shape, const char *at)
{
	size_t n = 0;
	for (; *shape != '\0'; shape++) {
		struct str s;
		if (*shape != 's') {
			n += 8;
			at += 8;
			continue;
		}
		memcpy(&s, at, sizeof s);
		n += 4 + s.n;
		at += sizeof s;
	}
	return n;
}

fault ipc_put(struct buf *out, const struct ipc_schema *schema, unsigned kind, const void *msg)
{
	if (kind >= schema->n)
		return F_STATE;
	const struct ipc_message *m = &schema->messages[kind];
	const char *at = msg;
	size_t n = payload_size(m->shape, at);
	char *to = buf_reserve(out, n);
	if (to == NULL)
		return F_LIMIT;

	for (const char *shape = m->shape; *shape != '\0'; shape++) {
		if (*shape == 's') {
			struct str s;
			memcpy(&s, at, sizeof s);
			put_little(to, s.n, 4);
			if (s.n > 0)
				memcpy(to + 4, s.p, s.n);
			to += 4 + s.n;
			at += sizeof s;
		} else {
			uint64_t v;
			memcpy(&v, at, sizeof v);
			put_little(to, v, 8);
			to += 8;
			at += 8;
		}
	}
	buf_filled(out, n);
	return OK;
}

fault ipc_get(const struct ipc_schema *schema, unsigned kind, struct str payload, void *msg_out)
{
	if (kind >= schema->n)
		return F_SYNTAX;
	const struct ipc_message *m = &schema->messages[kind];
	char *at = msg_out;
	for (const char *shape = m->shape; *shape != '\0'; shape++) {
		size_t head = *shape == 's' ? 4 : 8;
		if (payload.n < head)
			return F_SYNTAX;
		uint64_t v = get_little(payload.p, head);
		payload = str_from(payload, head);
		if (*shape != 's') {
			memcpy(at, &v, sizeof v);
			at += 8;
			continue;
		}
		if (v > payload.n)
			return F_SYNTAX;
		struct str s = str_sub(payload, 0, (size_t)v);
		memcpy(at, &s, sizeof s);
		at += sizeof s;
		payload = str_from(payload, (size_t)v);
	}
	return payload.n == 0 ? OK : F_SYNTAX;
}
