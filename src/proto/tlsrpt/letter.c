/* SPDX-License-Identifier: ISC */
#include "proto/tlsrpt/letter.h"

#include "proto/tlsrpt/gzip.h"

static bool is_bare(struct str bytes)
{
	while (bytes.n > 0 && (bytes.p[0] == ' ' || bytes.p[0] == '\t' || bytes.p[0] == '\r' || bytes.p[0] == '\n'))
		bytes = str_from(bytes, 1);
	return gzip_looks_like(bytes) || str_starts(bytes, STR("{"));
}

void tlsrpt_letter_begin(struct tlsrpt_letter *l, struct str bytes)
{
	*l = (struct tlsrpt_letter){ .bare = is_bare(bytes) ? bytes : STR_NONE };
	mime_begin(&l->mime, bytes);
}

/* Whatever its type says, gzip is recognised by its beginning. */
static fault read_report(struct str bytes, struct tlsrpt_report **out, struct why *why)
{
	struct buf plain;
	if (!gzip_looks_like(bytes))
		return tlsrpt_read(bytes, out, why);
	buf_init(&plain, TLSRPT_JSON_MAX);
	fault f = gzip_get(&plain, bytes);
	if (f == F_LIMIT)
		(void)why_say(why, f, "the report unpacks to more than %d bytes", TLSRPT_JSON_MAX);
	else if (f != OK)
		(void)why_say(why, f, "the report is no whole gzip");
	else
		f = tlsrpt_read(buf_view(&plain), out, why);
	buf_fini(&plain);
	return f;
}

static fault read_part(const struct mime_part *part, struct tlsrpt_report **out, struct why *why)
{
	struct buf bytes;
	buf_init(&bytes, part->body.n + 1);
	fault f = mime_decode(&bytes, part, why);
	f = f == OK ? read_report(buf_view(&bytes), out, why) : f;
	buf_fini(&bytes);
	return f;
}

/* RFC 8460 5.1: sender "!" policy-domain "!" begin "!" end [ "!" unique-id ] "." ( "json" / "json.gz" ) */
static bool is_name_of_report(struct str name)
{
	struct str sender, domain, begin, end;
	struct str extension = str_ends_nocase(name, STR(".gz")) ? STR(".json.gz") : STR(".json");
	if (!str_ends_nocase(name, extension))
		return false;
	name.n -= extension.n;
	if (!str_take_until(&name, '!', &sender) || !str_take_until(&name, '!', &domain) || !str_take_until(&name, '!', &begin))
		return false;
	if (!str_take_until(&name, '!', &end))
		end = name;
	return sender.n > 0 && domain.n > 0 && str_is_digits(begin) && str_is_digits(end);
}

static bool holds_report(const struct mime_part *part)
{
	return str_eq_nocase(part->type, STR("application/tlsrpt+gzip")) || str_eq_nocase(part->type, STR("application/tlsrpt+json")) ||
	       is_name_of_report((struct str){ part->name.text, part->name.n });
}

fault tlsrpt_letter_next(struct tlsrpt_letter *l, struct tlsrpt_report **out, struct why *why)
{
	struct mime_part part;
	*out = NULL;
	if (l->bare.n > 0 && !l->over) {
		l->over = true;
		return read_report(l->bare, out, why);
	}
	while (!l->over) {
		fault f = mime_next(&l->mime, &part, why);
		l->over = f != OK;
		if (f != OK)
			return f;
		if (!holds_report(&part))
			continue;
		if (l->reports++ < LETTER_REPORTS_MAX)
			return read_part(&part, out, why);
		l->over = true;
		return why_say(why, F_LIMIT, "the message holds more than %d reports", LETTER_REPORTS_MAX);
	}
	return F_ABSENT;
}
