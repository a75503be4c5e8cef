/* SPDX-License-Identifier: ISC */
/* The model that order_test.c walks beside the server core: no parser, no texts, only which command is answered how in which state. */
#include "order_model.h"

#include "proto/smtp/server.h"

const struct step steps[WHATS] = {
	[EHLO] = { "EHLO a.example\r\n", NEVER },
	[EHLO_NO] = { "EHLO a.example\r\n", SMTP_HELLO },
	[EHLO_BAD] = { "EHLO a b\r\n", NEVER },
	[HELO] = { "HELO a.example\r\n", NEVER },
	[HELO_NO] = { "HELO a.example\r\n", SMTP_HELLO },
	[STARTTLS] = { "STARTTLS\r\n", NEVER },
	[STARTTLS_NO] = { "STARTTLS\r\n", SMTP_STARTTLS },
	[STARTTLS_BAD] = { "STARTTLS now\r\n", NEVER },
	[AUTH] = { "AUTH PLAIN AGEAYg==\r\n", NEVER },
	[AUTH_NO] = { "AUTH PLAIN AGEAYg==\r\n", SMTP_AUTH },
	[AUTH_STAR] = { "AUTH PLAIN\r\n|*\r\n", NEVER },
	[AUTH_BAD] = { "AUTH PLAIN %\r\n", NEVER },
	[MAIL] = { "MAIL FROM:<a@x.example>\r\n", NEVER },
	[MAIL_UTF8] = { "MAIL FROM:<a@x.example> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=e\r\n", NEVER },
	[MAIL_TLS] = { "MAIL FROM:<a@x.example> REQUIRETLS\r\n", NEVER },
	[MAIL_TLS_NO] = { "MAIL FROM:<a@x.example> REQUIRETLS\r\n", SMTP_MAIL },
	[MAIL_NO] = { "MAIL FROM:<a@x.example>\r\n", SMTP_MAIL },
	[MAIL_UTF8_NO] = { "MAIL FROM:<a@x.example> SMTPUTF8 BODY=8BITMIME\r\n", SMTP_MAIL },
	[MAIL_BAD] = { "MAIL FROM:<a@x.example\r\n", NEVER },
	[MAIL_BIG] = { "MAIL FROM:<a@x.example> SIZE=13\r\n", NEVER },
	[RCPT] = { "RCPT TO:<b@y.example>\r\n", NEVER },
	[RCPT_UTF8] = { "RCPT TO:<\xc3\xa4@y.example>\r\n", NEVER },
	[RCPT_NO] = { "RCPT TO:<b@y.example>\r\n", SMTP_RCPT },
	[RCPT_BAD] = { "RCPT TO:<@a,@b:c@y.example>\r\n", NEVER },
	[DATA] = { "DATA\r\n|hi\r\n.\r\n", NEVER },
	[DATA_NO] = { "DATA\r\n", SMTP_DATA_BEGIN },
	[DATA_END_NO] = { "DATA\r\n|hi\r\n.\r\n", SMTP_BODY_END },
	[DATA_BARE] = { "DATA\r\n|a\n.\r\nb\r\n.\r\n", NEVER },
	[DATA_BIG] = { "DATA\r\n|0123456789a\r\n.\r\n", NEVER },
	[DATA_BAD] = { "DATA now\r\n", NEVER },
	[BDAT] = { "BDAT 4\r\nok\r\n", NEVER },
	[BDAT_NO] = { "BDAT 4\r\nok\r\n", SMTP_DATA_BEGIN },
	[BDAT_LAST] = { "BDAT 4 LAST\r\nok\r\n", NEVER },
	[BDAT_EMPTY] = { "BDAT 0 LAST\r\n", NEVER },
	[BDAT_END_NO] = { "BDAT 0 LAST\r\n", SMTP_BODY_END },
	[BDAT_BARE] = { "BDAT 4\r\na\nb\n", NEVER },
	[BDAT_BARE_LAST] = { "BDAT 2 LAST\r\na\r", NEVER },
	[BDAT_BIG] = { "BDAT 13\r\nRSET\r\nNOOP\r\n.", NEVER },
	[BDAT_HUGE] = { "BDAT 18446744073709551616\r\n", NEVER },
	[BDAT_BAD] = { "BDAT x\r\n", NEVER },
	[RSET] = { "RSET\r\n", NEVER },
	[RSET_BAD] = { "RSET all\r\n", NEVER },
	[NOOP] = { "NOOP\r\n", NEVER },
	[HELP] = { "HELP\r\n", NEVER },
	[VRFY] = { "VRFY \xc3\xbc@x\r\n", NEVER },
	[VRFY_BAD] = { "VRFY\r\n", NEVER },
	[EXPN] = { "EXPN staff\r\n", NEVER },
	[UNKNOWN] = { "XYZZY\r\n", NEVER },
	[BARE_LF] = { "RSET\nRSET\r\n", NEVER },
	[CONTROL] = { "RSET \x07\r\n", NEVER },
	[LONG] = { NULL, NEVER },
	[QUIT] = { "QUIT\r\n", NEVER },
};

static void no_mail(struct model *m)
{
	m->at = NO_MAIL;
	m->rcpts = m->bytes = 0;
	m->utf8 = false;
}

static int done(struct model *m, int code)
{
	no_mail(m);
	return code;
}

static int ends(struct model *m, int code)
{
	m->ended = true;
	return code;
}

/* What comes before a command's own rules; 0: go on. */
static int not_here(const struct model *m, bool guarded)
{
	if (m->hello == HELLO_NONE)
		return 503;
	if (guarded && ((m->conf->tls_required && !m->tls) || (m->conf->auth_required && !m->logged_in)))
		return 530;
	return 0;
}

/* RFC 3030 2: what is mixed with BDAT is refused, and the transaction is gone. */
static int mixed(struct model *m)
{
	return done(m, 503);
}

static int model_hello(struct model *m, enum what what)
{
	if (m->conf->lmtp && (what == HELO || what == HELO_NO))
		return 500;
	if (what == EHLO_BAD)
		return 501;
	if (what == EHLO_NO || what == HELO_NO)
		return 550; /* RFC 5321 4.1.4: it stays in the state that it was in */
	no_mail(m);
	m->hello = what == HELO ? HELLO_OLD : HELLO_EXTENDED;
	return 250;
}

static int model_starttls(struct model *m, enum what what)
{
	if (what == STARTTLS_BAD)
		return 501;
	if (not_here(m, false) != 0)
		return 503;
	if (m->at == HAS_CHUNKS)
		return mixed(m);
	if (m->tls)
		return 503;
	if (!m->conf->starttls)
		return 502;
	if (what == STARTTLS_NO)
		return 454;
	*m = (struct model){ .conf = m->conf, .tls = true };
	return 220;
}

static int model_auth(struct model *m, enum what what)
{
	if (not_here(m, false) != 0)
		return 503;
	if (m->at != NO_MAIL)
		return m->at == HAS_CHUNKS ? mixed(m) : 503;
	if (!m->conf->mechanisms)
		return 502;
	if (!m->tls)
		return m->conf->tls_required ? 530 : 538;
	if (m->logged_in)
		return 503;
	if (what == AUTH_NO)
		return 535;
	if (what != AUTH)
		return 501;
	m->logged_in = true;
	return 235;
}

static int model_mail(struct model *m, enum what what)
{
	int no = not_here(m, true);
	if (no != 0)
		return no;
	if (m->at != NO_MAIL)
		return m->at == HAS_CHUNKS ? mixed(m) : 503;
	if (what == MAIL_BAD)
		return 501;
	if (what != MAIL && what != MAIL_NO && m->hello != HELLO_EXTENDED)
		return 555;
	if ((what == MAIL_TLS || what == MAIL_TLS_NO) && (!m->tls || !m->conf->requiretls))
		return 555; /* RFC 8689 2: only where it is offered */
	if (what == MAIL_BIG)
		return 552;
	if (what == MAIL_NO || what == MAIL_UTF8_NO || what == MAIL_TLS_NO)
		return 550;
	m->at = HAS_SENDER;
	m->utf8 = what == MAIL_UTF8;
	return 250;
}

static int model_rcpt(struct model *m, enum what what)
{
	int no = not_here(m, true);
	if (no != 0)
		return no;
	if (m->at == NO_MAIL)
		return 503;
	if (m->at == HAS_CHUNKS)
		return mixed(m);
	if (what == RCPT_BAD)
		return 501;
	if (what == RCPT_UTF8 && !m->utf8)
		return 553;
	if (m->rcpts == RCPTS_MAX)
		return 452;
	if (what == RCPT_NO)
		return 550;
	m->at = HAS_RCPTS;
	m->rcpts++;
	return 250;
}

static int model_data(struct model *m, enum what what)
{
	if (what == DATA_BAD)
		return 501;
	int no = not_here(m, true);
	if (no != 0)
		return no;
	if (m->at == HAS_CHUNKS)
		return mixed(m);
	if (m->at != HAS_RCPTS)
		return 503;
	if (what == DATA)
		return done(m, 250);
	no_mail(m);
	return what == DATA_BARE ? ends(m, 550) : what == DATA_BIG ? 552 : 550;
}

static int model_bdat(struct model *m, enum what what)
{
	static const unsigned octets[WHATS] = { [BDAT] = 4, [BDAT_NO] = 4, [BDAT_LAST] = 4, [BDAT_BARE] = 4, [BDAT_BARE_LAST] = 2, [BDAT_BIG] = 13 };
	bool last = what == BDAT_LAST || what == BDAT_EMPTY || what == BDAT_END_NO || what == BDAT_BARE_LAST;
	if (what == BDAT_BAD || what == BDAT_HUGE)
		return ends(m, 501); /* where its octets end, nobody knows */
	int no = not_here(m, true);
	if (no == 0 && m->at != HAS_RCPTS && m->at != HAS_CHUNKS)
		no = 503;
	if (no != 0)
		return no;
	if (m->bytes + octets[what] > SIZE_BYTES_MAX)
		return done(m, 552);
	if ((what == BDAT_NO && m->at == HAS_RCPTS) || what == BDAT_BARE || what == BDAT_BARE_LAST || what == BDAT_END_NO)
		return done(m, 550);
	if (last)
		return done(m, 250);
	m->at = HAS_CHUNKS;
	m->bytes += octets[what];
	return 250;
}

static int model_other(struct model *m, enum what what)
{
	switch (what) {
	case RSET:
		return done(m, 250);
	case RSET_BAD:
	case VRFY_BAD:
		return 501;
	case VRFY:
		return (m->conf->tls_required && !m->tls) || (m->conf->auth_required && !m->logged_in) ? 530 : 252;
	case NOOP:
		return 250;
	case HELP:
		return 214;
	case EXPN:
		return 502;
	case QUIT:
		return ends(m, 221);
	default:
		return 500;
	}
}

int model_take(struct model *m, enum what what)
{
	return what <= HELO_NO        ? model_hello(m, what)
	       : what <= STARTTLS_BAD ? model_starttls(m, what)
	       : what <= AUTH_BAD     ? model_auth(m, what)
	       : what <= MAIL_BIG     ? model_mail(m, what)
	       : what <= RCPT_BAD     ? model_rcpt(m, what)
	       : what <= DATA_BAD     ? model_data(m, what)
	       : what <= BDAT_BAD     ? model_bdat(m, what)
	                              : model_other(m, what);
}
