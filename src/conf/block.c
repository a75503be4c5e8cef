/* SPDX-License-Identifier: ISC */
/* conf/block.c -- what a whole block must be, once its lines are read. */
#include "conf/block.h"

#include "base/check.h"
#include "conf/reader.h"
#include "conf/value.h"
#include "mail/address.h"

static bool was_seen(const struct seen *seen, const char *name)
{
	const struct directive *d = directive_find(seen->rows, str_of(name));
	check(d != NULL);
	return seen->nodes[d - seen->rows] != NULL;
}

/* Where a directive of the block was written, or the block itself. */
static struct conf_place seen_at(const struct seen *seen, const char *name, const struct node *block)
{
	const struct directive *d = directive_find(seen->rows, str_of(name));
	check(d != NULL);
	const struct node *node = seen->nodes[d - seen->rows];
	return node != NULL ? node->words[0].at : block->words[0].at;
}

static bool read_domain_name(struct reader *r, const struct word *w, struct str *out)
{
	if (domain_to_ascii(w->text, r->arena, out) == OK)
		return true;
	trouble_error(&r->troubles, w->at, "\"%.*s\" is not a domain name", SHOWN(w->text));
	trouble_expected(&r->troubles, "expected labels of letters, digits and \"-\" with dots between, such as example.org");
	return false;
}

static void defined_twice(struct reader *r, const struct word *w, const struct conf_place *first)
{
	trouble_error(&r->troubles, w->at, "\"%.*s\" is defined twice", SHOWN(w->text));
	trouble_expected(&r->troubles, "the first is in line %u of %s", first->line, first->file);
}

void *add_tls(struct reader *r, const struct node *node)
{
	struct conf *c = r->conf;
	struct conf_list names = { NULL, 0 };
	for (size_t i = 1; i < node->n_words; i++) {
		struct str name;
		if (!read_domain_name(r, &node->words[i], &name))
			continue;
		for (size_t j = 0; j < c->n_tls; j++)
			if (list_has(&c->tls[j].names, name))
				defined_twice(r, &node->words[i], &c->tls[j].at);
		if (!list_has(&names, name))
			list_add(r, &names, name);
	}
	if (node->n_words == 1 && c->n_tls > 0) {
		trouble_error(&r->troubles, node->words[0].at, "a tls block without names would never be chosen");
		trouble_expected(&r->troubles, "expected tls NAME ... {; only the first block, the default, may go without");
	}
	struct conf_tls *tls = GROW(r, c->tls, c->n_tls);
	tls->names = names;
	tls->at = node->words[0].at;
	return tls;
}

void check_tls(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	const struct conf_tls *tls = object;
	(void)node;
	if (tls->certs.n == tls->keys.n)
		return;
	trouble_error(&r->troubles, seen_at(seen, tls->certs.n > tls->keys.n ? "cert" : "key", node),
	              "%zu cert and %zu key in this block", tls->certs.n, tls->keys.n);
	trouble_expected(&r->troubles, "expected as many keys as certificates, in the same order");
}

void *add_users(struct reader *r, const struct node *node)
{
	struct str name;
	if (!read_name(r, &node->words[1], &name))
		return NULL;
	const struct conf_users *first = conf_users_find(r->conf, name);
	if (first != NULL) {
		defined_twice(r, &node->words[1], &first->at);
		return NULL;
	}
	struct conf_users *users = GROW(r, r->conf->users, r->conf->n_users);
	users->name = name;
	users->at = node->words[0].at;
	return users;
}

void check_users(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	(void)r, (void)node, (void)object, (void)seen;
}

void *add_domain(struct reader *r, const struct node *node)
{
	struct conf *c = r->conf;
	struct conf_list names = { NULL, 0 };
	if (node->n_words == 1) {
		trouble_error(&r->troubles, end_of(node), "\"domain\" needs a name");
		trouble_expected(&r->troubles, "expected domain example.org {");
	}
	for (size_t i = 1; i < node->n_words; i++) {
		struct str name;
		if (!read_domain_name(r, &node->words[i], &name))
			continue;
		/* The array may still move: the index holds places until everything is read. */
		struct conf_place *first = map_get(c->domain_index, name);
		if (first != NULL) {
			defined_twice(r, &node->words[i], first);
			continue;
		}
		struct conf_place *at = ARENA_NEW(r->arena, struct conf_place);
		*at = node->words[i].at;
		map_set(c->domain_index, name, at);
		list_add(r, &names, name);
	}
	struct conf_domain *domain = GROW(r, c->domains, c->n_domains);
	domain->names = names;
	domain->at = node->words[0].at;
	return domain;
}

void check_domain(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	const struct conf_domain *domain = object;
	struct troubles *t = &r->troubles;
	bool mailboxes = domain->users.n > 0 || domain->recipients != RECIPIENTS_TABLES;
	if (!mailboxes && domain->aliases.n == 0 && domain->catch_all.n == 0) {
		trouble_error(t, node->words[0].at, "this domain does not say who its recipients are");
		trouble_expected(t, "expected users TABLE, aliases PATH, recipients any | file PATH | verify, or catch-all ADDRESS");
	} else if (mailboxes && !was_seen(seen, "deliver")) {
		trouble_error(t, node->words[0].at, "this domain does not say where its mail goes");
		expect_directive(r, directive_find(seen->rows, STR("deliver")));
	}
	if (domain->recipients == RECIPIENTS_ANY)
		trouble_warn(t, seen_at(seen, "recipients", node),
		             "mail to nobody is accepted, and bounces to senders that are often forged");
	if (domain->recipients == RECIPIENTS_VERIFY && domain->deliver == DELIVER_MAILDIR) {
		trouble_error(t, seen_at(seen, "recipients", node), "a Maildir cannot be asked for its recipients");
		trouble_expected(t, "recipients verify goes with deliver lmtp, mx or relay");
	}
}

/* Listeners --------------------------------------------------------------------------------------- */

void *add_listener(struct reader *r, const struct node *node)
{
	static const struct str known[] = { { "mx", 2 }, { "submissions", 11 }, { "submission", 10 }, { "lmtp", 4 }, { "local", 5 } };
	size_t kind = 0;
	while (kind < COUNT(known) && !str_eq(known[kind], node->words[1].text))
		kind++;
	if (kind == COUNT(known)) {
		/* The names of the services elsewhere are far from ours in letters. */
		struct str w = node->words[1].text;
		trouble_error(&r->troubles, node->words[1].at, "\"%.*s\" is not a kind of listener", SHOWN(w));
		if (str_eq(w, STR("smtp")) || str_eq(w, STR("smtps")))
			w = known[w.n == 4 ? LISTEN_MX : LISTEN_SUBMISSIONS];
		trouble_near(&r->troubles, w, known, COUNT(known));
		trouble_expected(&r->troubles, "expected mx, submissions, submission, lmtp or local");
		return NULL;
	}
	struct conf_listener *listener = GROW(r, r->conf->listeners, r->conf->n_listeners);
	listener->kind = (enum listen_kind)kind;
	listener->at = node->words[0].at;
	return listener;
}

static bool heard_twice(struct reader *r, const struct word *w)
{
	struct endpoint e;
	bool free_port = value_endpoint(w->text, &e) && !e.is_unix && e.port == 0;
	for (size_t i = 0; i < r->n_heard && !free_port; i++)
		if (str_eq(r->heard[i].endpoint, w->text)) {
			trouble_error(&r->troubles, w->at, "\"%.*s\" is already taken", SHOWN(w->text));
			trouble_expected(&r->troubles, "the first listener on it is in line %u of %s", r->heard[i].at.line,
			                 r->heard[i].at.file);
			return true;
		}
	struct heard *slot = GROW(r, r->heard, r->n_heard);
	*slot = (struct heard){ w->text, w->at };
	return false;
}

/* Clients and other servers go by the port: there they speak first, or wait, as it is known for. */
static void check_known_port(struct troubles *t, enum listen_kind kind, uint16_t port, const struct word *w)
{
	enum listen_kind known = port == 25 ? LISTEN_MX : port == 465 ? LISTEN_SUBMISSIONS : port == 587 ? LISTEN_SUBMISSION : kind;
	if (known != kind && kind != LISTEN_LMTP && kind != LISTEN_LOCAL)
		trouble_warn(t, w->at, "port %u is known for listen %s: who connects there expects that", port, listen_kind_name(known));
}

static void check_endpoint(struct reader *r, const struct conf_listener *l, const struct word *w)
{
	struct troubles *t = &r->troubles;
	struct endpoint e;
	if (!value_endpoint(w->text, &e) || heard_twice(r, w))
		return;
	bool loopback = e.is_unix || network_is_loopback(&e.ip);
	if (l->kind == LISTEN_LOCAL && !e.is_unix) {
		trouble_error(t, w->at, "a local listener has a Unix socket: the peer's user is its identity");
		trouble_expected(t, "expected unix:/PATH, such as unix:/run/sealpost/local.sock");
	} else if (l->kind == LISTEN_LMTP && !loopback) {
		trouble_error(t, w->at, "LMTP is for this machine only");
		trouble_expected(t, "expected a loopback address or unix:/PATH");
	} else if (l->kind != LISTEN_LOCAL && l->kind != LISTEN_LMTP && e.is_unix) {
		trouble_error(t, w->at, "%s needs the address of its clients, which a Unix socket has not", listen_kind_name(l->kind));
		trouble_expected(t, "expected IPV4:PORT or [IPV6]:PORT");
	} else if (l->tls_none && !loopback) {
		trouble_error(t, w->at, "tls none is for loopback addresses only");
		trouble_expected(t, "expected 127.0.0.1:PORT or [::1]:PORT, or no tls none");
	} else {
		check_known_port(t, l->kind, e.port, w);
	}
}

/* A directive that this kind of listener has no use for. */
static void check_unfit(struct reader *r, const struct conf_listener *l, const struct seen *seen, const char *name,
                        const char *because)
{
	if (!was_seen(seen, name))
		return;
	trouble_error(&r->troubles, seen_at(seen, name, NULL), "listen %s takes no \"%s\": %s", listen_kind_name(l->kind), name, because);
}

void check_listener(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	struct conf_listener *l = object;
	struct troubles *t = &r->troubles;
	for (const struct node *line = node->first; line != NULL; line = line->next)
		for (size_t i = 1; str_eq(line->words[0].text, STR("on")) && i < line->n_words; i++)
			check_endpoint(r, l, &line->words[i]);

	bool submits = l->kind == LISTEN_SUBMISSION || l->kind == LISTEN_SUBMISSIONS;
	if (l->kind == LISTEN_MX) {
		check_unfit(r, l, seen, "auth", "people log in on submissions (465)");
		check_unfit(r, l, seen, "trust", "it relays for nobody; use it on submissions or submission");
	} else if (!submits) {
		check_unfit(r, l, seen, "proxy", "its clients are beside this server");
		check_unfit(r, l, seen, "auth", "nobody logs in there");
		check_unfit(r, l, seen, "trust", "nobody relays there");
		check_unfit(r, l, seen, "tls", "it never leaves this machine");
	}
	if (submits && l->auth.n == 0 && l->n_trust == 0) {
		trouble_error(t, node->words[0].at, "nobody may hand in mail here");
		trouble_expected(t, "expected auth TABLE ..., or trust NETWORK ...");
	}
	if (l->kind == LISTEN_SUBMISSIONS && l->tls_none) {
		trouble_error(t, seen_at(seen, "tls", node), "submissions is TLS from the first byte");
		trouble_expected(t, "expected no tls line here, or listen submission");
	} else if (l->kind == LISTEN_SUBMISSION && l->tls_none && l->auth.n > 0) {
		trouble_error(t, seen_at(seen, "auth", node), "without TLS nobody may log in");
		trouble_expected(t, "expected trust NETWORK ... instead of auth, or no tls none");
	} else if (l->tls_none) {
		trouble_warn(t, seen_at(seen, "tls", node), "mail is taken in clear text here");
	}
	if (l->kind == LISTEN_SUBMISSION && !l->tls_none)
		l->tls_required = true;
}

/* Relays ------------------------------------------------------------------------------------------ */

void *add_relay(struct reader *r, const struct node *node)
{
	struct str name;
	if (!read_name(r, &node->words[1], &name))
		return NULL;
	const struct conf_relay *first = conf_relay_find(r->conf, name);
	if (first != NULL) {
		defined_twice(r, &node->words[1], &first->at);
		return NULL;
	}
	struct conf_relay *relay = GROW(r, r->conf->relays, r->conf->n_relays);
	relay->name = name;
	relay->at = node->words[0].at;
	return relay;
}

static bool host_is_loopback(struct str host_port)
{
	struct str host;
	struct conf_network ip;
	uint16_t port;
	if (!value_host_port(host_port, &host, &port))
		return false;
	return value_ip(host, &ip) ? network_is_loopback(&ip) : str_eq_nocase(host, STR("localhost"));
}

void check_relay(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	const struct conf_relay *relay = object;
	struct troubles *t = &r->troubles;
	struct conf_place at = seen_at(seen, "tls", node);
	for (size_t i = 0; i < relay->hosts.n && relay->level == TLS_NONE; i++)
		if (!host_is_loopback(relay->hosts.items[i])) {
			trouble_error(t, at, "tls none is for loopback hosts only, and \"%.*s\" is not one", SHOWN(relay->hosts.items[i]));
			trouble_expected(t, "expected a level: opportunistic, encrypt or verify");
			return;
		}
	if (relay->level < TLS_ENCRYPT && relay->login_name.n > 0) {
		trouble_error(t, seen_at(seen, "login", node), "a password never goes in clear text");
		trouble_expected(t, "expected tls verify with a login");
	} else if (relay->level == TLS_ENCRYPT && relay->login_name.n > 0) {
		trouble_warn(t, at, "the password goes to whoever answers: the certificate is not verified");
	} else if (relay->level < TLS_VERIFY) {
		trouble_warn(t, at, "tls %s: nobody proves to be this relay", tls_level_name(relay->level));
	}
}

/* Shapes ------------------------------------------------------------------------------------------ */

void *add_shape(struct reader *r, const struct node *node)
{
	struct conf *c = r->conf;
	struct conf_list domains = { NULL, 0 };
	if (node->n_words == 1) {
		trouble_error(&r->troubles, end_of(node), "\"shape\" needs a domain");
		trouble_expected(&r->troubles, "expected shape example.org *.example.net {");
	}
	for (size_t i = 1; i < node->n_words; i++) {
		struct str pattern;
		if (!read_domain_pattern(r, &node->words[i], &pattern))
			continue;
		/* The array may still move: the index holds places until everything is read. */
		struct conf_place *first = map_get(c->shape_index, pattern);
		if (first != NULL) {
			defined_twice(r, &node->words[i], first);
			continue;
		}
		struct conf_place *at = ARENA_NEW(r->arena, struct conf_place);
		*at = node->words[i].at;
		map_set(c->shape_index, pattern, at);
		list_add(r, &domains, pattern);
	}
	struct conf_shape *shape = GROW(r, c->shapes, c->n_shapes);
	shape->domains = domains;
	shape->at = node->words[0].at;
	return shape;
}

void check_shape(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	(void)object;
	if (!was_seen(seen, "concurrency") && !was_seen(seen, "rate")) {
		trouble_error(&r->troubles, node->words[0].at, "this shape says nothing");
		trouble_expected(&r->troubles, "expected concurrency NUMBER or rate NUMBER/DURATION");
	}
}

/* Blocks that exist once -------------------------------------------------------------------------- */

void check_direct(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	const struct conf_direct *direct = object;
	bool has[2] = { false, false };
	if (direct->allow_loopback)
		trouble_warn(&r->troubles, seen_at(seen, "allow-loopback", node),
		             "a foreign MX record can lead mail to services of this machine");
	for (size_t i = 0; i < direct->bind.n; i++) {
		struct conf_network ip;
		if (!value_ip(direct->bind.items[i], &ip))
			continue;
		if (has[ip.ipv6]) {
			trouble_error(&r->troubles, seen_at(seen, "bind", node), "two %s addresses to send from", ip.ipv6 ? "IPv6" : "IPv4");
			trouble_expected(&r->troubles, "expected one of each family");
		}
		has[ip.ipv6] = true;
	}
	if (direct->family != FAMILY_ANY && has[direct->family == FAMILY_IPV4])
		trouble_warn(&r->troubles, seen_at(seen, "bind", node), "an address of the family that is switched off");
}

void check_queue(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	const struct conf_queue *queue = object;
	if (queue->retry.retry_s[0] >= queue->retry.give_up_s)
		trouble_warn(&r->troubles, seen_at(seen, "give-up", node), "letters go back before the second attempt");
	if (queue->delay_warning_s >= queue->retry.give_up_s)
		trouble_warn(&r->troubles, seen_at(seen, "delay-warning", node), "letters go back before anybody is warned");
}

void check_limits(struct reader *r, const struct node *node, void *object, const struct seen *seen)
{
	const struct conf_limits *limits = object;
	if (limits->recipients < 100)
		trouble_warn(&r->troubles, seen_at(seen, "recipients", node), "a server should take 100 recipients (RFC 5321 4.5.3.1.8)");
	if (limits->message_bytes < 64 << 10)
		trouble_warn(&r->troubles, seen_at(seen, "message-size", node), "a server should take 64K (RFC 5321 4.5.3.1.7)");
}
