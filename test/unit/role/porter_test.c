/* SPDX-License-Identifier: ISC */
/* The porter: where letters may go, that each is there once whatever is repeated, and what it tells the spool. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "ipc/spool_delivery.h"
#include "ipc/supervisor.h"
#include "role/porter/letter.h"
#include "role/porter/place.h"
#include "role/role.h"
#include "sys/clock.h"
#include "sys/process.h"
#include "sys/socket.h"

/* -- places -------------------------------------------------------------------------------------- */

static const struct { const char *template_, *address, *fixed, *below; } places[] = {
	{ "/var/mail/{domain}/{local}", "jada@Example.org", "/var/mail", "example.org/jada" },
	{ "/var/mail/{local}", "jada@example.org", "/var/mail", "jada" },
	{ "/home/{local}/Maildir", "jada@example.org", "/home", "jada/Maildir" },
	{ "/m/{domain}-{local}.d/x", "a.b@x", "/m", "x-a.b.d/x" },
	{ "/m//{domain}///{local}/", "a@x", "/m/", "x/a" },
	{ "/var/mail/all", "jada@example.org", "/var/mail", "all" },
	{ "/all", "jada@example.org", "/", "all" },
	{ "/{local}", "jada@example.org", "/", "jada" },
	{ "/v/{local}", "\"a b\"@x", "/v", "a b" },
	{ "/v/{local}", "~root@x", "/v", "~root" },
	{ "/v/{local}", "{domain}@x", "/v", "{domain}" }, /* an address is no template */
	{ "/v/{domain}", "u@b\xc3\xbc" "cher.example", "/v", "xn--bcher-kva.example" },
	{ "/v/{x}/{local}", "a@x", "/v/{x}", "a" },
	{ "/v/{local}", "\"../../etc/x\"@x", NULL, NULL },
	{ "/v/{local}", "\"a/b\"@x", NULL, NULL },
	{ "/v/{local}", "\".a\"@x", NULL, NULL },
	{ "/v/{local}", "\"..\"@x", NULL, NULL },
	{ "/v/{local}", "\"\"@x", NULL, NULL },
	{ "/v/.{local}/x", "\".\"@x", NULL, NULL },
	{ "/v/{domain}", "a@[127.0.0.1]", NULL, NULL },
	{ "/v/{local}", "a@x\nb", NULL, NULL },
	{ "/v/{local}", "a", NULL, NULL },
	{ "/v/{local}", "", NULL, NULL },
	{ "/v/../{local}/..", "a@x", NULL, NULL },
	{ "v/{local}", "a@x", NULL, NULL },
	{ "", "a@x", NULL, NULL },
	{ "/", "a@x", NULL, NULL },
};

static void templates_lead_to_folders_and_nowhere_else(void **state)
{
	(void)state;
	static struct place p;
	for (size_t i = 0; i < COUNT(places); i++) {
		fault f = place_find(str_of(places[i].template_), str_of(places[i].address), &p);
		if ((f == OK) != (places[i].fixed != NULL))
			fail_msg("%s %s: %s", places[i].template_, places[i].address, fault_name(f));
		if (f == OK) {
			assert_string_equal(p.fixed, places[i].fixed);
			assert_string_equal(p.below, places[i].below);
		}
	}
	/* a component of 255 bytes is one, of 256 none; a path has its end too */
	char text[PLACE_MAX + 100] = "/v/";
	memset(text + 3, 'x', 252);
	strcpy(text + 255, "{local}");
	assert_ok(place_find(str_of(text), STR("abc@x"), &p));
	assert_int_equal(place_find(str_of(text), STR("abcd@x"), &p), F_SYNTAX);
	for (size_t i = 0; i < PLACE_MAX + 50; i += 2)
		memcpy(text + i, "/x", 3);
	strcpy(text + PLACE_MAX + 50, "/{local}");
	assert_int_equal(place_find(str_of(text), STR("a@x"), &p), F_SYNTAX);
}

static void names_follow_from_id_and_recipient(void **state)
{
	(void)state;
	char a[LETTER_NAME_MAX + 1], b[LETTER_NAME_MAX + 1], host[300];
	letter_name(a, 1795217725, STR("q1"), STR("a@x"), STR("mx.example"));
	letter_name(b, 1795217725, STR("q1"), STR("a@x"), STR("mx.example"));
	assert_string_equal(a, b);
	assert_true(str_starts(str_of(a), STR("1795217725.Qq1R")));
	assert_true(str_ends_nocase(str_of(a), STR(".mx.example")));
	char first[LETTER_NAME_MAX + 1], again[LETTER_NAME_MAX + 1]; /* the clock was set, and the queue's times with it */
	letter_name(first, 1795217725, STR("1m7y2dsmfp8newk"), STR("a@x"), STR("mx.example"));
	letter_name(again, 1479857725, STR("1m7y2dsmfp8newk"), STR("a@x"), STR("mx.example"));
	assert_string_equal(first, again);
	assert_true(str_starts(str_of(first), STR("17952317")));
	letter_name(b, 1795217725, STR("q1"), STR("b@x"), STR("mx.example"));
	assert_string_not_equal(a, b);
	letter_name(b, 1795217725, STR("q2"), STR("a@x"), STR("mx.example"));
	assert_string_not_equal(a, b);
	memset(host, 'h', sizeof host);
	letter_name(b, INT64_MAX, (struct str){ host, 100 }, STR("a@x"), (struct str){ host, sizeof host });
	assert_true(strlen(b) <= LETTER_NAME_MAX);
	letter_name(b, -1, STR("../q:1"), STR("a/b@x"), STR("m/x:y"));
	assert_null(strchr(b, '/'));
	assert_null(strchr(b, ':'));
}

/* -- letters on a real disk ---------------------------------------------------------------------- */

static char root[64];

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/sealpost-porter-XXXXXX");
	return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	char command[256];
	(void)snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", root, root);
	return system(command);
}

static struct place place_of(const char *below)
{
	struct place p;
	(void)snprintf(p.fixed, sizeof p.fixed, "%s", root);
	(void)snprintf(p.below, sizeof p.below, "%s", below);
	return p;
}

static const char *path_of(const char *below)
{
	static char path[4096];
	(void)snprintf(path, sizeof path, "%s/%s", root, below);
	return path;
}

static size_t count_files(const char *below)
{
	size_t n = 0;
	DIR *d = opendir(path_of(below));
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d != NULL)
		(void)closedir(d);
	return n;
}

static struct str content_of(const char *below)
{
	static char text[1 << 20];
	FILE *file = fopen(path_of(below), "rb");
	size_t n = file != NULL ? fread(text, 1, sizeof text, file) : 0;
	if (file != NULL)
		(void)fclose(file);
	return (struct str){ text, n };
}

static unsigned mode_of(const char *below)
{
	struct stat st;
	return stat(path_of(below), &st) == 0 ? (unsigned)st.st_mode & 07777 : 0;
}

static fault deliver(const struct place *place, const char *name, bool repeat, const char *text)
{
	struct letter *l = NULL;
	struct why why = { "" };
	fault f = letter_begin(place, name, repeat, &l, &why);
	if (f == OK)
		f = letter_write(l, str_of(text));
	if (f == OK)
		f = letter_finish(l, &why);
	letter_free(&l);
	return f;
}

static void a_letter_arrives_in_a_new_maildir(void **state)
{
	(void)state;
	struct place p = place_of("example.org/jada");
	assert_ok(deliver(&p, "name", false, "hello\n"));
	assert_str(content_of("example.org/jada/new/name"), "hello\n");
	assert_int_equal(count_files("example.org/jada/new"), 1);
	assert_int_equal(count_files("example.org/jada/tmp"), 0);
	assert_int_equal(mode_of("example.org"), 0700);
	assert_int_equal(mode_of("example.org/jada/cur"), 0700);
	assert_int_equal(mode_of("example.org/jada/new/name"), 0600);
}

static void what_is_unfinished_leaves_no_trace(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	struct letter *l = NULL;
	struct why why;
	assert_ok(letter_begin(&p, "name", false, &l, &why));
	assert_ok(letter_write(l, STR("half")));
	assert_int_equal(count_files("jada/tmp"), 1);
	letter_free(&l);
	letter_free(&l);
	assert_int_equal(count_files("jada/tmp"), 0);
	assert_int_equal(count_files("jada/new"), 0);
}

/* A process that dies after each step; whoever comes next delivers, and there is one letter, whole. */
static void a_kill_anywhere_leaves_one_whole_letter(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	for (int step = 0; step < 5; step++) {
		char name[32];
		(void)snprintf(name, sizeof name, "name-%d", step);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct letter *l = NULL;
			struct why why;
			if (step > 0 && letter_begin(&p, name, false, &l, &why) != OK)
				_exit(1);
			if (step > 1 && letter_write(l, STR("who")) != OK)
				_exit(1);
			if (step > 2 && letter_write(l, STR("le\n")) != OK)
				_exit(1);
			if (step > 3 && letter_finish(l, &why) != OK)
				_exit(1);
			(void)kill(getpid(), SIGKILL);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(count_files("jada/tmp"), step > 0 && step < 4 ? 1 : 0);

		assert_int_equal(deliver(&p, name, true, "whole\n"), step < 4 ? OK : F_EXISTS);
		assert_int_equal(deliver(&p, name, true, "whole\n"), F_EXISTS);
		assert_int_equal(count_files("jada/tmp"), 0);
		assert_int_equal(count_files("jada/new"), (size_t)step + 1);
		char below[64];
		(void)snprintf(below, sizeof below, "jada/new/%s", name);
		assert_str(content_of(below), "whole\n");
	}
}

static void killed_between_link_and_unlink(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	struct letter *l = NULL;
	struct why why;
	char tmp[256], new[256];
	assert_ok(letter_begin(&p, "name", false, &l, &why));
	assert_ok(letter_write(l, STR("whole\n")));
	(void)snprintf(tmp, sizeof tmp, "%s/jada/tmp/name", root);
	(void)snprintf(new, sizeof new, "%s/jada/new/name", root);
	assert_int_equal(link(tmp, new), 0);
	assert_int_equal(letter_finish(l, &why), F_EXISTS); /* link(2) says so itself */
	letter_free(&l);
	assert_int_equal(count_files("jada/tmp"), 0);
	assert_int_equal(count_files("jada/new"), 1);
	assert_str(content_of("jada/new/name"), "whole\n");
}

static void a_letter_that_was_read_is_not_delivered_again(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	char from[256], to[256];
	assert_ok(deliver(&p, "name", false, "hello\n"));
	(void)snprintf(from, sizeof from, "%s/jada/new/name", root);
	(void)snprintf(to, sizeof to, "%s/jada/cur/name:2,S", root);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(deliver(&p, "name", true, "hello\n"), F_EXISTS);
	assert_int_equal(count_files("jada/new"), 0);
	assert_ok(deliver(&p, "nam", true, "another\n")); /* a prefix is another name */
	assert_int_equal(count_files("jada/new"), 1);
}

static void links_lead_nowhere(void **state)
{
	(void)state;
	char elsewhere[128], link_at[256];
	(void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", root);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	(void)snprintf(link_at, sizeof link_at, "%s/jada", root);
	assert_int_equal(symlink("elsewhere", link_at), 0);
	struct place p = place_of("jada");
	assert_int_equal(deliver(&p, "name", false, "x"), F_DENIED);

	p = place_of("kim");
	assert_ok(deliver(&p, "one", false, "x"));
	(void)snprintf(link_at, sizeof link_at, "%s/kim/new", root);
	assert_int_equal(unlink(path_of("kim/new/one")), 0);
	assert_int_equal(rmdir(link_at), 0);
	assert_int_equal(symlink("../elsewhere", link_at), 0);
	assert_int_equal(deliver(&p, "name", false, "x"), F_DENIED);
	assert_int_equal(count_files("elsewhere"), 0);

	/* the fixed part is the administrator's: a link there is followed */
	(void)snprintf(link_at, sizeof link_at, "%s/link", root);
	assert_int_equal(symlink("elsewhere", link_at), 0);
	p = place_of("lee");
	strcat(p.fixed, "/link");
	assert_ok(deliver(&p, "name", false, "x"));
	assert_int_equal(count_files("elsewhere/lee/new"), 1);
}

/* Who owns a mailbox swaps its folders for links to elsewhere, over and over, while letters come in. */
static void swap_for_ever(const char *one, const char *other)
{
	for (;;)
		if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0)
			_exit(1);
}

/* True if every letter that was said to be delivered is in this mailbox, wherever its folders have ended up. */
static size_t count_letters(const char *mailbox)
{
	char path[256];
	size_t n = 0;
	static const char *const folders[] = { "new", "other" };
	for (size_t i = 0; i < COUNT(folders); i++) {
		struct stat st;
		(void)snprintf(path, sizeof path, "%s/%s", mailbox, folders[i]);
		if (lstat(path_of(path), &st) == 0 && S_ISDIR(st.st_mode))
			n += count_files(path);
	}
	return n;
}

static void race(const char *one, const char *other)
{
	char from[300], to[300];
	struct place p = place_of("kim");
	size_t delivered = 0, refused = 0;
	(void)snprintf(from, sizeof from, "%s/%s", root, one);
	(void)snprintf(to, sizeof to, "%s/%s", root, other);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		swap_for_ever(from, to);
	/* Both ways have been met often enough, however the two are scheduled. */
	time_t patience = time(NULL) + 60;
	for (unsigned i = 0; time(NULL) < patience && (i < 60 || delivered < 5 || refused < 5); i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "%u", i);
		fault f = deliver(&p, name, false, "x");
		delivered += f == OK;
		refused += f != OK;
	}
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(delivered >= 5 && refused >= 5);
	assert_int_equal(count_files("elsewhere"), 1);
	assert_int_equal(count_files("elsewhere/new") + count_files("elsewhere/tmp") + count_files("elsewhere/cur"), 0);
	if (strcmp(one, "kim/new") == 0)
		assert_int_equal(count_letters("kim"), delivered);
}

static void test_attack_66_a_race_leads_nowhere(void **state)
{
	(void)state;
	static const struct { const char *at, *link, *to; } races[] = {
		{ "kim/new", "kim/other", "../elsewhere" },
		{ "kim/tmp", "kim/other", "../elsewhere" },
		{ "kim", "other", "elsewhere" },
	};
	assert_int_equal(mkdir(path_of("elsewhere"), 0777), 0);
	assert_int_equal(symlink("/nowhere", path_of("elsewhere/a-file")), 0);
	struct place p = place_of("kim");
	assert_ok(deliver(&p, "first", false, "x"));
	assert_int_equal(unlink(path_of("kim/new/first")), 0);
	for (size_t i = 0; i < COUNT(races); i++) {
		assert_int_equal(symlink(races[i].to, path_of(races[i].link)), 0);
		race(races[i].at, races[i].link);
		/* Put right again, whichever way round they stand. */
		char at[300], other[300];
		struct stat st;
		(void)snprintf(at, sizeof at, "%s", path_of(races[i].at));
		(void)snprintf(other, sizeof other, "%s", path_of(races[i].link));
		if (lstat(at, &st) == 0 && S_ISLNK(st.st_mode))
			assert_int_equal(renameat2(AT_FDCWD, at, AT_FDCWD, other, RENAME_EXCHANGE), 0);
		assert_int_equal(unlink(other), 0);
	}
}

static void test_attack_66_what_is_no_folder_stops_nobody(void **state)
{
	(void)state;
	static const char *const places_of_fifo[] = { "kim/new", "kim/tmp", "kim/cur", "kim" };
	struct place p = place_of("kim");
	assert_ok(deliver(&p, "one", false, "x"));
	for (size_t i = 0; i < COUNT(places_of_fifo); i++) {
		char away[310], at[300];
		(void)snprintf(at, sizeof at, "%s", path_of(places_of_fifo[i]));
		(void)snprintf(away, sizeof away, "%s.away", at);
		assert_int_equal(rename(at, away), 0);
		assert_int_equal(mkfifo(at, 0666), 0);
		assert_true(deliver(&p, "two", false, "x") != OK);
		assert_int_equal(unlink(at), 0);
		assert_int_equal(rename(away, at), 0);
	}
	/* The name in tmp/ is somebody else's: a FIFO, a link to a file elsewhere, that very file. Nothing is written into them. */
	assert_int_equal(mkdir(path_of("elsewhere"), 0777), 0);
	FILE *file = fopen(path_of("elsewhere/file"), "w");
	assert_non_null(file);
	assert_int_equal(fputs("theirs", file) < 0, 0);
	assert_int_equal(fclose(file), 0);
	char outside[300];
	(void)snprintf(outside, sizeof outside, "%s", path_of("elsewhere/file"));
	assert_int_equal(mkfifo(path_of("kim/tmp/fifo"), 0666), 0);
	assert_int_equal(symlink(outside, path_of("kim/tmp/symbolic")), 0);
	assert_int_equal(link(outside, path_of("kim/tmp/hard")), 0);
	assert_int_equal(mkdir(path_of("kim/tmp/folder"), 0777), 0);
	assert_ok(deliver(&p, "fifo", false, "fifo"));
	assert_ok(deliver(&p, "symbolic", false, "symbolic"));
	assert_ok(deliver(&p, "hard", false, "hard"));
	assert_true(deliver(&p, "folder", false, "folder") != OK);
	assert_str(content_of("kim/new/fifo"), "fifo");
	assert_str(content_of("kim/new/symbolic"), "symbolic");
	assert_str(content_of("kim/new/hard"), "hard");
	assert_str(content_of("elsewhere/file"), "theirs");
}

static void trouble_says_where(void **state)
{
	(void)state;
	struct place p = place_of("jada");
	struct letter *l = NULL;
	struct why why = { "" };
	strcat(p.fixed, "/missing");
	assert_int_equal(letter_begin(&p, "name", false, &l, &why), F_ABSENT);
	assert_non_null(strstr(why.text, "/missing: the folder does not exist"));
	p = place_of("file/jada");
	FILE *file = fopen(path_of("file"), "w");
	assert_non_null(file);
	(void)fclose(file);
	assert_true(letter_begin(&p, "name", false, &l, &why) != OK);
	assert_null(l);
	assert_int_equal(mkdir(path_of("closed"), 0500), 0);
	p = place_of("closed/jada");
	assert_int_equal(letter_begin(&p, "name", false, &l, &why), F_DENIED);
	p = place_of("");
	assert_true(letter_disk_is_full(&p, UINT64_MAX / 2));
	assert_false(letter_disk_is_full(&p, 0));
}

/* -- the role, between a supervisor and a spool made of two channels ------------------------------- */

struct rig {
	struct loop *loop;
	struct role_base *porter;
	struct channel *control, *spool;
	struct buf heard;              /* outcomes, a line each */
	uint64_t ready, failed, credit, done, drained;
	uint64_t wait_done, wait_credit;
};

static void on_control(void *owner, unsigned kind, const void *msg, int fd)
{
	struct rig *r = owner;
	assert_int_equal(fd, -1);
	if (kind == FROM_ROLE_FAILED)
		print_message("# %.*s\n", STR_ARG(((const struct from_role_failed *)msg)->text));
	r->ready += kind == FROM_ROLE_READY;
	r->failed += kind == FROM_ROLE_FAILED;
	r->drained += kind == FROM_ROLE_DRAINED;
	loop_stop(r->loop);
}

static void on_spool(void *owner, unsigned kind, const void *msg, int fd)
{
	struct rig *r = owner;
	assert_int_equal(fd, -1);
	if (kind == FROM_WORKER_OUTCOME) {
		const struct from_worker_outcome *o = msg;
		struct str name = o->detail;
		size_t at;
		if (str_starts(name, str_of(root)))
			name = str_from(name, strlen(root));
		if (str_find_str(name, STR("/new/"), &at))
			name.n = at + 4;
		assert_ok(buf_addf(&r->heard, "%u/%u: %u %.*s %.*s;", (unsigned)o->job, (unsigned)o->index, (unsigned)o->class,
		                   STR_ARG(o->status), STR_ARG(name)));
	} else if (kind == FROM_WORKER_WANT) {
		r->credit += ((const struct from_worker_want *)msg)->bytes;
	} else if (kind == FROM_WORKER_DONE) {
		r->done++;
		assert_ok(buf_addf(&r->heard, "%u done;", (unsigned)((const struct from_worker_done *)msg)->job));
	} else if (kind == FROM_WORKER_GIVEN_BACK) {
		r->done++;
		assert_ok(buf_addf(&r->heard, "%u given back;", (unsigned)((const struct from_worker_given_back *)msg)->job));
	} else if (kind == FROM_WORKER_RESTING) {
		assert_ok(buf_addf(&r->heard, "resting;"));
	}
	if ((r->wait_done > 0 && r->done >= r->wait_done) || (r->wait_credit > 0 && r->credit >= r->wait_credit))
		loop_stop(r->loop);
}

static void on_gone(void *owner, const char *reason)
{
	struct rig *r = owner;
	(void)r;
	fail_msg("a channel broke: %s", reason);
}

static void link_spool(struct rig *r)
{
	static const struct channel_handler handler = { on_spool, on_gone };
	int fds[2];
	assert_ok(socket_pair(fds));
	channel_close(&r->spool);
	r->spool = channel_new(r->loop, fds[0], &worker_to_spool, &spool_to_worker, &handler, r);
	channel_send_fd(r->control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_SPOOL_PORTER }, fds[1]);
}

static void configure(struct rig *r, uint64_t generation, const char *deliver_to)
{
	struct buf text;
	buf_init(&text, 8192);
	assert_ok(buf_addf(&text, "hostname mx.example\npostmaster a@example.org\nmail-user nobody\nlisten local {\n on unix:/run/sealpost-test.sock\n}\n"
	                   "domain example.org {\n recipients any\n deliver maildir %s\n}\n", deliver_to));
	channel_send(r->control, TO_ROLE_CONFIG_TEXT, &(struct to_role_config_text){
		.generation = generation, .name = STR("sealpost.conf"), .text = buf_view(&text) });
	channel_send(r->control, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = generation });
	buf_fini(&text);
	loop_run(r->loop);
}

static const char *template_(void)
{
	static char text[128];
	(void)snprintf(text, sizeof text, "%s/{domain}/{local}", root);
	return text;
}

static void rig_begin(struct rig *r)
{
	static const struct channel_handler handler = { on_control, on_gone };
	int fds[2];
	*r = (struct rig){ .loop = loop_new() };
	buf_init(&r->heard, 1 << 20);
	assert_ok(socket_pair(fds));
	r->control = channel_new(r->loop, fds[0], &role_to_supervisor, &supervisor_to_role, &handler, r);
	r->porter = porter_start(r->loop, fds[1]);
	configure(r, 1, template_());
	assert_int_equal(r->ready, 1);
	link_spool(r);
}

static void rig_end(struct rig *r)
{
	role_free(&r->porter);
	channel_close(&r->control);
	channel_close(&r->spool);
	loop_free(&r->loop);
	buf_fini(&r->heard);
}

static void expect_heard(struct rig *r, const char *want)
{
	assert_str(buf_view(&r->heard), want);
	buf_clear(&r->heard);
	r->done = r->wait_done = r->wait_credit = 0;
}

static void send_job(struct rig *r, uint64_t job, const char *id, uint64_t purpose)
{
	channel_send(r->spool, WORKER_JOB, &(struct worker_job){
		.job = job, .purpose = purpose, .id = str_of(id), .route_name = str_of(template_()), .sender = STR("s@x.example"),
		.size_bytes = 10, .attempt = 1, .arrived_s = clock_wall_s() });
}

static void send_rcpt(struct rig *r, uint64_t job, uint64_t index, const char *address)
{
	channel_send(r->spool, WORKER_RCPT, &(struct worker_rcpt){ .job = job, .index = index, .address = str_of(address) });
}

static void send_body(struct rig *r, uint64_t job, const char *bytes, bool whole)
{
	channel_send(r->spool, WORKER_BODY, &(struct worker_body){ .job = job, .bytes = str_of(bytes) });
	channel_send(r->spool, WORKER_BODY_END, &(struct worker_body_end){ .job = job, .whole = whole });
}

static void go(struct rig *r, uint64_t job)
{
	channel_send(r->spool, WORKER_GO, &(struct worker_go){ .job = job });
}

static void wait_credit(struct rig *r)
{
	r->wait_credit = r->credit + 1;
	loop_run(r->loop);
	r->wait_credit = 0;
}

static void wait_done(struct rig *r, uint64_t n)
{
	r->wait_done = n;
	if (r->done < n)
		loop_run(r->loop);
}

static struct str only_letter(const char *below)
{
	struct str s = STR_NONE;
	DIR *d = opendir(path_of(below));
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		char path[512];
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", below, e->d_name);
		s = content_of(path);
	}
	if (d != NULL)
		(void)closedir(d);
	return s;
}

static void a_job_goes_into_every_mailbox(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	send_rcpt(&r, 1, 1, "kim@example.org");
	send_rcpt(&r, 1, 2, "\"../x\"@example.org");
	go(&r, 1);
	wait_credit(&r);
	assert_int_equal(r.credit, DELIVERY_CREDIT_BYTES);
	channel_send(r.spool, WORKER_BODY, &(struct worker_body){ .job = 1, .bytes = STR("Subject: x\r\n\r\none\r") });
	send_body(&r, 1, "\n\r\ntwo\r\n", true);
	wait_done(&r, 1);
	expect_heard(&r, "1/2: 2 5.1.3 ;1/0: 0 2.0.0 /example.org/jada/new;1/1: 0 2.0.0 /example.org/kim/new;1 done;");
	assert_str(only_letter("example.org/jada/new"),
	           "Return-Path: <s@x.example>\nDelivered-To: jada@example.org\nSubject: x\n\none\n\ntwo\n");
	assert_str(only_letter("example.org/kim/new"),
	           "Return-Path: <s@x.example>\nDelivered-To: kim@example.org\nSubject: x\n\none\n\ntwo\n");
	assert_int_equal(count_files("example.org/jada/tmp"), 0);
	rig_end(&r);
}

static void a_repeated_job_finds_the_first(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	char command[256];
	int64_t arrived = clock_wall_s() - 1;
	for (int round = 0; round < 2; round++) {
		link_spool(&r); /* as after a crash of the spool */
		channel_send(r.spool, WORKER_JOB, &(struct worker_job){
			.job = 1, .id = STR("q1"), .route_name = str_of(template_()), .sender = STR(""), .attempt = 1,
			.arrived_s = arrived });
		send_rcpt(&r, 1, 0, "jada@example.org");
		go(&r, 1);
		if (round == 0) {
			wait_credit(&r);
			send_body(&r, 1, "x\r\n", true);
		}
		wait_done(&r, 1);
		expect_heard(&r, "1/0: 0 2.0.0 /example.org/jada/new;1 done;");
		assert_int_equal(count_files("example.org/jada/new") + count_files("example.org/jada/cur"), 1);
		(void)snprintf(command, sizeof command,
		               "cd %s/example.org/jada && for f in new/*; do [ ! -e $f ] || mv $f cur/${f#new/}:2,S; done", root);
		assert_int_equal(system(command), 0); /* it is read in between */
	}
	assert_str(only_letter("example.org/jada/cur"), "Return-Path: <>\nDelivered-To: jada@example.org\nx\n");
	rig_end(&r);
}

static void nothing_torn_or_released_or_forbidden_is_delivered(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER); /* the content ends in a tear */
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_credit(&r);
	send_body(&r, 1, "half", false);
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 1 4.3.0 ;1 done;");

	send_job(&r, 2, "q2", JOB_DELIVER); /* released on the way */
	send_rcpt(&r, 2, 0, "jada@example.org");
	go(&r, 2);
	wait_credit(&r);
	channel_send(r.spool, WORKER_RELEASE, &(struct worker_release){ .job = 2 });
	wait_done(&r, 1);
	expect_heard(&r, "2 done;");

	channel_send(r.spool, WORKER_JOB, &(struct worker_job){ /* a folder that no line of the configuration names */
		.job = 3, .id = STR("q3"), .route_name = STR("/etc/{local}"), .arrived_s = 1, .attempt = 1 });
	send_rcpt(&r, 3, 0, "jada@example.org");
	go(&r, 3);
	wait_done(&r, 1);
	expect_heard(&r, "3/0: 1 4.3.5 ;3 done;");

	send_job(&r, 4, "q4", JOB_VERIFY);
	send_rcpt(&r, 4, 7, "jada@example.org");
	go(&r, 4);
	wait_done(&r, 1);
	expect_heard(&r, "4/7: 0 2.1.5 ;4 done;");

	go(&r, 99); /* messages about nothing */
	send_body(&r, 99, "x", true);
	send_job(&r, 5, "q5", JOB_DELIVER);
	go(&r, 5);
	wait_done(&r, 1);
	expect_heard(&r, "5 done;");
	assert_int_equal(count_files("example.org/jada/new"), 0);
	assert_int_equal(count_files("example.org/jada/tmp"), 0);
	rig_end(&r);
}

static void a_mailbox_in_trouble_does_not_hold_up_the_others(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	assert_int_equal(mkdir(path_of("example.org"), 0700), 0);
	assert_int_equal(symlink("/tmp", path_of("example.org/jada")), 0);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	send_rcpt(&r, 1, 1, "kim@example.org");
	go(&r, 1);
	wait_credit(&r);
	send_body(&r, 1, "x\r", true); /* a CR at the very end stays one */
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 1 4.3.0 ;1/1: 0 2.0.0 /example.org/kim/new;1 done;");
	assert_str(only_letter("example.org/kim/new"), "Return-Path: <s@x.example>\nDelivered-To: kim@example.org\nx\r");
	rig_end(&r);
}

/* A limit on file sizes stands for a quota: the write fails while the disk has room. */
static void what_does_not_fit_waits(void **state)
{
	(void)state;
	struct rig r;
	struct rlimit old, small;
	rig_begin(&r);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 100, old.rlim_max };
	for (uint64_t job = 1; job <= 2; job++) {
		channel_send(r.spool, WORKER_JOB, &(struct worker_job){
			.job = job, .id = STR("q1"), .route_name = str_of(template_()), .attempt = 1, .arrived_s = clock_wall_s(),
			.size_bytes = job == 1 ? 200 : UINT64_MAX }); /* no disk has room for the second */
		send_rcpt(&r, job, 0, "jada@example.org");
		go(&r, job);
		wait_credit(&r);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		send_body(&r, job, "0123456789012345678901234567890123456789012345678901234567890123456789"
		                   "0123456789012345678901234567890123456789\r\n", true);
		wait_done(&r, 1);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		expect_heard(&r, job == 1 ? "1/0: 1 4.2.2 ;1 done;" : "2/0: 1 4.3.1 ;2 done;");
		assert_int_equal(count_files("example.org/jada/tmp") + count_files("example.org/jada/new"), 0);
	}
	rig_end(&r);
}

/* An alias and its target, or the same RCPT a thousand times: one letter, and nobody is put off for it. */
static void who_is_named_twice_gets_it_once(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	for (uint64_t i = 0; i < 3; i++)
		send_rcpt(&r, 1, i, "jada@example.org");
	go(&r, 1);
	send_job(&r, 2, "q1", JOB_DELIVER); /* the next hundred of the same message: waits for the first */
	send_rcpt(&r, 2, 0, "jada@example.org");
	go(&r, 2);
	wait_credit(&r);
	send_body(&r, 1, "x\r\n", true);
	wait_done(&r, 2);
	expect_heard(&r, "1/0: 0 2.0.0 /example.org/jada/new;1/1: 0 2.0.0 /example.org/jada/new;"
	                 "1/2: 0 2.0.0 /example.org/jada/new;1 done;2/0: 0 2.0.0 /example.org/jada/new;2 done;");
	assert_int_equal(count_files("example.org/jada/new"), 1);

	send_job(&r, 3, "q3", JOB_DELIVER); /* torn: the twin has no outcome and comes again */
	send_rcpt(&r, 3, 0, "kim@example.org");
	send_rcpt(&r, 3, 1, "kim@example.org");
	go(&r, 3);
	wait_credit(&r);
	send_body(&r, 3, "x", false);
	wait_done(&r, 1);
	expect_heard(&r, "3/0: 1 4.3.0 ;3 done;");
	assert_int_equal(count_files("example.org/kim/new"), 0);
	rig_end(&r);
}

/* 400 letters are open at most: the fifth hundred waits its turn instead of being put off for minutes. */
static void many_mailboxes_take_turns(void **state)
{
	(void)state;
	struct rig r;
	char address[64], id[8];
	rig_begin(&r);
	for (uint64_t job = 1; job <= 5; job++) {
		(void)snprintf(id, sizeof id, "q%u", (unsigned)job);
		send_job(&r, job, id, JOB_DELIVER);
		for (uint64_t i = 0; i < 100; i++) {
			(void)snprintf(address, sizeof address, "u%u@example.org", (unsigned)(job * 100 + i));
			send_rcpt(&r, job, i, address);
		}
		go(&r, job);
	}
	while (r.credit < 4 * DELIVERY_CREDIT_BYTES)
		wait_credit(&r);
	assert_int_equal(r.credit, 4 * DELIVERY_CREDIT_BYTES);
	send_body(&r, 1, "x\r\n", true);
	while (r.credit < 5 * DELIVERY_CREDIT_BYTES)
		wait_credit(&r);
	for (uint64_t job = 2; job <= 5; job++)
		send_body(&r, job, "x\r\n", true);
	wait_done(&r, 5);
	size_t at;
	assert_false(str_find_str(buf_view(&r.heard), STR(" 4."), &at));
	assert_str(only_letter("example.org/u599/new"), "Return-Path: <s@x.example>\nDelivered-To: u599@example.org\nx\n");
	rig_end(&r);
}

static void credit_bounds_what_is_on_the_way(void **state)
{
	(void)state;
	struct rig r;
	static char chunk[DELIVERY_CHUNK_BYTES + 1];
	memset(chunk, 'x', DELIVERY_CHUNK_BYTES);
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_credit(&r);
	uint64_t sent = 0;
	for (int i = 0; i < 15; i++) {
		while (r.credit < sent + DELIVERY_CHUNK_BYTES)
			wait_credit(&r);
		channel_send(r.spool, WORKER_BODY, &(struct worker_body){ .job = 1, .bytes = str_of(chunk) });
		sent += DELIVERY_CHUNK_BYTES;
		assert_true(r.credit <= sent + DELIVERY_CREDIT_BYTES);
	}
	send_body(&r, 1, "\r\n", true);
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 0 2.0.0 /example.org/jada/new;1 done;");
	assert_int_equal(only_letter("example.org/jada/new").n, 58 + sent + 1);
	rig_end(&r);
}

static void draining_waits_for_what_is_in_hand(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_credit(&r);
	send_job(&r, 2, "q1", JOB_DELIVER); /* the same message: it waits for the first one */
	send_rcpt(&r, 2, 0, "jada@example.org");
	go(&r, 2);
	channel_send(r.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 1000 });
	configure(&r, 2, template_()); /* answered after the drain was heard */
	assert_int_equal(r.ready, 2);
	assert_int_equal(r.drained, 0);
	send_job(&r, 3, "q3", JOB_DELIVER); /* it came too late */
	send_rcpt(&r, 3, 0, "jada@example.org");
	go(&r, 3);
	send_body(&r, 1, "x\r\n", true);
	wait_done(&r, 3);
	expect_heard(&r, "resting;2 given back;3 given back;1/0: 0 2.0.0 /example.org/jada/new;1 given back;");
	assert_int_equal(count_files("example.org/jada/new"), 1);
	/* Not before the spool has said that it has heard the last of it. */
	configure(&r, 3, template_());
	assert_int_equal(r.drained, 0);
	channel_send(r.spool, WORKER_RESTED, &(struct worker_rested){ 0 });
	while (r.drained == 0)
		loop_run(r.loop);
	rig_end(&r);
}

static void draining_ends_without_a_spool(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	channel_send(r.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 1000 });
	configure(&r, 2, template_());
	assert_int_equal(r.drained, 0);
	channel_close(&r.spool);
	while (r.drained == 0)
		loop_run(r.loop);
	rig_end(&r);
}

/* As the supervisor starts a porter: never as root. */
static void nobody_is_root(void **state)
{
	uint32_t uid, gid;
	(void)state;
	if (geteuid() != 0)
		return;
	assert_ok(user_find("nobody", &uid, &gid));
	assert_int_equal(setgroups(0, NULL) | setresgid(gid, gid, gid) | setresuid(uid, uid, uid), 0);
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_root),
		cmocka_unit_test(templates_lead_to_folders_and_nowhere_else),
		cmocka_unit_test(names_follow_from_id_and_recipient),
		ON_DISK(a_letter_arrives_in_a_new_maildir),
		ON_DISK(what_is_unfinished_leaves_no_trace),
		ON_DISK(a_kill_anywhere_leaves_one_whole_letter),
		ON_DISK(killed_between_link_and_unlink),
		ON_DISK(a_letter_that_was_read_is_not_delivered_again),
		ON_DISK(links_lead_nowhere),
		ON_DISK(test_attack_66_a_race_leads_nowhere),
		ON_DISK(test_attack_66_what_is_no_folder_stops_nobody),
		ON_DISK(trouble_says_where),
		ON_DISK(a_job_goes_into_every_mailbox),
		ON_DISK(a_repeated_job_finds_the_first),
		ON_DISK(nothing_torn_or_released_or_forbidden_is_delivered),
		ON_DISK(a_mailbox_in_trouble_does_not_hold_up_the_others),
		ON_DISK(what_does_not_fit_waits),
		ON_DISK(who_is_named_twice_gets_it_once),
		ON_DISK(many_mailboxes_take_turns),
		ON_DISK(credit_bounds_what_is_on_the_way),
		ON_DISK(draining_waits_for_what_is_in_hand),
		ON_DISK(draining_ends_without_a_spool),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
