/* SPDX-License-Identifier: ISC */
/* role/table.c -- the roles by name, and what each may do. The supervisor is not among them: it starts them. */
#include "role/role.h"

#include <string.h>

#include "base/check.h"

/*
 * docs/ARCHITECTURE.md has this table in words. Every role may read and write what was passed to it, and use memory, time and
 * chance. None may execute anything, open a path outside its folders, trace, signal or look into another process, or become
 * somebody else.
 *
 * A front accepts its clients; a spool, whoever comes to its control socket. The keeper checks passwords on threads that it
 * has from the start; the resolver's library starts one for each configuration.
 */
static const struct {
	const char *name;
	struct role_base *(*start)(struct loop *loop, int control_fd);
	struct confine_rules rules;
} roles[] = {
	{ "front",    front_start,    { .may = MAY_ACCEPT,                                          .empty_root = true } },
	{ "spool",    spool_start,    { .may = MAY_ACCEPT | MAY_USE_FOLDERS,                        .descriptors = 1024 } },
	{ "courier",  courier_start,  { .may = MAY_CONNECT | MAY_SEE_ADDRESSES,                     .empty_root = true } },
	{ "porter",   porter_start,   { .may = MAY_USE_FOLDERS,                                     .descriptors = 1024 } },
	{ "keeper",   keeper_start,   { .may = 0, .pool = true,                .descriptors = 512,  .empty_root = true } },
	{ "resolver", resolver_start, { .may = MAY_CONNECT | MAY_ASK_UDP | MAY_START_THREADS,       .empty_root = true } },
};

struct role_base *role_start(struct loop *loop, const char *name, int control_fd)
{
	for (size_t i = 0; i < COUNT(roles); i++)
		if (strcmp(roles[i].name, name) == 0)
			return roles[i].start(loop, control_fd);
	return NULL;
}

const struct confine_rules *role_rules(const char *name)
{
	for (size_t i = 0; i < COUNT(roles); i++)
		if (strcmp(roles[i].name, name) == 0)
			return &roles[i].rules;
	return NULL;
}
