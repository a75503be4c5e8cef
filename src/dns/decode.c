/* SPDX-License-Identifier: ISC */
#include "dns/decode.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { LABEL_MAX = 63, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3, TLSA_HEAD = 3 };

static const struct { int number; const char *name; } kinds[] = {
	[DNS_A] = { 1, "A" },     [DNS_AAAA] = { 28, "AAAA" }, [DNS_MX] = { 15, "MX" },
	[DNS_PTR] = { 12, "PTR" }, [DNS_TXT] = { 16, "TXT" },  [DNS_TLSA] = { 52, "TLSA" },
	[DNS_CNAME] = { 5, "CNAME" },
};

int dns_kind_number(enum dns_kind kind)
{
	check((size_t)kind < COUNT(kinds));
	return kinds[kind].number;
}

/* Host names, and the underscores that TLSA and policy names bring. */
static bool label_ok(struct str label)
{
	if (label.n == 0 || label.n > LABEL_MAX)
		return false;
	for (size_t i = 0; i < label.n; i++) {
		unsigned char c = (unsigned char)label.p[i];
		if (!ascii_is_alnum(c) && c != '-' && c != '_')
			return false;
	}
	return true;
}

static fault label_put(struct buf *out, struct str label)
{
	for (size_t i = 0; i < label.n; i++)
		TRY(buf_add_char(out, (char)ascii_lower((unsigned char)label.p[i])));
	return OK;
}

/* "a.example" or "a.example." as "a.example". */
static fault name_put(struct buf *out, struct str name)
{
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > DNS_NAME_MAX)
		return F_SYNTAX;
	for (bool more = true; more; ) {
		struct str label = name;
		more = str_take_until(&name, '.', &label);
		if (!label_ok(label))
			return F_SYNTAX;
		TRY(label_put(out, label));
		if (more)
			TRY(buf_add_char(out, '.'));
	}
	return OK;
}

static fault reverse_put(struct buf *out, struct str address)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char ip[16];
	if (address.n >= sizeof text || str_has(address, '\0'))
		return F_SYNTAX;
	memcpy(text, address.p, address.n);
	text[address.n] = '\0';
	if (inet_pton(AF_INET, text, ip) == 1)
		return buf_addf(out, "%u.%u.%u.%u.in-addr.arpa.", ip[3], ip[2], ip[1], ip[0]);
	if (inet_pton(AF_INET6, text, ip) != 1)
		return F_SYNTAX;
	for (int i = 15; i >= 0; i--)
		TRY(buf_addf(out, "%x.%x.", ip[i] & 0xfu, (unsigned)ip[i] >> 4));
	return buf_add(out, STR("ip6.arpa."));
}

fault dns_question_put(struct buf *out, enum dns_kind kind, struct str name)
{
	if (kind == DNS_PTR)
		return name.n == 0 ? F_SYNTAX : reverse_put(out, name);
	if (!str_eq(name, STR(".")))
		TRY(name_put(out, name));
	return buf_add_char(out, '.');
}

/* A name of the wire that fills `wire` to its end; the root is the empty text. A length byte above 63 is a
 * pointer or a kind of label that has no place here. */
static fault wire_name_put(struct buf *out, struct str wire)
{
	size_t at = 0;
	if (wire.n == 0 || wire.n > DNS_NAME_MAX + 2)
		return F_SYNTAX;
	for (;;) {
		size_t n = (unsigned char)wire.p[at++];
		if (n == 0)
			return at == wire.n ? OK : F_SYNTAX;
		if (n > LABEL_MAX || at + n >= wire.n)
			return F_SYNTAX;
		struct str label = str_sub(wire, at, n);
		if (!label_ok(label))
			return F_SYNTAX;
		if (at > 1)
			TRY(buf_add_char(out, '.'));
		TRY(label_put(out, label));
		at += n;
	}
}

static fault address_put(struct buf *out, int family, size_t size, struct str rdata)
{
	char text[INET6_ADDRSTRLEN];
	if (rdata.n != size)
		return F_SYNTAX;
	inet_ntop(family, rdata.p, text, sizeof text);
	return buf_add(out, str_of(text));
}

/* The strings of a TXT record, joined (RFC 7208 3.3, RFC 8461 3.1). */
static fault txt_put(struct buf *out, struct str rdata)
{
	if (rdata.n == 0)
		return F_SYNTAX;
	while (rdata.n > 0) {
		size_t n = (unsigned char)rdata.p[0];
		if (n + 1 > rdata.n)
			return F_SYNTAX;
		TRY(buf_add(out, str_sub(rdata, 1, n)));
		rdata = str_from(rdata, n + 1);
	}
	return OK;
}

static uint32_t preference(enum dns_kind kind, struct str rdata)
{
	if (kind != DNS_MX || rdata.n < 2)
		return 0;
	return (uint32_t)(unsigned char)rdata.p[0] << 8 | (unsigned char)rdata.p[1];
}

static fault record_put(struct buf *out, enum dns_kind kind, struct str rdata)
{
	switch (kind) {
	case DNS_A:    return address_put(out, AF_INET, 4, rdata);
	case DNS_AAAA: return address_put(out, AF_INET6, 16, rdata);
	case DNS_MX:   return rdata.n < 3 ? F_SYNTAX : wire_name_put(out, str_from(rdata, 2));
	case DNS_PTR:
	case DNS_CNAME: /* the root is nobody's name */
		return rdata.n < 2 ? F_SYNTAX : wire_name_put(out, rdata);
	case DNS_TXT:  return txt_put(out, rdata);
	/* Whether it is usable is decided where it is used (RFC 7672 2.2): a malformed one still counts, and one that is too
	 * large goes on as its head alone, which makes it malformed. */
	case DNS_TLSA: return buf_add(out, rdata.n <= DNS_TLSA_BYTES_MAX ? rdata : str_sub(rdata, 0, TLSA_HEAD));
	}
	return F_SYNTAX;
}

static int by_number(const void *a, const void *b)
{
	const struct dns_record *left = a, *right = b;
	return left->number < right->number ? -1 : left->number > right->number;
}

/* The record's raw data is its text until it has been decoded. */
static size_t records_sorted(enum dns_kind kind, const struct dns_raw *raw, struct dns_record *to)
{
	for (size_t i = 0; i < raw->n; i++)
		to[i] = (struct dns_record){ preference(kind, raw->rdata[i]), raw->rdata[i] };
	if (kind == DNS_MX)
		qsort(to, raw->n, sizeof *to, by_number);
	return raw->n;
}

static size_t records_decode(enum dns_kind kind, const struct dns_raw *raw, struct arena *a,
                             struct dns_record *kept)
{
	size_t n_kept = 0;
	struct dns_record *all = must_alloc(sizeof *all * (raw->n + 1));
	size_t n = records_sorted(kind, raw, all);
	struct buf text;
	buf_init(&text, 65536);
	for (size_t i = 0; i < n && n_kept < DNS_RECORDS_MAX; i++) {
		buf_clear(&text);
		if (record_put(&text, kind, all[i].text) != OK)
			continue;
		struct str copy = arena_try_copy(a, buf_view(&text));
		if (copy.p == NULL)
			break;
		kept[n_kept++] = (struct dns_record){ all[i].number, copy };
	}
	buf_fini(&text);
	free(all);
	return n_kept;
}

/* Text of others, for people: printable and short. */
static struct str text_keep(struct arena *a, struct str text)
{
	char clean[DNS_TEXT_MAX];
	size_t n = text.n < sizeof clean ? text.n : sizeof clean;
	for (size_t i = 0; i < n; i++)
		clean[i] = text.p[i] >= ' ' && text.p[i] <= '~' ? text.p[i] : '?';
	return arena_try_copy(a, (struct str){ clean, n });
}

static void say(struct dns_answer *out, enum dns_result result, struct arena *a, struct str text)
{
	*out = (struct dns_answer){ .result = result, .ttl_s = out->ttl_s, .text = text_keep(a, text) };
}

static void say_rcode(struct dns_answer *out, int rcode, struct arena *a)
{
	static const char *const names[] = { "no error", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };
	struct buf text;
	buf_init(&text, DNS_TEXT_MAX);
	if (rcode == RCODE_SERVFAIL) /* libunbound gives it, too, where nobody has answered */
		(void)!buf_addf(&text, "no usable answer came from the name servers (SERVFAIL)");
	else if (rcode >= 0 && (size_t)rcode < COUNT(names))
		(void)!buf_addf(&text, "the name server answered %s", names[rcode]);
	else
		(void)!buf_addf(&text, "the name server answered with code %d", rcode);
	say(out, DNS_FAILED, a, buf_view(&text));
	buf_fini(&text);
}

static bool canonical_keep(enum dns_kind kind, struct str canonical, struct arena *a,
                           struct dns_answer *out)
{
	if (canonical.n == 0 || str_eq(canonical, STR(".")))
		return true;
	struct buf text;
	buf_init(&text, DNS_NAME_MAX + 1);
	bool ok = name_put(&text, canonical) == OK;
	if (ok)
		out->canonical = arena_try_copy(a, buf_view(&text));
	buf_fini(&text);
	/* Reverse zones are delegated through names such as 0/25.2.0.192.in-addr.arpa (RFC 2317); nobody
	 * looks at those again. */
	return ok || kind == DNS_PTR;
}

/* Takes a text in brackets, which may hold more of them, and a space before it: "" if there is none, or no end of it. */
static struct str bracketed_take(struct str *text)
{
	struct str found = STR_NONE;
	if (!str_starts(*text, STR(" [")))
		return found;
	size_t depth = 0;
	for (size_t i = 1; i < text->n; i++) {
		depth += text->p[i] == '[';
		if (text->p[i] != ']' || --depth > 0)
			continue;
		found = str_sub(*text, 2, i - 2);
		*text = str_from(*text, i + 1);
		return found;
	}
	return found;
}

/* What libunbound says when no answer came to a question for a DNSKEY or DS record. One without the record, or with a wrong one,
 * comes "from" somebody. From 1.22 on, what went wrong stands between, in brackets; and of a key that failed a moment ago only that
 * is repeated, where "misc failure" means that somebody did answer. Words that another version has give DNS_BOGUS: no less safe. */
static bool is_for_want_of_an_answer(struct str why)
{
	static const struct { const char *words, *then; } rows[] = {
		{ ": No DNSKEY record", " for key " }, { ": no DNSKEY rrset", " for trust anchor " }, { ": SERVFAIL", " no DS for " },
		{ " a previous No DNSKEY record", NULL }, { " a previous no DNSKEY rrset", NULL },
	};
	size_t at;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (!str_find_str(why, str_of(rows[i].words), &at))
			continue;
		struct str rest = str_from(why, at + strlen(rows[i].words)), reason = bracketed_take(&rest);
		if (rows[i].then != NULL ? str_starts(rest, str_of(rows[i].then))
		                         : rest.n == 0 && reason.n > 0 && !str_eq(reason, STR("misc failure")))
			return true;
	}
	return str_ends_nocase(why, STR(" a previous no DS"));
}

void dns_answer_decode(enum dns_kind kind, const struct dns_raw *raw, struct arena *a,
                       struct dns_answer *out)
{
	int64_t ttl_s = raw->ttl_s < 0 ? 0 : raw->ttl_s;
	*out = (struct dns_answer){
		.result = DNS_NODATA,
		.secure = raw->secure && !raw->bogus,
		.ttl_s = (uint32_t)(ttl_s < DNS_TTL_MAX_S ? ttl_s : DNS_TTL_MAX_S),
	};
	if (raw->bogus && is_for_want_of_an_answer(raw->why)) {
		say(out, DNS_FAILED, a, STR("no name server answers for the DNSSEC keys that prove it"));
		return;
	}
	if (raw->bogus) {
		say(out, DNS_BOGUS, a, raw->why.n > 0 ? raw->why : STR("DNSSEC validation failed"));
		return;
	}
	if (raw->rcode != 0 && raw->rcode != RCODE_NXDOMAIN) {
		say_rcode(out, raw->rcode, a);
		return;
	}
	if (!canonical_keep(kind, raw->canonical, a, out)) {
		say(out, DNS_FAILED, a, STR("a CNAME leads to something that is no name"));
		return;
	}
	if (raw->n == 0 && raw->cut) {
		say(out, DNS_FAILED, a, STR("the answer does not fit into a message of the DNS"));
		return;
	}
	if (raw->n == 0) {
		if (raw->nxdomain || raw->rcode == RCODE_NXDOMAIN)
			out->result = DNS_NXDOMAIN;
		return;
	}
	struct dns_record *records = arena_try_alloc(a, sizeof *records * DNS_RECORDS_MAX);
	if (records == NULL) {
		say(out, DNS_FAILED, a, STR("the answer is too large"));
		return;
	}
	out->n_records = records_decode(kind, raw, a, records);
	out->records = records;
	out->result = DNS_FOUND;
	if (out->n_records == 0)
		say(out, DNS_FAILED, a, STR("none of the records in the answer can be used"));
}
