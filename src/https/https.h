/* SPDX-License-Identifier: ISC */
/*
 * https/https.h -- ask one web server one thing: GET a small text, or POST a small report.
 *
 * Stands on libcurl, which is kept to the least: https alone, HTTP/1.1, no redirect, no proxy, no cookie, no password, no
 * compression of answers, no file, no thread, no name of its own: the addresses are the caller's, who has asked the DNS and
 * decided which of them may be talked to. The certificate must prove the host's name to the trust anchors given. The
 * simulation brings a fake of these calls.
 *
 * Units    Milliseconds.
 * Limits   A request ends, answered or not, after patience_ms, whatever the other side does: names are not looked up here,
 *          so it covers everything. No more than body_max bytes of body are read, HTTPS_HEAD_MAX of header fields,
 *          HTTPS_ADDRESSES_MAX addresses tried. How many requests are open is the caller's to bound.
 * Errors   Whatever goes wrong is an answer that says so; it cannot be told to go on.
 * Owns     An answer lives until the callback returns. The callback comes from the loop, never from within https_ask; it may
 *          ask and cancel, but not free the struct https.
 * Tests    test/unit/https/url_test.c, test/scenario/mtasts_test.py
 */
#ifndef HTTPS_HTTPS_H
#define HTTPS_HTTPS_H

#include "base/fault.h"
#include "base/str.h"
#include "sys/loop.h"

enum { HTTPS_ADDRESSES_MAX = 8, HTTPS_HEAD_MAX = 16 << 10, HTTPS_TEXT_MAX = 256, HTTPS_PATH_MAX = 2048 };

struct https_request {
	struct str host;              /* a name: the certificate's, and Host: */
	uint16_t port;
	struct str path;              /* with the query, from "/" on */
	const struct str *addresses;  /* in text, the first one first */
	size_t n_addresses;
	struct str body, content_type; /* content_type set: POST this body */
	size_t body_max;              /* of the answer */
	int64_t patience_ms;
};

enum https_result {
	HTTPS_ANSWERED,        /* with a status, whatever it is */
	HTTPS_UNREACHABLE,     /* no connection, no handshake, broken off, too late */
	HTTPS_NOT_TRUSTED,     /* the certificate does not prove the name */
	HTTPS_TOO_LARGE,       /* the answer is larger than body_max */
	HTTPS_BROKEN,          /* no HTTP, or a request that cannot be made */
};

struct https_answer {
	enum https_result result;
	unsigned status;              /* 200 ... */
	struct str content_type;      /* "" if there is none */
	struct str body;
	struct str text;              /* for people, unless answered: printable, short */
};

typedef void https_answered(void *owner, const struct https_answer *answer);

struct https;
struct https_question;

/* ca_pem: the trust anchors. F_SYNTAX: there is no certificate in it; F_SYS: the library refused. To be called before the
 * process is confined for the first time (https_begin), which lets the library read what it wants from the system. */
void https_begin(void);
MUST_USE fault https_new(struct loop *loop, struct str ca_pem, struct https **out, struct why *why);
void https_free(struct https **https); /* open requests end without an answer; NULL is fine */

struct https_question *https_ask(struct https *https, const struct https_request *request, https_answered *answered,
                                 void *owner);
void https_cancel(struct https_question **question); /* NULL is fine */

#endif
