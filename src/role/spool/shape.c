/* SPDX-License-Identifier: ISC */
/*
 * role/spool/shape.c -- how much each destination is given: its limits from the configuration, its pace from what attempts have shown.
 *
 * All of a destination's letters stand behind its key in the schedule, so one that rests costs nothing until its time. Of the jobs in
 * hand, those at destinations of which nothing is known yet, and at such as rest, have only a share: the rest is for who answers.
 *
 * A letter that waits for its destination is not tried, and so nothing would tell its sender that it is late, or that it has waited
 * too long. What has been due for long is therefore taken out now and then, a little at a time, decided, and put back at the end.
 */
#include "role/spool/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/clock.h"

enum {
	ASK_AGAIN_S = 60,                /* where enough is in hand: the end of that brings it sooner */
	RELEASED_AT_ONCE = 100,          /* letters of what an operator has released, in a lease: half of it is for others */
	PROBE_AGAIN_MS = 5000,           /* while enough others are probed; up to three times that */
	OVERDUE_S_MAX = 3600,            /* how long a letter waits unseen, ... */
	OVERDUE_PARTS = 8,               /* ... or this part of the time until its sender hears of it, or it is given up */
	OVERDUE_PER_S = 100, OVERDUE_AT_ONCE = 200,
	SAID_PER_MINUTE = 20,
	SPELL_MS = 10 * 60 * 1000,       /* of one destination the log hears no more often */
	SAID_BYTES_MAX = 160,
};

/* ---- limits ---- */

static bool is_kind(struct str key, const char *kind, struct str *name_out)
{
	return str_take(&key, str_of(kind)) && str_take_char(&key, ':') && (*name_out = key, true);
}

/* Is there a host that may be slow or dead behind this? Else it is a folder, or is decided here. */
static bool adapts(struct str key)
{
	struct str name;
	return is_kind(key, "mx", &name) || is_kind(key, "backup", &name) || is_kind(key, "relay", &name) || is_kind(key, "lmtp", &name);
}

static struct pace_limits limits_of(const struct spool *s, struct str key)
{
	const struct conf_pace *pace = NULL;
	struct str name;
	if (is_kind(key, "mx", &name) || is_kind(key, "backup", &name)) {
		const struct conf_shape *shape = conf_shape_find(s->conf, name);
		pace = shape != NULL ? &shape->pace : NULL;
	} else if (is_kind(key, "relay", &name)) {
		const struct conf_relay *relay = conf_relay_find(s->conf, name);
		pace = relay != NULL ? &relay->pace : NULL;
	}
	uint64_t most = pace != NULL && pace->concurrency > 0 ? pace->concurrency : s->conf->queue.destination_concurrency;
	struct pace_limits limits = { .concurrency = most < SPOOL_JOBS_MAX ? (unsigned)most : SPOOL_JOBS_MAX };
	if (pace != NULL && pace->rate > 0) {
		limits.rate = pace->rate;
		limits.rate_ms = pace->rate_s * 1000;
	}
	return limits;
}

/* With the limits of the configuration as it is now. NULL: nothing is known. */
static struct destination *find(struct spool *s, struct str key)
{
	struct destination *d = paces_find(&s->paces, key);
	if (d != NULL && d->generation != s->generation) {
		struct pace_limits limits = limits_of(s, key);
		pace_limit(&d->pace, &limits, loop_now_ms(s->loop));
		d->generation = s->generation;
	}
	return d;
}

static int64_t shorter_s(int64_t s, const struct conf_retry *own)
{
	return own->give_up_s > 0 && own->give_up_s < s ? own->give_up_s : s;
}

/* Of all `give-up` that the configuration has; several domains with their own may lie behind one relay. */
static int64_t shortest_give_up_s(const struct conf *conf)
{
	int64_t s = conf->queue.retry.give_up_s;
	for (size_t i = 0; i < conf->n_relays; i++)
		s = shorter_s(s, &conf->relays[i].retry);
	for (size_t i = 0; i < conf->n_domains; i++)
		s = shorter_s(s, &conf->domains[i].retry);
	return s;
}

void shape_route_anew(struct spool *s)
{
	struct str key;
	void *d;
	size_t at = 0;
	s->generation++;
	s->give_up_shortest_s = shortest_give_up_s(s->conf);
	while (s->store != NULL && map_each(s->paces.by_key, &at, &key, &d))
		s->ops->ask_again(s->store, key);
}

void shape_end_rest(struct spool *s, struct str key, int64_t until_ms)
{
	struct destination *d = find(s, key);
	if (d == NULL || !pace_wake(&d->pace, until_ms, loop_now_ms(s->loop)))
		return;
	if (s->store != NULL)
		s->ops->ask_again(s->store, key);
}

/* ---- what is granted ---- */

static unsigned room_of(struct spool *s, struct str key, const struct destination *d, int64_t *again_ms_out)
{
	int64_t now_ms = loop_now_ms(s->loop);
	struct pace unknown;
	const struct pace *pace = &unknown;
	*again_ms_out = INT64_MAX;
	if (!adapts(key)) {
		unsigned most = limits_of(s, key).concurrency, in_hand = d != NULL ? d->jobs : 0;
		return in_hand < most ? most - in_hand : 0;
	}
	if (d != NULL) {
		pace = &d->pace;
	} else {
		struct pace_limits limits = limits_of(s, key);
		pace_init(&unknown, &limits);
	}
	return pace_room(pace, d != NULL ? d->jobs : 0, now_ms, again_ms_out);
}

bool shape_has_room(struct spool *s, struct str key)
{
	int64_t again_ms;
	const struct destination *d = find(s, key);
	bool is_new = d == NULL || d->pace.state == PACE_NEW;
	if (adapts(key) && (s->n_remote >= SPOOL_REMOTE_JOBS_MAX || (d != NULL && d->jobs >= s->share) ||
	                    (is_new && s->paces.in_hand[PACE_NEW] >= SPOOL_NEW_JOBS_MAX)))
		return false;
	return room_of(s, key, d, &again_ms) > 0;
}

static unsigned left(unsigned most, unsigned taken)
{
	return taken < most ? most - taken : 0;
}

/* Some that answer, but slowly, would otherwise have all places, each up to its ceiling. */
static unsigned share_of(const struct spool *s)
{
	unsigned part = left(SPOOL_REMOTE_JOBS_MAX, s->n_remote) / SPOOL_SHARE_PARTS;
	return s->n_remote <= SPOOL_UNSHARED_MAX ? SPOOL_JOBS_MAX : part > 1 ? part : 1;
}

/* Only mail to the MX of others knows no `give-up` but the queue's. */
static int64_t overdue_after_s(const struct spool *spool, struct str key)
{
	const struct conf_queue *queue = &spool->conf->queue;
	struct str name;
	int64_t s = (is_kind(key, "mx", &name) ? queue->retry.give_up_s : spool->give_up_shortest_s) / OVERDUE_PARTS;
	int64_t warning_s = queue->delay_warning_s / OVERDUE_PARTS;
	s = warning_s > 0 && warning_s < s ? warning_s : s;
	return s < 1 ? 1 : s > OVERDUE_S_MAX ? OVERDUE_S_MAX : s;
}

static bool may_see_overdue(struct spool *s)
{
	int64_t now_ms = loop_now_ms(s->loop), gained = (now_ms - s->overdue_ms) * OVERDUE_PER_S / 1000;
	if (gained > 0) {
		s->overdue_left = s->overdue_left + gained > OVERDUE_AT_ONCE ? OVERDUE_AT_ONCE : s->overdue_left + gained;
		s->overdue_ms = now_ms;
	}
	return s->overdue_left > 0;
}

static struct store_grant grant(void *owner, struct str key)
{
	struct spool *s = owner;
	const struct destination *d = find(s, key);
	int64_t again_ms, now_ms = loop_now_ms(s->loop), now_s = spool_now_s(s);
	if (str_eq(key, STR(STORE_RELEASED))) /* no destination: each letter has its own, and waits for that one */
		return (struct store_grant){ .messages = RELEASED_AT_ONCE, .not_before_s = now_s + 1 };
	struct store_grant g = { .messages = room_of(s, key, d, &again_ms), .not_before_s = now_s + ASK_AGAIN_S };
	if (!adapts(key))
		return g;
	unsigned of_share = left(s->share, d != NULL ? d->jobs : 0);
	if (g.messages > of_share)
		g.messages = of_share;
	g.lane = d == NULL || d->pace.state == PACE_NEW ? LANE_NEW : LANE_REMOTE;
	if (g.lane == LANE_NEW && g.messages > 0 && s->paces.in_hand[PACE_NEW] >= SPOOL_NEW_CROWD)
		g.messages = d == NULL || d->jobs == 0;
	if (g.messages > 0 && d != NULL && d->pace.state == PACE_RESTING) {
		if (s->paces.in_hand[PACE_RESTING] + s->probes < SPOOL_PROBES_MAX) {
			s->probes++;
		} else {
			g.messages = 0;
			yield_probes_wanted(s);
			again_ms = now_ms + PROBE_AGAIN_MS + (int64_t)(map_hash((uint64_t)now_ms, key) % (2 * PROBE_AGAIN_MS));
		}
	}
	if (again_ms < now_ms + ASK_AGAIN_S * 1000)
		g.not_before_s = now_s + (again_ms - now_ms + 999) / 1000;
	if (may_see_overdue(s))
		g.overdue_s = now_s - overdue_after_s(s, key);
	return g;
}

struct store_room shape_room(struct spool *s)
{
	s->probes = 0;
	s->share = share_of(s);
	return (struct store_room){
		.grant = grant, .owner = s, .rcpts_max = SPOOL_JOB_RCPTS_MAX,
		.lane_room = { [LANE_HERE] = left(SPOOL_JOBS_MAX, (unsigned)s->n_jobs),
		               [LANE_REMOTE] = left(SPOOL_REMOTE_JOBS_MAX, s->n_remote),
		               [LANE_NEW] = left(SPOOL_NEW_JOBS_MAX, s->paces.in_hand[PACE_NEW]) },
	};
}

/* ---- in words ---- */

static struct str name_of(struct str key)
{
	struct str kind, rest = key;
	return str_take_until(&rest, ':', &kind) && rest.n > 0 ? rest : key;
}

/* Its rate may be used up while all its sessions are in use: that lasts longer. */
static int64_t wait_s_of(const struct pace *p, int64_t now_ms)
{
	int64_t again_ms;
	return pace_room(p, 0, now_ms, &again_ms) == 0 && again_ms > now_ms ? (again_ms - now_ms + 999) / 1000 : 0;
}

/* As the configuration writes it: 1h, 90s. */
static struct span { char text[24]; } span_of(int64_t s)
{
	static const struct { int64_t s; char unit; } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	struct span out;
	size_t i = 0;
	while (i + 1 < COUNT(units) && (s == 0 || s % units[i].s != 0))
		i++;
	(void)snprintf(out.text, sizeof out.text, "%lld%c", (long long)(s / units[i].s), units[i].unit);
	return out;
}

static void put_why(struct spool *s, const struct destination *d, struct shape_view *view)
{
	const struct pace *p = &d->pace;
	const char *said = d->said != NULL ? d->said : "the last attempts failed";
	view->wait_s = wait_s_of(p, loop_now_ms(s->loop));
	view->rests = p->state == PACE_RESTING;
	if (p->state == PACE_RESTING && view->wait_s > 0)
		(void)snprintf(view->why, sizeof view->why, "%s; it rests for %llds, then one letter tries", said, (long long)view->wait_s);
	else if (p->state == PACE_RESTING)
		(void)snprintf(view->why, sizeof view->why, "%s; its next letter tries, alone, whether it answers again", said);
	else if (view->wait_s > 0)
		(void)snprintf(view->why, sizeof view->why, "its rate of %llu/%s is used up for another %llds", (unsigned long long)view->rate,
		               span_of(view->rate_s).text, (long long)view->wait_s);
	else if (p->before > 0)
		(void)snprintf(view->why, sizeof view->why, "it was slowed: %s", said);
}

bool spool_shape_of(struct spool *s, struct str key, struct shape_view *out)
{
	struct pace_limits limits = limits_of(s, key);
	const struct destination *d = find(s, key);
	bool any = adapts(key);
	*out = (struct shape_view){ .ceiling = limits.concurrency, .allowance = limits.concurrency, .rate = limits.rate,
		                    .rate_s = limits.rate_ms / 1000 };
	if (any && d == NULL && out->allowance > PACE_BEGINS_WITH)
		out->allowance = PACE_BEGINS_WITH;
	if (d == NULL)
		return false;
	out->in_hand = d->jobs;
	if (any) {
		out->allowance = d->pace.allowance;
		put_why(s, d, out);
	}
	return true;
}

/* Is there no place for it among all that is under way now, whatever it is allowed? Unlike shape_has_room() this is about any time:
 * all jobs and those at new destinations count, too, which in a lease the rooms of its lanes have bounded before. */
static bool is_crowded_out(struct spool *s, struct str key, const struct destination *d)
{
	bool is_new = d == NULL || d->pace.state == PACE_NEW;
	if (!adapts(key))
		return s->n_jobs >= SPOOL_JOBS_MAX;
	return s->n_remote >= SPOOL_REMOTE_JOBS_MAX || (d != NULL && d->jobs >= share_of(s)) ||
	       (is_new && s->paces.in_hand[PACE_NEW] >= SPOOL_NEW_JOBS_MAX);
}

static void put_in_use(const struct shape_view *view, char *to, size_t room)
{
	char number[24] = "";
	if (view->allowance > 1)
		(void)snprintf(number, sizeof number, "%u ", view->allowance);
	(void)snprintf(to, room, "%s %ssession%s that it gets now %s in use%s%s", view->allowance == 1 ? "the one" : "all", number,
	               view->allowance == 1 ? "" : "s", view->allowance == 1 ? "is" : "are", view->why[0] != '\0' ? "; " : "", view->why);
}

/* What keeps the next letter; false: nothing does. */
static bool put_obstacle(struct spool *s, struct str key, const struct shape_view *view, char *to, size_t room)
{
	if (view->rests)
		(void)snprintf(to, room, "%s", view->why);
	else if (view->in_hand >= view->allowance)
		put_in_use(view, to, room);
	else if (view->wait_s > 0)
		(void)snprintf(to, room, "%s", view->why);
	else if (is_crowded_out(s, key, find(s, key)))
		(void)snprintf(to, room, "there is no place for more just now: as much is under way in all as may be");
	else
		return false;
	return true;
}

void spool_waits_for(struct spool *s, const struct store_rcpt *r, char *to, size_t room)
{
	struct shape_view view;
	to[0] = '\0';
	if (r->state != RCPT_QUEUED)
		return;
	(void)spool_shape_of(s, r->key, &view);
	char why[SHAPE_WORDS_MAX];
	if (r->next_s <= spool_now_s(s) + view.wait_s && put_obstacle(s, r->key, &view, why, sizeof why))
		(void)snprintf(to, room, "its destination: %s", why);
}

/* A great trouble of the network slows thousands at once: then they are counted. */
static bool may_say(struct spool *s, int64_t now_ms)
{
	if (now_ms - s->said_ms >= 60 * 1000) {
		s->said_ms = now_ms;
		s->said = 0;
	}
	bool may = s->said < SAID_PER_MINUTE;
	if (may)
		s->said++;
	else
		s->unsaid++;
	return may;
}

static void say_how_it_is(struct spool *s, const struct destination *d, enum log_event event)
{
	struct shape_view view;
	(void)spool_shape_of(s, destination_key(d), &view);
	log_event(event, LOG_S("to", name_of(destination_key(d))), LOG_U("allowance", view.allowance), LOG_U("ceiling", view.ceiling),
	          LOG_U("wait_s", view.wait_s), LOG_Z("text", view.why), LOG_U("untold", s->unsaid));
	s->unsaid = 0;
}

/* Once for each spell; and where one follows another closely, of the first, and of one that lasts until SPELL_MS after it. */
static void tell(struct spool *s, struct destination *d)
{
	int64_t now_ms = loop_now_ms(s->loop);
	bool slow = d->pace.before > 0, told = d->told != SPELL_NONE;
	if (slow == told || (slow && now_ms < d->quiet_until_ms))
		return;
	if (slow) {
		bool says = may_say(s, now_ms);
		d->quiet_until_ms = now_ms + SPELL_MS;
		d->told = says ? SPELL_SAID : SPELL_COUNTED;
		if (says)
			say_how_it_is(s, d, LOG_DESTINATION_SLOWED);
		return;
	}
	if (d->told == SPELL_SAID && may_say(s, now_ms))
		say_how_it_is(s, d, LOG_DESTINATION_RECOVERED);
	d->told = SPELL_NONE;
}

/* ---- jobs ---- */

void shape_enter(struct job *j)
{
	struct spool *s = j->spool;
	struct pace_limits limits = limits_of(s, j->key);
	(void)find(s, j->key);
	j->began_ms = loop_now_ms(s->loop);
	j->remote = adapts(j->key);
	j->destination = paces_enter(&s->paces, j->key, &limits, j->remote, j->began_ms);
	j->destination->generation = s->generation;
	s->n_remote += j->remote;
}

static void keep_words(struct destination *d, const struct smtp_reply *reply)
{
	struct buf line;
	buf_init(&line, 4096);
	if (reply_put_line(&line, reply) == OK) {
		struct str text = str_cut_utf8(buf_view(&line), SAID_BYTES_MAX);
		d->said = must_resize(d->said, text.n + 1);
		memcpy(d->said, text.p, text.n);
		d->said[text.n] = '\0';
	}
	buf_fini(&line);
}

void shape_note(struct job *j, enum outcome_class outcome, const struct smtp_reply *reply)
{
	if (j->destination == NULL || !adapts(j->key))
		return;
	enum pace_sign sign = pace_sign_of(outcome, reply);
	j->sign = pace_signs_join(j->sign, sign);
	if (sign == PACE_TROUBLE || sign == PACE_SOFT)
		keep_words(j->destination, reply);
}

/* Its own next time: a letter that is alone there waits no longer because of the rest. */
static int64_t rest_ms_max(struct job *j)
{
	struct spool *s = j->spool;
	struct str domain, key;
	if (j->n_rcpts == 0)
		return PACE_REST_MS_MAX;
	struct arena *a = arena_new(64 << 10);
	const struct store_rcpt *r = &j->rcpts[0].facts;
	struct route route = spool_route_of(s, &j->message, r, a, &domain, &key);
	int64_t soonest_s = retry_next_s(s->conf, route.retry, r->attempts + 1, 0, 0);
	arena_free(&a);
	return soonest_s * 1000;
}

void shape_leave(struct job *j)
{
	struct spool *s = j->spool;
	struct destination *d = j->destination;
	int64_t now_ms = loop_now_ms(s->loop), again_ms;
	s->n_remote -= j->remote;
	j->remote = false;
	if (d == NULL)
		return;
	j->destination = NULL;
	bool failed = j->sign == PACE_TROUBLE || j->sign == PACE_SOFT;
	uint64_t random = j->number * 0x9E3779B97F4A7C15u >> 20;
	paces_leave(&s->paces, d, j->sign, j->began_ms, now_ms, failed ? rest_ms_max(j) : PACE_REST_MS_MAX, random);
	tell(s, d);
	if (s->store != NULL && (room_of(s, destination_key(d), d, &again_ms) > 0 || again_ms < INT64_MAX))
		s->ops->ask_again(s->store, destination_key(d));
}

void shape_wait(struct job *j)
{
	struct spool *s = j->spool;
	struct shape_view view;
	char why[SHAPE_WORDS_MAX], text[sizeof why + 60];
	(void)spool_shape_of(s, j->key, &view);
	if (!put_obstacle(s, j->key, &view, why, sizeof why))
		(void)snprintf(why, sizeof why, "it has just got room"); /* what kept it has ended */
	(void)snprintf(text, sizeof text, "not tried now; it waits for its destination: %s", why);
	if (str_eq(j->rcpts[0].facts.key, j->key)) /* else it is not here because it is overdue */
		s->overdue_left -= (int64_t)j->n_rcpts;
	for (size_t i = 0; i < j->n_rcpts; i++)
		verdict_wait(j, i, text);
	spool_job_end(j);
}

void shape_init(struct spool *s)
{
	paces_init(&s->paces, random_u64());
	yield_init(s);
	s->share = SPOOL_JOBS_MAX;
	s->overdue_left = OVERDUE_AT_ONCE;
	s->overdue_ms = s->said_ms = loop_now_ms(s->loop);
}

void shape_fini(struct spool *s)
{
	yield_fini(s);
	paces_fini(&s->paces);
}
