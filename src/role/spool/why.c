/* SPDX-License-Identifier: ISC */
/* role/spool/why.c -- all that is known about a letter or a recipient: its history, a slice at a time, then what still waits. */
#include "role/spool/spool.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "base/escape.h"
#include "mail/json.h"
#include "mail/story.h"
#include "store/history.h"

enum { SLICE_BYTES = 256 << 10, ROWS_AT_ONCE = 100, ARENA_MAX = 64 << 20 };

struct why_round {
	struct spool *spool;
	struct channel *to;              /* the caller's */
	struct store_selector which;     /* id or to */
	struct history_reader *reader;
	uint64_t after, rows;
};

struct why_round *why_begin(struct spool *s, struct channel *to, const struct store_selector *which)
{
	struct why_round *w = NEW(struct why_round);
	*w = (struct why_round){ .spool = s, .to = to, .which = *which };
	if (s->history != NULL) {
		record_flush(s); /* what has just happened is in it, too */
		w->reader = history_read(s->history);
	}
	return w;
}

void why_end(struct why_round **w)
{
	if (*w == NULL)
		return;
	history_close(&(*w)->reader);
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

/* A row for each recipient: what is the record's, then what is his. */
static void tell_record(void *owner, struct str lines)
{
	struct why_round *w = owner;
	struct story_line line, event;
	struct str rest = lines;
	if (!history_is_about(lines, w->which.id, w->which.to) || !story_next(&rest, &event))
		return;
	json_t *accepted, *said = json_array(), *story = story_of(lines, &accepted, said);
	while (story_next(&rest, &line)) {
		if (!str_eq(line.kind, STR("rcpt")) || !is_meant(w, line))
			continue;
		json_t *o = json_object();
		json_object_set_new(o, "row", json_string("event"));
		set_pairs(o, event);
		if (json_object_get(o, "sender") == NULL)
			json_object_set_new(o, "sender", json_string(""));
		set_pairs(o, line);
		if (accepted != NULL)
			json_object_set(o, "accepted", accepted);
		json_object_set(o, "story", story);
		json_object_set(o, "dialogue", said);
		send_row(w, o);
	}
	json_decref(accepted);
	json_decref(said);
	json_decref(story);
}

/* ---- what still waits ---- */

static fault tell_waiting(struct why_round *w, size_t *n_out)
{
	struct spool *s = w->spool;
	struct arena *a = arena_new(ARENA_MAX);
	struct store_rcpt *rows = ARENA_ARRAY(a, struct store_rcpt, ROWS_AT_ONCE);
	struct store_message m = { .id = STR_NONE };
	fault f = s->ops->list(s->store, &w->which, w->after, a, rows, ROWS_AT_ONCE, n_out);
	for (size_t i = 0; i < *n_out && f == OK; i++) {
		if (!str_eq(m.id, rows[i].id))
			f = s->ops->message(s->store, rows[i].id, a, &m);
		if (f != OK)
			break;
		json_t *o = control_recipient(&m, &rows[i]);
		json_object_set_new(o, "row", json_string("queue"));
		send_row(w, o);
		w->after = rows[i].number;
	}
	arena_free(&a);
	return f;
}

bool why_some(struct why_round *w, int *status_out, struct why *last_words)
{
	size_t n = 0;
	if (w->reader != NULL && history_some(w->reader, SLICE_BYTES, tell_record, w))
		return true;
	history_close(&w->reader);
	fault f = tell_waiting(w, &n);
	if (f == OK && n > 0)
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
