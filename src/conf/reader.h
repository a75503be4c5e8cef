/* SPDX-License-Identifier: ISC */
/*
 * conf/reader.h -- what the files of conf/ share while a configuration is read.
 *
 * Tests    test/unit/conf, fuzz/conf.c
 */
#ifndef CONF_READER_H
#define CONF_READER_H

#include "conf/table.h"

/* A name that must be defined somewhere: looked up when everything is read. */
struct reference { struct str name; struct conf_place at; bool relay; /* else a users table */ };
struct heard { struct str endpoint; struct conf_place at; };

struct reader {
	struct arena *arena;
	struct troubles troubles;
	struct conf *conf;
	const char *main_file;
	struct reference *references;   size_t n_references;
	struct heard *heard;            size_t n_heard;
	struct conf_file *files;        size_t n_files;
};

void note_reference(struct reader *r, const struct word *w, bool relay);
void note_file(struct reader *r, struct str path, unsigned use, struct conf_place at);

/* Adds one member to an array in the arena and returns it, zeroed. */
void *reader_grow(struct reader *r, void *items_field, size_t *n_field, size_t size);
#define GROW(r, items, n) reader_grow((r), &(items), &(n), sizeof *(items))
void list_add(struct reader *r, struct conf_list *list, struct str s);
bool list_has(const struct conf_list *list, struct str s);

/* One value, told if wrong. */
bool read_number(struct reader *r, const struct directive *d, const struct word *w, void *field);
bool read_address(struct reader *r, const struct word *w, struct str *out);
bool read_path(struct reader *r, const struct word *w, struct str *out);
bool read_name(struct reader *r, const struct word *w, struct str *out);
bool read_host(struct reader *r, const struct word *w, struct str *out);
/* DOMAIN or *.DOMAIN, in A-labels. */
bool read_domain_pattern(struct reader *r, const struct word *w, struct str *out);
bool put_host_port(struct reader *r, struct str ascii, uint16_t port, struct str *out);
/* An error at the word after the last one of the line. */
struct conf_place end_of(const struct node *node);
void expect_directive(struct reader *r, const struct directive *d);

/* The readers that the tables name: special.c. */
void read_source(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_send_as(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_recipients(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_deliver(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_retry(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_rate(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_trust(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_proxy(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_listen_tls(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_relay_tls(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_direct_tls(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_exception(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_login(struct reader *r, const struct directive *d, const struct node *node, void *object);
void read_route(struct reader *r, const struct directive *d, const struct node *node, void *object);

/* What only all blocks together can tell. */
void check_whole(struct reader *r);

#endif
