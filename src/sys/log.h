/* SPDX-License-Identifier: ISC */
/*
 * sys/log.h -- one event, one line, on standard error.
 *
 * time level role event key=value ... (or one JSON object, by `log json`). Values are escaped by one
 * function, cut at 512 bytes, and never hold a secret or a message's text. Every event name stands in
 * LOG_EVENTS with the sentence that docs/LOG.md prints; a test holds the two together.
 *
 *     log_event(LOG_ACCEPTED, LOG_S("id", id), LOG_S("client", ip), LOG_U("size", n));
 *
 * Tests    test/unit/sys/log_test.c, test/house/log_test.py
 */
#ifndef SYS_LOG_H
#define SYS_LOG_H

#include "base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_fact { const char *key; int kind; struct str text; int64_t number; };
#define LOG_S(key_, s) ((struct log_fact){ (key_), 's', (s), 0 })
#define LOG_Z(key_, z) ((struct log_fact){ (key_), 's', str_of(z), 0 })
#define LOG_U(key_, n) ((struct log_fact){ (key_), 'i', STR_NONE, (int64_t)(n) })

#include "sys/log_events.h"

void log_begin(const char *role, bool json); /* names this process; text until told otherwise */
void log_facts(enum log_event event, size_t n, const struct log_fact *facts);
#define log_event(event, ...)                                                     \
	log_facts((event), sizeof((struct log_fact[]){ __VA_ARGS__ }) / sizeof(struct log_fact), \
	          (const struct log_fact[]){ __VA_ARGS__ })

const char *log_event_name(enum log_event event);
const char *log_event_meaning(enum log_event event);
enum log_level log_event_level(enum log_event event);

#endif
