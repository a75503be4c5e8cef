/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "neighbours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/sasl/credential.h"
#include "role/keeper/backoff.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "tls/certificate.h"

struct loop *loop;
struct timer patience;
struct role_base *keeper;
struct channel *control, *front, *courier;
struct ear supervisor_ear, front_ear, courier_ear;
int sign_fd = -1;
char folder[64];
struct buf ca_pem;
static uint64_t generation;

void out_of_patience(void *owner)
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
	if (kind == KEEPER_RULES) {
		((struct ear *)owner)->rules = ((const struct keeper_rules *)msg)->number;
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

const struct channel_handler as_supervisor = { on_control, on_closed }, as_front = { on_front, on_closed };

void wait_for(struct ear *e, unsigned messages)
{
	timer_set(&patience, loop_now_ms(loop) + PATIENCE_MS);
	while (e->messages < messages)
		loop_run(loop);
	timer_clear(&patience);
	e->messages -= messages;
}

void expect(struct ear *e, unsigned messages, const char *text)
{
	wait_for(e, messages);
	assert_str(buf_view(&e->heard), text);
	buf_clear(&e->heard);
}

/* ---- files and configuration ---- */

void write_file(const char *name, struct str bytes)
{
	char path[128];
	int fd = -1;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
	assert_ok(file_open(FILE_CWD, path, FILE_WRITE | FILE_CREATE, 0600, &fd, NULL));
	assert_ok(file_write(fd, bytes));
	fd_close(&fd);
}

void make_pair(const char *crt, const char *key)
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

void write_users(const char *more)
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
	wait_for(&supervisor_ear, 1);
}

void expect_ready(void)
{
	configure(NULL);
	assert_str(buf_view(&supervisor_ear.heard), "READY;");
	buf_clear(&supervisor_ear.heard);
}

void expect_failure(const char *without, const char *words)
{
	configure(without);
	assert_ok(buf_add_char(&supervisor_ear.heard, '\0'));
	const char *heard = buf_view(&supervisor_ear.heard).p;
	if (strncmp(heard, "FAILED ", 7) != 0 || strstr(heard, words) == NULL)
		fail_msg("\"%s\" instead of \"%s\"", heard, words);
	buf_clear(&supervisor_ear.heard);
}

int linked(enum ipc_arrow arrow)
{
	int pair[2];
	assert_ok(socket_pair(pair));
	channel_send_fd(control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = arrow, .instance = 0 }, pair[1]);
	return pair[0];
}

void ear_init(struct ear *e)
{
	*e = (struct ear){ .messages = 0 };
	buf_init(&e->heard, 1 << 20);
	buf_init(&e->kept, 1 << 20);
}

void ear_fini(struct ear *e)
{
	buf_fini(&e->heard);
	buf_fini(&e->kept);
}

int begin(void **state)
{
	static const struct channel_handler as_courier = { on_courier, on_closed };
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
	ear_init(&supervisor_ear);
	ear_init(&front_ear);
	ear_init(&courier_ear);
	assert_ok(socket_pair(pair));
	keeper = keeper_start(loop, pair[1]);
	control = channel_new(loop, pair[0], &role_to_supervisor, &supervisor_to_role, &as_supervisor, &supervisor_ear);
	expect_ready();
	front = channel_new(loop, linked(ARROW_FRONT_KEEPER), &keeper_to_front, &front_to_keeper, &as_front, &front_ear);
	courier = channel_new(loop, linked(ARROW_COURIER_KEEPER), &keeper_to_courier, &courier_to_keeper, &as_courier, &courier_ear);
	sign_fd = linked(ARROW_FRONT_SIGN);
	return 0;
}

int end(void **state)
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
	ear_fini(&supervisor_ear);
	ear_fini(&front_ear);
	ear_fini(&courier_ear);
	buf_fini(&ca_pem);
	for (size_t i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(folder);
	return 0;
}

/* ---- what is said ---- */

void start(uint64_t session, const char *mechanism, struct str initial, const char *client)
{
	channel_send(front, FRONT_AUTH_START,
	             &(struct front_auth_start){ .session = session, .listener = 1, .mechanism = str_of(mechanism), .has_initial = true,
	                                         .initial = initial, .channel_binding = BINDING, .client = str_of(client) });
}
