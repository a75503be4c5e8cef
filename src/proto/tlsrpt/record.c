/* SPDX-License-Identifier: ISC */
/* The TXT records that ask for reports: RFC 8460 3. */
#include "proto/tlsrpt/tlsrpt.h"

enum { EXTENSION_NAME_MAX = 32 };

static bool extension_name_ok(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (!ascii_is_alnum(c) && (i == 0 || (c != '_' && c != '-' && c != '.')))
			return false;
	}
	return name.n >= 1 && name.n <= EXTENSION_NAME_MAX;
}

/* Visible ASCII; an extension has no '=' either. */
static bool value_ok(struct str value, bool equals)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if (c < '!' || c > '~' || (c == '=' && !equals))
			return false;
	}
	return value.n > 0;
}

struct uris { struct tlsrpt_uri *list; size_t n; };

static bool scheme_of(struct str uri, enum tlsrpt_scheme *out)
{
	if (str_take_nocase(&uri, STR("https://")))
		*out = TLSRPT_HTTPS;
	else if (str_take_nocase(&uri, STR("mailto:")))
		*out = TLSRPT_MAILTO;
	else
		return false;
	return uri.n > 0;
}

static bool uris_read(struct str value, struct uris *out)
{
	for (bool more = true; more; ) {
		struct str uri = value;
		enum tlsrpt_scheme scheme;
		more = str_take_until(&value, ',', &uri);
		uri = str_trim(uri);
		if (!value_ok(uri, true) || str_has(uri, '!'))
			return false;
		if (scheme_of(uri, &scheme) && uri.n <= TLSRPT_URI_MAX && out->n < TLSRPT_URIS_MAX)
			out->list[out->n++] = (struct tlsrpt_uri){ scheme, uri };
	}
	return true;
}

/* The first rua counts. */
static bool fields_read(struct str rest, struct uris *uris)
{
	bool found = false;
	for (bool more = true; more; ) {
		struct str field = rest, name;
		more = str_take_until(&rest, ';', &field);
		field = str_trim(field);
		if (field.n == 0 && !more)
			break;
		if (!str_take_until(&field, '=', &name) || !extension_name_ok(name))
			return false;
		if (!str_eq(name, STR("rua"))) {
			if (!value_ok(field, false))
				return false;
			continue;
		}
		if (!found && !uris_read(field, uris))
			return false;
		found = true;
	}
	return found;
}

/* "v=TLSRPTv1" and the delimiter behind it. */
static bool version_take(struct str *rest)
{
	struct str after = *rest;
	if (!str_take(&after, STR("v=TLSRPTv1")))
		return false;
	after = str_trim(after);
	if (!str_take_char(&after, ';'))
		return false;
	*rest = after;
	return true;
}

enum tlsrpt_record tlsrpt_read_records(const struct str *records, size_t n, struct tlsrpt_uri out[TLSRPT_URIS_MAX], size_t *n_out)
{
	struct str one = STR_NONE;
	size_t candidates = 0;
	struct uris uris = { out, 0 };
	*n_out = 0;
	for (size_t i = 0; i < n; i++) {
		struct str rest = records[i];
		if (version_take(&rest)) {
			one = rest;
			candidates++;
		}
	}
	if (candidates != 1)
		return candidates == 0 ? TLSRPT_NO_RECORD : TLSRPT_SEVERAL;
	if (!fields_read(one, &uris))
		return TLSRPT_MALFORMED;
	*n_out = uris.n;
	return TLSRPT_RECORD;
}
