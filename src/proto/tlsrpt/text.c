/* SPDX-License-Identifier: ISC */
/* Reports as JSON: RFC 8460 4.4. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "mail/json.h"
#include "proto/tlsrpt/inside.h"

/* ---- writing ---- */

static void set(json_t *object, const char *name, json_t *value)
{
	int result = json_object_set_new(object, name, value);
	check(result == 0);
}

static void set_text(json_t *object, const char *name, struct str text)
{
	if (text.n > 0)
		set(object, name, json_stringn(text.p, text.n));
}

static void set_count(json_t *object, const char *name, uint64_t n)
{
	set(object, name, json_integer((json_int_t)n));
}

static void set_lines(json_t *object, const char *name, struct str lines)
{
	json_t *list = json_array();
	struct str line;
	while (str_next_line(&lines, &line)) {
		int result = json_array_append_new(list, json_stringn(line.p, line.n));
		check(result == 0);
	}
	set(object, name, list);
}

static void set_time(json_t *object, const char *name, int64_t s)
{
	char text[40] = "";
	time_t t = (time_t)s;
	struct tm at;
	if (gmtime_r(&t, &at) != NULL)
		(void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday,
		               at.tm_hour, at.tm_min, at.tm_sec);
	set_text(object, name, str_of(text));
}

static json_t *detail_json(const struct tlsrpt_detail *d)
{
	json_t *out = json_object();
	set_text(out, "result-type", d->result);
	set_text(out, "sending-mta-ip", d->sending_ip);
	set_text(out, "receiving-mx-hostname", d->mx);
	set_text(out, "receiving-mx-helo", d->helo);
	set_text(out, "receiving-ip", d->receiving_ip);
	set_count(out, "failed-session-count", d->sessions);
	set_text(out, "additional-information", d->info);
	set_text(out, "failure-reason-code", d->reason);
	return out;
}

static json_t *policy_json(const struct tlsrpt_policy *p)
{
	json_t *out = json_object(), *policy = json_object(), *summary = json_object(), *details = json_array();
	set_text(policy, "policy-type", str_of(tlsrpt_policy_type_name(p->type)));
	if (p->strings.n > 0)
		set_lines(policy, "policy-string", p->strings);
	set_text(policy, "policy-domain", p->domain);
	if (p->mx_hosts.n > 0)
		set_lines(policy, "mx-host", p->mx_hosts);
	set_count(summary, "total-successful-session-count", p->succeeded);
	set_count(summary, "total-failure-session-count", p->failed);
	for (size_t i = 0; i < p->n_details; i++) {
		int result = json_array_append_new(details, detail_json(&p->details[i]));
		check(result == 0);
	}
	set(out, "policy", policy);
	set(out, "summary", summary);
	set(out, "failure-details", details);
	return out;
}

static int take_bytes(const char *bytes, size_t n, void *out)
{
	return buf_add(out, (struct str){ bytes, n }) == OK ? 0 : -1;
}

fault tlsrpt_write(struct buf *out, const struct tlsrpt_report *r)
{
	size_t before = buf_view(out).n;
	json_t *root = json_object(), *range = json_object(), *policies = json_array();
	set_text(root, "organization-name", r->organization);
	set_time(range, "start-datetime", r->begin_s);
	set_time(range, "end-datetime", r->end_s);
	set(root, "date-range", range);
	set_text(root, "contact-info", r->contact);
	set_text(root, "report-id", r->id);
	for (size_t i = 0; i < r->n_policies; i++) {
		int result = json_array_append_new(policies, policy_json(&r->policies[i]));
		check(result == 0);
	}
	set(root, "policies", policies);
	fault f = json_dump_callback(root, take_bytes, out, JSON_COMPACT) == 0 ? OK : F_LIMIT;
	json_decref(root);
	if (f != OK)
		buf_cut(out, before);
	return f;
}

/* ---- reading ---- */

/* Before the library builds anything of it: how deep, how many values? */
static fault measure(struct str json, struct why *why)
{
	size_t depth = 0, values = 0;
	bool in_text = false;
	for (size_t i = 0; i < json.n; i++) {
		char c = json.p[i];
		if (in_text && c == '\\') {
			i++;
		} else if (c == '"') {
			in_text = !in_text;
		} else if (!in_text && (c == '{' || c == '[')) {
			values++;
			if (++depth > TLSRPT_DEPTH_MAX)
				return why_say(why, F_LIMIT, "the report is nested more than %d levels deep", TLSRPT_DEPTH_MAX);
		} else if (!in_text && (c == '}' || c == ']')) {
			depth -= depth > 0;
		} else if (!in_text && c == ',' && ++values > TLSRPT_VALUES_MAX) {
			return why_say(why, F_LIMIT, "the report has more than %d values", TLSRPT_VALUES_MAX);
		}
	}
	return OK;
}

/* Lines that are not empty; one that does not fit is left out. */
static void put_text(struct buf *out, struct str text)
{
	struct str line;
	while (str_next_line(&text, &line)) {
		size_t between = buf_view(out).n > 0 ? 1 : 0;
		if (line.n == 0 || between + line.n > buf_room(out))
			continue;
		fault f = between > 0 ? buf_add_char(out, '\n') : OK;
		f = f == OK ? buf_add(out, line) : f;
		check(f == OK);
	}
}

/* A list of strings, or one string alone. */
static void put_lines(struct buf *out, const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);
	put_text(out, text_in_json(object, name));
	for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
		const json_t *line = json_array_get(v, i);
		put_text(out, (struct str){ json_string_value(line), json_string_length(line) });
	}
}

/* Absent is 0. */
static fault count_of(const json_t *object, const char *name, uint64_t *out, struct why *why)
{
	const json_t *v = json_object_get(object, name);
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : v == NULL ? 0 : -1;
	if (n < 0 || (uint64_t)n > TLSRPT_COUNT_MAX)
		return why_say(why, F_SYNTAX, "%s is no count", name);
	*out = (uint64_t)n;
	return OK;
}

static bool digits(struct str *rest, size_t n, int *out)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (i >= rest->n || !ascii_is_digit((unsigned char)rest->p[i]))
			return false;
		*out = *out * 10 + rest->p[i] - '0';
	}
	*rest = str_from(*rest, n);
	return true;
}

/* RFC 3339 5.6: "2016-04-01T00:00:00Z", perhaps with parts of seconds, perhaps with an offset. */
static bool time_read(struct str text, int64_t *out)
{
	struct tm at = { .tm_isdst = 0 };
	int hours = 0, minutes = 0, sign = 0;
	if (!digits(&text, 4, &at.tm_year) || !str_take_char(&text, '-') || !digits(&text, 2, &at.tm_mon) ||
	    !str_take_char(&text, '-') || !digits(&text, 2, &at.tm_mday) ||
	    !(str_take_nocase(&text, STR("t")) || str_take_char(&text, ' ')) || !digits(&text, 2, &at.tm_hour) ||
	    !str_take_char(&text, ':') || !digits(&text, 2, &at.tm_min) || !str_take_char(&text, ':') || !digits(&text, 2, &at.tm_sec))
		return false;
	if (str_take_char(&text, '.'))
		while (text.n > 0 && ascii_is_digit((unsigned char)text.p[0]))
			text = str_from(text, 1);
	if (!str_take_nocase(&text, STR("z"))) {
		sign = str_take_char(&text, '+') ? 1 : str_take_char(&text, '-') ? -1 : 0;
		if (sign == 0 || !digits(&text, 2, &hours) || !str_take_char(&text, ':') || !digits(&text, 2, &minutes))
			return false;
	}
	if (text.n > 0 || at.tm_year < 1970 || at.tm_mon < 1 || at.tm_mon > 12 || at.tm_mday < 1 || at.tm_mday > 31 || at.tm_hour > 24 ||
	    at.tm_min > 59 || at.tm_sec > 60 || hours > 23 || minutes > 59)
		return false;
	at.tm_year -= 1900;
	at.tm_mon--;
	*out = (int64_t)timegm(&at) - sign * (hours * 3600 + minutes * 60);
	return *out >= 0;
}

static fault type_read(const json_t *policy, enum tlsrpt_policy_type *out, struct why *why)
{
	struct str name = text_in_json(policy, "policy-type");
	for (int i = 0; i < TLSRPT_POLICY_TYPES; i++)
		if (str_eq(name, str_of(tlsrpt_policy_type_name((enum tlsrpt_policy_type)i)))) {
			*out = (enum tlsrpt_policy_type)i;
			return OK;
		}
	return why_say(why, F_SYNTAX, "a policy-type is none of tlsa, sts, no-policy-found");
}

static fault detail_read(struct tlsrpt_report *r, struct tlsrpt_policy *p, const json_t *v, struct why *why)
{
	struct tlsrpt_detail d = {
		.result = text_in_json(v, "result-type"), .sending_ip = text_in_json(v, "sending-mta-ip"), .mx = text_in_json(v, "receiving-mx-hostname"),
		.helo = text_in_json(v, "receiving-mx-helo"), .receiving_ip = text_in_json(v, "receiving-ip"),
		.info = text_in_json(v, "additional-information"), .reason = text_in_json(v, "failure-reason-code"),
	};
	if (!json_is_object(v) || d.result.n == 0)
		return why_say(why, F_SYNTAX, "an entry of failure-details has no result-type");
	TRY(count_of(v, "failed-session-count", &d.sessions, why));
	tlsrpt_add_detail(r, p, &d);
	return OK;
}

static fault policy_read(struct tlsrpt_report *r, const json_t *v, struct why *why)
{
	const json_t *policy = json_object_get(v, "policy"), *summary = json_object_get(v, "summary");
	const json_t *details = json_object_get(v, "failure-details");
	struct tlsrpt_policy like = { .domain = text_in_json(policy, "policy-domain") };
	struct buf strings, hosts;
	if (!json_is_object(policy) || like.domain.n == 0)
		return why_say(why, F_SYNTAX, "a policy has no policy-domain");
	TRY(type_read(policy, &like.type, why));
	TRY(count_of(summary, "total-successful-session-count", &like.succeeded, why));
	TRY(count_of(summary, "total-failure-session-count", &like.failed, why));
	buf_init(&strings, TLSRPT_POLICY_MAX);
	buf_init(&hosts, TLSRPT_POLICY_MAX);
	put_lines(&strings, policy, "policy-string");
	put_lines(&hosts, policy, "mx-host");
	like.strings = buf_view(&strings);
	like.mx_hosts = buf_view(&hosts);
	struct tlsrpt_policy *p = tlsrpt_add_policy(r, &like);
	buf_fini(&strings);
	buf_fini(&hosts);
	if (p == NULL)
		return why_say(why, F_LIMIT, "the report has more than %d policies", TLSRPT_POLICIES_MAX);
	for (size_t i = 0; json_is_array(details) && i < json_array_size(details); i++)
		TRY(detail_read(r, p, json_array_get(details, i), why));
	return OK;
}

static fault report_read(struct tlsrpt_report *r, const json_t *root, struct why *why)
{
	const json_t *range = json_object_get(root, "date-range"), *policies = json_object_get(root, "policies");
	if (!json_is_object(root) || !json_is_array(policies))
		return why_say(why, F_SYNTAX, "this JSON is no TLS report: it has no policies");
	tlsrpt_name(r, text_in_json(root, "organization-name"), text_in_json(root, "contact-info"), text_in_json(root, "report-id"));
	if (!time_read(text_in_json(range, "start-datetime"), &r->begin_s) || !time_read(text_in_json(range, "end-datetime"), &r->end_s) ||
	    r->end_s < r->begin_s)
		return why_say(why, F_SYNTAX, "the report's date-range is none");
	for (size_t i = 0; i < json_array_size(policies); i++)
		TRY(policy_read(r, json_array_get(policies, i), why));
	return OK;
}

fault tlsrpt_read(struct str json, struct tlsrpt_report **out, struct why *why)
{
	json_error_t error;
	*out = NULL;
	if (json.n > TLSRPT_JSON_MAX)
		return why_say(why, F_LIMIT, "the report is larger than %d bytes", TLSRPT_JSON_MAX);
	TRY(measure(json, why));
	json_t *root = json_loadb(json.p != NULL ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		return why_say(why, F_SYNTAX, "line %d: this is no JSON", error.line);
	struct tlsrpt_report *r = tlsrpt_new();
	fault f = report_read(r, root, why);
	json_decref(root);
	if (f != OK)
		tlsrpt_free(&r);
	*out = r;
	return f;
}
