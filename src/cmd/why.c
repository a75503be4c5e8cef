/* SPDX-License-Identifier: ISC */
/* cmd/why.c -- `sealpost why`: what became of a letter, or of all letters to somebody, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/story_print.h"
#include "mail/json.h"

enum { ROWS_MAX = 20000, KEY_MAX = 4096 };

/* All rows about one recipient of one message: two that were written differently are two, also where aliases lead both to one mailbox. */
struct letter { struct link in_why; json_t *rows; };

struct why_command {
	struct common_options common;
	struct list letters;
	struct map *by_key;
	size_t n;
	size_t too_many;
};

static bool is(const json_t *o, const char *key, const char *word)
{
	return str_eq(text_in_json(o, key), str_of(word));
}

/* ---- gathering ---- */

static struct letter *letter_of(struct why_command *w, const json_t *row)
{
	struct buf key;
	struct str id = text_in_json(row, "id"), recipient = text_in_json(row, "recipient");
	struct str written = text_in_json(row, "original_recipient");
	struct letter *l = NULL;
	written = written.n > 0 ? written : recipient;
	buf_init(&key, KEY_MAX);
	if (buf_addf(&key, "%.*s %.*s %.*s", STR_ARG(id), STR_ARG(recipient), STR_ARG(written)) == OK) {
		l = map_get(w->by_key, buf_view(&key));
		if (l == NULL) {
			l = NEW(struct letter);
			l->rows = json_array();
			list_add_last(&w->letters, &l->in_why);
			map_set(w->by_key, buf_view(&key), l);
		}
	}
	buf_fini(&key);
	return l;
}

static void on_row(void *owner, struct str json)
{
	struct why_command *w = owner;
	if (w->common.json) {
		say_json(json);
		return;
	}
	if (w->n >= ROWS_MAX) {
		w->too_many++;
		return;
	}
	json_t *row = json_loadb(json.p, json.n, 0, NULL);
	struct letter *l = json_is_object(row) ? letter_of(w, row) : NULL;
	if (l != NULL)
		json_array_append(l->rows, row);
	json_decref(row);
	w->n++;
}

/* ---- telling ---- */

static const char *headline_of(const json_t *row)
{
	static const struct { const char *word, *headline; } headlines[] = {
		{ "delivered", "delivered into its mailbox" }, { "relayed", "handed to the next mail server" },
		{ "bounced", "given up and returned to its sender" }, { "removed", "removed by the operator" },
		{ "expanded", "expanded to several recipients" }, { "deferred", "tried without success" }, { "held", "held" }, { "released", "released" },
		{ "damaged", "set aside, because it is damaged" },
	};
	static const struct { const char *word, *headline; } states[] = {
		{ "queued", "waiting in the queue" }, { "leased", "being delivered at this moment" },
		{ "held", "held in the queue, until somebody releases it" }, { "damaged", "set aside in the queue, because it is damaged" },
	};
	for (size_t i = 0; is(row, "row", "event") && i < COUNT(headlines); i++)
		if (is(row, "event", headlines[i].word))
			return headlines[i].headline;
	for (size_t i = 0; is(row, "row", "queue") && i < COUNT(states); i++)
		if (is(row, "state", states[i].word))
			return states[i].headline;
	return "known";
}

static void print_words(struct str s)
{
	print_safely(s.n > 0 ? s : STR("<>"));
}

static void print_arrival(const json_t *o, struct str at)
{
	static const struct { const char *key, *before; } parts[] = {
		{ "client", " from " }, { "helo", ", called " }, { "user", ", user " }, { "protocol", ", " }, { "tls", ", " },
		{ "tls_wish", ", the sender calls TLS " },
	};
	printf("  %-*s", 14, "came in");
	print_safely(at);
	for (size_t i = 0; i < COUNT(parts); i++)
		if (text_in_json(o, parts[i].key).n > 0) {
			fputs(parts[i].before, stdout);
			print_safely(text_in_json(o, parts[i].key));
		}
	if (json_is_integer(json_object_get(o, "size")))
		printf(", %lld bytes", number_in_json(o, "size"));
	putchar('\n');
}

static void print_dialogue(const json_t *lines)
{
	size_t i;
	json_t *line;
	json_array_foreach(lines, i, line)
		story_print_line("    ", i == 0 ? "dialogue" : "",
		                 (struct str){ json_string_value(line), json_string_length(line) });
}

/* The last word of the attempt may be the last word on the recipient. */
static bool is_in_story(const json_t *story, struct str reply)
{
	size_t i;
	json_t *line;
	json_array_foreach(story, i, line) {
		struct str text = text_in_json(line, "text");
		if (is(line, "kind", "reply") && text.n > 0 && text.n <= reply.n && str_eq(str_from(reply, reply.n - text.n), text))
			return true;
	}
	return false;
}

/* What has been said of this letter already. */
struct told { bool arrival; long long attempts; };

/* An attempt that an operator asked for is none of the schedule, by which they are counted: it is one more here. */
static long long number_of(struct told *told, long long scheduled)
{
	told->attempts = scheduled > told->attempts ? scheduled : told->attempts + 1;
	return told->attempts;
}

static void print_event(const json_t *o, struct told *told)
{
	json_t *accepted = json_object_get(o, "accepted"), *attempt = json_object_get(o, "attempt"), *story = json_object_get(o, "story");
	if (accepted != NULL && !told->arrival)
		print_arrival(accepted, text_in_json(accepted, "at"));
	told->arrival = true;
	fputs("  ", stdout);
	print_safely(text_in_json(o, "at"));
	if (json_is_integer(attempt))
		printf("  attempt %lld", number_of(told, (long long)json_integer_value(attempt)));
	fputs("  ", stdout);
	print_safely(text_in_json(o, "event"));
	if (text_in_json(o, "by").n > 0) {
		fputs(" by ", stdout);
		print_safely(text_in_json(o, "by"));
	}
	putchar('\n');
	story_print(story, "    ");
	if (json_array_size(story) == 0) {
		story_print_line("    ", "server", text_in_json(o, "host"));
		story_print_line("    ", "connection", text_in_json(o, "tls"));
	}
	story_print_line("    ", "file", text_in_json(o, "file"));
	if (!is_in_story(story, text_in_json(o, "reply")))
		story_print_line("    ", "reply", text_in_json(o, "reply"));
	print_dialogue(json_object_get(o, "dialogue"));
	story_print_line("    ", "next try", text_in_json(o, "next_attempt"));
	story_print_line("    ", "notice", text_in_json(o, "notice"));
}

/* To whom, and how far. */
static void print_in_hand(const json_t *o)
{
	struct str host = text_in_json(o, "host"), ip = text_in_json(o, "ip");
	struct buf both;
	if (!is(o, "state", "leased"))
		return;
	story_print_line("    ", "destination", text_in_json(o, "destination"));
	buf_init(&both, KEY_MAX);
	fault f = ip.n > 0 && !str_eq(ip, host) ? buf_addf(&both, "%.*s (%.*s)", STR_ARG(host), STR_ARG(ip)) : buf_add(&both, host);
	story_print_line("    ", "server", f == OK ? buf_view(&both) : host);
	buf_fini(&both);
	story_print_line("    ", "doing", text_in_json(o, "doing"));
	if (json_is_true(json_object_get(o, "then_held")))
		story_print_line("    ", "", STR("held, unless this attempt still delivers it"));
}

static void print_waiting(const json_t *o, bool alone, const struct told *told)
{
	struct str line, text = text_in_json(o, "dialogue");
	long long scheduled = number_in_json(o, "attempts");
	long long attempts = scheduled > told->attempts ? scheduled : told->attempts;
	if (alone)
		print_arrival(o, text_in_json(o, "arrived"));
	printf("  %-*s", 14, "now");
	print_safely(text_in_json(o, "state"));
	printf(", %lld attempt%s", attempts, attempts == 1 ? "" : "s");
	if (text_in_json(o, "next_attempt").n > 0) {
		fputs(", next try ", stdout);
		print_safely(text_in_json(o, "next_attempt"));
	}
	putchar('\n');
	story_print_line("    ", "reason", text_in_json(o, "last_reply"));
	story_print_line("    ", "waits for", text_in_json(o, "waits_for"));
	print_in_hand(o);
	while (alone && str_next_line(&text, &line))
		story_print_line("    ", "", line);
}

static void print_letter(const struct letter *l)
{
	size_t i, n = json_array_size(l->rows);
	json_t *row, *last = json_array_get(l->rows, n - 1), *first = json_array_get(l->rows, 0);
	print_safely(text_in_json(last, "id"));
	fputs("  ", stdout);
	print_words(text_in_json(last, "sender"));
	fputs(" -> ", stdout);
	print_words(text_in_json(last, "recipient"));
	if (text_in_json(first, "original_recipient").n > 0 && !str_eq(text_in_json(first, "original_recipient"), text_in_json(last, "recipient"))) {
		fputs(", written as ", stdout);
		print_safely(text_in_json(first, "original_recipient"));
	}
	printf(": %s\n", headline_of(last));
	struct told told = { false, 0 };
	json_array_foreach(l->rows, i, row)
		if (is(row, "row", "queue"))
			print_waiting(row, i == 0, &told);
		else
			print_event(row, &told);
}

static void finish(struct why_command *w)
{
	bool some = false;
	LIST_EACH(k, &w->letters) {
		struct letter *l = LIST_MEMBER(k, struct letter, in_why);
		if (some)
			putchar('\n');
		some = true;
		print_letter(l);
		link_remove(&l->in_why);
		json_decref(l->rows);
		free(l);
	}
	map_free(&w->by_key);
	if (w->too_many > 0)
		printf("\n%zu newer entries are not shown: name a single letter, or use --json\n", w->too_many);
}

static int run(int argc, char **argv)
{
	struct why_command w = { .common = { .conf_path = DEFAULT_CONF_PATH }, .by_key = map_new(0) };
	struct control_request request = { .verb = CONTROL_WHY };
	const char *what = NULL, *wrong = NULL;
	struct why no_id;
	list_init(&w.letters);
	for (int i = 1; i < argc && wrong == NULL;) {
		int n = common_option(argc, argv, i, &w.common);
		if (n == 0 && argv[i][0] != '-' && what == NULL) {
			what = argv[i];
			n = 1;
		}
		if (n <= 0)
			wrong = common_wrong(&w.common, argv[i], "one ID or ADDRESS, --json or -c FILE is expected");
		i += n;
	}
	if (wrong == NULL && (what == NULL || what[0] == '\0'))
		wrong = "which letter? name the ID that its 250 reply, the log and `queue list` show, or a recipient's address";
	if (wrong == NULL && strchr(what, '@') == NULL && strchr(what, '.') != NULL) {
		(void)why_say(&no_id, F_SYNTAX, "\"%.100s\" is neither an ID nor an address; what waits for a domain: `sealpost queue list --domain %.200s`",
		              what, what);
		wrong = no_id.text;
	}
	if (wrong == NULL && strchr(what, '@') == NULL && !argument_is_id(what, &no_id))
		wrong = no_id.text;
	if (wrong != NULL) {
		map_free(&w.by_key);
		return command_usage(&command_why, wrong);
	}
	if (strchr(what, '@') != NULL)
		request.to = str_of(what);
	else
		request.id = str_of(what);
	struct control_answers answers = { .row = on_row, .owner = &w };
	int status = control_command(w.common.conf_path, &request, &answers);
	finish(&w);
	return status;
}

const struct command command_why = {
	.name = "why",
	.usage = "ID|ADDRESS [--json] [-c FILE]",
	.summary = "tell what became of a letter, and why",
	.help = "Tells, for each recipient of the letter, or for all letters to this recipient: each attempt with its route, the mail\n"
	        "servers, every policy and why it won or lost, how the connection was protected, what the servers said to each\n"
	        "other, and when it is tried again. What has left the queue is known as long as `queue { history }` says.\n"
	        "\n"
	        "  ID                a queue id: every 250 reply, the log and `queue list` show it\n"
	        "  ADDRESS           a recipient, as the sender wrote it or as an alias made it\n"
	        "  --json            JSON Lines; sealpost(8) describes the keys\n"
	        "  -c FILE           the configuration (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "Exit status 0; 1 if nothing is known of it; 69 if no server answers.\n",
	.example = "  sealpost why 1m7y2dsmfp8newk\n"
	           "  sealpost why jada@example.net --json\n",
	.run = run,
};
