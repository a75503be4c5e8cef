/* SPDX-License-Identifier: ISC */
/* Records, policies and what is kept of them: what is taken is whole, bounded, and comes back the same. The first byte says
 * which of them the rest is. */
#include "base/check.h"
#include "proto/mtasts/cache.h"

enum { NOW_S = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One a line. */
static void try_records(struct str text)
{
	struct str records[8], id = STR_NONE;
	size_t n = 0;
	while (n < COUNT(records) && str_next_line(&text, &records[n]))
		n++;
	if (mtasts_read_records(records, n, &id) == MTASTS_RECORD)
		check(mtasts_id_is_valid(id));
	else
		check(id.n == 0);
}

static void check_kept(const struct mtasts_known *known)
{
	struct mtasts_known back;
	struct buf text;
	buf_init(&text, MTASTS_KEPT_MAX);
	check(mtasts_keep(&text, known) == OK);
	check(mtasts_kept(buf_view(&text), NOW_S, &back) == OK);
	check(str_eq(back.mx, known->mx) && str_eq(back.id, known->id) && back.mode == known->mode);
	check(back.fetched_s == known->fetched_s && back.max_age_s == known->max_age_s && back.used_s == known->used_s);
	int64_t renew_s = mtasts_renew_s(known, (uint64_t)known->max_age_s);
	check(renew_s >= known->fetched_s && (renew_s == INT64_MAX || renew_s <= mtasts_expires_s(known)));
	buf_fini(&text);
}

static void try_policy(struct str body)
{
	struct mtasts_policy p;
	struct buf mx;
	struct why why = { "" };
	if (mtasts_parse(body, &p, &why) != OK) {
		check(why.text[0] != '\0');
		return;
	}
	check(p.n_mx <= MTASTS_PATTERNS_MAX && p.max_age_s >= 0 && p.max_age_s <= MTASTS_AGE_MAX_S);
	buf_init(&mx, MTASTS_MX_MAX);
	check(mtasts_put_mx(&mx, &p) == OK);
	for (size_t i = 0; i < p.n_mx; i++)
		(void)mtasts_mx_allows(buf_view(&mx), p.mx[i]);
	check_kept(&(struct mtasts_known){ .fetched_s = NOW_S, .max_age_s = p.max_age_s, .used_s = NOW_S, .mode = p.mode,
	                                   .id = STR("a"), .mx = buf_view(&mx) });
	buf_fini(&mx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mtasts_known known;
	if (size == 0)
		return 0;
	struct str text = { (const char *)data + 1, size - 1 };
	switch (data[0]) {
	case 'r':
		try_records(text);
		break;
	case 'k':
		if (mtasts_kept(text, NOW_S, &known) == OK)
			check_kept(&known);
		break;
	default:
		(void)mtasts_content_type_fits(str_sub(text, 0, 80));
		try_policy(text);
	}
	return 0;
}
