/* SPDX-License-Identifier: ISC */
/* cmd/queue/backup.c -- `sealpost queue backup DIR`: a copy of the queue that is a queue, while the server runs. */
#include "cmd/queue/parts.h"

#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "cmd/options.h"
#include "cmd/say.h"
#include "mail/json.h"
#include "store/backup.h"
#include "sys/process.h"
#include "sys/socket.h"

struct watching { const struct common_options *options; bool terminal, shown; };

static void on_progress(void *owner, uint64_t messages, uint64_t of_messages)
{
	struct watching *w = owner;
	if (!w->terminal || (messages % 100 != 0 && messages != of_messages))
		return;
	fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64 " message%s", messages, of_messages, of_messages == 1 ? "" : "s");
	fflush(stderr);
	w->shown = true;
}

static void clear(struct watching *w)
{
	if (w->shown)
		fprintf(stderr, "\r\033[K");
	w->shown = false;
}

static void on_damaged(void *owner, struct str id)
{
	struct watching *w = owner;
	clear(w);
	if (!w->options->json) {
		print_padded(id, 17);
		puts("damaged in the queue: its content is not in the copy");
		return;
	}
	json_t *o = json_object();
	json_object_set_new(o, "id", text_as_json(id));
	json_object_set_new(o, "text", json_string("damaged in the queue: its content is not in the copy"));
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static void show_sum(const struct watching *w, const struct backup_sum *sum, const char *to)
{
	if (w->options->json)
		printf("{\"over\":true,\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"left\":%" PRIu64 ",\"damaged\":%" PRIu64 "}\n",
		       sum->messages, sum->bytes, sum->left, sum->damaged);
	else
		printf("%" PRIu64 " message%s, %" PRIu64 " bytes, %s in %s, each checked; %" PRIu64 " left the queue meanwhile, %" PRIu64 " damaged\n",
		       sum->messages, sum->messages == 1 ? "" : "s", sum->bytes, sum->messages == 1 ? "is" : "are", to, sum->left, sum->damaged);
}

int queue_backup(const struct common_options *options, struct str to)
{
	struct watching w = { .options = options, .terminal = !options->json && process_has_terminal() };
	struct backup_watch watch = { on_progress, on_damaged, &w };
	struct backup_sum sum = { 0 };
	struct conf *conf;
	struct why why = { "" };
	char path[512];
	int fd;
	(void)control_call(options->conf_path, &conf, &fd, &why); /* for the directory: it works with or without a server */
	fd_close(&fd);
	fault f = conf == NULL ? F_SYNTAX : OK;
	if (conf == NULL && why.text[0] == '\0')
		f = why_say(&why, F_SYNTAX, "which directory the queue has is not sure until the configuration is mended");
	snprintf(path, sizeof path, "%.*s", STR_ARG(to));
	if (f == OK)
		f = backup_make(conf->queue.directory, to, &watch, &sum, &why);
	clear(&w);
	conf_free(&conf);
	if (f != OK) {
		say(stderr, "sealpost: %s", why.text);
		return f == F_SYNTAX ? EXIT_CONFIGURATION : 1;
	}
	show_sum(&w, &sum, path);
	return sum.damaged > 0;
}
