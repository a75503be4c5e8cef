/* SPDX-License-Identifier: ISC */
/*
 * test/sim/crash.c -- the store alone: a short life (life.h) is recorded, and the power fails at every operation of it.
 *
 * usage: crash [--seed N] [--seeds FIRST LAST] [--steps N] [--bits N] [--draws N] [--one-in N]
 *        crash [...] --fail every N   instead: one write or sync fails, in the first step, in step 1 + N, ...
 *        crash [...] --plant NAME     a fault on purpose; exit status 0 if it was found
 *        crash --seed N --at OPERATION STYLE NUMBER   one state of one run, with what is wrong with it
 *
 * At every operation every subset of what is pending is tried if these are no more than --bits operations; else, and for torn
 * sectors anyway, single ones, beginnings, and --draws by chance. States that were seen before are not tried again;
 * --one-in tries a part of the rest. In a part of the states the power fails once more while the queue recovers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "disk.h"
#include "fates.h"
#include "life.h"
#include "role/role.h"
#include "store/content_log.h"
#include "sys/clock.h"
#include "vfs.h"
#include "world.h"

enum { SECOND_ONE_IN = 5, VIOLATIONS_TOLD = 20, AFTER_FAILURE_DRAWS = 3 };

static struct {
	uint64_t first, last, draws, one_in, fail_every, at, number;
	unsigned steps, bits;
	bool one_state;
	int style;
	const char *plant;
} wanted = { .first = 1, .last = 1, .draws = 12, .one_in = 1, .steps = 30, .bits = 6, .plant = "" };

struct trace { struct op **ops; size_t n, cap; };

static struct {
	unsigned long runs, operations, points, states, tried, second, failures, compactions, recycled, files_cut, violations;
} sum;

static struct life_plant life_plant;
static struct disk_plant disk_plant;

/* --- recording --- */

static void record(void *owner, struct op *op)
{
	struct trace *t = owner;
	if (t->n == t->cap) {
		t->cap = t->cap * 2 + 1024;
		t->ops = must_resize(t->ops, t->cap * sizeof(struct op *));
	}
	t->ops[t->n++] = op_keep(op);
}

static void trace_clear(struct trace *t)
{
	for (size_t i = 0; i < t->n; i++)
		op_drop(t->ops[i]);
	free(t->ops);
	*t = (struct trace){ NULL, 0, 0 };
}

/* What the linker gives us (meson.build): whether segments are compacted. */
bool __wrap_content_log_mark_sparse(struct content_log *log);
bool __real_content_log_mark_sparse(struct content_log *log);
bool __wrap_content_log_mark_sparse(struct content_log *log)
{
	bool sparse = __real_content_log_mark_sparse(log);
	sum.compactions += sparse;
	return sparse;
}

/* A second first record in a file: the segment is used again. */
static void count_recycled(const struct trace *t)
{
	enum { INODES = 4096 };
	bool *begun = must_alloc(INODES * sizeof(bool));
	struct medium *m = medium_new();
	for (size_t i = 0; i < t->n; i++) {
		char magic[4] = "";
		const struct op *op = t->ops[i];
		medium_do(m, t->ops[i]);
		if (op->kind != OP_WRITE || op->offset != 0 || op->inode >= INODES ||
		    medium_read(m, op->inode, 0, magic, 4) != 4 || memcmp(magic, "SPB1", 4) != 0)
			continue;
		sum.recycled += begun[op->inode];
		begun[op->inode] = true;
	}
	medium_free(&m);
	free(begun);
}

static void begin(uint64_t seed)
{
	world_begin(seed);
	vfs_reseed();
}

/* --- one state --- */

struct cut { uint64_t seed; size_t at; struct fates fates; };

static void told(const struct cut *c, const char *what, struct buf *report)
{
	sum.violations++;
	if (sum.violations <= VIOLATIONS_TOLD)
		printf("seed %llu, operation %zu, %s (--at %zu %d %llu)%s:\n%.*s", (unsigned long long)c->seed, c->at,
		       fate_style_name(c->fates.style), c->at, (int)c->fates.style, (unsigned long long)c->fates.number, what,
		       STR_ARG(buf_view(report)));
}

/* Judges what is found on this medium, which is consumed. */
static bool judge(struct life *l, const struct cut *c, struct medium *found, const struct belief *b, bool exact, bool goes_on,
                  const char *what)
{
	struct buf report;
	buf_init(&report, 1 << 20);
	begin(c->seed);
	struct medium *before = disk_swap(found);
	life_judge(l, b, exact, goes_on, &report);
	(void)disk_swap(before);
	medium_watch(found, NULL, NULL);
	medium_free(&found);
	bool right = buf_view(&report).n == 0;
	if (!right)
		told(c, what, &report);
	buf_fini(&report);
	return right;
}

static struct medium *after(const struct medium *m, struct fates fates)
{
	struct fate fate = fate_of(&fates);
	return medium_after(m, &fate);
}

/* The power fails again, in one of the operations of recovery and what followed it. */
static void fail_again(struct life *l, const struct cut *c, struct medium *again, const struct trace *recovery,
                       const struct belief *b, uint64_t chance)
{
	struct belief belief = *b;
	size_t at = (size_t)(chance % (recovery->n + 1));
	for (size_t i = 0; i < at; i++) {
		medium_do(again, recovery->ops[i]);
		if (recovery->ops[i]->kind == OP_MARK)
			life_mark(&belief, recovery->ops[i]->size);
	}
	struct fates fates = { (enum fate_style)(chance / 7 % FATE_STYLES), chance / 11 };
	struct medium *found = after(again, fates);
	medium_free(&again);
	sum.second++;
	(void)judge(l, c, found, &belief, false, false, ", and in recovery once more");
}

static void try_state(struct life *l, const struct medium *m, const struct cut *c, const struct belief *b, uint64_t hash)
{
	struct trace recovery = { NULL, 0, 0 };
	struct medium *found = after(m, c->fates);
	medium_watch(found, record, &recovery);
	sum.tried++;
	bool right = judge(l, c, found, b, true, true, "");
	if (right && hash / 31 % SECOND_ONE_IN == 0)
		fail_again(l, c, after(m, c->fates), &recovery, b, hash);
	trace_clear(&recovery);
	life_rewind(l);
}

/* --- every state at one operation --- */

static uint64_t hash_with(const struct belief *b, uint64_t h)
{
	for (size_t i = 0; i < sizeof b->status; i++)
		h = (h ^ b->status[i]) * 0x100000001b3u;
	return h ^ h >> 31;
}

static void consider(struct life *l, struct map *seen, const struct medium *m, const struct cut *c, const struct belief *b)
{
	static char yes;
	struct medium *found = after(m, c->fates);
	uint64_t hash = hash_with(b, medium_hash(found));
	medium_free(&found);
	if (map_set_u64(seen, hash, &yes) != NULL)
		return;
	sum.states++;
	if (hash % wanted.one_in == 0 && !(wanted.plant[0] != '\0' && sum.violations > 0))
		try_state(l, m, c, b, hash);
}

static void every_state(struct life *l, struct map *seen, const struct medium *m, uint64_t seed, size_t at,
                        const struct belief *b)
{
	size_t n = medium_n_pending(m);
	struct cut c = { seed, at, { FATE_NOTHING, 0 } };
	if (n <= wanted.bits)
		for (c.fates.style = FATE_MASK; c.fates.number < (uint64_t)1 << n; c.fates.number++)
			consider(l, seen, m, &c, b);
	static const enum fate_style by_one[] = { FATE_ONLY_ONE, FATE_BUT_ONE, FATE_FIRST };
	for (size_t i = 0; i < COUNT(by_one); i++)
		for (c.fates = (struct fates){ by_one[i], 0 }; c.fates.number <= n; c.fates.number++)
			consider(l, seen, m, &c, b);
	static const enum fate_style by_chance[] = { FATE_OPERATIONS, FATE_SECTORS, FATE_TORN };
	for (uint64_t i = 0; n > 0 && i < wanted.draws; i++) {
		c.fates = (struct fates){ by_chance[i % COUNT(by_chance)], (seed * 1000003 + at) * 1000 + i };
		consider(l, seen, m, &c, b);
	}
}

static void cut_everywhere(struct life *l, const struct trace *t, uint64_t seed)
{
	struct map *seen = map_new(seed);
	struct medium *m = medium_new();
	struct belief b = { { 0 } };
	bool begun = false;
	for (size_t i = 0; i <= t->n && !(wanted.plant[0] != '\0' && sum.violations > 0); i++) {
		if (begun && (i == t->n || t->ops[i]->kind != OP_MARK)) {
			sum.points++;
			every_state(l, seen, m, seed, i, &b);
		}
		if (i == t->n)
			break;
		medium_do(m, t->ops[i]);
		begun = begun || t->ops[i]->kind == OP_MARK;
		if (t->ops[i]->kind == OP_MARK)
			life_mark(&b, t->ops[i]->size);
	}
	medium_free(&m);
	map_free(&seen);
}

static void cut_at(struct life *l, const struct trace *t, const struct cut *c)
{
	struct medium *m = medium_new();
	struct belief b = { { 0 } };
	for (size_t i = 0; i < c->at && i < t->n; i++) {
		medium_do(m, t->ops[i]);
		if (t->ops[i]->kind == OP_MARK)
			life_mark(&b, t->ops[i]->size);
	}
	struct medium *found = after(m, c->fates);
	uint64_t hash = hash_with(&b, medium_hash(found));
	medium_free(&found);
	try_state(l, m, c, &b, hash);
	medium_free(&m);
}

/* --- a run --- */

static void start(uint64_t seed, struct trace *t)
{
	begin(seed);
	disk_begin();
	disk.plant = disk_plant;
	medium_watch(disk.medium, record, t);
	medium_link(disk.medium, MEDIUM_ROOT, STR("var"), medium_make(disk.medium, true));
	medium_sync_everything(disk.medium);
	medium_mark(disk.medium, (DEEDS_MAX - 1) << 2); /* from here on: the machine without a queue is there */
}

static void play(uint64_t seed)
{
	struct trace t = { NULL, 0, 0 };
	start(seed, &t);
	struct life *l = life_new(seed, &life_plant);
	check(life_run(l, wanted.steps));
	sum.runs++;
	sum.operations += disk.steps;
	sum.files_cut += disk.files_cut;
	count_recycled(&t);
	if (wanted.one_state)
		cut_at(l, &t, &(struct cut){ seed, (size_t)wanted.at, { (enum fate_style)wanted.style, wanted.number } });
	else
		cut_everywhere(l, &t, seed);
	life_free(&l);
	disk_end();
	trace_clear(&t);
}

/* --- a write or a sync fails --- */

/* From the failure on, some crashes; then one at the end, when nothing that is pending is kept: what a failed sync dropped is
 * gone, whatever a later one has said. */
static void judge_failure(struct life *l, const struct trace *t, uint64_t seed, unsigned long step)
{
	char what[64];
	struct belief b = { { 0 } };
	struct medium *m = medium_new();
	bool begun = false;
	(void)snprintf(what, sizeof what, ", after a failure in step %lu", step);
	for (size_t i = 0; i < t->n; i++) {
		medium_do(m, t->ops[i]);
		if (t->ops[i]->kind == OP_MARK)
			life_mark(&b, t->ops[i]->size);
		begun = begun || t->ops[i]->kind == OP_MARK;
		if (!begun || (i + 1 < t->n && chance_below(t->n) >= AFTER_FAILURE_DRAWS))
			continue;
		struct cut c = { seed, i, { i + 1 == t->n || chance_below(2) == 0 ? FATE_NOTHING : FATE_TORN, random_u64() } };
		uint64_t chance = world.chance;
		sum.tried++;
		(void)judge(l, &c, after(m, c.fates), &b, false, true, what);
		world.chance = chance;
		life_rewind(l);
	}
	medium_free(&m);
	if (disk.repeated == 0)
		return;
	sum.violations++;
	printf("seed %llu%s: what had failed to be synced was synced again\n", (unsigned long long)seed, what);
}

static bool play_failure(uint64_t seed, unsigned long step, fault f)
{
	struct trace t = { NULL, 0, 0 };
	start(seed, &t);
	disk.fail_at = step;
	disk.fail_to = step + (step % 3 == 0 ? step % 17 : 0); /* some last longer */
	disk.fail_with = f;
	struct life *l = life_new(seed, &life_plant);
	bool open = life_run(l, wanted.steps), happened = disk.failed;
	disk.fail_at = disk.fail_to = 0;
	sum.failures += happened;
	sum.operations += disk.steps;
	sum.files_cut += disk.files_cut;
	if (!open) {
		printf("seed %llu: after a failure in step %lu the queue does not open any more\n", (unsigned long long)seed, step);
		sum.violations++;
	} else if (happened) {
		judge_failure(l, &t, seed, step);
	}
	life_free(&l);
	disk_end();
	trace_clear(&t);
	return happened;
}

static void fail_everywhere(uint64_t seed)
{
	bool goes_on = true;
	sum.runs++;
	for (unsigned long step = 1 + seed % wanted.fail_every; goes_on; step += wanted.fail_every) {
		goes_on = play_failure(seed, step, F_SYS);
		if (goes_on)
			goes_on = play_failure(seed, step, F_LIMIT);
		if (wanted.plant[0] != '\0' && sum.violations > 0)
			return;
	}
}

/* --- the command line --- */

static const struct plant { const char *name; bool *on; } plants[] = {
	{ "content-unsynced", &disk_plant.no_file_sync },
	{ "names-unsynced", &disk_plant.no_name_sync },
	{ "database-unsynced", &disk_plant.no_sqlite_sync },
	{ "synced-again", &disk_plant.syncs_again },
	{ "told-early", &life_plant.told_early },
	{ "reused-early", &life_plant.settled_unflushed },
	{ "moved-unsynced", &life_plant.moved_unflushed },
};

static bool plant(const char *name)
{
	for (size_t i = 0; i < COUNT(plants); i++)
		if (strcmp(plants[i].name, name) == 0) {
			wanted.plant = name;
			return *plants[i].on = true;
		}
	return false;
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

static bool understood(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		int left = argc - i - 1;
		if (strcmp(word, "--seed") == 0 && left >= 1) {
			wanted.first = wanted.last = number(argv[++i]);
		} else if (strcmp(word, "--seeds") == 0 && left >= 2) {
			wanted.first = number(argv[++i]);
			wanted.last = number(argv[++i]);
		} else if (strcmp(word, "--steps") == 0 && left >= 1) {
			wanted.steps = (unsigned)number(argv[++i]);
		} else if (strcmp(word, "--bits") == 0 && left >= 1) {
			wanted.bits = (unsigned)number(argv[++i]);
		} else if (strcmp(word, "--draws") == 0 && left >= 1) {
			wanted.draws = number(argv[++i]);
		} else if (strcmp(word, "--one-in") == 0 && left >= 1) {
			wanted.one_in = number(argv[++i]);
		} else if (strcmp(word, "--fail") == 0 && left >= 2 && strcmp(argv[i + 1], "every") == 0) {
			wanted.fail_every = number(argv[i += 2]);
		} else if (strcmp(word, "--at") == 0 && left >= 3) {
			wanted.one_state = true;
			wanted.at = number(argv[++i]);
			wanted.style = (int)number(argv[++i]);
			wanted.number = number(argv[++i]);
		} else if (strcmp(word, "--plant") != 0 || left < 1 || !plant(argv[++i])) {
			fprintf(stderr, "usage: see the head of test/sim/crash.c\n");
			return false;
		}
	}
	return wanted.one_in > 0 && wanted.bits < 24 && wanted.style < FATE_STYLES;
}

/* The world brings roles along; none runs here. */
struct role_base *role_start(struct loop *loop, const char *name, int control_fd)
{
	(void)loop, (void)name, (void)control_fd;
	return NULL;
}

void role_free(struct role_base **base)
{
	*base = NULL;
}

void role_on_end(struct role_base *base, void (*ended)(void *owner), void *owner)
{
	(void)base, (void)ended, (void)owner;
}

int main(int argc, char **argv)
{
	if (!understood(argc, argv))
		return 2;
	vfs_begin();
	for (uint64_t seed = wanted.first; seed <= wanted.last; seed++) {
		if (wanted.fail_every > 0)
			fail_everywhere(seed);
		else
			play(seed);
	}
	printf("crash: %lu runs of %u steps, %lu operations of the disk, %lu segments used again, %lu cut, %lu compactions; ", sum.runs,
	       wanted.steps, sum.operations, sum.recycled, sum.files_cut, sum.compactions);
	if (wanted.fail_every > 0)
		printf("%lu failures, ", sum.failures);
	else
		printf("%lu points, %lu different states, ", sum.points, sum.states);
	printf("%lu tried, %lu of them with a second crash; %lu letters, %lu recipients and %lu contents checked; %lu violations\n",
	       sum.tried, sum.second, life_sum.letters, life_sum.recipients, life_sum.contents, sum.violations);
	return wanted.plant[0] == '\0' ? sum.violations > 0 : sum.violations == 0;
}
