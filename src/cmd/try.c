/* SPDX-License-Identifier: ISC */
/*
 * cmd/try.c -- the whole server on loopback, with everything it needs made on the spot, and one sealed letter through
 * it, each step shown. What a newcomer runs first.
 */
#include "cmd/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/submit.h"
#include "cmd/try_house.h"
#include "role/supervisor/supervisor.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { DELIVERY_PATIENCE_MS = 30000, LOOK_EVERY_MS = 20 };

struct attempt {
	struct loop *loop;
	struct supervisor *supervisor;
	struct try_house house;
	bool once, sent, finished;
	int status;
	int64_t sent_ms;
	struct timer look;
	struct submit_result result;
};

static void show(const char *step, const char *fact)
{
	say(stdout, "  %-10s %s", step, fact);
	(void)fflush(stdout);
}

static void finish(struct attempt *t, int status)
{
	t->status = status;
	t->finished = true;
	timer_clear(&t->look);
	supervisor_stop(t->supervisor);
}

static void fail(struct attempt *t, const char *step, const char *what)
{
	say(stdout, "  %-10s FAILED: %s", step, what);
	printf("\nThe server's log is %s/sealpost.log\n", t->house.directory);
	(void)fflush(stdout);
	finish(t, 1);
}

static void tell_how_to_go_on(const struct attempt *t)
{
	const struct try_house *h = &t->house;
	printf("\nThe server goes on until you press Ctrl-C. Hand it more mail:\n\n"
	       "  swaks --server 127.0.0.1:%u --tls-on-connect --tls-verify --tls-ca-path %s/tls/ca.pem \\\n"
	       "        --auth-user %s --auth-password %s --from %s --to %s\n\n"
	       "  build/sealpost send --server 127.0.0.1:%u --ca %s/tls/ca.pem --user %s \\\n"
	       "        --password-file %s/password --from %s --to %s LETTER\n\n"
	       "A mail client: server 127.0.0.1, port %u with SSL/TLS or %u with STARTTLS, user %s,\n"
	       "password %s, and %s/tls/ca.pem as a trusted authority. Port %u takes mail as other servers hand it in.\n\n"
	       "  mail          %s/mail/\n  configuration %s/sealpost.conf\n  log           %s/sealpost.log\n"
	       "  queue         build/sealpost queue list -c %s/sealpost.conf\n\n",
	       h->port_submissions, h->directory, h->user, h->password, h->address, h->address, h->port_submissions,
	       h->directory, h->user, h->directory, h->address, h->address, h->port_submissions, h->port_submission, h->user,
	       h->password, h->directory, h->port_mx, h->directory, h->directory, h->directory, h->directory);
	(void)fflush(stdout);
}

/* ---- the letter arrives ---- */

static void show_letter(struct attempt *t, const char *path)
{
	struct buf letter;
	struct why why = { "" };
	int fd = -1;
	buf_init(&letter, 1 << 20);
	fault f = file_open(FILE_CWD, path, FILE_READ, 0, &fd, &why);
	if (f == OK)
		f = file_read_all(fd, &letter);
	fd_close(&fd);
	if (f != OK) {
		fail(t, "Maildir", why.text);
		buf_fini(&letter);
		return;
	}
	show("Maildir", path);

	/* The Received line with its continuation lines. */
	struct str rest = buf_view(&letter), line;
	bool inside = false, shown = false;
	while (str_take_line(&rest, &line) && line.n > 0) {
		inside = str_starts_nocase(line, STR("Received:")) ||
		         (inside && (line.p[0] == ' ' || line.p[0] == '\t'));
		if (inside) {
			while (shown && line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
				line = str_from(line, 1);
			say(stdout, "  %-10s %s%.*s", shown ? "" : "header", shown ? "    " : "", STR_ARG(line));
			shown = true;
		}
	}
	buf_fini(&letter);
	if (!shown) {
		fail(t, "header", "the letter carries no Received line");
		return;
	}
	printf("\nThe letter has arrived, sealed all the way.\n");
	(void)fflush(stdout);
	if (t->once)
		finish(t, 0);
	else
		tell_how_to_go_on(t);
}

static void look(void *owner)
{
	struct attempt *t = owner;
	char path[4096];
	int64_t now = loop_now_ms(t->loop);
	if (try_house_find(&t->house, path, sizeof path)) {
		char text[64];
		(void)snprintf(text, sizeof text, "%lld ms after the 250", (long long)(now - t->sent_ms));
		show("delivered", text);
		show_letter(t, path);
		return;
	}
	if (now - t->sent_ms > DELIVERY_PATIENCE_MS)
		fail(t, "delivery", "the letter was accepted but is not in the Maildir");
	else
		timer_set(&t->look, now + LOOK_EVERY_MS);
}

/* ---- the letter leaves: on a thread, because the client's side is a program of its own ---- */

static void on_step(void *owner, const char *step, const char *fact)
{
	(void)owner;
	show(step, fact);
}

static void hand_in(void *job)
{
	struct attempt *t = job;
	struct try_house *h = &t->house;
	char server[64];
	(void)snprintf(server, sizeof server, "127.0.0.1:%u", h->port_submissions);
	struct str to = str_of(h->address);
	struct submit_options options = {
		.server = str_of(server),
		.tls = SUBMIT_IMPLICIT,
		.ca_pem = buf_view(&h->ca),
		.user = str_of(h->user),
		.password = str_of(h->password),
		.from = str_of(h->address),
		.to = &to,
		.n_to = 1,
		.message = buf_view(&h->letter),
		.on_step = on_step,
		.owner = t,
	};
	submit_message(&options, &t->result);
}

static void handed_in(void *job)
{
	struct attempt *t = job;
	if (t->finished)
		return;
	if (t->result.status != EXIT_ACCEPTED) {
		fail(t, "send", t->result.text);
		return;
	}
	t->sent = true;
	t->sent_ms = loop_now_ms(t->loop);
	look(t);
}

/* ---- the server ---- */

static void on_ready(void *owner)
{
	struct attempt *t = owner;
	char text[128];
	(void)snprintf(text, sizeof text, "127.0.0.1, ports %u (TLS), %u (STARTTLS), %u (other servers)",
	               t->house.port_submissions, t->house.port_submission, t->house.port_mx);
	show("server", text);
	work_start(t->loop, hand_in, handed_in, t);
}

static void on_ended(void *owner, int status)
{
	struct attempt *t = owner;
	if (!t->finished && status != 0) {
		printf("  %-10s FAILED: the server ended with status %d; its log is %s/sealpost.log\n", "server", status,
		       t->house.directory);
		t->status = 1;
	}
	loop_stop(t->loop);
}

static void on_signal(void *owner, enum signal_kind which)
{
	struct attempt *t = owner;
	if (which != SIGNAL_STOP)
		return;
	if (!t->finished && !t->sent)
		t->status = 1; /* interrupted before the letter was on its way */
	t->finished = true;
	timer_clear(&t->look);
	supervisor_stop(t->supervisor);
}

static int try_it(struct attempt *t)
{
	struct why why = { "" };
	struct conf_report report;
	char conf_path[4096];
	if (try_house_build(&t->house, &why) != OK) {
		say(stderr, "sealpost try: %s", why.text);
		return 1;
	}
	(void)snprintf(conf_path, sizeof conf_path, "%s/sealpost.conf", t->house.directory);
	printf("Sealpost makes a certificate authority, a certificate, a user and a Maildir in\n%s,\n"
	       "starts the whole server and sends a letter through it.\n\n", t->house.directory);
	show("user", t->house.address);

	t->loop = loop_new();
	timer_init(&t->look, t->loop, look, t);
	struct supervisor_options options = {
		.conf_path = conf_path, .fronts = 0, .ready = on_ready, .ended = on_ended, .owner = t,
	};
	conf_report_init(&report);
	fault f = supervisor_new(t->loop, &options, &t->supervisor, &report);
	if (f != OK) {
		say_lines(stdout, buf_view(&report.text));
		printf("\nIf the ports are taken, choose others with --port-base N.\n");
		conf_report_fini(&report);
		loop_free(&t->loop);
		return 1;
	}
	conf_report_fini(&report);
	signals_watch(t->loop, on_signal, t);
	loop_run(t->loop);
	supervisor_free(&t->supervisor);
	loop_free(&t->loop);
	return t->status;
}

static int run(int argc, char **argv)
{
	struct attempt *t = NEW(struct attempt);
	uint64_t base = 2000;
	const char *directory = NULL;
	t->once = !process_has_terminal();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--once") == 0) {
			t->once = true;
		} else if (strcmp(argv[i], "--port-base") == 0 && i + 1 < argc && str_u64(str_of(argv[i + 1]), &base) &&
		           base >= 1000 && base <= 64000) {
			i++;
		} else if (argv[i][0] != '-' && directory == NULL) {
			directory = argv[i];
		} else {
			free(t);
			return command_usage(&command_try, "expected --once, --port-base with a number from 1000 to 64000, or a folder");
		}
	}
	try_house_init(&t->house, directory, (unsigned)base);
	int status = try_it(t);
	if (status == 0 && try_house_remove(&t->house))
		printf("\nIts folder is gone again: `sealpost try DIR` keeps one.\n");
	try_house_fini(&t->house);
	free(t);
	return status;
}

const struct command command_try = {
	.name = "try",
	.usage = "[--once] [--port-base N] [DIR]",
	.summary = "the whole server on loopback, and one sealed letter through it, each step shown",
	.help = "  --once          end after the letter has arrived (as without a terminal)\n"
	        "  --port-base N   ports N+465, N+587 and N+525 (N is 2000)\n"
	        "  DIR             where certificate, user, queue and mail go (a new folder below /tmp, which\n"
	        "                  is removed at the end if all went well)\n"
	        "\n"
	        "Exit status 0 says that the letter arrived.\n",
	.example = "  sealpost try --once\n",
	.run = run,
};
