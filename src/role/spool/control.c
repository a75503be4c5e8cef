/* SPDX-License-Identifier: ISC */
/* role/spool/control.c -- the operator's socket: one request, rows of JSON, an end. */
#include "role/spool/control_inside.h"

#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "store/match.h"
#include "sys/process.h"

enum {
	WAIT_MS = 10, PATIENCE_MS = 30000,
	LIST_REST_MS = 1, VERIFY_REST_MS = 2, /* between two steps: mail comes first */
	ARENA_MAX = 8 << 20,             /* of a request */
};

static void session_free(struct control_session *c)
{
	link_remove(&c->in_spool);
	if (c->refused)
		c->spool->n_refusals--;
	else
		c->spool->n_controls--;
	timer_clear(&c->timer);
	check_end(&c->check);
	why_end(&c->why);
	report_end(&c->report);
	memories_end(&c->recall);
	domains_end(&c->domains);
	explain_cancel(&c->explanation);
	action_end(c);
	channel_close(&c->channel);
	arena_free(&c->arena);
	free(c);
}

/* The other end closes when it has read this; if it does not, the timer does. */
static void say_end(struct control_session *c, int status, struct str text)
{
	channel_send(c->channel, CONTROL_END, &(struct control_end){ .status = (uint64_t)status, .text = text });
	c->phase = ENDED;
	action_end(c);
	c->unread_since_ms = loop_now_ms(c->spool->loop);
	timer_set(&c->timer, c->unread_since_ms + (c->refused ? CONTROL_IDLE_MS : CONTROL_STALL_MS));
}

void control_say_end(struct control_session *c, int status, const char *text)
{
	say_end(c, status, str_of(text));
}

bool control_takes_more(const struct channel *operator)
{
	return channel_backlog(operator) < CONTROL_UNREAD_MAX;
}

/* ---- who keeps a place ---- */

/* For how long it has waited for its reader, who has taken nothing in that time. */
static int64_t waits_ms(struct control_session *c)
{
	size_t unread = channel_backlog(c->channel);
	int64_t now_ms = loop_now_ms(c->spool->loop);
	bool waits = c->phase == ENDED || !control_takes_more(c->channel);
	if (!waits || unread != c->unread)
		c->unread_since_ms = now_ms;
	c->unread = unread;
	return waits ? now_ms - c->unread_since_ms : 0;
}

static bool has_any(const struct control_session *c)
{
	return !c->refused;
}

static bool has_a_why(const struct control_session *c)
{
	return c->why != NULL;
}

static bool has_domains(const struct control_session *c)
{
	return c->domains != NULL;
}

/* Somebody wants such a place: of those who read nothing, the one who has done so for longest loses his. */
static void take_a_place(struct spool *s, bool (*has_one)(const struct control_session *c))
{
	struct control_session *longest = NULL;
	int64_t longest_ms = CONTROL_GIVES_WAY_MS - 1;
	LIST_EACH(l, &s->controls) {
		struct control_session *c = LIST_MEMBER(l, struct control_session, in_spool);
		int64_t ms = has_one(c) ? waits_ms(c) : 0;
		if (ms > longest_ms) {
			longest = c;
			longest_ms = ms;
		}
	}
	if (longest != NULL)
		session_free(longest);
}

/* ---- what is told a little at a time ---- */

void control_send_row(struct control_session *c, json_t *o)
{
	char *line = json_dumps(o, JSON_COMPACT);
	if (line != NULL)
		channel_send(c->channel, CONTROL_ROW, &(struct control_row){ .json = str_of(line) });
	free(line);
	json_decref(o);
}

static void verify_some(struct control_session *c)
{
	struct why last_words = { "" };
	int status = 0;
	if (c->check == NULL)
		c->check = check_begin(c->spool, c->channel);
	if (!check_some(c->check, &status, &last_words))
		control_say_end(c, status, last_words.text);
}

static void why_now(struct control_session *c)
{
	struct why last_words = { "" };
	int status = 0;
	if (c->why == NULL && c->spool->n_whys >= CONTROL_WHY_MAX)
		take_a_place(c->spool, has_a_why);
	if (c->why == NULL && c->spool->n_whys >= CONTROL_WHY_MAX) {
		control_say_end(c, CONTROL_STATUS_UNAVAILABLE, "the history is being read for as many as at a time can be; try again in a moment");
		return;
	}
	if (c->why == NULL)
		c->why = why_begin(c->spool, c->channel, &c->which);
	if (!why_some(c->why, &status, &last_words))
		control_say_end(c, status, last_words.text);
}

static void report_now(struct control_session *c)
{
	struct why last_words = { "" };
	int status = 0;
	if (c->report == NULL)
		c->report = report_begin(c->spool, c->channel, c->which.domain, c->body);
	if (!report_some(c->report, &status, &last_words))
		control_say_end(c, status, last_words.text);
}

static void recall_now(struct control_session *c)
{
	struct why last_words = { "" };
	int status = 0;
	if (c->recall == NULL)
		c->recall = memories_begin(c->spool, c->channel, c->which.id);
	if (!memories_some(c->recall, &status, &last_words))
		control_say_end(c, status, last_words.text);
}

static void by_domain_now(struct control_session *c)
{
	struct why last_words = { "" };
	int status = 0;
	if (c->domains == NULL && c->spool->n_domains_rounds >= CONTROL_BY_DOMAIN_MAX)
		take_a_place(c->spool, has_domains);
	if (c->domains == NULL && c->spool->n_domains_rounds >= CONTROL_BY_DOMAIN_MAX) {
		control_say_end(c, CONTROL_STATUS_UNAVAILABLE, "the queue is being counted for as many as at a time can be; try again in a moment");
		return;
	}
	if (c->domains == NULL)
		c->domains = domains_begin(c->spool, c->channel, c->which.domain, c->body);
	if (!domains_some(c->domains, &status, &last_words))
		control_say_end(c, status, last_words.text);
}

/* What is told, or done, a little at a time. */
static void (*const some_of[])(struct control_session *c) = {
	[LISTING] = control_list_some, [SENDING_BODY] = control_body_some, [VERIFYING] = verify_some, [TELLING_WHY] = why_now,
	[REPORTING] = report_now, [RECALLING] = recall_now, [BY_DOMAIN] = by_domain_now,
	[ACTING] = control_act_some,
};

/* A little at a time: a long list does not keep mail waiting, and fills no memory. */
static void go_on(void *owner)
{
	struct control_session *c = owner;
	int64_t now_ms = loop_now_ms(c->spool->loop);
	if (c->phase == ASKING) {
		control_say_end(c, 1, "the server did not answer in time; see its log");
		return;
	}
	bool going = c->phase < COUNT(some_of) && some_of[c->phase] != NULL;
	if (!going || waits_ms(c) >= CONTROL_STALL_MS) {
		session_free(c);
		return;
	}
	if (c->spool->store == NULL) {
		control_say_end(c, 1, "the queue's storage has failed; see the log");
		return;
	}
	if (control_takes_more(c->channel))
		some_of[c->phase](c);
	int64_t rest_ms = !control_takes_more(c->channel) ? WAIT_MS
	                  : c->phase == ACTING ? control_act_rest_ms(c)
	                  : c->phase == LISTING || c->phase == SENDING_BODY ? LIST_REST_MS : VERIFY_REST_MS;
	if (c->phase != ENDED)
		timer_set(&c->timer, now_ms + rest_ms);
}

/* ---- requests ---- */

static void ask_supervisor(struct control_session *c)
{
	struct channel *supervisor = role_control(c->spool->base);
	c->phase = ASKING;
	if (c->verb == CONTROL_STATUS)
		channel_send(supervisor, FROM_ROLE_ASK_STATUS, &(struct from_role_ask_status){ .request = c->request });
	else
		channel_send(supervisor, FROM_ROLE_RELOAD, &(struct from_role_reload){ .request = c->request });
	timer_set(&c->timer, loop_now_ms(c->spool->loop) + PATIENCE_MS);
}

static void on_explained(void *owner, struct str story, int status, const char *text)
{
	struct control_session *c = owner;
	struct story_line line;
	c->explanation = NULL;
	while (story_next(&story, &line))
		control_send_row(c, control_story_line(line));
	control_say_end(c, status, text);
}

/* It has an end of its own. */
static void explain(struct control_session *c)
{
	c->phase = EXPLAINING;
	timer_clear(&c->timer);
	struct explanation *e = explain_ask(c->spool, c->which.to, c->which.from, on_explained, c);
	if (c->phase == EXPLAINING)
		c->explanation = e;
}

/* What a request is called in the log, and the phase that it begins. */
static const struct { const char *name; enum phase phase; } verbs[] = {
	[CONTROL_LIST] = { "list", LISTING },
	[CONTROL_SHOW] = { "show", LISTING },
	[CONTROL_RETRY] = { "retry", ACTING },
	[CONTROL_HOLD] = { "hold", ACTING },
	[CONTROL_RELEASE] = { "release", ACTING },
	[CONTROL_BOUNCE] = { "bounce", ACTING },
	[CONTROL_REMOVE] = { "remove", ACTING },
	[CONTROL_STATUS] = { "status", ASKING },
	[CONTROL_RELOAD] = { "reload", ASKING },
	[CONTROL_VERIFY] = { "verify", VERIFYING },
	[CONTROL_WHY] = { "why", TELLING_WHY },
	[CONTROL_EXPLAIN] = { "explain", EXPLAINING },
	[CONTROL_REPORT] = { "report", REPORTING },
	[CONTROL_RECALL] = { "recall", RECALLING },
	[CONTROL_BY_DOMAIN] = { "by-domain", BY_DOMAIN },
	[CONTROL_STOP] = { "stop", ENDED },
};

static void keep_request(struct control_session *c, const struct control_request *m)
{
	struct spool *s = c->spool;
	c->verb = (enum control_verb)m->verb;
	c->request = ++s->next_request;
	c->began_ms = loop_now_ms(s->loop);
	c->body = (c->verb == CONTROL_SHOW || c->verb == CONTROL_REPORT || c->verb == CONTROL_BY_DOMAIN) && m->body != 0;
	c->which = (struct store_selector){
		.id = arena_copy(c->arena, m->id), .to = arena_copy(c->arena, m->to),
		.from = arena_copy(c->arena, m->from), .user = arena_copy(c->arena, m->user),
		.domain = arena_copy(c->arena, m->domain),
		.arrived_before_s = selector_before(spool_now_s(s), m->older_s),
	};
}

/* What a request of the queue lacks; NULL: nothing. */
static const char *missing(const struct control_session *c)
{
	if (c->verb == CONTROL_SHOW && c->which.id.n == 0)
		return "which message? `sealpost queue list` shows the ids";
	if (c->verb == CONTROL_WHY && c->which.id.n == 0 && c->which.to.n == 0)
		return "which letter? name an id, or a recipient's address";
	return NULL;
}

static void take_request(struct control_session *c, const struct control_request *m)
{
	if (m->verb >= COUNT(verbs)) {
		control_say_end(c, 2, "this server does not know the command: is it an older one?");
		return;
	}
	keep_request(c, m);
	log_event(LOG_CONTROL, LOG_Z("verb", verbs[c->verb].name), LOG_S("id", m->id), LOG_S("to", m->to),
	          LOG_S("from", m->from), LOG_S("user", m->user), LOG_S("domain", m->domain),
	          LOG_U("older_s", m->older_s));
	if (c->verb == CONTROL_STOP) {
		control_say_end(c, 2, "there is nothing to stop");
	} else if (verbs[c->verb].phase == ASKING) {
		ask_supervisor(c);
	} else if (verbs[c->verb].phase == EXPLAINING) {
		explain(c);
	} else if (c->spool->store == NULL) {
		control_say_end(c, 1, "the queue's storage has failed; see the log");
	} else if (missing(c) != NULL) {
		control_say_end(c, 2, missing(c));
	} else if (verbs[c->verb].phase == ACTING && c->spool->draining) {
		control_say_end(c, CONTROL_STATUS_UNAVAILABLE, "the server is stopping: nothing was changed");
	} else {
		c->phase = verbs[c->verb].phase;
		go_on(c);
	}
}

static void on_control(void *owner, unsigned kind, const void *msg, int fd)
{
	struct control_session *c = owner;
	(void)kind; /* there is but one */
	fd_close(&fd);
	if (c->phase == AWAITING)
		take_request(c, msg);
	else if (((const struct control_request *)msg)->verb == CONTROL_STOP)
		c->action.stop = true;
}

static void on_closed(void *owner, const char *reason)
{
	(void)reason;
	session_free(owner);
}

/* ---- answers of the supervisor ---- */

static struct control_session *session_of(struct spool *s, uint64_t request)
{
	LIST_EACH(l, &s->controls) {
		struct control_session *c = LIST_MEMBER(l, struct control_session, in_spool);
		if (c->phase == ASKING && c->request == request)
			return c;
	}
	return NULL;
}

void control_status(struct spool *s, uint64_t request, struct str json)
{
	/* Who asked while an answer was awaited gets the same one. */
	LIST_EACH(l, &s->controls) {
		struct control_session *c = LIST_MEMBER(l, struct control_session, in_spool);
		if (c->phase != ASKING || c->verb != CONTROL_STATUS || c->request > request)
			continue;
		channel_send(c->channel, CONTROL_ROW, &(struct control_row){ .json = json });
		control_say_end(c, 0, "");
	}
}

void control_reloaded(struct spool *s, uint64_t request, bool ok, struct str errors)
{
	struct control_session *c = session_of(s, request);
	if (c != NULL && c->verb == CONTROL_RELOAD)
		say_end(c, ok ? 0 : 1, errors);
}

/* ---- connections ---- */

static struct control_session *session_new(struct spool *s, int fd, bool refused)
{
	static const struct channel_handler handler = { on_control, on_closed };
	struct control_session *c = NEW(struct control_session);
	*c = (struct control_session){ .spool = s, .refused = refused, .arena = arena_new(ARENA_MAX),
		                       .unread_since_ms = loop_now_ms(s->loop) };
	c->channel = channel_new(s->loop, fd, &to_control, &from_control, &handler, c);
	timer_init(&c->timer, s->loop, go_on, c);
	timer_set(&c->timer, loop_now_ms(s->loop) + CONTROL_IDLE_MS);
	list_add_last(&s->controls, &c->in_spool);
	if (refused)
		s->n_refusals++;
	else
		s->n_controls++;
	return c;
}

static void refuse(struct spool *s, int fd, uint32_t uid, const char *text)
{
	log_event(LOG_REFUSED, LOG_Z("text", text), LOG_U("uid", uid));
	if (s->n_refusals < CONTROL_REFUSALS_MAX)
		control_say_end(session_new(s, fd, true), CONTROL_STATUS_UNAVAILABLE, text);
	else
		fd_close(&fd);
}

static void admit(struct spool *s, int fd)
{
	uint32_t uid = 0, pid = 0;
	bool may = socket_peer_user(fd, &uid, &pid) == OK && (uid == 0 || uid == process_user() || uid == s->control_owner);
	if (may && s->n_controls >= CONTROL_SESSIONS_MAX)
		take_a_place(s, has_any);
	if (!may)
		refuse(s, fd, uid, "only root and the server's own user (run-as) may command it");
	else if (s->n_controls >= CONTROL_SESSIONS_MAX)
		refuse(s, fd, uid, "the server is answering as many commands as it does at a time: try again in a moment");
	else
		(void)session_new(s, fd, false);
}

static void on_waiting(void *owner)
{
	struct spool *s = owner;
	struct endpoint peer;
	int fd;
	fault f;
	while (fd = -1, (f = socket_accept(acceptor_fd(s->control), &fd, &peer)) == OK)
		admit(s, fd);
	fd_close(&fd); /* without descriptors: it is hung up on */
}

void control_listen(struct spool *s, int fd, uint64_t owner)
{
	s->control_owner = owner;
	acceptor_close(&s->control);
	s->control = acceptor_new(s->loop, fd, on_waiting, s);
}

void control_fini(struct spool *s)
{
	LIST_EACH(l, &s->controls)
		session_free(LIST_MEMBER(l, struct control_session, in_spool));
	acceptor_close(&s->control);
}
