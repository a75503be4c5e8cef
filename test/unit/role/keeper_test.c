/* SPDX-License-Identifier: ISC */
/* The keeper as its neighbours see it: a supervisor, a front, a courier and their signing sockets, over socketpairs. */
#include "unit.h"

#include <crypt.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/courier_keeper.h"
#include "ipc/front_keeper.h"
#include "ipc/sign.h"
#include "proto/sasl/client.h"
#include "proto/sasl/credential.h"
#include "proto/sasl/server.h"
#include "role/keeper/backoff.h"
#include "role/role.h"
#include "sys/channel.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "tls/certificate.h"
#include "tls/home.h"
#include "tls/tls.h"

#define BINDING ((struct str){ "0123456789abcdef0123456789abcdef", 32 })

enum { PATIENCE_MS = 30000 };

/* Everything that has arrived, as text: "READY 1;" "AUTH_FAILED 7 535 5.7.8 500;" ... */
struct ear {
	struct buf heard;
	unsigned messages;
	struct str challenge;
	struct buf kept;
	struct str initial;
	char seed[TLS_TICKET_SEED_BYTES];
	size_t past_n;
	unsigned seeds;
	uint64_t delay_ms;  /* of the last refusal */
};

static struct loop *loop;
static struct timer patience;
static struct role_base *keeper;
static struct channel *control, *front, *courier;
static struct ear from_control, from_front, from_courier;
static int sign_fd = -1;
static char folder[64];
static struct buf ca_pem;
static uint64_t generation;

static void out_of_patience(void *owner)
{
	(void)owner;
	fail_msg("nothing came");
}

static struct ear *ear_of(void *owner)
{
	struct ear *e = owner;
	e->messages++;
	loop_stop(loop);
	return e;
}

static void keep(struct ear *e, struct str bytes)
{
	buf_clear(&e->kept);
	assert_ok(buf_add(&e->kept, bytes));
}

static void on_control(void *owner, unsigned kind, const void *msg, int fd)
{
	struct ear *e = ear_of(owner);
	assert_int_equal(fd, -1);
	if (kind == FROM_ROLE_READY)
		assert_ok(buf_add(&e->heard, STR("READY;")));
	else if (kind == FROM_ROLE_FAILED)
		assert_ok(buf_addf(&e->heard, "FAILED %.*s;", STR_ARG(((const struct from_role_failed *)msg)->text)));
	else if (kind == FROM_ROLE_STATUS)
		assert_ok(buf_addf(&e->heard, "%.*s", STR_ARG(((const struct from_role_status *)msg)->json)));
	else
		fail_msg("kind %u", kind);
}

/* They come unasked, and stay for the test that asks about them. */
static void take_seeds(struct ear *e, const struct keeper_ticket_seeds *m)
{
	assert_int_equal(m->present.n, sizeof e->seed);
	memcpy(e->seed, m->present.p, sizeof e->seed);
	e->past_n = m->past.n;
	e->seeds++;
	loop_stop(loop);
}

/* The measuring took some of it. */
static unsigned whole_delay(uint64_t left_ms)
{
	unsigned whole = BACKOFF_DELAY_FIRST_MS;
	while (whole < left_ms)
		whole *= 2;
	return left_ms > 0 ? whole : 0;
}

static void on_front(void *owner, unsigned kind, const void *msg, int fd)
{
	(void)fd;
	if (kind == KEEPER_TICKET_SEEDS) {
		take_seeds(owner, msg);
		return;
	}
	struct ear *e = ear_of(owner);
	if (kind == KEEPER_AUTH_MORE) {
		const struct keeper_auth_more *m = msg;
		keep(e, m->challenge);
		assert_ok(buf_addf(&e->heard, "MORE %u;", (unsigned)m->session));
	} else if (kind == KEEPER_AUTH_DONE) {
		const struct keeper_auth_done *m = msg;
		assert_ok(buf_addf(&e->heard, "DONE %u %.*s;", (unsigned)m->session, STR_ARG(m->user)));
	} else if (kind == KEEPER_AUTH_FAILED) {
		const struct keeper_auth_failed *m = msg;
		assert_true(m->text.n > 0);
		e->delay_ms = m->delay_ms;
		assert_ok(buf_addf(&e->heard, "FAILED %u %u %.*s %u;", (unsigned)m->session, (unsigned)m->code, STR_ARG(m->status),
		                   whole_delay(m->delay_ms)));
	} else if (kind == KEEPER_RCPT_TARGET) {
		assert_ok(buf_addf(&e->heard, "%.*s ", STR_ARG(((const struct keeper_rcpt_target *)msg)->address)));
	} else if (kind == KEEPER_RCPT) {
		static const char *const words[] = { "local", "verify", "unknown", "remote", "failed" };
		assert_ok(buf_addf(&e->heard, "%s;", words[((const struct keeper_rcpt *)msg)->verdict]));
	} else if (kind == KEEPER_SENDER) {
		assert_ok(buf_addf(&e->heard, "%s;", ((const struct keeper_sender *)msg)->allowed ? "may" : "may not"));
	}
}

static void on_courier(void *owner, unsigned kind, const void *msg, int fd)
{
	struct ear *e = ear_of(owner);
	(void)fd;
	if (kind == KEEPER_LOGIN_FIRST) {
		const struct keeper_login_first *m = msg;
		keep(e, m->initial);
		assert_ok(buf_addf(&e->heard, "FIRST %.*s %u;", STR_ARG(m->mechanism), (unsigned)m->has_initial));
	} else if (kind == KEEPER_LOGIN_STEP) {
		keep(e, ((const struct keeper_login_step *)msg)->response);
		assert_ok(buf_add(&e->heard, STR("STEP;")));
	} else {
		assert_ok(buf_addf(&e->heard, "FAILED %.*s;", STR_ARG(((const struct keeper_login_failed *)msg)->text)));
	}
}

static void on_closed(void *owner, const char *reason)
{
	(void)owner;
	(void)reason;
	fail_msg("the keeper closed a channel: %s", reason);
}

static void wait_for(struct ear *e, unsigned messages)
{
	timer_set(&patience, loop_now_ms(loop) + PATIENCE_MS);
	while (e->messages < messages)
		loop_run(loop);
	timer_clear(&patience);
	e->messages -= messages;
}

static void expect(struct ear *e, unsigned messages, const char *text)
{
	wait_for(e, messages);
	assert_str(buf_view(&e->heard), text);
	buf_clear(&e->heard);
}

/* ---- files and configuration ---- */

static void write_file(const char *name, struct str bytes)
{
	char path[128];
	int fd = -1;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
	assert_ok(file_open(FILE_CWD, path, FILE_WRITE | FILE_CREATE, 0600, &fd, NULL));
	assert_ok(file_write(fd, bytes));
	fd_close(&fd);
}

static void make_pair(const char *crt, const char *key)
{
	struct buf ca, chain, pem;
	struct str name = STR("mx.example.org");
	buf_init(&ca, 1 << 16);
	buf_init(&chain, 1 << 16);
	buf_init(&pem, 1 << 16);
	assert_ok(certificate_make(&name, 1, &ca, &chain, &pem, NULL));
	write_file(crt, buf_view(&chain));
	write_file(key, buf_view(&pem));
	buf_clear(&ca_pem);
	assert_ok(buf_add(&ca_pem, buf_view(&ca)));
	buf_fini(&ca);
	buf_fini(&chain);
	buf_wipe(&pem);
}

static void write_users(const char *more)
{
	struct credential c;
	struct buf text;
	buf_init(&text, 4096);
	assert_ok(credential_make(STR("pencil"), 4096, STR("saltsaltsaltsalt"), &c));
	assert_ok(buf_add(&text, STR("jada:")));
	assert_ok(credential_put(&text, &c));
	assert_ok(buf_addf(&text, "\nbroken:SCRAM-SHA-256$4096:x$y:z\n%s", more));
	write_file("users", buf_view(&text));
	buf_fini(&text);
}

static const char *const files[] = { "mx.crt", "mx.key", "users", "aliases", "corp.secret" };

/* Sends a generation, leaving out one file (NULL: none), and waits for the verdict. */
static void configure(const char *without)
{
	char text[2048], path[128];
	generation++;
	snprintf(text, sizeof(text),
	         "hostname mx.example.org\npostmaster jada@example.org\n"
	         "tls mx.example.org {\n cert %s/mx.crt\n key %s/mx.key\n}\n"
	         "users staff {\n source file %s/users\n send-as jada sales@example.org\n}\n"
	         "domain example.org {\n users staff\n aliases %s/aliases\n deliver maildir /var/mail/{local}\n}\n"
	         "listen mx {\n on 127.0.0.1:2525\n}\n"
	         "listen submissions {\n on 127.0.0.1:2465\n auth staff\n}\n"
	         "relay corp {\n host smtp.corp.example:465\n tls implicit verify\n login mx1 file:%s/corp.secret\n}\n"
	         "relay open {\n host smtp.open.example:465\n tls implicit verify\n}\n",
	         folder, folder, folder, folder, folder);
	channel_send(control, TO_ROLE_CONFIG_TEXT,
	             &(struct to_role_config_text){ .generation = generation, .name = STR("test.conf"), .text = str_of(text) });
	for (size_t i = 0; i < COUNT(files); i++) {
		int fd = -1;
		if (without != NULL && strcmp(without, files[i]) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		assert_ok(file_open(FILE_CWD, path, FILE_READ, 0, &fd, NULL));
		channel_send_fd(control, TO_ROLE_FILE, &(struct to_role_file){ .generation = generation, .path = str_of(path) }, fd);
	}
	channel_send(control, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = generation });
	wait_for(&from_control, 1);
}

static void expect_ready(void)
{
	configure(NULL);
	assert_str(buf_view(&from_control.heard), "READY;");
	buf_clear(&from_control.heard);
}

static void expect_failure(const char *without, const char *words)
{
	configure(without);
	assert_ok(buf_add_char(&from_control.heard, '\0'));
	const char *heard = buf_view(&from_control.heard).p;
	if (strncmp(heard, "FAILED ", 7) != 0 || strstr(heard, words) == NULL)
		fail_msg("\"%s\" instead of \"%s\"", heard, words);
	buf_clear(&from_control.heard);
}

static int linked(enum ipc_arrow arrow)
{
	int pair[2];
	assert_ok(socket_pair(pair));
	channel_send_fd(control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = arrow, .instance = 0 }, pair[1]);
	return pair[0];
}

static void ear_init(struct ear *e)
{
	*e = (struct ear){ .messages = 0 };
	buf_init(&e->heard, 1 << 20);
	buf_init(&e->kept, 1 << 20);
}

static void ear_fini(struct ear *e)
{
	buf_fini(&e->heard);
	buf_fini(&e->kept);
}

static int begin(void **state)
{
	static const struct channel_handler as_supervisor = { on_control, on_closed }, as_front = { on_front, on_closed },
	                                    as_courier = { on_courier, on_closed };
	int pair[2];
	struct why why;
	(void)state;
	assert_ok(tls_begin(&why));
	snprintf(folder, sizeof(folder), "/tmp/sealpost-keeper-XXXXXX");
	assert_non_null(mkdtemp(folder));
	buf_init(&ca_pem, 1 << 16);
	make_pair("mx.crt", "mx.key");
	write_users("");
	write_file("aliases", STR("sales: jada\ninfo: jada, sales\naway: jada@elsewhere.example\n"));
	write_file("corp.secret", STR("pencil\r\nnot this\n"));

	loop = loop_new();
	timer_init(&patience, loop, out_of_patience, NULL);
	ear_init(&from_control);
	ear_init(&from_front);
	ear_init(&from_courier);
	assert_ok(socket_pair(pair));
	keeper = keeper_start(loop, pair[1]);
	control = channel_new(loop, pair[0], &role_to_supervisor, &supervisor_to_role, &as_supervisor, &from_control);
	expect_ready();
	front = channel_new(loop, linked(ARROW_FRONT_KEEPER), &keeper_to_front, &front_to_keeper, &as_front, &from_front);
	courier = channel_new(loop, linked(ARROW_COURIER_KEEPER), &keeper_to_courier, &courier_to_keeper, &as_courier, &from_courier);
	sign_fd = linked(ARROW_FRONT_SIGN);
	return 0;
}

static int end(void **state)
{
	char path[128];
	(void)state;
	role_free(&keeper);
	channel_close(&front);
	channel_close(&courier);
	channel_close(&control);
	fd_close(&sign_fd);
	timer_clear(&patience);
	loop_free(&loop);
	ear_fini(&from_control);
	ear_fini(&from_front);
	ear_fini(&from_courier);
	buf_fini(&ca_pem);
	for (size_t i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(folder);
	return 0;
}

/* ---- recipients and senders ---- */

static void knows_recipients(void **state)
{
	static const struct { const char *address, *answer; } rows[] = {
		{ "jada@example.org", "jada@example.org local;" },
		{ "sales@example.org", "jada@example.org local;" },
		{ "away@example.org", "jada@elsewhere.example local;" },
		{ "nobody@example.org", "unknown;" },
		{ "jada@elsewhere.example", "remote;" },
		{ "postmaster@example.org", "jada@example.org local;" },
		{ "Postmaster", "jada@example.org local;" },
		{ "jada", "unknown;" },
		{ "", "unknown;" },
		{ "../../etc/passwd@example.org", "unknown;" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		channel_send(front, FRONT_ASK_RCPT, &(struct front_ask_rcpt){ .request = i, .address = str_of(rows[i].address) });
		bool target = strchr(rows[i].answer, ' ') != NULL;
		expect(&from_front, target ? 2 : 1, rows[i].answer);
	}
}

static void knows_who_may_send(void **state)
{
	static const struct { uint64_t listener; const char *user, *address; bool may; } rows[] = {
		{ 1, "jada", "jada@example.org", true }, { 1, "jada", "sales@example.org", true }, { 1, "jada", "", true },
		{ 1, "jada", "boss@example.org", false }, { 1, "jada", "jada@elsewhere.example", false },
		{ 1, "nobody", "jada@example.org", false }, { 0, "jada", "jada@example.org", false },
		{ 99, "jada", "jada@example.org", false }, { UINT64_MAX, "jada", "", false }, { 1, "jada", "no address", false },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		channel_send(front, FRONT_ASK_SENDER,
		             &(struct front_ask_sender){ .request = i, .listener = rows[i].listener, .user = str_of(rows[i].user),
		                                         .address = str_of(rows[i].address) });
		expect(&from_front, 1, rows[i].may ? "may;" : "may not;");
	}
}

/* ---- logins ---- */

static void start(uint64_t session, const char *mechanism, struct str initial, const char *client)
{
	channel_send(front, FRONT_AUTH_START,
	             &(struct front_auth_start){ .session = session, .listener = 1, .mechanism = str_of(mechanism), .has_initial = true,
	                                         .initial = initial, .channel_binding = BINDING, .client = str_of(client) });
}

static void step(uint64_t session, struct str response)
{
	channel_send(front, FRONT_AUTH_STEP, &(struct front_auth_step){ .session = session, .response = response });
}

#define PLAIN(text) ((struct str){ text, sizeof(text) - 1 })

static void logs_in_by_plain(void **state)
{
	(void)state;
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&from_front, 1, "DONE 1 jada;");
	start(2, "PLAIN", PLAIN("\0jada@example.org\0pencil"), "192.0.2.1");
	expect(&from_front, 1, "DONE 2 jada;");
	start(3, "PLAIN", PLAIN("\0jada\0wrong"), "192.0.2.1");
	expect(&from_front, 1, "FAILED 3 535 5.7.8 500;");
	start(4, "PLAIN", PLAIN("\0jada\0wrong"), "192.0.2.1");
	expect(&from_front, 1, "FAILED 4 535 5.7.8 1000;");
	start(5, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&from_front, 1, "DONE 5 jada;");
	start(6, "PLAIN", PLAIN("\0broken\0pencil"), "192.0.2.1");
	expect(&from_front, 1, "FAILED 6 535 5.7.8 500;");
	start(7, "PLAIN", PLAIN("\0nobody\0pencil"), "192.0.2.4");
	expect(&from_front, 1, "FAILED 7 535 5.7.8 500;");
	/* Several at once; the number is the front's. */
	for (unsigned i = 0; i < 8; i++)
		start(10 + i, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	wait_for(&from_front, 8);
	assert_int_equal(buf_view(&from_front.heard).n, 8 * strlen("DONE 10 jada;"));
	buf_clear(&from_front.heard);
}

static void logs_in_by_scram(void **state)
{
	static const char *const mechanisms[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256" };
	(void)state;
	for (size_t i = 0; i < COUNT(mechanisms); i++) {
		struct sasl_client *c;
		struct str response;
		bool initial;
		struct sasl_client_options o = { str_of(mechanisms[i]), STR("jada"), STR("pencil"), BINDING };
		assert_ok(sasl_client_new(&o, &c, NULL));
		assert_ok(sasl_client_first(c, &initial, &response, NULL));
		start(1, mechanisms[i], response, "192.0.2.1");
		expect(&from_front, 1, "MORE 1;");
		assert_ok(sasl_client_step(c, buf_view(&from_front.kept), &response, NULL));
		step(1, response);
		expect(&from_front, 1, "MORE 1;");
		assert_ok(sasl_client_step(c, buf_view(&from_front.kept), &response, NULL));
		assert_true(sasl_client_proved(c));
		step(1, response);
		expect(&from_front, 1, "DONE 1 jada;");
		sasl_client_free(&c);
	}
}

static void refuses_what_is_not_offered(void **state)
{
	struct front_auth_start m = { .session = 1, .listener = 1, .mechanism = STR("ANONYMOUS"), .client = STR("192.0.2.1") };
	(void)state;
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&from_front, 1, "FAILED 1 504 5.5.4 0;");
	m.mechanism = STR("SCRAM-SHA-256-PLUS"); /* without a binding */
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&from_front, 1, "FAILED 1 504 5.5.4 0;");
	m.mechanism = STR("PLAIN");
	m.listener = 0; /* port 25 has no logins */
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&from_front, 1, "FAILED 1 503 5.5.1 0;");
	m.listener = 77;
	channel_send(front, FRONT_AUTH_START, &m);
	expect(&from_front, 1, "FAILED 1 503 5.5.1 0;");
	step(1, STR("out of nowhere"));
	expect(&from_front, 1, "FAILED 1 503 5.5.1 0;");
}

static void cancelling_leaves_nothing(void **state)
{
	(void)state;
	start(1, "PLAIN", PLAIN("\0jada\0wrong"), "192.0.2.1"); /* a thread measures while this is taken back */
	channel_send(front, FRONT_AUTH_CANCEL, &(struct front_auth_cancel){ .session = 1 });
	channel_send(front, FRONT_AUTH_CANCEL, &(struct front_auth_cancel){ .session = 1 });
	start(1, "LOGIN", STR_NONE, "192.0.2.1");
	expect(&from_front, 1, "MORE 1;");
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1"); /* the same number again */
	step(1, STR("too early"));
	wait_for(&from_front, 2);
	buf_clear(&from_front.heard);
	start(2, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&from_front, 1, "DONE 2 jada;");
}

static void guessing_is_stopped(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BACKOFF_CLIENT_MAX; i++) {
		start(1, "PLAIN", PLAIN("\0nobody\0guess"), "198.51.100.7");
		wait_for(&from_front, 1);
	}
	buf_clear(&from_front.heard);
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "198.51.100.7");
	expect(&from_front, 1, "FAILED 1 454 4.7.0 8000;");
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "198.51.100.8"); /* the user is not locked out */
	expect(&from_front, 1, "DONE 1 jada;");
}

/* A verifier that is slow to measure shows in nothing: what is left of the delay is as much shorter. */
/* The verifiers of all users are counted: names that nobody has are offered the rounds of the one, or of the other. */
static void attack_58_nobody_is_like_any_of_the_users(void **state)
{
	struct credential c;
	struct buf line;
	unsigned as_jada = 0, as_other = 0;
	(void)state;
	buf_init(&line, 4096);
	assert_ok(credential_make(STR("pencil"), 8192, STR("saltsaltsaltsalt"), &c));
	assert_ok(buf_add(&line, STR("other:")));
	assert_ok(credential_put(&line, &c));
	assert_ok(buf_add(&line, STR("\n\0")));
	write_users(buf_view(&line).p);
	expect_ready();
	for (unsigned i = 0; i < 40; i++) {
		char first[64];
		snprintf(first, sizeof first, "n,,n=none%u,r=abcdefgh", i);
		start(1, "SCRAM-SHA-256", str_of(first), "203.0.113.7");
		expect(&from_front, 1, "MORE 1;");
		as_jada += str_find_str(buf_view(&from_front.kept), STR(",i=4096"), &(size_t){ 0 });
		as_other += str_find_str(buf_view(&from_front.kept), STR(",i=8192"), &(size_t){ 0 });
	}
	assert_int_equal(as_jada + as_other, 40);
	assert_true(as_jada > 0 && as_other > 0);
	buf_wipe(&line);
	write_users("");
	expect_ready();
}

static void attack_58_a_slow_verifier_is_refused_in_the_same_time(void **state)
{
	char line[256];
	struct crypt_data *data = NEW(struct crypt_data);
	(void)state;
	const char *made = crypt_rn("pencil", "$2b$09$abcdefghijklmnopqrstuu", data, sizeof *data);
	assert_non_null(made);
	snprintf(line, sizeof line, "slow:%s\n", made);
	free(data);
	write_users(line);
	expect_ready();
	start(1, "PLAIN", PLAIN("\0slow\0pencil"), "203.0.113.5");
	expect(&from_front, 1, "DONE 1 slow;");
	start(2, "PLAIN", PLAIN("\0slow\0wrong"), "203.0.113.6");
	expect(&from_front, 1, "FAILED 2 535 5.7.8 500;");
	assert_true(from_front.delay_ms < BACKOFF_DELAY_FIRST_MS); /* bcrypt's milliseconds are gone already */
	write_users("");
	expect_ready();
}

static void a_reload_ends_exchanges_kindly(void **state)
{
	(void)state;
	start(1, "LOGIN", STR("jada"), "192.0.2.1");
	expect(&from_front, 1, "MORE 1;");
	expect_ready();
	step(1, STR("pencil"));
	expect(&from_front, 1, "FAILED 1 454 4.3.0 0;");
}

/* ---- relays ---- */

static fault find_mx1(void *owner, struct str login, struct str *name_out, struct str *credential_out)
{
	if (!str_eq(login, STR("mx1")))
		return F_ABSENT;
	*name_out = login;
	*credential_out = str_of(owner);
	return OK;
}

static void login_at(const char *relay, const char *mechanisms)
{
	channel_send(courier, COURIER_LOGIN_START,
	             &(struct courier_login_start){ .session = 5, .relay = str_of(relay), .mechanisms = str_of(mechanisms) });
}

static void answer_relay(struct str challenge)
{
	channel_send(courier, COURIER_LOGIN_STEP, &(struct courier_login_step){ .session = 5, .challenge = challenge });
}

static void logs_in_at_relays(void **state)
{
	struct credential c;
	struct buf text;
	struct str challenge;
	(void)state;
	login_at("corp", "LOGIN PLAIN");
	expect(&from_courier, 1, "FIRST PLAIN 1;");
	assert_memory_equal(buf_view(&from_courier.kept).p, "\0mx1\0pencil", 11);
	channel_send(courier, COURIER_LOGIN_END, &(struct courier_login_end){ .session = 5 });

	buf_init(&text, 512);
	assert_ok(credential_make(STR("pencil"), 4096, STR("saltsaltsaltsalt"), &c));
	assert_ok(credential_put(&text, &c));
	assert_ok(buf_add_char(&text, '\0'));
	static const struct credential_kinds no_kinds = { .n = 0 };
	struct sasl_users users = { find_mx1, (void *)(uintptr_t)buf_view(&text).p, STR("pepper"), &no_kinds };
	struct sasl_server *s = sasl_server_new(STR("SCRAM-SHA-256"), &users, STR_NONE);
	login_at("corp", "LOGIN PLAIN SCRAM-SHA-256");
	expect(&from_courier, 1, "FIRST SCRAM-SHA-256 1;");
	assert_int_equal(sasl_server_step(s, buf_view(&from_courier.kept), &challenge), SASL_MORE);
	answer_relay(challenge);
	expect(&from_courier, 1, "STEP;");
	assert_int_equal(sasl_server_step(s, buf_view(&from_courier.kept), &challenge), SASL_MORE);
	answer_relay(challenge);
	expect(&from_courier, 1, "STEP;");
	assert_int_equal(sasl_server_step(s, buf_view(&from_courier.kept), &challenge), SASL_DONE);
	channel_send(courier, COURIER_LOGIN_END, &(struct courier_login_end){ .session = 5 });
	sasl_server_free(&s);
	buf_fini(&text);

	login_at("corp", "LOGIN");
	expect(&from_courier, 1, "FIRST LOGIN 0;");
	answer_relay(STR("Username:"));
	expect(&from_courier, 1, "STEP;");
	assert_str(buf_view(&from_courier.kept), "mx1");
	answer_relay(STR("Password:"));
	expect(&from_courier, 1, "STEP;");
	assert_str(buf_view(&from_courier.kept), "pencil");
	answer_relay(STR("And your cat's name?"));
	expect(&from_courier, 1, "FAILED the server goes on asking after the login is complete;");
}

static void relay_failures_say_why(void **state)
{
	(void)state;
	login_at("open", "PLAIN");
	expect(&from_courier, 1, "FAILED no login is configured for this relay;");
	login_at("nowhere", "PLAIN");
	expect(&from_courier, 1, "FAILED no login is configured for this relay;");
	login_at("corp", "CRAM-MD5");
	expect(&from_courier, 1, "FAILED the server offers no login mechanism of ours (SCRAM-SHA-256, PLAIN, LOGIN);");
	answer_relay(STR("x"));
	expect(&from_courier, 1, "FAILED no login is under way;");
}

/* ---- signatures ---- */

/* What front's signer does. */
static fault ask_keeper(void *owner, struct str key_id, struct str digest, unsigned padding, struct str message, struct buf *out)
{
	struct sign_request q = { key_id, digest, padding, message };
	_Alignas(8) char answer[IPC_MESSAGE_SIZE_MAX];
	unsigned kind;
	struct buf scratch;
	buf_init(&scratch, CHANNEL_FRAME_MAX + 64);
	fault f = channel_ask(*(int *)owner, &to_signer, SIGN_REQUEST, &q, &from_signer, &kind, answer, &scratch, PATIENCE_MS);
	if (f == OK)
		f = kind == SIGN_DONE ? buf_add(out, ((const struct sign_done *)(const void *)answer)->signature) : F_DENIED;
	buf_fini(&scratch);
	return f;
}

struct handshakes { unsigned done; char error[256]; fault oracle; };

/* The front's side runs on a thread of its own, as its process would. */
static void *shake_hands(void *owner)
{
	struct handshakes *h = owner;
	struct buf chain;
	struct str name = STR("mx.example.org");
	struct why why = { "" };
	char path[128];
	int fd = -1;
	buf_init(&chain, 1 << 16);
	snprintf(path, sizeof(path), "%s/mx.crt", folder);
	struct tls_server *server = tls_server_new(&(struct tls_signer){ ask_keeper, &sign_fd }, false);
	struct tls_client *client = tls_client_new(&(struct tls_client_options){ .ca_pem = buf_view(&ca_pem), .verify = true }, &why);
	if (file_open(FILE_CWD, path, FILE_READ, 0, &fd, NULL) == OK && file_read_all(fd, &chain) == OK && client != NULL &&
	    tls_server_add(server, &name, 1, buf_view(&chain), &why) == OK) {
		for (unsigned i = 0; i < 5; i++) {
			struct tls *s = tls_accept(server), *c = tls_connect(client, name);
			home_pump(c, s, 0);
			if (tls_state(s) == TLS_OPEN && tls_state(c) == TLS_OPEN)
				h->done++;
			else
				snprintf(h->error, sizeof(h->error), "%s / %s", tls_error(s), tls_error(c));
			tls_free(&s);
			tls_free(&c);
		}
	}
	fd_close(&fd);
	buf_clear(&chain);
	h->oracle = ask_keeper(&sign_fd, STR("no key"), STR("SHA256"), 0, STR("sign me a letter"), &chain);
	if (client != NULL)
		tls_client_free(&client);
	tls_server_free(&server);
	buf_fini(&chain);
	loop_stop(loop);
	return NULL;
}

static void not_yet(void *owner)
{
	(void)owner;
	timer_set(&patience, loop_now_ms(loop) + 5);
	loop_stop(loop);
}

static void signs_handshakes_of_the_front(void **state)
{
	struct handshakes h = { .error = "" };
	pthread_t thread;
	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, shake_hands, &h), 0);
	/* The loop serves until the thread has ended. */
	timer_init(&patience, loop, not_yet, NULL);
	timer_set(&patience, loop_now_ms(loop));
	while (pthread_tryjoin_np(thread, NULL) != 0)
		loop_run(loop);
	timer_clear(&patience);
	timer_init(&patience, loop, out_of_patience, NULL);
	if (h.done != 5)
		fail_msg("%s", h.error);
	assert_int_equal(h.oracle, F_DENIED);

	channel_send(control, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = 1 });
	wait_for(&from_control, 1);
	assert_ok(buf_add_char(&from_control.heard, '\0'));
	assert_non_null(strstr(buf_view(&from_control.heard).p, "\"keys\": 1, \"signatures\": 5"));
	assert_non_null(strstr(buf_view(&from_control.heard).p, "\"names\": \"mx.example.org\", \"key\": \"EC P-256\", \"days_left\": "));
	buf_clear(&from_control.heard);
}

/* ---- what is wrong with a new configuration ---- */

static void a_wrong_generation_is_not_taken(void **state)
{
	(void)state;
	make_pair("other.crt", "mx.key"); /* the key of another certificate */
	expect_failure(NULL, "does not fit the certificate");
	write_file("mx.key", STR("nothing"));
	expect_failure(NULL, "no private key");
	expect_failure("mx.key", "mx.key: cannot be read");
	make_pair("mx.crt", "mx.key");
	expect_failure("users", "users: cannot be read: is it there, and may the server read it?");
	expect_failure("aliases", "aliases: cannot be read");
	expect_failure("corp.secret", "corp.secret: cannot be read");
	write_file("corp.secret", STR("\npencil"));
	expect_failure(NULL, "corp.secret: its first line should be the password");
	write_file("corp.secret", STR("pencil"));
	write_users("plain:pencil\n");
	expect_failure(NULL, "users:3");
	write_users("");
	write_file("aliases", STR("a: b\nb: a\n"));
	expect_failure(NULL, "leads back to itself");

	/* All the while the first one works. */
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&from_front, 1, "DONE 1 jada;");
	channel_send(front, FRONT_ASK_RCPT, &(struct front_ask_rcpt){ .request = 1, .address = STR("sales@example.org") });
	expect(&from_front, 2, "jada@example.org local;");

	write_file("aliases", STR("sales: jada\n"));
	expect_ready();
	channel_send(front, FRONT_ASK_RCPT, &(struct front_ask_rcpt){ .request = 1, .address = STR("info@example.org") });
	expect(&from_front, 1, "unknown;");
	char path[128];
	snprintf(path, sizeof(path), "%s/other.crt", folder);
	(void)unlink(path);
}

static void a_neighbour_may_vanish_in_the_middle(void **state)
{
	static const struct channel_handler as_front = { on_front, on_closed };
	(void)state;
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	channel_close(&front);
	front = channel_new(loop, linked(ARROW_FRONT_KEEPER), &keeper_to_front, &front_to_keeper, &as_front, &from_front);
	start(2, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&from_front, 1, "DONE 2 jada;");
	start(3, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1"); /* still measured when the keeper ends */
}

static void wait_for_seeds(struct ear *e)
{
	timer_set(&patience, loop_now_ms(loop) + PATIENCE_MS);
	while (e->seeds == 0)
		loop_run(loop);
	timer_clear(&patience);
	e->seeds = 0;
}

/* Also to one that comes later, or again; and not to the courier. */
static void every_front_gets_the_same_ticket_seeds(void **state)
{
	static const struct channel_handler as_front = { on_front, on_closed };
	static const char zeros[TLS_TICKET_SEED_BYTES];
	struct ear second, other;
	int pair[2];
	(void)state;
	ear_init(&second);
	ear_init(&other);
	assert_ok(socket_pair(pair));
	channel_send_fd(control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_FRONT_KEEPER, .instance = 1 }, pair[1]);
	struct channel *two = channel_new(loop, pair[0], &keeper_to_front, &front_to_keeper, &as_front, &second);
	wait_for_seeds(&second);
	channel_close(&front);
	memset(from_front.seed, 0, sizeof from_front.seed);
	from_front.seeds = 0;
	front = channel_new(loop, linked(ARROW_FRONT_KEEPER), &keeper_to_front, &front_to_keeper, &as_front, &from_front);
	wait_for_seeds(&from_front);
	assert_memory_equal(from_front.seed, second.seed, sizeof second.seed);
	assert_memory_not_equal(second.seed, zeros, sizeof zeros);
	assert_int_equal(second.past_n, 0); /* there has been no other yet */

	/* Another keeper has others. */
	assert_ok(socket_pair(pair));
	struct role_base *keeper2 = keeper_start(loop, pair[1]);
	struct channel *control2 = channel_new(loop, pair[0], &role_to_supervisor, &supervisor_to_role,
	                                       &(struct channel_handler){ on_control, on_closed }, &from_control);
	int more[2];
	assert_ok(socket_pair(more));
	channel_send_fd(control2, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_FRONT_KEEPER, .instance = 0 }, more[1]);
	struct channel *elsewhere = channel_new(loop, more[0], &keeper_to_front, &front_to_keeper, &as_front, &other);
	wait_for_seeds(&other);
	assert_memory_not_equal(other.seed, second.seed, sizeof second.seed);
	channel_close(&elsewhere);
	channel_close(&two);
	role_free(&keeper2);
	channel_close(&control2);
	ear_fini(&second);
	ear_fini(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_front_gets_the_same_ticket_seeds),
		cmocka_unit_test(knows_recipients),           cmocka_unit_test(knows_who_may_send),
		cmocka_unit_test(logs_in_by_plain),           cmocka_unit_test(logs_in_by_scram),
		cmocka_unit_test(refuses_what_is_not_offered), cmocka_unit_test(cancelling_leaves_nothing),
		cmocka_unit_test(attack_58_nobody_is_like_any_of_the_users),
		cmocka_unit_test(attack_58_a_slow_verifier_is_refused_in_the_same_time),
		cmocka_unit_test(guessing_is_stopped),        cmocka_unit_test(a_reload_ends_exchanges_kindly),
		cmocka_unit_test(logs_in_at_relays),          cmocka_unit_test(relay_failures_say_why),
		cmocka_unit_test(signs_handshakes_of_the_front), cmocka_unit_test(a_wrong_generation_is_not_taken),
		cmocka_unit_test(a_neighbour_may_vanish_in_the_middle),
	};
	return cmocka_run_group_tests_name("keeper", tests, begin, end);
}
