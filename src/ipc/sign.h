/* SPDX-License-Identifier: ISC */
/*
 * ipc/sign.h -- front or courier -> keeper: a signature for a TLS handshake.
 *
 * Asked with channel_ask on a socketpair of its own, because OpenSSL cannot wait. What is to be
 * signed travels whole, not as a digest: the keeper insists on the shape of a TLS 1.3
 * CertificateVerify or of TLS 1.2 key exchange parameters and so is no oracle for anything else.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_SIGN_H
#define IPC_SIGN_H

#include "ipc/codec.h"

enum sign_padding { SIGN_PADS_NOT, SIGN_PKCS1, SIGN_PSS, SIGN_PADDINGS }; /* EC and Ed25519: none; PSS: its salt as long as the digest */

/* key: the SHA-256 of the certificate's SubjectPublicKeyInfo. digest: OpenSSL's name, "" for Ed25519. padding: of enum sign_padding. */
#define TO_SIGNER(MSG, U, I, S) \
	MSG(SIGN_REQUEST, sign_request, S(key) S(digest) U(padding) S(message))
#define FROM_SIGNER(MSG, U, I, S)                      \
	MSG(SIGN_DONE, sign_done, S(signature))        \
	MSG(SIGN_REFUSED, sign_refused, S(text))

IPC_DECLARE(TO_SIGNER, to_signer)
IPC_DECLARE(FROM_SIGNER, from_signer)

#endif
