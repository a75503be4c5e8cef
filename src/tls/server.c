/* SPDX-License-Identifier: ISC */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "tls/provider.h"
#include "tls/session.h"
#include "tls/tickets.h"

struct block {
	SSL_CTX *ctx;
	struct block *next;
	char *names;              /* joined by spaces, as given: recognises further chains for the same names */
	unsigned kinds;           /* bit set of the key types that have a chain */
	unsigned char certificates[32]; /* a digest of all leaves, in order */
};

struct tls_server {
	unsigned refs;
	struct tls_signer signer;
	bool for_mx;
	struct block *blocks, *last;
	struct map *exact;        /* name -> block */
	struct map *below;        /* "x.example" -> block, for *.x.example */
};

struct tls_server *tls_server_new(const struct tls_signer *signer, bool for_mx)
{
	struct tls_server *s = NEW(struct tls_server);
	s->refs = 1;
	s->signer = *signer;
	s->for_mx = for_mx;
	s->exact = map_new(0);
	s->below = map_new(0);
	return s;
}

static void block_free(struct block *b)
{
	SSL_CTX_free(b->ctx);
	free(b->names);
	free(b);
}

void tls_server_free(struct tls_server **s_)
{
	struct tls_server *s = *s_;
	*s_ = NULL;
	if (s == NULL || --s->refs > 0)
		return;
	for (struct block *b = s->blocks, *next; b != NULL; b = next) {
		next = b->next;
		block_free(b);
	}
	map_free(&s->exact);
	map_free(&s->below);
	free(s);
}

void tls_server_release(struct tls *t)
{
	if (t->server != NULL)
		tls_server_free(&t->server);
}

/* ---- what a ClientHello decides ---- */

static size_t name_lower(struct str name, char to[256])
{
	size_t n = name.n < 256 ? name.n : 0;
	for (size_t i = 0; i < n; i++)
		to[i] = (char)ascii_lower((unsigned char)name.p[i]);
	return n;
}

static struct block *block_for(const struct tls_server *s, struct str name)
{
	struct block *b = map_get(s->exact, name);
	size_t dot;
	if (b == NULL && str_find(name, '.', &dot))
		b = map_get(s->below, str_from(name, dot + 1));
	return b;
}

/* A field of a hello: a length of so many bytes, and what it counts. */
static bool take_counted(struct str *from, size_t width, struct str *out)
{
	size_t n = 0;
	if (from->n < width)
		return false;
	for (size_t i = 0; i < width; i++)
		n = n << 8 | (unsigned char)from->p[i];
	if (from->n - width < n)
		return false;
	*out = str_sub(*from, width, n);
	*from = str_from(*from, width + n);
	return true;
}

static struct str extension(SSL *ssl, unsigned type)
{
	const unsigned char *p = NULL;
	size_t n = 0;
	return SSL_client_hello_get0_ext(ssl, type, &p, &n) == 1 ? (struct str){ (const char *)p, n } : STR_NONE;
}

/* RFC 6066 3: a list of names, each with a type; of type 0, which has one at most. OpenSSL judges the form later. */
static struct str name_in_hello(SSL *ssl)
{
	struct str rest = extension(ssl, TLSEXT_TYPE_server_name), list, name;
	if (!take_counted(&rest, 2, &list) || !str_take_char(&list, TLSEXT_NAMETYPE_host_name) || !take_counted(&list, 2, &name))
		return STR_NONE;
	return name;
}

/* RFC 8446 4.2.1. */
static bool offers_tls13(SSL *ssl)
{
	struct str rest = extension(ssl, TLSEXT_TYPE_supported_versions), list;
	if (!take_counted(&rest, 1, &list))
		return false;
	for (; list.n >= 2; list = str_from(list, 2))
		if (list.p[0] == TLS1_3_VERSION >> 8 && list.p[1] == (TLS1_3_VERSION & 0xff))
			return true;
	return false;
}

/* Before OpenSSL looks for a session to resume: its ticket must be one of the certificate that is asked for now. */
static int on_hello(SSL *ssl, int *alert, void *server)
{
	struct str asked = name_in_hello(ssl);
	char lower[256];
	(void)alert;
	if (!offers_tls13(ssl))
		(void)SSL_set_options(ssl, SSL_OP_NO_TICKET);
	if (!tls_is_host_name(asked))
		return SSL_CLIENT_HELLO_SUCCESS;
	const struct block *b = block_for(server, (struct str){ lower, name_lower(asked, lower) });
	return b == NULL || SSL_set_SSL_CTX(ssl, b->ctx) != NULL ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* An unknown name gets the first block: senders put all kinds of names there (RFC 8314 says nothing against it),
 * and those that verify will notice. */
static int choose_block(SSL *ssl, int *alert, void *server)
{
	struct tls *t = tls_of(ssl);
	struct str asked = str_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	char lower[256];
	(void)alert;
	if (!tls_is_host_name(asked))
		return SSL_TLSEXT_ERR_NOACK;
	struct str name = { lower, name_lower(asked, lower) };
	if (t->sni == NULL) {
		t->sni = must_alloc(name.n + 1);
		memcpy(t->sni, name.p, name.n);
		t->sni_n = (unsigned)name.n;
	}
	const struct block *b = block_for(server, name);
	if (b == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_set_SSL_CTX(ssl, b->ctx) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* RFC 7301 3.2: a list without our protocol is refused, so that no other protocol can be led here (ALPACA). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n_out, const unsigned char *list, unsigned n,
                           void *arg)
{
	struct str rest = { (const char *)list, n };
	(void)ssl;
	(void)arg;
	while (rest.n > 0) {
		size_t length = (unsigned char)rest.p[0];
		struct str name = str_sub(rest, 1, length);
		if (str_eq(name, STR("smtp"))) {
			*out = (const unsigned char *)name.p;
			*n_out = (unsigned char)name.n;
			return SSL_TLSEXT_ERR_OK;
		}
		rest = str_from(rest, 1 + length);
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool tickets_of(SSL *ssl, struct ticket_binding *out)
{
	const struct tls *t = tls_of(ssl);
	const struct block *b = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	*out = (struct ticket_binding){ t->tickets, t->listener, b->certificates };
	return tickets_any(t->tickets) && SSL_version(ssl) >= TLS1_3_VERSION;
}

/* ---- building ---- */

static struct block *block_new(struct tls_server *s)
{
	static const unsigned char session_context[] = "sealpost";
	struct block *b = NEW(struct block);
	b->ctx = SSL_CTX_new_ex(tls_library(), NULL, TLS_server_method());
	check(b->ctx != NULL);
	SSL_CTX_set_security_level(b->ctx, 2);
	(void)SSL_CTX_set_mode(b->ctx, SSL_MODE_NO_AUTO_CHAIN); /* what the file lacks, OpenSSL would look for in each handshake */
	bool ruled = tls_context_rules(b->ctx, s->for_mx) && SSL_CTX_set_num_tickets(b->ctx, 0) == 1 &&
	             SSL_CTX_set_session_id_context(b->ctx, session_context, sizeof(session_context) - 1) == 1;
	check(ruled);
	tickets_use(b->ctx);
	(void)SSL_CTX_set_app_data(b->ctx, b);
	SSL_CTX_set_client_hello_cb(b->ctx, on_hello, s);
	(void)SSL_CTX_set_tlsext_servername_callback(b->ctx, choose_block);
	(void)SSL_CTX_set_tlsext_servername_arg(b->ctx, s);
	SSL_CTX_set_alpn_select_cb(b->ctx, choose_protocol, NULL);
	return b;
}

static char *names_joined(const struct str *names, size_t n)
{
	struct buf all;
	buf_init(&all, 1 << 20);
	bool fits = true;
	for (size_t i = 0; i < n; i++)
		fits = fits && buf_add(&all, names[i]) == OK && buf_add_char(&all, ' ') == OK;
	fits = fits && buf_add_char(&all, '\0') == OK;
	if (fits)
		return all.base; /* moved: freed with free() */
	buf_fini(&all);
	return NULL;
}

static void block_register(struct tls_server *s, struct block *b, const struct str *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char lower[256];
		struct str name = { lower, name_lower(names[i], lower) };
		bool wild = str_take(&name, STR("*."));
		struct map *map = wild ? s->below : s->exact;
		if (name.n > 0 && map_get(map, name) == NULL) /* the first block that names it wins */
			(void)map_set(map, name, b);
	}
	if (s->blocks == NULL)
		s->blocks = b;
	else
		s->last->next = b;
	s->last = b;
}

static unsigned kind_bit(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "EC") ? 1 : EVP_PKEY_is_a(key, "RSA") ? 2 : 4;
}

/* Two digests become one: the order counts, and is the configuration's. */
static bool block_add_leaf(struct block *b, X509 *leaf)
{
	unsigned char both[64];
	unsigned n = 0;
	memcpy(both, b->certificates, 32);
	return X509_digest(leaf, EVP_sha256(), both + 32, &n) == 1 && n == 32 &&
	       EVP_Digest(both, sizeof(both), b->certificates, NULL, EVP_sha256(), NULL) == 1;
}

static fault block_add_chain(struct block *b, const struct tls_signer *signer, struct str chain_pem, struct why *why)
{
	BIO *pem = BIO_new_mem_buf(chain_pem.p, chain_pem.n < INT32_MAX ? (int)chain_pem.n : 0);
	check(pem != NULL);
	ERR_clear_error();
	X509 *leaf = tls_next_certificate(pem);
	EVP_PKEY *key = NULL;
	fault f = OK;
	if (leaf == NULL)
		f = why_say(why, F_SYNTAX, "no certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it");
	else if ((key = provider_key_new(leaf, signer, why)) == NULL)
		f = F_SYNTAX;
	else if ((b->kinds & kind_bit(key)) != 0)
		f = why_say(why, F_EXISTS, "these names already have a certificate with a key of this type");
	else if (SSL_CTX_use_certificate(b->ctx, leaf) != 1 || SSL_CTX_use_PrivateKey(b->ctx, key) != 1 || !block_add_leaf(b, leaf))
		f = why_say(why, F_SYNTAX, "OpenSSL refuses the certificate: %s", ERR_reason_error_string(ERR_peek_last_error()));
	if (f == OK) {
		b->kinds |= kind_bit(key);
		for (X509 *more; f == OK && (more = tls_next_certificate(pem)) != NULL; X509_free(more))
			if (SSL_CTX_add1_chain_cert(b->ctx, more) != 1)
				f = why_say(why, F_SYNTAX, "OpenSSL refuses a certificate of the chain: %s",
				            ERR_reason_error_string(ERR_peek_last_error()));
		if (f == OK && !tls_pem_ended())
			f = why_say(why, F_SYNTAX, "a certificate in the chain is damaged");
	}
	ERR_clear_error();
	EVP_PKEY_free(key);
	X509_free(leaf);
	BIO_free(pem);
	return f;
}

fault tls_server_add(struct tls_server *s, const struct str *names, size_t n_names, struct str chain_pem, struct why *why)
{
	char *joined = names_joined(names, n_names);
	if (joined == NULL)
		return why_say(why, F_LIMIT, "too many names in one tls block");
	struct block *b = s->blocks;
	while (b != NULL && strcmp(b->names, joined) != 0)
		b = b->next;
	bool fresh = b == NULL;
	if (fresh)
		b = block_new(s);
	fault f = block_add_chain(b, &s->signer, chain_pem, why);
	if (!fresh || f != OK) {
		free(joined);
		if (fresh)
			block_free(b);
		return f;
	}
	b->names = joined;
	block_register(s, b, names, n_names);
	return OK;
}

struct tls *tls_accept(struct tls_server *s)
{
	struct tls *t = tls_session_new(s->blocks != NULL ? s->blocks->ctx : NULL, false);
	t->server = s;
	s->refs++;
	if (t->ssl == NULL)
		tls_break(t, "no certificate is configured");
	return t;
}

void tls_use_tickets(struct tls *t, struct tls_tickets *tickets, const char *listener)
{
	if (t->ssl == NULL || !tickets_any(tickets))
		return;
	t->tickets = tickets;
	t->listener = listener;
	bool set = SSL_set_num_tickets(t->ssl, 1) == 1 &&
	           SSL_set_session_id_context(t->ssl, (const unsigned char *)listener, (unsigned)strlen(listener)) == 1;
	check(set);
}
