/* SPDX-License-Identifier: ISC */
/* role/supervisor/bound.c -- the listening sockets: bound before anyone drops a privilege, kept over reloads. */
#include "role/supervisor/slot.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { BACKLOG = 1024, PATIENCE_MS = 5000, NAP_MS = 20, NAP_MS_MAX = 1000, HOLDER_ROOM = 1000 }; /* HOLDER_ROOM: octets of text, for put_holder() */

static struct bound *find(struct supervisor *sv, struct str on)
{
	LIST_EACH(l, &sv->bound) {
		struct bound *b = LIST_MEMBER(l, struct bound, in_supervisor);
		if (str_eq(b->on, on))
			return b;
	}
	return NULL;
}

static void drop(struct bound *b)
{
	link_remove(&b->in_supervisor);
	fd_close(&b->fd);
	str_release(&b->on);
	free(b);
}

/* sendmail(1) of every user may reach a local listener; an LMTP socket is for its owner and group, the control socket for its owner. */
static unsigned permissions_for(const struct conf_listener *listener)
{
	if (listener == NULL)
		return 0600;
	return listener->kind == LISTEN_LOCAL ? 0666 : 0660;
}

/* Who may command us beside root: the account of run-as, under which nothing need run. */
static uint32_t commander(const struct conf *conf, uint32_t *gid_out)
{
	uint32_t uid;
	*gid_out = 0;
	return process_is_root() && user_find(conf->run_as.p, &uid, gid_out) == OK ? uid : process_user();
}

static fault open_to_others(const struct endpoint *at, const struct conf *conf, const struct conf_listener *listener,
                            struct why *why)
{
	uint32_t gid, uid = commander(conf, &gid);
	if (at->kind != ENDPOINT_UNIX)
		return OK;
	if (socket_set_mode(at, permissions_for(listener)) != OK)
		return why_say(why, F_DENIED, "%s: its permissions cannot be set", at->path);
	if (listener == NULL && uid != process_user() && socket_give(at, uid, gid) != OK)
		return why_say(why, F_DENIED, "%s: it cannot be given to %.*s, who may command us", at->path, STR_ARG(conf->run_as));
	return OK;
}

static fault bind_one(struct supervisor *sv, struct str on, const struct generation *g, const struct conf_listener *listener,
                      struct why *why)
{
	if (find(sv, on) != NULL)
		return OK;
	struct endpoint at;
	int fd = -1;
	if (endpoint_parse(on, &at) != OK)
		return why_say(why, F_SYNTAX, "%.*s is no address to listen on", STR_ARG(on));
	TRY(socket_listen(&at, BACKLOG, &fd, why));
	fault f = open_to_others(&at, g->conf, listener, why);
	if (f != OK) {
		fd_close(&fd);
		return f;
	}
	struct bound *b = NEW(struct bound);
	b->on = str_keep(on);
	b->fd = fd;
	list_add_last(&sv->bound, &b->in_supervisor);
	log_event(LOG_LISTENING, LOG_S("on", on),
	          LOG_Z("kind", listener != NULL ? listen_kind_name(listener->kind) : "control"));
	return OK;
}

/* The control socket's endpoint in text; the buffer is the caller's to free. */
static fault control_endpoint(const struct conf *conf, struct buf *to)
{
	buf_init(to, 256);
	return buf_addf(to, "unix:%.*s", STR_ARG(conf->control));
}

/* Of several, one that waiting does not mend. */
static fault worse(fault a, fault b)
{
	return a == OK || (a == F_EXISTS && b != OK) ? b : a;
}

fault bound_all(struct supervisor *sv, const struct generation *g, struct conf_report *report)
{
	struct why why = { "" };
	fault worst = OK;
	for (size_t i = 0; i < g->conf->n_listeners; i++) {
		const struct conf_listener *l = &g->conf->listeners[i];
		for (size_t j = 0; j < l->on.n; j++) {
			fault f = bind_one(sv, l->on.items[j], g, l, &why);
			if (f == OK)
				continue;
			worst = worse(worst, f);
			report->errors++;
			if (buf_addf(&report->text, "%s:%u: %s\n", l->at.file, l->at.line, why.text) != OK)
				return worst;
		}
	}
	struct buf control;
	fault f = control_endpoint(g->conf, &control);
	if (f == OK && g->conf->control.n > 0)
		f = bind_one(sv, buf_view(&control), g, NULL, &why);
	if (f != OK) {
		worst = worse(worst, f);
		report->errors++;
		if (buf_addf(&report->text, "control: %s%s\n", why.text,
		             f == F_DENIED || f == F_ABSENT ? "; name another place with `control`" : "") != OK)
			report->errors++;
	}
	buf_fini(&control);
	return worst;
}

/* Who answers at the control socket of this configuration, and still runs: 0 if nobody does. */
static uint32_t other_server(struct supervisor *sv, const struct generation *g)
{
	struct endpoint at;
	struct buf control;
	uint32_t uid, pid = 0;
	int fd = -1;
	fault f = control_endpoint(g->conf, &control);
	if (f == OK && find(sv, buf_view(&control)) != NULL)
		f = F_ABSENT; /* it is ours */
	if (f == OK)
		f = endpoint_parse(buf_view(&control), &at);
	if (f == OK)
		f = socket_connect(&at, NULL, &fd);
	if (f == OK)
		f = socket_peer_user(fd, &uid, &pid);
	fd_close(&fd);
	buf_fini(&control);
	return f == OK && process_exists(pid) ? pid : 0;
}

/* Who holds the address, as far as we know, and what to do, for the operator. */
static void put_holder(struct supervisor *sv, const struct generation *g, char to[HOLDER_ROOM])
{
	unsigned long pid = other_server(sv, g);
	if (pid > 0 && sv->options.tell_other != NULL)
		sv->options.tell_other(sv->options.owner, g->conf->control, pid, to, HOLDER_ROOM);
	else
		(void)snprintf(to, HOLDER_ROOM, "`ss -ltxp` shows which process listens there");
}

/* Lines as one. */
static void put_in_a_line(struct str lines, struct buf *to)
{
	struct str line;
	while (str_next_line(&lines, &line))
		if (buf_addf(to, "%s%.*s", buf_view(to).n > 0 ? "; " : "", STR_ARG(line)) != OK)
			return;
}

static void tell_wait(struct str addresses, const char *holder)
{
	char text[HOLDER_ROOM + 100];
	struct buf line;
	buf_init(&line, addresses.n * 2 + 1);
	put_in_a_line(addresses, &line);
	(void)snprintf(text, sizeof text, "an address to listen on is still in use; waiting %d seconds for it. %s", PATIENCE_MS / 1000, holder);
	log_event(LOG_TROUBLE, LOG_Z("text", text), LOG_S("addresses", buf_view(&line)));
	buf_fini(&line);
}

/* Into the report, with who holds an address that is in use. */
static void keep_attempt(const struct conf_report *attempt, const char *holder, struct conf_report *report)
{
	report->errors += attempt->errors;
	if (buf_add(&report->text, buf_view(&attempt->text)) != OK || (holder[0] != '\0' && buf_addf(&report->text, "%s\n", holder) != OK))
		report->errors++;
}

static unsigned longer(unsigned nap_ms)
{
	return 2 * nap_ms < NAP_MS_MAX ? 2 * nap_ms : NAP_MS_MAX;
}

/* A supervisor that was killed leaves roles that end a moment after it: their sockets are waited for. Who looks knocks at the sockets of
 * a server that runs, which has others to serve: so it is done ever more rarely. */
fault bound_at_start(struct supervisor *sv, const struct generation *g, struct conf_report *report)
{
	fault f = F_EXISTS;
	bool over = false;
	for (unsigned waited_ms = 0, nap_ms = NAP_MS; !over; waited_ms += nap_ms, nap_ms = longer(nap_ms)) {
		char holder[HOLDER_ROOM] = "";
		struct conf_report attempt;
		conf_report_init(&attempt);
		f = bound_all(sv, g, &attempt);
		over = f != F_EXISTS || waited_ms >= PATIENCE_MS;
		if (f == F_EXISTS && (waited_ms == 0 || over))
			put_holder(sv, g, holder);
		if (over)
			keep_attempt(&attempt, holder, report);
		else if (waited_ms == 0)
			tell_wait(buf_view(&attempt.text), holder);
		conf_report_fini(&attempt);
		if (!over)
			clock_nap_ms(nap_ms);
	}
	return f;
}

/* A listener that could not be opened at all has been told, and is nothing to wait for. */
static bool offer_one(struct slot *s, const struct bound *b, unsigned kind, const void *msg)
{
	int fd = b != NULL ? fd_dup(b->fd) : -1;
	if (fd >= 0)
		channel_send_fd(s->control, kind, msg, fd);
	return fd >= 0 || b == NULL;
}

bool bound_offer(struct slot *s, const struct generation *g)
{
	struct supervisor *sv = s->sv;
	bool all = true;
	if (s->kind == ROLE_SPOOL) {
		struct buf control;
		struct bound *b = control_endpoint(g->conf, &control) == OK ? find(sv, buf_view(&control)) : NULL;
		uint32_t gid;
		all = offer_one(s, b, TO_ROLE_CONTROL,
		                &(struct to_role_control){ .generation = g->number, .owner = commander(g->conf, &gid) });
		buf_fini(&control);
	}
	for (size_t i = 0; s->kind == ROLE_FRONT && i < g->conf->n_listeners; i++) {
		const struct conf_listener *l = &g->conf->listeners[i];
		for (size_t j = 0; j < l->on.n; j++)
			all = offer_one(s, find(sv, l->on.items[j]), TO_ROLE_LISTENER,
			                &(struct to_role_listener){ .generation = g->number, .listener = i, .on = j }) && all;
	}
	return all;
}

static bool is_named(const struct conf *conf, struct str on)
{
	for (size_t i = 0; i < conf->n_listeners; i++)
		for (size_t j = 0; j < conf->listeners[i].on.n; j++)
			if (str_eq(conf->listeners[i].on.items[j], on))
				return true;
	return str_take(&on, STR("unix:")) && str_eq(on, conf->control);
}

void bound_keep(struct supervisor *sv, const struct conf *conf)
{
	LIST_EACH(l, &sv->bound) {
		struct bound *b = LIST_MEMBER(l, struct bound, in_supervisor);
		if (!is_named(conf, b->on))
			drop(b);
	}
}

void bound_close_listeners(struct supervisor *sv)
{
	LIST_EACH(l, &sv->bound)
		drop(LIST_MEMBER(l, struct bound, in_supervisor));
}
