/* SPDX-License-Identifier: ISC */
/*
 * mail/json.h -- foreign text and times as JSON values.
 *
 * JSON is UTF-8, but what a peer sent may not be: then each of its bytes beyond ASCII becomes a question mark.
 *
 * Source   RFC 8259 8.1, RFC 3339.
 * Owns     what is returned is the caller's, as with jansson's own constructors.
 * Tests    test/unit/mail/json_test.c
 */
#ifndef MAIL_JSON_H
#define MAIL_JSON_H

#include "base/str.h"

struct json_t;

struct json_t *text_as_json(struct str s);
struct json_t *date_as_json(int64_t wall_s); /* of the years 1 to 9999 */

#endif
