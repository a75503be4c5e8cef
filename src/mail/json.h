/* SPDX-License-Identifier: ISC */
/*
 * mail/json.h -- foreign text and times as JSON values, and text out of them.
 *
 * JSON is UTF-8, but what a peer sent may not be: then each of its bytes beyond ASCII becomes a question mark.
 *
 * Source   RFC 8259 8.1, RFC 3339.
 * Owns     What text_as_json and date_as_json give is the caller's, as with jansson's own constructors; text_in_json's slice points into
 *          the object.
 * Tests    test/unit/mail/json_test.c
 */
#ifndef MAIL_JSON_H
#define MAIL_JSON_H

#include "base/str.h"

struct json_t;

struct json_t *text_as_json(struct str s);
struct json_t *date_as_json(int64_t wall_s); /* of the years 1 to 9999 */
/* Nothing where there is no such key, or no text behind it. */
struct str text_in_json(const struct json_t *object, const char *key);
long long number_in_json(const struct json_t *object, const char *key); /* 0 where there is no integer */

#endif
