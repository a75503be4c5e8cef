/* SPDX-License-Identifier: ISC */
/*
 * The transcript has two parts: how the session began, kept to a quarter of the room, and the present transaction, of
 * which the newest lines stay, because a failure stands at the end.
 */
#include "proto/smtp/client_core.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { LINE_MAX_SHOWN = 600 };

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

static void say(struct smtp_client *c, const char *who, struct str line)
{
	bool cut = line.n > LINE_MAX_SHOWN;
	line = str_sub(line, 0, LINE_MAX_SHOWN);
	size_t need = strlen(who) + line.n + sizeof "...\n";
	struct buf *to = &c->said;
	if (!c->said_begun && buf_room(&c->said_head) >= need)
		to = &c->said_head;
	else
		forget_oldest(c, need);
	fault f = buf_addf(to, "%s%.*s%s\n", who, STR_ARG(line), cut ? "..." : "");
	check(f == OK); /* a line is far shorter than the ceiling, so there is room now */
}

void dialogue_client(struct smtp_client *c, struct str line)
{
	say(c, "C: ", line);
}

void dialogue_server(struct smtp_client *c, const struct smtp_reply *r, bool hide_text)
{
	struct str rest = r->text, line;
	char head[40], status[24] = "";
	if (r->status.class != 0)
		snprintf(status, sizeof status, "%u.%u.%u ", r->status.class, r->status.subject, r->status.detail);
	if (hide_text) {
		snprintf(head, sizeof head, "S: %d ", r->code);
		say(c, head, STR("(hidden)"));
		return;
	}
	for (bool more = true; more;) {
		more = str_take_until(&rest, '\n', &line);
		if (!more)
			line = rest;
		snprintf(head, sizeof head, "S: %d%c%s", r->code, more ? '-' : ' ', status);
		say(c, head, line);
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
