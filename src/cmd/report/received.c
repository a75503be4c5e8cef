/* SPDX-License-Identifier: ISC */
/* cmd/report/received.c -- `sealpost report --received`: what others have reported, summed. Strangers wrote all of it: before the first
 * byte is read this process gives up whatever it does not need, and nothing of it is printed as it came. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "base/escape.h"
#include "cmd/control_client.h"
#include "cmd/report/report.h"
#include "cmd/say.h"
#include "mail/json.h"
#include "mail/trace.h"
#include "proto/tlsrpt/digest.h"
#include "proto/tlsrpt/letter.h"
#include "sys/clock.h"
#include "sys/confine.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

enum {
	FILE_BYTES_MAX = 16 << 20, FILES_MAX = 1000000,
	KIND_MASK = 0170000, KIND_FILE = 0100000,
	SHOWN_MAX = 1024, DESCRIPTORS = 32,
};

struct received {
	bool json;
	struct digest *digest;
	struct buf text;                 /* of the file at hand */
	struct buf shown;
	size_t messages, twice, without, skipped;
};

/* ---- what is shown ---- */

/* Harmless text as it is; other text quoted, so that it shows what it is. Valid until the next call. */
static struct str shown(struct received *r, struct str text)
{
	buf_clear(&r->shown);
	if (text.n > 0 && text.n <= SHOWN_MAX && escape_is_plain(text))
		return text;
	fault f = escape_put(&r->shown, text, ESCAPE_WORD, SHOWN_MAX);
	check(f == OK);
	return buf_view(&r->shown);
}

static void put_json(json_t *o)
{
	char *line = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	check(line != NULL);
	puts(line);
	free(line);
	json_decref(o);
}

static void skip(struct received *r, struct str name, const char *text)
{
	r->skipped++;
	if (r->json) {
		json_t *o = json_object();
		json_object_set_new(o, "row", json_string("skipped"));
		json_object_set_new(o, "file", text_as_json(name));
		json_object_set_new(o, "text", json_string(text));
		put_json(o);
		return;
	}
	say(stderr, "sealpost report: %.*s: %s", STR_ARG(name), text);
}

static void put_day(char out[16], int64_t at_s)
{
	struct buf text;
	buf_init(&text, 64);
	struct str day = date_put_rfc3339(&text, at_s) == OK ? str_sub(buf_view(&text), 0, 10) : STR("?");
	(void)snprintf(out, 16, "%.*s", STR_ARG(day));
	buf_fini(&text);
}

static void print_entry(struct received *r, const struct digest_entry *e)
{
	char from[16], to[16];
	put_day(from, e->begin_s);
	put_day(to, e->end_s);
	print_padded(shown(r, e->domain), 30);
	fputs("  ", stdout);
	print_padded(shown(r, e->organization), 24);
	printf(" %8" PRIu64 " %10" PRIu64 " %8" PRIu64 "  %s to %s\n", e->reports, e->succeeded, e->failed, from, to);
	for (size_t i = 0; i < e->n_results; i++) {
		printf("%34s", "");
		print_padded(shown(r, e->results[i].name), 40);
		printf(" %9" PRIu64 "\n", e->results[i].sessions);
	}
}

static void put_entry(const struct digest_entry *e)
{
	char from[16], to[16];
	json_t *o = json_object(), *failures = json_object();
	put_day(from, e->begin_s);
	put_day(to, e->end_s);
	for (size_t i = 0; i < e->n_results; i++)
		json_object_set_new(failures, e->results[i].name.p, json_integer((json_int_t)e->results[i].sessions));
	json_object_set_new(o, "row", json_string("received"));
	json_object_set_new(o, "domain", text_as_json(e->domain));
	json_object_set_new(o, "organization", text_as_json(e->organization));
	json_object_set_new(o, "reports", json_integer((json_int_t)e->reports));
	json_object_set_new(o, "succeeded", json_integer((json_int_t)e->succeeded));
	json_object_set_new(o, "failed", json_integer((json_int_t)e->failed));
	json_object_set_new(o, "failures", failures);
	json_object_set_new(o, "from", json_string(from));
	json_object_set_new(o, "to", json_string(to));
	put_json(o);
}

static void put_sum(const struct received *r)
{
	json_t *o = json_object();
	json_object_set_new(o, "row", json_string("sum"));
	json_object_set_new(o, "reports", json_integer((json_int_t)digest_reports(r->digest)));
	json_object_set_new(o, "twice", json_integer((json_int_t)r->twice));
	json_object_set_new(o, "without", json_integer((json_int_t)r->without));
	json_object_set_new(o, "skipped", json_integer((json_int_t)r->skipped));
	put_json(o);
}

static void print_sum(const struct received *r)
{
	size_t n = digest_reports(r->digest);
	printf("%zu report%s", n, n == 1 ? "" : "s");
	if (r->twice > 0)
		printf(", %zu more came twice", r->twice);
	if (r->without > 0)
		printf(", %zu message%s without one", r->without, r->without == 1 ? "" : "s");
	if (r->skipped > 0)
		printf(", %zu not read", r->skipped);
	putchar('\n');
}

static void print_all(struct received *r)
{
	size_t n;
	const struct digest_entry *const *entries = digest_list(r->digest, &n);
	if (n > 0 && !r->json)
		printf("%-30s  %-24s %8s %10s %8s  %s\n", "DOMAIN", "REPORTED BY", "REPORTS", "SUCCEEDED", "FAILED", "DAYS");
	for (size_t i = 0; i < n; i++)
		if (r->json)
			put_entry(entries[i]);
		else
			print_entry(r, entries[i]);
	(r->json ? put_sum : print_sum)(r);
}

/* ---- a file ---- */

static void take_report(struct received *r, struct str name, const struct tlsrpt_report *report)
{
	fault f = digest_add(r->digest, report);
	if (f == F_EXISTS)
		r->twice++;
	else if (f != OK)
		skip(r, name, "there is no room to sum more domains, organisations or reports: read fewer files at a time");
}

/* All of it, or as much as may be. */
static fault read_text(struct received *r, int fd, bool *cut)
{
	size_t n = 1;
	buf_clear(&r->text);
	*cut = false;
	while (n > 0 && buf_room(&r->text) > 0) {
		size_t room = buf_room(&r->text) < 64 << 10 ? buf_room(&r->text) : 64 << 10;
		char *to = buf_reserve(&r->text, room);
		if (to == NULL)
			return F_LIMIT;
		TRY(file_read(fd, to, room, &n));
		buf_filled(&r->text, n);
	}
	*cut = buf_room(&r->text) == 0;
	return OK;
}

/* alone: it was named by whoever calls, so that it holds a report is expected. */
static void take_file(struct received *r, int fd, struct str name, bool alone)
{
	struct tlsrpt_letter letter;
	struct tlsrpt_report *report = NULL;
	struct why why = { "" };
	size_t found = 0;
	bool cut;
	fault f;
	if (read_text(r, fd, &cut) != OK) {
		skip(r, name, "it cannot be read");
		return;
	}
	if (str_starts(buf_view(&r->text), STR("From "))) { /* only its first message would be seen */
		skip(r, name, "this is an mbox: messages in files of their own, such as those of a Maildir, can be read");
		return;
	}
	tlsrpt_letter_begin(&letter, buf_view(&r->text));
	while ((f = tlsrpt_letter_next(&letter, &report, &why)) != F_ABSENT && !cut) {
		found++;
		if (f == OK)
			take_report(r, name, report);
		else
			skip(r, name, why.text);
		tlsrpt_free(&report);
	}
	tlsrpt_free(&report);
	if (cut && f != F_ABSENT)
		skip(r, name, "it is larger than 16 MB, which no report needs");
	else if (found == 0 && alone)
		skip(r, name, "no TLS report is in it");
	else
		r->without += found == 0;
}

/* ---- a folder ---- */

struct names { struct str *list; size_t n; };

static int by_name(const void *a, const void *b)
{
	return str_order(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted, so that which of two equal reports counts does not depend on the file system. */
static void list_folder(struct received *r, int fd, struct str name, struct names *out)
{
	struct directory_reader *d = directory_read(fd);
	struct str one;
	size_t room = 0;
	*out = (struct names){ NULL, 0 };
	while (directory_next(d, &one)) {
		if (one.n == 0 || one.p[0] == '.')
			continue;
		if (out->n == FILES_MAX) {
			skip(r, name, "it has more files than are read at a time");
			break;
		}
		if (out->n == room) {
			room = room > 0 ? 2 * room : 64;
			out->list = must_resize(out->list, room * sizeof one);
		}
		out->list[out->n++] = str_keep(one);
	}
	directory_close(&d);
	if (out->n > 0)
		qsort(out->list, out->n, sizeof one, by_name);
}

/* What is no plain file, such as a folder, is passed over. where: with the folder's name, for people. */
static void take_named(struct received *r, int folder, struct str name, struct str where)
{
	struct why why = { "" };
	uint32_t owner, mode = 0;
	int fd = -1;
	fault f = file_open(folder, name.p, FILE_READ | FILE_PLAIN, 0, &fd, &why);
	if (f == OK && file_owner_mode(fd, &owner, &mode) == OK && (mode & KIND_MASK) == KIND_FILE)
		take_file(r, fd, where, false);
	else if (f != OK)
		skip(r, where, f == F_ABSENT ? "it has just gone" : "it cannot be opened, or is a symbolic link");
	fd_close(&fd);
}

static void take_folder(struct received *r, int fd, struct str name)
{
	struct names names;
	struct buf where;
	buf_init(&where, SIZE_MAX / 2);
	list_folder(r, fd, name, &names);
	for (size_t i = 0; i < names.n; i++) {
		buf_clear(&where);
		fault f = buf_addf(&where, "%.*s/%.*s", STR_ARG(name), STR_ARG(names.list[i]));
		check(f == OK);
		take_named(r, fd, names.list[i], buf_view(&where));
		str_release(&names.list[i]);
	}
	free(names.list);
	buf_fini(&where);
}

/* ---- from outside ---- */

enum { IN_CUR, IN_NEW, IN_ITSELF, PLACES };

struct places { int fds[PLACES]; int file; };

/* A Maildir's cur and new, a folder itself, or one file. Only folders below this one are still within reach afterwards. */
static fault open_places(const char *path, struct places *out, struct why *why)
{
	*out = (struct places){ { -1, -1, -1 }, -1 };
	if (strcmp(path, "-") == 0) {
		out->file = 0;
		return OK;
	}
	if (directory_open(FILE_CWD, path, &out->fds[IN_ITSELF], NULL) != OK)
		return file_open(FILE_CWD, path, FILE_READ, 0, &out->file, why);
	bool cur = directory_open(out->fds[IN_ITSELF], "cur", &out->fds[IN_CUR], NULL) == OK;
	bool new = directory_open(out->fds[IN_ITSELF], "new", &out->fds[IN_NEW], NULL) == OK;
	if (cur || new)
		fd_close(&out->fds[IN_ITSELF]);
	return OK;
}

/* Without capabilities root may not read what is another's alone, as a Maildir is: its owner may. */
static fault become_owner(const char *folder, struct why *why)
{
	struct path_facts facts;
	fault f = path_facts(folder, &facts);
	if (f != OK)
		return why_say(why, f, "%s cannot be looked at", folder);
	return facts.uid == 0 ? OK : process_become(facts.uid, facts.gid, why);
}

static fault give_up_rights(const char *path, const struct places *p, struct why *why)
{
	const char *folders[] = { path };
	bool folder = p->file < 0;
	if (folder && process_is_root())
		TRY(become_owner(path, why));
	struct confine_rules rules = { .may = folder ? MAY_USE_FOLDERS : 0, .empty_root = false, .descriptors = DESCRIPTORS };
	return confine(&rules, folders, folder ? 1 : 0, NULL, NULL, why);
}

int report_received(const char *path, bool json)
{
	struct received r = { .json = json };
	struct places p;
	struct why why = { "" };
	json_object_seed(0);
	uint64_t seed = random_u64();
	fault f = open_places(path, &p, &why);
	f = f == OK ? give_up_rights(path, &p, &why) : f;
	if (f != OK) {
		say(stderr, "sealpost report: %s", why.text);
		return 1;
	}
	r.digest = digest_new(seed);
	buf_init(&r.text, FILE_BYTES_MAX);
	buf_init(&r.shown, 8 * SHOWN_MAX);
	for (size_t i = 0; i < PLACES; i++)
		if (p.fds[i] >= 0)
			take_folder(&r, p.fds[i], i == IN_CUR ? STR("cur") : i == IN_NEW ? STR("new") : str_of(path));
	if (p.file >= 0)
		take_file(&r, p.file, strcmp(path, "-") == 0 ? STR("standard input") : str_of(path), true);
	print_all(&r);
	int status = digest_reports(r.digest) == 0 || r.skipped > 0;
	for (size_t i = 0; i < PLACES; i++)
		fd_close(&p.fds[i]);
	if (p.file > 0)
		fd_close(&p.file);
	digest_free(&r.digest);
	buf_fini(&r.text);
	buf_fini(&r.shown);
	return status;
}
