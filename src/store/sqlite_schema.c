/* SPDX-License-Identifier: ISC */
#include "store/sqlite_schema.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "store/sqlite_inside.h"

enum { TEXT_MAX = 4096, NAME_SHOWN_MAX = 60, DROP_MAX = 640, WORDS_MAX = 1200, COLUMNS_LATER_MAX = 3 };

/* ---- what is made ---- */

/* The columns are named for an administrator: docs/QUEUE.md shows what to ask. Those that came with a later format stand at the end. */
#define TABLE_META "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
#define TABLE_MESSAGE                                                                              \
	"CREATE TABLE message(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sender TEXT NOT NULL,"    \
	" arrived_s INTEGER NOT NULL, size_bytes INTEGER NOT NULL, body INTEGER NOT NULL, smtputf8 INTEGER NOT NULL,"  \
	" ret INTEGER NOT NULL, envid TEXT NOT NULL, client TEXT NOT NULL, helo TEXT NOT NULL, user TEXT NOT NULL,"    \
	" protocol TEXT NOT NULL, tls TEXT NOT NULL, extents BLOB NOT NULL"
#define TABLE_RCPT                                                                                 \
	"CREATE TABLE rcpt(number INTEGER PRIMARY KEY, address TEXT NOT NULL, original TEXT NOT NULL,"       \
	" orcpt TEXT NOT NULL, notify INTEGER NOT NULL, destination TEXT NOT NULL, held INTEGER NOT NULL,"   \
	" attempts INTEGER NOT NULL DEFAULT 0, next_s INTEGER NOT NULL, last_reply TEXT NOT NULL DEFAULT ''," \
	" last_dialogue TEXT NOT NULL DEFAULT '', delay_warned INTEGER NOT NULL DEFAULT 0"
#define TABLE_OBSERVATION "CREATE TABLE observation(key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_s INTEGER NOT NULL) WITHOUT ROWID"
#define TLS_TAG "tls_tag INTEGER NOT NULL DEFAULT 0"
#define SUMMED " INTEGER NOT NULL"
#define SUMMED_LATER " INTEGER NOT NULL DEFAULT 0" /* in a table of format 1 */

#define VIEW_AS                                                                                    \
	" AS SELECT m.id, m.sender, r.address AS recipient,"                                       \
	" CASE r.held WHEN 0 THEN 'queued' WHEN 1 THEN 'held' ELSE 'damaged' END AS state, r.attempts,"      \
	" datetime(r.next_s,'unixepoch') AS next_attempt, datetime(m.arrived_s,'unixepoch') AS arrived,"     \
	" r.destination, r.last_reply, m.size_bytes AS size FROM rcpt r JOIN message m ON m.number=r.number>>20"
#define INDEX_DUE " ON rcpt(destination, next_s) WHERE held=0"
#define INDEX_ASIDE " ON rcpt(number) WHERE held>1"
#define INDEX_DOMAIN " ON rcpt(" DOMAIN_OF_RCPT ") WHERE attempts>0"

const char schema_tables[] =
	TABLE_META ";"
	"INSERT INTO meta VALUES('next-number', 1), ('next-number-copy', 1);"
	TABLE_MESSAGE ", sum" SUMMED ", " TLS_TAG ");"
	TABLE_RCPT ", sum" SUMMED ", state_sum" SUMMED ");"
	TABLE_OBSERVATION ";";

/* Older formats had not all of them, and an administrator may have dropped one. */
const char schema_rest[] =
	"CREATE INDEX IF NOT EXISTS rcpt_due" INDEX_DUE ";"
	"CREATE INDEX IF NOT EXISTS rcpt_aside" INDEX_ASIDE ";"
	"CREATE INDEX IF NOT EXISTS rcpt_domain" INDEX_DOMAIN ";"
	"CREATE VIEW IF NOT EXISTS queue" VIEW_AS ";";

/* Format 2 knew no tag of TLS. Its checksums are made anew only where they were right: what was damaged stays so. */
#define FORMAT_2_SUM "checksum(number,id,sender,arrived_s,size_bytes,body,smtputf8,ret,envid,client,helo,user,protocol,tls,extents)"

const char schema_from_2[] =
	"ALTER TABLE message ADD COLUMN " TLS_TAG ";"
	"UPDATE message SET sum=" MESSAGE_SUM("", "arrived_s", "extents") " WHERE sum=" FORMAT_2_SUM ";";

/* Format 1 had no checksums of rows. What is there is taken as it is. */
const char schema_from_1[] =
	"ALTER TABLE message ADD COLUMN sum" SUMMED_LATER ";"
	"ALTER TABLE rcpt ADD COLUMN sum" SUMMED_LATER ";"
	"ALTER TABLE rcpt ADD COLUMN state_sum" SUMMED_LATER ";"
	"UPDATE message SET sum=" FORMAT_2_SUM ";"
	"UPDATE rcpt SET sum=" RCPT_SUM("") ", state_sum=" STATE_SUM("") ";"
	"INSERT INTO meta SELECT 'next-number-copy', value FROM meta WHERE key='next-number';"
	"DROP VIEW IF EXISTS queue;";

/* As the database's own list has them. later: columns that may follow, in this order, before the end. */
struct object { struct str type, name, table, text, later[COLUMNS_LATER_MAX], end; };

static const struct object objects[] = {
	{ STR_INIT("table"), STR_INIT("meta"), STR_INIT("meta"), STR_INIT(TABLE_META), { STR_INIT("") }, STR_INIT("") },
	{ STR_INIT("table"), STR_INIT("message"), STR_INIT("message"), STR_INIT(TABLE_MESSAGE),
	  { STR_INIT(",sum" SUMMED_LATER), STR_INIT(",sum" SUMMED), STR_INIT("," TLS_TAG) }, STR_INIT(")") },
	{ STR_INIT("table"), STR_INIT("rcpt"), STR_INIT("rcpt"), STR_INIT(TABLE_RCPT),
	  { STR_INIT(",sum" SUMMED_LATER ",state_sum" SUMMED_LATER), STR_INIT(",sum" SUMMED ",state_sum" SUMMED), STR_INIT("") }, STR_INIT(")") },
	{ STR_INIT("table"), STR_INIT("observation"), STR_INIT("observation"), STR_INIT(TABLE_OBSERVATION), { STR_INIT("") }, STR_INIT("") },
	{ STR_INIT("index"), STR_INIT("sqlite_autoindex_message_1"), STR_INIT("message"), STR_INIT(""), { STR_INIT("") }, STR_INIT("") },
	{ STR_INIT("index"), STR_INIT("rcpt_due"), STR_INIT("rcpt"), STR_INIT("CREATE INDEX rcpt_due" INDEX_DUE), { STR_INIT("") }, STR_INIT("") },
	{ STR_INIT("index"), STR_INIT("rcpt_aside"), STR_INIT("rcpt"), STR_INIT("CREATE INDEX rcpt_aside" INDEX_ASIDE), { STR_INIT("") }, STR_INIT("") },
	{ STR_INIT("index"), STR_INIT("rcpt_domain"), STR_INIT("rcpt"), STR_INIT("CREATE INDEX rcpt_domain" INDEX_DOMAIN), { STR_INIT("") }, STR_INIT("") },
	{ STR_INIT("view"), STR_INIT("queue"), STR_INIT("queue"), STR_INIT("CREATE VIEW queue" VIEW_AS), { STR_INIT("") }, STR_INIT("") },
};

/* ---- nothing in it is obeyed ---- */

fault schema_guard(sqlite3 *db, struct why *why)
{
	static const struct { int option, value; } settings[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },      { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 }, { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
	};
	for (size_t i = 0; i < COUNT(settings); i++)
		if (sqlite3_db_config(db, settings[i].option, settings[i].value, NULL) != SQLITE_OK)
			return why_say(why, F_STORE, "this SQLite (%s) cannot be told to obey nothing in a database: a newer one, please", sqlite3_libversion());
	return OK;
}

/* ---- one text as the other? ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool parts(char c)
{
	return c == '(' || c == ')' || c == ',';
}

/* Blanks are no difference: one at most, and none beside what parts words anyway. SQLite puts them its own way when it adds a column. */
static size_t without_blanks(struct str text, char to[TEXT_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = is_space(text.p[i]) ? ' ' : text.p[i];
		if (c == ' ' && (n == 0 || to[n - 1] == ' ' || parts(to[n - 1])))
			continue;
		if (parts(c) && n > 0 && to[n - 1] == ' ')
			n--;
		to[n++] = c;
	}
	return n;
}

static bool text_is(const struct object *o, struct str text)
{
	char found[TEXT_MAX], wanted[TEXT_MAX];
	if (text.n > TEXT_MAX)
		return false;
	struct str rest = { found, without_blanks(text, found) }, want = { wanted, without_blanks(o->text, wanted) };
	if (!str_take(&rest, want))
		return false;
	for (size_t i = 0; i < COLUMNS_LATER_MAX; i++)
		if (o->later[i].n > 0)
			(void)str_take(&rest, o->later[i]);
	return str_eq(rest, o->end);
}

/* ---- words ---- */

static bool is_plain(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_alnum((unsigned char)name.p[i]) && name.p[i] != '_')
			return false;
	return name.n > 0 && name.n <= NAME_SHOWN_MAX;
}

/* Who reads it may paste it: a command has only names that mean nothing to a shell, or to SQL. */
struct shown { char text[NAME_SHOWN_MAX + 4]; };
static struct shown show(struct str name)
{
	struct shown out = { "" };
	size_t n = 0;
	for (; n < name.n && n < NAME_SHOWN_MAX; n++)
		out.text[n] = name.p[n] > ' ' && name.p[n] < 127 ? name.p[n] : '?';
	if (n < name.n)
		memcpy(&out.text[n], "...", 4);
	return out;
}

static void say_drop(struct str type, struct str name, const char *file, char *to, size_t room)
{
	static const struct str types[] = { STR_INIT("table"), STR_INIT("index"), STR_INIT("view"), STR_INIT("trigger") };
	static const char *const words[] = { "TABLE", "INDEX", "VIEW", "TRIGGER" };
	for (size_t i = 0; i < COUNT(types); i++)
		if (str_eq(type, types[i]) && is_plain(name)) {
			snprintf(to, room, "drop it (sqlite3 %s 'DROP %s %.*s')", file, words[i], STR_ARG(name));
			return;
		}
	snprintf(to, room, "look at it with `sqlite3 %s .schema` and drop it", file);
}

struct found { struct str type, name, table, text; };

static void say_foreign(const struct found *f, const char *file, char *to, size_t room)
{
	char drop[DROP_MAX];
	struct shown type = show(f->type), name = show(f->name), table = show(f->table);
	bool of_another = !str_eq(f->table, f->name);
	say_drop(f->type, f->name, file, drop, sizeof drop);
	snprintf(to, room, "the %s \"%s\"%s%s in the queue's database is none of Sealpost's, and nothing in it was obeyed: %s, or put queue.db back "
	                   "from a backup if it is not known who has made it", type.text, name.text, of_another ? " on " : "",
	         of_another ? table.text : "", drop);
}

static void say_changed(const struct object *o, const char *file, char *to, size_t room)
{
	char drop[DROP_MAX] = "";
	bool made_anew = !str_eq(o->type, STR("table")) && o->text.n > 0;
	if (made_anew)
		say_drop(o->type, o->name, file, drop, sizeof drop);
	snprintf(to, room, "the %.*s %.*s in the queue's database is not as Sealpost makes it: %s%sput queue.db back from a backup",
	         STR_ARG(o->type), STR_ARG(o->name), drop, made_anew ? ", and the next start makes it anew; or " : "");
}

/* ---- the comparison ---- */

static const struct object *object_of(const struct found *f)
{
	for (size_t i = 0; i < COUNT(objects); i++)
		if (str_eq(f->type, objects[i].type) && str_eq(f->name, objects[i].name))
			return &objects[i];
	return NULL;
}

/* Format 1 had another view, which goes. */
static bool is_as_made(const struct object *o, const struct found *f, int64_t format)
{
	bool goes = format < 2 && str_eq(o->type, STR("view"));
	return str_eq(f->table, o->table) && (goes || text_is(o, f->text));
}

static struct str text_column(sqlite3_stmt *st, int column)
{
	const char *p = (const char *)sqlite3_column_text(st, column);
	return (struct str){ p != NULL ? p : "", p != NULL ? (size_t)sqlite3_column_bytes(st, column) : 0 };
}

static fault cannot(sqlite3 *db, struct why *why)
{
	return why_say(why, F_STORE, "the queue's database cannot be read: %s. Put queue.db back from a backup", sqlite3_errmsg(db));
}

static fault ask_format(sqlite3 *db, int64_t *out, struct why *why)
{
	sqlite3_stmt *st = NULL;
	bool known = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
	*out = known ? sqlite3_column_int64(st, 0) : 0;
	fault f = known ? OK : cannot(db, why);
	sqlite3_finalize(st);
	return f;
}

fault schema_compare(sqlite3 *db, const char *file, const struct schema_reader *reader, struct why *why)
{
	sqlite3_stmt *st = NULL;
	int64_t format;
	bool more = true;
	TRY(ask_format(db, &format, why));
	if (format > QUEUE_FORMAT)
		return OK; /* it is left to the newer one that has made it */
	int rc = sqlite3_prepare_v2(db, "SELECT type,name,tbl_name,sql FROM sqlite_master ORDER BY type,name", -1, &st, NULL);
	while ((rc == SQLITE_OK || rc == SQLITE_ROW) && more && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		char words[WORDS_MAX];
		struct found f = { text_column(st, 0), text_column(st, 1), text_column(st, 2), text_column(st, 3) };
		const struct object *o = object_of(&f);
		if (o != NULL && is_as_made(o, &f, format))
			continue;
		if (o == NULL)
			say_foreign(&f, file, words, sizeof words);
		else
			say_changed(o, file, words, sizeof words);
		more = reader->differs(reader->owner, str_of(words));
	}
	fault f = rc == SQLITE_DONE || !more ? OK : cannot(db, why);
	sqlite3_finalize(st);
	return f;
}

static bool take_first(void *owner, struct str text)
{
	struct why *first = owner;
	(void)why_say(first, F_STORE, "%.*s", STR_ARG(text));
	return false;
}

fault schema_check(sqlite3 *db, const char *file, struct why *why)
{
	struct why first = { "" };
	struct schema_reader reader = { take_first, &first };
	TRY(schema_compare(db, file, &reader, why));
	return first.text[0] == '\0' ? OK : why_say(why, F_STORE, "%s", first.text);
}
