/* SPDX-License-Identifier: ISC */
/* store/memory_look.c -- reading the queue, and the operator's actions on it. */
#include "store/memory_inside.h"

#include <string.h>

#include "base/check.h"
#include "store/match.h"

bool rcpt_show(const struct rcpt *r, struct arena *a, struct store_rcpt *out)
{
	*out = r->facts;
	const struct { struct str *to, from; } texts[] = {
		{ &out->id, r->facts.id }, { &out->address, r->facts.address },
		{ &out->original, r->facts.original }, { &out->orcpt, r->facts.orcpt },
		{ &out->key, r->facts.key }, { &out->last_reply, r->facts.last_reply },
		{ &out->last_dialogue, r->facts.last_dialogue }, { &out->sender, r->message->facts.sender },
	};
	for (size_t i = 0; i < COUNT(texts); i++) {
		*texts[i].to = arena_try_copy(a, texts[i].from);
		if (texts[i].to->p == NULL)
			return false;
	}
	return true;
}

fault memory_message(struct store *s, struct str id, struct arena *a, struct store_message *out)
{
	struct message *m = message_by_id(s, id);
	if (m == NULL)
		return F_ABSENT;
	message_copy(out, &m->facts, a);
	return OK;
}

fault memory_content(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out)
{
	struct message *m = message_by_id(s, id);
	if (m == NULL)
		return F_ABSENT;
	struct str all = buf_view(&m->content);
	struct str part = offset < all.n ? str_sub(all, (size_t)offset, room) : STR_NONE;
	if (part.n > 0)
		memcpy(to, part.p, part.n);
	*n_out = part.n;
	return OK;
}

fault memory_list(struct store *s, const struct store_selector *which, struct store_place *place, struct arena *a,
                  struct store_rcpt *out, size_t max, size_t *n_out)
{
	struct store_place all = { 0 };
	*n_out = 0;
	if (place == NULL)
		place = &all;
	if (!place->begun)
		*place = (struct store_place){ .begun = true, .last = s->number };
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.number <= place->after || r->facts.number > place->last || !selector_matches(which, &m->facts, &r->facts))
				continue;
			if (*n_out == max || (out != NULL && !rcpt_show(r, a, &out[*n_out])))
				return *n_out > 0 || max == 0 ? OK : F_LIMIT;
			place->after = r->facts.number;
			++*n_out;
		}
	}
	place->over = true;
	return OK;
}

/* False if this action is not for a recipient in this state. */
static bool act_on(struct rcpt *r, enum operator_action action, int64_t now_s)
{
	enum rcpt_state state = r->facts.state;
	bool is_held = state == RCPT_LEASED && r->held;
	switch (action) {
	case ACT_RETRY:
		if (state == RCPT_QUEUED && r->facts.next_s > now_s) { /* one more than the schedule has: it costs no step of it */
			r->facts.next_s = now_s;
			r->facts.attempts -= r->facts.attempts > 1; /* and the first one stays made */
		}
		return state == RCPT_QUEUED;
	case ACT_HOLD:
		if (state == RCPT_HELD || state == RCPT_DAMAGED || is_held)
			return false;
		r->held = state == RCPT_LEASED;
		*(r->held ? &r->unleased : &r->facts.state) = RCPT_HELD;
		return true;
	case ACT_RELEASE: /* memory is always whole */
		if (state != RCPT_HELD && state != RCPT_DAMAGED && !is_held)
			return false;
		*(is_held ? &r->unleased : &r->facts.state) = RCPT_QUEUED;
		r->held = false;
		r->facts.next_s = now_s;
		r->facts.released = true;
		set_key(r, STR(STORE_RELEASED));
		return true;
	case ACT_REMOVE:
		rcpt_free(r);
		return true;
	}
	return false;
}

fault memory_act_on(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did)
{
	for (size_t i = 0; i < n; i++) {
		struct rcpt *r = rcpt_by_number(s, rows[i].number);
		struct message *m = r != NULL ? r->message : NULL;
		did[i] = r != NULL && act_on(r, action, now_s);
		if (m != NULL && list_empty(&m->rcpts))
			message_free(m);
	}
	return OK;
}

fault memory_act(struct store *s, const struct store_selector *which, enum operator_action action,
                        int64_t now_s, uint64_t *n_out)
{
	*n_out = 0;
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (selector_matches(which, &m->facts, &r->facts))
				*n_out += act_on(r, action, now_s);
		}
		if (list_empty(&m->rcpts))
			message_free(m);
	}
	return OK;
}

/* Nothing here can be torn; what a caller has set aside is whole, and that is told. */
fault memory_verify(struct store *s, struct store_round *round, uint64_t bytes, struct arena *a,
                           struct store_finding *out, size_t max, size_t *n_out, struct why *why)
{
	(void)bytes, (void)why;
	uint64_t at = 0;
	*n_out = 0;
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		bool aside = false;
		if (++at <= round->message)
			continue;
		if (*n_out == max)
			return OK;
		LIST_EACH(k, &m->rcpts)
			aside |= LIST_MEMBER(k, struct rcpt, in_message)->facts.state == RCPT_DAMAGED;
		if (aside)
			out[(*n_out)++] = (struct store_finding){ .id = arena_copy(a, m->facts.id),
				.text = STR("was set aside, and is whole: release it") };
		round->message++;
		round->messages++;
		round->bytes += buf_view(&m->content).n;
	}
	round->over = true;
	return OK;
}

fault memory_set_aside(struct store *s, uint64_t rcpt, struct str text, struct why *why)
{
	struct rcpt *r = rcpt_by_number(s, rcpt);
	if (r == NULL)
		return why_say(why, F_ABSENT, "no such recipient");
	r->facts.state = RCPT_DAMAGED;
	set_reply(r, text);
	return OK;
}

fault memory_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out)
{
	*n_out = 0;
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		if (m->facts.arrived_s > now_s)
			m->facts.arrived_s = now_s;
		LIST_EACH(k, &m->rcpts) {
			struct rcpt *r = LIST_MEMBER(k, struct rcpt, in_message);
			if (r->facts.next_s <= latest_s || r->facts.state == RCPT_HELD || r->facts.state == RCPT_DAMAGED)
				continue;
			r->facts.next_s = now_s;
			++*n_out;
		}
	}
	return OK;
}

static int64_t moved(int64_t time_s, int64_t by_s)
{
	return time_s + by_s < 0 ? 0 : time_s + by_s;
}

fault memory_shift(struct store *s, int64_t by_s)
{
	memory_put_off_nothing(s);
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		m->facts.arrived_s = moved(m->facts.arrived_s, by_s);
		LIST_EACH(k, &m->rcpts) {
			struct store_rcpt *r = &LIST_MEMBER(k, struct rcpt, in_message)->facts;
			r->next_s = moved(r->next_s, by_s);
		}
	}
	LIST_EACH(l, &s->notes) {
		struct note *n = LIST_MEMBER(l, struct note, in_store);
		if (n->expires_s < INT64_MAX)
			n->expires_s = moved(n->expires_s, by_s);
	}
	return OK;
}

fault memory_counts(struct store *s, struct store_counts *out)
{
	*out = (struct store_counts){ 0 };
	LIST_EACH(l, &s->messages) {
		struct message *m = LIST_MEMBER(l, struct message, in_store);
		out->messages++;
		out->content_bytes += m->facts.size_bytes;
		LIST_EACH(k, &m->rcpts) {
			enum rcpt_state state = LIST_MEMBER(k, struct rcpt, in_message)->facts.state;
			out->queued += state == RCPT_QUEUED;
			out->leased += state == RCPT_LEASED;
			out->held += state == RCPT_HELD;
			out->damaged += state == RCPT_DAMAGED;
		}
	}
	return OK;
}

fault memory_glance(struct store *s, uint64_t after_number, struct arena *a, struct store_glance *out, size_t max, size_t *n_out)
{
	static const struct store_selector everything;
	struct store_place place = { .begun = true, .after = after_number, .last = UINT64_MAX };
	struct store_rcpt *rows = arena_try_alloc(a, (max + 1) * sizeof *rows);
	struct store_message m = { .id = STR_NONE };
	*n_out = 0;
	if (rows == NULL)
		return F_LIMIT;
	size_t n;
	fault f = memory_list(s, &everything, &place, a, rows, max, &n);
	for (size_t i = 0; i < n && f == OK; i++) {
		if (!str_eq(m.id, rows[i].id))
			f = memory_message(s, rows[i].id, a, &m);
		out[(*n_out)++] = (struct store_glance){ rows[i].number, rows[i].address, rows[i].key, rows[i].state, rows[i].next_s, m.arrived_s };
	}
	return f;
}
