/* SPDX-License-Identifier: ISC */
#include "sys/log_format.h"

#include <time.h>

#include "base/check.h"
#include "base/escape.h"

#define NAME_ROW(enumerator, name, level, meaning) { name, LOG_LEVEL_##level, meaning },
static const struct { const char *name; enum log_level level; const char *meaning; } events[] = { LOG_EVENTS(NAME_ROW) };

const char *log_event_name(enum log_event event)
{
	return (unsigned)event < COUNT(events) ? events[event].name : "unknown";
}

const char *log_event_meaning(enum log_event event)
{
	return (unsigned)event < COUNT(events) ? events[event].meaning : "";
}

enum log_level log_event_level(enum log_event event)
{
	return (unsigned)event < COUNT(events) ? events[event].level : LOG_LEVEL_ERROR;
}

/* --- lines --- */

static fault put_time(struct buf *out, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm t;
	if (gmtime_r(&seconds, &t) == NULL)
		return buf_add_s64(out, wall_ms);
	const struct { int number; size_t digits; struct str after; } parts[] = {
		{ t.tm_year + 1900, 4, STR("-") }, { t.tm_mon + 1, 2, STR("-") }, { t.tm_mday, 2, STR("T") },
		{ t.tm_hour, 2, STR(":") }, { t.tm_min, 2, STR(":") }, { t.tm_sec, 2, STR(".") }, { (int)(wall_ms % 1000), 3, STR("Z") },
	};
	for (size_t i = 0; i < COUNT(parts); i++) {
		TRY(buf_add_padded(out, (uint64_t)parts[i].number, parts[i].digits));
		TRY(buf_add(out, parts[i].after));
	}
	return OK;
}

static fault put_fact(struct buf *out, const struct log_fact *fact, bool json)
{
	TRY(BUF_ADD_ALL(out, json ? STR(",\"") : STR(" "), str_of(fact->key), json ? STR("\":") : STR("=")));
	if (fact->kind == 'i')
		return buf_add_s64(out, fact->number);
	return escape_put(out, fact->text, json ? ESCAPE_JSON : ESCAPE_WORD, LOG_VALUE_MAX);
}

static fault put_head(struct buf *out, bool json, const char *role, int64_t wall_ms, enum log_event event)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	const char *level = levels[log_event_level(event)];
	TRY(buf_add(out, json ? STR("{\"time\":\"") : STR_NONE));
	TRY(put_time(out, wall_ms));
	return BUF_ADD_ALL(out, json ? STR("\",\"level\":\"") : STR(" "), str_of(level), json ? STR("\",\"role\":\"") : STR(" "), str_of(role),
	                   json ? STR("\",\"event\":\"") : STR(" "), str_of(log_event_name(event)), json ? STR("\"") : STR_NONE);
}

void log_format(struct buf *out, bool json, const char *role, int64_t wall_ms, enum log_event event, size_t n,
                const struct log_fact *facts)
{
	if (put_head(out, json, role, wall_ms, event) != OK)
		return;
	for (size_t i = 0; i < n; i++) {
		size_t before = buf_view(out).n;
		if (put_fact(out, &facts[i], json) != OK || buf_room(out) < 2) {
			buf_cut(out, before);
			break;
		}
	}
	(void)(buf_add(out, json ? STR("}\n") : STR("\n")) == OK);
}
