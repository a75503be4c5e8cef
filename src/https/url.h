/* SPDX-License-Identifier: ISC */
/*
 * https/url.h -- where a report is to be posted, taken apart. Pure.
 *
 * Source   RFC 3986 3, RFC 8460 3 (rua), as far as https goes: no user, no fragment, a name and no address.
 * Errors   F_SYNTAX.
 * Owns     Slices point into the text; host keeps its case.
 * Tests    test/unit/https/url_test.c
 */
#ifndef HTTPS_URL_H
#define HTTPS_URL_H

#include "base/fault.h"
#include "base/str.h"

struct url { struct str host, path; uint16_t port; }; /* path with the query; "/" if there is none */

MUST_USE fault url_parse(struct str text, struct url *out);

/* What https_ask takes as a host and as a path. */
bool url_host_ok(struct str host);
bool url_path_ok(struct str path);

#endif
