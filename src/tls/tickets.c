/* SPDX-License-Identifier: ISC */
#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/check.h"
#include "sys/clock.h"
#include "tls/provider.h"

void tickets_wipe(struct tickets *t)
{
	OPENSSL_cleanse(t, sizeof(*t));
}

void tickets_rotate(struct tickets *t, int64_t now_s)
{
	t->keys[1] = t->keys[0];
	check(RAND_priv_bytes_ex(tls_library(), (unsigned char *)&t->keys[0], sizeof(t->keys[0]), 0) == 1);
	t->n = t->n == 0 ? 1 : 2;
	t->since_s = now_s;
}

static void rotate_if_old(struct tickets *t)
{
	int64_t now_s = clock_wall_s();
	if (t->n > 0 && now_s - t->since_s > 2 * TICKETS_KEY_S)
		t->n = 0; /* both have had their time */
	if (t->n == 0 || now_s - t->since_s >= TICKETS_KEY_S || now_s < t->since_s)
		tickets_rotate(t, now_s);
}

static bool start(const struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool sealing)
{
	unsigned char mac_key[sizeof(key->mac)];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, mac_key, sizeof(mac_key)),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_END,
	};
	memcpy(mac_key, key->mac, sizeof(mac_key));
	EVP_CIPHER *aes = EVP_CIPHER_fetch(tls_library(), "AES-256-CBC", NULL);
	bool done = aes != NULL && EVP_MAC_CTX_set_params(mac, params) == 1 &&
	            EVP_CipherInit_ex2(cipher, aes, key->cipher, iv, sealing, NULL) == 1;
	EVP_CIPHER_free(aes);
	OPENSSL_cleanse(mac_key, sizeof(mac_key));
	return done;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 go on, 2 go on and renew, 0 no such key, -1 failure. */
static int give_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	struct tickets *t = tickets_of(ssl);
	if (t == NULL)
		return -1;
	rotate_if_old(t);
	if (sealing) {
		memcpy(name, t->keys[0].name, sizeof(t->keys[0].name));
		return RAND_bytes_ex(tls_library(), iv, 16, 0) == 1 && start(&t->keys[0], iv, cipher, mac, true) ? 1 : -1;
	}
	for (unsigned i = 0; i < t->n; i++)
		if (CRYPTO_memcmp(name, t->keys[i].name, sizeof(t->keys[i].name)) == 0)
			return start(&t->keys[i], iv, cipher, mac, false) ? (i == 0 ? 1 : 2) : -1;
	return 0;
}

void tickets_use(SSL_CTX *ctx)
{
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, give_key);
	(void)SSL_CTX_set_timeout(ctx, TICKETS_KEY_S);
}
