/* SPDX-License-Identifier: ISC */
/* role/table.c -- the roles by name. The supervisor is not among them: it starts them. */
#include "role/role.h"

#include <string.h>

#include "base/check.h"

static const struct {
	const char *name;
	struct role_base *(*start)(struct loop *loop, int control_fd);
} roles[] = {
	{ "front", front_start },
	{ "spool", spool_start },
	{ "courier", courier_start },
	{ "porter", porter_start },
	{ "keeper", keeper_start },
	{ "resolver", resolver_start },
};

struct role_base *role_start(struct loop *loop, const char *name, int control_fd)
{
	for (size_t i = 0; i < COUNT(roles); i++)
		if (strcmp(roles[i].name, name) == 0)
			return roles[i].start(loop, control_fd);
	return NULL;
}
