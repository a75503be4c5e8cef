/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "scene.h"

#include <stdio.h>

struct house h;
struct client c;

int open_house(void **state)
{
	(void)state;
	house_open(&h, "");
	return 0;
}

int close_house(void **state)
{
	(void)state;
	client_close(&c);
	house_close(&h);
	return 0;
}

void expect_in(struct buf *text, const char *part)
{
	struct str s = house_text(text);
	if (!str_find_str(s, str_of(part), &(size_t){ 0 }))
		fail_msg("\"%s\" is not in \"%s\"", part, s.p);
}

void expect_not_in(struct buf *text, const char *part)
{
	struct str s = house_text(text);
	if (str_find_str(s, str_of(part), &(size_t){ 0 }))
		fail_msg("\"%s\" is in \"%s\"", part, s.p);
}

void log_in(int listener)
{
	client_open(&c, &h, listener);
	client_hello(&c);
	if (listener == LISTENER_SUBMISSION) {
		client_talk(&c, "STARTTLS", "220 2.0.0");
		client_start_tls(&c);
		client_talk(&c, "EHLO client.example", "250 LIMITS");
	}
	client_login(&c);
}

void give_letter(const char *from, const char *to, const char *text, const char *reply)
{
	char line[300];
	(void)snprintf(line, sizeof line, "MAIL FROM:<%s>", from);
	client_talk(&c, line, "250 2.1.0");
	(void)snprintf(line, sizeof line, "RCPT TO:<%s>", to);
	client_talk(&c, line, "250 2.1.5");
	client_talk(&c, "DATA", "354");
	client_say(&c, text);
	client_talk(&c, ".", reply);
}

void begin_mail(const char *mail)
{
	client_talk(&c, mail, "250 2.1.0");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250 2.1.5");
	client_talk(&c, "DATA", "354");
}
