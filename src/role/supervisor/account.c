/* SPDX-License-Identifier: ISC */
/* role/supervisor/account.c -- under which account a role runs, and what must belong to it. */
#include "role/supervisor/slot.h"

#include <stdio.h>
#include <string.h>

#include "sys/file.h"
#include "sys/log.h"
#include "sys/socket.h"

enum { OTHERS_WRITE = 022 };

static fault find_account(struct str name, const char *suffix, struct account *out)
{
	struct str dash = str_of(suffix[0] != '\0' ? "-" : ""), tail = str_of(suffix);
	*out = (struct account){ .name = "" };
	if (name.n == 0 || name.n + dash.n + tail.n >= sizeof out->name)
		return F_ABSENT;
	memcpy(out->name, name.p, name.n);
	memcpy(out->name + name.n, dash.p, dash.n);
	memcpy(out->name + name.n + dash.n, tail.p, tail.n);
	fault f = user_find(out->name, &out->uid, &out->gid);
	if (f != OK)
		*out = (struct account){ .name = "" };
	return f;
}

static bool find_for_role(struct str run_as, enum role_kind kind, struct account *out)
{
	fault f = find_account(run_as, role_kind_name(kind), out);
	if (f == F_ABSENT) /* if nobody can tell, what is shared with the others is not for it */
		f = find_account(run_as, "", out);
	return f == OK;
}

static bool delivers_to_maildirs(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_domains; i++)
		if (conf->domains[i].deliver == DELIVER_MAILDIR)
			return true;
	return false;
}

void accounts_keep(struct supervisor *sv, const struct conf *conf)
{
	for (unsigned kind = 0; process_is_root() && kind < ROLE_KINDS; kind++)
		(void)find_for_role(conf->run_as, (enum role_kind)kind, &sv->accounts[kind]);
}

static void tell_change(const struct account *now, const struct account *then, enum role_kind kind, struct str queue)
{
	struct buf text;
	buf_init(&text, 8192);
	fault f = buf_addf(&text, "its account is %s (%u) by now; it goes on as %s (%u), and the next start takes the new one", then->name,
	                   (unsigned)then->uid, now->name, (unsigned)now->uid);
	if (f == OK && kind == ROLE_SPOOL)
		f = buf_addf(&text, ": before that, with the server stopped, chown -R %s: %.*s", then->name, STR_ARG(queue));
	log_event(LOG_TROUBLE, LOG_Z("name", role_kind_name(kind)), LOG_S("text", buf_view(&text)));
	buf_fini(&text);
}

void accounts_tell_changes(const struct supervisor *sv)
{
	const struct conf *conf = sv->current.conf;
	for (unsigned kind = 0; process_is_root() && kind < ROLE_KINDS; kind++) {
		struct account then;
		const struct account *now = &sv->accounts[kind];
		if (now->name[0] != '\0' && find_for_role(conf->run_as, (enum role_kind)kind, &then) &&
		    (strcmp(now->name, then.name) != 0 || now->uid != then.uid))
			tell_change(now, &then, (enum role_kind)kind, conf->queue.directory);
	}
}

bool account_of(const struct supervisor *sv, const struct conf *conf, enum role_kind kind, struct account *out)
{
	*out = (struct account){ .name = "" };
	if (!process_is_root())
		return false;
	if (kind == ROLE_PORTER && delivers_to_maildirs(conf))
		return find_account(conf->mail_user, "", out) == OK;
	struct account now; /* by its numbers of the start, but only while there is such an account at all */
	if (find_account(str_of(sv->accounts[kind].name), "", &now) != OK)
		return false;
	*out = sv->accounts[kind];
	return true;
}

void account_tell_all(const struct supervisor *sv, const struct conf *conf, char *to, size_t room)
{
	struct account all[ROLE_KINDS];
	unsigned distinct = 0;
	struct buf text;
	fault f = OK;
	for (unsigned kind = 0; kind < ROLE_KINDS; kind++) {
		bool seen = !account_of(sv, conf, (enum role_kind)kind, &all[kind]);
		for (unsigned i = 0; i < kind; i++)
			seen = seen || all[i].uid == all[kind].uid;
		distinct += seen ? 0 : 1;
	}
	buf_init(&text, room - 1);
	if (!process_is_root())
		f = buf_addf(&text, "an ordinary user: every role runs as the caller, confined all the same");
	else if (distinct == ROLE_KINDS)
		f = buf_addf(&text, "root; each role is confined, under an account of its own");
	else if (distinct == 1)
		f = buf_addf(&text, "root; each role is confined, all under the account %s", all[0].name);
	else
		f = buf_addf(&text, "root; each role is confined, %u kinds of them under %u accounts", (unsigned)ROLE_KINDS, distinct);
	struct str words = buf_view(&text);
	memcpy(to, words.p, f == OK ? words.n : 0);
	to[f == OK ? words.n : 0] = '\0';
	buf_fini(&text);
}

static fault refuse_missing(struct conf_report *report, const char *directive, struct str name)
{
	report->errors++;
	return buf_addf(&report->text, ACCOUNT_MISSING_TEXT "\n", directive, STR_ARG(name), directive) == OK ? F_DENIED : F_LIMIT;
}

static fault refuse_root(struct conf_report *report, const char *directive, struct str name)
{
	report->errors++;
	return buf_addf(&report->text, "%s: \"%.*s\" is root's account, and no role runs as root: name another one with %s\n", directive,
	                STR_ARG(name), directive) == OK ? F_DENIED : F_LIMIT;
}

/* Root is for binding ports and opening files; what speaks with strangers, or owns their mail, never has it. */
fault account_check(const struct supervisor *sv, const struct conf *conf, struct conf_report *report)
{
	struct account account;
	for (unsigned kind = 0; process_is_root() && kind < ROLE_KINDS; kind++) {
		bool mail = kind == ROLE_PORTER && delivers_to_maildirs(conf);
		const char *directive = mail ? "mail-user" : "run-as";
		struct str wanted = mail ? conf->mail_user : conf->run_as;
		if (!account_of(sv, conf, (enum role_kind)kind, &account))
			return refuse_missing(report, directive, wanted);
		if (account.uid == 0)
			return refuse_root(report, directive, wanted);
	}
	return OK;
}

/* As it is if we were killed between making it and giving it away. */
static bool is_ours_and_empty(const char *path)
{
	uint32_t owner = 0, mode = 0;
	struct str name;
	int fd = -1;
	if (directory_open(FILE_CWD, path, &fd, NULL) != OK)
		return false;
	bool ours = file_owner_mode(fd, &owner, &mode) == OK && owner == process_user();
	struct directory_reader *d = directory_read(fd);
	bool empty = !directory_next(d, &name);
	directory_close(&d);
	fd_close(&fd);
	return ours && empty;
}

static bool queue_path(const struct conf *conf, char *to, size_t room)
{
	if (conf->queue.directory.n >= room)
		return false; /* the spool will say so */
	memcpy(to, conf->queue.directory.p, conf->queue.directory.n);
	to[conf->queue.directory.n] = '\0';
	return true;
}

/* Somebody else's, and closed to others: not for our account. The lists that could let it in are looked at by nobody here. */
static bool is_somebody_elses(int fd, uint32_t wanted, uint32_t *owner_out)
{
	uint32_t mode = 0;
	return file_owner_mode(fd, owner_out, &mode) == OK && *owner_out != wanted && (mode & OTHERS_WRITE) == 0;
}

/* What else lies there (lost+found, a pipe) may be anybody's, and is not opened. */
static bool is_part_of_queue(struct str name)
{
	return str_take(&name, STR("queue.db")) || str_take(&name, STR("content-")) || str_take(&name, STR("history-")) ||
	       str_eq(name, STR("lock"));
}

static fault refuse_owner(struct conf_report *report, const char *path, struct str file, uint32_t owner, const char *wanted)
{
	char name[ACCOUNT_NAME_MAX] = "";
	if (user_name(owner, name, sizeof name) != OK)
		name[0] = '\0';
	report->errors++;
	return buf_addf(&report->text, "queue directory %s: %s%.*s belongs to user %u%s%s%s, and the queue is %s's: was it restored? "
	                "chown -R %s: %s\n",
	                path, file.n > 0 ? "its file " : "it", STR_ARG(file), (unsigned)owner, name[0] != '\0' ? " (" : "", name,
	                name[0] != '\0' ? ")" : "", wanted, wanted, path) == OK ? F_DENIED : F_LIMIT;
}

static void tell_barred(const char *path, const struct account *account, const char *folder)
{
	char text[2 * WAY_MAX + 512];
	(void)snprintf(text, sizeof text, QUEUE_BARRED_TEXT, account->name, folder, path);
	log_event(LOG_TROUBLE, LOG_Z("text", text));
}

fault account_check_queue(const struct supervisor *sv, const struct conf *conf, struct conf_report *report)
{
	char path[4096], folder[WAY_MAX];
	struct account account;
	uint32_t owner = 0;
	int fd = -1;
	if (!account_of(sv, conf, ROLE_SPOOL, &account)) {
		account.uid = process_user();
		if (user_name(account.uid, account.name, sizeof account.name) != OK)
			memcpy(account.name, "$USER", sizeof "$USER");
	}
	if (!queue_path(conf, path, sizeof path))
		return OK; /* the spool will say so */
	if (way_leads_into_queue(path, folder)) {
		report->errors++;
		return buf_addf(&report->text, QUEUE_INSIDE_TEXT "\n", path, folder) == OK ? F_DENIED : F_LIMIT;
	}
	if (way_is_barred(path, account.uid, process_is_root() ? &account.gid : NULL, folder))
		tell_barred(path, &account, folder);
	if (directory_open(FILE_CWD, path, &fd, NULL) != OK)
		return OK; /* it is made, or whoever opens it says why not */
	fault f = OK;
	if (is_somebody_elses(fd, account.uid, &owner) && !is_ours_and_empty(path))
		f = refuse_owner(report, path, STR_NONE, owner, account.name);
	struct directory_reader *d = directory_read(fd);
	struct str name;
	while (f == OK && directory_next(d, &name)) {
		char file[256];
		int one = -1;
		if (name.n >= sizeof file || !is_part_of_queue(name))
			continue;
		memcpy(file, name.p, name.n);
		file[name.n] = '\0';
		if (file_open_beneath(fd, file, FILE_READ, 0, &one) == OK && is_somebody_elses(one, account.uid, &owner))
			f = refuse_owner(report, path, str_of(file), owner, account.name);
		fd_close(&one);
	}
	directory_close(&d);
	fd_close(&fd);
	return f;
}

fault account_prepare_queue(const struct supervisor *sv, const struct conf *conf, struct conf_report *report)
{
	char path[4096];
	struct account account;
	const char *step = "cannot be made";
	if (!queue_path(conf, path, sizeof path))
		return OK;

	fault f = directory_make(FILE_CWD, path, 0700);
	bool made = f == OK;
	if ((made || (f == F_EXISTS && is_ours_and_empty(path))) &&
	    account_of(sv, conf, ROLE_SPOOL, &account)) {
		step = "cannot be given to the spool's account";
		f = directory_give(path, account.uid, account.gid);
	}
	/* Also where it was there: who made it may have died before this. One that we may not look into is not ours to sync. */
	if (f == OK || f == F_EXISTS) {
		step = "the directory that holds it cannot be synced, so that after a power cut it may be gone";
		f = directory_sync_name(path);
	}
	if (made && f != OK)
		(void)!directory_remove(FILE_CWD, path); /* a second sync might say yes to what the first has lost */
	if (f == OK || (!made && f == F_DENIED))
		return OK;
	report->errors++;
	return buf_addf(&report->text, "queue directory %s: %s (%s): make it, owned by the spool's account, mode 0700, on a disk that "
	                "works\n", path, step, fault_name(f)) == OK ? f : F_LIMIT;
}
