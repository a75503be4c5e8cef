/* SPDX-License-Identifier: ISC */
#include "store/backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/sqlite_inside.h"
#include "store/sqlite_schema.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { PATH_SIZE = 512, BUSY_MS = 10000, TRIES = 5, EXTENTS_MAX = 64 << 20 };
static const char part[] = "queue.db.part";

struct backup {
	char from[PATH_SIZE], to[PATH_SIZE];
	int from_fd, to_fd;
	bool made_directory, made_files; /* ours to take away if it comes to nothing */
	sqlite3 *live, *copy;
	sqlite3_stmt *now, *next, *keep, *aside, *drop_rcpts, *drop;
	struct content_log *source, *target;
	struct crc32c crc_live, crc_copy;
	const struct backup_watch *watch;
	struct backup_sum *sum;
};

/* SQLite says "disk I/O error" of a file that may grow no more. */
static fault say(sqlite3 *db, const char *what, struct why *why)
{
	int rc = sqlite3_errcode(db), error = (rc & 0xff) == SQLITE_IOERR ? sqlite3_system_errno(db) : 0;
	if (error == EFBIG)
		return why_say(why, F_LIMIT, "%s: a file may not grow so large here (ulimit -f)", what);
	return why_say(why, (rc & 0xff) == SQLITE_FULL ? F_LIMIT : F_STORE, "%s: %s%s%s", what, sqlite3_errmsg(db),
	               error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
}

/* ---- both ends ---- */

/* SQLite would take a name that begins with "file:" for a URI, with options in it; none of ours does. */
static fault put_path(struct str from, char to[PATH_SIZE], struct why *why)
{
	int n = from.n == 0 ? 0 : snprintf(to, PATH_SIZE, "%s%.*s", from.p[0] == '/' ? "" : "./", STR_ARG(from));
	return n > 0 && n < PATH_SIZE - 32 ? OK : why_say(why, F_LIMIT, "the directory's name is empty or too long");
}

/* What lies in the queue's directory belongs to the queue: the next start would trip over it. */
static fault check_place(struct backup *b, struct why *why)
{
	int fd = -1;
	bool within = false;
	fault f = directory_open(FILE_CWD, b->to, &fd, NULL);
	if (f != OK)
		f = directory_open_parent(b->to, &fd, why);
	if (f == OK)
		f = directory_is_within(fd, b->from_fd, &within);
	fd_close(&fd);
	if (f != OK)
		return why != NULL && why->text[0] != '\0' ? f : why_say(why, f, "cannot look where %s lies (%s)", b->to, fault_name(f));
	return !within ? OK : why_say(why, F_DENIED, "%s lies in the queue itself (%s): name a directory elsewhere, best on another disk",
	                              b->to, b->from);
}

static fault check_is_empty(struct backup *b, struct why *why)
{
	struct str name;
	struct directory_reader *d = directory_read(b->to_fd);
	bool any = d == NULL, broken_off = false, whole = false;
	while (d != NULL && directory_next(d, &name)) {
		any = true;
		broken_off = broken_off || str_eq(name, str_of(part));
		whole = whole || str_eq(name, STR("queue.db"));
	}
	directory_close(&d);
	if (broken_off && !whole)
		return why_say(why, F_EXISTS, "%s holds a backup that was broken off, of no use: remove it, or name another directory", b->to);
	return any ? why_say(why, F_EXISTS, "%s is not empty: a backup wants a directory of its own", b->to) : OK;
}

static fault open_target(struct backup *b, struct why *why)
{
	TRY(check_place(b, why));
	fault f = directory_make(FILE_CWD, b->to, 0700);
	if (f != OK && f != F_EXISTS)
		return why_say(why, f, "cannot make %s (%s)", b->to, fault_name(f));
	b->made_directory = f == OK;
	if (f == OK && (f = directory_sync_name(b->to)) != OK)
		return why_say(why, f, "the name of %s cannot be made durable (%s)", b->to, fault_name(f));
	TRY(directory_open(FILE_CWD, b->to, &b->to_fd, why));
	return check_is_empty(b, why);
}

/* What was broken off is of no use, and would only stand in the way of the next. */
static void take_away(struct backup *b)
{
	bool any = b->made_files;
	while (any) {
		struct directory_reader *d = directory_read(b->to_fd);
		struct str name;
		any = false;
		while (!any && d != NULL && directory_next(d, &name)) {
			struct str rest = name;
			bool ours = str_take(&rest, STR("content-")) || str_take(&rest, STR("queue.db"));
			any = ours && file_remove(b->to_fd, name.p) == OK;
		}
		directory_close(&d);
	}
	if (b->made_directory)
		(void)!directory_remove(FILE_CWD, b->to);
}

static fault open_source(struct backup *b, struct why *why)
{
	char file[PATH_SIZE + 32];
	TRY(directory_open(FILE_CWD, b->from, &b->from_fd, why));
	snprintf(file, sizeof file, "%s/queue.db", b->from);
	if (sqlite3_open_v2(file, &b->live, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		return say(b->live, file, why);
	sqlite3_busy_timeout(b->live, BUSY_MS);
	TRY(schema_guard(b->live, why));
	return sqlite_checksum(b->live, &b->crc_live);
}

/* The envelopes of one moment, in a new file without what was deleted before, and with fresh indexes. */
static fault copy_database(struct backup *b, struct why *why)
{
	char file[PATH_SIZE + 32];
	int fd = -1;
	sqlite3_stmt *st = NULL;
	snprintf(file, sizeof file, "%s/%s", b->to, part);
	TRY(file_open(b->to_fd, part, FILE_READ | FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, 0600, &fd, why)); /* for its mode */
	fd_close(&fd);
	b->made_files = true;
	int rc = sqlite3_prepare_v2(b->live, "VACUUM INTO ?1", -1, &st, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(st, 1, file, -1, SQLITE_STATIC);
		rc = sqlite3_step(st);
	}
	fault f = rc == SQLITE_DONE ? OK : say(b->live, "the queue's database cannot be copied", why);
	sqlite3_finalize(st);
	TRY(f);
	if (sqlite3_open_v2(file, &b->copy, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return say(b->copy, file, why);
	TRY(schema_guard(b->copy, why));
	return sqlite_checksum(b->copy, &b->crc_copy);
}

static fault check_formats(struct backup *b, struct why *why)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(b->live, "SELECT number, extents, sum, tls_tag FROM message LIMIT 0", -1, &st, NULL);
	sqlite3_finalize(st);
	if (rc != SQLITE_OK)
		return say(b->live, "this is no queue that this Sealpost knows", why);
	char file[PATH_SIZE + 32];
	snprintf(file, sizeof file, "%s/queue.db", b->from);
	return schema_check(b->live, file, why); /* what is foreign would be in the copy, too */
}

static fault prepare(struct backup *b, struct why *why)
{
	const struct { sqlite3 *db; sqlite3_stmt **st; const char *text; } all[] = {
		{ b->live, &b->now, "SELECT extents FROM message WHERE number=?1" },
		{ b->copy, &b->next, "SELECT number,id,size_bytes,extents," MESSAGE_OK("") " FROM message WHERE number>?1"
		                     " ORDER BY number LIMIT 1" },
		{ b->copy, &b->keep, "UPDATE message SET extents=?2, sum=" MESSAGE_SUM("", "arrived_s", "?2") " WHERE number=?1" },
		{ b->copy, &b->aside, "UPDATE rcpt SET held=2, last_reply=?3, state_sum="
		                      "checksum(number,destination,2,attempts,next_s,?3,last_dialogue,delay_warned)"
		                      " WHERE number BETWEEN ?1 AND ?2" },
		{ b->copy, &b->drop_rcpts, "DELETE FROM rcpt WHERE number BETWEEN ?1 AND ?2" },
		{ b->copy, &b->drop, "DELETE FROM message WHERE number=?1" },
	};
	for (size_t i = 0; i < COUNT(all); i++)
		if (sqlite3_prepare_v2(all[i].db, all[i].text, -1, all[i].st, NULL) != SQLITE_OK)
			return say(all[i].db, "the queue's database cannot be read", why);
	return OK;
}

/* ---- one message ---- */

struct message { uint64_t number, size; struct buf extents; bool row_ok; char id[STORE_ID_MAX + 1]; };

static fault next_message(struct backup *b, uint64_t after, struct message *m, struct why *why)
{
	bind_u64(b->next, 1, after);
	int rc = sqlite3_step(b->next);
	fault f = rc == SQLITE_ROW ? OK : rc == SQLITE_DONE ? F_ABSENT : say(b->copy, "the copy cannot be read", why);
	if (rc == SQLITE_ROW) {
		m->number = column_u64(b->next, 0);
		snprintf(m->id, sizeof m->id, "%.*s", STR_ARG(column_str(b->next, 1)));
		m->size = column_u64(b->next, 2);
		m->row_ok = sqlite3_column_int(b->next, 4) != 0;
		buf_clear(&m->extents);
		f = buf_add(&m->extents, column_str(b->next, 3));
	}
	sql_done(b->next);
	return f;
}

/* Where it lies by now. F_ABSENT: it has left the queue. F_STATE: where it lay before. */
static fault look_again(struct backup *b, struct message *m, struct why *why)
{
	bind_u64(b->now, 1, m->number);
	int rc = sqlite3_step(b->now);
	fault f = rc == SQLITE_ROW ? OK : rc == SQLITE_DONE ? F_ABSENT : say(b->live, "the queue's database cannot be read", why);
	if (rc == SQLITE_ROW && str_eq(column_str(b->now, 0), buf_view(&m->extents)))
		f = F_STATE;
	if (f == OK) {
		buf_clear(&m->extents);
		f = buf_add(&m->extents, column_str(b->now, 0));
	}
	sql_done(b->now);
	return f;
}

static void release_all(struct backup *b, struct str extents)
{
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++)
		content_log_release(b->target, extent_at(extents, i));
}

/* All of its records; F_STORE: one is not (or no more) what was committed. */
static fault copy_records(struct backup *b, const struct message *m, struct buf *to)
{
	struct str extents = buf_view(&m->extents);
	uint64_t position = 0;
	for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++) {
		struct extent e = extent_at(extents, i), made;
		struct str record;
		TRY(content_log_read(b->source, e, m->number, position, &record));
		fault f = content_log_append(b->target, m->number, position, record, STR_NONE, &made);
		if (f != OK)
			return f == F_STORE ? F_SYS : f;
		extent_pack(to, made);
		position += e.length;
	}
	return position == m->size ? OK : F_STORE;
}

static fault run(struct backup *b, sqlite3_stmt *st, struct why *why)
{
	fault f = sqlite3_step(st) == SQLITE_DONE ? OK : say(b->copy, "the copy cannot be written", why);
	sql_done(st);
	return f;
}

static void bind_rcpts(sqlite3_stmt *st, uint64_t message)
{
	bind_u64(st, 1, rcpts_from(message));
	bind_u64(st, 2, rcpts_from(message + 1) - 1);
}

static fault keep(struct backup *b, const struct message *m, struct str extents, struct why *why)
{
	bind_u64(b->keep, 1, m->number);
	sqlite3_bind_blob(b->keep, 2, extents.p != NULL ? extents.p : "", (int)extents.n, SQLITE_STATIC);
	return run(b, b->keep, why);
}

static fault leave_out(struct backup *b, const struct message *m, struct why *why)
{
	b->sum->left++;
	bind_rcpts(b->drop_rcpts, m->number);
	TRY(run(b, b->drop_rcpts, why));
	bind_u64(b->drop, 1, m->number);
	return run(b, b->drop, why);
}

/* Its envelope is kept for a person to see; the damaged bytes stay where they are, in the queue. */
static fault keep_damaged(struct backup *b, const struct message *m, struct why *why)
{
	b->sum->damaged++;
	if (b->watch != NULL && b->watch->damaged != NULL)
		b->watch->damaged(b->watch->owner, str_of(m->id));
	if (m->row_ok)
		TRY(keep(b, m, STR_NONE, why));
	bind_rcpts(b->aside, m->number);
	bind_str(b->aside, 3, STR("was damaged in the queue that this is a backup of"));
	return run(b, b->aside, why);
}

static fault reopen_source(struct backup *b, struct why *why)
{
	content_log_close(&b->source);
	return content_log_open(b->from_fd, SEGMENT_BYTES_DEFAULT, &b->source, why);
}

static fault copy_message(struct backup *b, struct message *m, struct buf *extents, struct why *why)
{
	fault f = m->row_ok ? OK : F_STATE;
	for (int i = 0; f == OK && i < TRIES; i++) {
		buf_clear(extents);
		f = copy_records(b, m, extents);
		if (f == OK) {
			b->sum->messages++;
			b->sum->bytes += m->size;
			return keep(b, m, buf_view(extents), why);
		}
		release_all(b, buf_view(extents));
		if (f != F_STORE)
			return why_say(why, f, "the contents cannot be copied (%s)", fault_name(f));
		f = look_again(b, m, why); /* it has left meanwhile, or lies elsewhere */
		if (f == OK)
			f = reopen_source(b, why);
	}
	if (f == F_ABSENT)
		return leave_out(b, m, why);
	return f == F_STATE || f == OK ? keep_damaged(b, m, why) : f;
}

/* ---- the whole ---- */

static uint64_t count(struct backup *b)
{
	sqlite3_stmt *st = NULL;
	uint64_t n = 0;
	if (sqlite3_prepare_v2(b->copy, "SELECT count(*) FROM message", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		n = column_u64(st, 0);
	sqlite3_finalize(st);
	return n;
}

static fault copy_contents(struct backup *b, struct why *why)
{
	struct message m = { 0 };
	struct buf extents;
	uint64_t of = count(b), done = 0;
	buf_init(&m.extents, EXTENTS_MAX);
	buf_init(&extents, EXTENTS_MAX);
	fault f = OK;
	while (f == OK && (f = next_message(b, m.number, &m, why)) == OK) {
		f = copy_message(b, &m, &extents, why);
		if (b->watch != NULL && b->watch->progress != NULL)
			b->watch->progress(b->watch->owner, ++done, of);
	}
	buf_fini(&m.extents);
	buf_fini(&extents);
	return f == F_ABSENT ? OK : f;
}

/* A full disk loses records that were gathered, and the log goes on: what it holds is asked for each. */
static fault contents_durable(struct backup *b, struct why *why)
{
	struct message m = { 0 };
	fault f = content_log_sync(b->target, why);
	buf_init(&m.extents, EXTENTS_MAX);
	while (f == OK && (f = next_message(b, m.number, &m, why)) == OK) {
		struct str extents = m.row_ok ? buf_view(&m.extents) : STR_NONE;
		for (size_t i = 0; i < extents.n / EXTENT_PACKED && f == OK; i++)
			if (!content_log_holds(b->target, extent_at(extents, i)))
				f = why_say(why, F_LIMIT, "the contents cannot be copied: there is no room in %s, or its files may not grow so large (ulimit -f)", b->to);
	}
	buf_fini(&m.extents);
	return f == F_ABSENT ? OK : f;
}

static fault finish(struct backup *b, struct why *why)
{
	int fd = -1;
	TRY(file_open(b->to_fd, part, FILE_READ | FILE_WRITE, 0600, &fd, why));
	fault f = file_sync_all(fd);
	fd_close(&fd);
	if (f == OK)
		f = file_rename(b->to_fd, part, b->to_fd, "queue.db");
	if (f == OK)
		f = file_sync_all(b->to_fd);
	return f == OK ? OK : why_say(why, f, "the copy cannot be made durable (%s)", fault_name(f));
}

static fault make(struct backup *b, struct why *why)
{
	TRY(open_source(b, why));
	TRY(check_formats(b, why));
	TRY(open_target(b, why));
	TRY(copy_database(b, why));
	TRY(prepare(b, why));
	TRY(content_log_open(b->from_fd, SEGMENT_BYTES_DEFAULT, &b->source, why));
	TRY(content_log_open(b->to_fd, SEGMENT_BYTES_DEFAULT, &b->target, why));
	if (sqlite3_exec(b->copy, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return say(b->copy, "the copy cannot be written", why);
	TRY(copy_contents(b, why));
	TRY(contents_durable(b, why));
	if (sqlite3_exec(b->copy, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return say(b->copy, "the copy cannot be written", why);
	return finish(b, why);
}

fault backup_make(struct str from, struct str to, const struct backup_watch *watch, struct backup_sum *out, struct why *why)
{
	struct backup b = { .from_fd = -1, .to_fd = -1, .watch = watch, .sum = out };
	*out = (struct backup_sum){ 0 };
	TRY(put_path(from, b.from, why));
	TRY(put_path(to, b.to, why));
	fault f = make(&b, why);
	sqlite3_stmt *const all[] = { b.now, b.next, b.keep, b.aside, b.drop_rcpts, b.drop };
	for (size_t i = 0; i < COUNT(all); i++)
		sqlite3_finalize(all[i]);
	sqlite3_close(b.copy);
	sqlite3_close(b.live);
	content_log_close(&b.source);
	content_log_close(&b.target);
	if (f != OK)
		take_away(&b);
	fd_close(&b.from_fd);
	fd_close(&b.to_fd);
	return f;
}
