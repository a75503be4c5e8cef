/* SPDX-License-Identifier: ISC */
/* role/supervisor/permit.c -- who else may read the secrets or write the configuration. Keys may be a group's, as distributions have it. */
#include "role/supervisor/load.h"

#include "base/check.h"
#include "conf/trouble.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { OTHERS_ANY = 07, OTHERS_WRITE = 02, GROUP_ANY = 070 };

struct permit {
	const struct conf *conf;
	const struct conf_text *texts;
	size_t n;
	struct conf_report *report;
};

static bool look(struct str path, uint32_t *uid_out, uint32_t *mode_out)
{
	int fd;
	if (file_open(FILE_CWD, path.p, FILE_READ, 0, &fd, NULL) != OK)
		return false; /* told by who needs it */
	bool known = file_owner_mode(fd, uid_out, mode_out) == OK;
	fd_close(&fd);
	return known;
}

/* An owner can change the mode. */
static bool is_trusted(const struct permit *p, uint32_t owner, bool secret)
{
	uint32_t uid, gid;
	if (owner == 0 || owner == process_user())
		return true;
	static const char *const roles[] = { "", "-keeper" };
	for (size_t i = 0; secret && process_is_root() && i < COUNT(roles); i++) {
		struct buf name;
		buf_init(&name, 128);
		bool found = buf_addf(&name, "%.*s%s", STR_ARG(p->conf->run_as), roles[i]) == OK && buf_add_char(&name, '\0') == OK &&
		             user_find(buf_view(&name).p, &uid, &gid) == OK && owner == uid;
		buf_fini(&name);
		if (found)
			return true;
	}
	return false;
}

static void judge_secret(const struct permit *p, const struct conf_file *file)
{
	uint32_t uid, mode;
	if (!look(file->path, &uid, &mode))
		return;
	if ((mode & OTHERS_ANY) != 0)
		report_at(p->report, false, p->texts, p->n, file->at,
		          "everybody on this machine may read or write this secret: chmod o= %.*s", STR_ARG(file->path));
	else if ((file->use & CONF_FILE_KEY) == 0 && (mode & GROUP_ANY) != 0 && (process_is_root() || uid == process_user()))
		report_at(p->report, true, p->texts, p->n, file->at,
		          "its group may read this secret, and need not: chmod g= %.*s", STR_ARG(file->path));
	else if (!is_trusted(p, uid, true))
		report_at(p->report, true, p->texts, p->n, file->at,
		          "this secret belongs to user %u, who can read and replace it: chown root %.*s", (unsigned)uid, STR_ARG(file->path));
}

static void judge_text(const struct permit *p, struct str path)
{
	uint32_t uid, mode;
	const struct conf_place whole = { path.p, 0, 0 };
	if (!look(path, &uid, &mode))
		return;
	if ((mode & OTHERS_WRITE) != 0)
		report_line(p->report, false, whole, STR_NONE, "everybody on this machine may write this file: chmod o-w %.*s", STR_ARG(path));
	if (!is_trusted(p, uid, false))
		report_line(p->report, false, whole, STR_NONE, "this file belongs to user %u, who could have us do anything: chown root %.*s",
		            (unsigned)uid, STR_ARG(path));
}

fault permit_judge(const struct conf *conf, const struct conf_text *texts, size_t n, struct conf_report *report)
{
	const struct permit p = { conf, texts, n, report };
	const struct conf_file *files;
	unsigned before = report->errors;
	size_t n_files = conf_files(conf, &files);
	for (size_t i = 0; i < n; i++)
		judge_text(&p, texts[i].name);
	for (size_t i = 0; i < n_files; i++)
		if ((files[i].use & (CONF_FILE_KEY | CONF_FILE_USERS | CONF_FILE_SECRET)) != 0)
			judge_secret(&p, &files[i]);
	return report->errors == before ? OK : F_DENIED;
}
