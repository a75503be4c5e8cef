/* SPDX-License-Identifier: ISC */
/* conf/read.c -- walks the tree by the tables and fills a struct conf. */
#include "conf/reader.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "conf/value.h"
#include "mail/address.h"

enum { ARENA_BYTES_MAX = 1 << 30, ROWS_MAX = 24, PRESET_WORDS_MAX = 8, WORDS_MAX = 8, EXPECTED_MAX = 300 };

struct conf_place end_of(const struct node *node)
{
	const struct word *last = &node->words[node->n_words - 1];
	struct conf_place at = last->at;
	for (size_t i = 0; i < last->text.n; i++)
		at.column += ((unsigned char)last->text.p[i] & 0xc0) != 0x80;
	return at;
}

void expect_directive(struct reader *r, const struct directive *d)
{
	struct buf text;
	buf_init(&text, EXPECTED_MAX);
	fault cut_off = directive_expects(&text, d);
	(void)cut_off;
	struct str s = buf_view(&text);
	if (d->example != NULL && d->example[0] != '\0' && d->type != VALUE_WORD)
		trouble_expected(&r->troubles, "expected %.*s, such as: %s %s", STR_ARG(s), d->name, d->example);
	else
		trouble_expected(&r->troubles, "expected %.*s", STR_ARG(s));
	buf_fini(&text);
}

/* True if the node has exactly this many words after its name; told otherwise. */
static bool has_words(struct reader *r, const struct node *node, size_t n, const char *expected)
{
	if (node->n_words == n + 1)
		return true;
	if (node->n_words > n + 1)
		trouble_error(&r->troubles, node->words[n + 1].at, "too many words for \"%.*s\"", SHOWN(node->words[0].text));
	else
		trouble_error(&r->troubles, end_of(node), "\"%.*s\" needs more words", SHOWN(node->words[0].text));
	trouble_expected(&r->troubles, "expected %s", expected);
	return false;
}

static bool is_text(enum value_type type)
{
	return type == VALUE_NAME || type == VALUE_HOST || type == VALUE_ADDRESS || type == VALUE_PATH ||
	       type == VALUE_LISTEN || type == VALUE_IP || type == VALUE_SERVER || type == VALUE_NEXT_HOP;
}

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum((unsigned char)s.p[i]) && (i == 0 || !str_has(STR("-_."), s.p[i])))
			return s.p[i] == '_' && i == 0 && s.n > 1;
	return s.n > 0 && s.n <= 64;
}

static struct str kept(struct reader *r, struct str s)
{
	return arena_copy(r->arena, s);
}

bool read_name(struct reader *r, const struct word *w, struct str *out)
{
	if (!is_name(w->text)) {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not a name", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected letters, digits, \"-\", \"_\" and \".\", 64 at most");
		return false;
	}
	*out = kept(r, w->text);
	return true;
}

bool read_path(struct reader *r, const struct word *w, struct str *out)
{
	if (w->text.n < 2 || w->text.p[0] != '/' || w->text.n > 4000) {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not a path from the root", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected a path that begins with /");
		return false;
	}
	*out = kept(r, w->text);
	return true;
}

bool read_address(struct reader *r, const struct word *w, struct str *out)
{
	struct address address;
	if (address_parse(w->text, r->arena, &address) != OK) {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not an address", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected local@domain");
		return false;
	}
	*out = address_text(&address, r->arena);
	return true;
}

bool read_host(struct reader *r, const struct word *w, struct str *out)
{
	struct conf_network ip;
	if (!value_ip(w->text, &ip) && domain_to_ascii(w->text, r->arena, out) == OK)
		return true;
	trouble_error(&r->troubles, w->at, "\"%.*s\" is not a domain name", SHOWN(w->text));
	trouble_expected(&r->troubles, "expected labels of letters, digits and \"-\" with dots between, such as mx1.example.org");
	return false;
}

static bool wrong(struct reader *r, const struct directive *d, const struct word *w, const char *problem)
{
	trouble_error(&r->troubles, w->at, "\"%.*s\" is %s", SHOWN(w->text), problem);
	expect_directive(r, d);
	return false;
}

static bool read_server(struct reader *r, const struct directive *d, const struct word *w, struct str *out)
{
	struct conf_network ip;
	struct endpoint e;
	char text[NETWORK_TEXT_MAX];
	if (value_ip(w->text, &ip)) {
		struct buf with_port;
		buf_init(&with_port, 100);
		struct str plain = network_text(&ip, text);
		fault fits = buf_addf(&with_port, ip.ipv6 ? "[%.*s]:53" : "%.*s:53", STR_ARG(plain));
		check(fits == OK);
		*out = kept(r, buf_view(&with_port));
		buf_fini(&with_port);
		return true;
	}
	if (!value_endpoint(w->text, &e) || e.is_unix || e.port == 0)
		return wrong(r, d, w, "not the address of a name server");
	*out = kept(r, w->text);
	return true;
}

/* As the DNS has it: A-labels. */
bool put_host_port(struct reader *r, struct str ascii, uint16_t port, struct str *out)
{
	char text[300];
	(void)snprintf(text, sizeof text, "%.*s:%u", STR_ARG(ascii), (unsigned)port);
	*out = arena_copy(r->arena, str_of(text));
	return true;
}

static bool read_next_hop(struct reader *r, const struct directive *d, const struct word *w, struct str *out)
{
	struct str host, ascii;
	uint16_t port;
	struct conf_network ip;
	if (!value_host_port(w->text, &host, &port))
		return wrong(r, d, w, "not a host with its port");
	if (value_ip(host, &ip)) {
		*out = kept(r, w->text);
		return true;
	}
	return domain_to_ascii(host, r->arena, &ascii) == OK ? put_host_port(r, ascii, port, out)
	                                                     : wrong(r, d, w, "not a host with its port");
}

static bool read_word(struct reader *r, const struct directive *d, const struct word *w, struct str *out)
{
	struct endpoint e;
	struct conf_network ip;
	switch (d->type) {
	case VALUE_NAME: return read_name(r, w, out);
	case VALUE_HOST: return read_host(r, w, out);
	case VALUE_ADDRESS: return read_address(r, w, out);
	case VALUE_PATH: return read_path(r, w, out);
	case VALUE_SERVER: return read_server(r, d, w, out);
	case VALUE_NEXT_HOP: return read_next_hop(r, d, w, out);
	case VALUE_LISTEN:
		if (!value_endpoint(w->text, &e))
			return wrong(r, d, w, "not an address to listen on");
		break;
	case VALUE_IP:
		if (!value_ip(w->text, &ip))
			return wrong(r, d, w, "not an IP address");
		break;
	default:
		check(is_text(d->type));
	}
	*out = kept(r, w->text);
	return true;
}

static bool wrong_word(struct reader *r, const struct directive *d, const struct word *w)
{
	struct str known[WORDS_MAX];
	size_t n = 0;
	for (; d->words[n] != NULL; n++) {
		check(n < WORDS_MAX);
		known[n] = str_of(d->words[n]);
	}
	trouble_error(&r->troubles, w->at, "\"%.*s\" is not a word of \"%s\"", SHOWN(w->text), d->name);
	trouble_near(&r->troubles, w->text, known, n);
	expect_directive(r, d);
	return false;
}

/* The number of a duration, size, number, word or tag. */
static bool number_of(struct reader *r, const struct directive *d, const struct word *w, uint64_t *out)
{
	int64_t seconds;
	if ((d->flags & OR_NONE) && str_eq(w->text, STR("none"))) {
		*out = 0;
		return true;
	}
	switch (d->type) {
	case VALUE_DURATION:
		if (!value_duration(w->text, &seconds))
			return wrong(r, d, w, "not a duration");
		*out = (uint64_t)seconds;
		break;
	case VALUE_SIZE:
		if (!value_size(w->text, out))
			return wrong(r, d, w, "not a size");
		break;
	case VALUE_NUMBER:
		if (!str_u64(w->text, out))
			return wrong(r, d, w, "not a number");
		break;
	case VALUE_TAG:
		if (w->text.n != 1 || ascii_is_alnum((unsigned char)w->text.p[0]) || str_has(STR("@\"/\\.\t "), w->text.p[0]))
			return wrong(r, d, w, "not a character that can part a tag");
		*out = (unsigned char)w->text.p[0];
		return true;
	default:
		for (size_t i = 0; d->words[i] != NULL; i++)
			if (str_eq(w->text, str_of(d->words[i]))) {
				*out = i;
				return true;
			}
		return wrong_word(r, d, w);
	}
	if (*out < d->min || *out > d->max)
		return wrong(r, d, w, *out < d->min ? "too small" : "too large");
	return true;
}

static void store_number(void *field, size_t size, uint64_t n)
{
	uint8_t one = (uint8_t)n;
	uint16_t two = (uint16_t)n;
	uint32_t four = (uint32_t)n;
	check(size == 1 || size == 2 || size == 4 || size == 8);
	memcpy(field, size == 1 ? (void *)&one : size == 2 ? (void *)&two : size == 4 ? (void *)&four : (void *)&n, size);
}

bool read_number(struct reader *r, const struct directive *d, const struct word *w, void *field)
{
	uint64_t n;
	if (!number_of(r, d, w, &n))
		return false;
	store_number(field, d->size, n);
	return true;
}

static void read_values(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	void *field = (char *)object + d->at;
	if (node->n_words < 2) {
		trouble_error(&r->troubles, end_of(node), "\"%s\" needs a value", d->name);
		expect_directive(r, d);
		return;
	}
	if (d->read != NULL) {
		d->read(r, d, node, object);
		return;
	}
	if (!(d->flags & MANY) && node->n_words > 2) {
		trouble_error(&r->troubles, node->words[2].at, "\"%s\" takes one value", d->name);
		expect_directive(r, d);
		return;
	}
	if (!is_text(d->type)) {
		read_number(r, d, &node->words[1], field);
		return;
	}
	for (size_t i = 1; i < node->n_words; i++) {
		struct str s;
		if (!read_word(r, d, &node->words[i], &s))
			continue;
		if (d->flags & OF_USERS)
			note_reference(r, &node->words[i], false);
		if (d->file != 0)
			note_file(r, s, d->file, node->words[i].at);
		if (!(d->flags & (MANY | REPEAT)))
			*(struct str *)field = s;
		else if (!list_has(field, s))
			list_add(r, field, s);
		else
			trouble_warn(&r->troubles, node->words[i].at, "\"%.*s\" stands here twice", SHOWN(node->words[i].text));
	}
}

static void apply_preset(struct reader *r, const struct directive *d, void *object)
{
	struct word words[PRESET_WORDS_MAX] = { { .text = str_of(d->name), .at = { r->main_file, 0, 0 } } };
	struct node node = { .words = words, .n_words = 1 };
	struct str rest = str_of(d->preset);
	while (str_take_word(&rest, &words[node.n_words].text)) {
		words[node.n_words].at = words[0].at;
		node.n_words++;
		check(node.n_words < PRESET_WORDS_MAX);
	}
	unsigned before = r->troubles.errors;
	read_values(r, d, &node, object);
	check(r->troubles.errors == before);
}

static void unknown_directive(struct reader *r, const struct directive *rows, const struct node *node,
                              const struct directive *inside)
{
	struct str known[ROWS_MAX];
	size_t n = directive_count(rows);
	check(n <= ROWS_MAX);
	for (size_t i = 0; i < n; i++)
		known[i] = str_of(rows[i].name);

	const struct word *w = &node->words[0];
	if (inside != NULL)
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not a directive of %s", SHOWN(w->text), inside->name);
	else
		trouble_error(&r->troubles, w->at, "unknown directive \"%.*s\"", SHOWN(w->text));
	trouble_near(&r->troubles, w->text, known, n);
	if (inside == NULL) {
		/* A line that fell out of its block is a common slip. */
		for (const struct directive *d = rows; d->name != NULL; d++)
			if (d->rows != NULL && directive_find(d->rows, w->text) != NULL) {
				trouble_expected(&r->troubles, "it belongs into a block: %s { ... }", d->name);
				return;
			}
	}
}

static void read_block(struct reader *r, const struct directive *d, const struct node *node, void *parent);

static void read_line(struct reader *r, const struct directive *rows, const struct directive *inside,
                      const struct node *node, void *object, const struct node **seen)
{
	const struct directive *d = directive_find(rows, node->words[0].text);
	if (d == NULL) {
		unknown_directive(r, rows, node, inside);
		return;
	}
	const struct node **first = &seen[d - rows];
	if (*first != NULL && !(d->flags & REPEAT)) {
		trouble_error(&r->troubles, node->words[0].at, "\"%s\" stands here for the second time", d->name);
		trouble_expected(&r->troubles, "the first is in line %u of %s", (*first)->words[0].at.line,
		                 (*first)->words[0].at.file);
		return;
	}
	if (*first == NULL)
		*first = node;
	if (d->type == VALUE_BLOCK && !node->block) {
		trouble_error(&r->troubles, end_of(node), "\"%s\" is a block", d->name);
		trouble_expected(&r->troubles, "expected %s%s%s {", d->name, d->example[0] ? " " : "", d->example);
	} else if (d->type != VALUE_BLOCK && node->block) {
		trouble_error(&r->troubles, node->words[0].at, "\"%s\" is not a block", d->name);
		expect_directive(r, d);
	} else if (d->type == VALUE_BLOCK) {
		read_block(r, d, node, object);
	} else if (d->size > 0) {
		read_values(r, d, node, object);
	}
}

/* The lines of a block, then what was left out. */
static void read_lines(struct reader *r, const struct directive *rows, const struct directive *inside,
                       const struct node *block, void *object, const struct node **seen)
{
	for (const struct node *n = block != NULL ? block->first : NULL; n != NULL; n = n->next)
		read_line(r, rows, inside, n, object, seen);
	for (const struct directive *d = rows; d->name != NULL; d++) {
		if (seen[d - rows] != NULL)
			continue;
		if (d->type == VALUE_BLOCK && d->add == NULL && d->read == NULL)
			read_block(r, d, NULL, object);
		else if (d->preset != NULL)
			apply_preset(r, d, object);
		else if ((d->flags & REQUIRED) && inside != NULL) {
			trouble_error(&r->troubles, block->words[0].at, "this %s has no \"%s\"", inside->name, d->name);
			expect_directive(r, d);
		} else if (d->flags & REQUIRED) {
			trouble_error(&r->troubles, (struct conf_place){ r->main_file, 0, 0 }, "there is no \"%s\"", d->name);
			expect_directive(r, d);
		}
	}
}

static bool label_is_right(struct reader *r, const struct directive *d, const struct node *node)
{
	if (d->flags & NAMED_MANY)
		return true;
	size_t n = d->flags & NAMED ? 1 : 0;
	if (node->n_words == n + 1)
		return true;
	if (node->n_words > n + 1)
		trouble_error(&r->troubles, node->words[n + 1].at, n == 0 ? "\"%s\" takes no name" : "\"%s\" takes one name", d->name);
	else
		trouble_error(&r->troubles, end_of(node), "\"%s\" needs a name", d->name);
	trouble_expected(&r->troubles, "expected %s%s%s {", d->name, d->example[0] ? " " : "", d->example);
	return false;
}

/* node is NULL for a block that was left out: its defaults apply. */
static void read_block(struct reader *r, const struct directive *d, const struct node *node, void *parent)
{
	const struct node *nodes[ROWS_MAX] = { NULL };
	struct seen seen = { d->rows, nodes };
	if (node != NULL && !label_is_right(r, d, node))
		return;
	if (d->read != NULL) {
		d->read(r, d, node, parent);
		return;
	}
	void *object = d->add != NULL ? d->add(r, node) : (char *)parent + d->at;
	if (object == NULL)
		return;
	unsigned before = r->troubles.errors;
	read_lines(r, d->rows, d, node, object, nodes);
	if (d->close != NULL && node != NULL && r->troubles.errors == before)
		d->close(r, node, object, &seen);
}

/* The directory of a path, "." for a bare name. */
static struct str directory_of(struct str path)
{
	size_t slash;
	if (!str_rfind(path, '/', &slash))
		return STR(".");
	return str_sub(path, 0, slash == 0 ? 1 : slash);
}

static struct str include_path(struct arena *a, struct str main_name, struct str dir)
{
	while (dir.n > 1 && dir.p[dir.n - 1] == '/')
		dir.n--;
	struct str base = directory_of(main_name);
	if (dir.n > 0 && dir.p[0] == '/')
		return arena_copy(a, dir);
	if (str_eq(base, STR(".")) && !str_starts(main_name, STR("./")))
		return arena_copy(a, dir);
	char *path = arena_alloc(a, base.n + dir.n + 2);
	memcpy(path, base.p, base.n);
	path[base.n] = '/';
	memcpy(path + base.n + 1, dir.p, dir.n);
	return (struct str){ path, base.n + 1 + dir.n };
}

static void mark_included(struct reader *r, const struct node *root)
{
	for (const struct node *n = root->first; n != NULL; n = n->next)
		if (str_eq(n->words[0].text, STR("include"))) {
			trouble_error(&r->troubles, n->words[0].at, "an included file includes nothing itself");
			trouble_expected(&r->troubles, "expected include in %s alone", r->main_file);
		}
}

/* Puts the texts of one include line in its place; returns the node before what follows. */
static struct node *expand_include(struct reader *r, struct node *line, bool *taken)
{
	struct troubles *t = &r->troubles;
	if (!has_words(r, line, 1, "a directory"))
		return line;
	struct str dir = include_path(r->arena, t->texts[0].name, line->words[1].text);
	struct node *last = line;
	for (size_t i = 1; i < t->n_texts; i++) {
		if (!str_eq(directory_of(t->texts[i].name), dir))
			continue;
		if (taken[i]) {
			trouble_error(t, line->words[1].at, "this directory is included twice");
			return last;
		}
		taken[i] = true;
		struct node *root = tree_parse(&t->texts[i], t);
		mark_included(r, root);
		if (root->first == NULL)
			continue;
		root->last->next = last->next;
		last->next = root->first;
		last = root->last;
	}
	return last;
}

static struct node *read_tree(struct reader *r)
{
	struct troubles *t = &r->troubles;
	struct node *root = tree_parse(&t->texts[0], t);
	bool *taken = ARENA_ARRAY(r->arena, bool, t->n_texts);
	struct node **link = &root->first;
	while (*link != NULL) {
		struct node *n = *link;
		if (!str_eq(n->words[0].text, STR("include"))) {
			link = &n->next;
			continue;
		}
		struct node *last = expand_include(r, n, taken);
		if (last == n) {
			*link = n->next;
		} else {
			*link = n->next;
			link = &last->next;
		}
	}
	for (size_t i = 1; i < t->n_texts; i++)
		if (!taken[i])
			trouble_error(t, (struct conf_place){ t->texts[i].name.p, 0, 0 }, "no include line asks for this file");
	return root;
}

void conf_includes(const struct conf_text *main_text, struct arena *a, struct conf_list *out)
{
	struct arena *scratch = arena_new(ARENA_BYTES_MAX);
	struct reader r = { .arena = a };
	struct conf_list dirs = { NULL, 0 };
	troubles_init(&r.troubles, scratch, main_text, 1);
	if (main_text->text.n <= CONF_BYTES_MAX)
		for (struct node *n = tree_parse(main_text, &r.troubles)->first; n != NULL; n = n->next)
			if (n->n_words == 2 && str_eq(n->words[0].text, STR("include")))
				list_add(&r, &dirs, include_path(a, main_text->name, n->words[1].text));
	*out = dirs;
	arena_free(&scratch);
}

static bool texts_fit(const struct conf_text *texts, size_t n, struct conf_report *report)
{
	const struct conf_place whole = { "configuration", 0, 0 };
	size_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += texts[i].text.n;
	if (n > CONF_TEXTS_MAX)
		report_line(report, false, whole, STR_NONE, "more than %d files", CONF_TEXTS_MAX);
	else if (total > CONF_BYTES_MAX)
		report_line(report, false, whole, STR_NONE, "more than %d bytes", CONF_BYTES_MAX);
	else
		return true;
	return false;
}

fault conf_read_some(const struct conf_text *texts, size_t n, struct conf **out, struct conf_report *report)
{
	check(n > 0);
	*out = NULL;
	if (!texts_fit(texts, n, report))
		return F_SYNTAX;
	struct arena *a = arena_new(ARENA_BYTES_MAX);
	struct conf_text *mine = ARENA_ARRAY(a, struct conf_text, n);
	for (size_t i = 0; i < n; i++)
		mine[i] = (struct conf_text){ arena_copy(a, texts[i].name), texts[i].text };

	struct reader r = { .arena = a, .conf = ARENA_NEW(a, struct conf), .main_file = mine[0].name.p };
	r.conf->arena = a;
	r.conf->domain_index = map_new(0);
	r.conf->shape_index = map_new(0);
	troubles_init(&r.troubles, a, mine, n);
	const struct node *seen[ROWS_MAX] = { NULL };
	read_lines(&r, conf_directives, NULL, read_tree(&r), r.conf, seen);
	check_whole(&r);

	troubles_tell(&r.troubles, report);
	r.conf->files = r.files;
	r.conf->n_files = r.n_files;
	*out = r.conf;
	return r.troubles.errors > 0 ? F_SYNTAX : OK;
}

fault conf_read(const struct conf_text *texts, size_t n, struct conf **out, struct conf_report *report)
{
	struct conf *conf = NULL;
	fault f = conf_read_some(texts, n, &conf, report);
	if (f == OK)
		*out = conf;
	else
		conf_free(&conf);
	return f;
}
