/* SPDX-License-Identifier: ISC */
/* What couriers tell of TLS sessions, what is kept of it for each day, and a resolver that is asked who wants to hear of it. */
#ifndef UNIT_ROLE_SPOOL_TLS_DAYS_H
#define UNIT_ROLE_SPOOL_TLS_DAYS_H

#include "role/spool/house.h"

#include "ipc/resolver.h"

enum { WORN_MS = 5000 };

int tls_days_setup(void **state);            /* of each test; its end is teardown() */

extern const struct from_worker_tls a_failure;
void tell(const struct from_worker_tls *m);  /* by a courier, of a job that is its own */
void tell_by(struct neighbour *n, const struct from_worker_tls *m);

extern int64_t kept_day_ago;                 /* which day kept() looks at */
struct str kept(const char *domain);
void assert_kept(const char *domain, const char *what);
void fill_day(int64_t ago, const char *domain); /* one session, as if counted before the start; kept() looks at that day */

void time_passes(uint64_t ms);
void a_minute_passes(void);                  /* what was counted is kept then */

void expect_heard(const char *what);         /* by a neighbour, while time passes */
void wish(enum report_state state, const char *uris); /* the resolver's answers */
void sent(bool ok);

#endif
