/* SPDX-License-Identifier: ISC */
#include "proto/tlsrpt/digest.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"

enum { KEY_MAX = 4 * TLSRPT_TEXT_MAX };

struct digest {
	uint64_t seed;
	struct map *seen;                /* organisation and id of each report */
	struct map *by_key;              /* domain and organisation -> struct digest_entry */
	struct digest_entry **entries;
	size_t n, reports;
};

static const struct str other = STR_INIT("other");

struct digest *digest_new(uint64_t seed)
{
	struct digest *d = NEW(struct digest);
	*d = (struct digest){ .seed = seed, .seen = map_new(seed), .by_key = map_new(seed) };
	return d;
}

void digest_free(struct digest **d_ref)
{
	struct digest *d = *d_ref;
	*d_ref = NULL;
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->n; i++) {
		struct digest_entry *e = d->entries[i];
		for (size_t k = 0; k < e->n_results; k++)
			str_release(&e->results[k].name);
		free(e->results);
		str_release(&e->domain);
		str_release(&e->organization);
		free(e);
	}
	free(d->entries);
	map_free(&d->seen);
	map_free(&d->by_key);
	free(d);
}

/* Two texts, the first one in lower case; none of them has a NUL (tlsrpt.h). */
static void put_key(struct buf *out, struct str one, struct str two)
{
	fault f = OK;
	buf_clear(out);
	for (size_t i = 0; i < one.n && f == OK; i++)
		f = buf_add_char(out, (char)ascii_lower((unsigned char)one.p[i]));
	f = f == OK ? buf_add_char(out, '\0') : f;
	f = f == OK ? buf_add(out, two) : f;
	check(f == OK);
}

/* ---- has it been counted? ---- */

static void put_identity(struct digest *d, struct buf *key, const struct tlsrpt_report *r)
{
	char hash[32];
	struct buf text;
	if (r->id.n > 0) {
		put_key(key, r->organization, r->id);
		return;
	}
	buf_init(&text, SIZE_MAX / 2);
	fault f = tlsrpt_write(&text, r);
	check(f == OK);
	put_key(key, r->organization, STR("\n"));
	for (uint64_t v = map_hash(d->seed, buf_view(&text)), i = 0; i < sizeof hash / 2; i++, v >>= 4)
		hash[i] = "0123456789abcdef"[v & 15];
	f = buf_add(key, (struct str){ hash, sizeof hash / 2 });
	check(f == OK);
	buf_fini(&text);
}

/* ---- sums ---- */

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > TLSRPT_COUNT_MAX - b ? TLSRPT_COUNT_MAX : a + b;
}

/* How many entries it would make, at most. */
static size_t new_entries(struct digest *d, struct buf *key, const struct tlsrpt_report *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n_policies; i++) {
		put_key(key, r->policies[i].domain, r->organization);
		n += map_get(d->by_key, buf_view(key)) == NULL;
	}
	return n;
}

static struct digest_entry *entry_of(struct digest *d, struct buf *key, const struct tlsrpt_report *r, struct str domain)
{
	put_key(key, domain, r->organization);
	struct digest_entry *e = map_get(d->by_key, buf_view(key));
	if (e == NULL) {
		e = NEW(struct digest_entry);
		*e = (struct digest_entry){ .domain = str_keep(domain), .organization = str_keep(r->organization),
			                    .begin_s = r->begin_s, .end_s = r->end_s };
		d->entries = must_resize(d->entries, sizeof e * (d->n + 1));
		d->entries[d->n++] = e;
		map_set(d->by_key, buf_view(key), e);
	}
	return e;
}

static void add_result(struct digest_entry *e, struct str name, uint64_t sessions)
{
	for (;;) {
		for (size_t i = 0; i < e->n_results; i++)
			if (str_eq(e->results[i].name, name)) {
				e->results[i].sessions = add(e->results[i].sessions, sessions);
				return;
			}
		if (e->n_results < DIGEST_RESULTS_MAX || str_eq(name, other))
			break;
		name = other;
	}
	e->results = must_resize(e->results, sizeof e->results[0] * (e->n_results + 1));
	e->results[e->n_results++] = (struct digest_result){ str_keep(name), sessions };
}

static void add_policy(struct digest_entry *e, const struct tlsrpt_report *r, const struct tlsrpt_policy *p)
{
	e->succeeded = add(e->succeeded, p->succeeded);
	e->failed = add(e->failed, p->failed);
	e->begin_s = r->begin_s < e->begin_s ? r->begin_s : e->begin_s;
	e->end_s = r->end_s > e->end_s ? r->end_s : e->end_s;
	for (size_t i = 0; i < p->n_details; i++)
		add_result(e, p->details[i].result, p->details[i].sessions);
}

/* Has a policy before this one the same domain? */
static bool is_again(const struct tlsrpt_report *r, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (str_eq_nocase(r->policies[i].domain, r->policies[at].domain))
			return true;
	return false;
}

fault digest_add(struct digest *d, const struct tlsrpt_report *r)
{
	struct buf identity, key;
	buf_init(&identity, KEY_MAX);
	buf_init(&key, KEY_MAX);
	put_identity(d, &identity, r);
	fault f = map_get(d->seen, buf_view(&identity)) != NULL ? F_EXISTS
	          : d->reports >= DIGEST_REPORTS_MAX || d->n + new_entries(d, &key, r) > DIGEST_ENTRIES_MAX ? F_LIMIT : OK;
	if (f == OK) {
		map_set(d->seen, buf_view(&identity), d);
		d->reports++;
		for (size_t i = 0; i < r->n_policies; i++) {
			struct digest_entry *e = entry_of(d, &key, r, r->policies[i].domain);
			e->reports += !is_again(r, i);
			add_policy(e, r, &r->policies[i]);
		}
	}
	buf_fini(&identity);
	buf_fini(&key);
	return f;
}

static int in_order(const void *a, const void *b)
{
	const struct digest_entry *one = *(struct digest_entry *const *)a, *two = *(struct digest_entry *const *)b;
	int order = str_order(one->domain, two->domain);
	return order != 0 ? order : str_order(one->organization, two->organization);
}

const struct digest_entry *const *digest_list(struct digest *d, size_t *n_out)
{
	if (d->n > 0)
		qsort(d->entries, d->n, sizeof d->entries[0], in_order);
	*n_out = d->n;
	return (const struct digest_entry *const *)d->entries;
}

size_t digest_reports(const struct digest *d)
{
	return d->reports;
}
