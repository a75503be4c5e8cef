/* SPDX-License-Identifier: ISC */
/*
 * role/supervisor/patience.c -- how long a role may take over its configuration.
 *
 * It is told of after 20, 40 and 80 s and then every two minutes. Only silence counts: who has said nothing for two minutes hangs, who
 * gets on (a spool with a million letters, on a slow disk) has all the time that it needs.
 */
#include "role/supervisor/slot.h"

enum { READY_MS = 20000, SILENT_MS = 120000 };

int64_t patience_until_ms(int64_t offered_ms, int64_t heard_ms, int64_t now_ms)
{
	int64_t waited_ms = now_ms - offered_ms, silent_at_ms = heard_ms + SILENT_MS;
	if (now_ms >= silent_at_ms)
		return 0;
	int64_t next_ms = waited_ms < READY_MS ? offered_ms + READY_MS : waited_ms < SILENT_MS ? now_ms + waited_ms : now_ms + SILENT_MS;
	return next_ms < silent_at_ms ? next_ms : silent_at_ms;
}
