/* SPDX-License-Identifier: ISC */
/* test/sim/web.c -- https/https.h in a world without web servers: nobody can be reached, after a while. */
#include "https/https.h"

#include <stdlib.h>

#include "base/check.h"
#include "world.h"

struct https { struct loop *loop; };
struct https_question { struct timer timer; https_answered *answered; void *owner; };

void https_begin(void)
{
}

fault https_new(struct loop *loop, struct str ca_pem, struct https **out, struct why *why)
{
	(void)ca_pem;
	(void)why;
	*out = NEW(struct https);
	(*out)->loop = loop;
	return OK;
}

void https_free(struct https **h)
{
	free(*h);
	*h = NULL;
}

static void answer(void *owner)
{
	struct https_question *q = owner;
	https_answered *answered = q->answered;
	void *whose = q->owner;
	free(q);
	answered(whose, &(struct https_answer){ .result = HTTPS_UNREACHABLE, .text = STR("no connection") });
}

struct https_question *https_ask(struct https *h, const struct https_request *request, https_answered *answered, void *owner)
{
	struct https_question *q = NEW(struct https_question);
	(void)request;
	*q = (struct https_question){ .answered = answered, .owner = owner };
	timer_init(&q->timer, h->loop, answer, q);
	timer_set(&q->timer, world.now_ms + (int64_t)chance_below(2000));
	return q;
}

void https_cancel(struct https_question **q)
{
	if (*q == NULL)
		return;
	timer_clear(&(*q)->timer);
	free(*q);
	*q = NULL;
}
