/* SPDX-License-Identifier: ISC */
/* role/spool/listing.c -- what is in the queue, as rows for an operator: some at a time, and the content of a letter. */
#include "role/spool/control_inside.h"

#include <stdio.h>

#include "mail/json.h"

enum {
	ROWS_AT_ONCE = 100,
	DETAILS_AT_ONCE = 10,            /* rows with a dialogue each */
	ARENA_MAX = 64 << 20, BODY_CHUNK = 64 << 10,
};

static const char *state_name(enum rcpt_state state)
{
	static const char *const names[] = { [RCPT_QUEUED] = "queued", [RCPT_LEASED] = "leased", [RCPT_HELD] = "held",
		                             [RCPT_DAMAGED] = "damaged" };
	return names[state];
}

static json_t *row_of(struct spool *s, const struct store_message *m, const struct store_rcpt *r)
{
	char waits_for[SHAPE_WORDS_MAX];
	json_t *o = json_object();
	if (!action_waits_for(s, m, r, waits_for, sizeof waits_for))
		spool_waits_for(s, r, waits_for, sizeof waits_for);
	json_object_set_new(o, "id", text_as_json(r->id));
	json_object_set_new(o, "sender", text_as_json(m->sender));
	json_object_set_new(o, "recipient", text_as_json(r->address));
	json_object_set_new(o, "state", json_string(state_name(r->state)));
	json_object_set_new(o, "attempts", json_integer(r->attempts));
	json_object_set_new(o, "next_attempt", r->state == RCPT_QUEUED ? date_as_json(r->next_s) : json_null());
	json_object_set_new(o, "arrived", date_as_json(m->arrived_s));
	json_object_set_new(o, "last_reply", text_as_json(r->damaged ? STR("its envelope in the queue is damaged") : r->last_reply));
	json_object_set_new(o, "size", json_integer((json_int_t)m->size_bytes));
	json_object_set_new(o, "waits_for", text_as_json(str_of(waits_for)));
	json_object_set_new(o, "then_held", json_boolean(r->state == RCPT_LEASED && s->ops->is_held(s->store, r->number)));
	return o;
}

/* What `show` tells beyond a row of the list. */
static void add_details(struct spool *s, json_t *o, const struct store_message *m, const struct store_rcpt *r)
{
	json_object_set_new(o, "original_recipient", text_as_json(r->original));
	json_object_set_new(o, "destination", text_as_json(r->state == RCPT_LEASED ? spool_key_in_hand(s, r->id, r->number, r->key) : r->key));
	json_object_set_new(o, "dialogue", text_as_json(r->last_dialogue));
	json_object_set_new(o, "delay_warned", json_boolean(r->delay_warned));
	json_object_set_new(o, "client", text_as_json(m->client));
	json_object_set_new(o, "helo", text_as_json(m->helo));
	json_object_set_new(o, "user", text_as_json(m->user));
	json_object_set_new(o, "protocol", text_as_json(m->with));
	json_object_set_new(o, "tls", text_as_json(m->tls));
	json_object_set_new(o, "tls_wish", text_as_json(tls_tag_name(m->tls_tag)));
	json_object_set_new(o, "envid", text_as_json(m->envid));
	json_object_set_new(o, "lease_ends", r->state == RCPT_LEASED ? date_as_json(r->lease_until_s) : json_null());
}

json_t *control_recipient(struct spool *s, const struct store_message *m, const struct store_rcpt *r)
{
	json_t *o = row_of(s, m, r);
	add_details(s, o, m, r);
	return o;
}

static fault send_rows(struct control_session *c, struct arena *a, const struct store_rcpt *rows, size_t n)
{
	struct spool *s = c->spool;
	struct store_message m = { .id = STR_NONE };
	for (size_t i = 0; i < n; i++) {
		if (!str_eq(m.id, rows[i].id))
			TRY(s->ops->message(s->store, rows[i].id, a, &m));
		json_t *o = row_of(s, &m, &rows[i]);
		if (c->verb == CONTROL_SHOW)
			add_details(s, o, &m, &rows[i]);
		control_send_row(c, o);
		c->rows++;
	}
	return OK;
}

void control_nothing_matched(struct control_session *c)
{
	bool others = c->which.to.n > 0 || c->which.from.n > 0 || c->which.user.n > 0 || c->which.domain.n > 0 || c->which.arrived_before_s != 0;
	struct str id = c->which.id;
	char said[200];
	if (id.n == 0 || others)
		snprintf(said, sizeof said, "%s", others ? "nothing in the queue matches" : "the queue is empty");
	else if (spool_is_id(id))
		snprintf(said, sizeof said, "%.*s is not in the queue: `sealpost why %.*s` tells what became of it", STR_ARG(id), STR_ARG(id));
	else
		snprintf(said, sizeof said, "\"%.*s\" is no ID: those have 15 letters and digits, as `sealpost queue list` and every 250 reply show them",
		         STR_ARG(str_sub(id, 0, 60)));
	control_say_end(c, 1, said);
}

static void list_over(struct control_session *c)
{
	if (c->rows == 0)
		control_nothing_matched(c);
	else if (c->body)
		c->phase = SENDING_BODY;
	else
		control_say_end(c, 0, "");
}

void control_list_some(struct control_session *c)
{
	struct spool *s = c->spool;
	struct arena *a = arena_new(ARENA_MAX);
	struct store_rcpt *rows = ARENA_ARRAY(a, struct store_rcpt, ROWS_AT_ONCE);
	size_t n = 0, max = c->verb == CONTROL_SHOW ? DETAILS_AT_ONCE : ROWS_AT_ONCE;
	fault f = s->ops->list(s->store, &c->which, &c->place, a, rows, max, &n);
	if (f == OK)
		f = send_rows(c, a, rows, n);
	arena_free(&a);
	if (f != OK)
		control_say_end(c, 1, "the queue cannot be read");
	else if (c->place.over)
		list_over(c);
}

void control_body_some(struct control_session *c)
{
	struct spool *s = c->spool;
	char chunk[BODY_CHUNK];
	size_t n = 0;
	fault f = s->ops->content(s->store, c->which.id, c->offset, chunk, sizeof chunk, &n);
	if (f != OK)
		control_say_end(c, 1, f == F_ABSENT ? "the message has just left the queue"
		                        : "the message's content in the queue is damaged");
	else if (n == 0)
		control_say_end(c, 0, "");
	else
		channel_send(c->channel, CONTROL_BODY, &(struct control_body){ .bytes = { chunk, n } });
	c->offset += n;
}
