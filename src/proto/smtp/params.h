/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/params.h -- the parameters behind MAIL and RCPT, as a server reads them.
 *
 * Strict: one blank between parameters (more are tolerated), keywords by RFC 5321 4.1.2, a known
 * value form for each keyword, nothing twice, no xtext that decodes to a control byte. AUTH= is
 * checked and then forgotten: nobody's word about another's identity counts here (RFC 4954 5 allows it).
 *
 * Source   RFC 5321 4.1.1.11 (555), RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531 (SMTPUTF8), RFC 3461 4
 *          (RET, ENVID, NOTIFY, ORCPT), RFC 6533 3 (utf-8 addresses in ORCPT), RFC 4954 5 (AUTH),
 *          RFC 8689 2 (REQUIRETLS).
 * Limits   ENVID 100 octets, ORCPT 500 (RFC 3461 4), AUTH 500 (RFC 4954 5), SIZE 20 digits (RFC 1870 4).
 * Errors   The reply to give, SAY_NOTHING if all is well.
 * Owns     What out points to lies in the arena.
 * Tests    test/talk/smtp-server, fuzz/smtp_command.c
 */
#ifndef PROTO_SMTP_PARAMS_H
#define PROTO_SMTP_PARAMS_H

#include "mail/envelope.h"
#include "proto/smtp/server_say.h"

struct params_rules {
	bool extended;           /* after EHLO or LHLO: without it there are no parameters */
	bool auth;               /* AUTH is offered, so AUTH= is known */
	bool smtputf8;           /* RCPT: what MAIL said */
	bool requiretls;         /* REQUIRETLS is offered, so it is known */
	uint64_t size_bytes_max; /* SIZE above it is refused */
};

enum smtp_say params_mail(struct str text, const struct params_rules *rules, struct arena *a,
                          struct mail_params *out);
enum smtp_say params_rcpt(struct str text, const struct params_rules *rules, struct arena *a,
                          struct rcpt_params *out);

#endif
