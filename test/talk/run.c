/* SPDX-License-Identifier: ISC */
#include "run.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
	WHOLE = -1,
	EVERY_BYTE = -2,
	BYTES_MAX = 8 << 20,
	CUTS_MAX = 2000, /* longer inputs are cut at both ends byte by byte, in between at a stride */
};

struct run {
	const struct talk *t;
	const struct talk_subject *subject;
	void *core;
	int64_t cut;        /* WHOLE, EVERY_BYTE, or the place in the whole input */
	size_t fed;         /* bytes of input so far */
	size_t at;          /* the first step that is not done yet */
	size_t next_event;  /* the next E step to be met */
	struct buf pending; /* input that the core has not taken */
	struct buf output;  /* output not yet compared */
	struct buf body;    /* content not yet compared */
	struct buf text;    /* the event in hand */
	bool failed;
};

static void print_escaped(struct str s)
{
	for (size_t i = 0; i < s.n && i < 300; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\r')
			fputs("\\r", stdout);
		else if (c == '\n')
			fputs("\\n", stdout);
		else if (c < 32 || c > 126)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	if (s.n > 300)
		printf("... (%zu bytes)", s.n);
}

/* Only the first thing that goes wrong is worth reading. */
static void fail(struct run *r, unsigned line, const char *what, struct str expected, struct str found)
{
	if (r->failed)
		return;
	r->failed = true;
	printf("# %.*s:%u: %s", STR_ARG(r->t->name), line, what);
	if (r->cut == EVERY_BYTE)
		printf(" (fed byte by byte)");
	else if (r->cut >= 0)
		printf(" (input cut at byte %lld)", (long long)r->cut);
	printf("\n#   expected: ");
	print_escaped(expected);
	printf("\n#   found:    ");
	print_escaped(found);
	printf("\n");
}

static const struct talk_step *step_at(const struct run *r, size_t i)
{
	return i < r->t->n_steps ? &r->t->steps[i] : NULL;
}

static bool is_sync(const struct run *r, const struct talk_step *step)
{
	return step->side == r->subject->input || step->side == TALK_ORDER;
}

/* The line for messages: where the dialogue stands. */
static unsigned here(const struct run *r)
{
	const struct talk_step *step = step_at(r, r->at);
	return step != NULL ? step->line : r->t->n_steps > 0 ? r->t->steps[r->t->n_steps - 1].line : 1;
}

/* The next E step before the next write, or NULL. */
static const struct talk_step *expected_event(struct run *r)
{
	for (; step_at(r, r->next_event) != NULL; r->next_event++) {
		const struct talk_step *step = step_at(r, r->next_event);
		if (r->next_event >= r->at && is_sync(r, step))
			return NULL;
		if (step->side == TALK_EVENT)
			return step;
	}
	return NULL;
}

static bool is_body(const struct talk_step *step, struct str *bytes_out)
{
	struct str text = step->text;
	if (step->side != TALK_EVENT || !str_take(&text, STR("body")))
		return false;
	(void)str_take_char(&text, ' ');
	*bytes_out = text;
	return true;
}

/* Content so far must be what the next `E: body` steps say together. */
static void compare_body(struct run *r)
{
	struct buf expected;
	buf_init(&expected, BYTES_MAX);
	struct str bytes;
	const struct talk_step *step;
	unsigned line = here(r);
	while ((step = expected_event(r)) != NULL && is_body(step, &bytes)) {
		line = step->line;
		check(buf_add(&expected, bytes) == OK);
		r->next_event++;
	}
	if (!str_eq(buf_view(&expected), buf_view(&r->body)))
		fail(r, line, "the content differs", buf_view(&expected), buf_view(&r->body));
	buf_clear(&r->body);
	buf_fini(&expected);
}

static void meet_event(struct run *r)
{
	compare_body(r);
	struct str text = buf_view(&r->text);
	const struct talk_step *step = expected_event(r);
	if (step == NULL) {
		fail(r, here(r), "an event too many", STR("(none)"), text);
		return;
	}
	r->next_event++;
	if (step->mark == '~' ? !str_starts(text, step->text) : !str_eq(text, step->text)) {
		fail(r, step->line, "another event", step->text, text);
		return;
	}
	if (step->answer.p != NULL && !r->subject->answer(r->core, step->answer))
		fail(r, step->line, "this answer does not fit the event", step->text, step->answer);
}

static bool drain_once(struct run *r)
{
	bool moved = false;
	buf_clear(&r->text);
	while (!r->failed && r->subject->next(r->core, &r->text, &r->body)) {
		moved = true;
		if (!str_eq(buf_view(&r->text), STR("body")))
			meet_event(r);
		buf_clear(&r->text);
	}
	struct str out = r->subject->output(r->core);
	if (out.n > 0) {
		moved = true;
		check(buf_add(&r->output, out) == OK);
		r->subject->sent(r->core, out.n);
	}
	return moved;
}

static void offer(struct run *r)
{
	struct str in = buf_view(&r->pending);
	size_t used = r->subject->feed(r->core, in);
	check(used <= in.n);
	buf_drop(&r->pending, used);
}

static void settle(struct run *r)
{
	for (bool moved = true; moved && !r->failed;) {
		size_t before = buf_view(&r->pending).n;
		if (before > 0)
			offer(r);
		moved = drain_once(r) || buf_view(&r->pending).n != before;
	}
}

static void feed(struct run *r, struct str bytes, bool drain_after)
{
	check(buf_add(&r->pending, bytes) == OK);
	r->fed += bytes.n;
	if (drain_after)
		settle(r);
	else
		offer(r);
}

static void write_group(struct run *r, struct str bytes)
{
	bool early = talk_given_yes(r->t, "early");
	if (r->cut == EVERY_BYTE) {
		for (size_t i = 0; i < bytes.n && !r->failed; i++)
			feed(r, str_sub(bytes, i, 1), !early);
	} else if (r->cut >= 0 && (size_t)r->cut > r->fed && (size_t)r->cut < r->fed + bytes.n) {
		size_t first = (size_t)r->cut - r->fed;
		feed(r, str_sub(bytes, 0, first), !early);
		feed(r, str_from(bytes, first), true);
	} else {
		feed(r, bytes, true);
	}
	settle(r);
	if (buf_view(&r->pending).n > 0 && !r->subject->done(r->core))
		fail(r, here(r), "the core takes no more", STR("(all taken)"), buf_view(&r->pending));
	buf_clear(&r->pending);
}

static bool take_output(struct run *r, struct str *line)
{
	struct str rest = buf_view(&r->output);
	if (!str_take_line(&rest, line))
		return false;
	size_t n = buf_view(&r->output).n - rest.n;
	if (r->subject->said != NULL && r->cut == WHOLE)
		r->subject->said(*line);
	buf_drop(&r->output, n);
	return true;
}

static void match_output(struct run *r, const struct talk_step *step)
{
	struct str line, whole = buf_view(&r->output);
	struct str text = step->text;
	if (step->mark == '=') {
		if (!str_starts(whole, text))
			fail(r, step->line, "other bytes", text, whole);
		else
			buf_drop(&r->output, text.n);
		return;
	}
	if (text.n >= 2 && step->mark != '~')
		text.n -= 2; /* the CRLF, which is checked by itself */
	while (!r->failed) {
		if (!str_find_str(buf_view(&r->output), STR("\r\n"), &(size_t){ 0 }) || !take_output(r, &line)) {
			fail(r, step->line, "this line did not come", text, whole);
			return;
		}
		if (step->mark == '~' ? str_starts(line, text) : str_eq(line, text))
			return;
		if (step->mark != '*') {
			fail(r, step->line, "another line", text, line);
			return;
		}
	}
}

/* Everything up to the next write must have happened, and nothing else. */
static void catch_up(struct run *r)
{
	settle(r);
	const struct talk_step *step;
	for (; !r->failed && (step = step_at(r, r->at)) != NULL && !is_sync(r, step); r->at++)
		if (step->side != TALK_EVENT)
			match_output(r, step);
	if (r->failed)
		return;

	/* expected_event stops at r->at now, so events that are due must be behind it. */
	compare_body(r);
	for (size_t i = r->next_event; i < r->at && !r->failed; i++)
		if (r->t->steps[i].side == TALK_EVENT)
			fail(r, r->t->steps[i].line, "this event did not come", r->t->steps[i].text, STR("(none)"));
	if (buf_view(&r->output).n > 0)
		fail(r, here(r), "output too much", STR("(none)"), buf_view(&r->output));
}

static void take_write(struct run *r)
{
	struct buf group;
	buf_init(&group, BYTES_MAX);
	const struct talk_step *step;
	bool more = true;
	while (more && (step = step_at(r, r->at)) != NULL && step->side == r->subject->input) {
		check(buf_add(&group, step->text) == OK);
		more = step->mark == '&' || step->mark == '+';
		r->at++;
	}
	write_group(r, buf_view(&group));
	buf_fini(&group);
}

static void take_order(struct run *r, const struct talk_step *step)
{
	r->at++;
	if (str_eq(step->text, STR("closed"))) {
		if (!r->subject->done(r->core))
			fail(r, step->line, "the core does not want to close", STR("closed"), STR("open"));
	} else if (!r->subject->order(r->core, step->text)) {
		fail(r, step->line, "unknown, or not so", step->text, STR(""));
	}
}

static void play_steps(struct run *r)
{
	bool closed = false;
	catch_up(r);
	while (!r->failed && r->at < r->t->n_steps) {
		const struct talk_step *step = step_at(r, r->at);
		if (step->side == TALK_ORDER) {
			closed |= str_eq(step->text, STR("closed"));
			take_order(r, step);
		} else {
			take_write(r);
		}
		if (!r->failed)
			catch_up(r);
	}
	if (!r->failed && r->subject->done(r->core) && !closed)
		fail(r, here(r), "the core wants to close", STR("open"), STR("closed"));
}

/* The length of the whole input, or 0 if the dialogue failed. */
static size_t play_once(const struct talk *t, const struct talk_subject *subject, int64_t cut, bool *ok)
{
	struct run r = { .t = t, .subject = subject, .cut = cut };
	struct buf *bufs[] = { &r.pending, &r.output, &r.body, &r.text };
	for (size_t i = 0; i < COUNT(bufs); i++)
		buf_init(bufs[i], BYTES_MAX);
	r.core = subject->start(t);
	if (r.core == NULL) {
		r.failed = true;
	} else {
		play_steps(&r);
		subject->stop(r.core);
	}
	for (size_t i = 0; i < COUNT(bufs); i++)
		buf_fini(bufs[i]);
	*ok = !r.failed;
	return r.fed;
}

void talk_play(const char *path, const struct talk_subject *subject, struct talk_count *count)
{
	struct talk t;
	struct why why;
	count->dialogues++;
	if (talk_read(path, &t, &why) != OK) {
		count->failures++;
		printf("not ok %zu - %s\n# %s\n", count->dialogues, path, why.text);
		return;
	}
	bool ok;
	size_t n = play_once(&t, subject, WHOLE, &ok);
	size_t stride = n > CUTS_MAX ? n / CUTS_MAX + 1 : 1;
	for (size_t cut = 1; ok && cut < n; cut += cut < 600 || cut + 600 > n ? 1 : stride, count->splits++)
		(void)play_once(&t, subject, (int64_t)cut, &ok);
	if (ok) {
		(void)play_once(&t, subject, EVERY_BYTE, &ok);
		count->splits++;
	}
	count->failures += !ok;
	printf("%s %zu - %.*s: %.*s\n", ok ? "ok" : "not ok", count->dialogues, STR_ARG(t.name), STR_ARG(t.title));
	talk_free(&t);
}

static int is_talk(const struct dirent *e)
{
	return str_ends_nocase(str_of(e->d_name), STR(".talk"));
}

void talk_play_all(const char *path, const struct talk_subject *subject, struct talk_count *count)
{
	if (str_ends_nocase(str_of(path), STR(".talk"))) {
		talk_play(path, subject, count);
		return;
	}
	struct dirent **names;
	char file[4096];
	int n = scandir(path, &names, is_talk, alphasort);
	for (int i = 0; i < n; i++) {
		(void)snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
		talk_play(file, subject, count);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}
