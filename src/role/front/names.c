/* SPDX-License-Identifier: ISC */
/*
 * role/front/names.c -- the client's name, confirmed both ways, for the Received line.
 *
 * The name that the address has (PTR) counts only if that name has the address, too. Nobody waits for it: what is
 * not known when a letter comes is left out. What the DNS has said is not asked again for a while: who sends much
 * connects often.
 *
 * On a local socket the kernel says which account it is; its name, which decides what it may send as, is in files that a
 * front cannot open: the supervisor looks.
 */
#include "role/front/front.h"

#include <stdlib.h>

#include "base/check.h"

struct known_name {
	struct link in_front;
	int64_t until_ms;
	struct str client, name;        /* no name: it has none that counts */
};

static void forget(struct front *f, struct known_name *k)
{
	(void)map_remove(f->names, k->client);
	link_remove(&k->in_front);
	str_release(&k->client);
	str_release(&k->name);
	free(k);
}

void names_forget(struct front *f)
{
	LIST_EACH(at, &f->named)
		forget(f, LIST_MEMBER(at, struct known_name, in_front));
}

static struct known_name *known(struct front *f, struct str client)
{
	struct known_name *k = map_get(f->names, client);
	if (k == NULL || k->until_ms > loop_now_ms(f->loop))
		return k;
	forget(f, k);
	return NULL;
}

static void remember(const struct session *s)
{
	struct front *f = s->front;
	struct known_name *k = known(f, s->client);
	int64_t ms = (int64_t)s->name_ttl_s * 1000;
	if (k != NULL) /* two connections at once */
		forget(f, k);
	if (ms == 0)
		return;
	if (map_count(f->names) == NAMES_KEPT_MAX) {
		struct known_name *oldest = LIST_FIRST(&f->named, struct known_name, in_front);
		check(oldest != NULL);
		forget(f, oldest);
	}
	k = NEW(struct known_name);
	k->until_ms = loop_now_ms(f->loop) + (ms < NAME_KEPT_MS ? ms : NAME_KEPT_MS);
	k->client = str_keep(s->client);
	k->name = str_keep(s->name);
	list_add_last(&f->named, &k->in_front);
	(void)map_set(f->names, k->client, k);
}

static void ask(struct session *s, enum dns_kind kind, struct str name)
{
	struct front *f = s->front;
	s->lookup = ++f->next_number;
	(void)map_set_u64(f->lookups, s->lookup, s);
	channel_send(f->resolver, RESOLVE, &(struct resolve){ .request = s->lookup, .kind = kind, .name = name });
}

void session_look_up(struct session *s)
{
	const struct known_name *k = known(s->front, s->client);
	s->name_ttl_s = UINT32_MAX;
	if (k != NULL && k->name.n > 0)
		session_keep(&s->name, k->name);
	else if (k == NULL && s->front->resolver != NULL && s->client.n > 0)
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

static void on_end(struct session *s, const struct resolved_end *m)
{
	size_t colon;
	bool is_answer = m->result == DNS_FOUND || m->result == DNS_NODATA || m->result == DNS_NXDOMAIN;
	uint64_t ttl_s = is_answer ? m->ttl_s : 0;
	session_drop_lookup(s);
	if (ttl_s < s->name_ttl_s)
		s->name_ttl_s = (uint32_t)ttl_s;
	if (s->asks_address || s->name_claimed.n == 0) {
		remember(s);
		str_release(&s->name_claimed);
		return;
	}
	if (s->front->resolver == NULL)
		return;
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
		on_end(s, msg);
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
