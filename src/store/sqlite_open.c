/* SPDX-License-Identifier: ISC */
/* store/sqlite_open.c -- opening and closing the queue: its directory, its tables, what is learnt from them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/old_log.h"
#include "store/sqlite_inside.h"
#include "store/sqlite_schema.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { WORKING_STEPS = 1000 }; /* of SQLite, between two words that it gets on: each may be a read of a slow disk */
enum {
	SCRATCH_MAX = 256 << 20,
	NUMBER_BITS = 63 - RCPT_INDEX_BITS,
	ROOM_TO_OPEN = 1 << 20,
	BUSY_MS = 1000,                  /* for an administrator's sqlite3 that writes */
};

/* What the tables of each format have at least. */
static const struct { int64_t since; const char *text; } needs[] = {
	{ 1, "SELECT key,value FROM meta" },
	{ 1, "SELECT key,value,expires_s FROM observation" },
	{ 1, "SELECT number,id,sender,arrived_s,size_bytes,body,smtputf8,ret,envid,client,helo,user,protocol,tls,extents FROM message" },
	{ 1, "SELECT number,address,original,orcpt,notify,destination,held,attempts,next_s,last_reply,last_dialogue,delay_warned FROM rcpt" },
	{ 2, "SELECT m.sum,r.sum,r.state_sum FROM message m, rcpt r" },
	{ 3, "SELECT tls_tag FROM message" },
};

static fault run_text(struct store *s, const char *text, struct why *why)
{
	return sql_fault(s, sqlite3_exec(s->db, text, NULL, NULL, NULL), why);
}

static fault ask_number(struct store *s, const char *text, int64_t *out, struct why *why)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, text, -1, &st, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	fault f = sql_fault(s, rc, why);
	sqlite3_finalize(st);
	return f;
}

static fault open_directory(struct store *s, const char *path, struct why *why)
{
	fault f = directory_open(FILE_CWD, path, &s->directory, why);
	if (f == F_ABSENT) {
		f = directory_make(FILE_CWD, path, 0700);
		if (f != OK && f != F_EXISTS)
			return why_say(why, f, "cannot make the queue's directory %s (%s)", path, fault_name(f));
		f = directory_sync_name(path);
		if (f != OK)
			(void)!directory_remove(FILE_CWD, path); /* a second sync might say yes to what the first has lost */
		if (f != OK)
			return why_say(why, f, "cannot make the name of the queue's directory %s durable", path);
		f = directory_open(FILE_CWD, path, &s->directory, why);
	}
	TRY(f);
	uint32_t uid, mode;
	f = file_owner_mode(s->directory, &uid, &mode);
	if (f != OK)
		return why_say(why, f, "cannot look at the queue's directory %s", path);
	if ((mode & FILE_MODE_OTHERS) != 0)
		return why_say(why, F_DENIED, "the queue's directory %s is open to others (mode %o): chmod 700 %s", path,
		               mode & FILE_MODE_BITS, path);
	TRY(file_open(s->directory, "lock", FILE_READ | FILE_WRITE | FILE_CREATE, 0600, &s->lock, why));
	f = file_lock(s->lock);
	if (f == F_BUSY)
		return why_say(why, F_BUSY, "the queue in %s is in use by another process: `fuser -v %s/lock` names it", path, path);
	return f == OK ? OK : why_say(why, f, "cannot lock the queue in %s", path);
}

/* An empty directory is a new queue. Contents without their database are not: they would be overwritten. */
static fault check_is_new(struct store *s, const char *path, bool with_log, struct why *why)
{
	struct directory_reader *d = directory_read(s->directory);
	struct str name;
	bool contents = false;
	while (d != NULL && directory_next(d, &name)) {
		struct str rest = name;
		contents |= str_take(&rest, STR("content-")) || (with_log && str_eq(name, STR("queue.db-wal")));
	}
	bool read = d != NULL;
	directory_close(&d);
	if (!read)
		return why_say(why, F_SYS, "cannot read the queue's directory %s", path);
	return !contents ? OK : why_say(why, F_STORE,
	                                "%s/queue.db is missing or empty, but other files of a queue are there. Put queue.db back "
	                                "from a backup; or, to begin anew, move all of them away", path);
}

static fault is_foreign(const char *path, struct why *why)
{
	return why_say(why, F_STORE, "%s/queue.db is not a Sealpost queue", path);
}

/* The making of a new queue may have been cut off. But so looks what another program has made, too, and SQLite takes a file of one
 * byte for a new database. */
static fault check_is_empty(struct store *s, const char *path, struct why *why)
{
	int64_t tables = 0;
	TRY(ask_number(s, "SELECT count(*) FROM sqlite_master", &tables, why));
	return tables > 0 ? is_foreign(path, why) : check_is_new(s, path, false, why);
}

/* The mark is ours: so are the tables, or else somebody has used it for his own. */
static fault check_tables(struct store *s, const char *path, int64_t format, struct why *why)
{
	for (size_t i = 0; i < COUNT(needs); i++) {
		sqlite3_stmt *st = NULL;
		if (needs[i].since > format)
			continue;
		int rc = sqlite3_prepare_v2(s->db, needs[i].text, -1, &st, NULL);
		sqlite3_finalize(st);
		if ((rc & 0xff) == SQLITE_ERROR)
			return why_say(why, F_STORE, "%s/queue.db has not the tables of a Sealpost queue (%s): nothing in it was changed. "
			                             "Put queue.db back from a backup, or name another directory", path, sqlite3_errmsg(s->db));
		TRY(sql_fault(s, rc, why));
	}
	char file[512];
	snprintf(file, sizeof file, "%s/queue.db", path);
	return schema_check(s->db, file, why);
}

/* Only what this program knows is opened, and nothing of the rest is touched. */
static fault check_format(struct store *s, const char *path, int64_t *format_out, struct why *why)
{
	int64_t application = 0;
	TRY(ask_number(s, "PRAGMA user_version", format_out, why));
	TRY(ask_number(s, "PRAGMA application_id", &application, why));
	if (*format_out > QUEUE_FORMAT)
		return why_say(why, F_STORE,
		               "the queue in %s has format %d, and this Sealpost knows up to %d: it was written by a newer "
		               "one. Start that one, or name another directory", path, (int)*format_out, QUEUE_FORMAT);
	if (*format_out < 0 || (*format_out > 0 && application != QUEUE_APPLICATION))
		return is_foreign(path, why);
	return *format_out == 0 ? check_is_empty(s, path, why) : check_tables(s, path, *format_out, why);
}

static fault make_tables(struct store *s, int64_t format, struct why *why)
{
	char end[128];
	if (format == QUEUE_FORMAT)
		return run_text(s, schema_rest, why);
	TRY(run_text(s, "BEGIN IMMEDIATE", why));
	if (format < 2)
		TRY(run_text(s, format == 0 ? schema_tables : schema_from_1, why));
	if (format > 0 && format < 3)
		TRY(run_text(s, schema_from_2, why));
	TRY(run_text(s, schema_rest, why));
	snprintf(end, sizeof end, "PRAGMA user_version=%d; PRAGMA application_id=%d; COMMIT", QUEUE_FORMAT, QUEUE_APPLICATION);
	return run_text(s, end, why);
}

/* SQLite makes the name of its log durable, and does not look whether it could: our descriptor is told of that. */
static fault sync_names(struct store *s, const char *path, struct why *why)
{
	fault f = file_sync_all(s->directory);
	return f == OK ? OK : why_say(why, f, "making the names in %s durable failed", path);
}

static fault make_database_file(struct store *s, const char *path, struct why *why)
{
	int fd = -1;
	uint64_t bytes = 0;
	fault f = file_open(s->directory, "queue.db", FILE_READ | FILE_WRITE, 0600, &fd, why);
	if (f == OK)
		f = file_size(fd, &bytes);
	fd_close(&fd);
	if (f != OK && f != F_ABSENT)
		return f;
	if (bytes > 0)
		return OK;
	TRY(check_is_new(s, path, true, why));
	/* SQLite gives its other files the mode of this one. */
	TRY(file_open(s->directory, "queue.db", FILE_READ | FILE_WRITE | FILE_CREATE, 0600, &fd, why));
	fd_close(&fd);
	s->making = true;
	return sync_names(s, path, why);
}

static int on_progress(void *owner)
{
	struct store *s = owner;
	s->working(s->working_owner);
	return 0; /* it goes on */
}

static fault connect(struct store *s, const char *file, struct why *why)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* nobody asks how much SQLite has; one that is open already goes on */
	TRY(sql_fault(s, sqlite3_open_v2(file, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL), why));
	sqlite3_extended_result_codes(s->db, 1);
	TRY(schema_guard(s->db, why));
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (s->working != NULL)
		sqlite3_progress_handler(s->db, WORKING_STEPS, on_progress, s);
	return OK;
}

static bool has_log(const struct store *s)
{
	int fd = -1;
	bool has = file_open(s->directory, "queue.db-wal", FILE_READ, 0600, &fd, NULL) == OK;
	fd_close(&fd);
	return has;
}

/* A process that was killed has left its log. What of it the disk refused is still seen in the kernel's memory, its name
 * perhaps, too, and what is appended would be lost behind the gap. So what it holds goes to the database, and the log
 * away: SQLite removes it with the last connection. */
static fault end_old_log(struct store *s, const char *path, const char *file, struct why *why)
{
	int64_t busy = 0;
	TRY(run_text(s, "PRAGMA synchronous=FULL", why));
	TRY(ask_number(s, "PRAGMA wal_checkpoint(TRUNCATE)", &busy, why));
	if (busy != 0)
		return why_say(why, F_BUSY, "another program is reading %s/queue.db: end it", path);
	sqlite3_close(s->db);
	s->db = NULL;
	return connect(s, file, why);
}

static fault open_database(struct store *s, const char *path, struct why *why)
{
	char file[512];
	int64_t format = 0;
	int n = snprintf(file, sizeof file, "%s/queue.db", path);
	if (n < 0 || (size_t)n >= sizeof file)
		return why_say(why, F_LIMIT, "the queue directory's name is too long");
	TRY(make_database_file(s, path, why));
	char seed[8];
	sqlite3_randomness(sizeof seed, seed); /* opens /dev/urandom now, not when confined */
	bool old_log = has_log(s);
	TRY(connect(s, file, why));
	TRY(check_format(s, path, &format, why));
	if (old_log)
		TRY(end_old_log(s, path, file, why));
	TRY(sqlite_checksum(s->db, &s->crc));
	/* FULL: the log is flushed at every commit. The rest is size: see docs/QUEUE.md. */
	TRY(run_text(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
	                "PRAGMA cache_size=-8000; PRAGMA mmap_size=0; PRAGMA journal_size_limit=16777216", why));
	return make_tables(s, format, why);
}

/* Which records live. Rows are looked at without their checksums: those of what is damaged keep their places, too. */
static fault adopt_contents(struct store *s, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_ADOPT);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	while (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct str extents = column_str(st, 0);
		int64_t arrived_s = sqlite3_column_int64(st, 2);
		for (size_t i = 0; i < extents.n / EXTENT_PACKED; i++)
			content_log_adopt(s->log, extent_at(extents, i));
		s->holding.messages++;
		s->holding.bytes += sqlite3_column_int64(st, 1);
		s->latest_arrived_s = arrived_s > s->latest_arrived_s ? arrived_s : s->latest_arrived_s;
	}
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	content_log_adopted(s->log);
	return f;
}

fault learn_schedule(struct store *s, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_DESTINATIONS);
	int rc = st == NULL ? sqlite3_errcode(s->db) : SQLITE_OK;
	s->holding.queued = 0;
	s->latest_due_s = 0;
	while (st != NULL && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		int64_t latest_s = sqlite3_column_int64(st, 2);
		schedule_note(s->schedule, column_str(st, 0), sqlite3_column_int64(st, 1));
		s->holding.queued += sqlite3_column_int64(st, 3);
		s->latest_due_s = latest_s > s->latest_due_s ? latest_s : s->latest_due_s;
	}
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static fault learn_holding(struct store *s, struct why *why)
{
	sqlite3_stmt *st = sql(s, SQL_COUNT_RCPTS);
	int rc = st == NULL ? sqlite3_errcode(s->db) : sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		s->holding.damaged = sqlite3_column_int64(st, 1);
		s->holding.held = sqlite3_column_int64(st, 0) - s->holding.queued - s->holding.damaged;
	}
	fault f = sql_fault(s, rc, why);
	sql_done(st);
	return f;
}

static fault learn_numbers(struct store *s, struct why *why)
{
	int64_t next = 0, low = 0, last = 0;
	bool below;
	TRY(ask_number(s, "SELECT max(value) FROM meta WHERE key IN ('next-number','next-number-copy')", &next, why));
	TRY(ask_number(s, "SELECT min(value) FROM meta WHERE key IN ('next-number','next-number-copy')", &low, why));
	TRY(ask_number(s, "SELECT max(number) FROM message", &last, why));
	TRY(any_below(s, &below, why));
	if (below)
		return why_say(why, F_STORE, "the queue's database is damaged: " BELOW_TEXT);
	/* Too high is harmless, so of two that differ the higher is taken, unless it cannot be. */
	if (next >> NUMBER_BITS != 0)
		next = low;
	if (next <= 0 || next >> NUMBER_BITS != 0 || next <= last)
		return why_say(why, F_STORE, "the queue's database is damaged: its next number cannot be right");
	s->next_number = s->reserved_to = (uint64_t)next;
	s->fence = s->next_number << RCPT_INDEX_BITS; /* above every fence of an earlier life */
	TRY(transaction_begin(s, why));
	return transaction_end(s, OK, why);
}

/* A queue that could not be made is made from the start the next time: what the disk has kept of it is not known. */
static void unmake(struct store *s)
{
	static const char *const names[] = { "queue.db", "queue.db-journal", "queue.db-wal", "queue.db-shm" };
	for (size_t i = 0; i < COUNT(names); i++)
		(void)!file_remove(s->directory, names[i]);
}

static void sqlite_close(struct store **store)
{
	struct store *s = *store;
	if (s == NULL)
		return;
	LIST_EACH(l, &s->drafts) {
		struct store_draft *d = LIST_MEMBER(l, struct store_draft, in_store);
		draft_free(&d);
	}
	LIST_EACH(l, &s->leases_by_end)
		lease_end(s, LIST_MEMBER(l, struct lease, in_order)->rcpt);
	fault f = s->db != NULL && !s->making ? observations_write(s, NULL) : OK;
	(void)f; /* no promise was made */
	observations_forget(s);
	for (size_t i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(s->statements[i]);
	if (s->db != NULL)
		sqlite3_close(s->db);
	if (s->making)
		unmake(s);
	content_log_close(&s->log);
	schedule_free(&s->schedule);
	map_free(&s->leases);
	map_free(&s->in_hand);
	arena_free(&s->scratch);
	free(s->after.released.items);
	free(s->after.ended.items);
	free(s->after.turned.items);
	free(s->after.noted.items);
	fd_close(&s->lock);
	fd_close(&s->directory);
	free(s);
	*store = NULL;
}

static fault open_parts(struct store *s, const char *path, uint64_t segment_bytes, struct why *why)
{
	TRY(open_directory(s, path, why));
	TRY(old_log_look(s->directory, path, why));
	TRY(open_database(s, path, why));
	TRY(content_log_open(s->directory, segment_bytes, &s->log, why));
	TRY(adopt_contents(s, why));
	TRY(learn_schedule(s, why));
	TRY(learn_holding(s, why));
	TRY(learn_numbers(s, why));
	return sync_names(s, path, why);
}

/* Who starts a server on a full disk is told which. SQLite calls want of room for what it shares with other processes an I/O error. */
static fault say_no_room(const struct store *s, const char *path, fault f, struct why *why)
{
	uint64_t bytes, names;
	bool is_one = f == F_LIMIT || (f == F_STORE && (sqlite3_errcode(s->db) & 0xff) == SQLITE_IOERR);
	if (!is_one || s->directory < 0 || file_space(s->directory, &bytes, &names) != OK || (bytes >= ROOM_TO_OPEN && names > 0))
		return f;
	return why_say(why, f, "the queue cannot be opened on a full disk (%llu KB and %llu inodes are free): make room on the disk of %s",
	               (unsigned long long)bytes >> 10, (unsigned long long)names, path);
}

static fault sqlite_open(struct str directory, const struct store_options *options, struct store **out,
                         struct why *why)
{
	char path[480];
	if (directory.n == 0 || directory.n >= sizeof path || str_has(directory, '\0'))
		return why_say(why, F_LIMIT, "the queue directory's name is empty or too long");
	memcpy(path, directory.p, directory.n);
	path[directory.n] = '\0';

	struct store *s = NEW(struct store);
	s->directory = s->lock = -1;
	s->untried_from = 1;
	s->schedule = schedule_new();
	s->leases = map_new(1);
	s->in_hand = map_new(2);
	s->scratch = arena_new(SCRATCH_MAX);
	list_init(&s->leases_by_end);
	list_init(&s->drafts);
	list_init(&s->observations);
	if (options != NULL) {
		s->working = options->working;
		s->working_owner = options->owner;
		s->keep_free_bytes = options->keep_free_bytes;
	}
	uint64_t segment_bytes = options != NULL && options->segment_bytes > 0 ? options->segment_bytes
	                                                                       : SEGMENT_BYTES_DEFAULT;
	fault f = say_no_room(s, path, open_parts(s, path, segment_bytes, why), why);
	if (f != OK) {
		sqlite_close(&s);
		return f;
	}
	s->making = false;
	*out = s;
	return OK;
}

static fault sqlite_space(struct store *s, uint64_t *bytes_free_out, uint64_t *names_free_out)
{
	TRY(file_space(s->directory, bytes_free_out, names_free_out));
	*bytes_free_out += content_log_ahead_bytes(s->log);
	return OK;
}

const struct store_ops store_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.draft_new = sqlite_draft_new,
	.draft_append = sqlite_draft_append,
	.draft_drop = sqlite_draft_drop,
	.commit = sqlite_commit,
	.lease = sqlite_lease,
	.renew = sqlite_renew,
	.is_held = sqlite_is_held,
	.claim = sqlite_claim,
	.reclaim = sqlite_reclaim,
	.next_due = sqlite_next_due,
	.ask_again = sqlite_ask_again,
	.message = sqlite_message,
	.content = sqlite_content,
	.list = sqlite_list,
	.act_on = sqlite_act_on,
	.act = sqlite_act,
	.verify = sqlite_verify,
	.set_aside = sqlite_set_aside,
	.clamp = sqlite_clamp,
	.shift = sqlite_shift,
	.counts = sqlite_counts,
	.glance = sqlite_glance,
	.space = sqlite_space,
	.tidy = sqlite_tidy,
	.rest = sqlite_rest,
	.trim = sqlite_trim,
	.remember = sqlite_remember,
	.recall = sqlite_recall,
	.recall_some = sqlite_recall_some,
};
