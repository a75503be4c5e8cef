/* SPDX-License-Identifier: ISC */
#include "role/keeper/backoff.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"

enum { KEY_BYTES_MAX = 256, PAIR_BYTES_MAX = KEY_BYTES_MAX + 64 };

struct entry {
	struct link in_table;    /* the first was seen last */
	unsigned failures;
	int64_t since_ms;        /* when the oldest of them began to wear off */
	size_t n;
	char key[];
};

struct table { struct map *map; struct list seen; };

/* pairs: failures of a name from a client since it logged in. known: it has, ever. */
struct backoff { struct table users, clients, pairs, known; };

static void table_init(struct table *t, uint64_t seed)
{
	t->map = map_new(seed);
	list_init(&t->seen);
}

static void forget(struct table *t, struct entry *e)
{
	(void)map_remove(t->map, (struct str){ e->key, e->n });
	link_remove(&e->in_table);
	free(e);
}

static void table_fini(struct table *t)
{
	LIST_EACH(l, &t->seen)
		forget(t, LIST_MEMBER(l, struct entry, in_table));
	map_free(&t->map);
}

struct backoff *backoff_new(uint64_t seed)
{
	struct backoff *b = NEW(struct backoff);
	table_init(&b->users, seed);
	table_init(&b->clients, seed);
	table_init(&b->pairs, seed);
	table_init(&b->known, seed);
	return b;
}

void backoff_free(struct backoff **b_)
{
	struct backoff *b = *b_;
	if (b == NULL)
		return;
	*b_ = NULL;
	table_fini(&b->users);
	table_fini(&b->clients);
	table_fini(&b->pairs);
	table_fini(&b->known);
	free(b);
}

/* Whoever has an IPv6 address has 2^64 of them. */
static struct str client_key(struct str client, char room[64])
{
	char text[64];
	if (client.n == 0 || client.n >= sizeof(text))
		return STR_NONE;
	memcpy(text, client.p, client.n);
	text[client.n] = '\0';
	if (inet_pton(AF_INET6, text, room) == 1)
		return (struct str){ room, 8 };
	memcpy(room, client.p, client.n);
	return (struct str){ room, client.n };
}

/* The client first: of its key no two lengths begin alike. */
static struct str pair_key(struct str user, struct str client, char room[static PAIR_BYTES_MAX])
{
	char client_room[64];
	client = client_key(client, client_room);
	user = str_sub(user, 0, KEY_BYTES_MAX - 1);
	if (client.n == 0 || user.n == 0)
		return STR_NONE;
	room[0] = (char)client.n;
	memcpy(room + 1, client.p, client.n);
	memcpy(room + 1 + client.n, user.p, user.n);
	return (struct str){ room, 1 + client.n + user.n };
}

static void wear_off(struct table *t, struct entry *e, int64_t now_ms)
{
	int64_t gone = (now_ms - e->since_ms) / BACKOFF_WEARS_OFF_MS;
	if (gone >= e->failures) {
		forget(t, e);
	} else if (gone > 0) {
		e->failures -= (unsigned)gone;
		e->since_ms += gone * BACKOFF_WEARS_OFF_MS;
	}
}

static struct entry *find(struct table *t, struct str key, int64_t now_ms)
{
	struct entry *e = map_get(t->map, key);
	if (e == NULL)
		return NULL;
	wear_off(t, e, now_ms);
	return map_get(t->map, key);
}

/* As the one seen last; made where it is missing. */
static struct entry *touch(struct table *t, struct str key, int64_t now_ms)
{
	struct entry *e = map_get(t->map, key);
	if (e == NULL) {
		if (map_count(t->map) == BACKOFF_KEPT_MAX)
			forget(t, LIST_MEMBER(t->seen.head.prev, struct entry, in_table));
		e = must_alloc(sizeof(*e) + key.n);
		*e = (struct entry){ .since_ms = now_ms, .n = key.n };
		memcpy(e->key, key.p, key.n);
		link_init(&e->in_table);
		(void)map_set(t->map, key, e);
	}
	link_remove(&e->in_table);
	list_add_first(&t->seen, &e->in_table);
	return e;
}

static unsigned count_failure(struct table *t, struct str key, int64_t now_ms)
{
	if (key.n == 0)
		return 0;
	(void)find(t, key, now_ms);
	struct entry *e = touch(t, key, now_ms);
	if (e->failures < BACKOFF_FAILURES_MAX)
		e->failures++;
	return e->failures;
}

static void take_back(struct table *t, struct str key, unsigned failures, int64_t now_ms)
{
	struct entry *e = key.n > 0 ? find(t, key, now_ms) : NULL;
	if (e == NULL)
		return;
	if (e->failures > failures)
		e->failures -= failures;
	else
		forget(t, e);
}

static bool is_known(struct backoff *b, struct str user, struct str client)
{
	char room[PAIR_BYTES_MAX];
	struct str key = pair_key(user, client, room);
	return key.n > 0 && map_get(b->known.map, key) != NULL;
}

bool backoff_refuses(struct backoff *b, struct str client, int64_t now_ms)
{
	char room[64];
	struct str key = client_key(client, room);
	const struct entry *e = key.n > 0 ? find(&b->clients, key, now_ms) : NULL;
	return e != NULL && e->failures >= BACKOFF_CLIENT_MAX;
}

bool backoff_name_is_closed(struct backoff *b, struct str user, struct str client, int64_t now_ms)
{
	struct str key = str_sub(user, 0, KEY_BYTES_MAX);
	const struct entry *e = key.n > 0 ? find(&b->users, key, now_ms) : NULL;
	return e != NULL && e->failures >= BACKOFF_NAME_MAX && !is_known(b, user, client);
}

uint64_t backoff_failed(struct backoff *b, struct str user, struct str client, int64_t now_ms)
{
	char client_room[64], pair_room[PAIR_BYTES_MAX];
	unsigned of_user = count_failure(&b->users, str_sub(user, 0, KEY_BYTES_MAX), now_ms);
	unsigned of_client = count_failure(&b->clients, client_key(client, client_room), now_ms);
	unsigned of_pair = count_failure(&b->pairs, pair_key(user, client, pair_room), now_ms);
	if (is_known(b, user, client))
		of_user = of_pair; /* what others guess is not its owner's fault */
	unsigned worst = of_user > of_client ? of_user : of_client;
	uint64_t delay_ms = BACKOFF_DELAY_FIRST_MS;
	for (unsigned i = 1; i < worst && delay_ms < BACKOFF_DELAY_MAX_MS; i++)
		delay_ms *= 2;
	return delay_ms < BACKOFF_DELAY_MAX_MS ? delay_ms : BACKOFF_DELAY_MAX_MS;
}

void backoff_succeeded(struct backoff *b, struct str user, struct str client, int64_t now_ms)
{
	char client_room[64], pair_room[PAIR_BYTES_MAX];
	struct str pair = pair_key(user, client, pair_room);
	struct entry *e = pair.n > 0 ? find(&b->pairs, pair, now_ms) : NULL;
	if (e != NULL) {
		take_back(&b->users, str_sub(user, 0, KEY_BYTES_MAX), e->failures, now_ms);
		take_back(&b->clients, client_key(client, client_room), e->failures, now_ms);
		forget(&b->pairs, e);
	}
	if (pair.n > 0)
		(void)touch(&b->known, pair, now_ms);
}
