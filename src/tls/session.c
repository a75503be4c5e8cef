/* SPDX-License-Identifier: ISC */
#include "tls/session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tls/provider.h"

enum {
	OUTPUT_BYTES_MAX = 1 << 20,
	OUTPUT_KEPT_BYTES = 1024,      /* an empty buffer stays if it is no larger: room for a reply, not for a handshake */
	RECORD_OVERHEAD_MAX = 64,      /* a record's header, nonce, padding and tag */
	RECORD_BYTES_MAX = 16384,
	HANDSHAKE_BYTES_MAX = 256 << 10, /* of the peer's: certificates are the most of it, and OpenSSL takes 100 KB of them */
	KEY_UPDATES_MAX = 256,         /* per connection: a flood of them is an attack on our CPU */
};

/* ---- the BIO: reads from what is being fed, writes to the output buffer ---- */

static int bio_read(BIO *bio, char *to, size_t room, size_t *n_out)
{
	struct tls *t = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (t->feed.n == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	size_t n = t->feed.n < room ? t->feed.n : room;
	memcpy(to, t->feed.p, n);
	t->feed = str_from(t->feed, n);
	*n_out = n;
	return 1;
}

static int bio_write(BIO *bio, const char *from, size_t n, size_t *n_out)
{
	struct tls *t = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (buf_add(&t->out, (struct str){ from, n }) != OK)
		return 0;
	*n_out = n;
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static BIO *bio_over(struct tls *t)
{
	/* OpenSSL's table of functions: made once, the same for every session, never freed. */
	static BIO_METHOD *method;
	if (method == NULL) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sealpost");
		check(method != NULL && BIO_meth_set_read_ex(method, bio_read) == 1 &&
		      BIO_meth_set_write_ex(method, bio_write) == 1 && BIO_meth_set_ctrl(method, bio_ctrl) == 1);
	}
	BIO *bio = BIO_new(method);
	check(bio != NULL);
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	return bio;
}

/* Whose it is, is known by its BIO: what SSL_set_app_data() needs for it is 100 octets of heap. */
struct tls *tls_of(SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
}

/* ---- rules of both sides ---- */

static void watch_messages(int write_p, int version, int content_type, const void *bytes, size_t n, SSL *ssl, void *arg)
{
	(void)version;
	(void)arg;
	if (!write_p && content_type == SSL3_RT_HANDSHAKE && n > 0 && *(const unsigned char *)bytes == SSL3_MT_KEY_UPDATE)
		tls_of(ssl)->key_updates++;
}

bool tls_knows_post_quantum(SSL_CTX *ctx)
{
	char group[] = "X25519MLKEM768";
	bool known = SSL_CTX_set1_groups_list(ctx, group) == 1;
	ERR_clear_error();
	return known;
}

bool tls_context_rules(SSL_CTX *ctx, bool cbc_too)
{
	/* Lists are tried in turn: OpenSSL 3.0 refuses a list with a group that it does not know. Not const, because
	 * OpenSSL's macros cast that away. */
	char groups[] = "X25519MLKEM768:X25519:P-256:P-384", older_groups[] = "X25519:P-256:P-384";
	char signatures[] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
	                    "rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";
	const char *ciphers = cbc_too ? "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!AESCCM" : "ECDHE+AESGCM:ECDHE+CHACHA20";
	bool grouped = SSL_CTX_set1_groups_list(ctx, groups) == 1 || SSL_CTX_set1_groups_list(ctx, older_groups) == 1;
	ERR_clear_error();

	(void)SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION | SSL_OP_LEGACY_SERVER_CONNECT);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	                               SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CLEANSE_PLAINTEXT);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_msg_callback(ctx, watch_messages);
	return grouped && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(ctx, 0) == 1 && SSL_CTX_set_cipher_list(ctx, ciphers) == 1 &&
	       SSL_CTX_set1_sigalgs_list(ctx, signatures) == 1 && SSL_CTX_set_max_early_data(ctx, 0) == 1;
}

bool tls_is_host_name(struct str name)
{
	if (name.n == 0 || name.n > 253)
		return false;
	bool letter = false;
	for (size_t i = 0, label = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		bool last = i + 1 == name.n || name.p[i + 1] == '.';
		if (c == '.') {
			if (label == 0 || last)
				return false;
			label = 0;
			letter = false;
			continue;
		}
		if (!ascii_is_alnum(c) && (c != '-' || label == 0 || last))
			return false;
		letter |= ascii_is_alpha(c);
		if (++label > 63)
			return false;
	}
	return letter;
}

/* ---- a connection ---- */

struct tls *tls_session_new(SSL_CTX *ctx, bool client)
{
	struct tls *t = NEW(struct tls);
	t->client = client;
	t->state = TLS_BROKEN;
	buf_init(&t->out, OUTPUT_BYTES_MAX);
	t->ssl = ctx != NULL ? SSL_new(ctx) : NULL;
	if (t->ssl == NULL)
		return t;
	t->state = TLS_SHAKING;
	BIO *bio = bio_over(t);
	SSL_set_bio(t->ssl, bio, bio);
	if (client)
		SSL_set_connect_state(t->ssl);
	else
		SSL_set_accept_state(t->ssl);
	return t;
}

void tls_free(struct tls **t_)
{
	struct tls *t = *t_;
	if (t == NULL)
		return;
	*t_ = NULL;
	SSL_free(t->ssl);
	tls_server_release(t);
	tls_client_release(t);
	tls_forget_chain(t);
	buf_fini(&t->out);
	free(t->sni);
	free(t->problem);
	free(t->peer);
	free(t->error);
	free(t);
}

void tls_break(struct tls *t, const char *fmt, ...)
{
	enum { ROOM = 320 };
	t->state = TLS_BROKEN;
	if (t->client && t->failure == TLS_FAIL_NONE)
		t->failure = TLS_FAIL_HANDSHAKE;
	if (t->error != NULL)
		return; /* the first reason is the cause */
	t->error = must_alloc(ROOM);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(t->error, ROOM, fmt, args);
	va_end(args);
}

/* What an earlier call has left behind must not be taken for this one's. There is hardly ever anything, and to clear all
 * costs as much as a short record. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

static fault tls_broken(struct tls *t)
{
	char words[300];
	int reason = ERR_GET_REASON(ERR_peek_error());
	t->gave_up = reason == SSL_R_TLSV1_ALERT_INTERNAL_ERROR || reason == SSL_R_TLSV1_ALERT_USER_CANCELLED;
	bool unproven = tls_explain(t, words, sizeof(words));
	if (unproven && t->client)
		t->failure = tls_failure_of(SSL_get_verify_result(t->ssl));
	tls_break(t, "%s", words);
	ERR_clear_error();
	return F_TLS;
}

/* What an SSL call that did not succeed means for us. */
static fault tls_judge(struct tls *t, int result)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return OK;
	case SSL_ERROR_ZERO_RETURN:
		if (t->state == TLS_SHAKING) {
			t->gave_up = true;
			tls_break(t, "the %s closed in the middle of the handshake", t->client ? "server" : "client");
			return F_TLS;
		}
		t->state = TLS_ENDED;
		return OK;
	default:
		return tls_broken(t);
	}
}

static void empty(EVP_PKEY *key)
{
	(void)EVP_PKEY_set_type(key, EVP_PKEY_X25519); /* of what type does not matter: it frees what was there */
	EVP_PKEY_free(key);
}

/* OpenSSL keeps both key shares until the connection ends, and whoever reads them in our memory meanwhile reads all of it. */
static void forget_key_shares(struct tls *t)
{
	EVP_PKEY *own, *theirs;
	if (SSL_get_tmp_key(t->ssl, &own) == 1)
		empty(own);
	if (SSL_get_peer_tmp_key(t->ssl, &theirs) == 1)
		empty(theirs);
}

static fault tls_shake(struct tls *t)
{
	ERR_clear_error();
	size_t offered = t->feed.n;
	int result = SSL_do_handshake(t->ssl);
	t->shaken += offered - t->feed.n;
	if (result != 1 && t->shaken > HANDSHAKE_BYTES_MAX) {
		tls_break(t, "the handshake has no end");
		return F_TLS;
	}
	if (result != 1)
		return tls_judge(t, result);
	t->state = TLS_OPEN;
	forget_key_shares(t);
	if (t->client)
		tls_client_look(t);
	return t->state == TLS_OPEN ? OK : F_TLS;
}

/* Lets OpenSSL take records in until one has plaintext for us; that stays inside until tls_read. */
static fault tls_take_in(struct tls *t)
{
	char c;
	forget_errors();
	int result = SSL_peek(t->ssl, &c, 1);
	if (t->key_updates > KEY_UPDATES_MAX) {
		tls_break(t, "the peer changes its keys without end");
		return F_TLS;
	}
	return result == 1 ? OK : tls_judge(t, result);
}

enum tls_state tls_state(const struct tls *t)
{
	return t->state;
}

fault tls_feed(struct tls *t, struct str cipher, size_t *used_out)
{
	*used_out = 0;
	if (t->state == TLS_BROKEN)
		return F_TLS;
	t->feed = cipher;
	fault f = OK;
	if (t->state == TLS_SHAKING)
		f = tls_shake(t);
	if (f == OK && t->state == TLS_OPEN)
		f = tls_take_in(t);
	/* What follows close_notify belongs to nobody. */
	*used_out = t->state == TLS_ENDED || f != OK ? cipher.n : cipher.n - t->feed.n;
	t->feed = STR_NONE;
	return f;
}

fault tls_read(struct tls *t, char *to, size_t room, size_t *n_out)
{
	*n_out = 0;
	if (t->state == TLS_BROKEN)
		return F_TLS;
	if (t->state != TLS_OPEN || room == 0)
		return OK;
	forget_errors();
	size_t n = 0;
	int result = SSL_read_ex(t->ssl, to, room, &n);
	if (result != 1)
		return tls_judge(t, result);
	*n_out = n;
	return OK;
}

fault tls_write(struct tls *t, struct str plain)
{
	if (t->state == TLS_BROKEN)
		return F_TLS;
	if (t->state != TLS_OPEN)
		return F_STATE;
	if (plain.n == 0)
		return OK;
	size_t overhead = (plain.n / RECORD_BYTES_MAX + 1) * RECORD_OVERHEAD_MAX;
	if (plain.n > buf_room(&t->out) || overhead > buf_room(&t->out) - plain.n)
		return F_LIMIT;
	forget_errors();
	size_t n = 0;
	int result = SSL_write_ex(t->ssl, plain.p, plain.n, &n);
	if (result != 1 || n != plain.n)
		return tls_broken(t);
	return OK;
}

void tls_end(struct tls *t)
{
	if (t->state != TLS_OPEN)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

struct str tls_output(const struct tls *t)
{
	return buf_view(&t->out);
}

void tls_sent(struct tls *t, size_t n)
{
	buf_drop(&t->out, n);
	if (t->out.cap > OUTPUT_KEPT_BYTES)
		buf_shrink(&t->out);
}

/* From 3.2 on, OpenSSL overwrites a buffer that it has given back before once more, at address zero: so there must be one. */
static bool must_have_what_it_frees(void)
{
	return OPENSSL_version_major() > 3 || OPENSSL_version_minor() >= 2;
}

bool tls_rest(struct tls *t)
{
	buf_shrink(&t->out);
	if (t->ssl != NULL && must_have_what_it_frees())
		(void)SSL_alloc_buffers(t->ssl);
	if (t->ssl == NULL || SSL_free_buffers(t->ssl) == 1)
		return true;
	return SSL_pending(t->ssl) > 0; /* it refuses where something is in them: what we have not read, or half a record */
}

const char *tls_error(const struct tls *t)
{
	return t->error != NULL ? t->error : "";
}

void tls_facts(const struct tls *t, struct tls_facts *out)
{
	*out = (struct tls_facts){ .version = STR_NONE };
	if (t->ssl == NULL || SSL_get_session(t->ssl) == NULL)
		return; /* not even begun */
	out->version = str_of(SSL_get_version(t->ssl));
	out->cipher = str_of(SSL_CIPHER_get_name(SSL_get_current_cipher(t->ssl)));
	int group = (int)SSL_get_negotiated_group(t->ssl);
	if (group != 0)
		out->group = str_of(SSL_group_to_name(t->ssl, group));
	out->sni = (struct str){ t->sni, t->sni_n };
	out->resumed = SSL_session_reused(t->ssl) == 1;
	out->verified = t->by != NULL;
	out->by = str_of(t->by);
	out->unproven = t->unproven;
	out->problem = str_of(t->problem);
	out->peer = str_of(t->peer);
}

/* RFC 9266 4.2: not unique without the extended master secret. */
bool tls_can_bind(const struct tls *t)
{
	return t->state == TLS_OPEN && (SSL_version(t->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(t->ssl) == 1);
}

fault tls_channel_binding(const struct tls *t, unsigned char out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";
	if (!tls_can_bind(t))
		return F_STATE;
	if (SSL_export_keying_material(t->ssl, out, 32, label, sizeof(label) - 1, (const unsigned char *)"", 0, 1) != 1) {
		ERR_clear_error();
		return F_TLS;
	}
	return OK;
}

bool tls_looks_like(struct str bytes)
{
	/* A handshake record, version 3.x, that begins with a ClientHello (where we can see so far). */
	return bytes.n >= 1 && bytes.p[0] == SSL3_RT_HANDSHAKE && (bytes.n < 2 || bytes.p[1] == 3) &&
	       (bytes.n < 6 || bytes.p[5] == SSL3_MT_CLIENT_HELLO);
}

/* RFC 8446 5.1: a hello may lie in several records, and 4 is the size of its own header. */
bool tls_hello_is_whole(struct str bytes)
{
	size_t message = 4, have = 0, header_n = 0;
	unsigned char header[4];
	if (bytes.n >= HELLO_BYTES_MAX || (bytes.n > 0 && !tls_looks_like(bytes)))
		return true;
	while (bytes.n >= SSL3_RT_HEADER_LENGTH) {
		const unsigned char *p = (const unsigned char *)bytes.p;
		size_t record = (size_t)p[3] << 8 | p[4];
		if (p[0] != SSL3_RT_HANDSHAKE || record == 0)
			return true;
		size_t here = record < bytes.n - SSL3_RT_HEADER_LENGTH ? record : bytes.n - SSL3_RT_HEADER_LENGTH;
		for (size_t i = 0; i < here && header_n < sizeof header; i++)
			header[header_n++] = p[SSL3_RT_HEADER_LENGTH + i];
		if (header_n == sizeof header)
			message = 4 + ((size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3]);
		have += here;
		if (header_n == sizeof header && have >= message)
			return true;
		bytes = str_from(bytes, SSL3_RT_HEADER_LENGTH + here);
	}
	return false;
}
