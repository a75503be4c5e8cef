/* SPDX-License-Identifier: ISC */
/* role/supervisor/slot.c -- starts one role's process, links it to its neighbours, hears what it says. */
#include "role/supervisor/slot.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "role/role.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/socket.h"
#include "tls/tls.h"

/* A role that dies this often before the server was ever ready will not come up. */
enum {
	REPLACE_MS = 1000,
	REST_MS = 20000,
	BACKOFF_MAX_MS = 60000,
	STEADY_MS = 60000,
	DEATHS_AT_START_MAX = 5
};

static const struct {
	const char *name;
	unsigned stage;
	unsigned files; /* which files of the configuration it may have */
} kinds[ROLE_KINDS] = {
	[ROLE_KEEPER] = { "keeper", 0, CONF_FILE_CERT | CONF_FILE_KEY | CONF_FILE_USERS | CONF_FILE_ALIASES |
	                               CONF_FILE_RECIPIENTS | CONF_FILE_SECRET },
	[ROLE_RESOLVER] = { "resolver", 1, CONF_FILE_ANCHOR | CONF_FILE_POLICY_CA },
	[ROLE_SPOOL] = { "spool", 1, 0 },
	[ROLE_COURIER] = { "courier", 1, CONF_FILE_CA },
	[ROLE_PORTER] = { "porter", 1, 0 },
	[ROLE_FRONT] = { "front", 2, CONF_FILE_CERT },
};

const char *role_kind_name(enum role_kind kind)
{
	return kinds[kind].name;
}

unsigned stage_of(enum role_kind kind)
{
	return kinds[kind].stage;
}

static void start_again(void *owner)
{
	slot_start(owner);
}

/* It hangs, or has very much to do. */
static void not_ready(void *owner)
{
	struct slot *s = owner;
	int64_t now = loop_now_ms(s->sv->loop), until = patience_until_ms(s->offered_ms, s->heard_ms, now);
	const char *words = until == 0 ? "this role has not taken its configuration: it is started again"
	                    : s->heard_ms > s->offered_ms ? "this role has not taken its configuration yet, and is busy with it"
	                                                  : "this role has not taken its configuration yet";
	log_event(LOG_TROUBLE, LOG_Z("name", role_kind_name(s->kind)), LOG_U("pid", s->pid), LOG_U("waited_ms", now - s->offered_ms),
	          LOG_Z("text", words));
	if (until == 0)
		child_kill(s->child);
	else
		timer_set(&s->ready, until);
}

static void end_replaced(struct slot *s)
{
	s->told_to_end = true;
	timer_clear(&s->rest);
	child_kill(s->child);
}

static void rest_is_over(void *owner)
{
	struct slot *s = owner;
	log_event(LOG_TROUBLE, LOG_Z("name", role_kind_name(s->kind)), LOG_U("pid", s->pid), LOG_U("waited_ms", REST_MS),
	          LOG_Z("text", "it makes room for its successor and has not ended what it has in hand: this is tried again, and "
	                        "letters that were almost there may come twice"));
	end_replaced(s);
}

void slot_init(struct slot *s, struct supervisor *sv, enum role_kind kind, unsigned instance)
{
	s->sv = sv;
	s->kind = kind;
	s->instance = instance;
	timer_init(&s->restart, sv->loop, start_again, s);
	timer_init(&s->rest, sv->loop, rest_is_over, s);
	timer_init(&s->ready, sv->loop, not_ready, s);
}

/* ---- what a role says ---- */

static bool path_is_a_next_hop(const struct conf *conf, struct str path)
{
	for (size_t i = 0; conf != NULL && i < conf->n_domains; i++) {
		struct str to = conf->domains[i].deliver_to;
		if (conf->domains[i].deliver == DELIVER_LMTP && str_take(&to, STR("unix:")) && str_eq(to, path))
			return true;
	}
	return false;
}

static void tell_user(struct slot *s, const struct from_role_ask_user *m)
{
	char name[128];
	bool known = m->uid <= UINT32_MAX && user_name((uint32_t)m->uid, name, sizeof name) == OK;
	channel_send(s->control, TO_ROLE_USER,
	             &(struct to_role_user){ .request = m->request, .name = known ? str_of(name) : STR_NONE });
}

/* Connecting to a Unix socket is decided at once, so the supervisor can do it without waiting. */
static void connect_for(struct slot *s, const struct from_role_unix_connect *m)
{
	struct endpoint to = { .kind = ENDPOINT_UNIX };
	struct why why = { "" };
	int fd = -1;
	fault f = OK;
	if (s->kind != ROLE_COURIER || !path_is_a_next_hop(s->sv->current.conf, m->path) ||
	    m->path.n >= sizeof to.path)
		f = why_say(&why, F_DENIED, "the configuration names no such socket");
	if (f == OK) {
		memcpy(to.path, m->path.p, m->path.n);
		f = socket_connect(&to, NULL, &fd);
	}
	if (f == OK)
		f = socket_connected(fd, &why);
	if (f != OK) {
		fd_close(&fd);
		if (why.text[0] == '\0')
			(void)why_say(&why, f, "nobody listens there (%s)", fault_name(f));
	}
	struct to_role_unix answer = { .request = m->request, .error = str_of(f == OK ? "" : why.text) };
	if (f == OK)
		channel_send_fd(s->control, TO_ROLE_UNIX, &answer, fd);
	else
		channel_send(s->control, TO_ROLE_UNIX, &answer);
}

/* What has been done is known to the spool before somebody else, with other folders perhaps, has a chance to do it again. */
static void replace(struct slot *s)
{
	bool has_work = s->kind == ROLE_COURIER || s->kind == ROLE_PORTER || s->kind == ROLE_FRONT;
	if (s->replaced || s->child == NULL)
		return;
	s->replaced = true;
	log_event(LOG_ROLE_REPLACED, LOG_Z("name", role_kind_name(s->kind)), LOG_U("pid", s->pid));
	if (!has_work || s->control == NULL) {
		end_replaced(s);
		return;
	}
	channel_send(s->control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = REST_MS - REST_MS / 10 });
	timer_set(&s->rest, loop_now_ms(s->sv->loop) + REST_MS);
}

static void on_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct slot *s = owner;
	fd_close(&fd); /* no role has a descriptor to give */
	switch (kind) {
	case FROM_ROLE_READY:
		generation_accepted(s, ((const struct from_role_ready *)msg)->generation);
		break;
	case FROM_ROLE_FAILED: {
		const struct from_role_failed *m = msg;
		generation_refused(s, m->generation, m->text);
		break;
	}
	case FROM_ROLE_WORKING:
		s->heard_ms = loop_now_ms(s->sv->loop);
		break;
	case FROM_ROLE_UNIX_CONNECT:
		connect_for(s, msg);
		break;
	case FROM_ROLE_STATUS: {
		const struct from_role_status *m = msg;
		status_answer(s, m->request, m->json);
		break;
	}
	case FROM_ROLE_RELOAD:
		if (s->kind == ROLE_SPOOL)
			supervisor_reload_for(s->sv, ((const struct from_role_reload *)msg)->request);
		break;
	case FROM_ROLE_ASK_STATUS:
		if (s->kind == ROLE_SPOOL)
			status_ask(s->sv, ((const struct from_role_ask_status *)msg)->request);
		break;
	case FROM_ROLE_LINK_BROKE: {
		const struct from_role_link_broke *m = msg;
		link_broke(s, m->arrow, m->instance, m->links);
		break;
	}
	case FROM_ROLE_STALE:
		if (s->kind == ROLE_SPOOL || s->kind == ROLE_PORTER || s->kind == ROLE_FRONT)
			replace(s);
		break;
	case FROM_ROLE_ASK_USER:
		if (s->kind == ROLE_FRONT)
			tell_user(s, msg);
		break;
	case FROM_ROLE_DRAINED:
		s->drained = true;
		if (s->replaced && s->sv->phase == SV_RUNNING)
			end_replaced(s);
		supervisor_slot_drained(s);
		break;
	default:
		break;
	}
}

static void on_closed(void *owner, const char *reason)
{
	struct slot *s = owner;
	/* Its process ends too, or has sent nonsense and must: the child's end is what counts. */
	s->parting_words = reason;
	channel_close(&s->control);
	if (s->child != NULL)
		child_kill(s->child);
}

static void on_ended(void *owner, const char *how)
{
	struct slot *s = owner;
	struct supervisor *sv = s->sv;
	if (sv->phase != SV_ENDING && !s->told_to_end)
		log_event(LOG_ROLE_DIED, LOG_Z("name", role_kind_name(s->kind)), LOG_U("pid", s->pid), LOG_Z("how", how),
		          LOG_Z("channel", s->parting_words));
	child_free(&s->child);
	channel_close(&s->control);
	pages_wipe(s);
	s->running = false;
	bool was_ready = s->accepted != 0;
	s->offered = s->accepted = 0;
	s->told_to_end = false;
	timer_clear(&s->rest);
	timer_clear(&s->ready);
	if (sv->phase == SV_ENDING) {
		supervisor_slot_ended(s);
		return;
	}

	int64_t now = loop_now_ms(sv->loop);
	if (s->replaced) {
		/* Not faster than this, whatever a role says about its folders. */
		s->replaced = false;
		timer_set(&s->restart, s->started_ms + REPLACE_MS > now ? s->started_ms + REPLACE_MS : now);
		supervisor_slot_ended(s);
		generation_goes_on(sv);
		return;
	}
	s->deaths_in_a_row = was_ready && now - s->started_ms > STEADY_MS ? 0 : s->deaths_in_a_row + 1;
	int64_t wait = s->deaths_in_a_row <= 1 ? 0 : 500;
	for (unsigned i = 1; i < s->deaths_in_a_row && wait < BACKOFF_MAX_MS; i++)
		wait *= 2;
	s->restarts++;
	if (!sv->was_ready && s->deaths_in_a_row >= DEATHS_AT_START_MAX) {
		log_event(LOG_TROUBLE, LOG_Z("name", role_kind_name(s->kind)),
		          LOG_Z("text", "this role cannot start, so the server ends; the lines above say why"));
		supervisor_fail(sv, 70);
		return;
	}
	timer_set(&s->restart, now + (wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS));
	supervisor_slot_ended(s);
}

/* ---- starting ---- */

/* A generation that comes after this one may need a new process again. */
static void take_terms(struct slot *s)
{
	const struct supervisor *sv = s->sv;
	const struct generation *g = generation_for(s);
	const struct conf *conf = g != NULL ? g->conf : sv->coming.conf;
	terms_free(&s->terms);
	terms_of(sv, conf, s->kind, &s->terms);
	if (s->kind == ROLE_SPOOL && sv->was_ready) { /* somebody may have removed it; if it cannot be made, the spool says so */
		struct conf_report unheard;
		conf_report_init(&unheard);
		fault f = account_prepare_queue(sv, conf, &unheard);
		(void)f;
		conf_report_fini(&unheard);
	}
}

/* Without one of its links, pages or listeners it would look well and be deaf. Its end starts it again, with back-off. */
static void start_over(struct slot *s)
{
	log_event(LOG_TROUBLE, LOG_Z("name", role_kind_name(s->kind)),
	          LOG_Z("text", "no descriptors left for what this role needs: it is started again"));
	child_kill(s->child);
}

void slot_start(struct slot *s)
{
	static const struct channel_handler handler = { on_message, on_closed };
	struct supervisor *sv = s->sv;
	struct why why = { "" };
	int fd = -1;
	s->started_ms = loop_now_ms(sv->loop);
	take_terms(s);
	struct child_plan plan = {
		.role = role_kind_name(s->kind), .user = s->terms.has_account ? s->terms.account.name : NULL,
		.is_known = s->terms.has_account, .uid = s->terms.account.uid, .gid = s->terms.account.gid,
		.keeps_chroot = role_rules(role_kind_name(s->kind))->empty_root,
		.folders = s->terms.folders, .n_folders = s->terms.n_folders,
	};
	if (process_is_root() && !s->terms.has_account) {
		fault f = why_say(&why, F_ABSENT, "its account (run-as, mail-user) cannot be found, and no role runs as root");
		(void)f;
	} else {
		s->child = child_start(sv->loop, &plan, &fd, on_ended, s, &why);
	}
	if (s->child == NULL) {
		log_event(LOG_TROUBLE, LOG_Z("name", role_kind_name(s->kind)), LOG_Z("text", why.text));
		timer_set(&s->restart, s->started_ms + 1000);
		return;
	}
	s->running = true;
	s->drained = false;
	memset(s->links, 0, sizeof s->links);
	s->pid = child_pid(s->child);
	s->parting_words = "open";
	s->control = channel_new(sv->loop, fd, &role_to_supervisor, &supervisor_to_role, &handler, s);
	log_event(LOG_ROLE_STARTED, LOG_Z("name", role_kind_name(s->kind)), LOG_U("pid", child_pid(s->child)));
	if (!link_neighbours(s) || !pages_give(s)) {
		start_over(s);
		return;
	}
	const struct generation *g = generation_for(s);
	if (g != NULL)
		slot_offer(s, g);
}

/* The courier and the resolver verify servers with them, and have no path to them: the first place that there is, under the name "". */
static void offer_system_cas(struct slot *s, const struct generation *g)
{
	const char *path;
	int fd = -1;
	for (size_t i = 0; fd < 0 && (path = tls_system_ca_file(i)) != NULL; i++)
		if (file_open(FILE_CWD, path, FILE_READ, 0, &fd, NULL) != OK)
			fd = -1;
	if (fd >= 0)
		channel_send_fd(s->control, TO_ROLE_FILE, &(struct to_role_file){ .generation = g->number, .path = STR("") }, fd);
}

/* Opened anew for each role and generation: the descriptor's offset is shared, so it cannot serve two. */
static void offer_files(struct slot *s, const struct generation *g)
{
	const struct conf_file *files;
	size_t n = conf_files(g->conf, &files);
	for (size_t i = 0; i < n; i++) {
		if ((files[i].use & kinds[s->kind].files) == 0)
			continue;
		struct why why = { "" };
		int fd = -1;
		char path[4096];
		if (files[i].path.n >= sizeof path)
			continue;
		memcpy(path, files[i].path.p, files[i].path.n);
		path[files[i].path.n] = '\0';
		/* What cannot be opened is not sent; the role then says that it is missing. */
		if (file_open(FILE_CWD, path, FILE_READ, 0, &fd, &why) != OK) {
			log_event(LOG_TROUBLE, LOG_Z("text", why.text));
			continue;
		}
		channel_send_fd(s->control, TO_ROLE_FILE,
		                &(struct to_role_file){ .generation = g->number, .path = files[i].path }, fd);
	}
}

static bool terms_have_changed(const struct slot *s, const struct generation *g)
{
	struct terms wanted;
	terms_of(s->sv, g->conf, s->kind, &wanted);
	bool lost = !wanted.has_account && process_is_root(); /* its account cannot be found: that is no reason to end who has it */
	bool changed = !lost && !terms_equal(&s->terms, &wanted);
	terms_free(&wanted);
	return changed;
}

bool slot_makes_room(struct slot *s, const struct generation *g)
{
	if (s->running && !s->replaced && terms_have_changed(s, g))
		replace(s);
	return s->replaced;
}

void slot_offer(struct slot *s, const struct generation *g)
{
	if (s->control == NULL || s->offered == g->number || slot_makes_room(s, g))
		return;
	s->offered = g->number;
	s->offered_ms = s->heard_ms = loop_now_ms(s->sv->loop);
	timer_set(&s->ready, patience_until_ms(s->offered_ms, s->heard_ms, s->offered_ms));
	if (s->kind == ROLE_KEEPER || s->kind == ROLE_FRONT)
		chains_offered(s->sv, g);
	for (size_t i = 0; i < g->texts->n; i++)
		channel_send(s->control, TO_ROLE_CONFIG_TEXT,
		             &(struct to_role_config_text){ .generation = g->number,
		                                            .name = g->texts->items[i].name,
		                                            .text = g->texts->items[i].text });
	offer_files(s, g);
	if ((kinds[s->kind].files & (CONF_FILE_CA | CONF_FILE_POLICY_CA)) != 0)
		offer_system_cas(s, g);
	if (!bound_offer(s, g)) {
		start_over(s);
		return;
	}
	channel_send(s->control, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = g->number });
}

void slot_fini(struct slot *s)
{
	timer_clear(&s->restart);
	timer_clear(&s->rest);
	timer_clear(&s->ready);
	channel_close(&s->control);
	child_free(&s->child);
	terms_free(&s->terms);
	free(s->status);
	s->status = NULL;
}
