/* SPDX-License-Identifier: ISC */
/* cmd/send.c -- hands one message to any SMTPS server and shows what became of it. */
#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/say.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/submit.h"
#include "mail/address.h"
#include "mail/json.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { MESSAGE_BYTES_MAX = 512 << 20, TO_MAX = 1000, SMALL_FILE_MAX = 4 << 20, STDIN = 0 };

struct send {
	struct submit_options o;
	struct arena *arena;
	struct str to[TO_MAX];
	const char *from, *password_file, *ca_file, *file;
	bool json, verbose;
	struct buf password, ca, message;
};

static int wrong(const char *fmt, const char *what)
{
	return arguments_wrong(&command_send, fmt, what);
}

static int bad(int status, const char *what, const char *why)
{
	return arguments_bad(&command_send, status, what, why);
}

/* ---- options ---- */

static bool take_tls(struct send *s, const char *word)
{
	static const struct { const char *word; enum submit_tls tls; } words[] = {
		{ "implicit", SUBMIT_IMPLICIT }, { "starttls", SUBMIT_STARTTLS }, { "none", SUBMIT_CLEAR },
	};
	for (size_t i = 0; i < COUNT(words); i++)
		if (strcmp(words[i].word, word) == 0) {
			s->o.tls = words[i].tls;
			return true;
		}
	return false;
}

static int take_option(void *owner, int letter)
{
	struct send *s = owner;
	switch (letter) {
	case 's': s->o.server = str_of(optarg); break;
	case 't':
		if (!take_tls(s, optarg))
			return wrong("--tls is implicit, starttls or none, not \"%s\"", optarg);
		break;
	case 'c': s->ca_file = optarg; break;
	case 'n': s->o.name = str_of(optarg); break;
	case 'u': s->o.user = str_of(optarg); break;
	case 'p': s->password_file = optarg; break;
	case 'f': s->from = optarg; break;
	case 'r':
		if (s->o.n_to == TO_MAX)
			return wrong("more than 1000 recipients%s", "");
		s->to[s->o.n_to++] = str_of(optarg);
		break;
	case 'h': s->o.helo = str_of(optarg); break;
	case 'R': s->o.params.tls_tag = TLS_TAG_REQUIRED; break;
	case 'j': s->json = true; break;
	default: s->verbose = true; break;
	}
	return 0;
}

static int take_options(struct send *s, int argc, char **argv)
{
	static const struct option options[] = {
		{ "server", required_argument, NULL, 's' },        { "tls", required_argument, NULL, 't' },
		{ "ca", required_argument, NULL, 'c' },            { "name", required_argument, NULL, 'n' },
		{ "user", required_argument, NULL, 'u' },          { "password-file", required_argument, NULL, 'p' },
		{ "from", required_argument, NULL, 'f' },          { "to", required_argument, NULL, 'r' },
		{ "helo", required_argument, NULL, 'h' },          { "json", no_argument, NULL, 'j' },
		{ "require-tls", no_argument, NULL, 'R' },
		{ "verbose", no_argument, NULL, 'v' },             { NULL, 0, NULL, 0 },
	};
	int status = arguments_take(&command_send, argc, argv, "v", options, take_option, s);
	if (status != 0)
		return status;
	if (optind < argc)
		s->file = argv[optind++];
	if (optind < argc)
		return wrong("one message at a time: \"%s\" is too much", argv[optind]);
	if (s->o.server.n == 0)
		return wrong("--server is missing%s", "");
	if (s->from == NULL)
		return wrong("--from is missing (--from '' for the null sender)%s", "");
	if (s->o.n_to == 0)
		return wrong("--to is missing%s", "");
	if (s->o.params.tls_tag == TLS_TAG_REQUIRED && s->o.tls == SUBMIT_CLEAR)
		return wrong("--require-tls and --tls none contradict each other%s", "");
	if ((s->o.user.n > 0) != (s->password_file != NULL))
		return wrong("--user and --password-file go together%s", "");
	return 0;
}

/* ---- what is read ---- */

/* Line ends become CRLF; a CR that stands alone stays and is refused later, because no rule says what it means. */
static fault to_crlf(struct buf *raw, struct buf *out)
{
	struct str rest = buf_view(raw);
	while (rest.n > 0) {
		size_t n;
		bool ended = str_find(rest, '\n', &n);
		struct str line = str_sub(rest, 0, ended ? n : rest.n);
		rest = str_from(rest, ended ? n + 1 : rest.n);
		if (ended && line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		TRY(buf_add(out, line));
		TRY(buf_add(out, STR("\r\n")));
	}
	return OK;
}

static fault read_stdin(struct buf *to)
{
	for (;;) {
		size_t n;
		char *room = buf_reserve(to, 64 << 10);
		if (room == NULL)
			return F_LIMIT;
		TRY(file_read(STDIN, room, 64 << 10, &n));
		if (n == 0)
			return OK;
		buf_filled(to, n);
	}
}

static int read_message(struct send *s)
{
	struct buf raw;
	int status = 0;
	buf_init(&raw, MESSAGE_BYTES_MAX);
	if (s->file != NULL)
		status = arguments_read_file(&command_send, EXIT_BAD_INPUT, s->file, &raw);
	else if (read_stdin(&raw) != OK)
		status = bad(EXIT_BAD_INPUT, "standard input", "cannot be read to its end");
	if (status == 0 && to_crlf(&raw, &s->message) != OK)
		status = bad(EXIT_BAD_INPUT, "message", "too big");
	buf_fini(&raw);
	s->o.message = buf_view(&s->message);
	return status;
}

/* With an ASCII name before the @, the domain goes as A-labels, which every server understands. */
static bool read_address(struct send *s, struct str text, struct str *out)
{
	struct address a;
	struct str ascii;
	if (address_parse(text, s->arena, &a) != OK)
		return false;
	if (!a.literal && str_is_ascii(a.local) && domain_to_ascii(a.domain, s->arena, &ascii) == OK)
		a.domain = ascii;
	*out = address_text(&a, s->arena);
	return true;
}

static int read_addresses(struct send *s)
{
	if (s->from[0] != '\0' && !read_address(s, str_of(s->from), &s->o.from))
		return bad(EXIT_BAD_INPUT, s->from, "not a mail address");
	for (size_t i = 0; i < s->o.n_to; i++)
		if (!read_address(s, s->to[i], &s->to[i]))
			return bad(EXIT_BAD_INPUT, s->to[i].p, "not a mail address");
	s->o.to = s->to;
	return 0;
}

static int read_secrets(struct send *s)
{
	int status = s->ca_file != NULL ? arguments_read_file(&command_send, EXIT_CONFIGURATION, s->ca_file, &s->ca) : 0;
	if (status == 0 && s->password_file != NULL)
		status = arguments_read_file(&command_send, EXIT_CONFIGURATION, s->password_file, &s->password);
	s->o.ca_pem = buf_view(&s->ca);
	struct str rest = buf_view(&s->password);
	if (!str_take_line(&rest, &s->o.password))
		s->o.password = rest;
	if (status == 0 && s->ca_file != NULL && s->o.ca_pem.n == 0)
		return bad(EXIT_CONFIGURATION, s->ca_file, "is empty");
	if (status == 0 && s->password_file != NULL && s->o.password.n == 0)
		return bad(EXIT_CONFIGURATION, s->password_file, "holds no password in its first line");
	return status;
}

/* ---- what is shown ---- */

static void on_step(void *owner, const char *step, const char *fact)
{
	(void)owner;
	say(stderr, "%-9s %s", step, fact);
}

static void show_json(const struct submit_result *r)
{
	json_t *tls = r->tls_version[0] == '\0'
		? json_null()
		: json_pack("{s:s, s:s, s:s, s:b, s:s, s:s}", "version", r->tls_version, "cipher", r->cipher, "group",
		            r->group, "verified", (int)r->verified, "name", r->name, "peer", r->peer);
	json_t *o = json_pack("{s:i, s:i, s:o, s:s, s:o}", "status", r->status, "code", r->code, "reply", text_as_json(str_of(r->text)),
	                      "id", r->id, "tls", tls);
	char *line = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	say_json(str_of(line != NULL ? line : "{}"));
	free(line);
	json_decref(o);
}

static void show(const struct send *s, const struct submit_result *r)
{
	if (s->json) {
		show_json(r);
		return;
	}
	FILE *to = r->status == EXIT_ACCEPTED ? stdout : stderr;
	say(to, "%s%s", r->status == EXIT_ACCEPTED ? "" : "sealpost send: ", r->text);
	if (r->status != EXIT_ACCEPTED && r->n_taken > 0)
		say(to, "The letter was accepted for %zu of %zu recipients%s%s: do not send it to them again.", r->n_taken,
		              s->o.n_to, r->id[0] != '\0' ? ", queued as " : "", r->id);
	if (r->tls_version[0] != '\0')
		say(to, "%s %s %s, certificate %s for %s (%s)", r->tls_version, r->cipher, r->group,
		              r->verified ? "verified" : "NOT verified", r->name, r->peer);
	else if (r->status == EXIT_ACCEPTED)
		(void)fprintf(to, "sent in clear, without TLS\n");
}

static int run(int argc, char **argv)
{
	static struct send s;
	s = (struct send){ .arena = arena_new(8 << 20) };
	buf_init(&s.password, 4096);
	buf_init(&s.ca, SMALL_FILE_MAX);
	buf_init(&s.message, MESSAGE_BYTES_MAX);
	int status = take_options(&s, argc, argv);
	if (status == 0)
		status = read_addresses(&s);
	if (status == 0)
		status = read_secrets(&s);
	if (status == 0)
		status = read_message(&s);
	if (status == 0) {
		struct submit_result result;
		s.o.on_step = s.verbose ? on_step : NULL;
		submit_message(&s.o, &result);
		show(&s, &result);
		status = result.status;
	}
	buf_wipe(&s.password);
	buf_fini(&s.ca);
	buf_fini(&s.message);
	arena_free(&s.arena);
	return status;
}

const struct command command_send = {
	.name = "send",
	.usage = "--server HOST[:PORT] --from ADDRESS --to ADDRESS ... [OPTION ...] [FILE]",
	.summary = "hand one message to a mail server over TLS and show its reply",
	.help =
		"The message is read from FILE or standard input.\n\n"
		"  --server HOST[:PORT]   the server; the port is 465, 587 or 25 by --tls\n"
		"  --tls implicit         TLS from the first byte (the default)\n"
		"  --tls starttls         TLS after STARTTLS; without it nothing is sent\n"
		"  --tls none             in clear; then there is no login\n"
		"  --ca FILE              trust these certificates (PEM) instead of the system's\n"
		"  --name NAME            the name that the certificate must carry, if not HOST\n"
		"  --user NAME            log in; never without TLS\n"
		"  --password-file FILE   the password is its first line\n"
		"  --from ADDRESS         the envelope sender; '' for none\n"
		"  --to ADDRESS           a recipient; may be repeated\n"
		"  --require-tls          demand TLS all the way (REQUIRETLS); a server that does not promise it gets nothing\n"
		"  --helo NAME            what to say in EHLO; default: our address\n"
		"  --json                 the result as one line of JSON\n"
		"  -v, --verbose          each step, on standard error\n\n"
		"Exit status: 0 accepted, 65 bad input, 67 no such user, 68 no such host, 69 unavailable or refused,\n"
		"75 try later, 76 TLS or protocol failure, 77 login refused, 78 files or options that cannot be used, 2 usage.\n",
	.example =
		"  sealpost send --server mail.example.org --user jada@example.org --password-file ~/.mail-password \\\n"
		"      --from jada@example.org --to sales@example.net letter.eml\n",
	.run = run,
};
