/* SPDX-License-Identifier: ISC */
/* cmd/queue/verify.c -- `sealpost queue verify`: the database's structure from here, the rest by the server or without one. */
#include "cmd/queue/parts.h"

#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "base/check.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "mail/json.h"
#include "store/inspect.h"
#include "store/store.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { STRUCTURE_MAX = 20, FINDINGS_MAX = 100, STEP_BYTES = 4 << 20, ARENA_MAX = 16 << 20 };

struct verifying {
	const struct common_options *options;
	bool terminal;                   /* a person watches: progress is shown */
	bool progress_shown;
	uint64_t found, set_aside;
};

/* ---- what is shown ---- */

static void clear_progress(struct verifying *v)
{
	if (v->progress_shown)
		fprintf(stderr, "\r\033[K");
	v->progress_shown = false;
}

static void show_progress(struct verifying *v, uint64_t messages, uint64_t of_messages, uint64_t bytes, uint64_t of_bytes)
{
	if (!v->terminal)
		return;
	uint64_t percent = of_bytes == 0 || bytes > of_bytes ? 100 : 100 * bytes / of_bytes;
	fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64 " message%s, %" PRIu64 " %%", messages, of_messages,
	        of_messages == 1 ? "" : "s", percent);
	fflush(stderr);
	v->progress_shown = true;
}

static void show_finding(struct verifying *v, struct str id, struct str text, uint64_t set_aside)
{
	clear_progress(v);
	v->found++;
	v->set_aside += set_aside;
	print_padded(id.n > 0 ? id : STR("-"), 17);
	print_safely(text);
	if (set_aside > 0)
		printf("; %" PRIu64 " recipient%s set aside", set_aside, set_aside == 1 ? "" : "s");
	putchar('\n');
}

static void show_finding_json(struct verifying *v, struct str id, struct str text, uint64_t set_aside)
{
	json_t *o = json_object();
	v->found++;
	v->set_aside += set_aside;
	json_object_set_new(o, "id", text_as_json(id));
	json_object_set_new(o, "text", text_as_json(text));
	json_object_set_new(o, "set_aside", json_integer((json_int_t)set_aside));
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static void tell(struct verifying *v, struct str id, struct str text, uint64_t set_aside)
{
	if (v->options->json)
		show_finding_json(v, id, text, set_aside);
	else
		show_finding(v, id, text, set_aside);
}

/* ---- the database's structure ---- */

static fault look_at_structure(struct verifying *v, struct str directory, struct why *why)
{
	struct arena *a = arena_new(ARENA_MAX);
	struct str said[STRUCTURE_MAX];
	char text[600];
	size_t n = 0;
	fault f = inspect_structure(directory, a, said, STRUCTURE_MAX, &n, why);
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "the database: %.*s", (int)(said[i].n < 500 ? said[i].n : 500), said[i].p);
		tell(v, STR_NONE, str_of(text), 0);
	}
	arena_free(&a);
	return f;
}

/* ---- by the server ---- */

static uint64_t count_of(const json_t *o, const char *key)
{
	long long n = number_in_json(o, key);
	return n < 0 ? 0 : (uint64_t)n;
}

static void on_row(void *owner, struct str line)
{
	struct verifying *v = owner;
	json_t *o = json_loadb(line.p, line.n, 0, NULL);
	if (json_object_get(o, "text") != NULL)
		tell(v, text_in_json(o, "id"), text_in_json(o, "text"), count_of(o, "set_aside"));
	else if (json_object_get(o, "over") != NULL && v->options->json)
		say_json(line);
	else
		show_progress(v, count_of(o, "messages"), count_of(o, "messages_in_all"), count_of(o, "bytes"), count_of(o, "bytes_in_all"));
	json_decref(o);
}

static void on_end(void *owner, int status, struct str text)
{
	struct verifying *v = owner;
	(void)status;
	clear_progress(v);
	if (text.n > 0)
		say(v->options->json ? stderr : stdout, "%.*s", STR_ARG(text));
}

static int by_server(struct verifying *v, const char *conf_path)
{
	struct control_request request = { .verb = CONTROL_VERIFY };
	struct control_answers answers = { .row = on_row, .end = on_end, .owner = v };
	return control_command(conf_path, &request, &answers);
}

/* ---- without one ---- */

static fault look_at_all(struct verifying *v, struct store *s, struct store_round *round, struct why *why)
{
	struct store_counts all = { 0 };
	fault f = store_sqlite.counts(s, &all);
	unsigned busy = 0;
	while ((f == OK || (f == F_BUSY && ++busy < 10)) && !round->over) {
		struct arena *a = arena_new(ARENA_MAX);
		struct store_finding found[FINDINGS_MAX];
		size_t n = 0;
		f = store_sqlite.verify(s, round, STEP_BYTES, a, found, FINDINGS_MAX, &n, why);
		for (size_t i = 0; i < n; i++)
			tell(v, found[i].id, found[i].text, found[i].set_aside);
		arena_free(&a);
		show_progress(v, round->messages, all.messages, round->bytes, all.content_bytes);
	}
	clear_progress(v);
	return f;
}

static void show_sum(const struct verifying *v, const struct store_round *round)
{
	if (v->options->json)
		printf("{\"over\":true,\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"found\":%" PRIu64 ",\"set_aside\":%" PRIu64 "}\n",
		       round->messages, round->bytes, v->found, v->set_aside);
	else if (v->found == 0)
		printf("%" PRIu64 " message%s, %" PRIu64 " bytes: all of it is whole\n", round->messages, round->messages == 1 ? "" : "s",
		       round->bytes);
	else
		printf("%" PRIu64 " message%s, %" PRIu64 " bytes: %" PRIu64 " problem%s; %" PRIu64 " recipient%s set aside just now\n",
		       round->messages, round->messages == 1 ? "" : "s", round->bytes, v->found, v->found == 1 ? "" : "s", v->set_aside,
		       v->set_aside == 1 ? "" : "s");
}

static int without_server(struct verifying *v, const struct conf *conf, const struct why *nobody)
{
	struct why why = { "" };
	struct store *s = NULL;
	struct store_round round = { 0 };
	fault f = queue_open_alone(conf, &s, &why);
	if (f == F_BUSY || f == F_DENIED) {
		say(stderr, "sealpost: %s", nobody->text);
		say(stderr, "sealpost: %s", why.text);
		return EXIT_UNAVAILABLE;
	}
	if (!v->options->json)
		fprintf(stderr, "no server runs: the queue is looked at here\n");
	if (f == OK)
		f = look_at_structure(v, conf->queue.directory, &why);
	if (f == OK)
		f = look_at_all(v, s, &round, &why);
	store_sqlite.close(&s);
	if (f != OK) {
		say(stderr, "sealpost: %s", why.text[0] != '\0' ? why.text : "the queue cannot be read to its end");
		return 1;
	}
	show_sum(v, &round);
	return v->found > 0;
}

int queue_verify(const struct common_options *options)
{
	struct verifying v = { .options = options, .terminal = !options->json && process_has_terminal() };
	struct conf *conf;
	struct why nobody = { "" }, why = { "" };
	int fd, status = control_call(options->conf_path, &conf, &fd, &nobody);
	if (status != 0 && conf == NULL) {
		say(stderr, "sealpost: %s", nobody.text);
	} else if (status != 0) {
		status = without_server(&v, conf, &nobody);
	} else {
		fd_close(&fd); /* the server does not wait for so long; nor is there a need */
		fault f = conf != NULL ? look_at_structure(&v, conf->queue.directory, &why)
		                       : why_say(&why, F_SYNTAX, "the structure of the database is not looked at while the configuration has errors");
		if (f != OK)
			say(stderr, "sealpost: %s", why.text);
		status = by_server(&v, options->conf_path);
		if (status == 0 && (f != OK || v.found > 0))
			status = 1;
	}
	conf_free(&conf);
	return status;
}
