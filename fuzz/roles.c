/* SPDX-License-Identifier: ISC */
/*
 * Front, courier, porter, keeper and resolver between hostile neighbours (fuzz/spool.c is the same for the spool): whatever
 * comes over an arrow, in any order, with any values, must not end the role.
 *
 * Input: a byte for the role. Then for each message a byte for the neighbour, one for its kind, then each field: a number is
 * one byte (small numbers meet each other), a string a byte of length and its bytes. 0xff in place of the neighbour lets time pass.
 *
 * A front has one client, who hands a letter in by LMTP, so that there is something to answer. A courier may be told to connect
 * anywhere: it runs in a network of its own, and is left out where there can be none.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "ipc/courier_keeper.h"
#include "ipc/front_keeper.h"
#include "ipc/front_spool.h"
#include "ipc/resolver.h"
#include "ipc/sign.h"
#include "ipc/spool_delivery.h"
#include "ipc/spool_keeper.h"
#include "role/role.h"
#include "sys/socket.h"
#include "neighbour.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NEIGHBOURS_MAX = 6, MESSAGES_MAX = 200 };

static const char conf_text[] =
	"hostname mx1.example.org\npostmaster pm@example.org\nlisten lmtp {\n on unix:/tmp/unused.sock\n}\n"
	"domain a.b {\n recipients any\n deliver maildir /nowhere/m/{local}\n}\n"
	"relay r {\n host 127.0.0.1:9\n tls none\n}\nroute {\n to h.h relay r\n otherwise direct\n}\n";

struct arrow {
	enum ipc_arrow arrow;
	const struct ipc_schema *out, *in;  /* what the neighbour says, and what it hears */
};

/* The supervisor is everybody's first neighbour. */
static const struct {
	const char *role;
	bool configured;                    /* a resolver would start threads of its library's with each configuration */
	struct arrow arrows[NEIGHBOURS_MAX - 1];
	size_t n;
} roles[] = {
	{ "front", true,
	  { { ARROW_FRONT_SPOOL, &spool_to_front, &front_to_spool }, { ARROW_FRONT_KEEPER, &keeper_to_front, &front_to_keeper },
	    { ARROW_FRONT_RESOLVER, &from_resolver, &to_resolver }, { ARROW_FRONT_SIGN, &from_signer, &to_signer } }, 4 },
	{ "courier", true,
	  { { ARROW_SPOOL_COURIER, &spool_to_worker, &worker_to_spool }, { ARROW_COURIER_KEEPER, &keeper_to_courier, &courier_to_keeper },
	    { ARROW_COURIER_RESOLVER, &from_resolver, &to_resolver } }, 3 },
	{ "porter", true, { { ARROW_SPOOL_PORTER, &spool_to_worker, &worker_to_spool } }, 1 },
	{ "keeper", true,
	  { { ARROW_FRONT_KEEPER, &front_to_keeper, &keeper_to_front }, { ARROW_COURIER_KEEPER, &courier_to_keeper, &keeper_to_courier },
	    { ARROW_SPOOL_KEEPER, &spool_to_keeper, &keeper_to_spool }, { ARROW_FRONT_SIGN, &to_signer, &from_signer },
	    { ARROW_COURIER_SIGN, &to_signer, &from_signer } }, 5 },
	{ "resolver", false,
	  { { ARROW_FRONT_RESOLVER, &to_resolver, &from_resolver }, { ARROW_COURIER_RESOLVER, &to_resolver, &from_resolver },
	    { ARROW_RESOLVER_SPOOL, &spool_to_resolver, &resolver_to_spool } }, 3 },
};

static void configure(struct channel *supervisor)
{
	channel_send(supervisor, TO_ROLE_CONFIG_TEXT,
	             &(struct to_role_config_text){ .generation = 1, .name = STR("c"), .text = str_of(conf_text) });
	channel_send(supervisor, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = 1 });
}

/* A client at a socket without a name: the whole letter at once. */
static int client_begin(struct channel *supervisor)
{
	static const char letter[] = "LHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<x@a.b>\r\nRCPT TO:<y@a.b>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n";
	struct sockaddr_storage at = { .ss_family = AF_UNIX };
	socklen_t n = sizeof(sa_family_t);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	check(bind(listener, (struct sockaddr *)&at, n) == 0 && listen(listener, 4) == 0);
	n = sizeof at;
	check(getsockname(listener, (struct sockaddr *)&at, &n) == 0 && connect(client, (struct sockaddr *)&at, n) == 0);
	check(write(client, letter, sizeof letter - 1) == sizeof letter - 1);
	channel_send_fd(supervisor, TO_ROLE_LISTENER, &(struct to_role_listener){ .generation = 1 }, listener);
	return client;
}

static bool is_alone_in_its_network(void)
{
	static int known = -1;
	if (known < 0)
		known = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
	return known == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	size_t which = next_byte(&in) % COUNT(roles);
	if (strcmp(roles[which].role, "courier") == 0 && !is_alone_in_its_network())
		return 0;
	struct neighbour n[NEIGHBOURS_MAX] = { { NULL } };
	struct loop *loop = loop_new();
	int control = neighbour_begin(loop, &n[0], &role_to_supervisor, &supervisor_to_role), client = -1;
	struct role_base *role = role_start(loop, roles[which].role, control);
	for (size_t i = 0; i < roles[which].n; i++) {
		const struct arrow *a = &roles[which].arrows[i];
		channel_send_fd(n[0].channel, TO_ROLE_LINK, &(struct to_role_link){ .arrow = a->arrow },
		                neighbour_begin(loop, &n[i + 1], a->in, a->out));
	}
	if (strcmp(roles[which].role, "front") == 0)
		client = client_begin(n[0].channel);
	if (roles[which].configured)
		configure(n[0].channel);
	let_time_pass(loop);
	for (size_t i = 0; in.n > 0 && i < MESSAGES_MAX; i++) {
		size_t who = next_byte(&in);
		if (who == 0xff) {
			let_time_pass(loop);
			continue;
		}
		who %= roles[which].n + 1;
		say(&n[who], who == 0 ? &supervisor_to_role : roles[which].arrows[who - 1].out, &in);
	}
	let_time_pass(loop);
	role_free(&role);
	for (size_t i = 0; i < NEIGHBOURS_MAX; i++)
		channel_close(&n[i].channel);
	fd_close(&client);
	loop_free(&loop);
	return 0;
}
