/* SPDX-License-Identifier: ISC */
/* The keeper as its neighbours see it: whom it knows, what it signs, which configuration it takes. */
#include "unit.h"

#include "neighbours.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/socket.h"

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
		expect(&front_ear, target ? 2 : 1, rows[i].answer);
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
		expect(&front_ear, 1, rows[i].may ? "may;" : "may not;");
	}
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
	wait_for(&supervisor_ear, 1);
	assert_ok(buf_add_char(&supervisor_ear.heard, '\0'));
	assert_non_null(strstr(buf_view(&supervisor_ear.heard).p, "\"keys\": 1, \"signatures\": 5"));
	assert_non_null(strstr(buf_view(&supervisor_ear.heard).p, "\"names\": \"mx.example.org\", \"key\": \"EC P-256\", \"days_left\": "));
	buf_clear(&supervisor_ear.heard);
}

/* ---- what is wrong with a new configuration ---- */

static void a_wrong_generation_is_not_taken(void **state)
{
	(void)state;
	channel_send(front, FRONT_ASK_RCPT, &(struct front_ask_rcpt){ .request = 1, .address = STR("nobody@example.org") });
	expect(&front_ear, 1, "unknown;");
	uint64_t rules = front_ear.rules;
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
	expect(&front_ear, 1, "DONE 1 jada;");
	channel_send(front, FRONT_ASK_RCPT, &(struct front_ask_rcpt){ .request = 1, .address = STR("sales@example.org") });
	expect(&front_ear, 2, "jada@example.org local;");
	assert_int_equal(front_ear.rules, rules);

	write_file("aliases", STR("sales: jada\n"));
	expect_ready();
	channel_send(front, FRONT_ASK_RCPT, &(struct front_ask_rcpt){ .request = 1, .address = STR("info@example.org") });
	expect(&front_ear, 1, "unknown;");
	assert_true(front_ear.rules > rules); /* told before */
	char path[128];
	snprintf(path, sizeof(path), "%s/other.crt", folder);
	(void)unlink(path);
}

static void a_neighbour_may_vanish_in_the_middle(void **state)
{
	(void)state;
	start(1, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	channel_close(&front);
	front = channel_new(loop, linked(ARROW_FRONT_KEEPER), &keeper_to_front, &front_to_keeper, &as_front, &front_ear);
	start(2, "PLAIN", PLAIN("\0jada\0pencil"), "192.0.2.1");
	expect(&front_ear, 1, "DONE 2 jada;");
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
	memset(front_ear.seed, 0, sizeof front_ear.seed);
	front_ear.seeds = 0;
	front = channel_new(loop, linked(ARROW_FRONT_KEEPER), &keeper_to_front, &front_to_keeper, &as_front, &front_ear);
	wait_for_seeds(&front_ear);
	assert_memory_equal(front_ear.seed, second.seed, sizeof second.seed);
	assert_memory_not_equal(second.seed, zeros, sizeof zeros);
	assert_int_equal(second.past_n, 0); /* there has been no other yet */

	/* Another keeper has others. */
	assert_ok(socket_pair(pair));
	struct role_base *keeper2 = keeper_start(loop, pair[1]);
	struct channel *control2 = channel_new(loop, pair[0], &role_to_supervisor, &supervisor_to_role,
	                                       &as_supervisor, &supervisor_ear);
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
		cmocka_unit_test(knows_recipients),
		cmocka_unit_test(knows_who_may_send),
		cmocka_unit_test(signs_handshakes_of_the_front),
		cmocka_unit_test(a_wrong_generation_is_not_taken),
		cmocka_unit_test(a_neighbour_may_vanish_in_the_middle),
	};
	return cmocka_run_group_tests_name("keeper", tests, begin, end);
}
