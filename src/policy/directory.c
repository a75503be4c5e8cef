/* SPDX-License-Identifier: ISC */
#include "policy/directory.h"

#include <string.h>

#include "base/check.h"
#include "policy/directory_inside.h"

enum { LOCAL_MAX = 64 };

struct key key_of(struct str local)
{
	struct key key = { .n = 0 };
	if (local.n > NAME_MAX_BYTES)
		return key;
	for (size_t i = 0; i < local.n; i++)
		key.text[i] = (char)ascii_lower((unsigned char)local.p[i]);
	key.n = local.n;
	return key;
}

struct key key_of_address(struct str local, struct str domain)
{
	struct key key = key_of(local);
	if (local.n == 0 || local.n + 1 + domain.n > NAME_MAX_BYTES)
		return (struct key){ .n = 0 };
	key.text[key.n++] = '@';
	for (size_t i = 0; i < domain.n; i++)
		key.text[key.n++] = (char)ascii_lower((unsigned char)domain.p[i]);
	return key;
}

struct str key_text(const struct key *key)
{
	return (struct str){ key->text, key->n };
}

struct zone *directory_zone(const struct directory *d, struct str ascii_domain)
{
	const struct conf_domain *domain = conf_domain_find(d->conf, ascii_domain);
	return domain != NULL ? &d->zones[domain - d->conf->domains] : NULL;
}

static const struct table *directory_table(const struct directory *d, struct str name)
{
	for (size_t i = 0; i < d->n_tables; i++)
		if (str_eq(d->tables[i].conf->name, name))
			return &d->tables[i];
	return NULL;
}

static const struct user *user_in_zone(const struct zone *zone, struct str local)
{
	struct key bare = key_of(local), whole = key_of_address(local, zone->conf->names.items[0]);
	for (size_t i = 0; i < zone->n_tables; i++) {
		const struct user *user = map_get(zone->tables[i]->users, key_text(&bare));
		if (user == NULL && whole.n > 0)
			user = map_get(zone->tables[i]->users, key_text(&whole));
		if (user != NULL)
			return user;
	}
	return NULL;
}

/* What the tables say of exactly this name. */
static struct hit lookup_exact(const struct zone *zone, struct str local)
{
	struct key key = key_of(local);
	if (key.n == 0 || local.n > LOCAL_MAX)
		return (struct hit){ .kind = HIT_NONE };
	const struct user *user = user_in_zone(zone, local);
	if (user != NULL)
		return (struct hit){ .kind = HIT_USER, .user = user, .local = user->local };
	struct node *node = map_get(zone->aliases, key_text(&key));
	if (node != NULL)
		return (struct hit){ .kind = HIT_NODE, .node = node };
	const struct user_line *line = zone->recipients != NULL ? map_get(zone->recipients, key_text(&key)) : NULL;
	if (line != NULL)
		return (struct hit){ .kind = HIT_RECIPIENT, .local = local };
	return (struct hit){ .kind = HIT_NONE };
}

static bool is_maildir(const struct zone *zone)
{
	return zone->conf->deliver == DELIVER_MAILDIR;
}

/* The name without its tag; false if it has none. */
static bool cut_tag(const struct zone *zone, struct str local, struct str *out)
{
	size_t at;
	if (zone->conf->tag == 0 || !str_find(local, zone->conf->tag, &at) || at == 0)
		return false;
	*out = str_sub(local, 0, at);
	return true;
}

struct hit directory_lookup(const struct directory *d, const struct zone *zone, struct str local, bool with_catch_all)
{
	struct str base;
	struct hit hit = lookup_exact(zone, local);
	bool tagged = cut_tag(zone, local, &base);
	if (hit.kind == HIT_NONE && tagged) {
		hit = lookup_exact(zone, base);
		/* Another server behind us may file by the tag; a Maildir has the base name. */
		if ((hit.kind == HIT_USER || hit.kind == HIT_RECIPIENT) && !is_maildir(zone))
			hit.local = local;
	}
	if (hit.kind != HIT_NONE)
		return hit;
	if (str_eq_nocase(local, STR("postmaster")))
		return (struct hit){ .kind = HIT_NODE, .node = d->postmaster };
	if (local.n > LOCAL_MAX)
		return hit;
	if (zone->conf->recipients == RECIPIENTS_VERIFY)
		return (struct hit){ .kind = HIT_VERIFY, .local = local };
	struct str mailbox = is_maildir(zone) && tagged ? base : local;
	if (zone->conf->recipients == RECIPIENTS_ANY && (!is_maildir(zone) || local_is_file_safe(mailbox)))
		return (struct hit){ .kind = HIT_RECIPIENT, .local = mailbox };
	if (with_catch_all && zone->catch_all != NULL)
		return (struct hit){ .kind = HIT_NODE, .node = zone->catch_all };
	return hit;
}

/* Resolving ------------------------------------------------------------------------------------ */

struct resolving {
	const struct directory *d;
	struct arena *arena;
	struct str *targets;
	size_t n;
	struct map *seen;            /* nodes and targets; made when the first node is expanded */
	bool with_catch_all, verify;
};

static fault add_target(struct resolving *r, struct str local, struct str domain)
{
	struct address address = { .local = local, .domain = domain, .literal = domain.n > 0 && domain.p[0] == '[' };
	struct str text = address_text(&address, r->arena);
	if (text.n == 0)
		return F_LIMIT;
	if (r->seen != NULL && map_get(r->seen, text) != NULL)
		return OK;
	if (r->n == DIRECTORY_TARGETS_MAX)
		return F_LIMIT;
	if ((r->n & (r->n - 1)) == 0) {
		struct str *more = arena_try_alloc(r->arena, (r->n == 0 ? 1 : 2 * r->n) * sizeof *more);
		if (more == NULL)
			return F_LIMIT;
		if (r->n > 0)
			memcpy(more, r->targets, r->n * sizeof *more);
		r->targets = more;
	}
	r->targets[r->n++] = text;
	if (r->seen != NULL)
		map_set(r->seen, text, r);
	return OK;
}

static fault add_mailbox(struct resolving *r, const struct zone *zone, const struct hit *hit, struct str domain)
{
	/* Several names of a domain share their mailboxes; another server is told the name that was asked for. */
	bool ours = hit->kind == HIT_USER || is_maildir(zone);
	char lower[LOCAL_MAX];
	struct str local = hit->local;
	if (hit->kind == HIT_RECIPIENT && is_maildir(zone)) {
		check(local.n <= sizeof lower);
		for (size_t i = 0; i < local.n; i++)
			lower[i] = (char)ascii_lower((unsigned char)local.p[i]);
		local = (struct str){ lower, local.n };
	}
	return add_target(r, local, ours ? zone->conf->names.items[0] : domain);
}

static fault expand(struct resolving *r, const struct node *node, unsigned depth);

static fault resolve(struct resolving *r, const struct zone *zone, struct str local, struct str domain, unsigned depth,
                     bool *found)
{
	struct hit hit = directory_lookup(r->d, zone, local, r->with_catch_all);
	*found = hit.kind != HIT_NONE;
	if (hit.kind == HIT_NODE)
		return expand(r, hit.node, depth + 1);
	if (hit.kind == HIT_NONE)
		return OK;
	if (hit.kind == HIT_VERIFY && depth == 0)
		r->verify = true;
	return add_mailbox(r, zone, &hit, domain);
}

static fault expand(struct resolving *r, const struct node *node, unsigned depth)
{
	struct key key = { .n = sizeof node };
	memcpy(key.text, &node, sizeof node);
	if (depth > DIRECTORY_DEPTH_MAX)
		return F_LIMIT;
	if (r->seen == NULL)
		r->seen = map_new(0);
	if (map_get(r->seen, key_text(&key)) != NULL)
		return OK;
	map_set(r->seen, key_text(&key), r);

	for (size_t i = 0; i < node->n; i++) {
		const struct target *target = &node->targets[i];
		bool found;
		if (target->zone == NULL)
			TRY(add_target(r, target->local, target->domain));
		else
			TRY(resolve(r, target->zone, target->local, target->domain, depth, &found));
	}
	return OK;
}

static fault ascii_domain(const struct address *address, struct arena *a, struct str *out)
{
	if (address->literal)
		*out = address->domain;
	else
		TRY(domain_to_ascii(address->domain, a, out));
	return OK;
}

static fault answer(const struct directory *d, const struct address *address, struct arena *a, bool with_catch_all,
                    struct directory_answer *out)
{
	struct resolving r = { .d = d, .arena = a, .with_catch_all = with_catch_all };
	struct str domain = STR_NONE;
	bool found = false, bare = address->domain.n == 0;
	if (!bare && ascii_domain(address, a, &domain) != OK)
		return F_LIMIT;
	const struct zone *zone = bare ? NULL : directory_zone(d, domain);
	if (zone == NULL && !(bare && str_eq_nocase(address->local, STR("postmaster")))) {
		*out = (struct directory_answer){ bare ? DIR_UNKNOWN : DIR_REMOTE, NULL, 0 };
		return OK;
	}
	fault f = bare ? expand(&r, d->postmaster, 1) : resolve(&r, zone, address->local, domain, 0, &found);
	map_free(&r.seen);
	if (f != OK)
		return f;
	*out = (struct directory_answer){ DIR_LOCAL, r.targets, r.n };
	if (r.verify)
		out->verdict = DIR_VERIFY;
	else if (!bare && !found)
		*out = (struct directory_answer){ DIR_UNKNOWN, NULL, 0 };
	return OK;
}

fault directory_recipient(const struct directory *d, const struct address *address, struct arena *a,
                          struct directory_answer *out)
{
	return answer(d, address, a, true, out);
}

/* People ---------------------------------------------------------------------------------------- */

static bool zone_has_table(const struct zone *zone, const struct table *table)
{
	for (size_t i = 0; i < zone->n_tables; i++)
		if (zone->tables[i] == table)
			return true;
	return false;
}

/* Who in this table logs in with this name? */
static const struct user *user_by_login(const struct directory *d, const struct table *table, struct str local,
                                        struct str ascii)
{
	struct key key = key_of(local);
	if (key.n == 0)
		return NULL;
	if (ascii.n == 0)
		return map_get(table->users, key_text(&key));
	const struct zone *zone = directory_zone(d, ascii);
	struct key whole = key_of_address(local, zone != NULL ? zone->conf->names.items[0] : ascii);
	const struct user *user = whole.n > 0 ? map_get(table->users, key_text(&whole)) : NULL;
	if (user == NULL && zone != NULL && zone_has_table(zone, table))
		user = map_get(table->users, key_text(&key));
	return user;
}

static const struct user *find_login(const struct directory *d, const struct conf_list *tables, struct str login,
                                     struct arena *scratch, const struct table **table_out)
{
	struct str local = login, ascii = STR_NONE;
	size_t at;
	if (str_rfind(login, '@', &at)) {
		local = str_sub(login, 0, at);
		if (domain_to_ascii(str_from(login, at + 1), scratch, &ascii) != OK || local.n == 0)
			return NULL;
	}
	for (size_t i = 0; i < tables->n; i++) {
		const struct table *table = directory_table(d, tables->items[i]);
		const struct user *user = table != NULL ? user_by_login(d, table, local, ascii) : NULL;
		if (user != NULL) {
			*table_out = table;
			return user;
		}
	}
	return NULL;
}

fault directory_user(const struct directory *d, const struct conf_list *tables, struct str login,
                     struct str *name_out, struct str *credential_out)
{
	struct arena *scratch = arena_new(1 << 16);
	const struct table *table;
	const struct user *user = find_login(d, tables, login, scratch, &table);
	arena_free(&scratch);
	if (user == NULL)
		return F_ABSENT;
	*name_out = user->name;
	*credential_out = user->credential;
	return OK;
}

/* "*@domain", or an address. */
static bool pattern_owns(struct str pattern, const struct address *address, struct str ascii, struct arena *scratch)
{
	struct address owned;
	struct str domain;
	if (str_take(&pattern, STR("*@")))
		return str_eq_nocase(pattern, ascii);
	if (address_parse(pattern, scratch, &owned) != OK || ascii_domain(&owned, scratch, &domain) != OK)
		return false;
	return str_eq_nocase(owned.local, address->local) && str_eq_nocase(domain, ascii);
}

static bool send_as_owns(const struct directory *d, const struct table *table, const struct user *user,
                         const struct address *address, struct str ascii, struct arena *scratch)
{
	struct str name = table->conf->name;
	struct conf_list one = { &name, 1 };
	for (size_t i = 0; i < table->conf->n_send_as; i++) {
		const struct conf_send_as *line = &table->conf->send_as[i];
		const struct table *found_in;
		if (find_login(d, &one, line->user, scratch, &found_in) != user)
			continue;
		for (size_t j = 0; j < line->addresses.n; j++)
			if (pattern_owns(line->addresses.items[j], address, ascii, scratch))
				return true;
	}
	return false;
}

/* Does mail to this address reach this user's mailbox and nobody else? */
static bool leads_to_alone(const struct directory *d, const struct table *table, const struct user *user,
                           const struct address *address, struct arena *scratch)
{
	struct directory_answer found;
	struct address mailbox;
	if (answer(d, address, scratch, false, &found) != OK || found.verdict != DIR_LOCAL || found.n_targets != 1 ||
	    address_parse(found.targets[0], scratch, &mailbox) != OK)
		return false;
	const struct zone *zone = directory_zone(d, mailbox.domain);
	if (zone == NULL || !zone_has_table(zone, table))
		return false;
	struct hit hit = directory_lookup(d, zone, mailbox.local, false);
	return hit.kind == HIT_USER && hit.user == user;
}

static bool owns(const struct directory *d, const struct table *table, const struct user *user,
                 const struct address *address, struct str ascii, struct arena *scratch)
{
	if (leads_to_alone(d, table, user, address, scratch) || send_as_owns(d, table, user, address, ascii, scratch))
		return true;
	if (!user->is_address)
		return false;
	struct key own = key_of(user->name), asked = key_of_address(address->local, ascii);
	return asked.n > 0 && str_eq(key_text(&own), key_text(&asked));
}

bool directory_may_send(const struct directory *d, const struct conf_list *tables, struct str user,
                        const struct address *address, struct arena *scratch)
{
	const struct table *table;
	struct str ascii;
	if (address_is_null(address))
		return true;
	if (address->domain.n == 0 || ascii_domain(address, scratch, &ascii) != OK)
		return false;
	const struct user *who = find_login(d, tables, user, scratch, &table);
	return who != NULL && owns(d, table, who, address, ascii, scratch);
}
