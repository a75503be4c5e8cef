/* SPDX-License-Identifier: ISC */
/*
 * conf/table.h -- every directive as one row: what it is called, takes, means and defaults to.
 *
 * The rows are read by conf_read, `sealpost explain`, the manual page and the tests. A default is written as one
 * would write it in the file, and read by the same code.
 *
 * Tests    test/unit/conf, fuzz/conf.c
 */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include "conf/tree.h"

enum value_type {
	VALUE_NAME,      /* of a users table or relay */
	VALUE_HOST,      /* a domain name, kept as A-labels */
	VALUE_ADDRESS,   /* local@domain */
	VALUE_PATH,      /* absolute */
	VALUE_DURATION,
	VALUE_SIZE,
	VALUE_NUMBER,
	VALUE_WORD,      /* one of .words; stored as its index */
	VALUE_LISTEN,    /* an address and port, or unix:/path */
	VALUE_IP,
	VALUE_NETWORK,
	VALUE_SERVER,    /* IP[:PORT] of a name server; kept with its port */
	VALUE_NEXT_HOP,  /* HOST:PORT */
	VALUE_TAG,       /* one character */
	VALUE_SPECIAL,   /* .read knows */
	VALUE_BLOCK,     /* .rows */
};

enum directive_flag {
	MANY = 1,        /* takes several words; the field is a conf_list, or what .read makes of it */
	REPEAT = 2,      /* may be written several times */
	REQUIRED = 4,    /* its block is wrong without it */
	OR_NONE = 8,     /* `none` is 0 */
	NAMED = 16,      /* a block with one name */
	NAMED_MANY = 32, /* a block with names */
	OF_USERS = 64,   /* the values name users tables */
};

struct reader;
struct directive;

struct seen { const struct directive *rows; const struct node **nodes; }; /* by row, NULL: not written */

struct directive {
	const char *name, *argument, *help;
	enum value_type type;
	unsigned flags;
	size_t at, size;               /* the field in its struct */
	uint64_t min, max;
	const char *preset;            /* the default, as text */
	const char *otherwise;         /* the default in words where it is not a text */
	const char *const *words;      /* ends with NULL */
	unsigned file;                 /* enum conf_file_use, for a path that is opened */
	const char *example;           /* one value, for messages and the manual */
	void (*read)(struct reader *r, const struct directive *d, const struct node *node, void *object);

	/* Blocks: their rows; where a block may come several times, .add makes the object; .close looks at the whole. */
	const struct directive *rows;
	void *(*add)(struct reader *r, const struct node *node);
	void (*close)(struct reader *r, const struct node *node, void *object, const struct seen *seen);
};

extern const struct directive conf_directives[]; /* ends with a row without a name */

size_t directive_count(const struct directive *rows);
/* NULL if there is none. */
const struct directive *directive_find(const struct directive *rows, struct str name);
/* What it takes, in words: "a duration from 1s to 7d, such as 15m". */
fault directive_expects(struct buf *out, const struct directive *d);

#endif
