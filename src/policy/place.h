/* SPDX-License-Identifier: ISC */
/*
 * policy/place.h -- in which Maildir does mail for an address lie? Pure.
 *
 * A template is an absolute path in which {domain} and {local} stand for the recipient's. What comes before the first
 * component with one of them is fixed: the administrator's, links and all. What comes after is made from the
 * address: it names one folder a component, and never leads upwards or through a link.
 *
 * Limits   PLACE_MAX for the whole path; a component 255.
 * Errors   F_SYNTAX: no such folder can be (a local part with '/', an address literal, a template that is none).
 * Tests    test/unit/policy/place_test.c
 */
#ifndef POLICY_PLACE_H
#define POLICY_PLACE_H

#include "mail/address.h"

enum { PLACE_MAX = 2048, COMPONENT_MAX = 255 };

struct place {
	char fixed[PLACE_MAX];   /* "/var/mail" */
	char below[PLACE_MAX];   /* "example.org/jada" */
};

MUST_USE fault place_find(struct str template_, struct str address, struct place *out);

#endif
