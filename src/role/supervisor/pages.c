/* SPDX-License-Identifier: ISC */
/*
 * role/supervisor/pages.c -- the pages on which the fronts count their clients.
 *
 * A front may write its own page and read the others'. What a dead front had counted is wiped away here, since its
 * connections ended with it.
 */
#include "role/supervisor/slot.h"

#include <string.h>

#include "policy/crowd.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/shared.h"
#include "sys/socket.h"

_Static_assert((int)FRONTS_MAX <= (int)CROWD_PAGES_MAX, "a page for each front");

/* Without the pages each front counts for itself. */
void pages_make(struct supervisor *sv, unsigned fronts)
{
	sv->crowd_seed = random_u64();
	for (unsigned i = 0; i < fronts; i++) {
		struct shared_page *p = &sv->pages[i];
		*p = (struct shared_page){ .write_fd = -1, .read_fd = -1 };
		sv->n_pages++;
		fault f = shared_make(sizeof(struct crowd_page), &p->write_fd, &p->read_fd);
		if (f == OK)
			f = shared_map(p->write_fd, sizeof(struct crowd_page), true, &p->map);
		if (f != OK)
			log_event(LOG_TROUBLE, LOG_Z("text", "no memory to be shared by the fronts: each counts its own clients"),
			          LOG_Z("fault", fault_name(f)));
	}
}

bool pages_give(struct slot *s)
{
	struct supervisor *sv = s->sv;
	for (unsigned i = 0; s->kind == ROLE_FRONT && i < sv->n_pages; i++) {
		bool own = i == s->instance;
		if (sv->pages[i].map == NULL)
			continue; /* told when it could not be made */
		int fd = fd_dup(own ? sv->pages[i].write_fd : sv->pages[i].read_fd);
		if (fd < 0)
			return false;
		channel_send_fd(s->control, TO_ROLE_CROWD,
		                &(struct to_role_crowd){ .instance = i, .own = own, .seed = sv->crowd_seed }, fd);
	}
	return true;
}

void pages_wipe(const struct slot *s)
{
	if (s->kind == ROLE_FRONT && s->instance < s->sv->n_pages && s->sv->pages[s->instance].map != NULL)
		memset(s->sv->pages[s->instance].map, 0, sizeof(struct crowd_page));
}

void pages_free(struct supervisor *sv)
{
	for (unsigned i = 0; i < sv->n_pages; i++) {
		shared_unmap(sv->pages[i].map, sizeof(struct crowd_page));
		fd_close(&sv->pages[i].write_fd);
		fd_close(&sv->pages[i].read_fd);
	}
	sv->n_pages = 0;
}
