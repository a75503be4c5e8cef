/* SPDX-License-Identifier: ISC */
/*
 * store/sqlite_observations.c -- what couriers and the resolver have learned, kept beside the queue.
 *
 * They are worth keeping, not worth a flush of their own: they ride with the next commit, or go together when it is quiet. A commit
 * without a flush would be wrong: store/old_log.h takes what lies in front of another commit for flushed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/sqlite_inside.h"

enum { OBSERVATIONS_AT_ONCE = 500 };

struct observation { struct link in_store; struct str key, value; int64_t expires_s; };

void observations_forget(struct store *s)
{
	LIST_EACH(l, &s->observations) {
		struct observation *o = LIST_MEMBER(l, struct observation, in_store);
		link_remove(&o->in_store);
		str_release(&o->key);
		str_release(&o->value);
		free(o);
	}
	s->n_observations = 0;
}

fault observations_put(struct store *s, struct why *why)
{
	fault f = OK;
	LIST_EACH(l, &s->observations) {
		const struct observation *o = LIST_MEMBER(l, struct observation, in_store);
		if (f != OK)
			break;
		sqlite3_stmt *st = sql(s, SQL_REMEMBER);
		bind_str(st, 1, o->key);
		bind_str(st, 2, o->value);
		bind_s64(st, 3, o->expires_s);
		f = sql_run(s, st, why);
	}
	return f;
}

fault observations_write(struct store *s, struct why *why)
{
	if (s->n_observations == 0)
		return OK;
	if (s->failed)
		return F_STORE;
	fault f = transaction_begin(s, why);
	if (f == OK)
		f = transaction_end(s, observations_put(s, why), why);
	if (f == OK)
		observations_forget(s);
	return f;
}

/* The first key that no longer begins so; the prefix is ASCII. */
static fault prefix_end(struct str prefix, char *to, size_t room, struct str *out)
{
	if (prefix.n == 0 || prefix.n > room || (unsigned char)prefix.p[prefix.n - 1] >= 127)
		return F_SYNTAX;
	memcpy(to, prefix.p, prefix.n);
	to[prefix.n - 1]++;
	*out = (struct str){ to, prefix.n };
	return OK;
}

fault sqlite_trim(struct store *s, struct str prefix, uint64_t most, uint64_t bytes_max, uint64_t *gone_out)
{
	char room[64];
	struct str end;
	*gone_out = 0;
	TRY(prefix_end(prefix, room, sizeof room, &end));
	TRY(observations_write(s, NULL));
	sqlite3_stmt *st = sql(s, SQL_TRIM);
	bind_str(st, 1, prefix);
	bind_str(st, 2, end);
	bind_u64(st, 3, most);
	bind_u64(st, 4, bytes_max);
	TRY(sql_run(s, st, NULL));
	*gone_out = (uint64_t)sqlite3_changes(s->db);
	return OK;
}

fault sqlite_remember(struct store *s, struct str key, struct str value, int64_t expires_s)
{
	if (s->failed)
		return F_STORE;
	struct observation *o = NEW(struct observation);
	*o = (struct observation){ .key = str_keep(key), .value = str_keep(value), .expires_s = expires_s };
	list_add_last(&s->observations, &o->in_store);
	if (++s->n_observations < OBSERVATIONS_AT_ONCE)
		return OK;
	fault f = observations_write(s, NULL);
	if (f != OK) /* a disk without room: they do not pile up here instead */
		observations_forget(s);
	return f;
}

/* Tells what the statement finds, and how many that is. */
static fault tell_observations(struct store *s, sqlite3_stmt *st,
                               void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out)
{
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	for (; st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW; ++*n_out)
		each(owner, column_str(st, 0), column_str(st, 1), sqlite3_column_int64(st, 2));
	fault f = sql_fault(s, rc, NULL);
	sql_done(st);
	return f;
}

fault sqlite_recall(struct store *s, int64_t now_s, struct arena *a,
                    void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner)
{
	(void)a;
	TRY(observations_write(s, NULL));
	sqlite3_stmt *st = sql(s, SQL_FORGET);
	bind_s64(st, 1, now_s);
	TRY(sql_run(s, st, NULL));
	size_t n = 0;
	return tell_observations(s, sql(s, SQL_RECALL), each, owner, &n);
}

fault sqlite_recall_some(struct store *s, struct str prefix, struct str after, size_t max,
                         void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out)
{
	char room[64];
	struct str end;
	*n_out = 0;
	TRY(prefix_end(prefix, room, sizeof room, &end));
	TRY(observations_write(s, NULL));
	sqlite3_stmt *st = sql(s, SQL_RECALL_SOME);
	bind_str(st, 1, after);
	bind_str(st, 2, prefix);
	bind_str(st, 3, end);
	bind_s64(st, 4, (int64_t)max);
	return tell_observations(s, st, each, owner, n_out);
}
