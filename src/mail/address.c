/* SPDX-License-Identifier: ISC */
#include "mail/address.h"

#include <arpa/inet.h>
#include <string.h>

#include <idn2.h>

enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, LABEL_MAX = 63, PATH_MAX_OCTETS = 256 };

/* A domain in a fixed place: no arena is needed to compare two. */
struct name { char text[DOMAIN_MAX + 1]; size_t n; };

static bool is_atext(unsigned char c)
{
	return ascii_is_alnum(c) || c > 127 || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Well-formed UTF-8 without the controls of C1 (U+0080 to U+009F), which terminals obey. */
static bool is_plain_utf8(struct str s)
{
	for (size_t i = 0; i + 1 < s.n; i++)
		if ((unsigned char)s.p[i] == 0xC2 && (unsigned char)s.p[i + 1] < 0xA0)
			return false;
	return str_is_utf8(s);
}

static bool has_high_byte(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

/* -- domains ------------------------------------------------------------------------------- */

static bool label_is(struct str label, bool underscores)
{
	if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!ascii_is_alnum((unsigned char)label.p[i]) && label.p[i] != '-' && !(underscores && label.p[i] == '_'))
			return false;
	return true;
}

static bool label_is_ldh(struct str label)
{
	return label_is(label, false);
}

static bool label_is_of_host(struct str label)
{
	return label_is(label, true);
}

/* Splits the first label off. False once the last one has been taken. */
static bool next_label(struct str *rest, bool *more, struct str *label)
{
	if (!*more)
		return false;
	*more = str_take_until(rest, '.', label);
	if (!*more)
		*label = *rest;
	return true;
}

static bool labels_fit(struct str domain, bool (*fits)(struct str label))
{
	struct str label;
	bool more = true;
	if (domain.n > DOMAIN_MAX)
		return false;
	while (next_label(&domain, &more, &label))
		if (!fits(label))
			return false;
	return true;
}

bool domain_is_valid(struct str domain)
{
	return labels_fit(domain, label_is_ldh);
}

bool host_is_valid(struct str host)
{
	return labels_fit(host, label_is_of_host);
}

static fault name_add(struct name *name, struct str text)
{
	if (text.n > DOMAIN_MAX - name->n)
		return F_LIMIT;
	if (text.n > 0)
		memcpy(name->text + name->n, text.p, text.n);
	name->n += text.n;
	name->text[name->n] = '\0';
	return OK;
}

static struct str name_text(const struct name *name)
{
	return (struct str){ name->text, name->n };
}

static fault add_lower(struct name *name, struct str label)
{
	if (!label_is_ldh(label))
		return label.n > LABEL_MAX ? F_LIMIT : F_SYNTAX;
	for (size_t i = 0; i < label.n; i++) {
		char c = (char)ascii_lower((unsigned char)label.p[i]);
		TRY(name_add(name, (struct str){ &c, 1 }));
	}
	return OK;
}

static fault map_label(const char *label, int flags, struct name *out)
{
	uint8_t *mapped = NULL;
	flags |= IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL;
	int got = idn2_lookup_u8((const uint8_t *)label, &mapped, flags);
	if (got == IDN2_TOO_BIG_LABEL || got == IDN2_TOO_BIG_DOMAIN)
		return F_LIMIT;
	if (got != IDN2_OK)
		return F_SYNTAX;
	out->n = 0;
	fault f = add_lower(out, str_of((const char *)mapped));
	idn2_free(mapped);
	return f;
}

/* One label through UTS 46. Each goes alone, so that a sign which the mapping turns into a dot (U+3002, U+FF0E,
 * U+FF61) or into '@' ends here: the result must be one LDH label. With the rules of STD 3 libidn2 2.3 drops
 * in silence what they forbid (U+FF20, U+2260); without them it maps it: only where both agree is it a name. */
static fault add_mapped(struct name *name, struct str label)
{
	char text[DOMAIN_MAX + 1];
	struct name strict, loose;
	if (label.n == 0 || memchr(label.p, '\0', label.n) != NULL)
		return F_SYNTAX;
	if (label.n > DOMAIN_MAX)
		return F_LIMIT;
	memcpy(text, label.p, label.n);
	text[label.n] = '\0';
	TRY(map_label(text, IDN2_USE_STD3_ASCII_RULES, &strict));
	TRY(map_label(text, 0, &loose));
	if (!str_eq(name_text(&strict), name_text(&loose)))
		return F_SYNTAX;
	return name_add(name, name_text(&strict));
}

static fault name_to_ascii(struct str domain, struct name *name)
{
	struct str label;
	bool more = true;
	name->n = 0;
	if (!is_plain_utf8(domain))
		return F_SYNTAX;
	while (next_label(&domain, &more, &label)) {
		if (name->n > 0)
			TRY(name_add(name, STR(".")));
		TRY(has_high_byte(label) ? add_mapped(name, label) : add_lower(name, label));
	}
	return OK;
}

fault domain_to_ascii(struct str domain, struct arena *a, struct str *out)
{
	struct name name;
	TRY(name_to_ascii(domain, &name));
	struct str copy = arena_try_copy(a, name_text(&name));
	if (copy.p == NULL)
		return F_LIMIT;
	*out = copy;
	return OK;
}

/* The label as people write it, if it is an A-label that says the same both ways; else as it is. */
static fault add_unicode(struct name *name, struct str label)
{
	char text[LABEL_MAX + 1], *shown = NULL;
	struct name back = { .n = 0 };
	if (label.n > LABEL_MAX || !label_is_ldh(label) || !str_starts_nocase(label, STR("xn--")))
		return name_add(name, label);
	memcpy(text, label.p, label.n);
	text[label.n] = '\0';
	if (idn2_to_unicode_8z8z(text, &shown, IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES) != IDN2_OK)
		return name_add(name, label);

	struct str u = str_of(shown);
	bool same = has_high_byte(u) && !str_has(u, '.') && name_to_ascii(u, &back) == OK &&
	            str_eq_nocase(name_text(&back), label);
	fault f = name_add(name, same ? u : label);
	idn2_free(shown);
	return f;
}

static fault name_to_unicode(struct str domain, struct name *name)
{
	struct str label;
	bool more = true;
	name->n = 0;
	while (next_label(&domain, &more, &label)) {
		if (name->n > 0)
			TRY(name_add(name, STR(".")));
		TRY(add_unicode(name, label));
	}
	return OK;
}

/* The canonical form of a domain in an address: ASCII in lower case; with other scripts in it, the U-labels
 * that its A-labels stand for. */
static fault name_canonical(struct str domain, struct name *name)
{
	if (!has_high_byte(domain))
		return name_to_ascii(domain, name);
	struct name ascii;
	TRY(name_to_ascii(domain, &ascii));
	return name_to_unicode(name_text(&ascii), name);
}

/* RFC 5321 4.1.3: "::" stands for two groups or more, so that beside it there are six at most. */
static bool gap_is_wide(struct str ip6)
{
	size_t at, groups = 1;
	if (!str_find_str(ip6, STR("::"), &at))
		return true;
	for (size_t i = 0; i < ip6.n; i++)
		groups += ip6.p[i] == ':' && i != at;
	groups += str_has(ip6, '.');
	groups -= at == 0;
	groups -= at + 2 == ip6.n;
	return groups <= 6;
}

/* IPv4, or "IPv6:"; other tags are not registered. */
static fault literal_canonical(struct str literal, struct name *name)
{
	char text[64], out[INET6_ADDRSTRLEN];
	unsigned char ip[16];
	struct str inside = str_sub(literal, 1, literal.n - 2);
	bool six = str_take_nocase(&inside, STR("IPv6:"));
	if (inside.n == 0 || inside.n >= sizeof text || memchr(inside.p, '\0', inside.n) != NULL)
		return F_SYNTAX;
	memcpy(text, inside.p, inside.n);
	text[inside.n] = '\0';
	if (six && !gap_is_wide(inside))
		return F_SYNTAX;
	int family = six ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, ip) != 1 || inet_ntop(family, ip, out, sizeof out) == NULL)
		return F_SYNTAX;

	name->n = 0;
	TRY(name_add(name, six ? STR("[IPv6:") : STR("[")));
	TRY(name_add(name, str_of(out)));
	return name_add(name, STR("]"));
}

/* -- local parts --------------------------------------------------------------------------- */

struct local { char text[LOCAL_MAX]; size_t n; };

static bool is_dot_string(struct str s)
{
	bool after_dot = true;
	for (size_t i = 0; i < s.n; i++) {
		bool dot = s.p[i] == '.';
		if (dot ? after_dot : !is_atext((unsigned char)s.p[i]))
			return false;
		after_dot = dot;
	}
	return !after_dot;
}

/* A quoted string at the front of *rest, without its quotes and quoted pairs. */
static fault take_quoted(struct str *rest, struct local *local)
{
	struct str s = str_from(*rest, 1);
	local->n = 0;
	while (s.n > 0 && s.p[0] != '"') {
		unsigned char c = (unsigned char)s.p[0];
		if (c == '\\') {
			s = str_from(s, 1);
			if (s.n == 0 || (unsigned char)s.p[0] > 126)
				return F_SYNTAX;
			c = (unsigned char)s.p[0];
		}
		if (c < 32 || c == 127)
			return F_SYNTAX;
		if (local->n == LOCAL_MAX)
			return F_LIMIT;
		local->text[local->n++] = (char)c;
		s = str_from(s, 1);
	}
	if (!str_take_char(&s, '"'))
		return F_SYNTAX;
	*rest = s;
	return OK;
}

static fault take_local(struct str *rest, struct local *local)
{
	struct str s = *rest;
	if (s.n > 0 && s.p[0] == '"') {
		TRY(take_quoted(&s, local));
	} else {
		size_t n = 0;
		while (n < s.n && (is_atext((unsigned char)s.p[n]) || s.p[n] == '.'))
			n++;
		if (!is_dot_string(str_sub(s, 0, n)))
			return F_SYNTAX;
		if (n > LOCAL_MAX)
			return F_LIMIT;
		memcpy(local->text, s.p, n);
		local->n = n;
		s = str_from(s, n);
	}
	/* The limit is on what stands in the path, quotes included (RFC 5321 4.5.3.1.1). */
	if (rest->n - s.n > LOCAL_MAX)
		return F_LIMIT;
	if (!is_plain_utf8((struct str){ local->text, local->n }))
		return F_SYNTAX;
	*rest = s;
	return OK;
}

bool local_is_file_safe(struct str local)
{
	if (local.n == 0 || local.n > LOCAL_MAX || local.p[0] == '.')
		return false;
	for (size_t i = 0; i < local.n; i++) {
		unsigned char c = (unsigned char)local.p[i];
		if (c < 32 || c == 127 || c == '/')
			return false;
	}
	return true;
}

/* -- addresses ----------------------------------------------------------------------------- */

/* What a domain or a literal may be made of: where it ends is the caller's to judge. */
static struct str take_domain(struct str *rest)
{
	size_t n = 0;
	if (rest->n > 0 && rest->p[0] == '[') {
		if (str_find(*rest, ']', &n))
			n++;
	} else {
		while (n < rest->n && (ascii_is_alnum((unsigned char)rest->p[n]) || rest->p[n] == '-' ||
		                       rest->p[n] == '.' || (unsigned char)rest->p[n] > 127))
			n++;
	}
	struct str domain = str_sub(*rest, 0, n);
	*rest = str_from(*rest, n);
	return domain;
}

static fault keep(struct arena *a, const struct local *local, const struct name *name, struct address *out)
{
	struct address got = {
		.local = arena_try_copy(a, (struct str){ local->text, local->n }),
		.domain = arena_try_copy(a, name_text(name)),
		.literal = name->n > 0 && name->text[0] == '[',
	};
	if (got.local.p == NULL || got.domain.p == NULL)
		return F_LIMIT;
	got.utf8 = has_high_byte(got.local) || has_high_byte(got.domain);
	*out = got;
	return OK;
}

/* Of a local part as put_local has it. */
static size_t written_length(struct str local)
{
	size_t n = local.n;
	if (is_dot_string(local))
		return n;
	for (size_t i = 0; i < local.n; i++)
		n += local.p[i] == '"' || local.p[i] == '\\';
	return n + 2;
}

/* local@domain at the front of *rest. */
static fault take_address(struct str *rest, struct arena *a, struct address *out)
{
	struct str s = *rest;
	struct local local;
	struct name name;
	TRY(take_local(&s, &local));
	if (!str_take_char(&s, '@'))
		return F_SYNTAX;
	struct str domain = take_domain(&s);
	if (domain.n == 0)
		return F_SYNTAX;
	TRY(domain.p[0] == '[' ? literal_canonical(domain, &name) : name_canonical(domain, &name));
	/* A U-label may be longer than the A-label that was written: what address_put makes of it must have room in a path, too. */
	size_t written = written_length((struct str){ local.text, local.n }) + 1 + name.n;
	if (rest->n - s.n > PATH_MAX_OCTETS - 2 || written > PATH_MAX_OCTETS - 2)
		return F_LIMIT;
	TRY(keep(a, &local, &name, out));
	*rest = s;
	return OK;
}

fault address_parse(struct str text, struct arena *a, struct address *out)
{
	struct address got;
	TRY(take_address(&text, a, &got));
	if (text.n > 0)
		return F_SYNTAX;
	*out = got;
	return OK;
}

fault path_parse(struct str *rest, struct arena *a, struct address *out)
{
	struct str s = *rest;
	struct address got = { .local = STR_NONE };
	if (!str_take_char(&s, '<'))
		return F_SYNTAX;
	if (str_take_nocase(&s, STR("postmaster>"))) {
		got.local = STR("postmaster");
	} else if (!str_take_char(&s, '>')) {
		TRY(take_address(&s, a, &got));
		if (!str_take_char(&s, '>'))
			return F_SYNTAX;
	}
	*rest = s;
	*out = got;
	return OK;
}

bool address_is_null(const struct address *address)
{
	return address->local.n == 0 && address->domain.n == 0;
}

static fault put_local(struct buf *out, struct str local)
{
	if (is_dot_string(local))
		return buf_add(out, local);
	TRY(buf_add_char(out, '"'));
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '"' || local.p[i] == '\\')
			TRY(buf_add_char(out, '\\'));
		TRY(buf_add_char(out, local.p[i]));
	}
	return buf_add_char(out, '"');
}

static fault put_address(struct buf *out, const struct address *address)
{
	if (address_is_null(address))
		return OK;
	TRY(put_local(out, address->local));
	if (address->domain.n == 0)
		return OK;
	TRY(buf_add_char(out, '@'));
	return buf_add(out, address->domain);
}

fault address_put(struct buf *out, const struct address *address)
{
	size_t before = buf_view(out).n;
	fault f = put_address(out, address);
	if (f != OK)
		buf_cut(out, before);
	return f;
}

struct str address_text(const struct address *address, struct arena *a)
{
	struct buf b;
	buf_init(&b, 2 * LOCAL_MAX + 3 + DOMAIN_MAX);
	fault f = address_put(&b, address);
	struct str text = f == OK ? arena_try_copy(a, buf_view(&b)) : STR_NONE;
	buf_fini(&b);
	return text;
}

struct str address_domain_of(struct str text)
{
	size_t at;
	return str_rfind(text, '@', &at) ? str_from(text, at + 1) : STR_NONE;
}

bool address_equal(const struct address *a, const struct address *b)
{
	struct name x, y;
	if (!str_eq(a->local, b->local) || a->literal != b->literal)
		return false;
	if (str_eq_nocase(a->domain, b->domain))
		return true;
	return !a->literal && name_to_ascii(a->domain, &x) == OK && name_to_ascii(b->domain, &y) == OK &&
	       str_eq(name_text(&x), name_text(&y));
}
