/* SPDX-License-Identifier: ISC */
#include "tls/provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/sign.h"

#define PROVIDER_NAME "sealpost"
#define ALGORITHMS_NAME "sealpost-algorithms"
#define PARAM_KEY_ID "sealpost-key-id"
#define PARAM_SIGNER "sealpost-signer"

enum { SIGNED_BYTES_MAX = 256 << 10, SIGNATURE_BYTES_MAX = 4096 };

/* Made once by tls_begin and never changed again: what OpenSSL itself would keep as a global. */
static OSSL_LIB_CTX *library;

OSSL_LIB_CTX *tls_library(void)
{
	check(library != NULL);
	return library;
}

/* ---- key management ---- */

struct provider_key {
	const char *type;         /* "EC", "RSA", "ED25519" */
	EVP_PKEY *public;         /* of the default provider; NULL until imported */
	bool can_sign;
	unsigned char id[32];
	struct tls_signer signer;
	unsigned refs;
};

static void *key_new(const char *type)
{
	struct provider_key *key = NEW(struct provider_key);
	key->type = type;
	key->refs = 1;
	return key;
}

static void *ec_new(void *provider)
{
	(void)provider;
	return key_new("EC");
}

static void *rsa_new(void *provider)
{
	(void)provider;
	return key_new("RSA");
}

static void *ed25519_new(void *provider)
{
	(void)provider;
	return key_new("ED25519");
}

static void key_free(void *key_)
{
	struct provider_key *key = key_;
	if (key == NULL || --key->refs > 0)
		return;
	EVP_PKEY_free(key->public);
	free(key);
}

static int key_has(const void *key_, int selection)
{
	const struct provider_key *key = key_;
	if (key == NULL || key->public == NULL)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key->can_sign;
}

static int key_match(const void *a_, const void *b_, int selection)
{
	const struct provider_key *a = a_, *b = b_;
	(void)selection;
	return a->public != NULL && b->public != NULL && EVP_PKEY_eq(a->public, b->public) == 1;
}

static int key_import(void *key_, int selection, const OSSL_PARAM params[])
{
	struct provider_key *key = key_;
	const OSSL_PARAM *id = OSSL_PARAM_locate_const(params, PARAM_KEY_ID);
	const OSSL_PARAM *signer = OSSL_PARAM_locate_const(params, PARAM_SIGNER);
	if (key->public != NULL || (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0)
		return 0;

	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(library, key->type, "provider=default");
	OSSL_PARAM *copy = OSSL_PARAM_dup(params);
	bool done = ctx != NULL && copy != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	            EVP_PKEY_fromdata(ctx, &key->public, EVP_PKEY_PUBLIC_KEY, copy) == 1;
	OSSL_PARAM_free(copy);
	EVP_PKEY_CTX_free(ctx);
	if (!done)
		return 0;
	if (id != NULL && signer != NULL && id->data_size == sizeof(key->id) &&
	    signer->data_size == sizeof(key->signer)) {
		memcpy(key->id, id->data, sizeof(key->id));
		memcpy(&key->signer, signer->data, sizeof(key->signer));
		key->can_sign = true;
	}
	return 1;
}

static int key_export(void *key_, int selection, OSSL_CALLBACK *callback, void *arg)
{
	struct provider_key *key = key_;
	OSSL_PARAM *params = NULL;
	if (key->public == NULL || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ||
	    EVP_PKEY_todata(key->public, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	int done = callback(params, arg);
	OSSL_PARAM_free(params);
	return done;
}

static const OSSL_PARAM *key_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_octet_string(PARAM_KEY_ID, NULL, 0),
		OSSL_PARAM_octet_string(PARAM_SIGNER, NULL, 0),
		OSSL_PARAM_END,
	};
	(void)selection;
	return types;
}

static int key_get_params(void *key_, OSSL_PARAM params[])
{
	struct provider_key *key = key_;
	return key->public != NULL && EVP_PKEY_get_params(key->public, params);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
		OSSL_PARAM_END,
	};
	(void)provider;
	return gettable;
}

static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FUNCTION PROVIDER_FUNCTION
#define KEY_FUNCTIONS(new_)                                              \
	{ OSSL_FUNC_KEYMGMT_NEW, FUNCTION(new_) },                       \
	{ OSSL_FUNC_KEYMGMT_FREE, FUNCTION(key_free) },                  \
	{ OSSL_FUNC_KEYMGMT_HAS, FUNCTION(key_has) },                    \
	{ OSSL_FUNC_KEYMGMT_MATCH, FUNCTION(key_match) },                \
	{ OSSL_FUNC_KEYMGMT_IMPORT, FUNCTION(key_import) },              \
	{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, FUNCTION(key_types) },         \
	{ OSSL_FUNC_KEYMGMT_EXPORT, FUNCTION(key_export) },              \
	{ OSSL_FUNC_KEYMGMT_EXPORT_TYPES, FUNCTION(key_types) },         \
	{ OSSL_FUNC_KEYMGMT_GET_PARAMS, FUNCTION(key_get_params) },      \
	{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, FUNCTION(key_gettable) }

static const OSSL_DISPATCH ec_functions[] = {
	KEY_FUNCTIONS(ec_new),
	{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, FUNCTION(ec_operation) },
	{ 0, NULL },
};
static const OSSL_DISPATCH rsa_functions[] = { KEY_FUNCTIONS(rsa_new), { 0, NULL } };
static const OSSL_DISPATCH ed25519_functions[] = { KEY_FUNCTIONS(ed25519_new), { 0, NULL } };

static const OSSL_ALGORITHM key_kinds[] = {
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=" PROVIDER_NAME, ec_functions, "EC by proxy" },
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=" PROVIDER_NAME, rsa_functions, "RSA by proxy" },
	{ "ED25519:1.3.101.112", "provider=" PROVIDER_NAME, ed25519_functions, "Ed25519 by proxy" },
	{ NULL, NULL, NULL, NULL },
};

/* ---- signatures ---- */

struct signing {
	struct provider_key *key;
	const char *digest;      /* "SHA256" ...; "" for Ed25519 */
	enum sign_padding padding;
	struct buf message;
};

static void *signing_new(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	struct signing *s = NEW(struct signing);
	s->digest = "";
	buf_init(&s->message, SIGNED_BYTES_MAX);
	return s;
}

static void signing_free(void *s_)
{
	struct signing *s = s_;
	if (s == NULL)
		return;
	key_free(s->key);
	buf_fini(&s->message);
	free(s);
}

static void *signing_dup(void *s_)
{
	const struct signing *s = s_;
	struct signing *copy = signing_new(NULL, NULL);
	copy->digest = s->digest;
	copy->padding = s->padding;
	copy->key = s->key;
	if (copy->key != NULL)
		copy->key->refs++;
	if (buf_add(&copy->message, buf_view(&s->message)) != OK) {
		signing_free(copy);
		return NULL;
	}
	return copy;
}

static const char *digest_name(const char *name)
{
	static const struct { const char *ours, *openssls; } known[] = {
		{ "SHA256", "SHA2-256" }, { "SHA384", "SHA2-384" }, { "SHA512", "SHA2-512" },
	};
	for (size_t i = 0; i < COUNT(known); i++)
		if (OPENSSL_strcasecmp(name, known[i].ours) == 0 || OPENSSL_strcasecmp(name, known[i].openssls) == 0)
			return known[i].ours;
	return NULL;
}

static int signing_set_params(void *s_, const OSSL_PARAM params[])
{
	struct signing *s = s_;
	const OSSL_PARAM *pad = params != NULL ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
	if (pad != NULL) {
		int mode = 0;
		if (pad->data_type == OSSL_PARAM_UTF8_STRING)
			mode = strcmp(pad->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0 ? RSA_PKCS1_PSS_PADDING
			       : strcmp(pad->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0 ? RSA_PKCS1_PADDING : 0;
		else if (!OSSL_PARAM_get_int(pad, &mode))
			return 0;
		if (mode != RSA_PKCS1_PADDING && mode != RSA_PKCS1_PSS_PADDING)
			return 0;
		s->padding = mode == RSA_PKCS1_PSS_PADDING ? SIGN_PSS : SIGN_PKCS1;
	}
	const OSSL_PARAM *salt = params != NULL ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN) : NULL;
	if (salt == NULL)
		return 1;
	int length = 0;
	if (salt->data_type == OSSL_PARAM_UTF8_STRING)
		return strcmp(salt->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
	return OSSL_PARAM_get_int(salt, &length) && length == RSA_PSS_SALTLEN_DIGEST;
}

static const OSSL_PARAM *signing_settable(void *s, void *provider)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END,
	};
	(void)s;
	(void)provider;
	return settable;
}

static int signing_init(void *s_, const char *digest, void *key_, const OSSL_PARAM params[])
{
	struct signing *s = s_;
	struct provider_key *key = key_ != NULL ? key_ : s->key;
	if (key == NULL || !key->can_sign)
		return 0;
	bool wants_digest = strcmp(key->type, "ED25519") != 0;
	if (wants_digest && digest != NULL && *digest != '\0') {
		s->digest = digest_name(digest);
		if (s->digest == NULL) {
			s->digest = "";
			return 0;
		}
	}
	if (key != s->key) {
		key->refs++;
		key_free(s->key);
		s->key = key;
	}
	s->padding = strcmp(key->type, "RSA") == 0 ? SIGN_PKCS1 : SIGN_PADS_NOT;
	buf_clear(&s->message);
	return signing_set_params(s, params);
}

static int signing_ask(struct signing *s, struct str message, unsigned char *to, size_t *n_out, size_t room)
{
	int size = s->key != NULL ? EVP_PKEY_get_size(s->key->public) : 0;
	if (size <= 0)
		return 0;
	if (to == NULL) {
		*n_out = (size_t)size;
		return 1;
	}
	struct buf signature;
	buf_init(&signature, SIGNATURE_BYTES_MAX);
	struct str id = { (const char *)s->key->id, sizeof(s->key->id) };
	fault f = s->key->signer.sign(s->key->signer.owner, id, str_of(s->digest), s->padding, message, &signature);
	struct str got = buf_view(&signature);
	bool done = f == OK && got.n > 0 && got.n <= room;
	if (done) {
		memcpy(to, got.p, got.n);
		*n_out = got.n;
	}
	buf_fini(&signature);
	return done;
}

static int signing_whole(void *s_, unsigned char *to, size_t *n_out, size_t room, const unsigned char *message, size_t n)
{
	return signing_ask(s_, (struct str){ (const char *)message, n }, to, n_out, room);
}

static int signing_update(void *s_, const unsigned char *bytes, size_t n)
{
	struct signing *s = s_;
	return buf_add(&s->message, (struct str){ (const char *)bytes, n }) == OK;
}

static int signing_final(void *s_, unsigned char *to, size_t *n_out, size_t room)
{
	struct signing *s = s_;
	return signing_ask(s, buf_view(&s->message), to, n_out, room);
}

static const OSSL_DISPATCH signing_functions[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, FUNCTION(signing_new) },
	{ OSSL_FUNC_SIGNATURE_FREECTX, FUNCTION(signing_free) },
	{ OSSL_FUNC_SIGNATURE_DUPCTX, FUNCTION(signing_dup) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, FUNCTION(signing_init) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, FUNCTION(signing_update) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, FUNCTION(signing_final) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, FUNCTION(signing_whole) },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, FUNCTION(signing_set_params) },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, FUNCTION(signing_settable) },
	{ 0, NULL },
};

static const OSSL_ALGORITHM signature_kinds[] = {
	{ "ECDSA", "provider=" PROVIDER_NAME, signing_functions, "ECDSA by proxy" },
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=" PROVIDER_NAME, signing_functions, "RSA by proxy" },
	{ "ED25519:1.3.101.112", "provider=" PROVIDER_NAME, signing_functions, "Ed25519 by proxy" },
	{ NULL, NULL, NULL, NULL },
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM *provider_query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return key_kinds;
	return operation == OSSL_OP_SIGNATURE ? signature_kinds : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, FUNCTION(provider_query) },
		{ 0, NULL },
	};
	static char context; /* OpenSSL wants an address; nothing is kept in it */
	(void)handle;
	(void)in;
	*out = functions;
	*provider = &context;
	return 1;
}

static fault cannot_begin(struct why *why, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	return why_say(why, F_TLS, "OpenSSL %s%s%s; there is no TLS until its installation is mended, or its configuration (openssl.cnf, in the "
	               "folder that `openssl version -d` names): `openssl list -providers` should work", what, reason != NULL ? ": " : "",
	               reason != NULL ? reason : "");
}

fault tls_begin(struct why *why)
{
	if (library != NULL)
		return OK;
	bool filtered = tls_filter_helps();
	if (filtered && !tls_keep_few_older_names())
		return cannot_begin(why, "does not even start");
	/* The configuration file is read now: a confined role could not open it later. */
	(void)OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL);
	library = OSSL_LIB_CTX_new();
	if (library == NULL)
		return cannot_begin(why, "gives no library context");
	/* Loading any provider switches the automatic loading of "default" off, so both are named. What comes through
	 * algorithms.c still calls itself "default"; without the default property the key exchange would look for its EC
	 * keys here. */
	unsigned char seeded;
	if (OSSL_PROVIDER_add_builtin(library, ALGORITHMS_NAME, tls_algorithms_init) != 1 ||
	    OSSL_PROVIDER_add_builtin(library, PROVIDER_NAME, provider_init) != 1 ||
	    OSSL_PROVIDER_load(library, filtered ? ALGORITHMS_NAME : "default") == NULL || OSSL_PROVIDER_load(library, PROVIDER_NAME) == NULL ||
	    EVP_set_default_properties(library, "?provider=default") != 1 ||
	    RAND_bytes_ex(library, &seeded, 1, 0) != 1) { /* its random numbers too, before the process is confined */
		OSSL_LIB_CTX_free(library);
		library = NULL;
		return cannot_begin(why, "does not load its providers");
	}
	/* OpenSSL matches TLSA records in its default context: what that loads at its first digest, it loads now. */
	unsigned char digest[EVP_MAX_MD_SIZE];
	if (EVP_Digest("", 0, digest, NULL, EVP_sha256(), NULL) != 1 || EVP_Digest("", 0, digest, NULL, EVP_sha512(), NULL) != 1)
		return cannot_begin(why, "makes no SHA2 digests");
	return OK;
}

bool tls_key_id(X509 *leaf, unsigned char out[32])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
	unsigned size = 32;
	bool done = n > 0 && EVP_Digest(der, (size_t)n, out, &size, EVP_sha256(), NULL) == 1 && size == 32;
	OPENSSL_free(der);
	return done;
}

X509 *tls_next_certificate(BIO *pem)
{
	X509 *cert = X509_new_ex(library, NULL); /* for `check` and `status` also without tls_begin */
	check(cert != NULL);
	ERR_clear_error();
	if (PEM_read_bio_X509(pem, &cert, NULL, NULL) != NULL)
		return cert;
	X509_free(cert); /* NULL where OpenSSL has freed it */
	return NULL;
}

bool tls_pem_ended(void)
{
	unsigned long error = ERR_peek_last_error();
	bool ended = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return ended;
}

EVP_PKEY *provider_key_new(X509 *leaf, const struct tls_signer *signer, struct why *why)
{
	EVP_PKEY *public = X509_get0_pubkey(leaf), *key = NULL;
	const char *type = public == NULL ? NULL
	                   : EVP_PKEY_is_a(public, "EC") ? "EC"
	                   : EVP_PKEY_is_a(public, "RSA") ? "RSA"
	                   : EVP_PKEY_is_a(public, "ED25519") ? "ED25519" : NULL;
	if (type == NULL) {
		(void)why_say(why, F_SYNTAX, "the certificate's key is of a kind that TLS servers do not use here: "
		                             "take ECDSA P-256, P-384, RSA or Ed25519");
		return NULL;
	}
	unsigned char id[32];
	struct tls_signer copy = *signer;
	OSSL_PARAM own[] = {
		OSSL_PARAM_octet_string(PARAM_KEY_ID, id, sizeof(id)),
		OSSL_PARAM_octet_string(PARAM_SIGNER, &copy, sizeof(copy)),
		OSSL_PARAM_END,
	};
	OSSL_PARAM *params = NULL, *merged = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(library, type, "provider=" PROVIDER_NAME);
	if (ctx == NULL || !tls_key_id(leaf, id) || EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &params) != 1 ||
	    (merged = OSSL_PARAM_merge(params, own)) == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, merged) != 1)
		(void)why_say(why, F_TLS, "OpenSSL refuses the certificate's key: %s",
		              ERR_reason_error_string(ERR_peek_last_error()));
	OPENSSL_free(merged);
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}
