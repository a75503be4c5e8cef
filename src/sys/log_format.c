/* SPDX-License-Identifier: ISC */
#include "sys/log_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

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

/* --- values --- */

/* Controls, and what makes a reader see another text than is there: direction marks, invisible characters, tags. */
static bool deceives(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

/* The length of the UTF-8 character that s begins with, or 0. */
static size_t character(struct str s, uint32_t *out)
{
	unsigned char first = (unsigned char)s.p[0];
	size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (n > s.n || !str_is_utf8(str_sub(s, 0, n)))
		return 0;
	*out = n == 1 ? first : first & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*out = *out << 6 | ((unsigned char)s.p[i] & 0x3f);
	return n;
}

static size_t escape_bytes(char *to, struct str bytes, const char *format)
{
	size_t n = 0;
	for (size_t i = 0; i < bytes.n; i++)
		n += (size_t)sprintf(to + n, format, (unsigned)(unsigned char)bytes.p[i]);
	return n;
}

/* One character as it is written between quotes; says how many bytes of s it was. */
static size_t write_character(char to[32], size_t *written_out, struct str s, bool json)
{
	uint32_t c = 0;
	size_t n = character(s, &c);
	if (n == 0) {
		*written_out = escape_bytes(to, str_sub(s, 0, 1), json ? "\\\\x%02x" : "\\x%02x");
		return 1;
	}
	if (deceives(c)) {
		if (!json)
			*written_out = escape_bytes(to, str_sub(s, 0, n), "\\x%02x");
		else if (c > 0xffff)
			*written_out = (size_t)sprintf(to, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)),
			                               (unsigned)(0xdc00 + (c & 0x3ff)));
		else
			*written_out = (size_t)sprintf(to, "\\u%04x", (unsigned)c);
		return n;
	}
	*written_out = 0;
	if (c == '"' || c == '\\')
		to[(*written_out)++] = '\\';
	memcpy(to + *written_out, s.p, n);
	*written_out += n;
	return n;
}

static bool stands_bare(struct str s)
{
	return s.n > 0 && s.n <= LOG_VALUE_MAX && str_is_ascii(s) && !str_has(s, ' ') && !str_has(s, '"') && !str_has(s, '\\');
}

fault log_put_value(struct buf *out, struct str value, bool json)
{
	char text[LOG_VALUE_MAX + 8];
	size_t n = 0;
	if (!json && stands_bare(value))
		return buf_add(out, value);
	text[n++] = '"';
	while (value.n > 0) {
		char one[32];
		size_t written = 0;
		size_t used = write_character(one, &written, value, json);
		if (n - 1 + written > LOG_VALUE_MAX) {
			memcpy(text + n, "...", 3);
			n += 3;
			break;
		}
		memcpy(text + n, one, written);
		n += written;
		value = str_from(value, used);
	}
	text[n++] = '"';
	return buf_add(out, (struct str){ text, n });
}

/* --- lines --- */

static fault put_time(struct buf *out, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm t;
	if (gmtime_r(&seconds, &t) == NULL)
		return buf_addf(out, "%" PRId64, wall_ms);
	return buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
	                t.tm_min, t.tm_sec, (int)(wall_ms % 1000));
}

static fault put_fact(struct buf *out, const struct log_fact *fact, bool json)
{
	TRY(buf_addf(out, json ? ",\"%s\":" : " %s=", fact->key));
	if (fact->kind == 'i')
		return buf_addf(out, "%" PRId64, fact->number);
	return log_put_value(out, fact->text, json);
}

static fault put_head(struct buf *out, bool json, const char *role, int64_t wall_ms, enum log_event event)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	const char *level = levels[log_event_level(event)];
	TRY(buf_add(out, json ? STR("{\"time\":\"") : STR_NONE));
	TRY(put_time(out, wall_ms));
	return buf_addf(out, json ? "\",\"level\":\"%s\",\"role\":\"%s\",\"event\":\"%s\"" : " %s %s %s", level, role,
	                log_event_name(event));
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
