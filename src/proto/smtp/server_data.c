/* SPDX-License-Identifier: ISC */
/* proto/smtp/server_data.c -- DATA and BDAT: content in, its end asked about, whatever fails read to its true end. */
#include "proto/smtp/server_state.h"

/* How far a message is read on after it has been refused, beyond the size that would have been taken. */
enum { LOST_BYTES_MAX = 64 << 20, REFUSAL_TEXT_BYTES = 512 };

void smtp_server_content_begin(struct smtp_server *s, bool dots)
{
	s->content = (struct content){ .dots = dots, .line_max = s->conf.text_line_max };
	s->lost_say = SAY_NOTHING;
	s->lost_bytes = 0;
	s->data_since_ms = s->pace_since_ms = s->now_ms;
	s->pace_bytes = 0;
}

/* The transaction is void from here; the reply comes when the content has ended. */
static void lose(struct smtp_server *s, enum smtp_say why)
{
	s->content.lost = true;
	s->lost_say = why;
	if (why == SAY_BARE_IN_TEXT)
		smtp_server_push(s, SMTP_SMUGGLING);
	smtp_server_push(s, SMTP_RESET);
}

static enum smtp_say why_lost(enum content_result result)
{
	return result == CONTENT_BARE ? SAY_BARE_IN_TEXT : result == CONTENT_LONG_LINE ? SAY_TEXT_LINE : SAY_NOTHING;
}

/* As many pieces of content as lie in a row, the stuffed dots between them squeezed out: an event for each line
 * that begins with a dot would cost a hundred times what the line does. */
static enum content_result take_pieces(struct smtp_server *s, struct str *in, struct str *out)
{
	const char *begin = in->p;
	enum content_result result = content_take(&s->content, in, out);
	if (out->n > 0 && (out->p < begin || out->p >= in->p))
		return result; /* a static CRLF, for a CR that came earlier */
	char *end = (char *)(uintptr_t)begin + (out->n > 0 ? out->p - begin : 0) + out->n; /* in our own buffer */
	if (out->n == 0)
		*out = (struct str){ begin, 0 };
	while (result == CONTENT_MORE && in->n > 0 && !s->content.lost) {
		struct str piece;
		result = content_take(&s->content, in, &piece);
		if (piece.n > 0)
			memmove(end, piece.p, piece.n);
		end += piece.n;
		out->n += piece.n;
	}
	return result;
}

/* One step through the content; *in moves. Passes on what may be, and finds out what is wrong. */
static enum content_result take_content(struct smtp_server *s, struct str *in)
{
	struct str out;
	bool was_lost = s->content.lost;
	size_t before = in->n;
	enum content_result result = take_pieces(s, in, &out);
	s->used += before - in->n;
	if (was_lost) {
		s->lost_bytes += before - in->n;
		if (s->lost_bytes > LOST_BYTES_MAX)
			smtp_server_end(s, s->lost_say);
		return result;
	}
	uint64_t max = s->conf.size_bytes_max;
	bool too_big = s->content.bytes > max;
	if (too_big) {
		uint64_t over = s->content.bytes - max;
		out.n = over < out.n ? out.n - (size_t)over : 0;
	}
	smtp_server_pass_on(s, out);
	if (too_big)
		lose(s, SAY_TOO_BIG);
	else if (why_lost(result) != SAY_NOTHING)
		lose(s, why_lost(result));
	return result;
}

static void ask_end(struct smtp_server *s)
{
	struct smtp_event *e = smtp_server_tell(s, SMTP_BODY_END);
	e->u.end.size_bytes = s->content.bytes;
	e->u.end.body = s->content.eight_bit ? BODY_8BIT : s->mail.body;
	e->u.end.answers_due = s->answers_due = s->conf.lmtp ? s->rcpts : 1;
	smtp_server_ask(s, ASKED_END);
}

static void end_lost_data(struct smtp_server *s)
{
	size_t replies = s->conf.lmtp ? s->rcpts : 1;
	s->errors++;
	for (size_t i = 0; i < replies; i++)
		smtp_server_say(s, s->lost_say);
	smtp_server_reset(s, false);
	s->phase = PHASE_COMMAND;
	if (s->lost_say == SAY_BARE_IN_TEXT)
		smtp_server_end(s, SAY_NOTHING);
}

bool smtp_server_data_step(struct smtp_server *s)
{
	struct str in = smtp_server_input(s);
	if (in.n == 0)
		return false;
	if (take_content(s, &in) != CONTENT_END)
		return true;
	if (s->content.lost)
		end_lost_data(s);
	else
		ask_end(s);
	return true;
}

void smtp_server_chunk_refuse(struct smtp_server *s, struct smtp_reply reply, size_t replies)
{
	str_release(&s->chunk_reply.text);
	s->chunk_reply = reply;
	s->chunk_reply.text = str_keep(str_sub(reply.text, 0, REFUSAL_TEXT_BYTES));
	s->chunk_replies = replies;
	s->chunk_refused = true;
	s->lost_bytes = 0;
}

/* The content of this chunk is wrong: the rest of it is read, then the reply is given. */
static void lose_chunk(struct smtp_server *s)
{
	smtp_server_chunk_refuse(s, smtp_say(s->lost_say), s->chunk_last && s->conf.lmtp ? s->rcpts : 1);
	s->errors++;
	smtp_server_reset(s, false); /* lose() has told */
}

static bool end_chunk(struct smtp_server *s)
{
	struct str out;
	if (!s->chunk_refused && s->chunk_last) {
		enum content_result result = content_finish(&s->content, &out);
		smtp_server_pass_on(s, out);
		if (result != CONTENT_BARE) {
			ask_end(s);
			return true;
		}
		lose(s, SAY_BARE_IN_TEXT);
		lose_chunk(s);
	}
	s->phase = PHASE_COMMAND;
	if (!s->chunk_refused)
		smtp_server_say(s, SAY_DONE);
	for (size_t i = 0; s->chunk_refused && i < s->chunk_replies; i++)
		smtp_server_put(s, s->chunk_reply);
	str_release(&s->chunk_reply.text);
	if (s->errors > s->conf.errors_max)
		smtp_server_end(s, SAY_TOO_MANY_ERRORS);
	return true;
}

static void drop_chunk(struct smtp_server *s, struct str in)
{
	s->used += in.n;
	s->chunk_left -= in.n;
	s->lost_bytes += in.n;
	if (s->lost_bytes > LOST_BYTES_MAX) {
		smtp_server_put(s, s->chunk_reply);
		smtp_server_end(s, SAY_NOTHING);
	}
}

bool smtp_server_chunk_step(struct smtp_server *s)
{
	if (s->chunk_left == 0)
		return end_chunk(s);
	uint64_t most = s->chunk_left < SMTP_INPUT_MAX ? s->chunk_left : SMTP_INPUT_MAX;
	struct str in = str_sub(smtp_server_input(s), 0, (size_t)most);
	if (in.n == 0)
		return false;
	if (s->chunk_refused) {
		drop_chunk(s, in);
		return true;
	}
	size_t before = in.n;
	(void)take_content(s, &in);
	s->chunk_left -= before - in.n;
	if (s->content.lost)
		lose_chunk(s);
	return true;
}
