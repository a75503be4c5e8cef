/* SPDX-License-Identifier: ISC */
/*
 * proto/tlsrpt/inside.h -- what counting and reading share. Texts are copied, cleaned and cut; counts are added.
 */
#ifndef PROTO_TLSRPT_INSIDE_H
#define PROTO_TLSRPT_INSIDE_H

#include "proto/tlsrpt/tlsrpt.h"

/* NULL: too many. Valid until the next one is added. */
struct tlsrpt_policy *tlsrpt_add_policy(struct tlsrpt_report *r, const struct tlsrpt_policy *like);
void tlsrpt_add_detail(struct tlsrpt_report *r, struct tlsrpt_policy *p, const struct tlsrpt_detail *like);

#endif
