/* SPDX-License-Identifier: ISC */
/*
 * tls/tls.h -- TLS over our own buffers: bytes in, bytes out, no socket.
 *
 * One session: offer ciphertext with tls_feed, take plaintext with tls_read, give plaintext with tls_write,
 * send what tls_output shows. One custom BIO for both directions, so that an idle connection costs what the
 * SSL object costs. Private keys are never here: a context holds certificates, and its signer asks the keeper.
 *
 * Source   RFC 8446, RFC 5246 with RFC 7627, RFC 8314, RFC 9266 (tls-exporter), RFC 6066 3 (SNI), RFC 7301 (ALPN),
 *          RFC 7672 3 (DANE).
 * Policy   Server and client: TLS 1.2 is the floor, ECDHE and AEAD only, no renegotiation, compression or early
 *          data. `for_mx` adds ECDHE with AES-CBC, last; so does a client that does not verify.
 * Limits   1 MiB of ciphertext not yet sent (tls_write gives F_LIMIT before that); 256 KeyUpdates from the peer.
 * Errors   F_TLS: the session is over; tls_error() says why in words for a person. tls_output may still hold an
 *          alert for the peer: send it before closing.
 * Tests    test/unit/tls
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "proto/dane/dane.h"

/* How a signature is made: the role gives a function that asks the keeper (ipc/sign.h). */
struct tls_signer {
	fault (*sign)(void *owner, struct str key_id, struct str digest, unsigned padding, struct str message,
	              struct buf *signature_out);
	void *owner;
};

/* From now on OpenSSL overwrites whatever it frees. Before anything else of OpenSSL in this process; false: too late. */
bool tls_wipe_memory(void);

/* After that, in a process without threads: so many buffers for records lie on pages of their own, and what tls_rest gives back is
 * the kernel's at once, but for some that stay at hand until tls_buffers_rest. False: they lie among the rest, which costs memory
 * and nothing else. */
bool tls_buffers_apart(size_t n);
void tls_buffers_rest(void);

/* Once per process, before the first context; loads OpenSSL's configuration and the key-less provider. The why says what to mend. */
MUST_USE fault tls_begin(struct why *why);

/* ---- server ---- */
struct tls_server;   /* certificates by SNI; immutable, so a reload makes a new one and sessions keep theirs */

struct tls_server *tls_server_new(const struct tls_signer *signer, bool for_mx);
void tls_server_free(struct tls_server **s);    /* sessions in flight hold their own reference */
/* names: SNI names of this block; chain: PEM. Several chains of different key types for the same names are added by
 * further calls. The first block is the default. "*.x.example" stands for one whole label. The signer's owner must
 * outlive the sessions. F_SYNTAX: no certificate in it, or a damaged one; F_EXISTS: a second chain of one key type. */
MUST_USE fault tls_server_add(struct tls_server *s, const struct str *names, size_t n_names, struct str chain_pem,
                              struct why *why);

/* Seeds of session tickets (tls/tickets.h), shared by servers and sessions, which they outlive. Without a seed nobody gets a
 * ticket. F_SYNTAX: present, or past where there is one, is not TLS_TICKET_SEED_BYTES long, or all zeros; nothing changes. */
enum { TLS_TICKET_SEED_BYTES = 32 };
struct tls_tickets;
struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets **t);
MUST_USE fault tls_tickets_set(struct tls_tickets *t, struct str present, struct str past);

/* ---- client ---- */
struct tls_client;   /* trust anchors and the protocol floor */
struct tls_client_options {
	struct str ca_pem;          /* empty: the system's store, loaded from its usual place ... */
	bool only_these;            /* ... but not with this: a confined process has none */
	bool verify;                /* refuse an unverifiable chain or another name */
};
struct tls_client *tls_client_new(const struct tls_client_options *options, struct why *why);
void tls_client_free(struct tls_client **c);

/* Where the system keeps its trust anchors in one file, as OpenSSL and the distributions have it; NULL after the last place. */
const char *tls_system_ca_file(size_t i);

/* ---- one connection ---- */
struct tls;
enum tls_state { TLS_SHAKING, TLS_OPEN, TLS_ENDED, TLS_BROKEN };

struct tls *tls_accept(struct tls_server *s);
/* Right after tls_accept: this session may resume, and be resumed, at a listener of this kind (a name that lasts). */
void tls_use_tickets(struct tls *t, struct tls_tickets *tickets, const char *listener);
/* name: SNI and, when verifying, the name that the certificate must carry. */
struct tls *tls_connect(struct tls_client *c, struct str name);

enum tls_prove { TLS_PROVE_NOTHING, TLS_PROVE_NAME, TLS_PROVE_DANE };

/* How the server must prove itself, and what the hello looks like. The handshake fails where the proof does: nothing that is
 * written by then, or later, leaves. */
struct tls_wish {
	struct str name;              /* SNI, and what a certificate is held to unless by DANE */
	enum tls_prove prove;
	/* DANE (RFC 7672 3): usable records (proto/dane/dane.h), copied. A record of usage 3 asks for neither name nor date; one of
	 * usage 2 for a chain that ends there, in time, and for one of the names base and also. The client's anchors play no part.
	 * No record that the library takes: the session is broken from the start. */
	const struct dane_record *records;
	size_t n_records;
	struct str base;              /* the TLSA base domain: SNI then (RFC 7672 8.1) */
	const struct str *also;
	size_t n_also;
	unsigned shape;               /* below TLS_SHAPES */
	bool only_tls12;              /* to see whether a server still has it, not to talk by it */
	/* To resume by; may be NULL, stays the caller's. Only where nothing is to be proven: no certificate is shown then. */
	const struct tls_ticket *ticket;
};
struct tls *tls_connect_wish(struct tls_client *c, const struct tls_wish *wish);

/* What the server has given last to resume by: a copy, NULL if there is none. To be used once (RFC 8446 C.4). */
struct tls_ticket;
struct tls_ticket *tls_ticket_of(const struct tls *t);
void tls_ticket_free(struct tls_ticket **k);

/* Some servers stumble over what they do not know in a hello. Shapes, each with less in it, none with less protection: all there is;
 * without a post-quantum key share; with the groups x25519 and P-256 only; without session tickets too. */
enum { TLS_SHAPES = 4 };
/* The next one that differs, with the groups that this client has; TLS_SHAPES: there is none. */
unsigned tls_shape_after(const struct tls_client *c, unsigned shape);
const char *tls_shape_name(unsigned shape); /* "full", "no post-quantum share", ...: stable words */

/* For dane_judge: can the library read the whole certificate or key in this record? */
bool tls_parses(const struct dane_record *record);
void tls_free(struct tls **t);

enum tls_state tls_state(const struct tls *t);
/* Takes ciphertext; drives the handshake. All is consumed unless plaintext waits to be read. */
MUST_USE fault tls_feed(struct tls *t, struct str cipher, size_t *used_out);
/* Plaintext out; *n_out == 0: nothing (look at tls_state for TLS_ENDED, after close_notify). */
MUST_USE fault tls_read(struct tls *t, char *to, size_t room, size_t *n_out);
/* Plaintext in; all of it is taken, so keep an eye on the length of tls_output. */
MUST_USE fault tls_write(struct tls *t, struct str plain);
void       tls_end(struct tls *t);          /* close_notify */
struct str tls_output(const struct tls *t); /* ciphertext to send */
void       tls_sent(struct tls *t, size_t n);
/* Nothing moves just now: gives back the buffers for records, two of at least so many bytes, overwritten; the next record
 * brings them again. False: the peer has sent half a record, which stays. */
enum { TLS_BUFFER_BYTES = 16 << 10 };
bool       tls_rest(struct tls *t);
const char *tls_error(const struct tls *t); /* "" if all is well */

/* What went wrong between our client and a server, in the classes of TLS reports (RFC 8460 4.3). */
enum tls_failure {
	TLS_FAIL_NONE,
	TLS_FAIL_HANDSHAKE,      /* nothing in common, closed, garbled ...: the peer may still be the right one */
	TLS_FAIL_EXPIRED,        /* or not valid yet */
	TLS_FAIL_NOT_TRUSTED,    /* no chain to an anchor */
	TLS_FAIL_NAME,           /* for another name */
	TLS_FAIL_DANE,           /* no TLSA record matches, or none can be used */
};

struct tls_facts {
	struct str version;   /* "TLSv1.3" */
	struct str cipher;    /* "TLS_AES_256_GCM_SHA384" */
	struct str group;     /* "x25519"; "" if unknown */
	struct str sni;       /* as asked for, checked to be a host name; "" */
	bool resumed;
	bool verified;        /* client: chain and name were right (also when not demanded) */
	struct str problem;   /* client: why it is not verified, in words */
	struct str peer;      /* client: subject of the certificate, for people */
	struct str by;        /* client: what verified it: "DANE-EE(3)", "DANE-TA(2)", "PKIX"; "" */
	enum tls_failure unproven;  /* client: the class of problem, where nothing was to be proven */
};
/* Slices live as long as the session. Before TLS_OPEN, and where it was not reached, only what was agreed on by then. */
void tls_facts(const struct tls *t, struct tls_facts *out);

/* Why a client's session is over; TLS_FAIL_NONE while it is not. */
enum tls_failure tls_failure(const struct tls *t);
/* It is over without a word that the two of us cannot speak: lost, closed on the way, or for a fault of the server's own. */
bool tls_gave_up(const struct tls *t);

/* Certificates as the server has shown them, the leaf first, also where the handshake failed because of them. Texts are others':
 * printable and short. False: there are no more, or no more than TLS_CHAIN_MAX are looked at. Slices live as long as the session. */
enum { TLS_CHAIN_MAX = 10, TLS_CERTIFICATE_TEXT_MAX = 1024 };
struct tls_certificate_facts {
	struct str subject, issuer;
	struct str names;        /* of the subjectAltName, with commas between them */
	int64_t not_before_s, not_after_s;
	struct str key;          /* "EC P-256", "RSA 2048" */
	struct str spki;         /* SHA-256 of the SubjectPublicKeyInfo, in hexadecimal: what a "3 1 1" record holds */
};
bool tls_chain(struct tls *t, size_t i, struct tls_certificate_facts *out);

/* RFC 9266: is there a binding that is unique? Not in TLS 1.2 without RFC 7627. It costs little to ask. */
bool tls_can_bind(const struct tls *t);
/* That binding, 32 bytes; F_STATE where there is none. */
MUST_USE fault tls_channel_binding(const struct tls *t, unsigned char out[32]);

/* Is this the beginning of a TLS record? To recognise TLS on a plain port. */
bool tls_looks_like(struct str bytes);
/* Is nothing of a client's hello missing? True for what is none, and from HELLO_BYTES_MAX on: the library tells. */
enum { HELLO_BYTES_MAX = 18 << 10 };
bool tls_hello_is_whole(struct str bytes);

#endif
