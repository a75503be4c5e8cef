/* SPDX-License-Identifier: ISC */
/* The queue's contract: every case runs on every store. store_memory says what is right; the others follow. */
#ifndef TEST_STORE_CONTRACT_H
#define TEST_STORE_CONTRACT_H

#include "fixture.h"

#define CASE(name) { #name, name }
struct contract_case { const char *name; void (*run)(void **state); };

int contract_run(const struct contract_case *cases, size_t n);

struct store_draft *draft_of(struct fixture *f, struct str content);
struct store_rcpt   rcpt_to(const char *address, const char *key, int64_t next_s);
fault               put_from(struct fixture *f, const char *id, const char *sender, struct str content,
                             const struct store_rcpt *rcpts, size_t n);
fault               put(struct fixture *f, const char *id, struct str content, const struct store_rcpt *rcpts, size_t n);
void                put_one(struct fixture *f, const char *id, const char *address, const char *key); /* due now */

size_t              lease(struct fixture *f, int64_t now_s, struct store_rcpt *out, size_t max); /* for a minute */
fault               settle(struct fixture *f, const struct store_rcpt *r, enum settle_kind kind, int64_t next_s);
struct store_counts counts(struct fixture *f);
struct str          content_of(struct fixture *f, const char *id, size_t piece);

#endif
