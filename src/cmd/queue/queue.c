/* SPDX-License-Identifier: ISC */
/* cmd/queue/queue.c -- the queue as an operator sees it, and what can be done with it. */
#include "cmd/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/check.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/queue/parts.h"
#include "cmd/say.h"
#include "mail/json.h"
#include "store/store.h"
#include "sys/process.h"

enum { BODY_MAX = 256 << 20 };

struct queue {
	struct queue_request asked;
	bool header_printed;
	long long done;                  /* recipients, of an action that goes on */
	bool result_came;
	struct buf body;                 /* with --json, where it becomes one line */
};

/* ---- rows for people ---- */

static bool wall_time(struct str text, int64_t *out)
{
	struct tm t = { 0 };
	char copy[32];
	snprintf(copy, sizeof copy, "%.*s", STR_ARG(text));
	if (sscanf(copy, "%d-%d-%dT%d:%d:%dZ", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
		return false;
	t.tm_year -= 1900;
	t.tm_mon--;
	*out = timegm(&t);
	return true;
}

/* "45s", "12m", "3h", "5d": enough to see what is going on. */
static void span(char out[16], int64_t s)
{
	static const struct { int64_t s; char unit; } units[] = { { 172800, 'd' }, { 7200, 'h' }, { 120, 'm' }, { 0, 's' } };
	static const int64_t size[] = { 86400, 3600, 60, 1 };
	s = s < 0 ? 0 : s > 9999LL * 86400 ? 9999LL * 86400 : s;
	size_t i = 0;
	while (s < units[i].s)
		i++;
	snprintf(out, 16, "%lld%c", (long long)(s / size[i]), units[i].unit);
}

static void size_text(char out[16], int64_t bytes)
{
	if (bytes < 10000)
		snprintf(out, 16, "%lld", (long long)(bytes < 0 ? 0 : bytes));
	else if (bytes < 10000 * 1024LL)
		snprintf(out, 16, "%lldK", (long long)(bytes >> 10));
	else
		snprintf(out, 16, "%lldM", (long long)(bytes >> 20));
}

static void second_line(const char *before, struct str text)
{
	if (text.n == 0)
		return;
	printf("%17s%s", "", before);
	print_safely(text);
	putchar('\n');
}

static void list_row(struct queue *q, const json_t *o)
{
	char age[16] = "-", next[16] = "-", size[16];
	int64_t at, now = time(NULL);
	if (wall_time(text_in_json(o, "arrived"), &at))
		span(age, now - at);
	if (wall_time(text_in_json(o, "next_attempt"), &at))
		span(next, at - now);
	size_text(size, number_in_json(o, "size"));
	if (!q->header_printed)
		printf("%-16s %-7s %5s %6s %6s %6s  %s\n", "ID", "STATE", "TRIES", "NEXT", "AGE", "SIZE", "SENDER -> RECIPIENT");
	q->header_printed = true;
	struct str sender = text_in_json(o, "sender"), reply = text_in_json(o, "last_reply");
	print_padded(text_in_json(o, "id"), 17);
	print_padded(text_in_json(o, "state"), 8);
	printf("%5lld %6s %6s %6s  ", number_in_json(o, "attempts"), next, age, size);
	print_safely(sender.n > 0 ? sender : STR("<>"));
	fputs(" -> ", stdout);
	print_safely(text_in_json(o, "recipient"));
	putchar('\n');
	second_line("", reply);
	second_line("waits for ", text_in_json(o, "waits_for"));
	if (json_is_true(json_object_get(o, "then_held")))
		second_line("", STR("held, unless this attempt still delivers it"));
}

static void show_line(const char *name, struct str value)
{
	if (value.n == 0)
		return;
	printf("%-14s ", name);
	print_safely(value);
	putchar('\n');
}

static void show_dialogue(struct str text)
{
	struct str line;
	while (str_next_line(&text, &line)) {
		fputs("    ", stdout);
		print_safely(line);
		putchar('\n');
	}
}

static void show_row(struct queue *q, const json_t *o)
{
	static const struct { const char *name, *key; } of_message[] = {
		{ "arrived", "arrived" }, { "client", "client" }, { "helo", "helo" }, { "user", "user" },
		{ "protocol", "protocol" }, { "tls", "tls" }, { "envid", "envid" }, { "tls wish", "tls_wish" },
	};
	if (!q->header_printed) {
		struct str sender = text_in_json(o, "sender");
		show_line("id", text_in_json(o, "id"));
		show_line("sender", sender.n > 0 ? sender : STR("<>"));
		for (size_t i = 0; i < COUNT(of_message); i++)
			show_line(of_message[i].name, text_in_json(o, of_message[i].key));
		printf("%-14s %lld\n", "size", number_in_json(o, "size"));
	}
	q->header_printed = true;
	putchar('\n');
	show_line("recipient", text_in_json(o, "recipient"));
	if (!str_eq(text_in_json(o, "original_recipient"), text_in_json(o, "recipient")))
		show_line("  given as", text_in_json(o, "original_recipient"));
	show_line("  state", json_is_true(json_object_get(o, "then_held")) ? STR("leased; held, unless this attempt still delivers it")
	                                                                  : text_in_json(o, "state"));
	if (!str_eq(text_in_json(o, "destination"), STR(STORE_RELEASED))) /* a route holds it: it has none */
		show_line("  destination", text_in_json(o, "destination"));
	printf("%-14s %lld\n", "  attempts", number_in_json(o, "attempts"));
	show_line("  next attempt", text_in_json(o, "next_attempt"));
	show_line("  waits for", text_in_json(o, "waits_for"));
	show_line("  lease ends", text_in_json(o, "lease_ends"));
	show_line("  last reply", text_in_json(o, "last_reply"));
	show_dialogue(text_in_json(o, "dialogue"));
}

/* "-" where there is none; soon: it is to come. */
static void span_of(char out[16], const json_t *o, const char *key, bool soon)
{
	int64_t at, now = time(NULL);
	(void)snprintf(out, 16, "-");
	if (wall_time(text_in_json(o, key), &at))
		span(out, soon ? at - now : now - at);
}

/* Those to its destination, which other domains may share. */
static void session_words(const json_t *o, char *to, size_t room)
{
	if (json_is_null(json_object_get(o, "sessions"))) {
		(void)snprintf(to, room, "-");
		return;
	}
	long long allowed = number_in_json(o, "allowed"), most = number_in_json(o, "ceiling");
	int n = snprintf(to, room, "%lld now, %lld allowed", number_in_json(o, "sessions"), allowed);
	if (allowed < most && n > 0 && (size_t)n < room)
		(void)snprintf(to + n, room - (size_t)n, ", %lld at most", most);
}

static void domain_row(struct queue *q, const json_t *o)
{
	char oldest[16], next[16], sessions[64];
	struct str why = text_in_json(o, "why"), relay = text_in_json(o, "destination");
	bool by_relay = str_take(&relay, STR("relay:"));
	span_of(oldest, o, "oldest", false);
	span_of(next, o, "next_attempt", true);
	session_words(o, sessions, sizeof sessions);
	if (!q->header_printed)
		printf("%-32s %8s %7s %6s %6s %6s  %s\n", "DOMAIN", "WAITING", "IN HAND", "HELD", "OLDEST", "NEXT", "SESSIONS");
	q->header_printed = true;
	print_padded(text_in_json(o, "domain"), 33);
	printf("%8lld %7lld %6lld %6s %6s  %s\n", number_in_json(o, "waiting"), number_in_json(o, "in_hand"),
	       number_in_json(o, "held") + number_in_json(o, "damaged"), oldest, next, sessions);
	if (!by_relay && why.n == 0)
		return;
	fputs(by_relay ? "    by relay " : "    ", stdout);
	print_safely(by_relay ? relay : STR_NONE);
	fputs(by_relay && why.n > 0 ? ": " : "", stdout);
	print_safely(why);
	putchar('\n');
}

/* A long action goes on: for a person who watches. The last row is the result, for a program; a person reads it in words. */
static void action_row(struct queue *q, struct str json)
{
	json_t *o = json_loadb(json.p, json.n, 0, NULL);
	if (json_object_get(o, "so_far") != NULL) {
		q->done = number_in_json(o, "so_far");
	} else if (!json_is_true(json_object_get(o, "progress"))) {
		q->result_came = true;
		q->done = number_in_json(o, "recipients");
		if (q->asked.common.json)
			say_json(json);
	} else {
		q->done = number_in_json(o, "recipients");
		if (process_errors_have_terminal())
			fprintf(stderr, "%lld recipients so far, %lld to go; Ctrl-C leaves the rest as it is\n", q->done, number_in_json(o, "to_go"));
	}
	json_decref(o);
}

static void on_row(void *owner, struct str json)
{
	struct queue *q = owner;
	if (control_is_action(q->asked.request.verb)) {
		action_row(q, json);
		return;
	}
	if (q->asked.common.json) {
		say_json(json);
		return;
	}
	json_t *o = json_loadb(json.p, json.n, 0, NULL);
	if (q->asked.request.verb == CONTROL_BY_DOMAIN)
		domain_row(q, o);
	else if (q->asked.request.verb == CONTROL_SHOW)
		show_row(q, o);
	else
		list_row(q, o);
	json_decref(o);
}

/* ---- the message itself ---- */

static void on_body(void *owner, struct str bytes)
{
	struct queue *q = owner;
	if (!q->asked.common.json) {
		if (buf_view(&q->body).n == 0)
			putchar('\n');
		fwrite(bytes.p, 1, bytes.n, stdout);
	}
	if ((q->asked.common.json || buf_view(&q->body).n == 0) && buf_add(&q->body, bytes) != OK)
		fprintf(stderr, "sealpost queue: the message is too large for --json\n");
}

static void body_as_json(struct queue *q)
{
	json_t *o = json_object();
	json_object_set_new(o, "body", text_as_json(buf_view(&q->body)));
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

/* What it had done by then is done; each part of it is durable. */
static void on_cut_off(void *owner)
{
	const struct queue *q = owner;
	if (!control_is_action(q->asked.request.verb))
		return;
	say(stderr, "%lld recipient%s done when it last said so, perhaps more since; the others are as they were: the same command goes on with those",
	    q->done, q->done == 1 ? " was" : "s were");
	if (q->asked.common.json && !q->result_came)
		printf("{\"action\":\"%s\",\"recipients\":%lld,\"complete\":false,\"on_the_way\":null,\"left\":null}\n",
		       queue_verb_name(q->asked.request.verb), q->done);
}

static void on_end(void *owner, int status, struct str text)
{
	struct queue *q = owner;
	if (q->asked.common.json && buf_view(&q->body).n > 0)
		body_as_json(q);
	if (text.n == 0)
		return;
	bool lists = q->asked.request.verb == CONTROL_LIST || q->asked.request.verb == CONTROL_BY_DOMAIN;
	bool news = status == 0 || (lists && !q->asked.common.json);
	if (!q->asked.common.json || status != 0)
		say(news ? stdout : stderr, "%.*s", STR_ARG(text));
}

/* ---- what is done ---- */

static int ask(struct queue *q)
{
	const struct queue_request *asked = &q->asked;
	struct control_answers answers = { .row = on_row, .body = on_body, .end = on_end, .owner = q, .cut_off = on_cut_off };
	if (asked->backup)
		return queue_backup(&asked->common, asked->request.id);
	if (asked->request.verb == CONTROL_VERIFY)
		return queue_verify(&asked->common);
	return asked->request.verb == CONTROL_HOLD ? queue_hold(&asked->common, &asked->request, &answers)
	                                           : control_command(asked->common.conf_path, &asked->request, &answers);
}

static int run(int argc, char **argv)
{
	struct queue q = { .asked.common.conf_path = DEFAULT_CONF_PATH };
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0) /* also after the verb */
			return command_help(&command_queue);
	int status = queue_understand(argc, argv, &q.asked);
	if (status != 0)
		return status;
	buf_init(&q.body, BODY_MAX);
	status = ask(&q);
	buf_fini(&q.body);
	return status;
}

const struct command command_queue = {
	.name = "queue",
	.usage = "list|show|retry|hold|release|bounce|remove|verify|backup [ID|DIR] [SELECTOR ...] [--json] [-c FILE]",
	.summary = "show the queue, and do something about it",
	.help = "  list              a line for each recipient that waits; below it the last reply, and what keeps its destination from it\n"
	        "  list --by domain  a line for each recipient domain, those with the most first: what waits, is being delivered, is held;\n"
	        "                    the sessions to its destination now, allowed now and at most, and why fewer are. The first 20, or --all\n"
	        "  show ID           everything about one message; --body: its text, too\n"
	        "  retry             try again now\n"
	        "  hold, release     keep back until released. `hold` works without a running server, too\n"
	        "  bounce            return to the sender now\n"
	        "  remove            take out silently; only the log tells\n"
	        "  verify            is all of it what was accepted? what is not is set aside: it stays, and is never sent.\n"
	        "                    Exit status 1 if something was found. Works without a running server, too\n"
	        "  backup DIR        copy the queue to a new directory, every message checked, while the server runs or not\n"
	        "\n"
	        "  ID                a queue id, as `list` and every 250 reply show it\n"
	        "  --to ADDRESS      the recipient\n"
	        "  --from ADDRESS    the sender; \"<>\" is the null sender of notices\n"
	        "  --user NAME       who handed it in\n"
	        "  --domain DOMAIN   the recipient's domain\n"
	        "  --older AGE       arrived longer ago than 90s, 15m, 4h, 2d\n"
	        "  --all             everything, where a selector is demanded; with --by domain, every domain\n"
	        "  --json            JSON Lines: id, sender, recipient, state, attempts, next_attempt, arrived,\n"
	        "                    last_reply, size, waits_for, then_held. With --by domain: domain, waiting, in_hand, held, damaged, oldest,\n"
	        "                    next_attempt, destination, sessions, allowed, ceiling, rate, rate_seconds, slowed_until, why\n"
	        "  -c FILE           the configuration (default: " DEFAULT_CONF_PATH ")\n"
	        "\n"
	        "A selector is given once; several must all match. An option's value that begins with \"--\" is given as --to=--value.\n"
	        "retry, hold, release, bounce and remove print with --json what was done: action, recipients, complete, on_the_way,\n"
	        "left. Ctrl-C leaves what has not been done yet as it is, and tells how far they came (to_go in JSON).\n"
	        "\n"
	        "Exit status 0; 1 if nothing matched; 69 if no server answers; 130 if Ctrl-C has ended it.\n",
	.example = "  sealpost queue list --domain example.net --older 1h\n"
	           "  sealpost queue list --by domain\n"
	           "  sealpost queue retry --to jada@example.net\n",
	.run = run,
};
