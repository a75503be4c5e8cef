/* SPDX-License-Identifier: ISC */
/*
 * The transcript has two parts: how the session began, kept to a quarter of the room, and the present transaction, of
 * which the newest lines stay, because a failure stands at the end.
 */
#include "proto/smtp/client_core.h"

#include "base/check.h"

enum { LINE_MAX_SHOWN = 600, HEAD_ROOM = 48 };

static void forget_oldest(struct smtp_client *c, size_t need)
{
	while (buf_room(&c->said) < need) {
		struct str rest = buf_view(&c->said), line;
		if (!str_take_until(&rest, '\n', &line))
			return;
		buf_drop(&c->said, line.n + 1);
		c->said_cut = true;
	}
}

static void say(struct smtp_client *c, struct str who, struct str line)
{
	bool cut = line.n > LINE_MAX_SHOWN;
	line = str_sub(line, 0, LINE_MAX_SHOWN);
	size_t need = who.n + line.n + sizeof "...\n";
	struct buf *to = &c->said;
	if (!c->said_begun && buf_room(&c->said_head) >= need)
		to = &c->said_head;
	else
		forget_oldest(c, need);
	fault f = BUF_ADD_ALL(to, who, line, cut ? STR("...\n") : STR("\n"));
	check(f == OK); /* a line is far shorter than the ceiling, so there is room now */
}

void dialogue_client(struct smtp_client *c, struct str line)
{
	say(c, STR("C: "), line);
}

/* "S: 250 2.1.5 ", or "S: 250-" where another line follows. */
static struct str head_of(char room[HEAD_ROOM], const struct smtp_reply *r, bool more)
{
	struct buf head = buf_over(room, HEAD_ROOM);
	fault f = buf_add(&head, STR("S: "));
	f = f == OK ? buf_add_s64(&head, r->code) : f;
	f = f == OK ? buf_add_char(&head, more ? '-' : ' ') : f;
	if (r->status.class != 0) {
		f = f == OK ? status_put(&head, r->status) : f;
		f = f == OK ? buf_add_char(&head, ' ') : f;
	}
	check(f == OK); /* a code, and three numbers of 16 bits */
	return buf_view(&head);
}

void dialogue_server(struct smtp_client *c, const struct smtp_reply *r, bool hide_text)
{
	struct str rest = r->text, line;
	char head[HEAD_ROOM];
	if (hide_text) {
		struct smtp_reply bare = { .code = r->code };
		say(c, head_of(head, &bare, false), STR("(hidden)"));
		return;
	}
	for (bool more = true; more;) {
		more = str_take_until(&rest, '\n', &line);
		if (!more)
			line = rest;
		say(c, head_of(head, r, more), line);
	}
}

void dialogue_new_transaction(struct smtp_client *c)
{
	buf_clear(&c->said);
	c->said_begun = true;
	c->said_cut = false;
}

fault smtp_client_put_dialogue(const struct smtp_client *c, struct buf *out)
{
	size_t before = buf_view(out).n;
	fault f = buf_add(out, buf_view(&c->said_head));
	if (f == OK && c->said_cut)
		f = buf_add(out, STR("(...)\n"));
	if (f == OK)
		f = buf_add(out, buf_view(&c->said));
	if (f != OK)
		buf_cut(out, before);
	return f;
}
