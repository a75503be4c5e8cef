/* SPDX-License-Identifier: ISC */
/* store/sqlite_clock.c -- the times in the queue put right, where a clock was wrong. */
#include "base/check.h"
#include "store/sqlite_inside.h"

static fault clamp_arrived(struct store *s, int64_t now_s)
{
	if (s->latest_arrived_s <= now_s)
		return OK;
	sqlite3_stmt *st = sql(s, SQL_CLAMP_ARRIVED);
	bind_s64(st, 1, now_s);
	return sql_run(s, st, NULL);
}

static fault clamp_next(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out)
{
	if (s->latest_due_s <= latest_s)
		return OK;
	sqlite3_stmt *st = sql(s, SQL_CLAMP_NEXT);
	bind_s64(st, 1, now_s);
	bind_s64(st, 2, latest_s);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	for (; st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW; ++*n_out)
		after_note(s, column_str(st, 0), now_s);
	return sql_rest(s, st, rc, NULL);
}

fault sqlite_clamp(struct store *s, int64_t now_s, int64_t latest_s, uint64_t *n_out)
{
	uint64_t n = 0;
	*n_out = 0;
	in_hand_forget(s);
	TRY(transaction_begin(s, NULL));
	fault f = clamp_arrived(s, now_s);
	if (f == OK)
		f = clamp_next(s, now_s, latest_s, &n);
	f = transaction_end(s, f, NULL);
	*n_out = f == OK ? n : 0;
	return f;
}

fault sqlite_shift(struct store *s, int64_t by_s)
{
	static const enum sql all[] = { SQL_SHIFT_ARRIVED, SQL_SHIFT_NEXT, SQL_SHIFT_OBSERVED };
	in_hand_forget(s);
	TRY(observations_write(s, NULL));
	TRY(transaction_begin(s, NULL));
	fault f = OK;
	for (size_t i = 0; i < COUNT(all) && f == OK; i++) {
		sqlite3_stmt *st = sql(s, all[i]);
		bind_s64(st, 1, by_s);
		f = sql_run(s, st, NULL);
	}
	TRY(transaction_end(s, f, NULL));
	schedule_ask_all_again(s->schedule);
	return learn_schedule(s, NULL); /* what is noted too early is harmless */
}
