/* SPDX-License-Identifier: ISC */
/* The TXT records that ask for reports: RFC 8460 3. */
#include "proto/tlsrpt/tlsrpt.h"
#include "proto/txt.h"

struct uris { struct str *list; size_t n; };

static bool is_known(struct str uri)
{
	return (str_take_nocase(&uri, STR("https://")) || str_take_nocase(&uri, STR("mailto:"))) && uri.n > 0;
}

static bool uris_read(struct str value, struct uris *out)
{
	for (bool more = true; more; ) {
		struct str uri = value;
		more = str_take_until(&value, ',', &uri);
		uri = str_trim(uri);
		if (!txt_is_visible(uri) || str_has(uri, '!'))
			return false;
		if (is_known(uri) && uri.n <= TLSRPT_URI_MAX && out->n < TLSRPT_URIS_MAX)
			out->list[out->n++] = uri;
	}
	return true;
}

/* The first rua counts. */
static bool fields_read(struct txt_fields *fields, struct uris *uris)
{
	struct str name, value;
	bool found = false;
	fault f;
	while ((f = txt_next(fields, &name, &value)) == OK) {
		bool rua = str_eq(name, STR("rua"));
		if (!rua && !txt_value_is_valid(value))
			return false;
		if (rua && !found && !uris_read(value, uris))
			return false;
		found = found || rua;
	}
	return f == F_ABSENT && found;
}

enum tlsrpt_record tlsrpt_read_records(const struct str *records, size_t n, struct str out[TLSRPT_URIS_MAX], size_t *n_out)
{
	struct uris uris = { out, 0 };
	struct txt_fields fields;
	size_t candidates = txt_find(records, n, STR("v=TLSRPTv1"), &fields);
	*n_out = 0;
	if (candidates != 1)
		return candidates == 0 ? TLSRPT_NO_RECORD : TLSRPT_SEVERAL;
	if (!fields_read(&fields, &uris))
		return TLSRPT_MALFORMED;
	*n_out = uris.n;
	return TLSRPT_RECORD;
}
