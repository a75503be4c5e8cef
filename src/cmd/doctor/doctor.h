/* SPDX-License-Identifier: ISC */
/*
 * cmd/doctor/doctor.h -- `sealpost doctor`: what its parts share.
 *
 *     doctor.c         options, what is looked at, in which order
 *     files.c          what the configuration and its files tell, with or without a server
 *     server.c         what the running server tells, over its control socket
 *     judge.c          what to make of it; pure
 *
 * Facts are printed as they are found; findings, which say what to do, come last (cmd/findings.h).
 *
 * Tests    test/unit/cmd/doctor_test.c (judge.c), test/scenario/doctor_test.py
 */
#ifndef CMD_DOCTOR_DOCTOR_H
#define CMD_DOCTOR_DOCTOR_H

#include "cmd/findings.h"
#include "conf/conf.h"
#include "role/supervisor/load.h"

enum { DOCTOR_DAYS = 14, DOCTOR_DAY_S = 86400 };

struct doctor {
	struct arena *arena;
	const char *conf_path;
	struct conf_texts *texts;
	struct conf *conf;
	bool half;                       /* the configuration has errors: conf is what can be read of it; texts may be NULL */
	struct why unread;               /* texts are NULL: why */
	bool has_errors;                 /* as `sealpost check` counts them: also of the files that the configuration names */
	int64_t now_s;
	int64_t read_s;                  /* when the running server has read its configuration */
	bool json, seen;                 /* seen: list what each domain has shown */
	bool running;                    /* a server answered ... */
	bool reads_another;              /* ... that reads another configuration: nothing is to be said of changes */
	struct findings findings;
};

/* A fact for a person and for a program: {"kind": ..., "text": ...}; the caller adds to it, and tells it. */
json_t *doctor_fact(const char *kind, const char *fmt, ...) PRINTF(2, 3);
/* Seconds in words: "3 days", "2 hours", "1 minute". */
struct span { char text[32]; };
struct span doctor_span(int64_t seconds);

/* ---- files.c ---- */
void doctor_files(struct doctor *d);
void doctor_changes(struct doctor *d); /* files that are newer than what the running server has */
void doctor_stopped(struct doctor *d); /* what else files tell, where no server runs */

/* ---- server.c ---- */
void doctor_server(struct doctor *d);
/* What waits, and the room for it; puts it into words, and lets go of it. Keys as `status` has them. */
void doctor_tell_queue(struct doctor *d, json_t *fact);

/* ---- judge.c: pure ---- */
/* The errors and warnings that conf/trouble.h has told, each a finding. */
void judge_report(struct findings *f, struct str report);
void judge_exception(struct findings *f, const struct conf_exception *e, int64_t now_s);
const char *exception_state(const struct conf_exception *e, int64_t now_s); /* "active", "ending", "ended" */
/* Room on the disk of the queue; names_free negative: as many as one likes. */
void judge_room(struct findings *f, int64_t bytes_free, int64_t names_free, int64_t reserve_bytes, int64_t reserve_names);
void judge_clock(struct findings *f, int64_t now_s);
void judge_last_run(struct findings *f, int64_t now_s, int64_t last_s); /* last_s: when a server last noted down the time, or -1 */
/* What waits: held, damaged, oldest_s. */
void judge_waiting(struct findings *f, const json_t *queue, int64_t delay_warning_s);
/* What the server says of itself (`sealpost status --json`). delay_warning_s: of the configuration. */
void judge_status(struct findings *f, const json_t *status, int64_t delay_warning_s);
/* What a mail server's hello must do without, in the words of a configuration's reader; NULL: no such shape. */
const char *shape_words(struct str value);

#endif
