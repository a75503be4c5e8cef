/* SPDX-License-Identifier: ISC */
/*
 * role/keeper/keeper.c -- the process that holds private keys and credentials, and lets nobody see them.
 *
 * It signs handshakes, runs SASL exchanges, and knows who is a recipient and who may send as whom. Its neighbours may be
 * in an attacker's hands: they get verdicts and signatures of the one allowed shape, never a secret, and none of their
 * messages can make it stumble.
 */
#include "role/keeper/keeper.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/sign.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/secret.h"
#include "sys/socket.h"

enum {
	SECURE_HEAP_BYTES = 4 << 20, SECURE_HEAP_MIN_BYTES = 32,
	TROUBLE_BYTES_MAX = 64 << 10, SIGNATURE_BYTES_MAX = 4096,
	FORMER_KEYS_MS = 10 * 1000,
};

/* ---- links ---- */

static void link_free(struct keeper_link *l)
{
	if (l->arrow == ARROW_COURIER_KEEPER)
		relay_logins_forget(l);
	else
		logins_forget(l);
	map_free(&l->logins);
	link_remove(&l->in_keeper);
	channel_close(&l->channel);
	free(l);
}

static void on_link_closed(void *owner, const char *reason)
{
	struct keeper_link *l = owner;
	(void)reason; /* the supervisor restarts the neighbour and sends a new socket */
	link_free(l);
}

static void on_front(void *owner, unsigned kind, const void *msg, int fd)
{
	struct keeper_link *l = owner;
	fd_close(&fd);
	switch (kind) {
	case FRONT_AUTH_START:
		logins_on_start(l, msg);
		break;
	case FRONT_AUTH_STEP:
		logins_on_step(l, msg);
		break;
	case FRONT_AUTH_CANCEL:
		logins_cancel(l, ((const struct front_auth_cancel *)msg)->session);
		break;
	case FRONT_ASK_RCPT:
		answers_on_rcpt(l, msg);
		break;
	case FRONT_ASK_SENDER:
		answers_on_sender(l, msg);
		break;
	default:
		break;
	}
}

static void on_courier(void *owner, unsigned kind, const void *msg, int fd)
{
	struct keeper_link *l = owner;
	fd_close(&fd);
	if (kind == COURIER_LOGIN_START)
		relay_logins_on_start(l, msg);
	else if (kind == COURIER_LOGIN_STEP)
		relay_logins_on_step(l, msg);
	else if (kind == COURIER_LOGIN_END)
		relay_logins_cancel(l, ((const struct courier_login_end *)msg)->session);
}

static void on_spool(void *owner, unsigned kind, const void *msg, int fd)
{
	fd_close(&fd);
	if (kind == SPOOL_ASK_TARGETS)
		answers_on_targets(owner, msg);
}

static void on_sign(void *owner, unsigned kind, const void *msg, int fd)
{
	struct keeper_link *l = owner;
	struct keeper *k = l->keeper;
	struct buf signature;
	struct why why = { "" };
	fd_close(&fd);
	if (kind != SIGN_REQUEST)
		return;
	buf_init(&signature, SIGNATURE_BYTES_MAX);
	enum sign_side side = l->arrow == ARROW_FRONT_SIGN ? SIGN_AS_SERVER : SIGN_AS_CLIENT;
	fault f = k->now != NULL ? keys_sign(k->now->keys, side, msg, &signature, &why)
	                         : why_say(&why, F_ABSENT, "the keeper has no configuration yet");
	if (f == OK) {
		k->signatures++;
		channel_send(l->channel, SIGN_DONE, &(struct sign_done){ .signature = buf_view(&signature) });
	} else {
		k->refused_signatures++;
		if ((k->refused_signatures & (k->refused_signatures - 1)) == 0) /* 1, 2, 4, 8 ...: a neighbour must not flood the log */
			log_event(LOG_TROUBLE, LOG_Z("text", why.text), LOG_Z("asked", side == SIGN_AS_SERVER ? "front" : "courier"),
			          LOG_U("times", k->refused_signatures));
		channel_send(l->channel, SIGN_REFUSED, &(struct sign_refused){ .text = str_of(why.text) });
	}
	buf_fini(&signature);
}

/* ---- session tickets ---- */

static void tell_ticket_seeds(struct keeper_link *l)
{
	const struct ticket_seeds *t = l->keeper->tickets;
	struct str present = { t->seeds[0], sizeof(t->seeds[0]) }, past = { t->seeds[1], sizeof(t->seeds[1]) };
	channel_send(l->channel, KEEPER_TICKET_SEEDS,
	             &(struct keeper_ticket_seeds){ .present = present, .past = t->n > 1 ? past : STR_NONE });
}

static void rotate_tickets(void *role)
{
	struct keeper *k = role;
	struct ticket_seeds *t = k->tickets;
	memcpy(t->seeds[1], t->seeds[0], sizeof(t->seeds[1]));
	random_bytes(t->seeds[0], sizeof(t->seeds[0]));
	t->n = t->n == 0 ? 1 : 2;
	LIST_EACH(link, &k->links) {
		struct keeper_link *l = LIST_MEMBER(link, struct keeper_link, in_keeper);
		if (l->arrow == ARROW_FRONT_KEEPER)
			tell_ticket_seeds(l);
	}
	timer_set(&k->rotation, loop_now_ms(k->loop) + (int64_t)TICKET_SEED_S * 1000);
}

/* ---- links come ---- */

static void on_link(void *role, enum ipc_arrow arrow, unsigned instance, int fd)
{
	static const struct {
		enum ipc_arrow arrow;
		struct channel_handler handler;
		const struct ipc_schema *in, *out;
	} kinds[] = {
		{ ARROW_FRONT_KEEPER, { on_front, on_link_closed }, &front_to_keeper, &keeper_to_front },
		{ ARROW_COURIER_KEEPER, { on_courier, on_link_closed }, &courier_to_keeper, &keeper_to_courier },
		{ ARROW_SPOOL_KEEPER, { on_spool, on_link_closed }, &spool_to_keeper, &keeper_to_spool },
		{ ARROW_FRONT_SIGN, { on_sign, on_link_closed }, &to_signer, &from_signer },
		{ ARROW_COURIER_SIGN, { on_sign, on_link_closed }, &to_signer, &from_signer },
	};
	struct keeper *k = role;
	size_t kind = 0;
	while (kind < COUNT(kinds) && kinds[kind].arrow != arrow)
		kind++;
	if (kind == COUNT(kinds)) {
		fd_close(&fd);
		return;
	}
	LIST_EACH(old, &k->links) {
		struct keeper_link *l = LIST_MEMBER(old, struct keeper_link, in_keeper);
		if (l->arrow == arrow && l->instance == instance)
			link_free(l); /* the neighbour was restarted */
	}
	struct keeper_link *l = NEW(struct keeper_link);
	l->keeper = k;
	l->arrow = arrow;
	l->instance = instance;
	l->logins = map_new(random_u64());
	list_add_last(&k->links, &l->in_keeper);
	l->channel = channel_new(k->loop, fd, kinds[kind].in, kinds[kind].out, &kinds[kind].handler, l);
	channel_keep_secret(l->channel);
	if (arrow == ARROW_FRONT_KEEPER)
		tell_ticket_seeds(l);
}

/* ---- configuration ---- */

static void on_file(void *role, struct str path, int fd)
{
	files_take(((struct keeper *)role)->coming, path, fd);
}

static void tell_trouble(struct str text)
{
	struct str line;
	while (str_take_line(&text, &line))
		log_event(LOG_TROUBLE, LOG_S("text", line));
}

static void tell_of_new_rules(struct keeper *k)
{
	LIST_EACH(link, &k->links) {
		struct keeper_link *l = LIST_MEMBER(link, struct keeper_link, in_keeper);
		if (l->arrow == ARROW_FRONT_KEEPER)
			channel_send(l->channel, KEEPER_RULES, &(struct keeper_rules){ .number = k->number });
	}
}

static fault on_apply(void *role, const struct conf *conf, struct why *why)
{
	struct keeper *k = role;
	struct vault *fresh = NULL;
	struct buf trouble;
	buf_init(&trouble, TROUBLE_BYTES_MAX);
	fault f = vault_new(conf, &k->coming, clock_wall_s(), &fresh, &trouble, why);
	k->coming = files_new();
	tell_trouble(buf_view(&trouble));
	buf_fini(&trouble);
	TRY(f);
	if (k->now != NULL)
		keys_keep_former(fresh->keys, k->now->keys); /* the fronts go over to the new chains last */
	timer_clear(&k->settled);
	vault_free(&k->now);
	k->now = fresh;
	k->number++;
	tell_of_new_rules(k);
	return OK;
}

static void on_message(void *role, unsigned kind, const void *msg, int fd)
{
	struct keeper *k = role;
	(void)msg;
	fd_close(&fd);
	if (kind == TO_ROLE_SETTLED && k->now != NULL) /* a handshake that has begun with an old chain ends with it */
		timer_set(&k->settled, loop_now_ms(k->loop) + FORMER_KEYS_MS);
}

static void forget_former_keys(void *role)
{
	keys_forget_former(((struct keeper *)role)->now->keys);
}

static void on_status(void *role, struct buf *json)
{
	const struct keeper *k = role;
	size_t keys = k->now != NULL ? keys_count(k->now->keys) : 0;
	fault f = buf_addf(json, "\"keys\": %zu, \"signatures\": %" PRIu64 ", \"logins\": %" PRIu64 ", \"refused_logins\": %" PRIu64,
	                   keys, k->signatures, k->logins, k->refused_logins);
	if (f == OK && k->now != NULL)
		vault_status(k->now, clock_wall_s(), json);
}

static void on_free(void *role)
{
	struct keeper *k = role;
	LIST_EACH(l, &k->links)
		link_free(LIST_MEMBER(l, struct keeper_link, in_keeper));
	vault_free(&k->now);
	files_free(&k->coming);
	backoff_free(&k->backoff);
	timer_clear(&k->rotation);
	timer_clear(&k->settled);
	void *tickets = k->tickets;
	secret_free(&tickets, sizeof(*k->tickets));
	k->work->keeper_gone = true;
	if (k->work->running == 0)
		free(k->work);
	OPENSSL_cleanse(k->pepper, sizeof(k->pepper));
	free(k);
}

struct role_base *keeper_start(struct loop *loop, int control_fd)
{
	static const struct role_hooks hooks = {
		.name = "keeper", .file = on_file, .apply = on_apply, .link = on_link, .message = on_message, .status = on_status,
		.free = on_free,
	};
	/* The private numbers of keys live on pages that are locked, guarded and left out of core dumps: room for some two
	 * thousand RSA keys. */
	if (CRYPTO_secure_malloc_initialized() == 0 && CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_HEAP_MIN_BYTES) != 1)
		log_event(LOG_TROUBLE, LOG_Z("text", "the memory for private keys cannot be locked and may be swapped out: raise the limit of locked memory "
		          "(LimitMEMLOCK=infinity in the unit)"));
	struct keeper *k = NEW(struct keeper);
	k->loop = loop;
	k->coming = files_new();
	k->work = NEW(struct work_count);
	k->backoff = backoff_new(random_u64());
	list_init(&k->links);
	random_bytes(k->pepper, sizeof(k->pepper));
	bool locked; /* as well as it goes: a seed opens no recorded session */
	k->tickets = secret_new(sizeof(*k->tickets), &locked);
	check(k->tickets != NULL);
	timer_init(&k->rotation, loop, rotate_tickets, k);
	timer_init(&k->settled, loop, forget_former_keys, k);
	rotate_tickets(k);
	k->base = role_base_new(loop, control_fd, &hooks, k);
	return k->base;
}
