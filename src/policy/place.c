/* SPDX-License-Identifier: ISC */
#include "policy/place.h"

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
