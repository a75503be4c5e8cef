/* SPDX-License-Identifier: ISC */
/*
 * tls/x25519.c -- new keys for X25519 by the same multiplication that makes the shared secret.
 *
 * OpenSSL makes the public part of a new key by arithmetic that only the base point has, in portable C. The multiplication by any
 * point is assembler on x86-64, and faster although there is more of it. They are the same: the public part is X25519(secret, 9)
 * (RFC 7748 6.1). So a new key is derived here as if 9 were a peer's. All arithmetic stays OpenSSL's, and so does what else can be
 * done with keys.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/check.h"
#include "tls/provider.h"

#ifdef __x86_64__
enum { IS_ASSEMBLER = 1 };
#else
enum { IS_ASSEMBLER = 0 };
#endif

enum { X25519_BYTES = 32, FUNCTIONS_MAX = 24 };

/* What the default provider has, once per process, and its table of functions with ours for a new key. */
static struct {
	OSSL_LIB_CTX *room;
	void *provider;
	OSSL_FUNC_keymgmt_new_fn *key_new;
	OSSL_FUNC_keymgmt_free_fn *key_free;
	OSSL_FUNC_keymgmt_import_fn *import;
	OSSL_FUNC_keyexch_newctx_fn *exchange_new;
	OSSL_FUNC_keyexch_freectx_fn *exchange_free;
	OSSL_FUNC_keyexch_init_fn *exchange_init;
	OSSL_FUNC_keyexch_set_peer_fn *set_peer;
	OSSL_FUNC_keyexch_derive_fn *derive;
	OSSL_DISPATCH functions[FUNCTIONS_MAX + 1];
	size_t n;
} theirs;

static void *key_of(unsigned char secret[X25519_BYTES], unsigned char public[X25519_BYTES])
{
	const OSSL_PARAM parts[] = {
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, secret, X25519_BYTES),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public, X25519_BYTES),
		OSSL_PARAM_END,
	};
	void *key = theirs.key_new(theirs.provider);
	if (key != NULL && theirs.import(key, OSSL_KEYMGMT_SELECT_KEYPAIR, parts) != 1) {
		theirs.key_free(key);
		key = NULL;
	}
	return key;
}

bool x25519_public_of(unsigned char secret[X25519_BYTES], unsigned char out[X25519_BYTES])
{
	unsigned char nine[X25519_BYTES] = { 9 };
	size_t n = 0;
	void *both = key_of(secret, nine); /* our secret, and what is taken for the peer's public part */
	void *exchange = both != NULL ? theirs.exchange_new(theirs.provider) : NULL;
	bool done = exchange != NULL && theirs.exchange_init(exchange, both, NULL) == 1 && theirs.set_peer(exchange, both) == 1 &&
	            theirs.derive(exchange, out, &n, X25519_BYTES) == 1 && n == X25519_BYTES;
	if (exchange != NULL)
		theirs.exchange_free(exchange);
	if (both != NULL)
		theirs.key_free(both);
	return done;
}

/* ---- the functions for a new key ---- */

/* What is begun has no state: it is one of these two addresses. OpenSSL asks for an empty key to set a peer's public part in it. */
static char whole_key, empty_key;

static void *gen_init(void *provider, int selection, const OSSL_PARAM params[])
{
	(void)provider;
	(void)params;
	return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0 ? &whole_key : &empty_key;
}

static int gen_set_params(void *begun, const OSSL_PARAM params[])
{
	const OSSL_PARAM *group = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
	(void)begun;
	return group == NULL || (group->data_type == OSSL_PARAM_UTF8_STRING && OPENSSL_strcasecmp(group->data, "x25519") == 0);
}

static const OSSL_PARAM *gen_settable_params(void *begun, void *provider)
{
	static const OSSL_PARAM settable[] = { OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0), OSSL_PARAM_END };
	(void)begun;
	(void)provider;
	return settable;
}

static void *gen(void *begun, OSSL_CALLBACK *progress, void *arg)
{
	unsigned char secret[X25519_BYTES], public[X25519_BYTES];
	void *key = NULL;
	(void)progress;
	(void)arg;
	if (begun == &empty_key)
		return theirs.key_new(theirs.provider);
	if (RAND_priv_bytes_ex(theirs.room, secret, sizeof secret, 0) == 1) {
		secret[0] &= 248; /* RFC 7748 5 */
		secret[31] &= 127;
		secret[31] |= 64;
		key = x25519_public_of(secret, public) ? key_of(secret, public) : NULL;
	}
	OPENSSL_cleanse(secret, sizeof secret);
	return key;
}

static void gen_cleanup(void *begun)
{
	(void)begun;
}

/* ---- at the start ---- */

static void take_exchange(const OSSL_DISPATCH *f)
{
	for (; f->function_id != 0; f++)
		switch (f->function_id) {
		case OSSL_FUNC_KEYEXCH_NEWCTX: theirs.exchange_new = OSSL_FUNC_keyexch_newctx(f); break;
		case OSSL_FUNC_KEYEXCH_FREECTX: theirs.exchange_free = OSSL_FUNC_keyexch_freectx(f); break;
		case OSSL_FUNC_KEYEXCH_INIT: theirs.exchange_init = OSSL_FUNC_keyexch_init(f); break;
		case OSSL_FUNC_KEYEXCH_SET_PEER: theirs.set_peer = OSSL_FUNC_keyexch_set_peer(f); break;
		case OSSL_FUNC_KEYEXCH_DERIVE: theirs.derive = OSSL_FUNC_keyexch_derive(f); break;
		default: break;
		}
}

/* Theirs stays only where it is known to have nothing to do with what our gen_init gives. */
static bool stays(int function_id)
{
	static const int known[] = {
		OSSL_FUNC_KEYMGMT_NEW, OSSL_FUNC_KEYMGMT_FREE, OSSL_FUNC_KEYMGMT_LOAD, OSSL_FUNC_KEYMGMT_DUP,
		OSSL_FUNC_KEYMGMT_GET_PARAMS, OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, OSSL_FUNC_KEYMGMT_SET_PARAMS,
		OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, OSSL_FUNC_KEYMGMT_HAS, OSSL_FUNC_KEYMGMT_MATCH, OSSL_FUNC_KEYMGMT_VALIDATE,
		OSSL_FUNC_KEYMGMT_IMPORT, OSSL_FUNC_KEYMGMT_IMPORT_TYPES, OSSL_FUNC_KEYMGMT_EXPORT, OSSL_FUNC_KEYMGMT_EXPORT_TYPES,
	};
	size_t i = 0;
	while (i < COUNT(known) && known[i] != function_id)
		i++;
	return i < COUNT(known);
}

static void take_keys(const OSSL_DISPATCH *f)
{
	static const OSSL_DISPATCH ours[] = {
		{ OSSL_FUNC_KEYMGMT_GEN_INIT, PROVIDER_FUNCTION(gen_init) },
		{ OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, PROVIDER_FUNCTION(gen_set_params) },
		{ OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, PROVIDER_FUNCTION(gen_settable_params) },
		{ OSSL_FUNC_KEYMGMT_GEN, PROVIDER_FUNCTION(gen) },
		{ OSSL_FUNC_KEYMGMT_GEN_CLEANUP, PROVIDER_FUNCTION(gen_cleanup) },
	};
	theirs.n = 0;
	for (; f->function_id != 0; f++) {
		if (f->function_id == OSSL_FUNC_KEYMGMT_NEW)
			theirs.key_new = OSSL_FUNC_keymgmt_new(f);
		if (f->function_id == OSSL_FUNC_KEYMGMT_FREE)
			theirs.key_free = OSSL_FUNC_keymgmt_free(f);
		if (f->function_id == OSSL_FUNC_KEYMGMT_IMPORT)
			theirs.import = OSSL_FUNC_keymgmt_import(f);
		if (stays(f->function_id) && theirs.n < FUNCTIONS_MAX - COUNT(ours))
			theirs.functions[theirs.n++] = *f;
	}
	for (size_t i = 0; i < COUNT(ours); i++)
		theirs.functions[theirs.n++] = ours[i];
	theirs.functions[theirs.n] = (OSSL_DISPATCH){ 0, NULL };
}

const OSSL_DISPATCH *x25519_functions(OSSL_LIB_CTX *room, void *provider, const OSSL_DISPATCH *keys, const OSSL_DISPATCH *exchange)
{
	theirs.room = room;
	theirs.provider = provider;
	take_exchange(exchange);
	take_keys(keys);
	bool whole = theirs.key_new != NULL && theirs.key_free != NULL && theirs.import != NULL && theirs.exchange_new != NULL &&
	             theirs.exchange_free != NULL && theirs.exchange_init != NULL && theirs.set_peer != NULL && theirs.derive != NULL;
	return whole && IS_ASSEMBLER ? theirs.functions : keys;
}
