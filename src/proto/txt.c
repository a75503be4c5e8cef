/* SPDX-License-Identifier: ISC */
#include "proto/txt.h"

/* The version and the delimiter behind it. */
static bool take_version(struct str *rest, struct str version)
{
	struct str after = *rest;
	if (!str_take(&after, version))
		return false;
	after = str_trim(after);
	if (!str_take_char(&after, ';'))
		return false;
	*rest = after;
	return true;
}

size_t txt_find(const struct str *records, size_t n, struct str version, struct txt_fields *out)
{
	size_t found = 0;
	*out = (struct txt_fields){ .over = true };
	for (size_t i = 0; i < n; i++) {
		struct str rest = records[i];
		if (take_version(&rest, version)) {
			*out = (struct txt_fields){ .rest = rest };
			found++;
		}
	}
	return found;
}

fault txt_next(struct txt_fields *fields, struct str *name_out, struct str *value_out)
{
	struct str field = fields->rest, name;
	if (fields->over)
		return F_ABSENT;
	fields->over = !str_take_until(&fields->rest, ';', &field);
	field = str_trim(field);
	if (field.n == 0 && fields->over)
		return F_ABSENT;
	if (!str_take_until(&field, '=', &name) || !txt_name_is_valid(name))
		return F_SYNTAX;
	*name_out = name;
	*value_out = field;
	return OK;
}

bool txt_name_is_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (!ascii_is_alnum(c) && (i == 0 || (c != '_' && c != '-' && c != '.')))
			return false;
	}
	return name.n >= 1 && name.n <= TXT_NAME_MAX;
}

bool txt_is_visible(struct str value)
{
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < '!' || value.p[i] > '~')
			return false;
	return value.n > 0;
}

bool txt_value_is_valid(struct str value)
{
	return txt_is_visible(value) && !str_has(value, '=');
}
