/* SPDX-License-Identifier: ISC */
/* cmd/queue/alone.c -- the queue while no server has it open: `sealpost queue hold` of one that was put back. */
#include "cmd/queue/parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "cmd/options.h"
#include "cmd/say.h"
#include "store/match.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

/* What is made in the queue's directory must belong to whom it belongs to. */
static fault become_the_owner(struct str directory, struct why *why)
{
	char path[512], name[64];
	uint32_t uid, gid, mode;
	int fd = -1, n = snprintf(path, sizeof path, "%.*s", STR_ARG(directory));
	if (n < 0 || (size_t)n >= sizeof path)
		return why_say(why, F_LIMIT, "the queue directory's name is too long");
	TRY(directory_open(FILE_CWD, path, &fd, why));
	fault f = file_owner_mode(fd, &uid, &mode);
	fd_close(&fd);
	if (f != OK)
		return why_say(why, f, "cannot look at the queue's directory %s", path);
	if (!process_is_root() || uid == 0)
		return OK;
	f = user_name(uid, name, sizeof name);
	if (f == OK)
		f = user_find(name, &uid, &gid);
	if (f != OK)
		return why_say(why, f, "%s belongs to user %u, who has no account", path, (unsigned)uid);
	return process_become(uid, gid, why);
}

fault queue_open_alone(const struct conf *conf, struct store **out, struct why *why)
{
	TRY(become_the_owner(conf->queue.directory, why));
	return store_sqlite.open(conf->queue.directory, NULL, out, why); /* nobody else opens it from here on */
}

static struct store_selector selector_of(const struct control_request *r)
{
	return (struct store_selector){ .id = r->id, .to = r->to, .from = r->from, .user = r->user, .domain = r->domain,
		                        .arrived_before_s = selector_before(clock_wall_s(), r->older_s) };
}

static fault count_matches(struct store *s, const struct store_selector *which, size_t *n_out)
{
	struct store_place place = { 0 };
	*n_out = 0;
	while (!place.over) {
		size_t n = 0;
		TRY(store_sqlite.list(s, which, &place, NULL, NULL, SIZE_MAX, &n));
		*n_out += n;
	}
	return OK;
}

static void say_held(uint64_t n, size_t matches, bool json)
{
	if (json)
		printf("{\"action\":\"hold\",\"recipients\":%" PRIu64 ",\"complete\":true,\"on_the_way\":0,\"left\":0}\n", n);
	else if (n > 0)
		printf("no server runs: %" PRIu64 " recipient%s held in the queue itself\n", n, n == 1 ? "" : "s");
	else if (matches > 0)
		puts("no server runs; nothing to change in the queue: what matches is held, or damaged");
	if (matches == 0)
		say(stderr, "no server runs; nothing in its queue matches");
}

static int hold_alone(const struct conf *conf, const struct control_request *request, const struct why *nobody, bool json)
{
	struct store_selector which = selector_of(request);
	struct why why = { "" };
	struct store *s = NULL;
	uint64_t n = 0;
	size_t matches = 0;
	fault f = queue_open_alone(conf, &s, &why);
	if (f == F_BUSY || f == F_DENIED) {
		say(stderr, "sealpost: %s", nobody->text);
		say(stderr, "sealpost: %s", why.text);
		return EXIT_UNAVAILABLE;
	}
	if (f == OK)
		f = count_matches(s, &which, &matches);
	if (f == OK)
		f = store_sqlite.act(s, &which, ACT_HOLD, clock_wall_s(), &n);
	store_sqlite.close(&s);
	if (f != OK) {
		say(stderr, "sealpost: %s", why.text[0] != '\0' ? why.text : "the queue cannot be changed");
		return 1;
	}
	say_held(n, matches, json);
	return matches > 0 ? 0 : 1;
}

int queue_hold(const struct common_options *options, const struct control_request *request, const struct control_answers *answers)
{
	struct conf *conf;
	struct why nobody = { "" };
	int fd, status = control_call(options->conf_path, &conf, &fd, &nobody);
	if (status == 0)
		status = control_converse(fd, request, answers);
	else if (conf == NULL)
		say(stderr, "sealpost: %s", nobody.text);
	else
		status = hold_alone(conf, request, &nobody, options->json);
	conf_free(&conf);
	return status;
}
