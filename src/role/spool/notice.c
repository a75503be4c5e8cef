/* SPDX-License-Identifier: ISC */
/* role/spool/notice.c -- tells a sender what became of a message: one notice for all recipients that settled in one
 * turn, committed together with what it tells. */
#include "role/spool/spool.h"

#include <string.h>

#include "mail/header.h"
#include "mail/trace.h"
#include "sys/clock.h"

bool notice_was_for_postmaster(const struct spool *s, const struct store_rcpt *r)
{
	for (size_t i = 0; i < s->conf->postmaster.n; i++)
		if (str_eq_nocase(s->conf->postmaster.items[i], r->address) ||
		    str_eq_nocase(s->conf->postmaster.items[i], r->original))
			return true;
	return false;
}

static struct str told(const struct verdict *v)
{
	return v->to_postmaster ? STR_NONE : v->job->message.sender;
}

fault notice_is_ready(struct spool *s, struct verdict *v)
{
	const struct audience_member *members;
	size_t n = 0;
	TRY(audience_find(s, told(v), &members, &n));
	if (n == 0 && !v->to_postmaster && v->notice == DSN_FAILED) {
		v->to_postmaster = true; /* a sender of our own domain whom nobody knows */
		TRY(audience_find(s, told(v), &members, &n));
	}
	if (n == 0)
		verdict_give_up(v);
	return OK;
}

/* ---- the returned message ---- */

/* Reads the content, up to max bytes; false: what is damaged, or cannot be read now, has ended it early. */
static bool read_content(struct spool *s, struct str id, size_t max, struct buf *to)
{
	for (size_t n = 1; n > 0 && buf_view(to).n < max;) {
		size_t room = max - buf_view(to).n < (64 << 10) ? max - buf_view(to).n : 64 << 10;
		char *p = buf_reserve(to, room);
		if (p == NULL || s->ops->content(s->store, id, buf_view(to).n, p, room, &n) != OK)
			return false;
		buf_filled(to, n);
	}
	return true;
}

static bool wants_full(const struct spool *s, const struct store_message *m)
{
	return m->ret == RET_FULL || (m->ret == RET_DEFAULT && s->conf->queue.return_full);
}

/* The whole message only with a failure, when it was asked for, and if it is small. */
static struct str returned(struct spool *s, const struct store_message *m, bool failure, struct buf *to,
                           struct dsn_facts *facts)
{
	size_t header;
	bool full = failure && wants_full(s, m) && m->size_bytes <= SPOOL_RETURN_FULL_MAX;
	facts->returned_lost = !read_content(s, m->id, full ? SPOOL_RETURN_FULL_MAX : HEADER_BYTES_MAX, to);
	struct str all = buf_view(to);
	facts->returned_full = full && all.n == m->size_bytes;
	if (facts->returned_full)
		return all;
	if (header_end(all, &header)) {
		facts->returned_lost = facts->returned_lost && full; /* the header is all that was wanted */
		return str_sub(all, 0, header);
	}
	/* A header block that does not end within the limit, or content cut by damage: whole lines of it. */
	while (all.n > 0 && all.p[all.n - 1] != '\n')
		all.n--;
	return all;
}

/* ---- the notice ---- */

/* What was proven of the way to the next server. A socket of this machine, and a Maildir, have none. */
static enum dsn_level level_of(const struct verdict *v)
{
	static const enum dsn_level levels[] = {
		[TLS_NONE] = DSN_LEVEL_NONE, [TLS_OPPORTUNISTIC] = DSN_LEVEL_OPPORTUNISTIC, [TLS_ENCRYPT] = DSN_LEVEL_OPPORTUNISTIC,
		[TLS_VERIFY] = DSN_LEVEL_PKIX, [TLS_MTA_STS] = DSN_LEVEL_MTA_STS, [TLS_DANE] = DSN_LEVEL_DANE,
	};
	const struct route *route = &v->job->route;
	if (route->kind == ROUTE_TO_MAILDIR || (route->kind == ROUTE_TO_LMTP && str_starts(route->name, STR("unix:"))))
		return DSN_LEVEL_LOCAL;
	return v->reached ? levels[v->level] : DSN_LEVEL_UNKNOWN;
}

static struct dsn_rcpt tell_of(struct spool *s, const struct verdict *v, int64_t now_s)
{
	const struct store_message *m = &v->job->message;
	struct arena *a = arena_new(64 << 10);
	struct str domain, key;
	struct route route = spool_route_of(s, m, v->rcpt, a, &domain, &key);
	arena_free(&a);
	return (struct dsn_rcpt){
		.address = v->rcpt->address,
		.original = v->rcpt->original,
		.orcpt = v->rcpt->orcpt,
		.kind = v->notice,
		.reply = v->reply,
		.host = v->host,
		.dialogue = v->dialogue,
		.protection = v->protection,
		.level = level_of(v),
		.story = v->story,
		.last_attempt_s = now_s,
		.retry_until_s = v->notice == DSN_DELAYED ? retry_gives_up_at_s(s->conf, route.retry, m->arrived_s) : 0,
	};
}

static struct str message_id_of(struct spool *s, struct arena *a)
{
	unsigned char random[16];
	struct buf b;
	random_bytes(random, sizeof random);
	buf_init(&b, 1024);
	struct str id = STR_NONE;
	if (message_id_put(&b, random, clock_wall_s(), s->conf->hostname) == OK)
		id = arena_copy(a, buf_view(&b));
	buf_fini(&b);
	return id;
}

static bool is_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

static struct str first_postmaster(const struct spool *s, struct arena *a)
{
	if (s->conf->postmaster.n > 0)
		return s->conf->postmaster.items[0];
	struct buf b;
	buf_init(&b, 1024);
	struct str text = STR("postmaster");
	if (buf_addf(&b, "postmaster@%.*s", STR_ARG(s->conf->hostname)) == OK)
		text = arena_copy(a, buf_view(&b));
	buf_fini(&b);
	return text;
}

static fault write_notice(struct spool *s, struct verdict *const *tell, size_t n, struct arena *a, struct str to,
                          struct buf *out)
{
	const struct store_message *m = &tell[0]->job->message;
	struct dsn_rcpt *rcpts = ARENA_ARRAY(a, struct dsn_rcpt, n);
	bool failure = false;
	int64_t now_s = spool_now_s(s);
	char boundary[64] = "=_";
	for (size_t i = 0; i < n; i++) {
		rcpts[i] = tell_of(s, tell[i], now_s);
		failure |= tell[i]->notice == DSN_FAILED;
	}
	spool_new_id(boundary + 2);
	struct buf content;
	buf_init(&content, SPOOL_RETURN_FULL_MAX + HEADER_BYTES_MAX);
	struct dsn_facts facts = {
		.hostname = s->conf->hostname, .to = to, .postmaster = first_postmaster(s, a), .id = m->id, .envid = m->envid,
		.message_id = message_id_of(s, a), .boundary = str_of(boundary),
		.arrived_s = m->arrived_s, .now_s = now_s, .zone_minutes = clock_zone_minutes(now_s),
		.smtputf8 = m->smtputf8, .original_8bit = m->body == BODY_8BIT,
		.for_postmaster = tell[0]->to_postmaster,
		.rcpts = rcpts, .n_rcpts = n,
	};
	facts.returned = returned(s, m, failure, &content, &facts);
	fault f = dsn_put(out, &facts);
	buf_fini(&content);
	return f;
}

static fault address_notice(struct spool *s, const struct verdict *v, struct arena *a, struct store_commit *c)
{
	const struct audience_member *members;
	size_t n = 0;
	TRY(audience_find(s, told(v), &members, &n));
	struct store_rcpt *rcpts = ARENA_ARRAY(a, struct store_rcpt, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct str domain;
		struct store_rcpt *r = &rcpts[i];
		r->address = members[i].address;
		r->original = members[i].original;
		r->next_s = c->message.arrived_s;
		struct route route = spool_route(s, &c->message, r->address, a, &domain, &r->key);
		/* A notice is never dropped because nobody would carry it: a person looks. */
		bool nowhere = r->key.p == NULL || route.kind == ROUTE_REFUSED || route.kind == ROUTE_ON_HOLD;
		r->state = nowhere ? RCPT_HELD : RCPT_QUEUED;
		if (nowhere)
			r->last_reply = STR("no route for this notice");
	}
	c->rcpts = rcpts;
	c->n_rcpts = n;
	return OK;
}

fault notice_build(struct spool *s, struct verdict *const *verdicts, size_t n, struct arena *a, struct notice *out)
{
	struct verdict **tell = ARENA_ARRAY(a, struct verdict *, n + 1);
	size_t n_tell = 0;
	for (size_t i = 0; i < n; i++)
		if (verdicts[i]->notify)
			tell[n_tell++] = verdicts[i];
	if (n_tell == 0)
		return F_ABSENT;

	const struct store_message *original = &tell[0]->job->message;
	*out = (struct notice){ .to = tell[0]->to_postmaster ? first_postmaster(s, a) : original->sender };
	spool_new_id(out->id);
	struct buf text;
	buf_init(&text, SPOOL_NOTICE_BYTES_MAX);
	fault f = write_notice(s, tell, n_tell, a, out->to, &text);
	struct store_draft *draft = NULL;
	if (f == OK)
		f = s->ops->draft_new(s->store, &draft);
	if (f == OK)
		f = s->ops->draft_append(s->store, draft, buf_view(&text));
	bool eight = is_8bit(buf_view(&text));
	buf_fini(&text);
	if (f != OK) {
		if (draft != NULL)
			s->ops->draft_drop(s->store, &draft);
		return f;
	}
	out->commit.draft = draft;
	out->commit.message = (struct store_message){ .id = str_of(out->id), .arrived_s = spool_now_s(s),
		                                      .body = eight ? BODY_8BIT : BODY_7BIT,
		                                      .smtputf8 = original->smtputf8 };
	/* It tells of what was to be protected (RFC 8689 5). Who did not care about the message may care about its bounce. */
	if (original->tls_tag == TLS_TAG_REQUIRED) {
		out->commit.message.tls_tag = TLS_TAG_REQUIRED;
		out->commit.message.ret = RET_HEADERS;
	}
	f = address_notice(s, tell[0], a, &out->commit);
	if (f != OK)
		s->ops->draft_drop(s->store, &out->commit.draft);
	return f;
}
