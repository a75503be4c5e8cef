/* SPDX-License-Identifier: ISC */
/* role/spool/recall.c -- what courier and resolver have learned and had kept, told to an operator a slice at a time. */
#include "role/spool/spool.h"

#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "mail/json.h"
#include "policy/remembered.h"

enum { ROWS_AT_ONCE = 100, KEY_MAX = 600 };

/* What else is kept is the spool's own. */
static const struct str prefixes[] = { STR_INIT(REMEMBERED_POLICY), STR_INIT(REMEMBERED_SEEN), STR_INIT(REMEMBERED_SHAPE) };

struct memories_round {
	struct spool *spool;
	struct channel *to;              /* the caller's */
	struct str wanted;               /* the caller's; empty: all of them */
	size_t prefix;                   /* which is being told */
	struct buf after;                /* the last key that was */
	int64_t now_s;
};

struct memories_round *memories_begin(struct spool *s, struct channel *to, struct str wanted)
{
	struct memories_round *r = NEW(struct memories_round);
	*r = (struct memories_round){ .spool = s, .to = to, .wanted = wanted };
	buf_init(&r->after, KEY_MAX);
	return r;
}

void memories_end(struct memories_round **r)
{
	if (*r == NULL)
		return;
	buf_fini(&(*r)->after);
	free(*r);
	*r = NULL;
}

/* A value is shown as it is kept; what makes no sense of an MTA-STS policy stays with the resolver. */
static void tell(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct memories_round *r = owner;
	buf_clear(&r->after);
	if (buf_add(&r->after, key) != OK || expires_s <= r->now_s)
		return;
	struct str prefix = prefixes[r->prefix];
	json_t *o = json_object();
	json_object_set_new(o, "what", text_as_json(str_sub(prefix, 0, prefix.n - 1)));
	json_object_set_new(o, "name", text_as_json(str_from(key, prefix.n)));
	if (r->prefix > 0)
		json_object_set_new(o, "value", text_as_json(value));
	json_object_set_new(o, "until", date_as_json(expires_s));
	char *line = json_dumps(o, JSON_COMPACT);
	if (line != NULL)
		channel_send(r->to, CONTROL_ROW, &(struct control_row){ .json = str_of(line) });
	free(line);
	json_decref(o);
}

/* True: there is a next one, from its beginning. */
static bool next_prefix(struct memories_round *r)
{
	do
		r->prefix++;
	while (r->prefix < COUNT(prefixes) && r->wanted.n > 0 && !str_eq(r->wanted, prefixes[r->prefix]));
	buf_clear(&r->after);
	return r->prefix < COUNT(prefixes);
}

bool memories_some(struct memories_round *r, int *status_out, struct why *last_words)
{
	struct spool *s = r->spool;
	size_t n = 0;
	r->now_s = spool_now_s(s);
	if (r->prefix == 0 && r->wanted.n > 0 && !str_eq(r->wanted, prefixes[0]) && !next_prefix(r)) {
		*status_out = 2;
		(void)why_say(last_words, F_ABSENT, "this server remembers nothing of that kind");
		return false;
	}
	fault f = s->ops->recall_some(s->store, prefixes[r->prefix], buf_view(&r->after), ROWS_AT_ONCE, tell, r, &n);
	*status_out = f != OK;
	if (f != OK)
		(void)why_say(last_words, f, "what the server remembers cannot be read");
	return f == OK && (n == ROWS_AT_ONCE || next_prefix(r));
}
