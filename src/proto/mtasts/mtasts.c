/* SPDX-License-Identifier: ISC */
#include "proto/mtasts/mtasts.h"

#include "mail/address.h"
#include "proto/txt.h"

enum { AGE_DIGITS_MAX = 10 };

static const char *const mode_names[] = {
	[MTASTS_MODE_NONE] = "none", [MTASTS_MODE_TESTING] = "testing", [MTASTS_MODE_ENFORCE] = "enforce",
};

const char *mtasts_mode_name(enum mtasts_mode mode)
{
	return mode_names[mode];
}

/* ---- the record ---- */

bool mtasts_id_is_valid(struct str id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_is_alnum((unsigned char)id.p[i]))
			return false;
	return id.n >= 1 && id.n <= MTASTS_ID_MAX;
}

/* The first id counts. */
static bool fields_read(struct txt_fields *fields, struct str *id_out)
{
	struct str name, value;
	bool found = false;
	fault f;
	while ((f = txt_next(fields, &name, &value)) == OK) {
		if (!txt_value_is_valid(value))
			return false;
		if (found || !str_eq(name, STR("id")))
			continue;
		if (!mtasts_id_is_valid(value))
			return false;
		*id_out = value;
		found = true;
	}
	return f == F_ABSENT && found;
}

enum mtasts_record mtasts_read_records(const struct str *records, size_t n, struct str *id_out)
{
	struct str id = STR_NONE;
	struct txt_fields fields;
	size_t candidates = txt_find(records, n, STR("v=STSv1"), &fields);
	if (candidates != 1)
		return candidates == 0 ? MTASTS_NO_RECORD : MTASTS_SEVERAL;
	if (!fields_read(&fields, &id))
		return MTASTS_MALFORMED;
	*id_out = id;
	return MTASTS_RECORD;
}

/* ---- the policy ---- */

bool mtasts_pattern_is_valid(struct str pattern)
{
	if (pattern.n > MTASTS_PATTERN_MAX)
		return false;
	(void)str_take(&pattern, STR("*."));
	return domain_is_valid(pattern);
}

static bool age_read(struct str text, int64_t *out)
{
	uint64_t s;
	if (text.n > AGE_DIGITS_MAX || !str_u64(text, &s))
		return false;
	*out = s < MTASTS_AGE_MAX_S ? (int64_t)s : MTASTS_AGE_MAX_S;
	return true;
}

static bool mode_read(struct str text, enum mtasts_mode *out)
{
	for (size_t i = 0; i < sizeof mode_names / sizeof mode_names[0]; i++)
		if (str_eq(text, str_of(mode_names[i]))) {
			*out = (enum mtasts_mode)i;
			return true;
		}
	return false;
}

/* sts-policy-ext-value; the blanks around it are gone already. */
static bool text_ok(struct str value)
{
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ' || value.p[i] == 127)
			return false;
	return value.n > 0 && str_is_utf8(value);
}

struct fields { bool version, mode, max_age; };

/* Of a field that may come once the first counts (3.2). */
static fault field_read(struct str name, struct str value, struct fields *seen, struct mtasts_policy *p, struct why *why)
{
	if (str_eq(name, STR("version")) && !seen->version) {
		seen->version = true;
		if (!str_eq(value, STR("STSv1")))
			return why_say(why, F_SYNTAX, "the policy's version is not STSv1");
	} else if (str_eq(name, STR("mode")) && !seen->mode) {
		seen->mode = true;
		if (!mode_read(value, &p->mode))
			return why_say(why, F_SYNTAX, "the policy's mode is none of enforce, testing, none");
	} else if (str_eq(name, STR("max_age")) && !seen->max_age) {
		seen->max_age = true;
		if (!age_read(value, &p->max_age_s))
			return why_say(why, F_SYNTAX, "the policy's max_age is no number of seconds");
	} else if (str_eq(name, STR("mx"))) {
		if (!mtasts_pattern_is_valid(value))
			return why_say(why, F_SYNTAX, "an mx of the policy is neither a host name nor *. and a domain");
		if (p->n_mx == MTASTS_PATTERNS_MAX)
			return why_say(why, F_LIMIT, "the policy has more than %d mx patterns", MTASTS_PATTERNS_MAX);
		p->mx[p->n_mx++] = value;
	}
	return OK;
}

/* Empty lines are not in the grammar, and common: they say nothing. */
static fault line_read(struct str line, struct fields *seen, struct mtasts_policy *p, struct why *why)
{
	struct str name, value;
	line = str_trim(line);
	if (line.n == 0)
		return OK;
	if (!str_take_until(&line, ':', &name) || !txt_name_is_valid(name))
		return why_say(why, F_SYNTAX, "a line of the policy is not \"name: value\"");
	value = str_trim(line);
	if (!text_ok(value))
		return why_say(why, F_SYNTAX, "a line of the policy has no value, or one that is no text");
	return field_read(name, value, seen, p, why);
}

static const char *what_is_missing(const struct fields *seen, const struct mtasts_policy *p)
{
	return !seen->version ? "version" : !seen->mode ? "mode" : !seen->max_age ? "max_age"
	     : p->n_mx == 0 && p->mode != MTASTS_MODE_NONE ? "mx" : NULL;
}

fault mtasts_parse(struct str body, struct mtasts_policy *out, struct why *why)
{
	struct mtasts_policy p = { .n_mx = 0 };
	struct fields seen = { false, false, false };
	struct str line;
	if (body.n > MTASTS_BODY_MAX)
		return why_say(why, F_LIMIT, "the policy is larger than %d bytes", MTASTS_BODY_MAX);
	while (str_next_line(&body, &line))
		TRY(line_read(line, &seen, &p, why));
	const char *missing = what_is_missing(&seen, &p);
	if (missing != NULL)
		return why_say(why, F_SYNTAX, "the policy has no %s", missing);
	*out = p;
	return OK;
}

bool mtasts_content_type_fits(struct str content_type)
{
	struct str type = content_type;
	(void)str_take_until(&content_type, ';', &type);
	return str_eq_nocase(str_trim(type), STR("text/plain"));
}

/* ---- which hosts ---- */

fault mtasts_put_mx(struct buf *out, const struct mtasts_policy *policy)
{
	size_t before = buf_view(out).n;
	for (size_t i = 0; i < policy->n_mx; i++) {
		fault f = i > 0 ? buf_add_char(out, ' ') : OK;
		for (size_t k = 0; f == OK && k < policy->mx[i].n; k++)
			f = buf_add_char(out, (char)ascii_lower((unsigned char)policy->mx[i].p[k]));
		if (f != OK) {
			buf_cut(out, before);
			return f;
		}
	}
	return OK;
}

/* No top-level domain is a number, so a last label of digits is the end of an address. */
static bool is_name(struct str host)
{
	size_t dot;
	uint64_t number;
	struct str last = str_rfind(host, '.', &dot) ? str_from(host, dot + 1) : host;
	return host.n > 0 && !str_has(host, ':') && !str_u64(last, &number);
}

static bool pattern_allows(struct str pattern, struct str host)
{
	struct str label;
	if (!str_take(&pattern, STR("*.")))
		return str_eq_nocase(pattern, host);
	return str_take_until(&host, '.', &label) && label.n > 0 && str_eq_nocase(pattern, host);
}

bool mtasts_mx_allows(struct str mx, struct str host)
{
	if (host.n > 0 && host.p[host.n - 1] == '.')
		host.n--;
	if (!is_name(host))
		return false;
	for (bool more = true; more; ) {
		struct str pattern = mx;
		more = str_take_until(&mx, ' ', &pattern);
		if (pattern.n > 0 && pattern_allows(pattern, host))
			return true;
	}
	return false;
}
