/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "house.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "ipc/sign.h"
#include "sys/clock.h"
#include "tls/certificate.h"

static const char conf_text[] =
	"hostname mx1.example.org\npostmaster admin@example.org\n"
	"tls mx1.example.org {\n cert /cert\n key /key\n}\n"
	"users staff {\n source file /users\n}\n"
	"domain example.org {\n users staff\n deliver maildir /var/mail/{domain}/{local}\n}\n"
	"domain lists.example {\n recipients verify\n deliver lmtp 127.0.0.1:2400\n}\n"
	"route {\n to refused.example refuse \"Not there\"\n otherwise direct\n}\n"
	"listen mx {\n on 127.0.0.1:2525\n proxy 127.0.9.9\n}\n"
	"listen submissions {\n on 127.0.0.1:2465\n auth staff\n proxy 127.0.9.9\n}\n"
	"listen submission {\n on 127.0.0.1:2587\n auth staff\n}\n"
	"listen lmtp {\n on 127.0.0.1:2424\n}\n"
	"listen local {\n on unix:/run/front-test.sock\n}\n"
	"listen submission {\n on 127.0.0.1:2588\n tls none\n trust 127.0.0.1\n}\n";

/* ---- waiting ---- */

static void too_long(void *owner)
{
	bool *late = owner;
	*late = true;
}

/* A later libuv that its first timer stops does not look at a single descriptor: so it has a second turn. */
struct tick { struct loop *loop; struct timer timer; bool again; };

static void tick(void *owner)
{
	struct tick *t = owner;
	if (t->again)
		timer_set(&t->timer, loop_now_ms(t->loop));
	else
		loop_stop(t->loop);
	t->again = false;
}

void house_run_once(struct house *h)
{
	struct tick t = { .loop = h->loop, .again = h->still };
	timer_init(&t.timer, h->loop, tick, &t);
	timer_set(&t.timer, loop_now_ms(h->loop) + (h->still ? 0 : 5));
	loop_run(h->loop);
	timer_clear(&t.timer);
}

/* The same, for what may take a moment. */
void house_wait_once(struct house *h)
{
	house_run_once(h);
	if (h->still)
		clock_nap_ms(1);
}

enum { STILL_TURNS = 20, PATIENCE_MS = 60000 }; /* the machine may be busy */

static void wait_still(struct house *h, const bool *what)
{
	for (int i = 0; i < PATIENCE_MS && !*what; i++)
		house_wait_once(h);
	assert_true(*what);
}

void house_wait(struct house *h, const bool *what)
{
	bool late = false;
	struct timer limit;
	if (h->still) {
		wait_still(h, what);
		return;
	}
	timer_init(&limit, h->loop, too_long, &late);
	timer_set(&limit, loop_now_ms(h->loop) + PATIENCE_MS);
	while (!*what && !late)
		house_run_once(h);
	timer_clear(&limit);
	assert_true(*what);
}

void house_turn(struct house *h, int64_t ms)
{
	bool over = false;
	struct timer limit;
	for (int i = 0; h->still && i < STILL_TURNS; i++)
		house_run_once(h);
	if (h->still)
		return;
	timer_init(&limit, h->loop, too_long, &over);
	timer_set(&limit, loop_now_ms(h->loop) + ms);
	while (!over)
		house_run_once(h);
	timer_clear(&limit);
}

struct str house_text(struct buf *b)
{
	assert_int_equal(buf_add_char(b, '\0'), OK);
	buf_cut(b, buf_view(b).n - 1);
	return buf_view(b);
}

/* ---- the signer ---- */

struct signer { struct loop *loop; struct channel *channel; EVP_PKEY *key; };

static void sign_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct signer *s = owner;
	const struct sign_request *m = msg;
	unsigned char signature[512];
	size_t n = sizeof signature;
	char digest[32];
	check(kind == SIGN_REQUEST && fd == -1);
	(void)snprintf(digest, sizeof digest, "%.*s", STR_ARG(m->digest));
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	check(EVP_DigestSignInit_ex(c, NULL, digest, NULL, NULL, s->key, NULL) == 1);
	check(EVP_DigestSign(c, signature, &n, (const unsigned char *)m->message.p, m->message.n) == 1);
	EVP_MD_CTX_free(c);
	channel_send(s->channel, SIGN_DONE, &(struct sign_done){ .signature = { (const char *)signature, n } });
}

static void sign_closed(void *owner, const char *reason)
{
	struct signer *s = owner;
	(void)reason;
	channel_close(&s->channel);
	loop_stop(s->loop);
}

static void *signer_thread(void *arg)
{
	static const struct channel_handler handler = { sign_message, sign_closed };
	struct house *h = arg;
	struct str pem = buf_view(&h->key);
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	struct signer s = { .loop = loop_new(), .key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) };
	BIO_free(bio);
	check(s.key != NULL);
	s.channel = channel_new(s.loop, h->signer_fd, &to_signer, &from_signer, &handler, &s);
	loop_run(s.loop);
	channel_close(&s.channel);
	EVP_PKEY_free(s.key);
	loop_free(&s.loop);
	return NULL;
}

/* ---- supervisor ---- */

static void supervisor_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct house *h = owner;
	assert_int_equal(fd, -1);
	if (kind == FROM_ROLE_READY)
		h->ready = ((const struct from_role_ready *)msg)->generation == h->generation;
	if (kind == FROM_ROLE_FAILED) {
		struct str text = ((const struct from_role_failed *)msg)->text;
		(void)snprintf(h->failed, sizeof h->failed, "%.*s", STR_ARG(text));
		h->ready = true;
	}
	if (kind == FROM_ROLE_STATUS) {
		struct str json = ((const struct from_role_status *)msg)->json;
		(void)snprintf(h->status, sizeof h->status, "%.*s", STR_ARG(json));
		h->has_status = true;
	}
	if (kind == FROM_ROLE_DRAINED)
		h->drained = true;
	if (kind == FROM_ROLE_STALE)
		h->stale = true;
	if (kind == FROM_ROLE_ASK_USER) {
		const struct from_role_ask_user *m = msg;
		assert_int_equal(m->uid, geteuid());
		if (h->hold_user)
			return;
		channel_send(h->supervisor, TO_ROLE_USER,
		             &(struct to_role_user){ .request = m->request, .name = h->knows_no_user ? STR("") : STR("jada") });
	}
}

uint64_t house_status(struct house *h, const char *name)
{
	char field[64];
	h->has_status = false;
	channel_send(h->supervisor, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = 1 });
	house_wait(h, &h->has_status);
	(void)snprintf(field, sizeof field, "\"%s\": ", name);
	const char *at = strstr(h->status, field);
	if (at == NULL)
		fail_msg("no %s in %s", name, h->status);
	return strtoull(at + strlen(field), NULL, 10);
}

static void supervisor_closed(void *owner, const char *reason)
{
	struct house *h = owner;
	if (!h->closing)
		fail_msg("the front left its supervisor: %s", reason);
}

static int file_of(struct str bytes)
{
	int fd = memfd_create("front-test", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.p, bytes.n), (ssize_t)bytes.n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void link_to(struct house *h, enum ipc_arrow arrow, int fd)
{
	channel_send_fd(h->supervisor, TO_ROLE_LINK, &(struct to_role_link){ .arrow = arrow }, fd);
}

void house_configure(struct house *h, const char *more_conf)
{
	char text[4096];
	uint64_t g = ++h->generation;
	(void)snprintf(text, sizeof text, "%s%s", conf_text, more_conf);
	channel_send(h->supervisor, TO_ROLE_CONFIG_TEXT,
	             &(struct to_role_config_text){ .generation = g, .name = STR("test.conf"), .text = str_of(text) });
	channel_send_fd(h->supervisor, TO_ROLE_FILE, &(struct to_role_file){ .generation = g, .path = STR("/cert") },
	                file_of(buf_view(&h->chain)));
	for (size_t i = 0; i < LISTENERS; i++)
		channel_send_fd(h->supervisor, TO_ROLE_LISTENER,
		                &(struct to_role_listener){ .generation = g, .listener = i, .on = 0 },
		                dup(h->listening[i]));
	h->ready = false;
	h->failed[0] = '\0';
	channel_send(h->supervisor, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = g });
	house_wait(h, &h->ready);
}

/* ---- spool ---- */

static void put(struct buf *b, const char *word, struct str s)
{
	assert_int_equal(buf_addf(b, "%s<%.*s>", word, STR_ARG(s)), OK);
}

static void spool_begin(struct house *h, const struct front_begin *m)
{
	h->txn = m->txn;
	h->begun++;
	h->taken = 0;
	buf_clear(&h->envelope);
	buf_clear(&h->content);
	put(&h->envelope, "from", m->sender);
	put(&h->envelope, " client", m->client);
	put(&h->envelope, " user", m->user);
	put(&h->envelope, " with", m->with);
	if (h->refuse_begin.code != 0) {
		h->refuse_begin.txn = m->txn;
		channel_send(h->spool, SPOOL_REFUSED, &h->refuse_begin);
	} else if (!h->hold_begin) {
		channel_send(h->spool, SPOOL_BEGUN, &(struct spool_begun){ .txn = m->txn, .id = STR("q7") });
	}
}

static void spool_chunk(struct house *h, const struct front_chunk *m)
{
	assert_int_equal(m->txn, h->txn);
	assert_int_equal(buf_add(&h->content, m->bytes), OK);
	size_t ahead = buf_view(&h->content).n - h->taken;
	h->ahead_max = ahead > h->ahead_max ? ahead : h->ahead_max;
	assert_true(ahead <= FRONT_CREDIT_BYTES);
	if (h->hold_taken)
		return;
	h->taken += m->bytes.n;
	channel_send(h->spool, SPOOL_TAKEN, &(struct spool_taken){ .txn = m->txn, .bytes = m->bytes.n });
}

static void spool_finish(struct house *h, const struct front_finish *m)
{
	assert_int_equal(m->txn, h->txn);
	h->finish_size = m->size_bytes;
	h->finish_body = m->body;
	h->finish_tag = m->tls_tag;
	assert_int_equal(m->size_bytes, buf_view(&h->content).n);
	if (h->refuse_store.code != 0) {
		h->refuse_store.txn = m->txn;
		channel_send(h->spool, SPOOL_REFUSED, &h->refuse_store);
	} else if (!h->hold_store) {
		h->stored++;
		channel_send(h->spool, SPOOL_STORED, &(struct spool_stored){ .txn = m->txn, .id = STR("q7") });
	}
}

static void spool_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct house *h = owner;
	assert_int_equal(fd, -1);
	if (kind == FRONT_BEGIN) {
		spool_begin(h, msg);
	} else if (kind == FRONT_RCPT) {
		put(&h->envelope, " to", ((const struct front_rcpt *)msg)->address);
		put(&h->envelope, "=", ((const struct front_rcpt *)msg)->original);
		if (((const struct front_rcpt *)msg)->notify != 0)
			assert_ok(buf_addf(&h->envelope, "!%u", (unsigned)((const struct front_rcpt *)msg)->notify));
	} else if (kind == FRONT_CHUNK) {
		spool_chunk(h, msg);
	} else if (kind == FRONT_FINISH) {
		spool_finish(h, msg);
	} else if (kind == FRONT_ABORT) {
		h->aborted++;
	} else if (kind == FRONT_VERIFY) {
		const struct front_verify *m = msg;
		bool yes = str_starts(m->address, STR("verify-yes"));
		channel_send(h->spool, SPOOL_VERIFIED,
		             &(struct spool_verified){ .request = m->request, .code = yes ? 250 : 550,
		                                       .status = yes ? STR("2.1.5") : STR("5.1.1"),
		                                       .text = STR("says the next hop") });
	}
}

/* The front may go away in a test's end, and a stopped neighbour closes by itself. */
static void neighbour_closed(void *owner, const char *reason)
{
	(void)owner;
	(void)reason;
}

/* ---- keeper ---- */

static void keeper_login(struct house *h, uint64_t session, struct str text)
{
	if (str_eq(text, STR("\0jada\0secret"))) {
		channel_send(h->keeper, KEEPER_AUTH_DONE, &(struct keeper_auth_done){ .session = session, .user = STR("jada") });
		return;
	}
	channel_send(h->keeper, KEEPER_AUTH_FAILED,
	             &(struct keeper_auth_failed){ .session = session, .code = 535, .status = STR("5.7.8"),
	                                           .text = STR("Wrong name or password"), .delay_ms = h->login_delay_ms });
}

static void keeper_auth_begins(struct house *h, const struct front_auth_start *m)
{
	(void)snprintf(h->binding, sizeof h->binding, "%zu bytes, listener %u, %.*s", m->channel_binding.n,
	               (unsigned)m->listener, STR_ARG(m->mechanism));
	if (m->has_initial == 1)
		keeper_login(h, m->session, m->initial);
	else
		channel_send(h->keeper, KEEPER_AUTH_MORE, &(struct keeper_auth_more){ .session = m->session });
}

static void keeper_rcpt_asked(struct house *h, const struct front_ask_rcpt *m)
{
	struct keeper_rcpt answer = { .request = m->request, .verdict = RCPT_REMOTE };
	if (str_eq(m->address, STR("staff@example.org"))) {
		for (int i = 0; i < 2; i++)
			channel_send(h->keeper, KEEPER_RCPT_TARGET,
			             &(struct keeper_rcpt_target){ .request = m->request,
			                                           .address = i == 0 ? STR("jada@example.org") : STR("li@example.org") });
		answer.verdict = RCPT_LOCAL;
	} else if (str_starts(m->address, STR("verify"))) {
		answer.verdict = RCPT_VERIFY;
	} else if (str_starts(m->address, STR("nobody"))) {
		answer.verdict = RCPT_UNKNOWN;
	} else if (str_starts(m->address, STR("broken"))) {
		answer.verdict = RCPT_FAILED;
	} else if (str_ends_nocase(m->address, STR("@example.org"))) {
		channel_send(h->keeper, KEEPER_RCPT_TARGET,
		             &(struct keeper_rcpt_target){ .request = m->request, .address = m->address });
		answer.verdict = RCPT_LOCAL;
	}
	channel_send(h->keeper, KEEPER_RCPT, &answer);
}

static void keeper_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct house *h = owner;
	assert_int_equal(fd, -1);
	h->asked++;
	if (kind == FRONT_ASK_SENDER)
		h->sender_request = ((const struct front_ask_sender *)msg)->request;
	if (h->silent)
		return;
	if (kind == FRONT_AUTH_START) {
		keeper_auth_begins(h, msg);
	} else if (kind == FRONT_AUTH_STEP) {
		const struct front_auth_step *m = msg;
		keeper_login(h, m->session, m->response);
	} else if (kind == FRONT_AUTH_CANCEL) {
		h->cancelled++;
	} else if (kind == FRONT_ASK_RCPT) {
		keeper_rcpt_asked(h, msg);
	} else if (kind == FRONT_ASK_SENDER) {
		const struct front_ask_sender *m = msg;
		bool yes = str_eq(m->user, STR("jada")) && str_eq(m->address, STR("jada@example.org"));
		channel_send(h->keeper, KEEPER_SENDER, &(struct keeper_sender){ .request = m->request, .allowed = yes });
	}
}

void house_give_keeper(struct house *h)
{
	static const struct channel_handler handler = { keeper_message, neighbour_closed };
	int pair[2];
	assert_int_equal(socket_pair(pair), OK);
	h->keeper = channel_new(h->loop, pair[0], &front_to_keeper, &keeper_to_front, &handler, h);
	link_to(h, ARROW_FRONT_KEEPER, pair[1]);
}

void house_give_spool(struct house *h)
{
	static const struct channel_handler handler = { spool_message, neighbour_closed };
	int pair[2];
	assert_int_equal(socket_pair(pair), OK);
	h->spool = channel_new(h->loop, pair[0], &front_to_spool, &spool_to_front, &handler, h);
	link_to(h, ARROW_FRONT_SPOOL, pair[1]);
}

/* ---- resolver ---- */

static void resolver_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct house *h = owner;
	const struct resolve *m = msg;
	assert_int_equal(fd, -1);
	assert_int_equal(kind, RESOLVE);
	struct resolved_record r = { .request = m->request };
	h->looked_up++;
	r.text = m->kind == DNS_PTR ? str_of(h->claimed_name) : str_of(h->name_address);
	if (m->kind == DNS_PTR)
		assert_true(str_starts(m->name, STR("127.0.")));
	else
		assert_true(m->kind == DNS_A && str_eq(m->name, str_of(h->claimed_name)));
	if (r.text.n > 0)
		channel_send(h->resolver, RESOLVED_RECORD, &r);
	channel_send(h->resolver, RESOLVED_END, &(struct resolved_end){ .request = m->request, .ttl_s = h->name_ttl_s });
}

void house_give_resolver(struct house *h)
{
	static const struct channel_handler handler = { resolver_message, neighbour_closed };
	int pair[2];
	assert_int_equal(socket_pair(pair), OK);
	h->resolver = channel_new(h->loop, pair[0], &to_resolver, &from_resolver, &handler, h);
	link_to(h, ARROW_FRONT_RESOLVER, pair[1]);
	(void)house_status(h, "sessions"); /* it has the link by now */
}

void house_take_keeper(struct house *h)
{
	channel_close(&h->keeper);
}

void house_take_spool(struct house *h)
{
	channel_close(&h->spool);
}

/* ---- the house ---- */

static void listen_all(struct house *h)
{
	for (size_t i = 0; i < LISTENERS; i++) {
		struct why why = { "" };
		struct endpoint at;
		char path[64];
		(void)snprintf(path, sizeof path, "unix:/tmp/front-test-%d.sock", (int)getpid());
		assert_int_equal(endpoint_parse(i == LISTENER_LOCAL ? str_of(path) : STR("127.0.0.1:0"), &at), OK);
		if (i == LISTENER_LOCAL)
			(void)unlink(at.path);
		if (socket_listen(&at, 16, &h->listening[i], &why) != OK)
			fail_msg("%s", why.text);
		if (i == LISTENER_LOCAL)
			h->at[i] = at;
		else
			assert_int_equal(socket_local(h->listening[i], &h->at[i]), OK);
	}
}

static void make_certificate(struct house *h)
{
	struct why why = { "" };
	const struct str name = STR("mx1.example.org");
	buf_init(&h->ca, 64 << 10);
	buf_init(&h->chain, 64 << 10);
	buf_init(&h->key, 64 << 10);
	if (tls_begin(&why) != OK || certificate_make(&name, 1, &h->ca, &h->chain, &h->key, &why) != OK)
		fail_msg("%s", why.text);
	struct tls_client_options options = { .ca_pem = buf_view(&h->ca), .verify = true };
	h->trusting = tls_client_new(&options, &why);
	if (h->trusting == NULL)
		fail_msg("%s", why.text);
}

void house_open(struct house *h, const char *more_conf)
{
	static const struct channel_handler supervisor = { supervisor_message, supervisor_closed };
	int control[2], sign[2];
	memset(h, 0, sizeof *h);
	h->loop = loop_new();
	buf_init(&h->envelope, 1 << 20);
	buf_init(&h->content, 128 << 20);
	make_certificate(h);
	listen_all(h);
	assert_int_equal(socket_pair(control), OK);
	assert_int_equal(socket_pair(sign), OK);
	h->front = front_start(h->loop, control[1]);
	h->supervisor = channel_new(h->loop, control[0], &role_to_supervisor, &supervisor_to_role, &supervisor, h);
	h->signer_fd = sign[0];
	assert_int_equal(pthread_create(&h->signer, NULL, signer_thread, h), 0);
	link_to(h, ARROW_FRONT_SIGN, sign[1]);
	house_give_keeper(h);
	house_give_spool(h);
	house_configure(h, more_conf);
	assert_string_equal(h->failed, "");
}

void house_close(struct house *h)
{
	h->closing = true;
	role_free(&h->front);
	house_turn(h, 1); /* what was put off to the end of the turn */
	channel_close(&h->supervisor);
	channel_close(&h->spool);
	channel_close(&h->keeper);
	channel_close(&h->resolver);
	assert_int_equal(pthread_join(h->signer, NULL), 0);
	tls_client_free(&h->trusting);
	for (size_t i = 0; i < LISTENERS; i++)
		fd_close(&h->listening[i]);
	(void)unlink(h->at[LISTENER_LOCAL].path);
	struct buf *bufs[] = { &h->ca, &h->chain, &h->key, &h->envelope, &h->content };
	for (size_t i = 0; i < COUNT(bufs); i++)
		buf_fini(bufs[i]);
	loop_free(&h->loop);
}
