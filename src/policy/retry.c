/* SPDX-License-Identifier: ISC */
#include "policy/retry.h"

enum { JITTER_PERCENT = 20, SPREAD = 1000 };

static int64_t interval_s(const struct conf *conf, const struct conf_retry *retry, unsigned attempts)
{
	const struct conf_retry *list = retry->n_retry > 0 ? retry : &conf->queue.retry;
	if (list->n_retry == 0)
		return 1;
	size_t i = attempts > 0 ? attempts - 1 : 0;
	return list->retry_s[i < list->n_retry ? i : list->n_retry - 1];
}

int64_t retry_next_s(const struct conf *conf, const struct conf_retry *retry, unsigned attempts, int64_t now_s,
                     uint64_t random)
{
	int64_t interval = interval_s(conf, retry, attempts);
	/* -SPREAD .. +SPREAD, as thousandths of a fifth. */
	int64_t roll = (int64_t)(random % (2 * SPREAD + 1)) - SPREAD;
	int64_t moved = interval + interval * roll * JITTER_PERCENT / (100 * SPREAD);
	return now_s + (moved < 1 ? 1 : moved);
}

int64_t retry_gives_up_at_s(const struct conf *conf, const struct conf_retry *retry, int64_t arrived_s)
{
	return arrived_s + (retry->give_up_s > 0 ? retry->give_up_s : conf->queue.retry.give_up_s);
}

bool retry_gives_up(const struct conf *conf, const struct conf_retry *retry, int64_t arrived_s, int64_t now_s)
{
	return now_s >= retry_gives_up_at_s(conf, retry, arrived_s);
}

bool retry_warns(const struct conf *conf, const struct conf_retry *retry, int64_t arrived_s, int64_t now_s)
{
	int64_t after = conf->queue.delay_warning_s;
	return after > 0 && now_s >= arrived_s + after && !retry_gives_up(conf, retry, arrived_s, now_s);
}
