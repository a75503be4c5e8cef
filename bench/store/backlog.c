/* SPDX-License-Identifier: ISC */
/*
 * bench/store/backlog -- makes a queue in which much waits: every recipient has been tried once and is due again within hours.
 *
 * usage: backlog DIRECTORY [MESSAGES [RECIPIENTS [DOMAINS [BIG [CALLED]]]]]
 *
 * MESSAGES (1000) of RECIPIENTS (1) each, to somebody at one of DOMAINS (100000) domains, d0.backlog.test and so on in turn; of every
 * hundred recipients BIG (0) are at big.backlog.test instead. The first CALLED (0) messages are from called@backlog.test, which no other
 * is. The directory must not exist.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "store/store.h"

enum { AT_ONCE = 1000, SOON_S = 3600, SPREAD_S = 6 * 3600, AGE_S = 3600, TEXT_MAX = 96 };

static const struct store_ops *const ops = &store_sqlite;

struct maker {
	struct store *store;
	struct arena *arena;             /* of one commit */
	size_t messages, rcpts, domains, big, called;
	uint64_t made, elsewhere, settled; /* recipients */
	int64_t now_s;
};

static struct str text(struct maker *m, const char *format, unsigned long long n)
{
	char room[TEXT_MAX];
	snprintf(room, sizeof room, format, n);
	return arena_copy(m->arena, str_of(room));
}

static void must(fault f, const struct why *why)
{
	if (f == OK)
		return;
	fprintf(stderr, "backlog: %s (%s)\n", why->text, fault_name(f));
	exit(1);
}

static struct store_rcpt rcpt(struct maker *m, uint64_t n)
{
	char key[TEXT_MAX] = "mx:big.backlog.test", address[2 * TEXT_MAX];
	if (n % 100 >= m->big)
		snprintf(key, sizeof key, "mx:d%llu.backlog.test", (unsigned long long)(m->elsewhere++ % m->domains));
	snprintf(address, sizeof address, "user%llu@%s", (unsigned long long)n, key + strlen("mx:"));
	struct str to = arena_copy(m->arena, str_of(address));
	return (struct store_rcpt){ .address = to, .original = to, .key = arena_copy(m->arena, str_of(key)), .next_s = m->now_s - AGE_S };
}

/* One group commit of so many messages. */
static void add(struct maker *m, uint64_t from, size_t n)
{
	static const char line[] = "Subject: it waits\r\n\r\nIn a queue.\r\n";
	struct store_commit *c = ARENA_ARRAY(m->arena, struct store_commit, n);
	struct why why = { "" };
	for (size_t i = 0; i < n; i++) {
		struct store_rcpt *rcpts = ARENA_ARRAY(m->arena, struct store_rcpt, m->rcpts);
		for (size_t k = 0; k < m->rcpts; k++)
			rcpts[k] = rcpt(m, m->made++);
		c[i] = (struct store_commit){
			.message = { .id = text(m, "b%014llu", (unsigned long long)(from + i)), .arrived_s = m->now_s - AGE_S,
			             .sender = from + i < m->called ? STR("called@backlog.test") : STR("list@backlog.test"),
			             .client = STR("192.0.2.7"), .helo = STR("client.example"), .with = STR("ESMTPSA"),
			             .tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384 x25519") },
			.rcpts = rcpts, .n_rcpts = m->rcpts,
		};
		must(ops->draft_new(m->store, &c[i].draft), &why);
		must(ops->draft_append(m->store, c[i].draft, str_of(line)), &why);
	}
	must(ops->commit(m->store, c, n, NULL, 0, &why), &why);
	for (size_t i = 0; i < n; i++)
		must(c[i].result, &why);
	arena_reset(m->arena);
}

static struct store_grant as_many_as_there_are(void *owner, struct str key)
{
	(void)owner, (void)key;
	return (struct store_grant){ .messages = UINT32_MAX };
}

/* Everything that is due has failed, and is due again some time. */
static size_t defer(struct maker *m)
{
	struct store_room room = { .grant = as_many_as_there_are, .lane_room = { UINT32_MAX, UINT32_MAX, UINT32_MAX } };
	struct store_rcpt *rcpts = ARENA_ARRAY(m->arena, struct store_rcpt, AT_ONCE);
	struct store_outcome *o = ARENA_ARRAY(m->arena, struct store_outcome, AT_ONCE);
	struct why why = { "" };
	size_t n;
	must(ops->lease(m->store, m->now_s, 600, &room, m->arena, rcpts, AT_ONCE, &n, &why), &why);
	for (size_t i = 0; i < n; i++, m->settled++)
		o[i] = (struct store_outcome){ .rcpt = rcpts[i].number, .fence = rcpts[i].fence, .kind = SETTLE_LATER, .counts = true,
			                       .next_s = m->now_s + SOON_S + (int64_t)(m->settled * 7919 % SPREAD_S),
			                       .reply = STR("no server of the domain can be reached: connection timed out") };
	if (n > 0)
		must(ops->commit(m->store, NULL, 0, o, n, &why), &why);
	arena_reset(m->arena);
	return n;
}

static size_t number(int argc, char **argv, int at, size_t otherwise)
{
	return argc > at ? strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	struct maker m = { .messages = number(argc, argv, 2, 1000), .rcpts = number(argc, argv, 3, 1), .domains = number(argc, argv, 4, 100000),
		           .big = number(argc, argv, 5, 0), .called = number(argc, argv, 6, 0), .now_s = (int64_t)time(NULL) };
	struct why why = { "" };
	bool more = true;
	if (argc < 2 || argc > 7 || m.rcpts == 0 || m.rcpts > STORE_RCPTS_MAX || m.domains == 0) {
		fputs("usage: backlog DIRECTORY [MESSAGES [RECIPIENTS [DOMAINS [BIG [CALLED]]]]]\n", stderr);
		return 2;
	}
	must(ops->open(str_of(argv[1]), NULL, &m.store, &why), &why);
	m.arena = arena_new((size_t)4 << 30);
	size_t at_once = m.rcpts >= AT_ONCE ? 1 : AT_ONCE / m.rcpts;
	for (uint64_t from = 0; from < m.messages; from += at_once) {
		add(&m, from, m.messages - from < at_once ? m.messages - from : at_once);
		while (defer(&m) > 0)
			;
		must(ops->tidy(m.store, &more, &why), &why);
	}
	struct store_counts c;
	must(ops->counts(m.store, &c), &why);
	printf("%llu messages, %llu recipients, %llu bytes of content\n", (unsigned long long)c.messages, (unsigned long long)c.queued,
	       (unsigned long long)c.content_bytes);
	ops->close(&m.store);
	arena_free(&m.arena);
	return 0;
}
