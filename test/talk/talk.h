/* SPDX-License-Identifier: ISC */
/*
 * talk.h -- dialogue files: an SMTP conversation as text, read into steps. README.md shows the format.
 *
 * The parser knows nothing of servers or clients: run.h plays the steps against a core.
 */
#ifndef TALK_H
#define TALK_H

#include "base/arena.h"
#include "base/fault.h"

enum talk_side {
	TALK_CLIENT = 'C', /* what the client sends */
	TALK_SERVER = 'S', /* what the server sends */
	TALK_EVENT = 'E',  /* what the core tells its owner, and the owner's answer */
	TALK_ORDER = '!',  /* something happens: time passes, TLS starts */
};

struct talk_step {
	enum talk_side side;
	char mark;         /* the byte after the side: ':' '&' '=' '+' '*' '~' */
	struct str text;   /* escapes undone; for C, S and `E: body` with the CRLF that ':', '&' and '*' add */
	struct str answer; /* E: what follows =>, trimmed; p is NULL without an arrow */
	unsigned line;
};

struct talk_given { struct str key, value; };

struct talk {
	struct arena *arena;
	struct str name;   /* the file's name without its folder */
	struct str title;  /* the first comment line */
	struct talk_given *given;
	size_t n_given;
	struct talk_step *steps;
	size_t n_steps;
};

MUST_USE fault talk_parse(struct str name, struct str text, struct talk *out, struct why *why);
MUST_USE fault talk_read(const char *path, struct talk *out, struct why *why);
void talk_free(struct talk *t);

struct str talk_given(const struct talk *t, const char *key); /* STR_NONE if it is not given */
bool       talk_given_number(const struct talk *t, const char *key, uint64_t *out);
bool       talk_given_yes(const struct talk *t, const char *key);

#endif
