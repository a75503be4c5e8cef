/* SPDX-License-Identifier: ISC */
#include "proto/smtp/params.h"

#include "base/check.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500, AUTH_MAX = 500, SIZE_DIGITS = 20 };

struct given {
	const struct params_rules *rules;
	struct arena *arena;
	struct str value;
	bool has_value;
	struct mail_params *mail;
	struct rcpt_params *rcpt;
};

struct keyword {
	const char *name;
	enum smtp_say (*take)(struct given *g);
};

/* Decoded xtext in the arena. Control bytes are refused by xtext_get. */
static bool take_xtext(struct given *g, struct str text, size_t max, struct str *out)
{
	struct buf plain;
	buf_init(&plain, max);
	bool ok = text.n > 0 && xtext_get(&plain, text) == OK;
	if (ok) {
		*out = arena_try_copy(g->arena, buf_view(&plain));
		ok = out->p != NULL;
	}
	buf_fini(&plain);
	return ok;
}

/* RFC 1870 3: too many digits are a big size, not a mistake. */
static enum smtp_say take_size(struct given *g)
{
	if (g->value.n > SIZE_DIGITS || !str_is_digits(g->value))
		return SAY_BAD_PARAMETER;
	uint64_t size;
	if (!str_u64(g->value, &size) || (g->rules->size_bytes_max > 0 && size > g->rules->size_bytes_max))
		return SAY_TOO_BIG;
	g->mail->size_bytes = size;
	return SAY_NOTHING;
}

static enum smtp_say take_body(struct given *g)
{
	if (str_eq_nocase(g->value, STR("BINARYMIME")))
		return SAY_NO_BINARYMIME;
	bool eight = str_eq_nocase(g->value, STR("8BITMIME"));
	if (!eight && !str_eq_nocase(g->value, STR("7BIT")))
		return SAY_BAD_PARAMETER;
	g->mail->body = eight ? BODY_8BIT : BODY_7BIT;
	return SAY_NOTHING;
}

static enum smtp_say take_smtputf8(struct given *g)
{
	g->mail->smtputf8 = true;
	return g->has_value ? SAY_BAD_PARAMETER : SAY_NOTHING;
}

static enum smtp_say take_requiretls(struct given *g)
{
	if (!g->rules->requiretls)
		return SAY_UNKNOWN_PARAMETER;
	g->mail->tls_tag = TLS_TAG_REQUIRED;
	return g->has_value ? SAY_BAD_PARAMETER : SAY_NOTHING;
}

static enum smtp_say take_ret(struct given *g)
{
	bool full = str_eq_nocase(g->value, STR("FULL"));
	if (!full && !str_eq_nocase(g->value, STR("HDRS")))
		return SAY_BAD_PARAMETER;
	g->mail->ret = full ? RET_FULL : RET_HEADERS;
	return SAY_NOTHING;
}

static enum smtp_say take_envid(struct given *g)
{
	if (g->value.n > ENVID_MAX || !take_xtext(g, g->value, ENVID_MAX, &g->mail->envid) ||
	    !str_is_ascii(g->mail->envid))
		return SAY_BAD_PARAMETER;
	return SAY_NOTHING;
}

static enum smtp_say take_auth(struct given *g)
{
	if (!g->rules->auth)
		return SAY_UNKNOWN_PARAMETER;
	struct str forgotten;
	bool ok = str_eq(g->value, STR("<>")) ||
	          (g->value.n <= AUTH_MAX && take_xtext(g, g->value, AUTH_MAX, &forgotten));
	return ok ? SAY_NOTHING : SAY_BAD_PARAMETER;
}

/* NEVER stands alone (RFC 3461 4.1). */
static enum smtp_say take_notify(struct given *g)
{
	static const struct { const char *word; unsigned bit; } words[] = {
		{ "NEVER", NOTIFY_NEVER },
		{ "SUCCESS", NOTIFY_SUCCESS },
		{ "FAILURE", NOTIFY_FAILURE },
		{ "DELAY", NOTIFY_DELAY },
	};
	struct str rest = g->value, word;
	unsigned bits = 0;
	for (bool more = true; more;) {
		more = str_take_until(&rest, ',', &word);
		if (!more)
			word = rest;
		unsigned bit = 0;
		for (size_t i = 0; i < COUNT(words); i++)
			if (str_eq_nocase(word, str_of(words[i].word)))
				bit = words[i].bit;
		if (bit == 0 || (bits & bit) != 0)
			return SAY_BAD_PARAMETER;
		bits |= bit;
	}
	if ((bits & NOTIFY_NEVER) != 0 && bits != NOTIFY_NEVER)
		return SAY_BAD_PARAMETER;
	g->rcpt->notify = bits;
	return SAY_NOTHING;
}

static bool is_addr_type(struct str type)
{
	for (size_t i = 0; i < type.n; i++)
		if (!ascii_is_alnum((unsigned char)type.p[i]) && type.p[i] != '-')
			return false;
	return type.n > 0;
}

/* "type;address", the address as xtext, or plain UTF-8 where the type is utf-8 (RFC 6533 3). */
static enum smtp_say take_orcpt(struct given *g)
{
	struct str rest = g->value, type, address;
	if (g->value.n > ORCPT_MAX || !str_take_until(&rest, ';', &type) || !is_addr_type(type) || rest.n == 0)
		return SAY_BAD_PARAMETER;
	bool utf8 = str_eq_nocase(type, STR("utf-8"));
	if (utf8 && !str_is_ascii(rest)) {
		if (!g->rules->smtputf8 || !str_is_utf8(rest))
			return SAY_BAD_PARAMETER;
		address = rest;
	} else if (!take_xtext(g, rest, ORCPT_MAX, &address)) {
		return SAY_BAD_PARAMETER;
	}
	struct buf whole;
	buf_init(&whole, 2 * ORCPT_MAX);
	bool ok = buf_add(&whole, type) == OK && buf_add_char(&whole, ';') == OK && buf_add(&whole, address) == OK;
	g->rcpt->orcpt = ok ? arena_try_copy(g->arena, buf_view(&whole)) : STR_NONE;
	buf_fini(&whole);
	return g->rcpt->orcpt.p != NULL ? SAY_NOTHING : SAY_BAD_PARAMETER;
}

static const struct keyword mail_keywords[] = {
	{ "SIZE", take_size },         /* RFC 1870 */
	{ "BODY", take_body },         /* RFC 6152 */
	{ "SMTPUTF8", take_smtputf8 }, /* RFC 6531 */
	{ "RET", take_ret },           /* RFC 3461 4.3 */
	{ "ENVID", take_envid },       /* RFC 3461 4.4 */
	{ "AUTH", take_auth },         /* RFC 4954 5 */
	{ "REQUIRETLS", take_requiretls }, /* RFC 8689 2 */
};

static const struct keyword rcpt_keywords[] = {
	{ "NOTIFY", take_notify }, /* RFC 3461 4.1 */
	{ "ORCPT", take_orcpt },   /* RFC 3461 4.2 */
};

/* esmtp-value: no control, no blank, no '='; beyond ASCII only where it is looked at further. */
static bool is_value(struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if (c <= 32 || c == '=' || c == 127)
			return false;
	}
	return value.n > 0;
}

static enum smtp_say take_one(struct given *g, struct str word, const struct keyword *keywords, size_t n,
                              unsigned *seen)
{
	struct str name = word, rest = word;
	g->has_value = str_take_until(&rest, '=', &name);
	g->value = g->has_value ? rest : STR_NONE;
	for (size_t i = 0; i < n; i++) {
		if (!str_eq_nocase(name, str_of(keywords[i].name)))
			continue;
		if ((*seen & 1u << i) != 0)
			return SAY_TWICE;
		*seen |= 1u << i;
		if (g->has_value && !is_value(g->value))
			return SAY_BAD_PARAMETER;
		return keywords[i].take(g);
	}
	return SAY_UNKNOWN_PARAMETER;
}

static enum smtp_say take_all(struct given *g, struct str text, const struct keyword *keywords, size_t n)
{
	struct str word;
	unsigned seen = 0;
	if (text.n > 0 && text.p[0] != ' ')
		return SAY_BAD_PARAMETER;
	while (str_take_word(&text, &word)) {
		if (!g->rules->extended)
			return SAY_UNKNOWN_PARAMETER;
		enum smtp_say wrong = take_one(g, word, keywords, n, &seen);
		if (wrong != SAY_NOTHING)
			return wrong;
	}
	return SAY_NOTHING;
}

enum smtp_say params_mail(struct str text, const struct params_rules *rules, struct arena *a, struct mail_params *out)
{
	*out = (struct mail_params){ 0 };
	struct given g = { .rules = rules, .arena = a, .mail = out };
	return take_all(&g, text, mail_keywords, COUNT(mail_keywords));
}

enum smtp_say params_rcpt(struct str text, const struct params_rules *rules, struct arena *a, struct rcpt_params *out)
{
	*out = (struct rcpt_params){ 0 };
	struct given g = { .rules = rules, .arena = a, .rcpt = out };
	return take_all(&g, text, rcpt_keywords, COUNT(rcpt_keywords));
}
