/* SPDX-License-Identifier: ISC */
#include "cmd/control_client.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "cmd/arguments.h"
#include "cmd/options.h"
#include "cmd/running_conf.h"
#include "cmd/say.h"
#include "mail/json.h"
#include "sys/channel.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { PATIENCE_MS = 60000, STOP_PATIENCE_MS = 10000, FILE_PATIENCE_MS = 3000 };

/* ---- where the server is ---- */

static fault connect_to(struct str path, int *fd_out, struct why *why)
{
	struct endpoint at;
	struct buf text;
	buf_init(&text, 4096);
	fault f = buf_addf(&text, "unix:%.*s", STR_ARG(path));
	if (f == OK)
		f = endpoint_parse(buf_view(&text), &at);
	buf_fini(&text);
	if (f != OK)
		return why_say(why, f, "%.*s: too long for the path of a socket", STR_ARG(path));
	f = socket_connect(&at, NULL, fd_out);
	if (f == F_DENIED)
		return why_say(why, f, "%.*s: not allowed: root and the server's own user (run-as) may command it", STR_ARG(path));
	return f == OK ? OK : why_say(why, f, "%.*s: no server answers there; does `sealpost serve` run?", STR_ARG(path));
}

/* ---- the conversation ---- */

struct conversation {
	struct loop *loop;
	struct channel *channel;
	const struct control_answers *answers;
	struct timer limit;
	int status;
	bool over, stopping;
};

static void give_up(struct conversation *c, const char *text)
{
	if (c->over)
		return;
	c->over = true;
	c->status = EXIT_UNAVAILABLE;
	if (!c->answers->quiet)
		say(stderr, "sealpost: %s", text);
	if (c->answers->cut_off != NULL)
		c->answers->cut_off(c->answers->owner);
	loop_stop(c->loop);
}

static void end(struct conversation *c, const struct control_end *m)
{
	c->over = true;
	c->status = m->status <= 255 ? (int)m->status : 1;
	if (c->answers->end != NULL)
		c->answers->end(c->answers->owner, c->status, m->text);
	else if (m->text.n > 0)
		say(stderr, "%.*s", STR_ARG(m->text));
	loop_stop(c->loop);
}

static int patience_ms(const struct conversation *c)
{
	return c->answers->patience_ms > 0 ? c->answers->patience_ms : PATIENCE_MS;
}

static void on_answer(void *owner, unsigned kind, const void *msg, int fd)
{
	struct conversation *c = owner;
	fd_close(&fd);
	if (c->over)
		return;
	timer_set(&c->limit, loop_now_ms(c->loop) + (c->stopping ? STOP_PATIENCE_MS : patience_ms(c)));
	if (kind == CONTROL_ROW)
		c->answers->row(c->answers->owner, ((const struct control_row *)msg)->json);
	else if (kind == CONTROL_BODY && c->answers->body != NULL)
		c->answers->body(c->answers->owner, ((const struct control_body *)msg)->bytes);
	else if (kind == CONTROL_END)
		end(c, msg);
}

static void on_closed(void *owner, const char *reason)
{
	(void)reason;
	give_up(owner, "the server closed the connection without an answer: its log may say why");
}

static void stopped_untold(struct conversation *c)
{
	give_up(c, "stopped: the server has not said how far it came; `sealpost queue list` shows what is left");
	c->status = CONTROL_STATUS_STOPPED;
}

static void on_limit(void *owner)
{
	struct conversation *c = owner;
	if (c->stopping)
		stopped_untold(c);
	else
		give_up(c, "the server does not answer");
}

bool control_is_action(uint64_t verb)
{
	return verb == CONTROL_RETRY || verb == CONTROL_HOLD || verb == CONTROL_RELEASE || verb == CONTROL_BOUNCE || verb == CONTROL_REMOVE;
}

static void on_signal(void *owner, enum signal_kind which)
{
	struct conversation *c = owner;
	(void)which; /* whoever hangs up means it, too */
	if (c->stopping) {
		stopped_untold(c);
		return;
	}
	c->stopping = true;
	channel_send(c->channel, CONTROL_REQUEST, &(struct control_request){ .verb = CONTROL_STOP });
	say(stderr, "stopping: what has not been done yet is left as it is");
	timer_set(&c->limit, loop_now_ms(c->loop) + STOP_PATIENCE_MS);
}

int control_converse(int fd, const struct control_request *request, const struct control_answers *answers)
{
	static const struct channel_handler handler = { on_answer, on_closed };
	struct conversation c = { .loop = loop_new(), .answers = answers };
	c.channel = channel_new(c.loop, fd, &from_control, &to_control, &handler, &c);
	timer_init(&c.limit, c.loop, on_limit, &c);
	timer_set(&c.limit, loop_now_ms(c.loop) + patience_ms(&c));
	if (control_is_action(request->verb))
		signals_watch(c.loop, on_signal, &c);
	channel_send(c.channel, CONTROL_REQUEST, request);
	loop_run(c.loop);
	timer_clear(&c.limit);
	channel_close(&c.channel);
	loop_free(&c.loop);
	return c.status;
}

int control_call(const char *conf_path, struct conf **conf_out, int *fd_out, struct why *why_out)
{
	struct conf *conf = NULL;
	bool whole = true;
	*conf_out = NULL;
	*fd_out = -1;
	if (running_conf(conf_path, "sealpost", &conf, &whole, why_out) != OK)
		return EXIT_CONFIGURATION;
	fault f = connect_to(conf->control, fd_out, why_out);
	if (whole)
		*conf_out = conf;
	else
		conf_free(&conf);
	return f == OK ? 0 : whole ? EXIT_UNAVAILABLE : EXIT_CONFIGURATION;
}

int control_command(const char *conf_path, const struct control_request *request, const struct control_answers *answers)
{
	struct conf *conf;
	struct why why = { "" };
	int fd, status = control_call(conf_path, &conf, &fd, &why);
	conf_free(&conf);
	if (status == 0)
		return control_converse(fd, request, answers);
	say(stderr, "sealpost: %s", why.text);
	return status;
}

/* ---- which file the server reads ---- */

struct asked_file { char *to; size_t room; bool told; };

static struct str file_in(const json_t *status)
{
	return text_in_json(status, "configuration");
}

static void on_file_row(void *owner, struct str json)
{
	struct asked_file *a = owner;
	json_t *status = json_loadb(json.p, json.n, 0, NULL);
	struct str file = file_in(status);
	a->told = file.n > 0 && file.n < a->room;
	if (a->told)
		(void)snprintf(a->to, a->room, "%.*s", STR_ARG(file));
	json_decref(status);
}

static void ignore_end(void *owner, int status, struct str text)
{
	(void)owner, (void)status, (void)text; /* the row is what counts */
}

bool control_file(struct str control, char *to, size_t room)
{
	struct why why = { "" };
	struct asked_file asked = { .to = to, .room = room };
	struct control_request request = { .verb = CONTROL_STATUS };
	struct control_answers answers = { .row = on_file_row, .end = ignore_end, .owner = &asked, .patience_ms = FILE_PATIENCE_MS, .quiet = true };
	int fd = -1;
	if (connect_to(control, &fd, &why) == OK)
		(void)control_converse(fd, &request, &answers);
	return asked.told;
}

bool control_reads_another(const json_t *status, const char *conf_path)
{
	char theirs[4096], ours[4096];
	struct str file = file_in(status);
	if (file.n == 0 || file.n >= sizeof theirs || path_absolute(conf_path, ours, sizeof ours) != OK)
		return false;
	(void)snprintf(theirs, sizeof theirs, "%.*s", STR_ARG(file));
	return !path_is_same(theirs, ours);
}

/* ---- what the commands share ---- */

void print_padded(struct str text, int width)
{
	int column = 0;
	while (text.n > 0) {
		bool shown;
		size_t n = escape_character(text, &shown);
		if (shown)
			fwrite(text.p, 1, n, stdout);
		else
			putchar('?');
		text = str_from(text, n);
		column++;
	}
	for (; column < width; column++)
		putchar(' ');
}

void print_safely(struct str text)
{
	print_padded(text, 0);
}

int common_option(int argc, char **argv, int at, struct common_options *out)
{
	if (strcmp(argv[at], "--json") == 0) {
		out->json = 1;
		return 1;
	}
	return arguments_conf(argc, argv, at, &out->conf_path, &out->conf_given, &out->wrong);
}

const char *common_wrong(struct common_options *o, const char *word, const char *expected)
{
	if (o->wrong.text[0] == '\0')
		(void)why_say(&o->wrong, F_SYNTAX, "\"%.100s\" has no place here: %s", word, expected);
	return o->wrong.text;
}
