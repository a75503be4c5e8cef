/* SPDX-License-Identifier: ISC */
/* role/front/header.c -- what a header block holds, and what it lacks. */
#include "mail/header.h"
#include "role/front/front.h"

static size_t lines_in(struct str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

/* "TLS-Required:" [FWS] "No" CRLF, and nothing else (RFC 8689 3). */
static bool says_no(struct str value)
{
	struct str rest = str_trim(value);
	(void)str_take(&rest, STR("\r\n"));
	return str_eq_nocase(str_trim(rest), STR("No"));
}

static void note(struct header_facts *facts, const struct header_field *field)
{
	if (str_eq_nocase(field->name, STR("Received"))) {
		facts->received++;
	} else if (str_eq_nocase(field->name, STR("Delivered-To"))) {
		facts->delivered_tos++;
	} else if (str_eq_nocase(field->name, STR("Date"))) {
		facts->date = true;
	} else if (str_eq_nocase(field->name, STR("Message-ID"))) {
		facts->message_id = true;
	} else if (str_eq_nocase(field->name, STR("From"))) {
		facts->froms++;
		facts->from = field->value;
	} else if (str_eq_nocase(field->name, STR("Sender"))) {
		facts->senders++;
		facts->sender = field->value;
	} else if (str_eq_nocase(field->name, STR("TLS-Required"))) {
		facts->tls_requireds++;
		facts->tls_optional = says_no(field->value);
	}
}

void header_facts_read(struct str block, struct header_facts *out)
{
	struct str rest = block;
	struct header_field field;
	fault f;
	*out = (struct header_facts){ 0 };
	while ((f = header_take(&rest, &field)) == OK) {
		note(out, &field);
		out->fields++;
		out->fields_bytes = block.n - rest.n;
	}
	if (f != F_ABSENT)
		out->broken_line = lines_in(str_sub(block, 0, out->fields_bytes)) + 1;
}

bool header_was_delivered_to(struct str block, struct str address)
{
	struct header_field field;
	size_t seen = 0;
	while (seen < HEADER_DELIVERED_MAX && header_take(&block, &field) == OK) {
		if (!str_eq_nocase(field.name, STR("Delivered-To")))
			continue;
		seen++;
		if (str_eq_nocase(str_trim(field.value), address))
			return true;
	}
	return false;
}
