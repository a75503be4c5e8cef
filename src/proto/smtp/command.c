/* SPDX-License-Identifier: ISC */
#include "proto/smtp/command.h"

#include "base/base64.h"
#include "base/check.h"

#define IN_MAIL (SMTP_READY | SMTP_HAS_MAIL | SMTP_HAS_RCPT)

static const struct smtp_command commands[] = {
	/* name, verb, allowed, otherwise, sync, guarded, smtp, lmtp, idle, argument, line_max */
	{ "EHLO", VERB_EHLO, SMTP_ANYWHERE, SAY_UNKNOWN, true, false, true, false, true, ARGUMENT_SOME, SMTP_LINE_MAX },
	{ "HELO", VERB_HELO, SMTP_ANYWHERE, SAY_UNKNOWN, true, false, true, false, true, ARGUMENT_SOME, SMTP_LINE_MAX },
	{ "LHLO", VERB_LHLO, SMTP_ANYWHERE, SAY_UNKNOWN, true, false, false, true, true, ARGUMENT_SOME, SMTP_LINE_MAX },
	{ "STARTTLS", VERB_STARTTLS, IN_MAIL, SAY_MIXED, true, false, true, true, false, ARGUMENT_NONE, SMTP_LINE_MAX },
	{ "AUTH", VERB_AUTH, SMTP_READY, SAY_IN_MAIL, true, false, true, true, false, ARGUMENT_SOME,
	  SMTP_LINE_AUTH_MAX },
	{ "MAIL", VERB_MAIL, SMTP_READY, SAY_IN_MAIL, false, true, true, true, false, ARGUMENT_SOME,
	  SMTP_LINE_PARAMS_MAX },
	{ "RCPT", VERB_RCPT, SMTP_HAS_MAIL | SMTP_HAS_RCPT, SAY_MAIL_FIRST, false, true, true, true, false,
	  ARGUMENT_SOME, SMTP_LINE_PARAMS_MAX },
	{ "DATA", VERB_DATA, SMTP_HAS_RCPT, SAY_RCPT_FIRST, true, true, true, true, false, ARGUMENT_NONE,
	  SMTP_LINE_MAX },
	{ "BDAT", VERB_BDAT, SMTP_HAS_RCPT | SMTP_IN_BDAT, SAY_RCPT_FIRST, false, true, true, true, false,
	  ARGUMENT_SOME, SMTP_LINE_MAX },
	{ "RSET", VERB_RSET, SMTP_ANYWHERE, SAY_UNKNOWN, false, false, true, true, true, ARGUMENT_NONE, SMTP_LINE_MAX },
	{ "VRFY", VERB_VRFY, SMTP_ANYWHERE, SAY_UNKNOWN, false, true, true, true, true, ARGUMENT_SOME, SMTP_LINE_MAX },
	{ "EXPN", VERB_EXPN, SMTP_ANYWHERE, SAY_UNKNOWN, false, false, true, true, true, ARGUMENT_ANY, SMTP_LINE_MAX },
	{ "NOOP", VERB_NOOP, SMTP_ANYWHERE, SAY_UNKNOWN, false, false, true, true, true, ARGUMENT_ANY, SMTP_LINE_MAX },
	{ "HELP", VERB_HELP, SMTP_ANYWHERE, SAY_UNKNOWN, false, false, true, true, true, ARGUMENT_ANY, SMTP_LINE_MAX },
	{ "QUIT", VERB_QUIT, SMTP_ANYWHERE, SAY_UNKNOWN, false, false, true, true, false, ARGUMENT_NONE, SMTP_LINE_MAX },
};

/* What browsers begin a request with: ALPACA and its older relatives. */
static const char *const http_verbs[] = { "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH",
	                                  "PRI", "Host:" };

static const struct smtp_command http = { "HTTP", VERB_HTTP, SMTP_ANYWHERE, SAY_UNKNOWN, false, false, true, true,
	                                  false, ARGUMENT_ANY, SMTP_LINE_AUTH_MAX };
static const struct smtp_command unknown = { "", VERB_UNKNOWN, SMTP_ANYWHERE, SAY_UNKNOWN, false, false, true, true,
	                                     false, ARGUMENT_ANY, SMTP_LINE_MAX };

const struct smtp_command *smtp_command_find(struct str line, bool lmtp, struct str *argument_out)
{
	size_t end = 0;
	while (end < line.n && line.p[end] != ' ')
		end++;
	struct str verb = str_sub(line, 0, end);
	*argument_out = str_trim(str_from(line, end));

	for (size_t i = 0; i < COUNT(commands); i++)
		if (str_eq_nocase(verb, str_of(commands[i].name)))
			return (lmtp ? commands[i].lmtp : commands[i].smtp) ? &commands[i] : &unknown;
	for (size_t i = 0; i < COUNT(http_verbs); i++)
		if (str_eq_nocase(verb, str_of(http_verbs[i])))
			return &http;
	return &unknown;
}

bool smtp_argument_hello(struct str argument, struct str *name_out)
{
	if (argument.n == 0 || argument.n > SMTP_NAME_MAX)
		return false;
	for (size_t i = 0; i < argument.n; i++)
		if (argument.p[i] <= ' ' || argument.p[i] > '~')
			return false;
	*name_out = argument;
	return true;
}

/* "FROM:" and the path behind it. */
static bool take_path_word(struct str *argument, struct str word)
{
	if (!str_take_nocase(argument, word))
		return false;
	while (str_take_char(argument, ' '))
		;
	return true;
}

enum smtp_say smtp_argument_mail(struct str argument, const struct params_rules *rules, struct arena *a,
                                 struct address *address_out, struct mail_params *params_out)
{
	if (!take_path_word(&argument, STR("FROM:")))
		return SAY_MAIL_SYNTAX;
	if (path_parse(&argument, a, address_out) != OK ||
	    (address_out->domain.n == 0 && !address_is_null(address_out)))
		return SAY_BAD_SENDER;
	enum smtp_say wrong = params_mail(argument, rules, a, params_out);
	if (wrong == SAY_NOTHING && address_out->utf8 && !params_out->smtputf8)
		return SAY_NEEDS_SMTPUTF8;
	return wrong;
}

enum smtp_say smtp_argument_rcpt(struct str argument, const struct params_rules *rules, struct arena *a,
                                 struct address *address_out, struct rcpt_params *params_out)
{
	if (!take_path_word(&argument, STR("TO:")))
		return SAY_RCPT_SYNTAX;
	if (path_parse(&argument, a, address_out) != OK || address_is_null(address_out))
		return SAY_BAD_RCPT;
	if (address_out->utf8 && !rules->smtputf8)
		return SAY_NEEDS_SMTPUTF8;
	return params_rcpt(argument, rules, a, params_out);
}

enum smtp_say smtp_argument_bdat(struct str argument, uint64_t *bytes_out, bool *last_out)
{
	uint64_t bytes;
	if (!str_take_u64(&argument, &bytes))
		return SAY_BDAT_SYNTAX;
	struct str rest = str_trim(argument);
	if (rest.n > 0 && (argument.p[0] != ' ' || !str_eq_nocase(rest, STR("LAST"))))
		return SAY_BDAT_SYNTAX;
	*bytes_out = bytes;
	*last_out = rest.n > 0;
	return SAY_NOTHING;
}

static bool is_mechanism(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_alnum((unsigned char)name.p[i]) && name.p[i] != '-' && name.p[i] != '_')
			return false;
	return name.n >= 1 && name.n <= 20; /* RFC 4422 3.1 */
}

static bool decode(struct str text, struct arena *a, struct str *out)
{
	struct buf plain;
	buf_init_secret(&plain, SMTP_LINE_AUTH_MAX);
	bool ok = base64_get(&plain, text) == OK;
	if (ok) {
		*out = arena_try_copy(a, buf_view(&plain));
		ok = out->p != NULL;
	}
	buf_fini(&plain);
	return ok;
}

enum smtp_say smtp_argument_auth(struct str argument, struct arena *a, struct str *mechanism_out,
                                 bool *has_initial_out, struct str *initial_out)
{
	struct str mechanism = STR_NONE, initial = STR_NONE;
	if (!str_take_word(&argument, &mechanism) || !is_mechanism(mechanism))
		return SAY_AUTH_SYNTAX;
	bool has = str_take_word(&argument, &initial);
	if (str_trim(argument).n > 0)
		return SAY_AUTH_SYNTAX;
	if (has && str_eq(initial, STR("=")))
		initial = STR_NONE;
	else if (has && !decode(initial, a, &initial))
		return SAY_AUTH_BASE64;
	*mechanism_out = mechanism;
	*has_initial_out = has;
	*initial_out = initial;
	return SAY_NOTHING;
}

enum smtp_say smtp_argument_auth_step(struct str line, struct arena *a, struct str *response_out)
{
	if (str_eq(line, STR("*")))
		return SAY_AUTH_CANCELLED;
	return decode(line, a, response_out) ? SAY_NOTHING : SAY_AUTH_BASE64;
}
