/* SPDX-License-Identifier: ISC */
/*
 * cmd/sendmail.c -- sendmail(1) as cron, PHP and other local programs expect it, over the `listen local` socket.
 *
 * The server knows who is calling by the socket; nothing here runs with other rights than the caller's, and nothing
 * is queued here: when the server is away the program is told so (75) and may try again.
 */
#include "cmd/command.h"
#include "cmd/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/running_conf.h"
#include "cmd/submit.h"
#include "mail/compose.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { STDIN = 0, RECIPIENTS_MAX = 10000, ARENA_BYTES_MAX = 32 << 20, MESSAGE_OVERHEAD = 1 << 20 };

enum mode { MODE_SEND, MODE_SMTP, MODE_QUEUE, MODE_ALIASES, MODE_NOTHING };

struct sendmail {
	enum mode mode;
	const char *conf_path, *sender, *full_name, *notify, *ret, *envid;
	bool take_recipients, ignore_dots, verbose;
	char **names;
	int n_names;

	struct conf *conf;
	struct arena *arena;
	struct str socket;             /* "unix:/path" */
	struct str from;
	struct recipients rcpts;
	struct buf raw, message;
};

static int complain(int status, const char *what, const char *why)
{
	say(stderr, "sendmail: %s%s%s", what, why[0] != '\0' ? ": " : "", why);
	return status;
}

/* -- options ------------------------------------------------------------------------------------ */

/* Options that take a value, attached or as the next word. The others have their value, if any, attached. */
static bool wants_value(char c)
{
	return c != '\0' && strchr("BCDFfhLNOpRrVX", c) != NULL;
}

static int take_mode(struct sendmail *s, const char *value)
{
	switch (value[0]) {
	case 'm': s->mode = MODE_SEND; return 0;
	case 's': s->mode = MODE_SMTP; return 0;
	case 'p': s->mode = MODE_QUEUE; return 0;
	case 'i': s->mode = MODE_ALIASES; return 0;
	case 'd':
	case 'D': return complain(EXIT_USAGE, "-bd", "the server is started by `sealpost serve`");
	default: break;
	}
	return complain(EXIT_USAGE, "-b", "only -bm, -bs, -bp and -bi are understood");
}

static int take_option(struct sendmail *s, char c, const char *value)
{
	switch (c) {
	case 'b': return take_mode(s, value);
	case 'C': s->conf_path = value; break;
	case 'f':
	case 'r': s->sender = value; break;
	case 'F': s->full_name = value; break;
	case 'i': s->ignore_dots = true; break;
	case 'o': s->ignore_dots = s->ignore_dots || strcmp(value, "i") == 0; break;
	case 'N': s->notify = value; break;
	case 'R': s->ret = value; break;
	case 'V': s->envid = value; break;
	case 't': s->take_recipients = true; break;
	case 'v': s->verbose = true; break;
	case 'q': s->mode = MODE_NOTHING; break; /* the server runs its queue by itself */
	case 'M': case 'S': return complain(EXIT_USAGE, "-M, -S", "not understood: see sealpost queue");
	default:
		if (strchr("ABDEGLOUXdehmnpsx", c) == NULL) {
			char what[] = { '-', c, '\0' };
			return complain(EXIT_USAGE, what, "there is no such option");
		}
		break; /* known from other mailers, and without meaning here */
	}
	return 0;
}

/* "-oi", "-bp", "-q1h", "-d8": the rest of the word belongs to the option. */
static bool has_attached_value(char c)
{
	return wants_value(c) || strchr("AbdeoqMS", c) != NULL;
}

static int take_word(struct sendmail *s, const char *word, char **argv, int *i)
{
	for (const char *p = word + 1; *p != '\0'; p++) {
		const char *value = "";
		if (has_attached_value(*p)) {
			value = p + 1;
			if (*value == '\0' && wants_value(*p)) {
				if (argv[*i + 1] == NULL)
					return complain(EXIT_USAGE, word, "wants a value");
				value = argv[++*i];
			}
		}
		int status = take_option(s, *p, value);
		if (status != 0 || has_attached_value(*p))
			return status;
	}
	return 0;
}

static int take_options(struct sendmail *s, int argc, char **argv)
{
	int i = 1;
	for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		int status = take_word(s, argv[i], argv, &i);
		if (status != 0)
			return status;
	}
	s->names = argv + i;
	s->n_names = argc - i;
	return 0;
}

/* -- configuration ------------------------------------------------------------------------------- */

static int find_socket(struct sendmail *s)
{
	for (size_t i = 0; i < s->conf->n_listeners; i++)
		if (s->conf->listeners[i].kind == LISTEN_LOCAL && s->conf->listeners[i].on.n > 0) {
			s->socket = s->conf->listeners[i].on.items[0];
			return 0;
		}
	return complain(EXIT_CONFIGURATION, s->conf_path,
	           "no `listen local` in it: add  listen local { on unix:/run/sealpost/local.sock }");
}

static int read_configuration(struct sendmail *s)
{
	struct why why = { "" };
	bool whole;
	if (running_conf(s->conf_path, "sendmail", &s->conf, &whole, &why) != OK)
		return complain(EXIT_CONFIGURATION, why.text, "");
	return find_socket(s);
}

/* -- who writes to whom ---------------------------------------------------------------------------- */

static int bad_address(const char *address)
{
	return complain(EXIT_BAD_INPUT, address, "not a mail address");
}

static int find_sender(struct sendmail *s)
{
	char user[200];
	struct str one[1];
	struct recipients from = { one, 0, 1 };
	if (user_name(process_user(), user, sizeof user) != OK)
		(void)snprintf(user, sizeof user, "uid-%u", (unsigned)process_user());
	const char *sender = s->sender != NULL ? s->sender : user;
	if (sender[0] == '\0' || strcmp(sender, "<>") == 0)
		return 0; /* the null sender */
	fault f = compose_recipients(str_of(sender), s->conf->origin, s->arena, &from);
	if (f != OK || from.n != 1)
		return bad_address(sender);
	s->from = one[0];
	return 0;
}

static int find_recipients(struct sendmail *s)
{
	for (int i = 0; i < s->n_names; i++)
		if (compose_recipients(str_of(s->names[i]), s->conf->origin, s->arena, &s->rcpts) != OK)
			return bad_address(s->names[i]);
	return 0;
}

/* -- delivery status (RFC 3461) ------------------------------------------------------------------------ */

static int read_notify(const char *words, unsigned *out)
{
	static const struct { struct str word; unsigned bit; } known[] = {
		{ STR_INIT("never"), NOTIFY_NEVER }, { STR_INIT("success"), NOTIFY_SUCCESS },
		{ STR_INIT("failure"), NOTIFY_FAILURE }, { STR_INIT("delay"), NOTIFY_DELAY },
	};
	struct str rest = str_of(words), word;
	while (rest.n > 0) {
		if (!str_take_until(&rest, ',', &word)) {
			word = rest;
			rest = STR_NONE;
		}
		size_t i = 0;
		while (i < COUNT(known) && !str_eq_nocase(str_trim(word), known[i].word))
			i++;
		if (i == COUNT(known))
			return complain(EXIT_USAGE, "-N", "never, or some of success,failure,delay");
		*out |= known[i].bit;
	}
	if ((*out & NOTIFY_NEVER) != 0 && *out != NOTIFY_NEVER)
		return complain(EXIT_USAGE, "-N", "never stands alone");
	return 0;
}

static int read_dsn(const struct sendmail *s, struct submit_options *o)
{
	if (s->ret != NULL && strcasecmp(s->ret, "full") == 0)
		o->params.ret = RET_FULL;
	else if (s->ret != NULL && strcasecmp(s->ret, "hdrs") == 0)
		o->params.ret = RET_HEADERS;
	else if (s->ret != NULL)
		return complain(EXIT_USAGE, "-R", "full or hdrs");
	if (s->envid != NULL && (!str_is_ascii(str_of(s->envid)) || strlen(s->envid) > 100))
		return complain(EXIT_USAGE, "-V", "at most 100 printable ASCII characters");
	o->params.envid = str_of(s->envid);
	return s->notify != NULL ? read_notify(s->notify, &o->dsn.notify) : 0;
}

/* -- the message -------------------------------------------------------------------------------------- */

static fault read_input(struct buf *to)
{
	for (;;) {
		size_t n, room = buf_room(to) < (64 << 10) ? buf_room(to) : 64 << 10;
		char *at = room > 0 ? buf_reserve(to, room) : NULL;
		if (at == NULL)
			return F_LIMIT;
		TRY(file_read(STDIN, at, room, &n));
		if (n == 0)
			return OK;
		buf_filled(to, n);
	}
}

static int read_message(struct sendmail *s)
{
	struct compose_options o = {
		.origin = s->conf->origin, .from = s->from, .full_name = str_of(s->full_name),
		.take_recipients = s->take_recipients, .dot_ends = !s->ignore_dots,
	};
	struct why why = { "" };
	fault f = read_input(&s->raw);
	if (f == F_LIMIT)
		return complain(EXIT_BAD_INPUT, "the message is larger than this server takes", "see message-size in its configuration");
	if (f != OK)
		return complain(EXIT_TEMPORARY, "standard input", "cannot be read to its end");
	if (compose_message(buf_view(&s->raw), &o, s->arena, &s->message, &s->rcpts, &why) != OK)
		return complain(EXIT_BAD_INPUT, why.text, "");
	if (s->rcpts.n == 0)
		return complain(EXIT_USAGE, "no recipients", s->take_recipients ? "To, Cc and Bcc name nobody"
		                                                       : "name them as arguments, or use -t");
	return 0;
}

static void on_step(void *owner, const char *step, const char *fact)
{
	(void)owner;
	say(stderr, "%-9s %s", step, fact);
}

/* A server that is away comes back: the program, or cron's next run, may try again. */
static int status_for(const struct submit_result *r)
{
	return r->status == EXIT_UNAVAILABLE && r->code == 0 ? EXIT_TEMPORARY : r->status;
}

static int hand_over(struct sendmail *s)
{
	struct submit_result result;
	struct submit_options o = {
		.server = s->socket, .tls = SUBMIT_CLEAR, .helo = s->conf->hostname, .from = s->from, .to = s->rcpts.items,
		.n_to = s->rcpts.n, .message = buf_view(&s->message), .on_step = s->verbose ? on_step : NULL,
	};
	int status = read_dsn(s, &o);
	if (status != 0)
		return status;
	submit_message(&o, &result);
	if (result.status != EXIT_ACCEPTED)
		return complain(status_for(&result), result.text, "");
	if (s->verbose)
		say(stderr, "%s", result.text);
	return 0;
}

static int send_one(struct sendmail *s)
{
	int status = find_sender(s);
	if (status == 0)
		status = find_recipients(s);
	if (status == 0)
		status = read_message(s);
	return status != 0 ? status : hand_over(s);
}

/* -- the other things it is called for ------------------------------------------------------------------ */

static int speak_smtp(const struct sendmail *s)
{
	struct endpoint at;
	struct why why = { "" };
	int fd = -1;
	if (endpoint_parse(s->socket, &at) != OK)
		return complain(EXIT_CONFIGURATION, s->conf_path, "the path of `listen local` is no socket");
	if (socket_connect(&at, NULL, &fd) != OK || socket_connected(fd, &why) != OK) {
		fd_close(&fd);
		return complain(EXIT_TEMPORARY, "cannot reach the server", why.text[0] != '\0' ? why.text : "is it running?");
	}
	fault f = socket_bridge(fd);
	fd_close(&fd);
	return f == OK ? 0 : complain(EXIT_TEMPORARY, "the connection to the server broke", "");
}

static int run_other(const struct sendmail *s, const char *name, const char *word)
{
	const struct command *c = command_find(name);
	char *argv[5] = { NULL };
	int argc = 0;
	if (c == NULL)
		return complain(EXIT_UNAVAILABLE, name, "this program has no such command");
	argv[argc++] = strdup(name);
	if (word != NULL)
		argv[argc++] = strdup(word);
	argv[argc++] = strdup("-c");
	argv[argc++] = strdup(s->conf_path);
	int status = c->run(argc, argv);
	while (argc > 0)
		free(argv[--argc]);
	return status;
}

static int work(struct sendmail *s)
{
	switch (s->mode) {
	case MODE_NOTHING:
		return 0;
	case MODE_QUEUE: {
		int status = run_other(s, "queue", "list");
		return status == 1 ? 0 : status; /* mailq says that the queue is empty, and means well */
	}
	case MODE_ALIASES:
		return run_other(s, "reload", NULL);
	default:
		break;
	}
	int status = read_configuration(s);
	if (status != 0)
		return status;
	buf_init(&s->raw, s->conf->limits.message_bytes + 1);
	buf_init(&s->message, s->conf->limits.message_bytes * 2 + MESSAGE_OVERHEAD);
	status = s->mode == MODE_SMTP ? speak_smtp(s) : send_one(s);
	buf_fini(&s->raw);
	buf_fini(&s->message);
	return status;
}

/* argv[0] may be sendmail, mailq or newaliases (main.c has looked at the last part of the path). */
static int run(int argc, char **argv)
{
	struct sendmail s = { .conf_path = DEFAULT_CONF_PATH };
	if (strcmp(argv[0], "mailq") == 0)
		s.mode = MODE_QUEUE;
	else if (strcmp(argv[0], "newaliases") == 0)
		s.mode = MODE_ALIASES;
	int status = take_options(&s, argc, argv);
	if (status != 0)
		return status;
	s.arena = arena_new(ARENA_BYTES_MAX);
	s.rcpts = (struct recipients){ must_alloc(RECIPIENTS_MAX * sizeof(struct str)), 0, RECIPIENTS_MAX };
	status = work(&s);
	free(s.rcpts.items);
	arena_free(&s.arena);
	conf_free(&s.conf);
	return status;
}

const struct command command_sendmail = {
	.name = "sendmail",
	.usage = "[-C FILE] [-t] [-i] [-f ADDRESS] [-F NAME] [OPTION ...] [ADDRESS ...]",
	.summary = "take a message from a local program, as sendmail(1) does",
	.help =
		"The message is read from standard input and handed to the server over its `listen local` socket. Also does\n"
		"what is expected when the program is called sendmail, mailq or newaliases.\n\n"
		"  -t            recipients from To, Cc and Bcc, beside those named; Bcc is removed\n"
		"  -i, -oi       a line of one dot does not end the message\n"
		"  -f ADDRESS    the envelope sender ('' for none); default: who calls\n"
		"  -F NAME       the name for a missing From\n"
		"  -bs           speak SMTP on standard input and output\n"
		"  -bp           list the queue (mailq)\n"
		"  -bi           reload the aliases (newaliases)\n"
		"  -q            nothing: the server runs its queue by itself\n"
		"  -N WORDS      when to be told: never, or success,failure,delay\n"
		"  -R full|hdrs  what a notice brings back\n"
		"  -V ID         an id that notices repeat\n"
		"  -v            show each step\n"
		"  -C FILE       the configuration, default " DEFAULT_CONF_PATH "\n"
		"Others of sendmail(1), such as -B, -bm, -O and -o, are taken and mean nothing here.\n\n"
		"Exit status: 0 accepted, 64 wrong use, 65 bad input, 67 no such user, 69 refused, 75 try later,\n"
		"78 configuration.\n",
	.example =
		"  printf 'Subject: hello\\n\\nIt works.\\n' | sealpost sendmail jada@example.org\n",
	.run = run,
};
