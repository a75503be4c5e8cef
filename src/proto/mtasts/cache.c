/* SPDX-License-Identifier: ISC */
#include "proto/mtasts/cache.h"

enum { DOUBLINGS_MAX = 16, SPREAD_PART = 8 };

bool mtasts_lives(const struct mtasts_known *known, int64_t now_s)
{
	return known->fetched_s > 0 && now_s - known->fetched_s <= known->max_age_s;
}

int64_t mtasts_expires_s(const struct mtasts_known *known)
{
	return known->fetched_s + known->max_age_s;
}

static int64_t back_off_s(unsigned failures)
{
	int64_t wait_s = (int64_t)MTASTS_RETRY_S << (failures - 1 < DOUBLINGS_MAX ? failures - 1 : DOUBLINGS_MAX);
	return wait_s < MTASTS_RETRY_MOST_S ? wait_s : MTASTS_RETRY_MOST_S;
}

int64_t mtasts_retry_s(const struct mtasts_known *known, struct str id)
{
	if (known->failures == 0 || !str_eq(known->failed_id, id))
		return 0;
	return known->failed_s + back_off_s(known->failures);
}

static enum mtasts_step without_fetch(const struct mtasts_known *known, int64_t now_s)
{
	return mtasts_lives(known, now_s) ? MTASTS_USE : MTASTS_USE_NONE;
}

enum mtasts_step mtasts_decide(const struct mtasts_known *known, enum mtasts_record record, bool no_answer, struct str id,
                               int64_t now_s)
{
	if (no_answer || record != MTASTS_RECORD)
		return without_fetch(known, now_s);
	if (mtasts_lives(known, now_s) && str_eq(known->id, id))
		return MTASTS_USE;
	return now_s < mtasts_retry_s(known, id) ? without_fetch(known, now_s) : MTASTS_FETCH;
}

int64_t mtasts_renew_s(const struct mtasts_known *known, uint64_t random)
{
	int64_t wait_s = known->max_age_s / 2 < MTASTS_RENEW_S ? known->max_age_s / 2 : MTASTS_RENEW_S;
	if (known->fetched_s <= 0 || known->mode == MTASTS_MODE_NONE || wait_s < MTASTS_RETRY_S)
		return INT64_MAX;
	if (known->failures > 0 && known->failed_s >= known->fetched_s) /* whatever id it was tried for */
		return known->failed_s + back_off_s(known->failures);
	int64_t due_s = known->fetched_s + wait_s - (int64_t)(random % (uint64_t)(wait_s / SPREAD_PART + 1));
	return due_s - known->used_s <= MTASTS_UNUSED_S ? due_s : INT64_MAX;
}

/* ---- as text ---- */

fault mtasts_keep(struct buf *out, const struct mtasts_known *known)
{
	return buf_addf(out, "1 %lld %lld %lld %s %.*s\n%.*s", (long long)known->fetched_s, (long long)known->max_age_s,
	                (long long)known->used_s, mtasts_mode_name(known->mode), STR_ARG(known->id), STR_ARG(known->mx));
}

static bool seconds_take(struct str *rest, int64_t most_s, int64_t *out)
{
	struct str word;
	uint64_t s;
	if (!str_take_word(rest, &word) || !str_u64(word, &s) || s > (uint64_t)most_s)
		return false;
	*out = (int64_t)s;
	return true;
}

static bool mode_take(struct str *rest, enum mtasts_mode *out)
{
	struct str word;
	if (!str_take_word(rest, &word))
		return false;
	for (int mode = MTASTS_MODE_NONE; mode <= MTASTS_MODE_ENFORCE; mode++)
		if (str_eq(word, str_of(mtasts_mode_name((enum mtasts_mode)mode)))) {
			*out = (enum mtasts_mode)mode;
			return true;
		}
	return false;
}

static bool mx_ok(struct str mx, enum mtasts_mode mode)
{
	size_t n = 0;
	if (mx.n == 0)
		return mode == MTASTS_MODE_NONE;
	for (bool more = true; more; n++) {
		struct str pattern = mx;
		more = str_take_until(&mx, ' ', &pattern);
		if (!mtasts_pattern_is_valid(pattern))
			return false;
	}
	return n <= MTASTS_PATTERNS_MAX;
}

fault mtasts_kept(struct str value, int64_t now_s, struct mtasts_known *out)
{
	struct mtasts_known known = { .fetched_s = 0 };
	struct str line, version;
	if (!str_take_line(&value, &line) || !str_take_word(&line, &version) || !str_eq(version, STR("1")) ||
	    !seconds_take(&line, INT64_MAX / 4, &known.fetched_s) || !seconds_take(&line, MTASTS_AGE_MAX_S, &known.max_age_s) ||
	    !seconds_take(&line, INT64_MAX / 4, &known.used_s) || !mode_take(&line, &known.mode) ||
	    !str_take_word(&line, &known.id) || line.n > 0 || !mtasts_id_is_valid(known.id) || !mx_ok(value, known.mode) ||
	    known.fetched_s == 0)
		return F_SYNTAX;
	known.mx = value;
	/* The clock was ahead when it was noted down: nothing has been fetched in the future. */
	if (known.fetched_s > now_s)
		known.fetched_s = now_s;
	if (known.used_s > now_s)
		known.used_s = now_s;
	*out = known;
	return OK;
}

static void move(int64_t *time_s, int64_t by_s)
{
	if (*time_s > 0)
		*time_s = *time_s + by_s > 0 ? *time_s + by_s : 1;
}

void mtasts_shift(struct mtasts_known *known, int64_t by_s)
{
	move(&known->fetched_s, by_s);
	move(&known->used_s, by_s);
	move(&known->failed_s, by_s);
}
