/* SPDX-License-Identifier: ISC */
/* role/base.c -- what every role shares: the control channel and the configuration's generations. */
#include "role/role.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { TEXTS_MAX = 1000, INSTANCES_MAX = 64 };

struct role_base {
	struct loop *loop;
	struct channel *control;
	const struct role_hooks *hooks;
	void *role;
	void (*ended)(void *owner);
	void *ended_owner;
	uint64_t next_request;
	bool drained, told_confinement, is_stale, applying;
	int64_t told_working_s;
	uint16_t links[IPC_ARROW_COUNT][INSTANCES_MAX]; /* how many have come */

	/* The generation that is arriving, and the one in force. */
	uint64_t coming;
	struct conf_text texts[TEXTS_MAX];
	size_t n_texts;
	struct conf *conf;
};

static void forget_texts(struct role_base *b)
{
	for (size_t i = 0; i < b->n_texts; i++) {
		str_release(&b->texts[i].name);
		str_release(&b->texts[i].text);
	}
	b->n_texts = 0;
}

static void take_text(struct role_base *b, const struct to_role_config_text *m)
{
	if (m->generation != b->coming) {
		forget_texts(b);
		b->coming = m->generation;
	}
	if (b->n_texts == TEXTS_MAX)
		return; /* the loader has the same ceiling and has said so */
	b->texts[b->n_texts++] = (struct conf_text){ str_keep(m->name), str_keep(m->text) };
}

/* Here, because only the configuration says in which form events are logged. */
static void tell_confinement(struct role_base *b)
{
	const struct confine_facts *facts = confine_facts();
	if (b->told_confinement || !facts->confined)
		return;
	b->told_confinement = true;
	log_event(LOG_CONFINED, LOG_U("user", facts->user), LOG_Z("root", facts->empty_root ? "empty" : "whole"),
	          LOG_Z("calls", facts->seccomp ? "listed" : "all"), LOG_U("landlock", facts->landlock),
	          LOG_Z("less", facts->less));
}

void role_working(struct role_base *b)
{
	int64_t now_s = clock_wall_s(); /* the loop's clock stands still meanwhile */
	if (b == NULL || !b->applying || now_s == b->told_working_s)
		return;
	b->told_working_s = now_s;
	channel_send(b->control, FROM_ROLE_WORKING, &(struct from_role_working){ 0 });
	channel_flush(b->control);
}

static fault apply(struct role_base *b, struct why *why)
{
	struct conf_report report;
	struct conf *conf = NULL;
	conf_report_init(&report);
	fault f = conf_read(b->texts, b->n_texts, &conf, &report);
	if (f != OK)
		(void)why_say(why, f, "%.*s", STR_ARG(buf_view(&report.text)));
	conf_report_fini(&report);
	TRY(f);

	log_begin(b->hooks->name, conf->log_json);
	tell_confinement(b);
	b->applying = true;
	b->told_working_s = clock_wall_s();
	f = b->hooks->apply(b->role, conf, why);
	b->applying = false;
	if (f != OK) {
		conf_free(&conf);
		return f;
	}
	conf_free(&b->conf);
	b->conf = conf;
	return OK;
}

static void commit(struct role_base *b, uint64_t generation)
{
	struct why why = { "" };
	fault f = generation == b->coming && b->n_texts > 0 ? apply(b, &why)
	                                  : why_say(&why, F_STATE, "the configuration did not arrive");
	forget_texts(b);
	process_trim_memory(); /* what the last configuration had, and what was read for this one, leaves holes */
	if (f == OK) {
		channel_send(b->control, FROM_ROLE_READY, &(struct from_role_ready){ .generation = generation });
		return;
	}
	if (why.text[0] == '\0')
		(void)why_say(&why, f, "%s could not take the configuration (%s)", b->hooks->name, fault_name(f));
	channel_send(b->control, FROM_ROLE_FAILED,
	             &(struct from_role_failed){ .generation = generation, .text = str_of(why.text) });
}

static void tell_status(struct role_base *b, uint64_t request)
{
	struct buf json;
	buf_init(&json, 64 << 10);
	fault f = buf_add_char(&json, '{');
	if (f == OK && b->hooks->status != NULL)
		b->hooks->status(b->role, &json);
	if (f == OK)
		f = buf_addf(&json, "%s\"peak_bytes\":%" PRIu64 ",\"confinement\":", buf_view(&json).n > 1 ? "," : "",
		             process_peak_bytes());
	if (f == OK)
		f = confine_put_json(&json);
	if (f == OK)
		f = buf_add_char(&json, '}');
	channel_send(b->control, FROM_ROLE_STATUS,
	             &(struct from_role_status){ .request = request,
	                                         .json = f == OK ? buf_view(&json) : STR("{}") });
	buf_fini(&json);
}

static void on_control(void *owner, unsigned kind, const void *msg, int fd)
{
	struct role_base *b = owner;
	const struct role_hooks *h = b->hooks;
	switch (kind) {
	case TO_ROLE_CONFIG_TEXT:
		take_text(b, msg);
		break;
	case TO_ROLE_FILE:
		if (fd >= 0 && h->file != NULL) {
			h->file(b->role, ((const struct to_role_file *)msg)->path, fd);
			fd = -1;
		}
		break;
	case TO_ROLE_LISTENER: {
		const struct to_role_listener *m = msg;
		if (fd >= 0 && h->listener != NULL) {
			h->listener(b->role, m->listener, m->on, fd);
			fd = -1;
		}
		break;
	}
	case TO_ROLE_COMMIT:
		commit(b, ((const struct to_role_commit *)msg)->generation);
		break;
	case TO_ROLE_LINK: {
		const struct to_role_link *m = msg;
		if (fd >= 0 && h->link != NULL && m->arrow < IPC_ARROW_COUNT) {
			if (m->instance < INSTANCES_MAX)
				b->links[m->arrow][m->instance]++;
			h->link(b->role, (enum ipc_arrow)m->arrow, (unsigned)m->instance, fd);
			fd = -1;
		}
		break;
	}
	case TO_ROLE_UNIX: {
		const struct to_role_unix *m = msg;
		if (h->unix_connected != NULL) {
			struct why why;
			(void)why_say(&why, OK, "%.*s", STR_ARG(m->error));
			h->unix_connected(b->role, m->request, fd, why.text);
			fd = -1;
		}
		break;
	}
	case TO_ROLE_ASK_STATUS:
		tell_status(b, ((const struct to_role_ask_status *)msg)->request);
		break;
	case TO_ROLE_DRAIN:
		if (h->drain != NULL)
			h->drain(b->role, ((const struct to_role_drain *)msg)->grace_ms);
		else
			role_drained(b);
		break;
	default:
		if (h->message != NULL) {
			h->message(b->role, kind, msg, fd);
			fd = -1;
		}
		break;
	}
	fd_close(&fd);
}

static void on_control_closed(void *owner, const char *reason)
{
	struct role_base *b = owner;
	(void)reason;
	/* Without its supervisor a role has nothing to live for. */
	if (b->ended != NULL)
		b->ended(b->ended_owner);
}

struct role_base *role_base_new(struct loop *loop, int control_fd, const struct role_hooks *hooks, void *role)
{
	static const struct channel_handler handler = { on_control, on_control_closed };
	struct role_base *b = NEW(struct role_base);
	b->loop = loop;
	b->hooks = hooks;
	b->role = role;
	b->control = channel_new(loop, control_fd, &supervisor_to_role, &role_to_supervisor, &handler, b);
	return b;
}

void role_on_end(struct role_base *b, void (*ended)(void *owner), void *owner)
{
	b->ended = ended;
	b->ended_owner = owner;
}

struct channel *role_control(struct role_base *b)
{
	return b->control;
}

uint64_t role_unix_connect(struct role_base *b, struct str path)
{
	uint64_t request = ++b->next_request;
	channel_send(b->control, FROM_ROLE_UNIX_CONNECT,
	             &(struct from_role_unix_connect){ .request = request, .path = path });
	return request;
}

void role_link_broke(struct role_base *b, enum ipc_arrow arrow, unsigned instance, const char *neighbour,
                     const char *reason)
{
	/* A neighbour that merely went is started again, or we all end; the supervisor tells which. */
	bool went = strcmp(reason, CHANNEL_GONE) == 0;
	log_event(went ? LOG_NEIGHBOUR_GONE : LOG_CHANNEL_BROKEN, LOG_Z("neighbour", neighbour), LOG_Z("reason", reason));
	struct from_role_link_broke m = { .arrow = arrow, .instance = instance };
	m.links = instance < INSTANCES_MAX ? b->links[arrow][instance] : 0;
	channel_send(b->control, FROM_ROLE_LINK_BROKE, &m);
}

void role_drained(struct role_base *b)
{
	if (b->drained)
		return;
	b->drained = true;
	channel_send(b->control, FROM_ROLE_DRAINED, &(struct from_role_drained){ 0 });
}

bool role_folder_refused(struct role_base *b)
{
	if (b->is_stale || !confine_is_stale())
		return b->is_stale;
	b->is_stale = true;
	channel_send(b->control, FROM_ROLE_STALE, &(struct from_role_stale){ 0 });
	return true;
}

void role_free(struct role_base **base)
{
	struct role_base *b = *base;
	if (b == NULL)
		return;
	*base = NULL;
	b->hooks->free(b->role);
	channel_close(&b->control);
	forget_texts(b);
	conf_free(&b->conf);
	free(b);
}
