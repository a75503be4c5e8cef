/* SPDX-License-Identifier: ISC */
/*
 * policy/directory_inside.h -- what directory.c (lookups) and directory_build.c (making and checking) share.
 *
 * A node is a name that leads to others: an alias in one domain, a domain's catch-all, the postmaster of all.
 *
 * Tests    test/unit/policy/directory_test.c
 */
#ifndef POLICY_DIRECTORY_INSIDE_H
#define POLICY_DIRECTORY_INSIDE_H

#include "base/map.h"
#include "policy/aliases.h"
#include "policy/directory.h"
#include "policy/users.h"

enum { DIRECTORY_DEPTH_MAX = 32, NAME_MAX_BYTES = 64 + 1 + 255 };

struct zone;

struct target {
	struct zone *zone;           /* NULL: an address elsewhere */
	struct str local, domain;    /* domain: as written, in A-labels */
	struct conf_place at;
	struct str line;
};

struct node {
	struct str label;
	struct target *targets;
	size_t n;
	struct conf_place at;
	struct str line;
	struct alias *alias;         /* NULL: catch-all or postmaster */
	enum { WHITE, GREY, BLACK } colour;   /* while the graph is checked */
	unsigned height;
};

struct user {
	struct str name, credential, local;
	bool is_address;
	struct conf_place at;
};

struct table {
	const struct conf_users *conf;
	struct map *users;           /* "local" or "local@domain", lower case, domain canonical -> struct user */
	struct user **list;
	size_t n;
};

struct zone {
	const struct conf_domain *conf;
	struct table **tables;
	size_t n_tables;
	struct map *aliases;         /* local name, lower case -> struct node */
	struct map *recipients;      /* the same -> struct user_line; NULL without a file */
	struct node *catch_all;      /* or NULL */
};

struct directory {
	struct arena *arena;
	const struct conf *conf;
	struct table *tables;        /* beside conf->users */
	struct zone *zones;          /* beside conf->domains */
	size_t n_tables, n_zones;
	struct node *postmaster;
};

enum hit_kind { HIT_NONE, HIT_USER, HIT_NODE, HIT_RECIPIENT, HIT_VERIFY };

struct hit {
	enum hit_kind kind;
	const struct user *user;
	struct node *node;
	struct str local;            /* of the mailbox; may point into the question */
};

/* Who is this local part in this zone? */
struct hit directory_lookup(const struct directory *d, const struct zone *zone, struct str local, bool with_catch_all);
struct zone *directory_zone(const struct directory *d, struct str ascii_domain); /* NULL: not ours */

/* A key for the maps: ASCII lower case. Empty if the text is too long for one. */
struct key { char text[NAME_MAX_BYTES + 1]; size_t n; };
struct key key_of(struct str local);
struct key key_of_address(struct str local, struct str domain);
struct str key_text(const struct key *key);

#endif
