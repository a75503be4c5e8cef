/* SPDX-License-Identifier: ISC */
/* policy/directory_build.c -- joins the texts to a directory, and finds what is wrong with them. */
#include <stdarg.h>
#include <stdio.h>

#include "conf/trouble.h"
#include "policy/directory_inside.h"

enum { ARENA_BYTES_MAX = 1 << 30, PATH_TEXT_MAX = 300 };

struct build {
	struct directory *d;
	struct arena *arena, *scratch;
	struct conf_report *report;
	const struct directory_file *files;
	size_t n_files;
	struct map *parsed;          /* path -> its first alias, so that a file is read once */
	struct map *told;            /* places that have had their error: a file may serve several domains */
	unsigned errors;
	struct node *path[DIRECTORY_DEPTH_MAX + 1];
};

static void tell(struct build *b, bool warning, struct conf_place at, struct str line, const char *what)
{
	char key[PATH_TEXT_MAX];
	int n = snprintf(key, sizeof key, "%u:%u:%s", at.line, at.column, at.file);
	struct str place = { key, n < (int)sizeof key ? (size_t)n : sizeof key - 1 };
	if (map_set(b->told, place, b) != NULL)
		return;
	report_line(b->report, warning, at, line, "%s", what);
	if (!warning)
		b->errors++;
}

static void tellf(struct build *b, bool warning, struct conf_place at, struct str line, const char *fmt, ...) PRINTF(5, 6);
static void tellf(struct build *b, bool warning, struct conf_place at, struct str line, const char *fmt, ...)
{
	char text[400];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	tell(b, warning, at, line, text);
}

static bool text_of(struct build *b, struct str path, struct str *out)
{
	for (size_t i = 0; i < b->n_files; i++)
		if (str_eq(b->files[i].path, path)) {
			*out = b->files[i].text;
			return true;
		}
	tell(b, false, (struct conf_place){ arena_copy(b->arena, path).p, 0, 0 }, STR_NONE, "this file was not read");
	return false;
}

/* Users ----------------------------------------------------------------------------------------- */

/* Its key: bare, or with the domain's first name where the domain is ours. */
static struct key user_key(struct build *b, struct user *user)
{
	struct address address;
	struct str ascii;
	if (!user->is_address)
		return key_of(user->name);
	if (address_parse(user->name, b->scratch, &address) != OK || address.literal ||
	    domain_to_ascii(address.domain, b->scratch, &ascii) != OK)
		return (struct key){ .n = 0 };
	const struct zone *zone = directory_zone(b->d, ascii);
	user->local = arena_copy(b->arena, address.local);
	struct key written = key_of_address(address.local, ascii);
	user->name = arena_copy(b->arena, key_text(&written));
	return zone != NULL ? key_of_address(address.local, zone->conf->names.items[0]) : written;
}

static void add_user(struct build *b, struct table *table, const struct user_line *line)
{
	arena_reset(b->scratch);
	struct user *user = ARENA_NEW(b->arena, struct user);
	*user = (struct user){ line->name, line->credential, line->name, line->is_address, line->at };
	struct key key = user_key(b, user);
	if (key.n == 0) {
		tell(b, false, line->at, STR_NONE, "this name cannot be one of a user");
		return;
	}
	const struct user *first = map_set(table->users, key_text(&key), user);
	if (first != NULL)
		tellf(b, false, line->at, STR_NONE, "this user stands in line %u already", first->at.line);
	table->list[table->n++] = user;
}

static void build_table(struct build *b, struct table *table)
{
	struct str text;
	unsigned errors = 0;
	size_t n = 0;
	table->users = map_new(0);
	if (!text_of(b, table->conf->file, &text))
		return;
	struct user_line *lines = users_parse(table->conf->file, text, b->arena, b->report, &errors);
	b->errors += errors;
	for (struct user_line *line = lines; line != NULL; line = line->next)
		n++;
	table->list = ARENA_ARRAY(b->arena, struct user *, n);
	for (struct user_line *line = lines; line != NULL; line = line->next)
		add_user(b, table, line);
}

static void check_send_as(struct build *b, const struct table *table)
{
	struct str items[] = { table->conf->name }, name, credential;
	const struct conf_list one = { items, 1 };
	for (size_t i = 0; i < table->conf->n_send_as; i++) {
		struct str user = table->conf->send_as[i].user;
		if (directory_user(b->d, &one, user, &name, &credential) == OK)
			continue;
		/* Each has its say: what they share is the place of their table. */
		report_line(b->report, true, table->conf->at, STR_NONE, "send-as names \"%.*s\", who is not in this table", SHOWN(user));
	}
}

/* Does a user of the table have a mailbox in this zone? */
static bool lives_in(const struct zone *zone, const struct user *user)
{
	size_t at;
	if (!user->is_address)
		return true;
	if (!str_rfind(user->name, '@', &at))
		return false;
	for (size_t i = 0; i < zone->conf->names.n; i++)
		if (str_eq(zone->conf->names.items[i], str_from(user->name, at + 1)))
			return true;
	return false;
}

static void check_users_of(struct build *b, const struct zone *zone, const struct table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct user *user = table->list[i];
		if (!lives_in(zone, user))
			continue;
		if (zone->conf->deliver == DELIVER_MAILDIR && !local_is_file_safe(user->local))
			tell(b, false, user->at, STR_NONE, "this name cannot name a Maildir: no / and no dot at its start");
		struct key bare = key_of(user->local);
		const struct user *twin = user->is_address ? map_get(table->users, key_text(&bare)) : NULL;
		if (twin != NULL)
			tellf(b, false, user->at, STR_NONE, "this mailbox is that of line %u, whose name stands without a domain",
			      twin->at.line);
	}
}

/* Names that lead to others --------------------------------------------------------------------- */

/* A written target. zone: where bare names belong; NULL is for addresses only. */
static bool read_target(struct build *b, struct zone *zone, struct str text, struct target *out)
{
	struct address address = { .local = text };
	struct str ascii;
	arena_reset(b->scratch);
	if (!str_has(text, '@') && zone != NULL) {
		out->zone = zone;
		out->local = text;
		out->domain = zone->conf->names.items[0];
		return true;
	}
	if (address_parse(text, b->scratch, &address) != OK)
		return false;
	ascii = address.domain;
	if (!address.literal && domain_to_ascii(address.domain, b->scratch, &ascii) != OK)
		return false;
	out->zone = directory_zone(b->d, ascii);
	out->local = arena_copy(b->arena, address.local);
	out->domain = arena_copy(b->arena, ascii);
	return true;
}

static void fill_alias_node(struct build *b, struct zone *zone, struct alias *alias, struct node *node)
{
	*node = (struct node){ .label = alias->name, .at = alias->at, .line = alias->line, .alias = alias };
	node->targets = ARENA_ARRAY(b->arena, struct target, alias->n);
	for (size_t i = 0; i < alias->n; i++) {
		struct target *target = &node->targets[node->n];
		target->at = alias->values[i].at;
		target->line = alias->values[i].line;
		if (read_target(b, zone, alias->values[i].text, target))
			node->n++;
	}
}

/* The key of an alias in this zone; false if its address belongs to another domain. */
static bool alias_key(struct build *b, const struct zone *zone, const struct alias *alias, struct key *out)
{
	struct target owner;
	*out = key_of(alias->name);
	if (!str_has(alias->name, '@'))
		return true;
	if (!read_target(b, NULL, alias->name, &owner) || owner.zone != zone)
		return false;
	*out = key_of(owner.local);
	return true;
}

static void add_alias(struct build *b, struct zone *zone, struct alias *alias)
{
	struct key key;
	if (!alias_key(b, zone, alias, &key))
		return;
	alias->used = true;
	struct node *first = map_get(zone->aliases, key_text(&key));
	if (first != NULL) {
		tellf(b, false, alias->at, alias->line, "\"%.*s\" stands in line %u of %s already", SHOWN(alias->name),
		      first->at.line, first->at.file);
		return;
	}
	struct node *node = ARENA_NEW(b->arena, struct node);
	fill_alias_node(b, zone, alias, node);
	map_set(zone->aliases, key_text(&key), node);

	struct hit hit = directory_lookup(b->d, zone, key_text(&key), false);
	if (hit.kind == HIT_USER)
		tellf(b, true, alias->at, alias->line, "\"%.*s\" is a user: this line has no effect", SHOWN(alias->name));
}

static struct alias *aliases_of(struct build *b, struct str path)
{
	struct str text;
	struct alias **slot = map_get(b->parsed, path);
	if (slot != NULL)
		return *slot;
	slot = ARENA_NEW(b->arena, struct alias *);
	map_set(b->parsed, path, slot);
	if (text_of(b, path, &text)) {
		unsigned errors = 0;
		*slot = aliases_parse(path, text, b->arena, b->report, &errors);
		b->errors += errors;
	}
	return *slot;
}

static struct node *catch_all_of(struct build *b, struct zone *zone)
{
	struct str address = zone->conf->catch_all;
	if (address.n == 0)
		return NULL;
	struct node *node = ARENA_NEW(b->arena, struct node);
	node->label = address;
	node->at = zone->conf->at;
	node->targets = ARENA_NEW(b->arena, struct target);
	node->targets[0].at = zone->conf->at;
	if (read_target(b, NULL, address, &node->targets[0]))
		node->n = 1;
	return node;
}

static void build_recipients(struct build *b, struct zone *zone)
{
	struct str text;
	unsigned errors = 0;
	if (zone->conf->recipients != RECIPIENTS_FILE)
		return;
	zone->recipients = map_new(0);
	if (!text_of(b, zone->conf->recipients_file, &text))
		return;
	struct user_line *line = recipients_parse(zone->conf->recipients_file, text, b->arena, b->report, &errors);
	b->errors += errors;
	for (; line != NULL; line = line->next) {
		struct target owner = { .zone = zone, .local = line->name };
		if (line->is_address && (!read_target(b, NULL, line->name, &owner) || owner.zone != zone))
			continue;
		struct key key = key_of(owner.local);
		map_set(zone->recipients, key_text(&key), line);
		if (zone->conf->deliver == DELIVER_MAILDIR && !local_is_file_safe(owner.local))
			tell(b, false, line->at, STR_NONE, "this name cannot name a Maildir: no / and no dot at its start");
	}
}

static void build_zone(struct build *b, struct zone *zone)
{
	zone->aliases = map_new(0);
	zone->tables = ARENA_ARRAY(b->arena, struct table *, zone->conf->users.n + 1);
	for (size_t i = 0; i < zone->conf->users.n; i++)
		for (size_t j = 0; j < b->d->n_tables; j++)
			if (str_eq(b->d->tables[j].conf->name, zone->conf->users.items[i]))
				zone->tables[zone->n_tables++] = &b->d->tables[j];
	build_recipients(b, zone);
	for (size_t i = 0; i < zone->n_tables; i++)
		check_users_of(b, zone, zone->tables[i]);
	for (size_t i = 0; i < zone->conf->aliases.n; i++)
		for (struct alias *alias = aliases_of(b, zone->conf->aliases.items[i]); alias != NULL; alias = alias->next)
			add_alias(b, zone, alias);
	zone->catch_all = catch_all_of(b, zone);
}

static void build_postmaster(struct build *b)
{
	struct node *node = b->d->postmaster;
	const struct conf_list *addresses = &b->d->conf->postmaster;
	node->label = STR("postmaster");
	node->at = (struct conf_place){ "postmaster", 0, 0 };
	node->targets = ARENA_ARRAY(b->arena, struct target, addresses->n + 1);
	for (size_t i = 0; i < addresses->n; i++) {
		node->targets[node->n].at = node->at;
		if (read_target(b, NULL, addresses->items[i], &node->targets[node->n]))
			node->n++;
	}
}

/* The graph ------------------------------------------------------------------------------------- */

static void tell_loop(struct build *b, const struct node *node, unsigned depth)
{
	char text[300];
	size_t n = 0;
	unsigned from = 0;
	while (b->path[from] != node)
		from++;
	for (unsigned i = from; i <= depth && n < sizeof text; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s -> ", SHOWN(b->path[i]->label));
	if (n < sizeof text)
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s", SHOWN(node->label));
	tellf(b, false, node->at, node->line, "\"%.*s\" leads back to itself: %s%s", SHOWN(node->label), text,
	      n < sizeof text ? "" : "...");
}

static void visit(struct build *b, struct node *node, unsigned depth);

static void visit_target(struct build *b, struct node *node, const struct target *target, unsigned depth)
{
	if (target->zone == NULL)
		return;
	struct hit hit = directory_lookup(b->d, target->zone, target->local, true);
	/* What only the catch-all would take cannot be the catch-all. */
	if (hit.kind == HIT_NONE || (hit.kind == HIT_NODE && hit.node == node && node->alias == NULL)) {
		tellf(b, false, target->at, target->line, "\"%.*s\" is nobody in %.*s", SHOWN(target->local),
		      SHOWN(target->domain));
		return;
	}
	if (hit.kind != HIT_NODE)
		return;
	if (hit.node == target->zone->catch_all && node->alias != NULL)
		tellf(b, true, target->at, target->line, "\"%.*s\" is nobody in %.*s: the catch-all takes it", SHOWN(target->local),
		      SHOWN(target->domain));
	if (hit.node->colour == GREY) {
		tell_loop(b, hit.node, depth);
	} else if (hit.node->colour == BLACK ? depth + 1 + hit.node->height > DIRECTORY_DEPTH_MAX
	                                     : depth + 1 >= DIRECTORY_DEPTH_MAX) {
		tellf(b, false, b->path[0]->at, b->path[0]->line, "\"%.*s\" leads on and on: more than %d names one after the other",
		      SHOWN(b->path[0]->label), DIRECTORY_DEPTH_MAX);
	} else if (hit.node->colour == WHITE) {
		visit(b, hit.node, depth + 1);
	}
	if (hit.node->colour == BLACK && hit.node->height + 1 > node->height)
		node->height = hit.node->height + 1;
}

static void visit(struct build *b, struct node *node, unsigned depth)
{
	if (node->colour != WHITE)
		return;
	node->colour = GREY;
	node->height = 1;
	b->path[depth] = node;
	for (size_t i = 0; i < node->n; i++)
		visit_target(b, node, &node->targets[i], depth);
	node->colour = BLACK;
}

static void check_targets(struct build *b, const struct zone *zone, struct node *node)
{
	struct arena *a = arena_new(64 << 20);
	struct directory_answer answer;
	struct address address = { .local = node->label, .domain = zone->conf->names.items[0] };
	size_t at;
	if (str_rfind(address.local, '@', &at))
		address.local = str_sub(address.local, 0, at);
	if (directory_recipient(b->d, &address, a, &answer) == F_LIMIT)
		tellf(b, false, node->at, node->line, "\"%.*s\" leads to more than %d recipients", SHOWN(node->label),
		      DIRECTORY_TARGETS_MAX);
	arena_free(&a);
}

/* In the order of the files, so that the report is the same each time. */
static void each_alias(struct build *b, void (*look)(struct build *, const struct zone *, struct node *))
{
	for (size_t i = 0; i < b->d->n_zones; i++) {
		struct zone *zone = &b->d->zones[i];
		for (size_t j = 0; j < zone->conf->aliases.n; j++)
			for (struct alias *alias = aliases_of(b, zone->conf->aliases.items[j]); alias != NULL; alias = alias->next) {
				struct key key;
				struct node *node = alias_key(b, zone, alias, &key) ? map_get(zone->aliases, key_text(&key)) : NULL;
				if (node != NULL && node->alias == alias)
					look(b, zone, node);
			}
	}
}

static void visit_alias(struct build *b, const struct zone *zone, struct node *node)
{
	(void)zone;
	visit(b, node, 0);
}

static void check_unused(struct build *b)
{
	for (size_t i = 0; i < b->d->n_zones; i++) {
		const struct conf_list *paths = &b->d->conf->domains[i].aliases;
		for (size_t j = 0; j < paths->n; j++)
			for (struct alias *alias = aliases_of(b, paths->items[j]); alias != NULL; alias = alias->next)
				if (!alias->used)
					tellf(b, false, alias->at, alias->line, "\"%.*s\" is in no domain that takes this file", SHOWN(alias->name));
	}
}

static void check_graph(struct build *b)
{
	each_alias(b, visit_alias);
	for (size_t i = 0; i < b->d->n_zones; i++)
		if (b->d->zones[i].catch_all != NULL)
			visit(b, b->d->zones[i].catch_all, 0);
	visit(b, b->d->postmaster, 0);
	check_unused(b);
	if (b->errors == 0)
		each_alias(b, check_targets);
}

/* ----------------------------------------------------------------------------------------------- */

static struct directory *new_directory(const struct conf *conf)
{
	struct arena *a = arena_new(ARENA_BYTES_MAX);
	struct directory *d = ARENA_NEW(a, struct directory);
	d->arena = a;
	d->conf = conf;
	d->n_tables = conf->n_users;
	d->n_zones = conf->n_domains;
	d->postmaster = ARENA_NEW(a, struct node);
	d->tables = ARENA_ARRAY(a, struct table, conf->n_users + 1);
	d->zones = ARENA_ARRAY(a, struct zone, conf->n_domains + 1);
	for (size_t i = 0; i < conf->n_users; i++)
		d->tables[i].conf = &conf->users[i];
	for (size_t i = 0; i < conf->n_domains; i++)
		d->zones[i].conf = &conf->domains[i];
	return d;
}

fault directory_new(const struct conf *conf, const struct directory_file *files, size_t n, struct directory **out,
                    struct conf_report *report)
{
	struct build b = { .d = new_directory(conf), .scratch = arena_new(1 << 20), .report = report, .files = files,
		           .n_files = n, .parsed = map_new(0), .told = map_new(0) };
	b.arena = b.d->arena;
	for (size_t i = 0; i < conf->n_users; i++)
		build_table(&b, &b.d->tables[i]);
	for (size_t i = 0; i < conf->n_domains; i++)
		build_zone(&b, &b.d->zones[i]);
	build_postmaster(&b);
	check_graph(&b);
	for (size_t i = 0; i < conf->n_users && b.errors == 0; i++)
		check_send_as(&b, &b.d->tables[i]);

	map_free(&b.parsed);
	map_free(&b.told);
	arena_free(&b.scratch);
	if (b.errors > 0) {
		directory_free(&b.d);
		return F_SYNTAX;
	}
	*out = b.d;
	return OK;
}

void directory_free(struct directory **d)
{
	if (*d == NULL)
		return;
	for (size_t i = 0; i < (*d)->n_tables; i++)
		map_free(&(*d)->tables[i].users);
	for (size_t i = 0; i < (*d)->n_zones; i++) {
		map_free(&(*d)->zones[i].aliases);
		map_free(&(*d)->zones[i].recipients);
	}
	struct arena *a = (*d)->arena;
	*d = NULL;
	arena_free(&a);
}
