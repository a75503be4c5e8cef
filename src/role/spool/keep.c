/* SPDX-License-Identifier: ISC */
/* role/spool/keep.c -- the queue's clock, its storage, its space, its names. */
#include "role/spool/tls_reports.h"

#include <stdio.h>

#include "base/check.h"
#include "sys/clock.h"
#include "sys/process.h"

enum {
	REOPEN_MS = 2000, TIDY_MS = 20, LOOK_MS = 2000,
	CLOCK_STEP_MS = 20,              /* the queue's clock goes on in steps that can be halved */
	LOOK_BYTES = 4 << 20,            /* after so much has arrived, the next look does not wait for LOOK_MS */
	JUMP_S = 300,
	DAY_S = 86400,
	KEEP_CLOCK_S = 60,
};

/* ---- the clock ---- */

/* The wall clock may jump by years when it is set, and the queue must neither expire at once nor stall. So the
 * queue's time starts with the wall clock and then goes with the steady one, catching up with the wall clock
 * at no more than double speed, or waiting for it at half. */
int64_t spool_now_s(struct spool *s)
{
	int64_t now_ms = loop_now_ms(s->loop), wall_ms = clock_wall_ms(), passed_ms = now_ms - s->clock_ms;
	if (passed_ms < CLOCK_STEP_MS)
		return s->queue_ms / 1000;
	int64_t least_ms = s->queue_ms + passed_ms / 2, most_ms = s->queue_ms + 2 * passed_ms;
	int64_t gap_s = (wall_ms - (s->queue_ms + passed_ms)) / 1000;
	bool jumped = gap_s > JUMP_S || gap_s < -JUMP_S;
	if (jumped && !s->clock_told)
		log_event(LOG_TROUBLE, LOG_Z("text", "the wall clock has jumped; the queue's times follow it slowly"),
		          LOG_U("seconds", gap_s));
	s->clock_told = jumped;
	s->queue_ms = wall_ms < least_ms ? least_ms : wall_ms > most_ms ? most_ms : wall_ms;
	s->clock_ms = now_ms;
	return s->queue_ms / 1000;
}

/* Between two runs nothing tells how much time has passed but the wall clock, which may have been set. So the queue's time is
 * noted down, and a step back, or ahead by more than a day, does not count: all times of the queue go along with it. */
static const char clock_key[] = "spool:clock";

static void keep_clock(struct spool *s, int64_t every_s)
{
	char text[24];
	int64_t now_s = spool_now_s(s);
	if (s->store == NULL || (now_s - s->clock_kept_s < every_s && now_s >= s->clock_kept_s))
		return;
	s->clock_kept_s = now_s;
	snprintf(text, sizeof text, "%lld", (long long)now_s);
	if (s->ops->remember(s->store, str_of(clock_key), str_of(text), INT64_MAX) != OK)
		log_event(LOG_TROUBLE, LOG_Z("text", "the queue's time could not be noted down for the next start"));
}

static void take_clock(void *owner, struct str key, struct str value, int64_t expires_s)
{
	uint64_t s;
	(void)expires_s;
	if (str_eq(key, str_of(clock_key)) && str_u64(value, &s) && s <= INT64_MAX / 2)
		*(int64_t *)owner = (int64_t)s;
}

static fault go_along_with_the_clock(struct spool *s)
{
	int64_t before_s = -1, now_s = spool_now_s(s);
	struct arena *a = arena_new(1 << 20);
	fault f = s->ops->recall(s->store, 0, a, take_clock, &before_s); /* 0: what has expired by a wrong clock has not */
	arena_free(&a);
	int64_t by_s = now_s - before_s;
	if (f != OK || before_s < 0 || (by_s >= -JUMP_S && by_s <= DAY_S))
		return f;
	log_event(LOG_TROUBLE, LOG_Z("text", "since the last run the clock went back, or more than a day ahead; the times of the "
	                                     "queue go along with it, nothing grows older"), LOG_U("seconds", by_s));
	return s->ops->shift(s->store, by_s);
}

/* ---- storage ---- */

static int64_t longest_retry_s(const struct conf *conf)
{
	int64_t longest = DAY_S;
	for (size_t i = 0; i < conf->queue.retry.n_retry; i++)
		longest = conf->queue.retry.retry_s[i] > longest ? conf->queue.retry.retry_s[i] : longest;
	for (size_t d = 0; d < conf->n_domains; d++)
		for (size_t i = 0; i < conf->domains[d].retry.n_retry; i++)
			if (conf->domains[d].retry.retry_s[i] > longest)
				longest = conf->domains[d].retry.retry_s[i];
	for (size_t r = 0; r < conf->n_relays; r++)
		for (size_t i = 0; i < conf->relays[r].retry.n_retry; i++)
			if (conf->relays[r].retry.retry_s[i] > longest)
				longest = conf->relays[r].retry.retry_s[i];
	return longest;
}

static fault prepare(struct spool *s, const struct conf *conf, struct why *why)
{
	int64_t now_s = spool_now_s(s);
	uint64_t n = 0;
	struct store_counts c;
	TRY(s->ops->reclaim(s->store, why));
	fault f = go_along_with_the_clock(s);
	if (f == OK)
		f = s->ops->clamp(s->store, now_s, now_s + 2 * longest_retry_s(conf), &n);
	if (f == OK)
		f = s->ops->counts(s->store, &c);
	if (f != OK)
		return why_say(why, f, "the queue cannot be read (%s)", fault_name(f));
	if (n > 0)
		log_event(LOG_TROUBLE, LOG_Z("text", "recipients were scheduled too far ahead, by a wrong clock; they are due now"),
		          LOG_U("recipients", n));
	log_event(LOG_QUEUE_OPENED, LOG_U("messages", c.messages), LOG_U("queued", c.queued), LOG_U("held", c.held),
	          LOG_U("bytes", c.content_bytes));
	keep_clock(s, 0);
	tls_reports_recall(s->tls_reports);
	return OK;
}

static void want_tidy(struct spool *s)
{
	timer_set(&s->tidy, loop_now_ms(s->loop) + TIDY_MS);
}

static void working(void *owner)
{
	role_working(((struct spool *)owner)->base);
}

fault spool_open_store(struct spool *s, struct str directory, struct why *why)
{
	struct store_options options = { .working = working, .owner = s, .keep_free_bytes = SPOOL_RESERVE_BYTES };
	TRY(s->ops->open(directory, &options, &s->store, why));
	fault f = prepare(s, s->conf, why);
	if (f != OK) {
		s->ops->close(&s->store);
		return f;
	}
	if (s->directory.p != directory.p) {
		str_release(&s->directory);
		s->directory = str_keep(directory);
	}
	record_open(s);
	spool_look_at_space(s);
	want_tidy(s);
	observe_opened(s);
	return OK;
}

static void reopen(void *owner)
{
	struct spool *s = owner;
	struct why why = { "" };
	if (s->store == NULL && spool_open_store(s, s->directory, &why) != OK) {
		log_event(LOG_QUEUE_FAILED, LOG_Z("text", why.text));
		role_folder_refused(s->base); /* another file system may be mounted there now */
		timer_set(&s->reopen, loop_now_ms(s->loop) + REOPEN_MS);
		return;
	}
	spool_turn_soon(s);
}

/* What was in hand cannot be recorded any more: it is as if this process had ended and begun anew. */
void spool_store_failed(struct spool *s, const char *text)
{
	if (s->store == NULL)
		return;
	log_event(LOG_QUEUE_FAILED, LOG_Z("text", text));
	ingest_abandon(s);
	spool_forget_jobs(s);
	action_forget_taken(s);
	timer_clear(&s->tidy);
	timer_clear(&s->due);
	s->ops->close(&s->store);
	timer_set(&s->reopen, loop_now_ms(s->loop) + REOPEN_MS);
}

/* ---- space ---- */

/* For clients; a disk with room may have no inodes left. */
static const char *shortage_text(const struct spool *s)
{
	return s->short_of_bytes ? "The server's disk is full; try again later"
	     : s->short_of_names ? "The server's disk has no inodes left for new files; try again later" : NULL;
}

static const char *shortage_for_log(const struct spool *s)
{
	return s->short_of_bytes ? "the disk is full: new mail is refused; deliveries go on"
	     : s->short_of_names ? "the disk has no inodes left: new mail is refused; deliveries go on" : "there is room again";
}

/* Once short, some room more is wanted, so that it does not flutter. */
static bool falls_short(uint64_t have, uint64_t reserve, bool was)
{
	return have < reserve + (was ? reserve / 4 : 0);
}

void spool_tell_shortage(struct spool *s, struct front *f)
{
	struct spool_shortage m = { .text = s->is_short ? str_of(shortage_text(s)) : STR_NONE };
	channel_send(f->channel, SPOOL_SHORTAGE, &m);
}

void spool_look_at_space(struct spool *s)
{
	uint64_t bytes, names;
	if (s->store == NULL || s->ops->space(s->store, &bytes, &names) != OK)
		return;
	const char *was = shortage_text(s);
	s->bytes_free = bytes;
	s->names_free = names;
	s->taken_since = 0;
	s->short_of_bytes = falls_short(bytes, SPOOL_RESERVE_BYTES, s->short_of_bytes);
	s->short_of_names = falls_short(names, SPOOL_RESERVE_NAMES, s->short_of_names);
	s->is_short = s->short_of_bytes || s->short_of_names;
	if (shortage_text(s) == was)
		return;
	log_event(LOG_SHORTAGE, LOG_Z("text", shortage_for_log(s)),
	          LOG_U("bytes_free", bytes), LOG_U("names_free", names));
	LIST_EACH(l, &s->fronts)
		spool_tell_shortage(s, LIST_MEMBER(l, struct front, in_spool));
}

bool spool_has_room(struct spool *s, uint64_t more)
{
	s->taken_since += more;
	if (s->taken_since >= LOOK_BYTES)
		spool_look_at_space(s);
	/* What arrives may still end when the reserve is reached, but not take all of it. */
	return !s->is_short || (s->bytes_free >= SPOOL_RESERVE_BYTES / 2 && s->names_free >= SPOOL_RESERVE_NAMES / 2);
}

/* After a burst, or a walk through all that waits. */
static void rest(struct spool *s)
{
	if (!s->is_busy && s->store != NULL && s->ops->rest(s->store))
		process_trim_memory();
	s->is_busy = false;
}

static void look(void *owner)
{
	struct spool *s = owner;
	spool_look_at_space(s);
	spool_watch_leases(s);
	verify_watch(s);
	audience_watch(s);
	keep_clock(s, KEEP_CLOCK_S);
	record_tidy(s);
	tls_reports_look(s->tls_reports);
	if (s->commit_failed) {
		s->commit_failed = false;
		spool_turn_soon(s);
	}
	rest(s);
	want_tidy(s);
	timer_set(&s->minute, loop_now_ms(s->loop) + LOOK_MS);
}

static void tidy(void *owner)
{
	struct spool *s = owner;
	struct why why = { "" };
	bool more = false;
	if (s->store == NULL)
		return;
	fault f = s->ops->tidy(s->store, &more, &why);
	if (f == F_STORE)
		spool_store_failed(s, why.text);
	else if (f == OK && more)
		timer_set(&s->tidy, loop_now_ms(s->loop) + TIDY_MS);
}

void spool_keep_init(struct spool *s)
{
	s->tls_reports = tls_reports_new(s);
	timer_init(&s->minute, s->loop, look, s);
	timer_init(&s->tidy, s->loop, tidy, s);
	timer_init(&s->reopen, s->loop, reopen, s);
	observe_init(s);
	s->queue_ms = clock_wall_ms();
	s->clock_ms = loop_now_ms(s->loop);
	timer_set(&s->minute, loop_now_ms(s->loop) + LOOK_MS);
}

void spool_keep_fini(struct spool *s)
{
	timer_clear(&s->minute);
	timer_clear(&s->tidy);
	timer_clear(&s->reopen);
	observe_fini(s);
	keep_clock(s, 0);
	tls_reports_free(&s->tls_reports);
	record_close(s);
	s->ops->close(&s->store);
	str_release(&s->directory);
}
