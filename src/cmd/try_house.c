/* SPDX-License-Identifier: ISC */
/* cmd/try_house.c -- builds the throw-away house of `sealpost try`. */
#include "cmd/try_house.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "mail/trace.h"
#include "proto/sasl/credential.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"
#include "tls/certificate.h"
#include "tls/tls.h"

#define TRY_DOMAIN "sealpost.test"

enum { PEM_BYTES_MAX = 64 << 10, LETTER_BYTES_MAX = 8 << 10, FOLDERS_DEEP = 8 };

/* Lower-case letters and digits without those that look alike. */
static void random_word(char *to, size_t n)
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
	unsigned char bytes[64];
	check(n < sizeof bytes);
	random_bytes(bytes, n);
	for (size_t i = 0; i < n; i++)
		to[i] = letters[bytes[i] % (sizeof letters - 1)];
	to[n] = '\0';
}

void try_house_init(struct try_house *h, const char *directory, unsigned port_base)
{
	char word[16];
	*h = (struct try_house){
		.port_submissions = port_base + 465, .port_submission = port_base + 587, .port_mx = port_base + 525,
		.user = "jada", .is_named = directory != NULL,
	};
	random_word(word, 8);
	if (directory != NULL)
		(void)snprintf(h->directory, sizeof h->directory, "%s", directory);
	else
		(void)snprintf(h->directory, sizeof h->directory, "/tmp/sealpost-try-%s", word);
	(void)snprintf(h->address, sizeof h->address, "%s@" TRY_DOMAIN, h->user);
	(void)snprintf(h->subject, sizeof h->subject, "A sealed letter (%s)", word);
	random_word(h->password, 16);
	buf_init(&h->ca, PEM_BYTES_MAX);
	buf_init(&h->letter, LETTER_BYTES_MAX);
}

void try_house_fini(struct try_house *h)
{
	buf_fini(&h->ca);
	buf_fini(&h->letter);
	explicit_bzero(h->password, sizeof h->password);
}

static fault write_file(const struct try_house *h, const char *name, unsigned permissions, struct str bytes,
                        struct why *why)
{
	char path[2048];
	int fd = -1;
	(void)snprintf(path, sizeof path, "%s/%s", h->directory, name);
	fault gone = file_remove(FILE_CWD, path);
	if (gone != OK && gone != F_ABSENT)
		return why_say(why, gone, "%s is in the way and cannot be removed", path);
	TRY(file_open(FILE_CWD, path, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, permissions, &fd, why));
	fault f = file_write(fd, bytes);
	fd_close(&fd);
	return f == OK ? OK : why_say(why, f, "%s cannot be written", path);
}

static bool anybody_may_pass(const char *path)
{
	uint32_t uid, mode = 0;
	int fd = -1;
	bool may = directory_open(FILE_CWD, path, &fd, NULL) == OK && file_owner_mode(fd, &uid, &mode) == OK &&
	           (mode & 0001) != 0;
	fd_close(&fd);
	return may;
}

/* Started by root, the roles give root's rights up as they would in real life, to an account that owns nothing else. */
static const char *role_account(void)
{
	uint32_t uid, gid;
	return process_is_root() && user_find("nobody", &uid, &gid) == OK ? "nobody" : NULL;
}

/* Such an account must be able to get to the folder. */
static fault check_reachable(const struct try_house *h, struct why *why)
{
	char path[sizeof h->directory];
	for (size_t i = 1; role_account() != NULL && i <= strlen(h->directory); i++) {
		if (h->directory[i] != '/' && h->directory[i] != '\0')
			continue;
		memcpy(path, h->directory, i);
		path[i] = '\0';
		if (!anybody_may_pass(path))
			return why_say(why, F_DENIED, "%s may only be entered by its owner, but the server's processes run as %s: "
			                              "`chmod o+x` it, or name a folder elsewhere", path, role_account());
	}
	return OK;
}

static fault give_away(const struct try_house *h, const char *name, struct why *why)
{
	char path[2048];
	uint32_t uid, gid;
	const char *account = role_account();
	if (account == NULL || user_find(account, &uid, &gid) != OK)
		return OK;
	(void)snprintf(path, sizeof path, "%s%s", h->directory, name);
	fault f = directory_give(path, uid, gid);
	return f == OK ? OK : why_say(why, f, "%s cannot be given to the account %s", path, account);
}

static fault make_folder(const struct try_house *h, const char *name, struct why *why)
{
	char path[2048];
	(void)snprintf(path, sizeof path, "%s%s", h->directory, name);
	fault f = directory_make(FILE_CWD, path, name[0] == '\0' ? 0711 : 0700);
	return f == OK || f == F_EXISTS ? OK : why_say(why, f, "%s cannot be made (%s)", path, fault_name(f));
}

static fault make_certificate(struct try_house *h, struct why *why)
{
	static const struct str names[] = { { "localhost", 9 }, { "mx1." TRY_DOMAIN, sizeof "mx1." TRY_DOMAIN - 1 } };
	struct buf chain, key;
	buf_init(&chain, PEM_BYTES_MAX);
	buf_init(&key, PEM_BYTES_MAX);
	fault f = certificate_make(names, COUNT(names), &h->ca, &chain, &key, why);
	if (f == OK)
		f = write_file(h, "tls/ca.pem", 0644, buf_view(&h->ca), why);
	if (f == OK)
		f = write_file(h, "tls/cert.pem", 0644, buf_view(&chain), why);
	if (f == OK)
		f = write_file(h, "tls/key.pem", 0600, buf_view(&key), why);
	buf_fini(&chain);
	buf_wipe(&key);
	return f;
}

static fault make_user(const struct try_house *h, struct why *why)
{
	struct buf line;
	unsigned char salt[CREDENTIAL_SALT_PRESET];
	struct credential credential;
	buf_init(&line, 1024);
	random_bytes(salt, sizeof salt);
	fault f = buf_addf(&line, "%s:", h->user);
	if (f == OK)
		f = credential_make(str_of(h->password), CREDENTIAL_ITERATIONS_PRESET,
		                    (struct str){ (const char *)salt, sizeof salt }, &credential);
	if (f == OK)
		f = credential_put(&line, &credential);
	if (f == OK)
		f = buf_add_char(&line, '\n');
	if (f == OK)
		f = write_file(h, "users", 0600, buf_view(&line), why);
	if (f == OK)
		f = write_file(h, "password", 0600, str_of(h->password), why);
	buf_fini(&line);
	return f;
}

static fault make_configuration(const struct try_house *h, struct why *why)
{
	struct buf text;
	const char *account = role_account();
	buf_init(&text, 16 << 10);
	fault f = buf_add(&text, STR("# Made by `sealpost try`. Everything here is thrown away.\n"));
	if (f == OK && account != NULL)
		f = buf_addf(&text, "run-as     %s\nmail-user  %s\n", account, account);
	if (f == OK)
		f = buf_addf(&text,
		             "hostname   mx1." TRY_DOMAIN "\n"
		             "postmaster %s\n\n"
		             "tls localhost mx1." TRY_DOMAIN " {\n"
		             "    cert %s/tls/cert.pem\n"
		             "    key  %s/tls/key.pem\n"
		             "}\n\n"
		             "users staff {\n"
		             "    source file %s/users\n"
		             "}\n\n"
		             "domain " TRY_DOMAIN " {\n"
		             "    users   staff\n"
		             "    deliver maildir %s/mail/{domain}/{local}\n"
		             "}\n\n",
		             h->address, h->directory, h->directory, h->directory,
		             h->directory);
	if (f == OK)
		f = buf_addf(&text,
		             "listen submissions {\n    on   127.0.0.1:%u\n    auth staff\n}\n"
		             "listen submission {\n    on   127.0.0.1:%u\n    auth staff\n}\n"
		             "listen mx {\n    on   127.0.0.1:%u\n}\n\n"
		             "# Nothing leaves this machine.\n"
		             "route {\n    otherwise hold\n}\n\n"
		             "queue {\n    directory %s/spool\n}\n\n"
		             "control %s/control.sock\n",
		             h->port_submissions, h->port_submission, h->port_mx, h->directory, h->directory);
	if (f == OK)
		f = write_file(h, "sealpost.conf", 0644, buf_view(&text), why);
	buf_fini(&text);
	return f;
}

static fault make_letter(struct try_house *h)
{
	int64_t now_s = clock_wall_s();
	TRY(buf_addf(&h->letter, "From: Jada <%s>\r\nTo: Jada <%s>\r\nSubject: %s\r\nDate: ", h->address, h->address,
	             h->subject));
	TRY(date_put(&h->letter, now_s, clock_zone_minutes(now_s)));
	return buf_add(&h->letter, STR("\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
	                               "Hello!\r\n\r\nThis letter was sealed from end to end: handed in over TLS, kept in a\r\n"
	                               "durable queue before anybody said yes to it, and put into your mailbox.\r\n"));
}

fault try_house_build(struct try_house *h, struct why *why)
{
	static const char *const folders[] = { "", "/tls", "/mail", "/spool" };
	char log_path[2048], given[sizeof h->directory];
	TRY(tls_begin(why));
	memcpy(given, h->directory, sizeof given);
	if (path_absolute(given, h->directory, sizeof h->directory) != OK)
		return why_say(why, F_LIMIT, "%s: the path is too long", given);
	for (size_t i = 0; i < COUNT(folders); i++)
		TRY(make_folder(h, folders[i], why));
	TRY(check_reachable(h, why));
	TRY(give_away(h, "/mail", why));
	TRY(give_away(h, "/spool", why));
	TRY(make_certificate(h, why));
	TRY(make_user(h, why));
	TRY(make_configuration(h, why));
	if (make_letter(h) != OK)
		return why_say(why, F_LIMIT, "the letter does not fit");
	(void)snprintf(log_path, sizeof log_path, "%s/sealpost.log", h->directory);
	return process_errors_to(log_path, why);
}

/* Does this file carry our subject? The Maildir may hold letters of an earlier try. */
static bool is_our_letter(const struct try_house *h, int folder, const char *name)
{
	struct buf head;
	size_t at, got = 0;
	int fd = -1;
	bool ours = false;
	buf_init(&head, LETTER_BYTES_MAX);
	char *to = buf_reserve(&head, LETTER_BYTES_MAX);
	if (file_open_beneath(folder, name, FILE_READ, 0, &fd) == OK && to != NULL &&
	    file_read(fd, to, LETTER_BYTES_MAX, &got) == OK) {
		buf_filled(&head, got);
		ours = str_find_str(buf_view(&head), str_of(h->subject), &at);
	}
	fd_close(&fd);
	buf_fini(&head);
	return ours;
}

bool try_house_find(const struct try_house *h, char *path, size_t room)
{
	char folder[2048];
	int fd = -1;
	bool found = false;
	struct str name;
	(void)snprintf(folder, sizeof folder, "%s/mail/" TRY_DOMAIN "/%s/new", h->directory, h->user);
	if (directory_open(FILE_CWD, folder, &fd, NULL) != OK)
		return false;
	struct directory_reader *d = directory_read(fd);
	while (!found && directory_next(d, &name)) {
		char text[512];
		(void)snprintf(text, sizeof text, "%.*s", STR_ARG(name));
		found = is_our_letter(h, fd, text);
		if (found)
			(void)snprintf(path, room, "%s/%s", folder, text);
	}
	directory_close(&d);
	fd_close(&fd);
	return found;
}

/* ---- and it is gone ---- */

/* No link is followed: mail and queue belong to other accounts, and whoever calls may be root. */
static void empty_folder(int folder, unsigned depth)
{
	struct str name;
	struct directory_reader *d = directory_read(folder);
	while (d != NULL && directory_next(d, &name)) {
		char text[512];
		int fd = -1;
		if (name.n >= sizeof text)
			continue;
		(void)snprintf(text, sizeof text, "%.*s", STR_ARG(name));
		if (depth > 0 && directory_open_beneath(folder, text, &fd) == OK)
			empty_folder(fd, depth - 1);
		fd_close(&fd);
		if (directory_remove(folder, text) != OK)
			(void)!file_remove(folder, text);
	}
	directory_close(&d);
}

bool try_house_remove(const struct try_house *h)
{
	int fd = -1;
	if (h->is_named || directory_open(FILE_CWD, h->directory, &fd, NULL) != OK)
		return false;
	empty_folder(fd, FOLDERS_DEEP);
	fd_close(&fd);
	return directory_remove(FILE_CWD, h->directory) == OK;
}
