/* SPDX-License-Identifier: ISC */
/*
 * role/spool/check.c -- is all of the queue what was committed? A little at a time, while mail goes on; what is not is set
 * aside, logged, and told to whoever asked.
 */
#include "role/spool/spool.h"

#include <inttypes.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "mail/json.h"

enum {
	STEP_BYTES = 256 << 10, FINDINGS_MAX = 100, ARENA_MAX = 8 << 20,
	TELL_MS = 200,                   /* between two words about the progress */
	BUSY_MAX = 50,                   /* steps in a row that another program's lock, or an index, keeps from being done */
};

struct check_round {
	struct spool *spool;
	struct channel *to;              /* the caller's */
	struct store_round at;
	struct store_counts all;
	uint64_t found, set_aside;
	int64_t told_ms;
	unsigned busy;
};

struct check_round *check_begin(struct spool *s, struct channel *to)
{
	struct check_round *c = NEW(struct check_round);
	*c = (struct check_round){ .spool = s, .to = to };
	if (s->ops->counts(s->store, &c->all) != OK)
		c->all = (struct store_counts){ 0 };
	return c;
}

void check_end(struct check_round **c)
{
	free(*c);
	*c = NULL;
}

static void send_row(struct check_round *c, json_t *o)
{
	char *line = json_dumps(o, JSON_COMPACT);
	if (line != NULL)
		channel_send(c->to, CONTROL_ROW, &(struct control_row){ .json = str_of(line) });
	free(line);
	json_decref(o);
}

static void tell_finding(struct check_round *c, const struct store_finding *f)
{
	c->found++;
	c->set_aside += f->set_aside;
	if (f->set_aside > 0)
		log_event(LOG_QUEUE_DAMAGED, LOG_S("id", f->id), LOG_S("text", f->text), LOG_U("recipients", f->set_aside));
	json_t *o = json_object();
	json_object_set_new(o, "id", text_as_json(f->id));
	json_object_set_new(o, "text", text_as_json(f->text));
	json_object_set_new(o, "set_aside", json_integer((json_int_t)f->set_aside));
	send_row(c, o);
}

static void tell_progress(struct check_round *c)
{
	int64_t now_ms = loop_now_ms(c->spool->loop);
	if (!c->at.over && now_ms - c->told_ms < TELL_MS)
		return;
	c->told_ms = now_ms;
	json_t *o = json_object();
	json_object_set_new(o, c->at.over ? "over" : "progress", json_true());
	json_object_set_new(o, "messages", json_integer((json_int_t)c->at.messages));
	json_object_set_new(o, "messages_in_all", json_integer((json_int_t)c->all.messages));
	json_object_set_new(o, "bytes", json_integer((json_int_t)c->at.bytes));
	json_object_set_new(o, "bytes_in_all", json_integer((json_int_t)c->all.content_bytes));
	json_object_set_new(o, "found", json_integer((json_int_t)c->found));
	json_object_set_new(o, "set_aside", json_integer((json_int_t)c->set_aside));
	send_row(c, o);
}

static bool say_end(struct check_round *c, int *status_out, struct why *last_words)
{
	*status_out = c->found > 0;
	if (c->found == 0)
		(void)why_say(last_words, OK, "%" PRIu64 " message%s, %" PRIu64 " bytes: all of it is whole", c->at.messages,
		              c->at.messages == 1 ? "" : "s", c->at.bytes);
	else
		(void)why_say(last_words, OK, "%" PRIu64 " message%s, %" PRIu64 " bytes: %" PRIu64 " problem%s; %" PRIu64
		              " recipient%s set aside just now", c->at.messages, c->at.messages == 1 ? "" : "s", c->at.bytes, c->found,
		              c->found == 1 ? "" : "s", c->set_aside, c->set_aside == 1 ? "" : "s");
	return false;
}

static bool say_trouble(struct check_round *c, fault f, const struct why *why, int *status_out, struct why *last_words)
{
	struct spool *s = c->spool;
	*status_out = 1;
	if (f == F_BUSY && ++c->busy <= BUSY_MAX)
		return true;
	(void)why_say(last_words, f, "the queue cannot be read to its end: %s",
	              why->text[0] != '\0' ? why->text : fault_name(f));
	if (f == F_STORE)
		spool_store_failed(s, last_words->text);
	return false;
}

bool check_some(struct check_round *c, int *status_out, struct why *last_words)
{
	struct spool *s = c->spool;
	struct arena *a = arena_new(ARENA_MAX);
	struct store_finding found[FINDINGS_MAX];
	struct why why = { "" };
	size_t n = 0;
	fault f = s->ops->verify(s->store, &c->at, STEP_BYTES, a, found, FINDINGS_MAX, &n, &why);
	bool aside = false;
	for (size_t i = 0; i < n; i++) {
		tell_finding(c, &found[i]);
		aside |= found[i].set_aside > 0;
	}
	arena_free(&a);
	if (f != OK)
		return say_trouble(c, f, &why, status_out, last_words);
	c->busy = 0;
	if (aside) /* what is on its way out is stopped */
		spool_stop_unwanted_jobs(s);
	tell_progress(c);
	return !c->at.over || say_end(c, status_out, last_words);
}

fault check_set_aside(struct spool *s, const struct store_rcpt *r, struct why *why)
{
	static const char text[] = "its envelope in the queue is damaged";
	log_event(LOG_QUEUE_DAMAGED, LOG_S("id", r->id), LOG_S("to", r->address), LOG_Z("text", text), LOG_U("recipients", 1));
	return s->ops->set_aside(s->store, r->number, str_of(text), why);
}
