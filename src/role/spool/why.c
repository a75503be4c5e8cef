/* SPDX-License-Identifier: ISC */
/* role/spool/why.c -- all that is known about a letter or a recipient: its history, a slice at a time, then what still waits. */
#include "role/spool/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "base/escape.h"
#include "mail/json.h"
#include "mail/story.h"
#include "store/history.h"

enum { WHERE_MS = 300, SLICE_BYTES = 256 << 10, FOUND_MAX = 1 << 20, ROWS_AT_ONCE = 10, ARENA_MAX = 64 << 20 };

struct why_round {
	struct spool *spool;
	struct channel *to;              /* the caller's */
	struct store_selector which;     /* id or to */
	struct history_reader *reader;
	struct buf found;                /* of the last slice, what is about it and has not been told: records, each behind its length */
	struct record {                  /* that is being told, a row for each recipient */
		size_t bytes;            /* in found; 0: none is */
		struct story_line event;
		struct str rest;
		json_t *accepted, *said, *story;
	} record;
	struct store_place place;
	int64_t asked_ms;                /* couriers, how far they are; 0: not yet */
	uint64_t rows;
};

struct why_round *why_begin(struct spool *s, struct channel *to, const struct store_selector *which)
{
	struct why_round *w = NEW(struct why_round);
	*w = (struct why_round){ .spool = s, .to = to, .which = *which };
	buf_init(&w->found, FOUND_MAX);
	s->n_whys++;
	if (s->history != NULL) {
		record_flush(s); /* what has just happened is in it, too */
		w->reader = history_read(s->history);
	}
	return w;
}

static void record_drop(struct why_round *w)
{
	struct record *r = &w->record;
	json_decref(r->accepted);
	json_decref(r->said);
	json_decref(r->story);
	buf_drop(&w->found, r->bytes);
	*r = (struct record){ .bytes = 0 };
}

void why_end(struct why_round **w)
{
	if (*w == NULL)
		return;
	(*w)->spool->n_whys--;
	history_close(&(*w)->reader);
	record_drop(*w);
	buf_fini(&(*w)->found);
	free(*w);
	*w = NULL;
}

static void send_row(struct why_round *w, json_t *o)
{
	char *line = json_dumps(o, JSON_COMPACT);
	if (line != NULL)
		channel_send(w->to, CONTROL_ROW, &(struct control_row){ .json = str_of(line) });
	free(line);
	json_decref(o);
	w->rows++;
}

/* ---- a record ---- */

/* Keys whose values are no words. */
static json_t *value_of(struct str key, struct str value)
{
	static const struct str times[] = { STR_INIT("at"), STR_INIT("next") };
	static const struct str numbers[] = { STR_INIT("attempt"), STR_INIT("size"), STR_INIT("code"), STR_INIT("n"),
		                            STR_INIT("targets") };
	uint64_t n;
	if (str_eq(key, STR("warned")))
		return json_true();
	if (!str_u64(value, &n) || n > INT64_MAX)
		return text_as_json(value);
	for (size_t i = 0; i < COUNT(times); i++)
		if (str_eq(key, times[i]))
			return date_as_json((int64_t)n);
	for (size_t i = 0; i < COUNT(numbers); i++)
		if (str_eq(key, numbers[i]))
			return json_integer((json_int_t)n);
	return text_as_json(value);
}

/* What rows of the queue call otherwise. */
static struct str name_for(struct str kind, struct str key)
{
	static const struct { struct str key, name; } names[] = {
		{ STR_INIT("address"), STR_INIT("recipient") }, { STR_INIT("original"), STR_INIT("original_recipient") },
		{ STR_INIT("what"), STR_INIT("event") },        { STR_INIT("next"), STR_INIT("next_attempt") },
		{ STR_INIT("warned"), STR_INIT("delay_warned") },
	};
	for (size_t i = 0; str_eq(kind, STR("rcpt")) && i < COUNT(names); i++)
		if (str_eq(key, names[i].key))
			return names[i].name;
	return key;
}

/* The pairs of a line as members of an object. */
static void set_pairs(json_t *o, struct story_line line)
{
	struct str key, raw;
	struct buf room;
	buf_init(&room, 4 * STORY_VALUE_MAX);
	while (story_pair(&line, &key, &raw)) {
		char name[64];
		buf_clear(&room);
		if (key.n < sizeof name && escape_undo(&room, raw) == OK) {
			(void)snprintf(name, sizeof name, "%.*s", STR_ARG(name_for(line.kind, key)));
			json_object_set_new(o, name, value_of(key, buf_view(&room)));
		}
	}
	buf_fini(&room);
}

static json_t *object_of(struct story_line line)
{
	json_t *o = json_object();
	set_pairs(o, line);
	return o;
}

json_t *control_story_line(struct story_line line)
{
	json_t *o = object_of(line);
	json_t *own = json_object_get(o, "kind"); /* a route has a kind of its own */
	if (own != NULL)
		json_object_set(o, "way", own);
	json_object_set_new(o, "kind", text_as_json(line.kind));
	return o;
}

/* Lines that belong to the record itself; the others are the story, each with its kind. */
static json_t *story_of(struct str lines, json_t **accepted, json_t *said)
{
	struct story_line line;
	json_t *story = json_array();
	*accepted = NULL;
	while (story_next(&lines, &line)) {
		if (str_eq(line.kind, STR("event")) || str_eq(line.kind, STR("rcpt")))
			continue;
		if (str_eq(line.kind, STR("accepted")) && *accepted == NULL) {
			*accepted = object_of(line);
		} else if (str_eq(line.kind, STR("said"))) {
			json_t *o = object_of(line), *text = json_object_get(o, "text");
			if (text != NULL)
				json_array_append(said, text);
			json_decref(o);
		} else {
			json_array_append_new(story, control_story_line(line));
		}
	}
	return story;
}

static bool is_meant(const struct why_round *w, struct story_line rcpt)
{
	struct buf room;
	buf_init(&room, 4 * STORY_VALUE_MAX);
	bool meant = w->which.to.n == 0 || str_eq_nocase(story_value(rcpt, STR("address"), &room), w->which.to);
	buf_clear(&room);
	meant = meant || str_eq_nocase(story_value(rcpt, STR("original"), &room), w->which.to);
	buf_fini(&room);
	return meant;
}

/* Told later, as the reader makes room. What there is no room for is left out: a slice has less than that. */
static void note_record(void *owner, struct str lines)
{
	struct why_round *w = owner;
	if (!history_is_about(lines, w->which.id, w->which.to) || sizeof lines.n + lines.n > FOUND_MAX - buf_view(&w->found).n)
		return;
	fault f = buf_add(&w->found, (struct str){ (const char *)&lines.n, sizeof lines.n });
	if (f == OK)
		f = buf_add(&w->found, lines);
	check(f == OK);
}

static void record_open_next(struct why_round *w)
{
	struct record *r = &w->record;
	struct str all = buf_view(&w->found);
	size_t n;
	check(all.n >= sizeof n);
	memcpy(&n, all.p, sizeof n);
	struct str lines = str_sub(all, sizeof n, n);
	*r = (struct record){ .bytes = sizeof n + n, .rest = lines };
	if (!story_next(&r->rest, &r->event))
		r->rest = STR_NONE;
	r->said = json_array();
	r->story = story_of(lines, &r->accepted, r->said);
}

/* A row for each recipient: what is the record's, then what is his. */
static void tell_recipient(struct why_round *w, struct story_line line)
{
	const struct record *r = &w->record;
	json_t *o = json_object();
	json_object_set_new(o, "row", json_string("event"));
	set_pairs(o, r->event);
	if (json_object_get(o, "sender") == NULL)
		json_object_set_new(o, "sender", json_string(""));
	set_pairs(o, line);
	if (r->accepted != NULL)
		json_object_set(o, "accepted", r->accepted);
	json_object_set(o, "story", r->story);
	json_object_set(o, "dialogue", r->said);
	send_row(w, o);
}

static void tell_found(struct why_round *w)
{
	struct story_line line;
	while (buf_view(&w->found).n > 0) {
		if (w->record.bytes == 0)
			record_open_next(w);
		while (control_takes_more(w->to) && story_next(&w->record.rest, &line))
			if (str_eq(line.kind, STR("rcpt")) && is_meant(w, line))
				tell_recipient(w, line);
		if (w->record.rest.n > 0)
			return;
		record_drop(w);
	}
}

/* ---- what still waits ---- */

static void add_where(json_t *o, const struct whereabouts *where)
{
	if (where == NULL)
		return;
	json_object_set_new(o, "host", text_as_json(str_of(where->host)));
	json_object_set_new(o, "ip", text_as_json(str_of(where->ip)));
	json_object_set_new(o, "doing", text_as_json(str_of(where->doing)));
}

/* Who has something of it in hand says how far it is; one that says nothing is not waited for. */
static bool is_awaited(struct why_round *w)
{
	int64_t now_ms = loop_now_ms(w->spool->loop);
	if (w->asked_ms == 0) {
		w->asked_ms = now_ms;
		spool_ask_where(w->spool, &w->which);
	}
	return now_ms - w->asked_ms < WHERE_MS && spool_where_is_awaited(w->spool, &w->which);
}

static fault tell_waiting(struct why_round *w)
{
	struct spool *s = w->spool;
	struct arena *a = arena_new(ARENA_MAX);
	struct store_rcpt *rows = ARENA_ARRAY(a, struct store_rcpt, ROWS_AT_ONCE);
	struct store_message m = { .id = STR_NONE };
	size_t n = 0;
	fault f = s->ops->list(s->store, &w->which, &w->place, a, rows, ROWS_AT_ONCE, &n);
	for (size_t i = 0; i < n && f == OK; i++) {
		if (!str_eq(m.id, rows[i].id))
			f = s->ops->message(s->store, rows[i].id, a, &m);
		if (f != OK)
			break;
		json_t *o = control_recipient(s, &m, &rows[i]);
		json_object_set_new(o, "row", json_string("queue"));
		add_where(o, spool_where(s, &rows[i]));
		send_row(w, o);
	}
	arena_free(&a);
	return f;
}

bool why_some(struct why_round *w, int *status_out, struct why *last_words)
{
	if (buf_view(&w->found).n > 0) {
		tell_found(w);
		return true;
	}
	if (w->reader != NULL && history_some(w->reader, SLICE_BYTES, note_record, w)) {
		tell_found(w);
		return true;
	}
	history_close(&w->reader);
	if (is_awaited(w))
		return true;
	fault f = tell_waiting(w);
	if (f == OK && !w->place.over)
		return true;
	*status_out = f != OK || w->rows == 0;
	if (f != OK)
		(void)why_say(last_words, f, "the queue cannot be read");
	else if (w->rows == 0)
		(void)why_say(last_words, OK, "nothing is known of that: it is not in the queue, and %s",
		              w->spool->history != NULL && history_is_on(w->spool->history)
		                      ? "not in the history, or was not within the time that history is kept for"
		                      : "this server keeps no history (see `history` in the manual)");
	return false;
}
