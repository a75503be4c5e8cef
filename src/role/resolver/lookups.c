/* SPDX-License-Identifier: ISC */
#include "role/resolver/lookups.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "sys/channel.h"
#include "sys/clock.h"
#include "sys/socket.h"

enum { NAME_MAX_BYTES = 255 };

struct lookups {
	struct loop *loop;
	struct policies *policies;
	struct dns *dns;
	struct list askers, open;
	struct map *by_key;
	uint64_t asked;
	void (*bogus)(void *owner);
	void *owner;
};

struct asker {
	struct link in_lookups;
	struct lookups *lookups;
	struct channel *channel;
	unsigned number;
	bool may_ask_policies;
	struct later breach;
	struct list waiters, policy_asks;
	size_t n_waiters;              /* of both lists */
};

struct policy_ask {
	struct link in_asker;
	struct asker *asker;
	uint64_t request;
	struct policy_waiter *waiter;
};

struct waiter {
	struct link in_asker, in_lookup;
	struct asker *asker;
	uint64_t request;
};

struct lookup {
	struct link in_open;
	struct lookups *lookups;
	enum dns_kind kind;
	struct str key;              /* the kind as a letter, then the name */
	struct dns_question *question;
	struct list waiters;
	char bytes[NAME_MAX_BYTES + 1];
};

static void waiter_free(struct waiter *w)
{
	link_remove(&w->in_asker);
	link_remove(&w->in_lookup);
	w->asker->n_waiters--;
	free(w);
}

static void lookup_free(struct lookup *k)
{
	LIST_EACH(at, &k->waiters)
		waiter_free(LIST_MEMBER(at, struct waiter, in_lookup));
	dns_cancel(&k->question);
	(void)map_remove(k->lookups->by_key, k->key);
	link_remove(&k->in_open);
	free(k);
}

static void policy_ask_free(struct policy_ask *a)
{
	policies_cancel(&a->waiter);
	link_remove(&a->in_asker);
	a->asker->n_waiters--;
	free(a);
}

static void asker_free(struct asker *asker)
{
	LIST_EACH(each, &asker->policy_asks)
		policy_ask_free(LIST_MEMBER(each, struct policy_ask, in_asker));
	LIST_EACH(at, &asker->waiters)
		waiter_free(LIST_MEMBER(at, struct waiter, in_asker));
	later_clear(&asker->breach);
	link_remove(&asker->in_lookups);
	channel_close(&asker->channel);
	free(asker);
}

static void send_answer(struct asker *asker, uint64_t request, const struct dns_answer *answer)
{
	for (size_t i = 0; i < answer->n_records; i++)
		channel_send(asker->channel, RESOLVED_RECORD,
		             &(struct resolved_record){ .request = request, .number = answer->records[i].number,
		                                        .text = answer->records[i].text });
	channel_send(asker->channel, RESOLVED_END,
	             &(struct resolved_end){ .request = request, .result = answer->result, .secure = answer->secure,
	                                     .ttl_s = answer->ttl_s, .canonical = answer->canonical,
	                                     .text = answer->text, .unvalidated = answer->unvalidated });
}

static void on_answer(void *owner, const struct dns_answer *answer)
{
	struct lookup *k = owner;
	k->question = NULL;
	LIST_EACH(at, &k->waiters) {
		struct waiter *w = LIST_MEMBER(at, struct waiter, in_lookup);
		send_answer(w->asker, w->request, answer);
	}
	struct lookups *l = k->lookups;
	lookup_free(k);
	if (answer->result == DNS_BOGUS && l->bogus != NULL)
		l->bogus(l->owner);
}

void lookups_on_bogus(struct lookups *l, void (*bogus)(void *owner), void *owner)
{
	l->bogus = bogus;
	l->owner = owner;
}

static void lookup_ask(struct lookup *k)
{
	struct lookups *l = k->lookups;
	if (l->dns != NULL)
		k->question = dns_ask(l->dns, k->kind, str_from(k->key, 1), on_answer, k);
}

/* The key is lower case, so that EXAMPLE.ORG waits together with example.org. */
static struct lookup *lookup_find_or_new(struct lookups *l, enum dns_kind kind, struct str name)
{
	char key[NAME_MAX_BYTES + 1];
	key[0] = (char)('a' + (int)kind);
	for (size_t i = 0; i < name.n; i++)
		key[i + 1] = (char)ascii_lower((unsigned char)name.p[i]);
	struct lookup *k = map_get(l->by_key, (struct str){ key, name.n + 1 });
	if (k != NULL || map_count(l->by_key) >= LOOKUPS_MAX)
		return k;
	k = NEW(struct lookup);
	*k = (struct lookup){ .lookups = l, .kind = kind };
	memcpy(k->bytes, key, name.n + 1);
	k->key = (struct str){ k->bytes, name.n + 1 };
	list_init(&k->waiters);
	list_add_last(&l->open, &k->in_open);
	(void)map_set(l->by_key, k->key, k);
	lookup_ask(k);
	return k;
}

static void refuse(struct asker *asker, uint64_t request, struct str text)
{
	send_answer(asker, request, &(struct dns_answer){ .result = DNS_FAILED, .text = text });
}

/* ---- policies ---- */

static void on_policy(void *owner, const struct policy_answer *a)
{
	struct policy_ask *ask = owner;
	struct resolved_policy m = { .request = ask->request, .state = a->state, .cached = a->cached, .trouble = a->trouble,
	                             .text = a->text };
	if (a->state == STS_POLICY) {
		m.mode = a->known->mode;
		m.id = a->known->id;
		m.mx = a->known->mx;
		m.expires_s = mtasts_expires_s(a->known);
		m.max_age_s = (uint64_t)a->known->max_age_s;
	}
	channel_send(ask->asker->channel, RESOLVED_POLICY, &m);
	ask->waiter = NULL;
	policy_ask_free(ask);
}

static void on_breach(void *owner)
{
	asker_free(owner);
}

static void ask_policy(struct asker *asker, const struct resolve_policy *m)
{
	struct lookups *l = asker->lookups;
	if (!asker->may_ask_policies) {
		later_set(l->loop, &asker->breach);
		return;
	}
	struct policy_ask *ask = NEW(struct policy_ask);
	*ask = (struct policy_ask){ .asker = asker, .request = m->request };
	list_add_last(&asker->policy_asks, &ask->in_asker);
	if (asker->n_waiters++ < WAITERS_MAX)
		ask->waiter = policies_ask(l->policies, m->domain, on_policy, ask);
	if (ask->waiter == NULL && policies_can_have(m->domain))
		on_policy(ask, &(struct policy_answer){ .state = STS_UNASKED, .text = STR("too many questions for policies wait") });
	else if (ask->waiter == NULL)
		on_policy(ask, &(struct policy_answer){ .state = STS_NONE, .text = STR("no policy can be published under this name") });
}

static void on_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct asker *asker = owner;
	const struct resolve *m = msg;
	fd_close(&fd);
	if (kind == RESOLVE_POLICY) {
		ask_policy(asker, msg);
		return;
	}
	check(kind == RESOLVE);
	if (m->kind > DNS_CNAME || m->name.n > NAME_MAX_BYTES) {
		refuse(asker, m->request, STR("this is no question for the DNS"));
		return;
	}
	asker->lookups->asked++;
	struct lookup *k = asker->n_waiters < WAITERS_MAX
	                   ? lookup_find_or_new(asker->lookups, (enum dns_kind)m->kind, m->name) : NULL;
	if (k == NULL) {
		refuse(asker, m->request, STR("too many names are being looked up at once"));
		return;
	}
	struct waiter *w = NEW(struct waiter);
	w->asker = asker;
	w->request = m->request;
	list_add_last(&asker->waiters, &w->in_asker);
	list_add_last(&k->waiters, &w->in_lookup);
	asker->n_waiters++;
}

static void on_closed(void *owner, const char *reason)
{
	(void)reason;
	asker_free(owner);
}

void lookups_link(struct lookups *l, unsigned number, int fd, bool may_ask_policies)
{
	static const struct channel_handler handler = { on_message, on_closed };
	LIST_EACH(at, &l->askers) {
		struct asker *old = LIST_MEMBER(at, struct asker, in_lookups);
		if (old->number == number)
			asker_free(old);
	}
	struct asker *asker = NEW(struct asker);
	asker->lookups = l;
	asker->number = number;
	asker->may_ask_policies = may_ask_policies;
	later_init(&asker->breach, on_breach, asker);
	list_init(&asker->policy_asks);
	list_init(&asker->waiters);
	list_add_last(&l->askers, &asker->in_lookups);
	asker->channel = channel_new(l->loop, fd, &to_resolver, &from_resolver, &handler, asker);
}

void lookups_use(struct lookups *l, struct dns *dns)
{
	l->dns = dns;
	LIST_EACH(at, &l->open) {
		struct lookup *k = LIST_MEMBER(at, struct lookup, in_open);
		dns_cancel(&k->question);
		lookup_ask(k);
	}
}

struct lookups *lookups_new(struct loop *loop, struct policies *policies)
{
	struct lookups *l = NEW(struct lookups);
	l->loop = loop;
	l->policies = policies;
	l->by_key = map_new(random_u64());
	list_init(&l->askers);
	list_init(&l->open);
	return l;
}

void lookups_free(struct lookups **l_ref)
{
	struct lookups *l = *l_ref;
	*l_ref = NULL;
	if (l == NULL)
		return;
	LIST_EACH(a, &l->askers)
		asker_free(LIST_MEMBER(a, struct asker, in_lookups));
	LIST_EACH(k, &l->open)
		lookup_free(LIST_MEMBER(k, struct lookup, in_open));
	map_free(&l->by_key);
	free(l);
}

size_t lookups_open(const struct lookups *l)
{
	return map_count(l->by_key);
}

uint64_t lookups_asked(const struct lookups *l)
{
	return l->asked;
}
