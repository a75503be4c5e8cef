/* SPDX-License-Identifier: ISC */
/*
 * Every order of commands: the server core is walked breadth first beside a small model of RFC 5321, and from each state that can be reached
 * each command is tried in its good and its failing forms. Reply codes must agree, and core and model must agree on which states
 * are the same, so nothing a command leaves behind goes unseen: where two orders of commands lead to one state of the model they
 * lead to one state of the core, and what follows need be tried once only. A refused command must leave no trace at all.
 * Where others had their bugs lately: in the state after an error.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "order_model.h"
#include "proto/smtp/server.h"
#include "proto/smtp/server_state.h" /* to compare states, not to change them */

/* ---- the core, and an owner who sees to it that what he is asked makes sense ---- */

static const struct conf *conf;
static struct smtp_server *server;
static struct { bool in_mail, open; unsigned rcpts, answers; } owner;

static void new_server(void)
{
	struct smtp_server_conf c = smtp_server_conf_usual();
	c.hostname = STR("mx1.example.org");
	c.lmtp = conf->lmtp;
	c.starttls = conf->starttls;
	c.tls_required = conf->tls_required;
	c.auth_required = conf->auth_required;
	c.requiretls = conf->requiretls;
	c.mechanisms = conf->mechanisms ? STR("PLAIN") : STR_NONE;
	c.size_bytes_max = SIZE_BYTES_MAX;
	c.rcpts_max = RCPTS_MAX;
	c.idle_commands_max = c.errors_max = c.refusals_max = c.logins_failed_max = 1000000;
	smtp_server_free(&server);
	server = smtp_server_new(&c, 0);
	if (conf->tls)
		smtp_server_tls_started(server, true);
	smtp_server_greet(server);
	smtp_server_sent(server, smtp_server_output(server).n);
	memset(&owner, 0, sizeof owner);
}

static void owner_forgets(void)
{
	owner.in_mail = owner.open = false;
	owner.rcpts = 0;
}

static void answer(const struct smtp_event *e, bool no)
{
	if (!no)
		smtp_server_answer_ok(server);
	else if (e->kind == SMTP_AUTH)
		smtp_server_answer(server, REPLY(535, 5, 7, 8, STR("No")));
	else if (e->kind == SMTP_STARTTLS)
		smtp_server_answer(server, REPLY(454, 4, 7, 0, STR("No")));
	else
		smtp_server_answer(server, REPLY(550, 5, 7, 1, STR("No")));
}

static void owner_hears(const struct smtp_event *e, bool no)
{
	switch (e->kind) {
	case SMTP_MAIL:
		assert_false(owner.in_mail);
		owner.in_mail = !no;
		break;
	case SMTP_RCPT:
		assert_true(owner.in_mail && !owner.open);
		owner.rcpts += !no;
		break;
	case SMTP_DATA_BEGIN:
		assert_true(owner.in_mail && owner.rcpts > 0 && !owner.open);
		owner.open = true;
		if (no)
			owner_forgets();
		break;
	case SMTP_BODY:
		assert_true(owner.open);
		break;
	case SMTP_BODY_END:
		assert_true(owner.open);
		assert_int_equal(e->u.end.answers_due, conf->lmtp ? owner.rcpts : 1);
		owner.answers = (unsigned)e->u.end.answers_due;
		owner_forgets();
		break;
	case SMTP_RESET:
		assert_true(owner.in_mail);
		owner_forgets();
		break;
	default:
		break;
	}
}

static int take_reply(void)
{
	struct str rest = smtp_server_output(server), line = STR_NONE, next;
	uint64_t code = 0;
	while (str_take_line(&rest, &next))
		line = next;
	(void)str_u64(str_sub(line, 0, 3), &code);
	smtp_server_sent(server, smtp_server_output(server).n);
	return (int)code;
}

static void say(struct str text, int refused)
{
	struct smtp_event e;
	while (text.n > 0) {
		text = str_from(text, smtp_server_feed(server, text, 0));
		while (smtp_server_next(server, &e)) {
			bool no = (int)e.kind == refused;
			owner_hears(&e, no);
			if (e.kind == SMTP_AUTH && !e.u.auth.has_initial)
				smtp_server_challenge(server, STR_NONE);
			else if (e.kind == SMTP_BODY_END)
				for (unsigned i = 0; i < owner.answers; i++)
					answer(&e, no);
			else if (e.kind < SMTP_BODY_END)
				answer(&e, no);
		}
	}
	if (smtp_server_tls_awaited(server)) {
		owner_forgets();
		assert_int_equal(take_reply(), 220);
		smtp_server_tls_started(server, true);
	}
}

/* The code of the last reply. */
static int core_take(enum what what)
{
	static char long_line[600];
	struct str rest = what == LONG ? (struct str){ long_line, sizeof long_line } : str_of(steps[what].text), first;
	bool was_tls = server->tls;
	memset(long_line, 'a', sizeof long_line - 2);
	memcpy(long_line + sizeof long_line - 2, "\r\n", 2);
	if (conf->lmtp && str_starts(rest, STR("EHLO")))
		rest = what == EHLO_BAD ? STR("LHLO a b\r\n") : STR("LHLO a.example\r\n");
	if (!str_take_until(&rest, '|', &first)) {
		first = rest;
		rest = STR_NONE;
	}
	say(first, steps[what].no);
	if (server->tls != was_tls)
		return 220;
	int code = take_reply();
	if (code != 334 && code != 354)
		return code;
	say(rest, steps[what].no);
	return take_reply();
}

/* All that may make a difference later, but for what is only counted. */
static struct str state_of_core(char out[static 300])
{
	const struct smtp_server *s = server;
	int n = snprintf(out, 300, "%d %d %d %d %d %d %d %d %d %d %d %d %zu %zu %zu %zu | %u %d %d %d %d %.*s %llu", s->phase, s->state, s->asked,
	                 s->tls, s->binding, s->extended, s->logged_in, s->draining, s->heard || s->tls, s->must_wait, s->early, s->chunked,
	                 s->rcpts, s->answers_due, s->n_events, buf_view(&s->in).n - s->used, (unsigned)s->mail.smtputf8, (int)s->mail.body,
	                 (int)s->mail.ret, (int)s->mail.tls_tag, (int)s->mail.envid.n, STR_ARG(s->mail.envid), (unsigned long long)s->mail.size_bytes);
	if (s->state == SMTP_IN_BDAT)
		n += snprintf(out + n, 300 - (size_t)n, " | %d %d %d %d %zu %llu", s->content.place, s->content.dots, s->content.lost,
		              s->content.eight_bit, s->content.line, (unsigned long long)s->content.bytes);
	return (struct str){ out, (size_t)n };
}

/* ---- the walk ---- */

enum { STATES_MAX = 1000 };

struct place { struct model model; char core[300]; int from; enum what by; unsigned length; };

static struct place places[STATES_MAX];
static size_t n_places;

static void tell_way(size_t place, char out[static 400])
{
	if (places[place].from < 0) {
		out[0] = '\0';
		return;
	}
	tell_way((size_t)places[place].from, out);
	size_t n = strlen(out);
	(void)snprintf(out + n, 400 - n, "%.30s/ ", steps[places[place].by].text == NULL ? "long line" : steps[places[place].by].text);
}

/* A new session, and the shortest way to this place. */
static void go_to(size_t place)
{
	if (places[place].from < 0) {
		new_server();
		(void)core_take(UNKNOWN); /* a first byte makes a difference of its own: TLS is not looked for any more */
		return;
	}
	go_to((size_t)places[place].from);
	(void)core_take(places[place].by);
}

static bool same_model(const struct model *a, const struct model *b)
{
	return a->tls == b->tls && a->logged_in == b->logged_in && a->utf8 == b->utf8 && a->ended == b->ended && a->hello == b->hello &&
	       a->at == b->at && a->rcpts == b->rcpts && a->bytes == b->bytes;
}

/* Where the core and the model stand now: a place that is known, or a new one. */
static void arrive(const struct model *m, size_t from, enum what by)
{
	char way[400], now[300];
	struct str core = state_of_core(now);
	for (size_t i = 0; i < n_places; i++) {
		bool same = same_model(&places[i].model, m);
		if (same != str_eq(core, str_of(places[i].core))) {
			tell_way(from, way);
			fail_msg("%s: after %s and %.30s the core is %s the state \"%s\", and the model is not:\n%s", conf->name, way, steps[by].text,
			         same ? "not in" : "in", places[i].core, now);
		}
		if (same)
			return;
	}
	assert_true(n_places < STATES_MAX);
	struct place *p = &places[n_places++];
	*p = (struct place){ .model = *m, .from = (int)from, .by = by, .length = places[from].length + 1 };
	(void)snprintf(p->core, sizeof p->core, "%s", now);
}

static void try_step(size_t from, enum what what)
{
	char way[400], before[300], after[300];
	struct model m = places[from].model;
	go_to(from);
	struct str was = state_of_core(before);
	int expected = model_take(&m, what), heard = core_take(what);
	if (expected != heard) {
		tell_way(from, way);
		fail_msg("%s: after %s the answer to %.40s is %d, not %d", conf->name, way, steps[what].text, heard, expected);
	}
	if (owner.in_mail != (m.at != NO_MAIL) && !m.ended)
		fail_msg("%s: the owner of the core does not know where he is after %s", conf->name, steps[what].text);
	assert_int_equal(smtp_server_done(server), m.ended);
	if (m.ended)
		return;
	if (heard >= 400 && same_model(&m, &places[from].model) && !str_eq(was, state_of_core(after)))
		fail_msg("%s: %s was refused and leaves a trace: %s, %s", conf->name, steps[what].text, before, after);
	arrive(&m, from, what);
}

static size_t walk(void)
{
	size_t taken = 0;
	memset(places, 0, sizeof places);
	n_places = 1;
	places[0] = (struct place){ .model = { .conf = conf, .tls = conf->tls }, .from = -1 };
	go_to(0);
	(void)state_of_core(places[0].core);
	for (size_t i = 0; i < n_places; i++)
		for (unsigned what = 0; what < WHATS; what++, taken++)
			try_step(i, what);
	return taken;
}

static const struct conf confs[] = {
	{ .name = "port 25", .starttls = true, .requiretls = true },
	{ .name = "port 587", .starttls = true, .tls_required = true, .auth_required = true, .mechanisms = true },
	{ .name = "port 465", .tls = true, .requiretls = true, .auth_required = true, .mechanisms = true },
	{ .name = "a login that nobody asks for", .starttls = true, .mechanisms = true },
	{ .name = "LMTP", .lmtp = true },
	{ .name = "LMTP under TLS", .lmtp = true, .starttls = true },
};

static void test_attack_10_every_order_of_commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(confs); i++) {
		conf = &confs[i];
		size_t taken = walk();
		print_message("# %s: %zu states, the farthest after %u commands, %zu steps\n", conf->name, n_places,
		              places[n_places - 1].length, taken);
		assert_true(places[n_places - 1].length >= 6);
	}
}

/* What the walk leaves out, because it is only counted: long sessions at random, the model beside them. */
static void test_attack_10_long_sessions(void **state)
{
	(void)state;
	uint64_t chance = 20;
	for (unsigned session = 0; session < 400; session++) {
		conf = &confs[session % COUNT(confs)];
		struct model m = { .conf = conf, .tls = conf->tls };
		new_server();
		for (unsigned i = 0; i < 200 && !m.ended; i++) {
			chance = chance * 6364136223846793005u + 1442695040888963407u;
			enum what what = (enum what)((chance >> 33) % WHATS);
			if (what == QUIT || what == BDAT_BAD || what == BDAT_HUGE || what == DATA_BARE)
				what = EHLO;
			int expected = model_take(&m, what), heard = core_take(what);
			if (expected != heard)
				fail_msg("session %u: %.40s is answered %d, not %d", session, steps[what].text, heard, expected);
		}
	}
}

/* Commands of a group come in one piece (RFC 2920): the replies are the same ones, and in their order. */
static void judge_group(const struct buf *group, const int *expected, unsigned n)
{
	say(buf_view(group), NEVER);
	struct str rest = smtp_server_output(server), line;
	unsigned heard = 0;
	while (str_take_line(&rest, &line)) {
		uint64_t code = 0;
		if (line.n > 3 && line.p[3] == '-')
			continue;
		(void)str_u64(str_sub(line, 0, 3), &code);
		if (heard == n || (int)code != expected[heard])
			fail_msg("%s: reply %u is %d in the group:\n%.*s", conf->name, heard, (int)code, STR_ARG(buf_view(group)));
		heard++;
	}
	assert_int_equal(heard, n);
	smtp_server_sent(server, smtp_server_output(server).n);
}

static void test_attack_10_groups(void **state)
{
	static const enum what group_words[] = {
		MAIL, MAIL, MAIL_UTF8, MAIL_TLS, MAIL_BAD, MAIL_BIG, RCPT, RCPT, RCPT_UTF8, RCPT_BAD, BDAT, BDAT_LAST, BDAT_LAST,
		BDAT_EMPTY, BDAT_BARE, BDAT_BARE_LAST, BDAT_BIG, RSET, RSET_BAD, NOOP, HELP, VRFY, EXPN, UNKNOWN, CONTROL,
	};
	(void)state;
	uint64_t chance = 10;
	struct buf group;
	buf_init(&group, 4096);
	for (unsigned round = 0; round < 2000; round++) {
		conf = &confs[round % 4]; /* LMTP answers more than once */
		struct model m = { .conf = conf, .tls = conf->tls };
		int expected[8];
		new_server();
		(void)model_take(&m, EHLO);
		(void)core_take(EHLO);
		if (conf->tls && conf->mechanisms) {
			(void)model_take(&m, AUTH);
			(void)core_take(AUTH);
		}
		for (unsigned groups = 0; groups < 5; groups++) {
			buf_clear(&group);
			for (unsigned i = 0; i < 8; i++) {
				chance = chance * 6364136223846793005u + 1442695040888963407u;
				enum what what = group_words[(chance >> 33) % COUNT(group_words)];
				assert_ok(buf_add(&group, str_of(steps[what].text)));
				expected[i] = model_take(&m, what);
			}
			judge_group(&group, expected, 8);
		}
	}
	buf_fini(&group);
}

static int close_server(void **state)
{
	(void)state;
	smtp_server_free(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_attack_10_every_order_of_commands, close_server),
		cmocka_unit_test_teardown(test_attack_10_long_sessions, close_server),
		cmocka_unit_test_teardown(test_attack_10_groups, close_server),
	};
	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
