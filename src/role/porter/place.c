/* SPDX-License-Identifier: ISC */
#include "role/porter/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"

struct path { char *text; size_t n; };

static fault path_add(struct path *p, struct str s)
{
	if (s.n >= PLACE_MAX - p->n || memchr(s.n > 0 ? s.p : "", '\0', s.n) != NULL)
		return F_SYNTAX;
	if (s.n > 0)
		memcpy(p->text + p->n, s.p, s.n);
	p->n += s.n;
	p->text[p->n] = '\0';
	return OK;
}

static bool is_component(struct str s)
{
	return s.n > 0 && s.n <= COMPONENT_MAX && !str_has(s, '/') && !str_eq(s, STR(".")) && !str_eq(s, STR(".."));
}

/* One component of the template with the words replaced. */
static fault add_component(struct path *p, struct str component, struct str domain, struct str local)
{
	size_t start = p->n;
	while (component.n > 0) {
		size_t plain = 0;
		if (str_take(&component, STR("{domain}"))) {
			TRY(path_add(p, domain));
			continue;
		}
		if (str_take(&component, STR("{local}"))) {
			TRY(path_add(p, local));
			continue;
		}
		do
			plain++;
		while (plain < component.n && component.p[plain] != '{');
		TRY(path_add(p, str_sub(component, 0, plain)));
		component = str_from(component, plain);
	}
	return is_component((struct str){ p->text + start, p->n - start }) ? OK : F_SYNTAX;
}

static bool next_component(struct str *rest, struct str *out)
{
	while (str_take_char(rest, '/'))
		continue;
	if (rest->n == 0)
		return false;
	if (!str_take_until(rest, '/', out)) {
		*out = *rest;
		*rest = STR_NONE;
	}
	return true;
}

static fault split_address(struct str text, struct arena *a, struct str *domain, struct str *local)
{
	struct address address;
	TRY(address_parse(text, a, &address));
	if (address.literal || !local_is_file_safe(address.local))
		return F_SYNTAX;
	TRY(domain_to_ascii(address.domain, a, domain));
	*local = address.local;
	return domain_is_valid(*domain) ? OK : F_SYNTAX;
}

static fault find(struct str template_, struct str domain, struct str local, struct place *out)
{
	struct path fixed = { out->fixed, 0 }, below = { out->below, 0 };
	struct str root = conf_maildir_fixed(template_);
	struct str rest = str_from(template_, root.n), component;
	TRY(path_add(&fixed, root.n > 0 ? root : STR("/")));
	while (next_component(&rest, &component)) {
		if (below.n > 0)
			TRY(path_add(&below, STR("/")));
		TRY(add_component(&below, component, domain, local));
	}
	return below.n > 0 ? OK : F_SYNTAX;
}

fault place_find(struct str template_, struct str address, struct place *out)
{
	struct str domain, local;
	struct arena *a = arena_new(4096);
	fault f = str_starts(template_, STR("/")) ? split_address(address, a, &domain, &local) : F_SYNTAX;
	if (f == OK)
		f = find(template_, domain, local, out);
	arena_free(&a);
	return f == OK ? OK : F_SYNTAX;
}

/* FNV-1a: tells apart the recipients of one message that share a Maildir. */
static uint64_t hash(struct str s)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return h;
}

/* A queue id begins with its time in milliseconds, 45 bits in base 32. Unlike the time of arrival, which the queue moves when the
 * clock was wrong, it never changes: a repeat after that must find the first. */
static int64_t time_of(struct str id, int64_t arrived_s)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint64_t ms = 0;
	if (id.n != 15)
		return arrived_s;
	for (size_t i = 0; i < 9; i++) {
		const char *digit = id.p[i] != '\0' ? strchr(digits, id.p[i]) : NULL;
		if (digit == NULL)
			return arrived_s;
		ms = ms << 5 | (uint64_t)(digit - digits);
	}
	return (int64_t)(ms / 1000);
}

void letter_name(char out[LETTER_NAME_MAX + 1], int64_t arrived_s, struct str id, struct str address,
                 struct str hostname)
{
	char safe_id[64 + 1], host[100 + 1];
	size_t n = 0;
	for (size_t i = 0; i < id.n && n + 1 < sizeof safe_id; i++)
		safe_id[n++] = ascii_is_alnum((unsigned char)id.p[i]) ? id.p[i] : '_';
	safe_id[n] = '\0';
	n = 0;
	for (size_t i = 0; i < hostname.n && n + 1 < sizeof host; i++)
		host[n++] = ascii_is_alnum((unsigned char)hostname.p[i]) || hostname.p[i] == '-' || hostname.p[i] == '.'
		                    ? hostname.p[i] : '_';
	host[n] = '\0';
	int64_t time_s = time_of(id, arrived_s);
	(void)snprintf(out, LETTER_NAME_MAX + 1, "%" PRId64 ".Q%sR%016" PRIx64 ".%s", time_s > 0 ? time_s : 0,
	               safe_id, hash(address), host);
}
