/* SPDX-License-Identifier: ISC */
#include "mail/json.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "mail/trace.h"

json_t *text_as_json(struct str s)
{
	if (str_is_utf8(s))
		return json_stringn(s.p != NULL ? s.p : "", s.n);
	char *clean = must_alloc(s.n + 1);
	for (size_t i = 0; i < s.n; i++)
		clean[i] = (unsigned char)s.p[i] > 126 ? '?' : s.p[i];
	json_t *j = json_stringn(clean, s.n);
	free(clean);
	return j;
}

json_t *date_as_json(int64_t wall_s)
{
	struct buf b;
	buf_init(&b, 64);
	check(date_put_rfc3339(&b, wall_s) == OK);
	json_t *j = text_as_json(buf_view(&b));
	buf_fini(&b);
	return j;
}

struct str text_in_json(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) } : STR_NONE;
}

long long number_in_json(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}
