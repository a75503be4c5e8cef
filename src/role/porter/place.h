/* SPDX-License-Identifier: ISC */
/*
 * role/porter/place.h -- in which Maildir does mail for an address lie? Pure.
 *
 * A template is an absolute path in which {domain} and {local} stand for the recipient's. What comes before the first
 * component with one of them is fixed: the administrator's, links and all. What comes after is made from the
 * address: it names one folder a component, and never leads upwards or through a link.
 *
 * Limits   PLACE_MAX for the whole path; a component 255.
 * Errors   F_SYNTAX: no such folder can be (a local part with '/', an address literal, a template that is none).
 * Tests    test/unit/role/porter/
 */
#ifndef ROLE_PORTER_PLACE_H
#define ROLE_PORTER_PLACE_H

#include "mail/address.h"

enum { PLACE_MAX = 2048, COMPONENT_MAX = 255 };

struct place {
	char fixed[PLACE_MAX];   /* "/var/mail" */
	char below[PLACE_MAX];   /* "example.org/jada" */
};

MUST_USE fault place_find(struct str template_, struct str address, struct place *out);

/* The name of a letter's file, the same whenever it is asked for: "TIME.QidRhash.host". The time is that of the id. */
enum { LETTER_NAME_MAX = 220 };
void letter_name(char out[LETTER_NAME_MAX + 1], int64_t arrived_s, struct str id, struct str address,
                 struct str hostname);

#endif
