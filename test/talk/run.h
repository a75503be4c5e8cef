/* SPDX-License-Identifier: ISC */
/*
 * run.h -- plays a dialogue against a sans-I/O core: whole, cut at every byte, and byte by byte.
 *
 * The driver (server.c, client.c) is a struct talk_subject around its core. Between two writes of the
 * input side, every event must be the next E step, every output line the next step of the output side;
 * nothing may be missing or left over.
 */
#ifndef TALK_RUN_H
#define TALK_RUN_H

#include "base/buf.h"
#include "talk.h"

struct talk_subject {
	enum talk_side input;                      /* TALK_CLIENT for a server core, TALK_SERVER for a client core */
	void *(*start)(const struct talk *t);      /* NULL: a `given` is wrong; says so on standard error */
	void (*stop)(void *core);
	size_t (*feed)(void *core, struct str bytes);
	/* The next event as text, "body" for content, whose bytes go into body_out. false: none. */
	bool (*next)(void *core, struct buf *text_out, struct buf *body_out);
	bool (*answer)(void *core, struct str answer); /* the answer of the E step; false: not understood */
	struct str (*output)(void *core);
	void (*sent)(void *core, size_t n);
	bool (*order)(void *core, struct str words); /* a ! step other than `closed`; false: unknown or untrue */
	bool (*done)(void *core);
	void (*said)(struct str line);             /* every output line of the whole run; may be NULL */
};

struct talk_count { size_t dialogues, splits, failures; };

/* Plays the file in every way; failures are printed as TAP comments on standard output. */
void talk_play(const char *path, const struct talk_subject *subject, struct talk_count *count);
/* A dialogue, or every *.talk of a folder. */
void talk_play_all(const char *path, const struct talk_subject *subject, struct talk_count *count);

#endif
