/* SPDX-License-Identifier: ISC */
/* tls/error.c -- OpenSSL's reasons as sentences that say what to mend. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "tls/session.h"

/* For either side; where `client` differs, the words for a session in which we are the client. %s is never used. */
struct words { int reason; const char *server, *client; };

static const struct words reasons[] = {
	{ SSL_R_HTTP_REQUEST, "the client speaks HTTP; this is a mail port", NULL },
	{ SSL_R_HTTPS_PROXY_REQUEST, "the client takes this mail port for an HTTP proxy", NULL },
	{ SSL_R_WRONG_VERSION_NUMBER,
	  "plain text instead of TLS: this port expects TLS from the first byte; choose SSL/TLS in the client, or port 587 for STARTTLS",
	  "the server answers in plain text instead of TLS: choose STARTTLS, or the port for implicit TLS (465)" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "the client offers only TLS 1.1 or older; Sealpost speaks TLS 1.2 and 1.3",
	  "the server speaks only TLS 1.1 or older; Sealpost speaks TLS 1.2 and 1.3" },
	{ SSL_R_VERSION_TOO_LOW, "the client offers only TLS 1.1 or older; Sealpost speaks TLS 1.2 and 1.3",
	  "the server speaks only TLS 1.1 or older; Sealpost speaks TLS 1.2 and 1.3" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the client refuses TLS 1.2 and 1.3 (alert protocol_version)",
	  "the server refuses TLS 1.2 and 1.3: it may speak only TLS 1.1 or older (alert protocol_version)" },
	{ SSL_R_NO_SHARED_CIPHER,
	  "no cipher in common: the client offers none of ours (ECDHE with AES-GCM or ChaCha20), or none that fits our certificate's key",
	  NULL },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
	  "no signature algorithm in common: the client accepts none that our certificate's key can make", NULL },
	{ SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,
	  "no signature algorithm in common: the client accepts none that our certificate's key can make", NULL },
	{ SSL_R_NO_SUITABLE_KEY_SHARE, "no key exchange group in common (ours: X25519, P-256, P-384)", NULL },
	{ SSL_R_NO_SUITABLE_GROUPS, "no key exchange group in common (ours: X25519, P-256, P-384)", NULL },
	{ SSL_R_NO_APPLICATION_PROTOCOL, "the client wants another protocol than mail (ALPN without \"smtp\")", NULL },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the client found nothing in common with us (alert handshake_failure)",
	  "the server found nothing in common with us: version, cipher or certificate (alert handshake_failure)" },
	{ SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, "the client wants stronger ciphers (alert insufficient_security)",
	  "the server wants stronger ciphers (alert insufficient_security)" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA,
	  "the client does not trust our certificate (unknown ca): is the whole chain in `cert`, and the CA known to the client?", NULL },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
	  "the client does not accept our certificate (alert certificate_unknown): is the name right, and the CA known to the client?", NULL },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
	  "the client does not accept our certificate (alert bad_certificate): does the name that the client uses stand in it?", NULL },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the client says that our certificate has expired", NULL },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "the client says that our certificate is revoked", NULL },
	{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "the client cannot use our kind of certificate (alert unsupported_certificate)", NULL },
	{ SSL_R_TLSV1_ALERT_ACCESS_DENIED, "the client refuses us (alert access_denied)", "the server refuses us (alert access_denied)" },
	{ SSL_R_TLSV1_ALERT_INTERNAL_ERROR, "the client has a fault of its own (alert internal_error)",
	  "the server has a fault of its own (alert internal_error)" },
	{ SSL_R_TLSV1_ALERT_USER_CANCELLED, "the client gave up (alert user_canceled)", NULL },
	{ SSL_R_TLSV1_UNRECOGNIZED_NAME, NULL, "the server has no certificate for this name (alert unrecognized_name)" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, NULL, "the server wants a certificate of ours (alert certificate_required)" },
	{ SSL_R_SSLV3_ALERT_UNEXPECTED_MESSAGE, "the client lost the thread of the handshake (alert unexpected_message)",
	  "the server lost the thread of the handshake (alert unexpected_message)" },
	{ SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER, "the client objects to our handshake (alert illegal_parameter)",
	  "the server objects to our handshake (alert illegal_parameter)" },
	{ SSL_R_TLSV1_ALERT_DECRYPT_ERROR, "the client found our signature wrong (alert decrypt_error): does the key fit the certificate?",
	  "the server found our handshake wrong (alert decrypt_error)" },
	{ SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "a record was damaged or forged on the way", NULL },
	{ SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, "the client got a damaged record (alert bad_record_mac)",
	  "the server got a damaged record (alert bad_record_mac)" },
	{ SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, "the client lacks secure renegotiation (RFC 5746)",
	  "the server lacks secure renegotiation (RFC 5746)" },
	{ SSL_R_DH_KEY_TOO_SMALL, "the key exchange is too weak", NULL },
	{ SSL_R_EE_KEY_TOO_SMALL, "the certificate's key is too small", "the server's key is too small" },
	{ SSL_R_CA_MD_TOO_WEAK, "the certificate is signed with a broken digest", NULL },
};

static const struct { long result; const char *words; } verifications[] = {
	{ X509_V_ERR_HOSTNAME_MISMATCH, "the certificate is for another name" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, "the certificate is not for this address" },
	{ X509_V_ERR_DANE_NO_MATCH, "none of the TLSA records that the domain publishes matches the server's certificate" },
	{ X509_V_ERR_CERT_HAS_EXPIRED, "the certificate has expired" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "the certificate is not valid yet (is the clock right?)" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "the certificate is self-signed and not among the trusted ones" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "the chain ends in a CA that is not trusted here" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "the issuer of the certificate is not known here, or the server left an intermediate out" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "an issuer in the chain is not known here" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "the server left an intermediate certificate out" },
	{ X509_V_ERR_CERT_REVOKED, "the certificate is revoked" },
	{ X509_V_ERR_INVALID_CA, "the chain uses a certificate as CA that is none" },
	{ X509_V_ERR_INVALID_PURPOSE, "the certificate is not made for TLS servers" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, "the certificate's key is too small" },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, "a CA's key in the chain is too small" },
	{ X509_V_ERR_CA_MD_TOO_WEAK, "the chain is signed with a broken digest" },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, "a signature in the chain is wrong" },
};

const char *tls_verify_words(long result)
{
	for (size_t i = 0; i < COUNT(verifications); i++)
		if (verifications[i].result == result)
			return verifications[i].words;
	return X509_verify_cert_error_string(result);
}

static const char *reason_words(int reason, bool client)
{
	for (size_t i = 0; i < COUNT(reasons); i++) {
		if (reasons[i].reason != reason)
			continue;
		const char *mine = client ? reasons[i].client : reasons[i].server;
		return mine != NULL ? mine : client ? reasons[i].server : NULL;
	}
	return NULL;
}

bool tls_explain(const struct tls *t, char *to, size_t room)
{
	const char *fallback = NULL;
	for (unsigned long error; (error = ERR_get_error()) != 0; ) {
		if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
			int reason = ERR_GET_REASON(error);
			if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
				(void)snprintf(to, room, "%s", tls_verify_words(SSL_get_verify_result(t->ssl)));
				return true;
			}
			const char *words = reason_words(reason, t->client);
			if (words != NULL) {
				(void)snprintf(to, room, "%s", words);
				return false;
			}
		}
		if (fallback == NULL)
			fallback = ERR_reason_error_string(error);
	}
	/* OpenSSL 3.0 has no word of its own for a signer that fails; later ones have the last of these. */
	if (!t->client && t->state == TLS_SHAKING && fallback != NULL &&
	    (strcmp(fallback, "internal error") == 0 || strcmp(fallback, "EVP lib") == 0 || strcmp(fallback, "provider signature failure") == 0))
		fallback = "our key did not sign: does the keeper run?";
	if (buf_room(&t->out) == 0)
		fallback = "the peer reads nothing of what we send";
	(void)snprintf(to, room, "%s: %s", t->state == TLS_SHAKING ? "the handshake failed" : "the session broke",
	               fallback != NULL ? fallback : "the signature could not be made");
	return false;
}
