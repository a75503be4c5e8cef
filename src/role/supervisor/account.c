/* SPDX-License-Identifier: ISC */
/* role/supervisor/account.c -- under which account a role runs, and what must belong to it. */
#include "role/supervisor/slot.h"

#include <string.h>

#include "sys/file.h"
#include "sys/socket.h"

static fault find(struct str name, const char *suffix, char *to, size_t room)
{
	uint32_t uid, gid;
	struct str dash = str_of(suffix[0] != '\0' ? "-" : ""), tail = str_of(suffix);
	if (name.n == 0 || name.n + dash.n + tail.n >= room)
		return F_ABSENT;
	memcpy(to, name.p, name.n);
	memcpy(to + name.n, dash.p, dash.n);
	memcpy(to + name.n + dash.n, tail.p, tail.n);
	to[name.n + dash.n + tail.n] = '\0';
	return user_find(to, &uid, &gid);
}

static bool delivers_to_maildirs(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_domains; i++)
		if (conf->domains[i].deliver == DELIVER_MAILDIR)
			return true;
	return false;
}

const char *account_of(const struct conf *conf, enum role_kind kind, char *to, size_t room)
{
	if (!process_is_root())
		return NULL;
	if (kind == ROLE_PORTER && delivers_to_maildirs(conf))
		return find(conf->mail_user, "", to, room) == OK ? to : NULL;
	fault f = find(conf->run_as, role_kind_name(kind), to, room);
	if (f == F_ABSENT) /* if nobody can tell, what is shared with the others is not for it */
		f = find(conf->run_as, "", to, room);
	return f == OK ? to : NULL;
}

static fault refuse(struct conf_report *report, const char *directive, struct str name, const char *problem)
{
	report->errors++;
	return buf_addf(&report->text,
	                "%s: %s \"%.*s\", and no role runs as root: make it (`systemd-sysusers` does, or `useradd --system`), or "
	                "name another one with %s\n",
	                directive, problem, STR_ARG(name), directive) == OK ? F_DENIED : F_LIMIT;
}

/* Root is for binding ports and opening files; what speaks with strangers, or owns their mail, never has it. */
fault account_check(const struct conf *conf, struct conf_report *report)
{
	char name[128];
	uint32_t uid, gid;
	for (unsigned kind = 0; process_is_root() && kind < ROLE_KINDS; kind++) {
		bool mail = kind == ROLE_PORTER && delivers_to_maildirs(conf);
		const char *directive = mail ? "mail-user" : "run-as";
		struct str wanted = mail ? conf->mail_user : conf->run_as;
		if (account_of(conf, (enum role_kind)kind, name, sizeof name) == NULL)
			return refuse(report, directive, wanted, "there is no account");
		if (user_find(name, &uid, &gid) == OK && uid == 0)
			return refuse(report, directive, wanted, "this is root's account:");
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

fault account_prepare_queue(const struct conf *conf, struct conf_report *report)
{
	char path[4096], name[128];
	uint32_t uid, gid;
	if (conf->queue.directory.n >= sizeof path)
		return OK; /* the spool will say so */
	memcpy(path, conf->queue.directory.p, conf->queue.directory.n);
	path[conf->queue.directory.n] = '\0';

	fault f = directory_make(FILE_CWD, path, 0700);
	bool made = f == OK;
	if ((made || (f == F_EXISTS && is_ours_and_empty(path))) &&
	    account_of(conf, ROLE_SPOOL, name, sizeof name) != NULL && user_find(name, &uid, &gid) == OK)
		f = directory_give(path, uid, gid);
	/* Also where it was there: who made it may have died before this. One that we may not look into is not ours to sync. */
	if (f == OK || f == F_EXISTS)
		f = directory_sync_name(path);
	if (made && f != OK)
		(void)!directory_remove(FILE_CWD, path); /* a second sync might say yes to what the first has lost */
	if (f == OK || (!made && f == F_DENIED))
		return OK;
	report->errors++;
	return buf_addf(&report->text, "queue directory %s: cannot be made (%s): make it, owned by the spool's account, mode 0700\n",
	                path, fault_name(f)) == OK ? f : F_LIMIT;
}
