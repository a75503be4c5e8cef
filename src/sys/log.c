/* SPDX-License-Identifier: ISC */
#include "sys/log.h"

#include <stdlib.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/log_format.h"

enum { LINE_USUAL = 512 };

static const char *role_name = "sealpost";
static bool as_json;

void log_begin(const char *role, bool json)
{
	role_name = role;
	as_json = json;
}

/* Debug lines are for people who look for a fault: SEALPOST_DEBUG=1 in the environment. */
static bool wanted(enum log_event event)
{
	return log_event_level(event) != LOG_LEVEL_DEBUG || getenv("SEALPOST_DEBUG") != NULL;
}

void log_facts(enum log_event event, size_t n, const struct log_fact *facts)
{
	if (!wanted(event))
		return;
	struct buf line;
	buf_init(&line, LOG_LINE_MAX);
	(void)buf_reserve(&line, LINE_USUAL);
	log_format(&line, as_json, role_name, clock_wall_ms(), event, n, facts);
	/* One write a line, so that lines of several processes never mix. A log that is full is not worth failing for. */
	if (write(STDERR_FILENO, buf_view(&line).p, buf_view(&line).n) < 0) {
		/* nobody is left to be told */
	}
	buf_fini(&line);
}
