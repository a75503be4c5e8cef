/* SPDX-License-Identifier: ISC */
/*
 * mail/story.h -- why a letter went the way it did: evidence as lines of text, written once and read by people and programs.
 *
 *     mx domain=example.org secure=yes hosts="mx1.example.org mx2.example.org"
 *     policy name=dane verdict=won source="RFC 7672 2.2" text="The host's signed TLSA records say which certificate it has."
 *
 * A line is a kind and pairs of key and value, values as in base/escape.h. The kinds:
 *
 *     route   where the letter goes, by the configuration    kind, name
 *     recipient  who stands behind an address of ours        address, result (mailbox, expanded, unknown), targets
 *     target  one of those that it expands to                address, kind, name
 *     mx      the domain's mail servers                      domain, secure, result, hosts
 *     mta-sts the domain's policy                            domain, mode, mx, id, text
 *     dane    what the TLSA records of a host come to        host, result, base, text
 *     tlsa    one of them                                    record
 *     policy  a rule, and why it won or lost                 host, name, verdict, source, text
 *     host    a server that was tried                        name, ip, connection
 *     tls     what the connection had                        level, demanded, version, group, cipher, verified, by, problem, hello
 *     cert    one certificate of the server's chain          n, subject, issuer, names, until, key, spki
 *     reply   what the server said in the end                code, status, text
 *     said    a line of the dialogue                         text
 *     answer  what would happen now                          result, text, code, status, host, ip, level, tls
 *     cut     the last line of a story that was too long
 *
 * Limits   STORY_BYTES_MAX for a story, STORY_VALUE_MAX for a value as it is written; a line that has no room is left out whole,
 *          and so is everything after it, but for `cut`.
 * Errors   Writing never fails: a story is told as far as there is room.
 * Tests    test/unit/mail/story_test.c, fuzz/story.c
 */
#ifndef MAIL_STORY_H
#define MAIL_STORY_H

#include "base/buf.h"

enum { STORY_BYTES_MAX = 16 << 10, STORY_VALUE_MAX = 512 };

struct story {
	struct buf text;
	size_t line;      /* where the line that is being written begins */
	bool full;
};

void story_init(struct story *s);
void story_fini(struct story *s);

/* A line: begin, any number of adds, end. Kind and key are words of our own. An empty value is left out. */
void story_begin(struct story *s, const char *kind);
void story_add(struct story *s, const char *key, struct str value);
void story_add_u64(struct story *s, const char *key, uint64_t value);
void story_end(struct story *s);

/* Whole lines of another story, up to where there is room. */
void story_append(struct story *s, struct str text);

struct str story_text(const struct story *s); /* lines with LF; valid until the next change */

/* ---- reading ---- */

struct story_line { struct str kind, pairs; };

/* The next line that is one; what is none is passed over. False: nothing is left. */
bool story_next(struct str *rest, struct story_line *out);
/* The next pair; value_raw as base/escape.h has it. False: no more, or what is there is no pair. */
bool story_pair(struct story_line *line, struct str *key, struct str *value_raw);
/* The value of one key, in words; STR_NONE if it is not there or there is no room. Lives in *room. */
struct str story_value(struct story_line line, struct str key, struct buf *room);

/* Does it hold nothing but lines as they are written here, and not too many bytes of them? For a story that somebody else tells. */
bool story_is_sound(struct str text);

#endif
