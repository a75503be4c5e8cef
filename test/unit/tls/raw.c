/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "raw.h"

#include <openssl/err.h>

void raw_context(struct raw *r, const SSL_METHOD *method, const char *ciphers)
{
	r->ctx = SSL_CTX_new(method);
	SSL_CTX_set_security_level(r->ctx, 0);
	SSL_CTX_set_min_proto_version(r->ctx, TLS1_VERSION);
	assert_int_equal(SSL_CTX_set_cipher_list(r->ctx, ciphers), 1);
}

void raw_session(struct raw *r)
{
	r->ssl = SSL_new(r->ctx);
	r->in = BIO_new(BIO_s_mem());
	r->out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(r->in, -1);
	BIO_set_mem_eof_return(r->out, -1);
	SSL_set_bio(r->ssl, r->in, r->out);
}

void raw_client(struct raw *r, int version_max, const char *ciphers)
{
	raw_context(r, TLS_client_method(), ciphers);
	SSL_CTX_set_max_proto_version(r->ctx, version_max);
	raw_session(r);
	SSL_set_connect_state(r->ssl);
}

void raw_fini(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	ERR_clear_error();
}

void raw_pump(struct raw *r, struct tls *t)
{
	for (int round = 0; round < 10; round++) {
		char bytes[20000];
		size_t used;
		struct str out = tls_output(t);
		if (out.n > 0)
			assert_int_equal(BIO_write(r->in, out.p, (int)out.n), (int)out.n);
		tls_sent(t, out.n);
		(void)SSL_do_handshake(r->ssl);
		int n = BIO_read(r->out, bytes, sizeof bytes);
		if (n > 0 && tls_feed(t, (struct str){ bytes, (size_t)n }, &used) != OK)
			round = 9;
	}
	ERR_clear_error();
}
