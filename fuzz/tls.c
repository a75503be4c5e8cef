/* SPDX-License-Identifier: ISC */
/* TLS from a peer that says anything. The first byte: 0 our server, 1 our client, from 128 on one that wants DANE, 2 a certificate's
 * text, which is also a TLSA record; the second one how many bytes come at once. A valid ClientHello in the corpus takes the server a good way. */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "tls/certificate.h"
#include "tls/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static fault sign(void *owner, struct str key, struct str digest, unsigned padding, struct str message, struct buf *out)
{
	(void)owner;
	(void)key;
	(void)digest;
	(void)padding;
	return message.n > 0 ? buf_add(out, STR("not a signature")) : F_SYNTAX;
}

/* Made once for all inputs. */
static struct tls_server *server;
static struct tls_client *client;

static void begin(void)
{
	struct buf ca, chain, key;
	struct str name = STR("mx.example.org");
	buf_init(&ca, 1 << 16);
	buf_init(&chain, 1 << 16);
	buf_init(&key, 1 << 16);
	check(tls_begin(NULL) == OK && certificate_make(&name, 1, &ca, &chain, &key, NULL) == OK);
	server = tls_server_new(&(struct tls_signer){ sign, NULL }, true);
	check(tls_server_add(server, &name, 1, buf_view(&chain), NULL) == OK);
	client = tls_client_new(&(struct tls_client_options){ .ca_pem = buf_view(&ca), .verify = true }, NULL);
	check(client != NULL);
	buf_fini(&ca);
	buf_fini(&chain);
	buf_wipe(&key);
}

static void converse(struct tls *t, struct str rest, size_t step)
{
	struct tls_facts facts;
	char plain[256];
	fault f = OK;
	while (f == OK && rest.n > 0) {
		size_t used, n;
		struct str piece = str_sub(rest, 0, step);
		f = tls_feed(t, piece, &used);
		check(used <= piece.n && (f == OK || tls_state(t) == TLS_BROKEN));
		check((f == OK) == (tls_error(t)[0] == '\0'));
		tls_sent(t, tls_output(t).n);
		if (f == OK)
			f = tls_read(t, plain, sizeof(plain), &n);
		rest = str_from(rest, used > 0 ? used : 1);
		if (tls_state(t) == TLS_OPEN)
			tls_facts(t, &facts);
	}
	struct tls_certificate_facts shown;
	for (size_t i = 0; tls_chain(t, i, &shown); i++)
		check(shown.names.n <= TLS_CERTIFICATE_TEXT_MAX && str_is_ascii(shown.subject));
	check((tls_failure(t) != TLS_FAIL_NONE) <= (tls_state(t) == TLS_BROKEN));
	tls_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	if (server == NULL)
		begin();
	if (n < 2)
		return 0;
	struct str rest = { (const char *)bytes + 2, n - 2 };
	(void)tls_looks_like(rest);
	if (bytes[0] % 3 == 2) {
		struct arena *a = arena_new(1 << 20);
		struct certificate_facts facts;
		if (certificate_read(rest, a, &facts, NULL) == OK)
			(void)certificate_covers(&facts, STR("mx.example.org"));
		arena_free(&a);
		(void)tls_parses(&(struct dane_record){ DANE_TA, bytes[1] & 1, DANE_FULL, rest });
		return 0;
	}
	size_t step = bytes[1] == 0 ? rest.n + 1 : bytes[1];
	const struct tls_wish wish = {
		.name = STR("mx.example.org"), .base = STR("mx.example.org"), .prove = bytes[0] < 128 ? TLS_PROVE_NAME : TLS_PROVE_DANE,
		.records = &(struct dane_record){ DANE_TA, DANE_SPKI, DANE_SHA256, STR("no digest of anything in the wor") }, .n_records = 1,
	};
	converse(bytes[0] % 3 == 0 ? tls_accept(server) : tls_connect_wish(client, &wish), rest, step);
	return 0;
}
