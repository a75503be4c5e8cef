/* SPDX-License-Identifier: ISC */
/*
 * The spool between hostile neighbours: whatever a front, a worker, the keeper, the resolver or the supervisor says, in
 * any order, with any values, must not end the role.
 *
 * Input: for each message a byte for the neighbour, one for its kind, then each field: a number is one byte (small numbers
 * meet each other), a string a byte of length and its bytes. 0xff in place of the neighbour lets time pass.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ipc/front_spool.h"
#include "ipc/resolver.h"
#include "ipc/spool_delivery.h"
#include "ipc/spool_keeper.h"
#include "role/spool/spool.h"
#include "neighbour.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NEIGHBOURS = 6, LINKS = 5, MESSAGES_MAX = 200 };

static const char conf_text[] =
	"hostname mx1.example.org\npostmaster pm@example.org\nlisten local {\n on unix:/tmp/unused.sock\n}\n"
	"domain a.b {\n recipients any\n deliver maildir /m/{local}\n}\n"
	"route {\n to h.h hold\n to r.r refuse \"no\"\n otherwise direct\n}\n";

/* What the neighbour sends, and what it hears; the supervisor is the first. */
static const struct {
	enum ipc_arrow arrow;
	const struct ipc_schema *out, *in;
} links[NEIGHBOURS] = {
	{ 0, &supervisor_to_role, &role_to_supervisor },
	{ ARROW_FRONT_SPOOL, &front_to_spool, &spool_to_front },
	{ ARROW_SPOOL_COURIER, &worker_to_spool, &spool_to_worker },
	{ ARROW_SPOOL_PORTER, &worker_to_spool, &spool_to_worker },
	{ ARROW_SPOOL_KEEPER, &keeper_to_spool, &spool_to_keeper },
	{ ARROW_RESOLVER_SPOOL, &resolver_to_spool, &spool_to_resolver },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct neighbour n[NEIGHBOURS];
	struct loop *loop = loop_new();
	struct role_base *spool = spool_start_on(loop, neighbour_begin(loop, &n[0], links[0].in, links[0].out), &store_memory);
	channel_send(n[0].channel, TO_ROLE_CONFIG_TEXT,
	             &(struct to_role_config_text){ .generation = 1, .name = STR("c"), .text = str_of(conf_text) });
	channel_send(n[0].channel, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = 1 });
	for (size_t i = 1; i <= LINKS; i++)
		channel_send_fd(n[0].channel, TO_ROLE_LINK, &(struct to_role_link){ .arrow = links[i].arrow },
		                neighbour_begin(loop, &n[i], links[i].in, links[i].out));
	let_time_pass(loop);
	for (size_t i = 0; in.n > 0 && i < MESSAGES_MAX; i++) {
		uint8_t who = next_byte(&in);
		if (who == 0xff)
			let_time_pass(loop);
		else
			say(&n[who % NEIGHBOURS], links[who % NEIGHBOURS].out, &in);
	}
	let_time_pass(loop);
	role_free(&spool);
	for (size_t i = 0; i < NEIGHBOURS; i++)
		channel_close(&n[i].channel);
	loop_free(&loop);
	return 0;
}
