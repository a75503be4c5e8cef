/* SPDX-License-Identifier: ISC */
/*
 * cmd/story_print.h -- a story (mail/story.h) for a person: a name and a few words a line.
 *
 *     mail servers  mx1.example.org mx2.example.org (signed by DNSSEC)
 *     policy        dane won: The host's signed TLSA records say which certificate it has. (RFC 7672 2.2)
 *
 * Foreign text is made harmless for a terminal.
 *
 * Tests    test/scenario/why_test.py, explain_test.py
 */
#ifndef CMD_STORY_PRINT_H
#define CMD_STORY_PRINT_H

#include <jansson.h>

#include "base/str.h"

/* story: an array of objects, each with its kind and what else the line has. */
void story_print(const json_t *story, const char *indent);
/* One line of that look; nothing if there is no text. */
void story_print_line(const char *indent, const char *name, struct str text);

#endif
