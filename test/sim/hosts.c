/* SPDX-License-Identifier: ISC */
#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "ledger.h"
#include "wire.h"
#include "world.h"

enum temper {
	TAKES,          /* everything */
	MOODY,          /* refuses for now, drops, goes away after the dot */
	GREY,           /* 450 to each recipient the first time */
	REFUSES_RCPT,   /* 550 */
	REFUSES_DATA,   /* 554 to the dot */
	LMTP_SERVER,    /* one of its recipients is refused */
	RELAY,          /* TLS from the first byte, and only for those who log in */
};

static const struct host_row { const char *name, *at; enum temper temper; bool starttls, chunking, pipelining; } rows[] = {
	{ "mx1.good.example", "203.0.113.1:25", TAKES, true, true, true },
	{ "mx2.good.example", "203.0.113.2:25", TAKES, false, false, false },
	{ "mx.flaky.example", "203.0.113.3:25", MOODY, true, true, true },
	{ "mx2.flaky.example", "203.0.113.4:25", MOODY, false, false, true },
	{ "mx.grey.example", "203.0.113.5:25", GREY, true, false, true },
	{ "mx.bad.example", "203.0.113.6:25", REFUSES_RCPT, true, true, true },
	{ "mx.worse.example", "203.0.113.7:25", REFUSES_DATA, true, true, true },
	{ "mx.origin.example", "203.0.113.8:25", TAKES, true, true, true },
	{ "relay.corp.example", "203.0.113.10:465", RELAY, false, true, true },
	{ "lmtp.lists.example", "203.0.113.9:24", LMTP_SERVER, false, true, true },
};

enum { RCPTS_MAX = 100, GREY_MAX = 64 };

struct host {
	const struct host_row *row;
	struct acceptor *acceptor;
	char seen[GREY_MAX][64];
	size_t n_seen;
};

struct visit {
	struct link in_all;
	struct host *host;
	struct wire *wire;
	bool hello, in_mail, in_data, known;
	size_t chunk;               /* bytes of a BDAT that are still to come */
	bool in_chunk, last_chunk;
	char sender[300];
	char rcpts[RCPTS_MAX][64];
	size_t n_rcpts;
	struct buf content;
	struct letter_rcpt *took[RCPTS_MAX]; /* of the last transaction: taken, and not yet known to be known */
	size_t n_took;
};

static struct {
	struct loop *loop;
	struct tls_server *tls;
	struct host hosts[COUNT(rows)];
	struct list visits;
} net_hosts;

bool hosts_calm;
bool hosts_lose, hosts_repeat;
unsigned long hosts_sessions, hosts_took, hosts_moods;

static void leave(struct visit *v)
{
	wire_close(&v->wire);
	link_remove(&v->in_all);
	buf_fini(&v->content);
	free(v);
}

static bool mood(const struct visit *v, unsigned ten_thousandths)
{
	if (v->host->row->temper != MOODY || hosts_calm || !chance_of(ten_thousandths))
		return false;
	hosts_moods++;
	return true;
}

static void say(struct visit *v, const char *text)
{
	wire_say(v->wire, str_of(text));
	wire_say(v->wire, STR("\r\n"));
}

/* The client has gone on after our 250: it has read it. */
static void confirm(struct visit *v)
{
	for (size_t i = 0; i < v->n_took; i++) {
		v->took[i]->unconfirmed--;
		v->took[i]->copies++;
	}
	v->n_took = 0;
}

static void forget_transaction(struct visit *v)
{
	v->in_mail = v->in_data = v->in_chunk = false;
	v->n_rcpts = 0;
	buf_clear(&v->content);
}

/* --- the end of content --- */

static void take_for(struct visit *v, size_t i)
{
	struct letter_rcpt *r = ledger_arrival(v->host->row->name, str_of(v->sender), str_of(v->rcpts[i]),
	                                       buf_view(&v->content), true);
	hosts_took++;
	if (r == NULL || (hosts_lose && chance_below(3) == 0))
		return;
	if (hosts_repeat && chance_below(3) == 0)
		r->copies++;
	r->unconfirmed++;
	v->took[v->n_took++] = r;
}

/* False: the visit is over. */
static bool on_content(struct visit *v)
{
	enum temper temper = v->host->row->temper;
	bool ok = true;
	if (temper == LMTP_SERVER) {
		for (size_t i = 0; i < v->n_rcpts; i++) {
			if (str_starts_nocase(str_of(v->rcpts[i]), STR("odd@"))) {
				say(v, "552 5.2.2 mailbox full");
				continue;
			}
			if (!hosts_calm && chance_below(4) == 0) {
				say(v, "451 4.2.0 not now");
				continue;
			}
			take_for(v, i);
			say(v, "250 2.0.0 taken");
		}
	} else if (temper == REFUSES_DATA) {
		say(v, "554 5.7.1 not this");
	} else if (mood(v, 2000)) {
		say(v, "451 4.3.0 not now");
	} else if (mood(v, 1000)) {
		ok = false; /* gone before it was kept */
	} else {
		for (size_t i = 0; i < v->n_rcpts; i++)
			take_for(v, i);
		if (mood(v, 1500))
			ok = false; /* kept, and nobody is told */
		else
			say(v, "250 2.0.0 taken");
	}
	forget_transaction(v);
	return ok;
}

static bool on_data_line(struct visit *v, struct str line)
{
	if (str_eq(line, STR(".")))
		return on_content(v);
	(void)str_take_char(&line, '.');
	check(buf_add(&v->content, line) == OK && buf_add(&v->content, STR("\r\n")) == OK);
	return true;
}

/* --- commands --- */

static void on_hello(struct visit *v, bool extended)
{
	const struct host_row *row = v->host->row;
	v->hello = true;
	forget_transaction(v);
	if (!extended) {
		say(v, "250 hello");
		return;
	}
	say(v, "250-hello");
	if (row->starttls && !wire_secure(v->wire))
		say(v, "250-STARTTLS");
	if (row->chunking)
		say(v, "250-CHUNKING");
	if (row->pipelining)
		say(v, "250-PIPELINING");
	if (row->temper == RELAY)
		say(v, "250-AUTH PLAIN");
	say(v, "250-ENHANCEDSTATUSCODES");
	say(v, "250-SMTPUTF8");
	say(v, "250 8BITMIME");
}

static bool path_in(struct str text, char *to, size_t room)
{
	struct str path;
	if (!str_take_char(&text, '<') || !str_take_until(&text, '>', &path) || path.n >= room)
		return false;
	memcpy(to, path.p, path.n);
	to[path.n] = '\0';
	return true;
}

static void on_auth(struct visit *v, struct str rest)
{
	struct buf plain;
	buf_init(&plain, 200);
	v->known = base64_get(&plain, rest) == OK && str_eq(buf_view(&plain), STR("\0mx1\0secret of the relay"));
	buf_fini(&plain);
	if (!v->known)
		ledger_violation("a wrong login at %s", v->host->row->name);
	say(v, v->known ? "235 2.7.0 welcome" : "535 5.7.8 who?");
}

static void on_mail(struct visit *v, struct str rest)
{
	if (v->in_mail || !v->hello || (v->host->row->temper == RELAY && !v->known)) {
		ledger_violation("MAIL at the wrong moment at %s", v->host->row->name);
		say(v, "503 5.5.1 not now");
		return;
	}
	if (mood(v, 1000)) {
		say(v, "451 4.3.0 not now");
		return;
	}
	if (!path_in(rest, v->sender, sizeof v->sender)) {
		ledger_violation("%s does not understand MAIL FROM:%.*s", v->host->row->name, STR_ARG(rest));
		say(v, "501 5.5.4 who?");
		return;
	}
	v->in_mail = true;
	say(v, "250 2.1.0 fine");
}

static bool seen_before(struct host *h, const char *address)
{
	for (size_t i = 0; i < h->n_seen; i++)
		if (strcmp(h->seen[i], address) == 0)
			return true;
	if (h->n_seen < GREY_MAX)
		(void)snprintf(h->seen[h->n_seen++], sizeof h->seen[0], "%s", address);
	return false;
}

static void on_rcpt(struct visit *v, struct str rest)
{
	char address[64];
	if (!v->in_mail) {
		say(v, "503 5.5.1 MAIL first");
		return;
	}
	if (!path_in(rest, address, sizeof address)) {
		ledger_violation("%s does not understand RCPT TO:%.*s", v->host->row->name, STR_ARG(rest));
		say(v, "501 5.1.3 whom?");
		return;
	}
	if (v->host->row->temper == REFUSES_RCPT)
		say(v, "550 5.1.1 nobody here");
	else if (mood(v, 1500))
		say(v, "450 4.2.1 not now");
	else if (v->host->row->temper == GREY && !seen_before(v->host, address))
		say(v, "450 4.7.1 come back later");
	else if (v->n_rcpts == RCPTS_MAX)
		say(v, "452 4.5.3 too many");
	else {
		(void)snprintf(v->rcpts[v->n_rcpts++], sizeof address, "%s", address);
		say(v, "250 2.1.5 fine");
	}
}

static bool on_bdat(struct visit *v, struct str rest)
{
	uint64_t n;
	if (!str_take_u64(&rest, &n) || n > (16u << 20)) {
		ledger_violation("a bad BDAT at %s", v->host->row->name);
		return false;
	}
	v->in_chunk = true;
	v->chunk = (size_t)n;
	v->last_chunk = str_eq_nocase(str_trim(rest), STR("LAST"));
	return true;
}

/* False: the visit is over. */
static bool on_command(struct visit *v, struct str line)
{
	struct str rest = line;
	confirm(v);
	if (mood(v, 150))
		return false;
	if (str_take_nocase(&rest, STR("EHLO ")) || str_take_nocase(&rest, STR("LHLO "))) {
		on_hello(v, true);
	} else if (str_take_nocase(&rest, STR("HELO "))) {
		on_hello(v, false);
	} else if (str_eq_nocase(line, STR("STARTTLS")) && v->host->row->starttls && !wire_secure(v->wire)) {
		if (mood(v, 500)) {
			say(v, "454 4.7.0 no TLS now");
			return true;
		}
		say(v, "220 2.0.0 go");
		v->hello = false;
		wire_tls(v->wire, tls_accept(net_hosts.tls));
	} else if (str_take_nocase(&rest, STR("AUTH PLAIN ")) && v->host->row->temper == RELAY) {
		on_auth(v, rest);
	} else if (str_take_nocase(&rest, STR("MAIL FROM:"))) {
		on_mail(v, rest);
	} else if (str_take_nocase(&rest, STR("RCPT TO:"))) {
		on_rcpt(v, rest);
	} else if (str_eq_nocase(line, STR("DATA"))) {
		v->in_data = v->n_rcpts > 0;
		say(v, v->in_data ? "354 go" : "554 5.5.1 no valid recipients");
	} else if (str_take_nocase(&rest, STR("BDAT "))) {
		return on_bdat(v, rest);
	} else if (str_eq_nocase(line, STR("RSET")) || str_eq_nocase(line, STR("NOOP"))) {
		forget_transaction(v);
		say(v, "250 2.0.0 fine");
	} else if (str_eq_nocase(line, STR("QUIT"))) {
		say(v, "221 2.0.0 bye");
		return false;
	} else {
		ledger_violation("%s does not know: %.*s", v->host->row->name, STR_ARG(line));
		say(v, "500 5.5.2 what?");
	}
	return true;
}

static bool on_chunk(struct visit *v, struct str bytes)
{
	v->in_chunk = false;
	confirm(v);
	if (v->n_rcpts == 0) {
		say(v, "503 5.5.1 no recipients");
		return true;
	}
	check(buf_add(&v->content, bytes) == OK);
	if (v->last_chunk)
		return on_content(v);
	say(v, "250 2.0.0 more");
	return true;
}

static void on_wire(void *owner)
{
	struct visit *v = owner;
	for (;;) {
		struct str piece;
		bool goes_on;
		if (v->in_chunk && wire_take(v->wire, v->chunk, &piece))
			goes_on = on_chunk(v, piece);
		else if (!v->in_chunk && wire_line(v->wire, &piece))
			goes_on = v->in_data ? on_data_line(v, piece) : on_command(v, piece);
		else
			break;
		if (!goes_on) {
			leave(v);
			return;
		}
	}
	if (wire_gone(v->wire))
		leave(v);
}

static void on_waiting(void *owner)
{
	struct host *h = owner;
	int fd = -1;
	struct endpoint peer;
	if (socket_accept(acceptor_fd(h->acceptor), &fd, &peer) != OK)
		return;
	struct visit *v = NEW(struct visit);
	hosts_sessions++;
	v->host = h;
	buf_init(&v->content, 32 << 20);
	list_add_last(&net_hosts.visits, &v->in_all);
	v->wire = wire_new(net_hosts.loop, fd, on_wire, v);
	if (h->row->temper == RELAY)
		wire_tls(v->wire, tls_accept(net_hosts.tls));
	if (mood(v, 700)) {
		leave(v);
		return;
	}
	say(v, mood(v, 700) ? "421 4.3.2 too busy" : "220 at your service");
}

void hosts_begin(struct loop *loop, struct tls_server *tls)
{
	memset(&net_hosts, 0, sizeof net_hosts);
	net_hosts.loop = loop;
	net_hosts.tls = tls;
	list_init(&net_hosts.visits);
	hosts_calm = false;
	hosts_sessions = hosts_took = hosts_moods = 0;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct host *h = &net_hosts.hosts[i];
		struct endpoint at;
		int fd = -1;
		h->row = &rows[i];
		check(endpoint_parse(str_of(rows[i].at), &at) == OK && socket_listen(&at, 100, &fd, NULL) == OK);
		h->acceptor = acceptor_new(loop, fd, on_waiting, h);
	}
}

void hosts_end(void)
{
	LIST_EACH(l, &net_hosts.visits)
		leave(LIST_MEMBER(l, struct visit, in_all));
	for (size_t i = 0; i < COUNT(rows); i++)
		acceptor_close(&net_hosts.hosts[i].acceptor);
}
