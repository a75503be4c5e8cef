/* SPDX-License-Identifier: ISC */
/* role/keeper/answers.c -- is this a recipient, may this user send as this? */
#include "role/keeper/keeper.h"

enum { QUESTION_BYTES_MAX = 16 << 20 };

static void verdict(struct keeper_link *l, uint64_t request, enum rcpt_verdict v, const char *text)
{
	channel_send(l->channel, KEEPER_RCPT, &(struct keeper_rcpt){ .request = request, .verdict = v, .text = str_of(text) });
}

/* RFC 5321 4.5.1: "postmaster" may stand without a domain. */
static fault read_address(struct str text, struct arena *a, struct address *out)
{
	if (str_eq_nocase(text, STR("postmaster"))) {
		*out = (struct address){ .local = text };
		return OK;
	}
	return address_parse(text, a, out);
}

static void answer_rcpt(struct keeper_link *l, uint64_t request, struct str text, struct arena *a)
{
	static const struct { enum rcpt_verdict verdict; const char *text; } words[] = {
		[DIR_LOCAL] = { RCPT_LOCAL, "" },
		[DIR_VERIFY] = { RCPT_VERIFY, "" },
		[DIR_UNKNOWN] = { RCPT_UNKNOWN, "No such recipient here" },
		[DIR_REMOTE] = { RCPT_REMOTE, "" },
	};
	struct address address;
	struct directory_answer answer;
	if (l->keeper->now == NULL) {
		verdict(l, request, RCPT_FAILED, "The recipients are not known yet: try again later");
		return;
	}
	if (read_address(text, a, &address) != OK) {
		verdict(l, request, RCPT_UNKNOWN, "This is no address");
		return;
	}
	if (directory_recipient(l->keeper->now->directory, &address, a, &answer) != OK) {
		verdict(l, request, RCPT_FAILED, "Too many recipients stand behind this address");
		return;
	}
	for (size_t i = 0; i < answer.n_targets; i++)
		channel_send(l->channel, KEEPER_RCPT_TARGET,
		             &(struct keeper_rcpt_target){ .request = request, .address = answer.targets[i] });
	verdict(l, request, words[answer.verdict].verdict, words[answer.verdict].text);
}

void answers_on_rcpt(struct keeper_link *l, const struct front_ask_rcpt *m)
{
	struct arena *a = arena_new(QUESTION_BYTES_MAX);
	answer_rcpt(l, m->request, m->address, a);
	arena_free(&a);
}

static void targets_end(struct keeper_link *l, uint64_t request, enum rcpt_verdict v)
{
	channel_send(l->channel, KEEPER_TARGETS_END, &(struct keeper_targets_end){ .request = request, .verdict = v });
}

/* For the recipients of notices, which never pass a front. */
void answers_on_targets(struct keeper_link *l, const struct spool_ask_targets *m)
{
	static const enum rcpt_verdict verdicts[] = {
		[DIR_LOCAL] = RCPT_LOCAL, [DIR_VERIFY] = RCPT_VERIFY, [DIR_UNKNOWN] = RCPT_UNKNOWN, [DIR_REMOTE] = RCPT_REMOTE,
	};
	struct arena *a = arena_new(QUESTION_BYTES_MAX);
	struct address address;
	struct directory_answer answer;
	if (l->keeper->now == NULL) {
		targets_end(l, m->request, RCPT_FAILED);
	} else if (read_address(m->address, a, &address) != OK) {
		targets_end(l, m->request, RCPT_UNKNOWN);
	} else if (directory_recipient(l->keeper->now->directory, &address, a, &answer) != OK) {
		targets_end(l, m->request, RCPT_FAILED);
	} else {
		for (size_t i = 0; i < answer.n_targets; i++)
			channel_send(l->channel, KEEPER_TARGET,
			             &(struct keeper_target){ .request = m->request, .address = answer.targets[i] });
		targets_end(l, m->request, verdicts[answer.verdict]);
	}
	arena_free(&a);
}

static bool may_send(const struct vault *g, const struct front_ask_sender *m, struct arena *a)
{
	struct address address;
	if (g == NULL || m->listener >= g->conf->n_listeners)
		return false;
	if (m->address.n == 0)
		return true; /* the null sender: notifications */
	return read_address(m->address, a, &address) == OK &&
	       directory_may_send(g->directory, &g->conf->listeners[m->listener].auth, m->user, &address, a);
}

void answers_on_sender(struct keeper_link *l, const struct front_ask_sender *m)
{
	struct arena *a = arena_new(QUESTION_BYTES_MAX);
	channel_send(l->channel, KEEPER_SENDER,
	             &(struct keeper_sender){ .request = m->request, .allowed = may_send(l->keeper->now, m, a) });
	arena_free(&a);
}
