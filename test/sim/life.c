/* SPDX-License-Identifier: ISC */
#include "life.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "disk.h"
#include "store/content_log.h"
#include "world.h"

enum {
	LETTERS_MAX = 160, RCPTS_MAX = 2, EFFECTS_MAX = 24, GROUP_MAX = 3, LEASED_MAX = 8,
	REOPENED_MAX = 20, STEP_S = 30, SHORT_EVERY = 5, NOW_S = 1000000, LEASE_S = 600, BIG_BYTES = 70000, SMALL_BYTES = 4000, ARENA_BYTES = 8 << 20,
};

static const struct store_ops *const ops = &store_sqlite;
static const char directory[] = "/var/queue";

enum effect_kind { EFFECT_PUT, EFFECT_END, EFFECT_WAIT };
struct effect { enum effect_kind kind; unsigned letter, rcpt; bool refused; };
struct deed { struct effect effects[EFFECTS_MAX]; unsigned n; };

struct letter { unsigned bytes, n_rcpts; };

struct life {
	uint64_t seed, chance;
	struct life_plant plant;
	struct store *store;
	struct arena *arena;
	struct letter letters[LETTERS_MAX];
	unsigned n_letters;
	struct deed deeds[DEEDS_MAX];
	unsigned n_deeds;
	struct belief belief;
	int64_t now_s;
	char *bytes;
	struct { unsigned n_letters, n_deeds; uint64_t chance; int64_t now_s; struct belief belief; } end; /* of life_run */
};

struct life_sum life_sum;

static uint64_t below(struct life *l, uint64_t n)
{
	l->chance = l->chance * 6364136223846793005u + 1442695040888963407u;
	return (l->chance >> 33) % n;
}

/* --- marks --- */

void life_mark(struct belief *b, uint64_t mark)
{
	b->status[mark >> 2] = (unsigned char)(mark & 3);
}

static void mark(struct life *l, unsigned deed, enum deed_status status)
{
	uint64_t m = (uint64_t)deed << 2 | status;
	life_mark(&l->belief, m);
	medium_mark(disk.medium, m);
}

static unsigned deed_new(struct life *l)
{
	check(l->n_deeds < DEEDS_MAX);
	l->deeds[l->n_deeds].n = 0;
	return l->n_deeds++;
}

static void effect(struct life *l, unsigned deed, enum effect_kind kind, unsigned letter, unsigned rcpt)
{
	struct deed *d = &l->deeds[deed];
	check(d->n < EFFECTS_MAX);
	d->effects[d->n++] = (struct effect){ kind, letter, rcpt, false };
}

/* --- letters --- */

static struct str letter_bytes(struct life *l, unsigned letter)
{
	uint32_t x = (uint32_t)(l->seed * 31 + letter * 2654435761u + 1);
	for (unsigned i = 0; i < l->letters[letter].bytes; i++) {
		x = x * 1103515245 + 12345;
		l->bytes[i] = (char)(x >> 16);
	}
	return (struct str){ l->bytes, l->letters[letter].bytes };
}

static unsigned letter_new(struct life *l, bool small)
{
	check(l->n_letters < LETTERS_MAX);
	struct letter *new = &l->letters[l->n_letters];
	new->bytes = 1 + (unsigned)below(l, small || below(l, 3) == 0 ? SMALL_BYTES : BIG_BYTES);
	new->n_rcpts = 1 + (unsigned)below(l, RCPTS_MAX);
	return l->n_letters++;
}

/* A commit of a letter, its content in the draft already. */
struct putting { struct store_commit commit; struct store_rcpt rcpts[RCPTS_MAX]; char id[16], addresses[RCPTS_MAX][48]; unsigned letter; };

static bool put_begin(struct life *l, struct putting *p, unsigned letter)
{
	*p = (struct putting){ .letter = letter };
	if (ops->draft_new(l->store, &p->commit.draft) != OK)
		return false;
	struct str bytes = letter_bytes(l, letter);
	while (bytes.n > 0) { /* as it comes from a front */
		struct str part = str_sub(bytes, 0, 9000);
		(void)!ops->draft_append(l->store, p->commit.draft, part); /* the draft remembers; commit tells */
		bytes = str_from(bytes, part.n);
	}
	(void)snprintf(p->id, sizeof p->id, "m%u", letter);
	for (unsigned i = 0; i < l->letters[letter].n_rcpts; i++) {
		(void)snprintf(p->addresses[i], sizeof p->addresses[i], "r%u@y%u.example", i, i);
		p->rcpts[i] = (struct store_rcpt){ .address = str_of(p->addresses[i]), .key = str_of(p->addresses[i] + 3),
			                           .next_s = l->now_s };
	}
	p->commit.message = (struct store_message){ .id = str_of(p->id), .sender = STR("a@x.example"), .arrived_s = l->now_s };
	p->commit.rcpts = p->rcpts;
	p->commit.n_rcpts = l->letters[letter].n_rcpts;
	return true;
}

/* --- deeds --- */

/* After an orderly end, or after the process was killed: then what it wrote is still seen. */
static void reopen(struct life *l)
{
	struct store_options options = { .segment_bytes = SEGMENT_BYTES_MIN, .keep_free_bytes = SEGMENT_BYTES_MIN };
	world.dying = below(l, 2) == 0;
	ops->close(&l->store);
	world.dying = false;
	if (ops->open(str_of(directory), &options, &l->store, NULL) != OK)
		l->store = NULL;
	life_sum.reopened++;
}

/* What was refused for want of room has not happened; what the storage failed in is known to nobody. */
static void deed_over(struct life *l, unsigned deed, fault f)
{
	if (f == OK || l->plant.told_early)
		mark(l, deed, DEED_DONE);
	else if (f != F_STORE)
		mark(l, deed, DEED_NOT_BEGUN);
	if (f == F_STORE)
		reopen(l);
	life_sum.deeds++;
}

static void commit(struct life *l, struct putting *puts, size_t n_puts, struct store_outcome *outcomes, size_t n_outcomes,
                   unsigned deed)
{
	struct store_commit commits[GROUP_MAX];
	for (size_t i = 0; i < n_puts; i++) {
		commits[i] = puts[i].commit;
		effect(l, deed, EFFECT_PUT, puts[i].letter, 0);
	}
	mark(l, deed, l->plant.told_early ? DEED_DONE : DEED_UNDER_WAY);
	disk.plant.no_sqlite_sync |= l->plant.settled_unflushed && n_puts == 0;
	fault f = ops->commit(l->store, commits, n_puts, outcomes, n_outcomes, NULL);
	disk.plant.no_sqlite_sync &= !l->plant.settled_unflushed;
	for (size_t i = 0; f == OK && i < l->deeds[deed].n; i++) {
		struct effect *e = &l->deeds[deed].effects[i];
		for (size_t k = 0; k < n_puts; k++)
			if (e->kind == EFFECT_PUT && e->letter == puts[k].letter)
				e->refused = commits[k].result != OK;
	}
	deed_over(l, deed, f);
}

static void put_letters(struct life *l)
{
	struct putting puts[GROUP_MAX];
	size_t n = 1 + below(l, GROUP_MAX);
	unsigned deed = deed_new(l);
	for (size_t i = 0; i < n; i++)
		if (!put_begin(l, &puts[i], letter_new(l, false))) {
			while (i-- > 0)
				ops->draft_drop(l->store, &puts[i].commit.draft);
			reopen(l);
			return;
		}
	commit(l, puts, n, NULL, 0, deed);
}

static void which_is(const struct store_rcpt *r, unsigned *letter, unsigned *rcpt)
{
	*letter = (unsigned)strtoul(r->id.p + 1, NULL, 10); /* a copy, NUL follows */
	*rcpt = (unsigned)strtoul(r->address.p + 1, NULL, 10);
}

static struct store_grant grant_much(void *owner, struct str key)
{
	(void)owner, (void)key;
	return (struct store_grant){ .messages = 1000 };
}

/* Leases some and settles them together; the first that fails for good takes a notice along. */
static void settle_some(struct life *l)
{
	static const struct store_room room = { .grant = grant_much, .lane_room = { 1000, 1000, 1000 } };
	struct store_rcpt rows[LEASED_MAX];
	struct store_outcome outcomes[LEASED_MAX];
	struct putting notice;
	size_t n = 0;
	arena_reset(l->arena);
	if (ops->lease(l->store, l->now_s, LEASE_S, &room, l->arena, rows, 2 + below(l, LEASED_MAX - 1), &n, NULL) != OK) {
		reopen(l);
		return;
	}
	unsigned deed = deed_new(l), letter, rcpt;
	bool with_notice = n > 0 && below(l, 4) == 0 && put_begin(l, &notice, letter_new(l, true));
	for (size_t i = 0; i < n; i++) {
		bool later = below(l, 6) == 0 && !(with_notice && i == 0);
		outcomes[i] = (struct store_outcome){ .rcpt = rows[i].number, .fence = rows[i].fence, .counts = true,
			                              .kind = later ? SETTLE_LATER : SETTLE_DONE, .next_s = l->now_s + 60,
			                              .needs = NULL };
		which_is(&rows[i], &letter, &rcpt);
		effect(l, deed, later ? EFFECT_WAIT : EFFECT_END, letter, rcpt);
	}
	commit(l, &notice, with_notice ? 1 : 0, outcomes, n, deed);
}

static void remove_by_hand(struct life *l)
{
	if (l->n_letters == 0)
		return;
	unsigned deed = deed_new(l), letter = (unsigned)below(l, l->n_letters);
	char id[16];
	uint64_t n;
	(void)snprintf(id, sizeof id, "m%u", letter);
	struct store_selector which = { .id = str_of(id) };
	for (unsigned i = 0; i < l->letters[letter].n_rcpts; i++)
		effect(l, deed, EFFECT_END, letter, i);
	mark(l, deed, l->plant.told_early ? DEED_DONE : DEED_UNDER_WAY);
	deed_over(l, deed, ops->act(l->store, &which, ACT_REMOVE, l->now_s, &n));
}

static void leave_a_draft(struct life *l)
{
	struct putting p;
	if (put_begin(l, &p, letter_new(l, false)) && below(l, 2) == 0)
		ops->draft_drop(l->store, &p.commit.draft);
}

static void tidy(struct life *l, unsigned times)
{
	bool more = true;
	disk.plant.no_file_sync |= l->plant.moved_unflushed;
	disk.is_short = l->now_s / STEP_S % SHORT_EVERY == 0;
	for (unsigned i = 0; i < times && more && l->store != NULL; i++) {
		fault f = ops->tidy(l->store, &more, NULL);
		life_sum.tidied++;
		if (f == F_STORE)
			reopen(l);
		if (f != OK)
			break;
	}
	disk.plant.no_file_sync &= !l->plant.moved_unflushed;
	disk.is_short = false;
}

static void one_step(struct life *l)
{
	uint64_t what = below(l, 20);
	l->now_s += STEP_S;
	if (what < 8)
		put_letters(l);
	else if (what < 15)
		settle_some(l);
	else if (what < 17)
		leave_a_draft(l);
	else if (what < 18)
		remove_by_hand(l);
	else if (what < 19)
		reopen(l);
	if (l->store != NULL)
		tidy(l, 1 + (unsigned)below(l, 6));
}

bool life_run(struct life *l, unsigned steps)
{
	reopen(l);
	for (unsigned i = 0; i < steps; i++)
		if (l->store != NULL)
			one_step(l);
		else
			reopen(l); /* as the spool does: again and again, until the disk is well */
	for (unsigned tries = 0; l->store == NULL && tries < REOPENED_MAX; tries++)
		reopen(l);
	bool open = l->store != NULL;
	ops->close(&l->store);
	l->end.n_letters = l->n_letters;
	l->end.n_deeds = l->n_deeds;
	l->end.chance = l->chance;
	l->end.now_s = l->now_s;
	l->end.belief = l->belief;
	return open;
}

void life_rewind(struct life *l)
{
	l->n_letters = l->end.n_letters;
	l->n_deeds = l->end.n_deeds;
	l->chance = l->end.chance;
	l->now_s = l->end.now_s;
	l->belief = l->end.belief;
}

struct life *life_new(uint64_t seed, const struct life_plant *plant)
{
	struct life *l = NEW(struct life);
	l->seed = seed;
	l->chance = seed * 0x9e3779b97f4a7c15u + 99;
	l->plant = *plant;
	l->now_s = NOW_S;
	l->arena = arena_new(ARENA_BYTES);
	l->bytes = must_alloc(BIG_BYTES + 1);
	return l;
}

void life_free(struct life **l)
{
	ops->close(&(*l)->store);
	arena_free(&(*l)->arena);
	free((*l)->bytes);
	free(*l);
	*l = NULL;
}

const struct belief *life_belief(const struct life *l)
{
	return &l->belief;
}

/* --- judging --- */

struct seen { bool there[LETTERS_MAX][RCPTS_MAX]; unsigned attempts[LETTERS_MAX][RCPTS_MAX]; };

static void complain(struct buf *report, const char *what, unsigned letter, unsigned rcpt)
{
	(void)!buf_addf(report, "  %s: letter %u, recipient %u\n", what, letter, rcpt);
}

static bool look(struct life *l, struct seen *seen, struct buf *report)
{
	struct store_rcpt *rows = must_alloc(LETTERS_MAX * RCPTS_MAX * sizeof *rows);
	struct store_selector all = { .to = STR_NONE };
	size_t n = 0;
	unsigned letter, rcpt;
	memset(seen, 0, sizeof *seen);
	arena_reset(l->arena);
	fault f = ops->list(l->store, &all, 0, l->arena, rows, (size_t)LETTERS_MAX * RCPTS_MAX, &n);
	for (size_t i = 0; i < n; i++) {
		which_is(&rows[i], &letter, &rcpt);
		if (letter >= l->n_letters || rcpt >= l->letters[letter].n_rcpts || seen->there[letter][rcpt])
			complain(report, "nobody sent this, or it is there twice", letter, rcpt);
		else
			seen->there[letter][rcpt] = true;
		if (letter < LETTERS_MAX && rcpt < RCPTS_MAX)
			seen->attempts[letter][rcpt] = rows[i].attempts;
	}
	life_sum.recipients += n;
	free(rows);
	if (f != OK)
		(void)!buf_addf(report, "  the queue cannot be listed (%s)\n", fault_name(f));
	return f == OK;
}

/* Which deeds touch this recipient: was it put, was it settled, how often was it put off? Each at least, and at most. */
struct bounds { bool put_least, put_most, end_least, end_most; unsigned waits_least, waits_most; };

static struct bounds bounds_of(const struct life *l, const struct belief *b, unsigned letter, unsigned rcpt)
{
	struct bounds k = { 0 };
	for (unsigned d = 0; d < l->n_deeds; d++)
		for (unsigned i = 0; i < l->deeds[d].n; i++) {
			const struct effect *e = &l->deeds[d].effects[i];
			bool most = b->status[d] != DEED_NOT_BEGUN, least = b->status[d] == DEED_DONE;
			if (e->letter != letter || e->refused || (e->kind != EFFECT_PUT && e->rcpt != rcpt))
				continue;
			if (e->kind == EFFECT_PUT) {
				k.put_least |= least;
				k.put_most |= most;
			} else if (e->kind == EFFECT_END) {
				k.end_least |= least;
				k.end_most |= most;
			} else {
				k.waits_least += least;
				k.waits_most += most;
			}
		}
	return k;
}

static void judge_rcpt(const struct life *l, const struct belief *b, const struct seen *seen, unsigned letter, unsigned rcpt,
                       struct buf *report)
{
	struct bounds k = bounds_of(l, b, letter, rcpt);
	bool there = seen->there[letter][rcpt];
	if (there && !k.put_most)
		complain(report, "APPEARED without having been committed", letter, rcpt);
	else if (there && k.end_least)
		complain(report, "CAME BACK after it was settled", letter, rcpt);
	else if (!there && k.put_least && !k.end_most)
		complain(report, "LOST after it was told to be committed", letter, rcpt);
	else if (there && (seen->attempts[letter][rcpt] < k.waits_least || seen->attempts[letter][rcpt] > k.waits_most))
		complain(report, "its attempts were forgotten or made up", letter, rcpt);
}

/* A deed that was under way: whole, or not at all. */
static void judge_deed(const struct life *l, const struct belief *b, const struct seen *seen, unsigned number, struct buf *report)
{
	unsigned did = 0, did_not = 0;
	const struct deed *d = &l->deeds[number];
	struct belief others = *b;
	others.status[number] = DEED_NOT_BEGUN;
	for (unsigned i = 0; i < d->n; i++) {
		const struct effect *e = &d->effects[i];
		for (unsigned r = 0; e->kind == EFFECT_PUT && !e->refused && r < l->letters[e->letter].n_rcpts; r++)
			*(seen->there[e->letter][r] ? &did : &did_not) += 1;
		if (e->kind != EFFECT_END)
			continue;
		struct bounds k = bounds_of(l, &others, e->letter, e->rcpt);
		if (k.put_least && !k.end_most) /* it was there to be ended */
			*(seen->there[e->letter][e->rcpt] ? &did_not : &did) += 1;
	}
	if (did > 0 && did_not > 0)
		(void)!buf_addf(report, "  HALF DONE: deed %u, %u effects seen and %u not\n", number, did, did_not);
}

static void judge_content(struct life *l, unsigned letter, struct buf *report)
{
	char id[16], got[7000];
	(void)snprintf(id, sizeof id, "m%u", letter);
	struct str want = letter_bytes(l, letter);
	uint64_t offset = 0;
	size_t n = 1;
	fault f = OK;
	while (f == OK && n > 0) {
		f = ops->content(l->store, str_of(id), offset, got, sizeof got, &n);
		if (f == OK && !str_eq((struct str){ got, n }, str_sub(want, (size_t)offset, n)))
			break;
		offset += n;
	}
	life_sum.contents++;
	if (f != OK || n > 0 || offset != want.n)
		(void)!buf_addf(report, "  DAMAGED: letter %u at byte %llu of %zu (%s)\n", letter, (unsigned long long)offset, want.n,
		                fault_name(f));
}

/* exact: deeds under way may be judged as a whole, for nothing has come after them. */
static void judge_all(struct life *l, const struct belief *b, bool exact, struct buf *report)
{
	struct seen *seen = NEW(struct seen);
	if (look(l, seen, report)) {
		for (unsigned i = 0; i < l->n_letters; i++) {
			bool any = false;
			for (unsigned r = 0; r < l->letters[i].n_rcpts; r++) {
				judge_rcpt(l, b, seen, i, r, report);
				any |= seen->there[i][r];
			}
			if (any)
				judge_content(l, i, report);
			life_sum.letters += any;
		}
		for (unsigned d = 0; exact && d < l->n_deeds; d++)
			if (b->status[d] == DEED_UNDER_WAY)
				judge_deed(l, b, seen, d, report);
	}
	free(seen);
}

static void judge_database(struct buf *report)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	char path[64];
	(void)snprintf(path, sizeof path, "%s/queue.db", directory);
	const char *says = "it cannot be asked";
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		says = (const char *)sqlite3_column_text(st, 0);
	if (says == NULL || strcmp(says, "ok") != 0)
		(void)!buf_addf(report, "  the database is damaged: %s\n", says != NULL ? says : "no memory");
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* Segments are filled and recycled over whatever the crash has left. */
static void go_on(struct life *l)
{
	for (unsigned i = 0; i < 2 && l->store != NULL; i++) {
		put_letters(l);
		if (l->store != NULL)
			tidy(l, 20);
		if (l->store != NULL)
			settle_some(l);
	}
}

void life_judge(struct life *l, const struct belief *b, bool exact, bool goes_on, struct buf *report)
{
	struct why why = { "" };
	struct store_options options = { .segment_bytes = SEGMENT_BYTES_MIN, .keep_free_bytes = SEGMENT_BYTES_MIN };
	l->belief = *b;
	fault f = ops->open(str_of(directory), &options, &l->store, &why);
	if (f != OK) {
		(void)!buf_addf(report, "  the queue does not open: %s\n", why.text);
		return;
	}
	judge_all(l, b, exact, report);
	if (goes_on) {
		judge_database(report);
		go_on(l);
		reopen(l);
		if (l->store == NULL)
			(void)!buf_addf(report, "  the queue does not open once more\n");
		else
			judge_all(l, &l->belief, false, report);
	}
	ops->close(&l->store);
}
