/* SPDX-License-Identifier: ISC */
/* Who resumes where. A raw OpenSSL client keeps sessions; ours resumes only where it has nothing to prove. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tls/home.h"
#include "tls/session.h"
#include "tls/tickets.h"

#define SEED_A "seed A..........................."
#define SEED_B "seed B..........................."
#define SEED_C "seed C..........................."

static struct str seed(const char *text)
{
	return (struct str){ text, TLS_TICKET_SEED_BYTES };
}

/* Two fronts with the same certificates and each its own copy of the seeds. */
struct front { struct tls_server *server; struct tls_tickets *tickets; };
struct place { struct home home; struct front one, two; };

static void add(struct front *f, struct str name, struct str chain)
{
	struct why why = { "" };
	if (tls_server_add(f->server, &name, 1, chain, &why) != OK)
		fail_msg("%s", why.text);
}

static void add_certificate(struct place *p, const char *name, const char *key)
{
	struct buf chain;
	buf_init(&chain, 1 << 16);
	home_certificate(&p->home, &(struct home_certificate){ .key = key, .alt_names = "DNS:mx.example.org" }, &chain);
	add(&p->one, str_of(name), buf_view(&chain));
	add(&p->two, str_of(name), buf_view(&chain));
	buf_fini(&chain);
}

static void set_seeds(struct place *p, struct str present, struct str past)
{
	assert_int_equal(tls_tickets_set(p->one.tickets, present, past), OK);
	assert_int_equal(tls_tickets_set(p->two.tickets, present, past), OK);
}

static int set_up(void **state)
{
	struct place *p = NEW(struct place);
	assert_int_equal(tls_begin(NULL), OK);
	home_init(&p->home);
	struct tls_signer signer = home_signer(&p->home);
	p->one = (struct front){ tls_server_new(&signer, false), tls_tickets_new() };
	p->two = (struct front){ tls_server_new(&signer, false), tls_tickets_new() };
	add_certificate(p, "mx.example.org", "EC P-256");
	add_certificate(p, "other.example.org", "EC P-256");
	set_seeds(p, seed(SEED_A), STR_NONE);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	tls_server_free(&p->one.server);
	tls_server_free(&p->two.server);
	tls_tickets_free(&p->one.tickets);
	tls_tickets_free(&p->two.tickets);
	home_fini(&p->home);
	free(p);
	return 0;
}

/* ---- keys that are derived ---- */

static unsigned derived;

int __real_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t n, const OSSL_PARAM params[]);
int __wrap_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t n, const OSSL_PARAM params[]);
int __wrap_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t n, const OSSL_PARAM params[])
{
	derived++;
	return __real_EVP_KDF_derive(ctx, key, n, params);
}

/* ---- one visit ---- */

struct visit {
	struct front *front;
	const char *listener, *name, *groups;
	int version_max;
	bool without_exchange;       /* the client would resume with no key exchange of its own */
	SSL_SESSION *old;
	/* what came of it */
	bool open, resumed, exchanged;
	SSL_SESSION *next;
};

static void pump(SSL *client, BIO *in, BIO *out, struct tls *s)
{
	for (int round = 0; round < 10; round++) {
		char bytes[20000];
		size_t used;
		(void)SSL_do_handshake(client);
		int n = BIO_read(out, bytes, sizeof bytes);
		if (n > 0 && tls_feed(s, (struct str){ bytes, (size_t)n }, &used) != OK)
			round = 9;
		struct str cipher = tls_output(s);
		if (cipher.n > 0)
			assert_int_equal(BIO_write(in, cipher.p, (int)cipher.n), (int)cipher.n);
		tls_sent(s, cipher.n);
	}
	(void)SSL_do_handshake(client);
	char got[64];
	(void)SSL_read(client, got, sizeof got); /* tickets come after the handshake */
	ERR_clear_error();
}

static void visit(struct visit *v)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(ctx, v->version_max);
	SSL *client = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(in, -1);
	BIO_set_mem_eof_return(out, -1);
	SSL_set_bio(client, in, out);
	SSL_set_connect_state(client);
	char name[64], groups[64];
	strcpy(name, v->name != NULL ? v->name : "mx.example.org");
	strcpy(groups, v->groups != NULL ? v->groups : "X25519:P-256");
	assert_int_equal(SSL_set_tlsext_host_name(client, name), 1);
	assert_int_equal(SSL_set1_groups_list(client, groups), 1);
	if (v->without_exchange)
		(void)SSL_set_options(client, SSL_OP_ALLOW_NO_DHE_KEX);
	if (v->old != NULL)
		assert_int_equal(SSL_set_session(client, v->old), 1);

	struct tls *s = tls_accept(v->front->server);
	tls_use_tickets(s, v->front->tickets, v->listener != NULL ? v->listener : "submissions");
	pump(client, in, out, s);
	v->open = tls_state(s) == TLS_OPEN && SSL_is_init_finished(client);
	v->resumed = SSL_session_reused(client) == 1;
	EVP_PKEY *share = NULL;
	v->exchanged = SSL_get_peer_tmp_key(client, &share) == 1;
	EVP_PKEY_free(share);
	v->next = SSL_get1_session(client);
	SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* or the session counts as broken */
	SSL_free(client);
	SSL_CTX_free(ctx);
	tls_free(&s);
	ERR_clear_error();
}

static SSL_SESSION *first_visit(struct visit v)
{
	visit(&v);
	assert_true(v.open);
	assert_false(v.resumed);
	return v.next;
}

static bool resumes(SSL_SESSION *session, struct visit v)
{
	v.old = session;
	visit(&v);
	assert_true(v.open);
	SSL_SESSION_free(v.next);
	return v.resumed;
}

/* ---- the tests ---- */

static void a_ticket_is_good_at_any_front(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one });
	unsigned asked = p->home.asked;
	assert_true(resumes(session, (struct visit){ .front = &p->one }));
	assert_true(resumes(session, (struct visit){ .front = &p->two }));
	assert_int_equal(p->home.asked, asked); /* no signature was needed */
	SSL_SESSION_free(session);
}

static void a_ticket_lasts_for_two_seeds(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one });
	set_seeds(p, seed(SEED_B), seed(SEED_A));
	struct visit again = { .front = &p->two, .old = session };
	visit(&again);
	assert_true(again.resumed);
	set_seeds(p, seed(SEED_C), seed(SEED_B));
	assert_false(resumes(session, (struct visit){ .front = &p->one }));
	assert_true(resumes(again.next, (struct visit){ .front = &p->one })); /* it was renewed meanwhile */
	SSL_SESSION_free(session);
	SSL_SESSION_free(again.next);
}

static void a_new_keeper_forgets_the_old_ones(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one });
	set_seeds(p, seed(SEED_B), seed(SEED_A));
	set_seeds(p, seed(SEED_C), STR_NONE);
	assert_false(resumes(session, (struct visit){ .front = &p->one }));
	SSL_SESSION_free(session);
	session = first_visit((struct visit){ .front = &p->one });
	set_seeds(p, seed(SEED_A), STR_NONE);
	assert_false(resumes(session, (struct visit){ .front = &p->one }));
	SSL_SESSION_free(session);
}

/* RFC 5077 4: a ticket begins with the name of its key. */
static bool have_one_key(const SSL_SESSION *a, const SSL_SESSION *b)
{
	const unsigned char *p, *q;
	size_t n, m;
	SSL_SESSION_get0_ticket(a, &p, &n);
	SSL_SESSION_get0_ticket(b, &q, &m);
	assert_true(n > 16 && m > 16);
	return memcmp(p, q, 16) == 0;
}

/* More than there is room for keys to be kept: who comes again is known, by his own listener alone. */
static void many_listeners_have_a_key_each(void **state)
{
	enum { LISTENERS = 20 };
	struct place *p = *state;
	SSL_SESSION *sessions[LISTENERS];
	char names[LISTENERS][40];
	for (int i = 0; i < LISTENERS; i++) {
		(void)snprintf(names[i], sizeof names[i], i % 2 == 0 ? "listener %d" : "a listener with a long name, %d", i);
		sessions[i] = first_visit((struct visit){ .front = &p->one, .listener = names[i] });
		for (int k = 0; k < i; k++)
			assert_false(have_one_key(sessions[k], sessions[i]));
	}
	for (int i = 0; i < LISTENERS; i++) {
		assert_true(resumes(sessions[i], (struct visit){ .front = &p->one, .listener = names[i] }));
		assert_true(resumes(sessions[i], (struct visit){ .front = &p->two, .listener = names[i] }));
		assert_false(resumes(sessions[i], (struct visit){ .front = &p->one, .listener = names[(i + 1) % LISTENERS] }));
		assert_false(resumes(sessions[i], (struct visit){ .front = &p->one, .listener = names[(i + 2) % LISTENERS] }));
		SSL_SESSION *later = first_visit((struct visit){ .front = &p->one, .listener = names[i] });
		SSL_SESSION *other = first_visit((struct visit){ .front = &p->one, .listener = names[i], .name = "other.example.org" });
		assert_true(have_one_key(sessions[i], later));
		assert_false(have_one_key(later, other));
		SSL_SESSION_free(later);
		SSL_SESSION_free(other);
	}
	for (int i = 0; i < LISTENERS; i++)
		SSL_SESSION_free(sessions[i]);
}

/* How many keys a visit derives. */
static unsigned derived_for(struct place *p, const char *listener)
{
	unsigned before = derived;
	SSL_SESSION_free(first_visit((struct visit){ .front = &p->one, .listener = listener }));
	return derived - before;
}

/* TICKET_KEYS_MAX */
static void so_many_keys_are_kept(void **state)
{
	struct place *p = *state;
	char names[TICKET_KEYS_MAX + 1][2] = { "" }; /* a letter each */
	for (int i = 0; i <= TICKET_KEYS_MAX; i++)
		names[i][0] = (char)('a' + i);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < TICKET_KEYS_MAX; i++)
			assert_int_equal(derived_for(p, names[i]), round == 0);
	assert_int_equal(derived_for(p, names[TICKET_KEYS_MAX]), 1);
	for (int i = 1; i <= TICKET_KEYS_MAX; i++)
		assert_int_equal(derived_for(p, names[i]), 0);
	assert_int_equal(derived_for(p, names[0]), 1); /* it had to go */
	assert_int_equal(derived_for(p, names[0]), 0);
	set_seeds(p, seed(SEED_B), STR_NONE);
	assert_int_equal(derived_for(p, names[0]), 1); /* keys go with their seed */
}

/* TICKET_LISTENER_MAX */
static void only_short_names_are_kept(void **state)
{
	struct place *p = *state;
	char name[TICKET_LISTENER_MAX + 1];
	memset(name, 'x', sizeof name);
	for (size_t more = 0; more <= 1; more++) {
		name[TICKET_LISTENER_MAX - 1 + more] = '\0';
		assert_true(derived_for(p, name) > 0);
		assert_int_equal(derived_for(p, name) > 0, more);
		name[TICKET_LISTENER_MAX - 1] = 'x';
	}
}

static void attack_42_a_ticket_is_nothing_to_another_listener_or_certificate(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one, .listener = "submissions" });
	assert_false(resumes(session, (struct visit){ .front = &p->one, .listener = "mx" }));
	assert_false(resumes(session, (struct visit){ .front = &p->one, .listener = "submission" }));
	assert_false(resumes(session, (struct visit){ .front = &p->one, .name = "other.example.org" }));
	assert_true(resumes(session, (struct visit){ .front = &p->one, .name = "unknown.example.org" })); /* gets the first */
	assert_true(resumes(session, (struct visit){ .front = &p->one }));
	SSL_SESSION_free(session);

	session = first_visit((struct visit){ .front = &p->one, .name = "other.example.org" });
	assert_true(resumes(session, (struct visit){ .front = &p->two, .name = "OTHER.example.org" }));
	assert_false(resumes(session, (struct visit){ .front = &p->two, .name = "mx.example.org" }));
	SSL_SESSION_free(session);

	/* The certificate is renewed. */
	session = first_visit((struct visit){ .front = &p->one });
	struct tls_signer signer = home_signer(&p->home);
	tls_server_free(&p->one.server);
	tls_server_free(&p->two.server);
	p->one.server = tls_server_new(&signer, false);
	p->two.server = tls_server_new(&signer, false);
	add_certificate(p, "mx.example.org", "EC P-256");
	assert_false(resumes(session, (struct visit){ .front = &p->one }));
	SSL_SESSION_free(session);
}

static void attack_42_no_seed_is_empty(void **state)
{
	static const char zeros[TLS_TICKET_SEED_BYTES + 1];
	struct place *p = *state;
	struct tls_tickets *t = p->one.tickets;
	assert_int_equal(tls_tickets_set(t, seed(zeros), STR_NONE), F_SYNTAX);
	assert_int_equal(tls_tickets_set(t, seed(SEED_B), seed(zeros)), F_SYNTAX);
	assert_int_equal(tls_tickets_set(t, STR_NONE, STR_NONE), F_SYNTAX);
	assert_int_equal(tls_tickets_set(t, (struct str){ SEED_B, TLS_TICKET_SEED_BYTES - 1 }, STR_NONE), F_SYNTAX);
	assert_int_equal(tls_tickets_set(t, (struct str){ SEED_B, TLS_TICKET_SEED_BYTES + 1 }, STR_NONE), F_SYNTAX);
	/* Nothing has changed. */
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one });
	assert_true(resumes(session, (struct visit){ .front = &p->two }));
	SSL_SESSION_free(session);
}

static void without_seeds_there_are_no_tickets(void **state)
{
	struct place *p = *state;
	struct front bare = { p->one.server, tls_tickets_new() };
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one }), *none = first_visit((struct visit){ .front = &bare });
	assert_false(SSL_SESSION_has_ticket(none));
	assert_false(resumes(session, (struct visit){ .front = &bare }));
	SSL_SESSION_free(session);
	SSL_SESSION_free(none);
	tls_tickets_free(&bare.tickets);
}

static void tls12_has_no_tickets(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one, .version_max = TLS1_2_VERSION });
	unsigned n = 0;
	(void)SSL_SESSION_get_id(session, &n);
	assert_int_equal(n, 0);
	assert_false(SSL_SESSION_has_ticket(session));
	assert_false(resumes(session, (struct visit){ .front = &p->one, .version_max = TLS1_2_VERSION }));
	SSL_SESSION_free(session);
}

static void what_is_resumed_has_forward_secrecy(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one });
	struct visit again = { .front = &p->one, .old = session, .without_exchange = true };
	visit(&again);
	assert_true(again.open);
	assert_true(again.resumed);
	assert_true(again.exchanged);
	SSL_SESSION_free(again.next);
	/* No group in common, and the client would do without: we would not. */
	struct visit bare = { .front = &p->one, .old = session, .without_exchange = true, .groups = "P-521" };
	visit(&bare);
	assert_false(bare.open);
	assert_false(bare.resumed);
	SSL_SESSION_free(bare.next);
	SSL_SESSION_free(session);
}

/* One session of our own client; its ticket, if it got one, replaces the one that it came with. */
static bool our_client_resumes(struct place *p, struct tls_client *c, enum tls_prove prove, struct tls_ticket **ticket)
{
	struct tls_wish wish = { .name = STR("mx.example.org"), .prove = prove, .ticket = *ticket };
	struct tls *client = tls_connect_wish(c, &wish), *server = tls_accept(p->one.server);
	struct tls_facts ours, theirs;
	tls_use_tickets(server, p->one.tickets, "submissions");
	home_pump(client, server, 0);
	assert_int_equal(tls_state(client), TLS_OPEN);
	tls_facts(client, &ours);
	tls_facts(server, &theirs);
	assert_int_equal(ours.resumed, theirs.resumed);
	tls_ticket_free(ticket);
	*ticket = tls_ticket_of(client);
	tls_free(&client); /* without close_notify: the ticket lasts all the same */
	tls_free(&server);
	return ours.resumed;
}

static void our_own_resumes_where_nothing_is_to_be_proven(void **state)
{
	struct place *p = *state;
	struct tls_client_options options = { .ca_pem = buf_view(&p->home.ca_pem) };
	struct tls_client *c = tls_client_new(&options, NULL);
	struct tls_ticket *ticket = NULL;
	assert_false(our_client_resumes(p, c, TLS_PROVE_NOTHING, &ticket));
	assert_non_null(ticket);
	assert_true(our_client_resumes(p, c, TLS_PROVE_NOTHING, &ticket));
	assert_true(our_client_resumes(p, c, TLS_PROVE_NOTHING, &ticket));
	assert_non_null(ticket);
	assert_false(our_client_resumes(p, c, TLS_PROVE_NAME, &ticket)); /* a certificate must be shown */
	set_seeds(p, seed(SEED_B), STR_NONE);
	assert_false(our_client_resumes(p, c, TLS_PROVE_NOTHING, &ticket));
	tls_ticket_free(&ticket);
	tls_ticket_free(&ticket);
	tls_client_free(&c);
}

static void attack_41_a_ticket_allows_no_early_data(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one });
	assert_true(SSL_SESSION_has_ticket(session));
	assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
	SSL_SESSION_free(session);
}

/* Every byte of a ticket in turn is another one: never accepted, never fatal. */
static void a_forged_ticket_is_a_new_session(void **state)
{
	struct place *p = *state;
	SSL_SESSION *session = first_visit((struct visit){ .front = &p->one });
	unsigned char *der = NULL;
	int n = i2d_SSL_SESSION(session, &der);
	const unsigned char *ticket;
	size_t ticket_n, forged = 0;
	SSL_SESSION_get0_ticket(session, &ticket, &ticket_n);
	unsigned char *at = memmem(der, (size_t)n, ticket, ticket_n);
	assert_non_null(at);
	for (size_t i = 0; i < ticket_n; i += 7) {
		at[i] ^= 1;
		const unsigned char *from = der;
		SSL_SESSION *other = d2i_SSL_SESSION(NULL, &from, n);
		assert_non_null(other);
		assert_false(resumes(other, (struct visit){ .front = &p->one }));
		SSL_SESSION_free(other);
		at[i] ^= 1;
		forged++;
	}
	assert_true(forged > 20);
	OPENSSL_free(der);
	SSL_SESSION_free(session);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_ticket_is_good_at_any_front),
		TEST(a_ticket_lasts_for_two_seeds),
		TEST(many_listeners_have_a_key_each),
		TEST(so_many_keys_are_kept),
		TEST(only_short_names_are_kept),
		TEST(a_new_keeper_forgets_the_old_ones),
		TEST(attack_42_a_ticket_is_nothing_to_another_listener_or_certificate),
		TEST(attack_42_no_seed_is_empty),
		TEST(without_seeds_there_are_no_tickets),
		TEST(tls12_has_no_tickets),
		TEST(our_own_resumes_where_nothing_is_to_be_proven),
		TEST(what_is_resumed_has_forward_secrecy),
		TEST(attack_41_a_ticket_allows_no_early_data),
		TEST(a_forged_ticket_is_a_new_session),
	};
	return cmocka_run_group_tests_name("tls/tickets", tests, NULL, NULL);
}
