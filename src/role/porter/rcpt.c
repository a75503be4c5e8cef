/* SPDX-License-Identifier: ISC */
/* role/porter/rcpt.c -- one recipient of a job: where its letter goes, and what became of it. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/spool_delivery.h"
#include "mail/reply.h"
#include "mail/trace.h"
#include "role/porter/porter.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	REPEAT_AFTER_S = 30,           /* a message this old may have been delivered before */
	DETAIL_MAX = 2 * PLACE_MAX,
};

/* -- outcomes ---------------------------------------------------------------------------------- */

struct verdict { enum outcome_class class; const char *status, *text; };

void rcpt_close(struct job *j, struct rcpt *r)
{
	if (r->letter != NULL) {
		letter_free(&r->letter);
		j->n_open--;
		j->porter->n_letters--;
		later_set(j->porter->loop, &j->porter->start_waiting);
	}
	free(r->place);
	r->place = NULL;
}

/* Tells the outcome; the recipient is done with here. */
static void rcpt_settle(struct job *j, struct rcpt *r, struct verdict v, struct str detail)
{
	if (j->porter->spool != NULL)
		channel_send(j->porter->spool, FROM_WORKER_OUTCOME, &(struct from_worker_outcome){
			.job = j->number, .index = r->index, .class = v.class, .status = str_of(v.status),
			.text = str_of(v.text), .detail = detail });
	r->done = v.class == OUTCOME_DONE;
	if (r->done)
		j->porter->delivered++;
	else
		j->porter->put_off++;
	rcpt_close(j, r);
	link_remove(&r->in_job);
	j->n_rcpts--;
}

static void rcpt_done(struct job *j, struct rcpt *r)
{
	struct buf path;
	buf_init(&path, DETAIL_MAX);
	fault f = buf_addf(&path, "%s/%s/new/%s", r->place->fixed, r->place->below, r->name);
	rcpt_settle(j, r, (struct verdict){ OUTCOME_DONE, "2.0.0", "in the mailbox" },
	            f == OK ? buf_view(&path) : STR_NONE);
	buf_fini(&path);
}

/* The next porter can have the folder, which was made or mounted after this one was confined. */
static void rcpt_give_back(struct job *j, struct rcpt *r)
{
	struct porter *p = j->porter;
	if (!p->resting && p->spool != NULL)
		channel_send(p->spool, FROM_WORKER_RESTING, &(struct from_worker_resting){ 0 });
	p->resting = true;
	j->given_back = true;
	rcpt_close(j, r);
	link_remove(&r->in_job);
	j->n_rcpts--;
}

/* What went wrong, told to sender and operator without our paths; those go into the log. */
static void rcpt_failed(struct job *j, struct rcpt *r, fault f, const struct why *why)
{
	struct verdict v = { OUTCOME_LATER, "4.3.0", "the mailbox cannot be written to at the moment" };
	if (f == F_LIMIT && letter_disk_is_full(r->place, j->size_bytes))
		v = (struct verdict){ OUTCOME_LATER, "4.3.1", "the disk for mail is full" };
	else if (f == F_LIMIT)
		v = (struct verdict){ OUTCOME_LATER, "4.2.2", "the mailbox is over its quota" };
	else if (f == F_DENIED)
		v.text = "the mailbox cannot be opened: permission denied";
	if ((f == F_DENIED || f == F_ABSENT) && role_folder_refused(j->porter->base)) {
		rcpt_give_back(j, r);
		return;
	}
	log_event(LOG_TROUBLE, LOG_S("id", j->id), LOG_S("rcpt", r->address), LOG_Z("fault", fault_name(f)),
	          LOG_Z("text", why->text[0] != '\0' ? why->text : v.text));
	rcpt_settle(j, r, v, STR_NONE);
}

/* -- the letter -------------------------------------------------------------------------------- */

/* Only where the configuration lets mail be put: the spool's word alone does not open a folder. */
static bool is_ours(const struct porter *p, struct str template_)
{
	for (size_t i = 0; p->conf != NULL && i < p->conf->n_domains; i++)
		if (p->conf->domains[i].deliver == DELIVER_MAILDIR && str_eq(p->conf->domains[i].deliver_to, template_))
			return true;
	return false;
}

/* The recipient of this job whose letter is the same one: somebody was named twice, or by two aliases. */
static struct rcpt *twin_of(const struct job *j, const struct rcpt *r)
{
	LIST_EACH(l, &j->rcpts) {
		struct rcpt *other = LIST_MEMBER(l, struct rcpt, in_job);
		if (other != r && other->letter != NULL && strcmp(other->name, r->name) == 0 &&
		    strcmp(other->place->below, r->place->below) == 0 && strcmp(other->place->fixed, r->place->fixed) == 0)
			return other;
	}
	return NULL;
}

static fault put_head(struct letter *l, struct str sender, struct str address)
{
	struct buf head, lf;
	struct str rest, line;
	buf_init(&head, 4096);
	buf_init(&lf, 4096);
	fault f = trace_put_return_path(&head, sender);
	if (f == OK)
		f = trace_put_delivered_to(&head, address);
	for (rest = buf_view(&head); f == OK && str_take_line(&rest, &line);) {
		f = buf_add(&lf, line);
		if (f == OK)
			f = buf_add_char(&lf, '\n');
	}
	if (f == OK)
		f = letter_write(l, buf_view(&lf));
	buf_fini(&head);
	buf_fini(&lf);
	return f;
}

/* A letter that may have been delivered before: an attempt without an outcome, or one from before we were linked. */
static bool may_be_repeat(const struct job *j)
{
	return j->attempt > 1 || j->arrived_s <= j->porter->linked_wall_s ||
	       clock_wall_s() - j->arrived_s > REPEAT_AFTER_S;
}

/* Nothing is made, nothing is written; only an operator hears of it, who may know our paths. */
static void rcpt_explain(struct job *j, struct rcpt *r)
{
	struct why why = { "" };
	fault f = letter_look(r->place, &why);
	if ((f == F_DENIED || f == F_ABSENT) && role_folder_refused(j->porter->base))
		rcpt_give_back(j, r);
	else if (f == OK)
		rcpt_settle(j, r, (struct verdict){ OUTCOME_DONE, "2.1.5", "it is put into this mailbox" },
		            STR_NONE);
	else
		rcpt_settle(j, r, (struct verdict){ OUTCOME_LATER, "4.3.0", why.text }, STR_NONE);
}

void rcpt_begin(struct job *j, struct rcpt *r)
{
	static const struct verdict nowhere = { OUTCOME_NEVER, "5.1.3", "an address like this cannot have a mailbox here" },
	                            busy = { OUTCOME_LATER, "4.3.2", "too many mailboxes at once: this one follows" },
	                            moved = { OUTCOME_LATER, "4.3.5", "the configuration no longer delivers there" };
	struct porter *p = j->porter;
	struct why why = { "" };
	r->place = NEW(struct place);
	if (!is_ours(p, j->template_)) {
		rcpt_settle(j, r, moved, STR_NONE);
		return;
	}
	if (place_find(j->template_, r->address, r->place) != OK) {
		rcpt_settle(j, r, nowhere, STR_NONE);
		return;
	}
	letter_name(r->name, j->arrived_s, j->id, r->address, p->conf->hostname);
	if (j->purpose == JOB_VERIFY) {
		rcpt_settle(j, r, (struct verdict){ OUTCOME_DONE, "2.1.5", "this mailbox can be delivered to" }, STR_NONE);
		return;
	}
	if (j->purpose == JOB_EXPLAIN) {
		rcpt_explain(j, r);
		return;
	}
	r->twin = twin_of(j, r);
	if (r->twin != NULL)
		return;
	if (p->n_letters == LETTERS_MAX) {
		rcpt_settle(j, r, busy, STR_NONE);
		return;
	}
	fault f = letter_begin(r->place, r->name, may_be_repeat(j), &r->letter, &why);
	if (f == OK) {
		j->n_open++;
		p->n_letters++;
		f = put_head(r->letter, j->sender, r->address);
	}
	if (f == F_EXISTS)
		rcpt_done(j, r);
	else if (f != OK)
		rcpt_failed(j, r, f, &why);
}

void rcpt_write(struct job *j, struct rcpt *r, struct str bytes)
{
	static const struct why none = { "" };
	fault f = r->letter != NULL ? letter_write(r->letter, bytes) : OK;
	if (f != OK)
		rcpt_failed(j, r, f, &none);
}

/* What became of the letter. A twin whose other half failed has no outcome, and so comes again. */
void rcpt_end(struct job *j, struct rcpt *r, bool whole)
{
	static const struct verdict torn = { OUTCOME_LATER, "4.3.0", "the stored message could not be read to its end" };
	struct why why = { "" };
	if (r->letter == NULL) {
		if (r->twin != NULL && r->twin->done)
			rcpt_done(j, r);
		return;
	}
	if (!whole) {
		rcpt_settle(j, r, torn, STR_NONE);
		return;
	}
	fault f = letter_finish(r->letter, &why);
	if (f == OK || f == F_EXISTS)
		rcpt_done(j, r);
	else
		rcpt_failed(j, r, f, &why);
}
