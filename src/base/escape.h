/* SPDX-License-Identifier: ISC */
/*
 * base/escape.h -- text that strangers wrote, for lines that people and programs read.
 *
 * As a word, a value stands bare if it is printable ASCII without space, quote or backslash, else in quotes; as JSON always. In
 * quotes, controls, what is not UTF-8, and characters that reorder or hide text are written as \xNN (JSON: \uNNNN, and \\xNN for a
 * stray byte), so nothing that is put this way ends a line, or looks like something else.
 *
 * Limits   A value, as it is written between quotes, takes at most `max` bytes; "..." tells that it was cut.
 * Tests    test/unit/base/escape_test.c
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/buf.h"

enum escape_form { ESCAPE_WORD, ESCAPE_JSON };

/* All or nothing: F_LIMIT leaves the buffer as it was. */
MUST_USE fault escape_put(struct buf *out, struct str value, enum escape_form form, size_t max);

/* Text in which strangers' words may stand, without quotes: what would be written as \xNN is, the rest stays. ESCAPE_JSON: the text
 * of a JSON value, which stays that value. lines: ends of lines and tabs stay. All or nothing. */
MUST_USE fault escape_put_text(struct buf *out, struct str text, enum escape_form form, bool lines);
/* The length of the character at the front, of which nothing is hidden or controls anything if *plain_out. text is not empty. */
size_t escape_character(struct str text, bool *plain_out);

/* The next word at the front of *rest, as ESCAPE_WORD wrote it, up to a space or the end. raw: with its quotes and escapes. F_SYNTAX:
 * a quote that nothing closes, or something right after it. */
MUST_USE fault escape_take_word(struct str *rest, struct str *raw_out);
/* What such a word stands for. F_SYNTAX: an escape that is none; F_LIMIT: no room; the buffer stays as it was. */
MUST_USE fault escape_undo(struct buf *out, struct str raw);

/* Is nothing in it that escape_put would write as \xNN? */
bool escape_is_plain(struct str text);

#endif
