/* SPDX-License-Identifier: ISC */
/*
 * role/front/names.c -- the client's name, confirmed both ways, for the Received line.
 *
 * The name that the address has (PTR) counts only if that name has the address, too. Nobody waits for it: what is
 * not known when a letter comes is left out.
 *
 * On a local socket the kernel says which account it is; its name, which decides what it may send as, is in files that a
 * front cannot open: the supervisor looks.
 */
#include "role/front/front.h"

static void ask(struct session *s, enum dns_kind kind, struct str name)
{
	struct front *f = s->front;
	s->lookup = ++f->next_number;
	(void)map_set_u64(f->lookups, s->lookup, s);
	channel_send(f->resolver, RESOLVE, &(struct resolve){ .request = s->lookup, .kind = kind, .name = name });
}

void session_look_up(struct session *s)
{
	if (s->front->resolver != NULL && s->client.n > 0)
		ask(s, DNS_PTR, s->client);
}

void session_drop_lookup(struct session *s)
{
	(void)map_remove_u64(s->front->lookups, s->lookup);
	s->lookup = 0;
}

static void on_record(struct session *s, struct str text)
{
	if (s->asks_address) {
		if (str_eq_nocase(text, s->client))
			session_keep(&s->name, s->name_claimed);
	} else if (s->name_claimed.n == 0 && text.n <= SMTP_NAME_MAX) {
		session_keep(&s->name_claimed, text); /* the first is enough */
	}
}

static void on_end(struct session *s)
{
	size_t colon;
	session_drop_lookup(s);
	if (s->asks_address || s->name_claimed.n == 0 || s->front->resolver == NULL) {
		str_release(&s->name_claimed);
		return;
	}
	s->asks_address = true;
	ask(s, str_find(s->client, ':', &colon) ? DNS_AAAA : DNS_A, s->name_claimed);
}

void session_on_resolver(struct front *f, unsigned kind, const void *msg)
{
	uint64_t number = *(const uint64_t *)msg; /* the first field of both */
	struct session *s = map_get_u64(f->lookups, number);
	if (s == NULL)
		return;
	if (kind == RESOLVED_RECORD)
		on_record(s, ((const struct resolved_record *)msg)->text);
	else if (kind == RESOLVED_END)
		on_end(s);
}

void session_ask_user(struct session *s, uint32_t uid)
{
	struct front *f = s->front;
	s->lookup = ++f->next_number;
	(void)map_set_u64(f->lookups, s->lookup, s);
	channel_send(role_control(f->base), FROM_ROLE_ASK_USER, &(struct from_role_ask_user){ .request = s->lookup, .uid = uid });
}

void session_on_user(struct front *f, const struct to_role_user *m)
{
	struct session *s = map_get_u64(f->lookups, m->request);
	if (s != NULL)
		session_named(s, m->name);
}
