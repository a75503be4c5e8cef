/* SPDX-License-Identifier: ISC */
/*
 * role/supervisor/chains.c -- certificates that were renewed in place, without a reload.
 *
 * Keeper and fronts read the files when a generation is offered to them. One that is started again later reads what lies there by
 * then: a keeper would hold other keys than those that the fronts' chains are for, and every handshake would fail. So it is noted how
 * the chains looked; if they are others when a role is offered the same generation again, this generation passes through all
 * roles anew, under another number, in its usual order.
 */
#include "role/supervisor/slot.h"

#include "base/map.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/socket.h"

enum { CHAIN_BYTES_MAX = 1 << 20 };

/* Contents, not times: a file that was merely written again is the same. */
static uint64_t stamp_of(struct str path, uint64_t so_far)
{
	char name[4096];
	struct buf bytes;
	int fd = -1;
	if (path.n >= sizeof name)
		return so_far;
	for (size_t i = 0; i < path.n; i++)
		name[i] = path.p[i];
	name[path.n] = '\0';
	buf_init(&bytes, CHAIN_BYTES_MAX);
	if (file_open(FILE_CWD, name, FILE_READ, 0, &fd, NULL) == OK && file_read_all(fd, &bytes) != OK)
		buf_clear(&bytes);
	fd_close(&fd);
	uint64_t stamp = map_hash(so_far, buf_view(&bytes));
	buf_fini(&bytes);
	return map_hash(stamp, path);
}

static uint64_t stamp_of_all(const struct conf *conf)
{
	const struct conf_file *files;
	size_t n = conf_files(conf, &files);
	uint64_t stamp = 0;
	for (size_t i = 0; i < n; i++)
		if ((files[i].use & CONF_FILE_CERT) != 0)
			stamp = stamp_of(files[i].path, stamp);
	return stamp;
}

void chains_offered(struct supervisor *sv, const struct generation *g)
{
	uint64_t stamp = stamp_of_all(g->conf);
	if (sv->chains_number != g->number) {
		sv->chains_number = g->number;
		sv->chains_stamp = stamp;
	} else if (stamp != sv->chains_stamp) {
		sv->chains_changed = true;
	}
}

static fault again(struct supervisor *sv, struct generation *out, struct conf_report *report)
{
	struct generation g = { .number = ++sv->last_number, .texts = conf_texts_copy(sv->current.texts) };
	fault f = conf_read(g.texts->items, g.texts->n, &g.conf, report);
	if (f == OK)
		f = permit_judge(g.conf, g.texts->items, g.texts->n, report);
	if (f == OK)
		f = bound_all(sv, &g, report);
	if (f != OK) {
		generation_free(&g);
		bound_keep(sv, sv->current.conf);
		return f;
	}
	*out = g;
	return OK;
}

void chains_pass_again(struct supervisor *sv)
{
	struct generation g = { 0 };
	struct conf_report report;
	if (!sv->chains_changed || sv->phase != SV_RUNNING || sv->coming.number != 0 || sv->current.number == 0)
		return;
	sv->chains_changed = false;
	log_event(LOG_TROUBLE, LOG_Z("text", "certificates have been renewed without a reload, and a process that was started again has read "
	                                     "them: now all do"));
	conf_report_init(&report);
	if (again(sv, &g, &report) == OK)
		generation_begin(sv, &g);
	else
		supervisor_log_errors(LOG_RELOAD_FAILED, NULL, buf_view(&report.text));
	conf_report_fini(&report);
}
