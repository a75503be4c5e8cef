/* SPDX-License-Identifier: ISC */
/*
 * role/porter/porter.h -- what the porter's files share: the role, its jobs, and their recipients.
 *
 *     porter.c        the role: jobs from the spool, their content, and when each begins
 *     rcpt.c          one recipient: where its letter goes, and what became of it
 *     letter.c        one letter into one Maildir
 *     letter_name.c   what its file is called
 *
 * Limits   LETTERS_MAX letters open at once over all jobs, a descriptor each.
 * Owns     A job its arena, which has its texts and recipients; a recipient its place and its letter, until rcpt_close.
 * Tests    test/unit/role/porter/
 */
#ifndef ROLE_PORTER_PORTER_H
#define ROLE_PORTER_PORTER_H

#include "base/list.h"
#include "role/porter/letter.h"
#include "role/role.h"
#include "sys/channel.h"
#include "sys/loop.h"

enum { LETTERS_MAX = 400 };        /* further jobs wait */

struct rcpt {
	struct link in_job;
	uint64_t index;
	struct str address;
	struct place *place;           /* while the letter is open */
	struct letter *letter;
	struct rcpt *twin;             /* the same letter for the same mailbox, written already */
	bool done;
	char name[LETTER_NAME_MAX + 1];
};

struct job {
	struct link in_porter;
	struct porter *porter;
	struct arena *arena;
	uint64_t number, purpose, size_bytes, attempt;
	struct str id, template_, sender;
	int64_t arrived_s;
	bool ready, going, after_cr;   /* ready: all is known, and it may wait for others */
	bool given_back;               /* who has no outcome is my successor's */
	uint64_t credit;               /* bytes that the spool may still send */
	struct list rcpts;
	size_t n_rcpts, n_open;
};

struct porter {
	struct role_base *base;
	struct loop *loop;
	const struct conf *conf;
	struct channel *spool;
	int64_t linked_wall_s;
	struct list jobs;
	size_t n_jobs, n_letters;
	uint64_t delivered, put_off;
	struct timer renew;
	struct later start_waiting;
	bool resting;                  /* the spool has been told that no more jobs are wanted */
	bool draining, rested;         /* rested: it has heard the last of us */
};

/*
 * Each of these may tell the recipient's outcome to the spool; then it is no longer one of the job's.
 * rcpt_begin may leave it without a letter, where another of the same job writes the same one; rcpt_write does nothing then.
 */
void rcpt_begin(struct job *j, struct rcpt *r);
void rcpt_write(struct job *j, struct rcpt *r, struct str bytes);
void rcpt_end(struct job *j, struct rcpt *r, bool whole);  /* whole: all of the content has come */
void rcpt_close(struct job *j, struct rcpt *r);            /* no outcome; an unfinished letter leaves no trace */

#endif
