/* SPDX-License-Identifier: ISC */
/*
 * ipc/spool_delivery.h -- spool <-> courier and spool <-> porter: an attempt at delivery.
 *
 * JOB, its RCPTs, then GO. The worker asks for content with WANT (never more than
 * DELIVERY_CREDIT_BYTES outstanding) and gets BODY, then BODY_END. It reports every recipient
 * with OUTCOME as soon as it is known and ends with DONE; recipients without an outcome are queued
 * again: beside others that have one for a moment later, alone as after a failure. `job` is chosen by the
 * spool; what a worker had in hand when it died is queued again, too.
 *
 * A worker that is to make room for its successor says RESTING. It gets no new job from then on, ends what it has begun
 * and gives the rest back; when the spool has heard the last of it, it says RESTED.
 *
 * Tests    test/unit/ipc/codec_test.c, fuzz/ipc.c
 */
#ifndef IPC_SPOOL_DELIVERY_H
#define IPC_SPOOL_DELIVERY_H

#include "ipc/codec.h"

enum { DELIVERY_CREDIT_BYTES = 256 << 10, DELIVERY_CHUNK_BYTES = 64 << 10 };

enum job_purpose {
	JOB_DELIVER,
	JOB_VERIFY, /* MAIL and RCPT only, then RSET: would the next hop take this recipient? */
	JOB_EXPLAIN, /* no MAIL, no file: would it get as far as that, how protected, and why? */
};

/* JOB: route_kind and route_name as policy/route.h gives them; id the queue id; attempt counts from 1.
 * arrived_s: wall clock; tls_tag of enum tls_tag. RCPT: index within the job; address where it goes, original and orcpt for
 * DSN. RELEASE: stop as soon as possible (drain, removal); what has been handed over stays so. GIVE_WAY: it has kept
 * its place for long, and others wait: what it waits for counts as not answered, unless that is its turn at the worker. WHERE: an operator asks how
 * far it is; a courier answers. RESTED: the worker's jobs have all ended. */
#define SPOOL_TO_WORKER(MSG, U, I, S)                                                       \
	MSG(WORKER_JOB, worker_job, U(job) U(purpose) S(id) U(route_kind) S(route_name)     \
	    S(domain) S(sender) U(size_bytes) U(body) U(smtputf8) U(ret) S(envid) U(attempt) I(arrived_s) \
	    U(tls_tag))                                                                     \
	MSG(WORKER_RCPT, worker_rcpt, U(job) U(index) S(address) S(original) S(orcpt) U(notify)) \
	MSG(WORKER_GO, worker_go, U(job))                                                   \
	MSG(WORKER_BODY, worker_body, U(job) S(bytes))                                      \
	MSG(WORKER_BODY_END, worker_body_end, U(job) U(whole))                              \
	MSG(WORKER_RELEASE, worker_release, U(job))                                         \
	MSG(WORKER_GIVE_WAY, worker_give_way, U(job))                                       \
	MSG(WORKER_WHERE, worker_where, U(job))                                             \
	MSG(WORKER_RESTED, worker_rested, U(unused))                           \
	MSG(WORKER_REMEMBERED, worker_remembered, U(job) S(key) S(value) I(for_s))

/* REMEMBER: what a courier has learned and wants to know after a restart; job is 0, key begins with "seen/" or "shape/"; for_s: so
 * long it holds, from now. REMEMBERED: all of it, when the link begins and before the first job. */
enum { MEMORY_KEY_MAX = 300, MEMORY_VALUE_MAX = 100 };

/* WHERE: whom it speaks to at this moment, if anybody, and what it waits for, in words. */

/* STORY: how the attempt has gone so far, as mail/story.h has it; holds for the outcomes that follow, until the next one. */

/* OUTCOME: class of enum outcome_class; code, status and text are the final reply, or our own words
 * with code 0; host and ip who said so ("" if nobody was reached); level of enum tls_level; tls facts
 * in words; dsn is 1 if the next hop took over the duty of DSN (RFC 3461 5.2.2); dialogue the bounded
 * transcript of a failure, without credentials. detail: the file name in a Maildir, or "". GIVEN_BACK ends a job as DONE
 * does, but recipients without an outcome have not been tried: they come again in a moment. */
#define WORKER_TO_SPOOL(MSG, U, I, S)                                                        \
	MSG(FROM_WORKER_WANT, from_worker_want, U(job) U(bytes))                             \
	MSG(FROM_WORKER_OUTCOME, from_worker_outcome, U(job) U(index) U(class) U(code) S(status) \
	    S(text) S(host) S(ip) U(level) S(tls) U(dsn) S(dialogue) S(detail))              \
	MSG(FROM_WORKER_DONE, from_worker_done, U(job))                                      \
	MSG(FROM_WORKER_RENEW, from_worker_renew, U(job))                                    \
	MSG(FROM_WORKER_RESTING, from_worker_resting, U(unused))                             \
	MSG(FROM_WORKER_GIVEN_BACK, from_worker_given_back, U(job))                         \
	MSG(FROM_WORKER_REMEMBER, from_worker_remember, U(job) S(key) S(value) I(for_s)) \
	MSG(FROM_WORKER_STORY, from_worker_story, U(job) S(text))                            \
	MSG(FROM_WORKER_WHERE, from_worker_where, U(job) S(host) S(ip) S(doing))             \
	MSG(FROM_WORKER_TLS, from_worker_tls, U(job) U(policy) U(result) S(domain) S(strings) S(mx) S(ip) S(source) S(reason))

/* TLS: what one try at a host came to, for TLS reports: policy, result and strings as proto/tlsrpt/tlsrpt.h has them; source is our
 * address, ip theirs; what is not known is empty. */

IPC_DECLARE(SPOOL_TO_WORKER, spool_to_worker)
IPC_DECLARE(WORKER_TO_SPOOL, worker_to_spool)

#endif
