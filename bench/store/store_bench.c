/* SPDX-License-Identifier: ISC */
/*
 * bench/store -- what a message costs in the store alone: accepted durably, leased, read back, settled.
 *
 * usage: store_bench [DIRECTORY [MESSAGES [BYTES [BATCH]]]]; the directory must not exist and is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/check.h"
#include "store/store.h"

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static const struct store_ops *const ops = &store_sqlite;

struct bench { struct store *store; struct arena *arena; size_t bytes, batch; char *content; uint64_t next; };

static void ingest(struct bench *b)
{
	struct store_commit *c = must_alloc(b->batch * sizeof *c);
	char (*ids)[32] = must_alloc(b->batch * sizeof *ids);
	char (*keys)[32] = must_alloc(b->batch * sizeof *keys);
	struct store_rcpt *rcpts = must_alloc(b->batch * sizeof *rcpts);
	struct why why;
	for (size_t i = 0; i < b->batch; i++) {
		uint64_t n = b->next++;
		snprintf(ids[i], 32, "m%012llu", (unsigned long long)n);
		snprintf(keys[i], 32, "mx:domain%llu.example", (unsigned long long)(n * 7 % 500));
		rcpts[i] = (struct store_rcpt){ .address = STR("somebody@domain.example"), .original = STR("somebody@domain.example"),
			                        .key = str_of(keys[i]), .next_s = 1000 };
		c[i] = (struct store_commit){ .message = { .id = str_of(ids[i]), .sender = STR("jada@example.org"), .arrived_s = 1000,
			                                   .client = STR("192.0.2.7"), .helo = STR("client.example"),
			                                   .with = STR("ESMTPSA"), .tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384 x25519") },
			                      .rcpts = &rcpts[i], .n_rcpts = 1 };
		check(ops->draft_new(b->store, &c[i].draft) == OK);
		check(ops->draft_append(b->store, c[i].draft, (struct str){ b->content, b->bytes }) == OK);
	}
	if (ops->commit(b->store, c, b->batch, NULL, 0, &why) != OK) {
		fprintf(stderr, "%s\n", why.text);
		exit(1);
	}
	free(c), free(ids), free(keys), free(rcpts);
}

static struct store_grant grant_some(void *owner, struct str key)
{
	(void)owner, (void)key;
	return (struct store_grant){ .messages = 20 };
}

static size_t deliver(struct bench *b)
{
	struct store_room room = { .grant = grant_some, .lane_room = { 1000, 1000, 1000 } };
	struct store_rcpt *out = ARENA_ARRAY(b->arena, struct store_rcpt, b->batch);
	struct store_outcome *o = ARENA_ARRAY(b->arena, struct store_outcome, b->batch);
	static char chunk[64 << 10];
	size_t n, got;
	check(ops->lease(b->store, 1000, 600, &room, b->arena, out, b->batch, &n, NULL) == OK);
	for (size_t i = 0; i < n; i++) {
		uint64_t at = 0;
		do {
			check(ops->content(b->store, out[i].id, at, chunk, sizeof chunk, &got) == OK);
			at += got;
		} while (got > 0);
		check(at == b->bytes);
		o[i] = (struct store_outcome){ .rcpt = out[i].number, .fence = out[i].fence, .kind = SETTLE_DONE };
	}
	if (n > 0)
		check(ops->commit(b->store, NULL, 0, o, n, NULL) == OK);
	arena_reset(b->arena);
	return n;
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : "/tmp/store-bench";
	size_t messages = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;
	struct bench b = { .bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 10000,
		           .batch = argc > 4 ? strtoul(argv[4], NULL, 10) : 50, .arena = arena_new(1 << 30) };
	struct why why;
	bool more;
	if (ops->open(str_of(directory), NULL, &b.store, &why) != OK) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	b.content = must_alloc(b.bytes + 1);
	memset(b.content, 'x', b.bytes);
	size_t rounds = messages / b.batch, n_times = 0;
	double *times = must_alloc((rounds + 1) * sizeof *times);
	double start = now_s(), cpu = cpu_s();
	size_t left = 0;
	for (size_t r = 0; r < rounds; r++) {
		double t = now_s();
		ingest(&b);
		times[n_times++] = now_s() - t;
		left += b.batch;
		if (left > 20 * b.batch) /* some wait, as in a real queue */
			left -= deliver(&b);
		check(ops->tidy(b.store, &more, NULL) == OK);
	}
	while (deliver(&b) > 0)
		;
	double wall = now_s() - start;
	cpu = cpu_s() - cpu;
	qsort(times, n_times, sizeof *times, by_value);
	struct store_counts c;
	check(ops->counts(b.store, &c) == OK && c.messages == 0);
	printf("%8s %8s %6s | %12s %11s | %16s %16s | %8s\n", "messages", "bytes", "batch", "CPU s / 1000", "messages/s",
	       "commit p50 ms", "commit p99 ms", "disk MB");
	printf("%8zu %8zu %6zu | %12.4f %11.0f | %16.2f %16.2f | %8.0f\n", rounds * b.batch, b.bytes, b.batch,
	       cpu * 1000 / (double)(rounds * b.batch), (double)(rounds * b.batch) / wall, times[n_times / 2] * 1000,
	       times[n_times * 99 / 100] * 1000, (double)c.disk_bytes / (1 << 20));
	ops->close(&b.store);
	free(times);
	free(b.content);
	arena_free(&b.arena);
	return 0;
}
