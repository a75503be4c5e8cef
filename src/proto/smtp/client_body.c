/* SPDX-License-Identifier: ISC */
/* Content: dot-stuffed after DATA (RFC 5321 4.5.2), or in chunks (RFC 3030). Only CRLF gets out. */
#include "proto/smtp/client_core.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum {
	UNSENT_MAX = 64 << 10,  /* no more content is asked for while this much waits */
	CHUNKS_IN_FLIGHT = 8,
};

void body_begin(struct smtp_client *c, bool chunking, int64_t now_ms)
{
	(void)now_ms;
	c->state = C_BODY;
	c->chunking = chunking;
	c->at_line_start = true;
	c->after_cr = c->end_wanted = false;
	c->chunks_unanswered = 0;
	c->content_bytes = 0;
	c->sent_since_progress = 0;
	c->deadline_ms = INT64_MAX; /* the next move is the caller's */
	buf_clear(&c->chunk);
}

static bool may_issue_chunk(const struct smtp_client *c)
{
	size_t in_flight = c->offers.pipelining ? CHUNKS_IN_FLIGHT : 1;
	return buf_view(&c->out).n <= UNSENT_MAX && c->chunks_unanswered < in_flight;
}

size_t smtp_client_body_room(const struct smtp_client *c)
{
	if (c->state != C_BODY || c->end_wanted)
		return 0;
	if (!c->chunking) {
		size_t unsent = buf_view(&c->out).n;
		return unsent >= UNSENT_MAX ? 0 : UNSENT_MAX - unsent;
	}
	size_t used = buf_view(&c->chunk).n;
	return used < SMTP_CLIENT_CHUNK_MAX ? SMTP_CLIENT_CHUNK_MAX - used : may_issue_chunk(c) ? SMTP_CLIENT_CHUNK_MAX : 0;
}

/* ---- nothing but CRLF ---- */

static bool only_crlf(struct smtp_client *c, struct str bytes)
{
	while (bytes.n > 0) {
		if (c->after_cr) {
			if (bytes.p[0] != '\n')
				return false;
			c->after_cr = false;
			bytes = str_from(bytes, 1);
			continue;
		}
		const char *cr = memchr(bytes.p, '\r', bytes.n);
		size_t n = cr != NULL ? (size_t)(cr - bytes.p) : bytes.n;
		if (memchr(bytes.p, '\n', n) != NULL)
			return false;
		c->after_cr = cr != NULL;
		bytes = str_from(bytes, cr != NULL ? n + 1 : n);
	}
	return true;
}

static fault refuse_content(struct smtp_client *c)
{
	struct smtp_reply words = REPLY(0, 5, 6, 0, STR("The message holds a CR or LF that is not part of a line end (CR LF); "
	                                                "such a message is never sent on"));
	keep_reply(&c->verdict, &words, OUTCOME_NEVER);
	client_close(c, &words, OUTCOME_LATER);
	return F_SYNTAX;
}

/* ---- DATA ---- */

static fault put_stuffed(struct smtp_client *c, struct str bytes)
{
	while (bytes.n > 0) {
		if (c->at_line_start && bytes.p[0] == '.')
			TRY(buf_add_char(&c->out, '.'));
		const char *lf = memchr(bytes.p, '\n', bytes.n);
		size_t n = lf != NULL ? (size_t)(lf - bytes.p) + 1 : bytes.n;
		TRY(buf_add(&c->out, str_sub(bytes, 0, n)));
		c->at_line_start = lf != NULL;
		bytes = str_from(bytes, n);
	}
	return OK;
}

/* ---- BDAT ---- */

static fault issue_chunk(struct smtp_client *c, bool last)
{
	struct str chunk = buf_view(&c->chunk);
	TRY(buf_addf(&c->out, "BDAT %zu%s\r\n", chunk.n, last ? " LAST" : ""));
	TRY(buf_add(&c->out, chunk));
	buf_clear(&c->chunk);
	c->chunks_unanswered++;
	return OK;
}

static fault put_content(struct smtp_client *c, struct str bytes)
{
	return c->chunking ? buf_add(&c->chunk, bytes) : put_stuffed(c, bytes);
}

/* ---- the caller's side ---- */

/* A CR at the end of a piece is held back until its LF has come: it might be a bare one. */
fault smtp_client_body(struct smtp_client *c, struct str bytes, int64_t now_ms)
{
	if (c->state != C_BODY || bytes.n > smtp_client_body_room(c))
		return F_STATE;
	if (bytes.n == 0)
		return OK;
	bool held_cr = c->after_cr;
	if (!only_crlf(c, bytes))
		return refuse_content(c);
	fault f = c->chunking && buf_view(&c->chunk).n >= SMTP_CLIENT_CHUNK_MAX ? issue_chunk(c, false) : OK;
	if (f == OK && held_cr)
		f = put_content(c, STR("\r"));
	if (f == OK)
		f = put_content(c, str_sub(bytes, 0, bytes.n - (c->after_cr ? 1 : 0)));
	check(f == OK); /* body_room leaves room for what stuffing adds */
	c->content_bytes += bytes.n;
	if (c->deadline_ms == INT64_MAX && buf_view(&c->out).n > 0)
		c->deadline_ms = now_ms + MINUTES(3);
	return OK;
}

static void say_end(struct smtp_client *c, int64_t now_ms)
{
	char words[80];
	(void)snprintf(words, sizeof words, "(content, %llu octets%s)", (unsigned long long)c->content_bytes,
	               c->chunking ? ", in chunks" : "");
	dialogue_client(c, str_of(words));
	fault f;
	if (c->chunking) {
		f = issue_chunk(c, true);
	} else {
		f = buf_add(&c->out, c->at_line_start ? STR(".\r\n") : STR("\r\n.\r\n"));
		dialogue_client(c, STR("."));
	}
	check(f == OK);
	c->state = C_FINAL;
	c->deadline_ms = now_ms + MINUTES(3);
}

void body_go_on(struct smtp_client *c, int64_t now_ms)
{
	if (c->state == C_BODY && c->end_wanted && (!c->chunking || may_issue_chunk(c)))
		say_end(c, now_ms);
}

fault smtp_client_body_end(struct smtp_client *c, int64_t now_ms)
{
	if (c->state != C_BODY || c->end_wanted)
		return F_STATE;
	if (c->after_cr)
		return refuse_content(c);
	c->end_wanted = true;
	body_go_on(c, now_ms);
	return OK;
}

void smtp_client_body_fail(struct smtp_client *c, struct str reason)
{
	if (c->state != C_BODY)
		return;
	struct smtp_reply words = REPLY(0, 4, 3, 0, reason);
	client_close(c, &words, OUTCOME_LATER);
}

/* ---- what they answer before the end ---- */

/* An early refusal counts, but where the server stands in the stream is not known any more: the session ends. */
static void refused_midway(struct smtp_client *c, const struct smtp_reply *r)
{
	keep_reply(&c->verdict, r, reply_class(r));
	client_close(c, r, OUTCOME_LATER);
}

void body_reply(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	if (r->code >= 400) {
		refused_midway(c, r);
	} else if (r->code / 100 == 2 && c->chunks_unanswered > 0) {
		c->chunks_unanswered--;
		bool waiting = c->chunks_unanswered > 0 || buf_view(&c->out).n > 0;
		c->deadline_ms = waiting ? now_ms + MINUTES(3) : INT64_MAX;
		body_go_on(c, now_ms);
	} else {
		client_broken(c, "it spoke before the end of the content");
	}
}

bool final_reply_is_early(struct smtp_client *c, const struct smtp_reply *r, int64_t now_ms)
{
	bool unsent = buf_view(&c->out).n > 0;
	if (c->chunks_unanswered <= 1 && !unsent)
		return false;
	if (r->code >= 400)
		refused_midway(c, r);
	else if (c->chunks_unanswered > 1 && r->code / 100 == 2)
		c->chunks_unanswered--;
	else
		client_broken(c, "it spoke before the end of the content");
	if (c->state == C_FINAL)
		c->deadline_ms = now_ms + (unsent ? MINUTES(3) : MINUTES(10));
	return true;
}
