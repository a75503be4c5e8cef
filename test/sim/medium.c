/* SPDX-License-Identifier: ISC */
#include "medium.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SECTORS_A_PAGE = MEDIUM_PAGE / MEDIUM_SECTOR };

/* Shared by every image and operation that holds it; NULL is a page of zeros. */
struct page { unsigned refs; bool hashed; uint64_t hash; char bytes[MEDIUM_PAGE]; };

struct name { char text[MEDIUM_NAME_MAX]; uint32_t inode; };

struct inode {
	bool directory;
	uint64_t size;
	struct page **pages;
	size_t n_pages;
	struct name *names;
	size_t n_names;
};

struct image { struct inode **inodes; uint32_t n; }; /* by number; 0 is none */

struct medium {
	struct image now, durable;
	struct op **pending;
	size_t n_pending, cap_pending;
	void (*watch)(void *owner, struct op *op);
	void *owner;
};

/* --- pages --- */

static void page_drop(struct page *p)
{
	if (p != NULL && --p->refs == 0)
		free(p);
}

static struct page *page_share(struct page *p)
{
	if (p != NULL)
		p->refs++;
	return p;
}

/* The page, to be written: nobody else sees the change. */
static struct page *page_own(struct page **at)
{
	struct page *p = *at;
	if (p != NULL && p->refs == 1) {
		p->hashed = false;
		return p;
	}
	*at = NEW(struct page);
	(*at)->refs = 1;
	if (p != NULL)
		memcpy((*at)->bytes, p->bytes, MEDIUM_PAGE);
	page_drop(p);
	return *at;
}

static uint64_t hash_more(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	for (; n > 0; n--, p++)
		h = (h ^ *p) * 0x100000001b3u;
	return h;
}

static bool all_zeros(const char *p, size_t n)
{
	return n == 0 || (p[0] == '\0' && memcmp(p, p + 1, n - 1) == 0);
}

static uint64_t page_hash(struct page *p)
{
	if (p == NULL)
		return 0;
	if (!p->hashed) {
		p->hash = all_zeros(p->bytes, MEDIUM_PAGE) ? 0 : hash_more(0x51, p->bytes, MEDIUM_PAGE);
		p->hashed = true;
	}
	return p->hash;
}

/* --- inodes --- */

static struct inode *inode_of(const struct image *image, uint32_t number)
{
	check(number > 0 && number < image->n && image->inodes[number] != NULL);
	return image->inodes[number];
}

static void inode_put(struct image *image, uint32_t number, bool directory)
{
	if (number >= image->n) {
		image->inodes = must_resize(image->inodes, (number + 1) * sizeof(struct inode *));
		while (image->n <= number)
			image->inodes[image->n++] = NULL;
	}
	image->inodes[number] = NEW(struct inode);
	image->inodes[number]->directory = directory;
}

static void pages_need(struct inode *i, size_t n)
{
	if (i->n_pages >= n)
		return;
	i->pages = must_resize(i->pages, n * sizeof(struct page *));
	while (i->n_pages < n)
		i->pages[i->n_pages++] = NULL;
}

static void inode_free(struct inode *i)
{
	if (i == NULL)
		return;
	for (size_t k = 0; k < i->n_pages; k++)
		page_drop(i->pages[k]);
	free(i->pages);
	free(i->names);
	free(i);
}

static void image_free(struct image *image)
{
	for (uint32_t i = 0; i < image->n; i++)
		inode_free(image->inodes[i]);
	free(image->inodes);
	*image = (struct image){ NULL, 0 };
}

static struct inode *inode_copy(const struct inode *from)
{
	struct inode *i = NEW(struct inode);
	*i = *from;
	i->pages = NULL;
	i->n_pages = 0;
	pages_need(i, from->n_pages);
	for (size_t k = 0; k < from->n_pages; k++)
		i->pages[k] = page_share(from->pages[k]);
	i->names = must_alloc((from->n_names + 1) * sizeof(struct name));
	if (from->n_names > 0)
		memcpy(i->names, from->names, from->n_names * sizeof(struct name));
	return i;
}

static void image_copy(struct image *to, const struct image *from)
{
	to->n = from->n;
	to->inodes = must_alloc(from->n * sizeof(struct inode *));
	for (uint32_t i = 0; i < from->n; i++)
		to->inodes[i] = from->inodes[i] != NULL ? inode_copy(from->inodes[i]) : NULL;
}

/* What lies beyond the end of the file reads as zeros when the file grows again. */
static void cut_pages(struct inode *i)
{
	size_t whole = (size_t)((i->size + MEDIUM_PAGE - 1) / MEDIUM_PAGE), used = (size_t)(i->size % MEDIUM_PAGE);
	while (i->n_pages > whole)
		page_drop(i->pages[--i->n_pages]);
	if (used > 0 && i->n_pages == whole && i->pages[whole - 1] != NULL &&
	    !all_zeros(i->pages[whole - 1]->bytes + used, MEDIUM_PAGE - used))
		memset(page_own(&i->pages[whole - 1])->bytes + used, 0, MEDIUM_PAGE - used);
}

/* --- names --- */

static struct name *name_find(const struct inode *directory, const char *text)
{
	for (size_t i = 0; i < directory->n_names; i++)
		if (strcmp(directory->names[i].text, text) == 0)
			return &directory->names[i];
	return NULL;
}

static void name_add(struct inode *directory, const char *text, uint32_t number)
{
	struct name *n = name_find(directory, text);
	if (n == NULL) {
		directory->names = must_resize(directory->names, (directory->n_names + 1) * sizeof(struct name));
		n = &directory->names[directory->n_names++];
		memset(n, 0, sizeof *n);
		memcpy(n->text, text, strlen(text) + 1);
	}
	n->inode = number;
}

static void name_remove(struct inode *directory, const char *text)
{
	struct name *n = name_find(directory, text);
	if (n != NULL)
		*n = directory->names[--directory->n_names];
}

static void apply_name(struct image *image, const struct op *op)
{
	struct inode *directory = inode_of(image, op->inode);
	if (op->kind == OP_LINK) {
		name_add(directory, op->name, op->other);
	} else if (op->kind == OP_UNLINK) {
		name_remove(directory, op->name);
	} else {
		struct name *n = name_find(directory, op->name);
		if (n == NULL)
			return;
		uint32_t number = n->inode;
		name_remove(directory, op->name);
		name_add(inode_of(image, op->other), op->to, number);
	}
}

/* --- operations --- */

struct op *op_keep(struct op *op)
{
	op->refs++;
	return op;
}

void op_drop(struct op *op)
{
	if (--op->refs > 0)
		return;
	for (size_t i = 0; i < op->n_pages; i++)
		page_drop(op->pages[i]);
	free(op->pages);
	free(op);
}

static struct op *op_new(enum op_kind kind, uint32_t inode)
{
	struct op *op = NEW(struct op);
	op->refs = 1;
	op->kind = kind;
	op->inode = inode;
	return op;
}

static bool is_name(const struct op *op)
{
	return op->kind == OP_LINK || op->kind == OP_UNLINK || op->kind == OP_RENAME;
}

size_t op_sectors(const struct op *op)
{
	if (op->kind != OP_WRITE || op->length == 0)
		return 0;
	return (size_t)((op->offset + op->length - 1) / MEDIUM_SECTOR - op->offset / MEDIUM_SECTOR + 1);
}

static const struct page *op_page(const struct op *op, uint64_t page)
{
	return op->pages[page - op->offset / MEDIUM_PAGE];
}

/* A part of one sector of the write. */
static void keep_sector(struct inode *i, const struct op *op, uint64_t sector, int kept)
{
	uint64_t page = sector / SECTORS_A_PAGE;
	size_t at = sector % SECTORS_A_PAGE * MEDIUM_SECTOR, n = (size_t)(kept < 0 ? -kept : kept);
	if (kept < 0)
		at += MEDIUM_SECTOR - n;
	pages_need(i, page + 1);
	const struct page *from = op_page(op, page);
	if (i->pages[page] == from)
		return;
	char *to = page_own(&i->pages[page])->bytes + at;
	if (from != NULL)
		memcpy(to, from->bytes + at, n);
	else
		memset(to, 0, n);
}

/* All of the write, page by page where it covers whole pages. */
static void keep_write(struct inode *i, const struct op *op)
{
	uint64_t end = op->offset + op->length;
	for (uint64_t page = op->offset / MEDIUM_PAGE; page * MEDIUM_PAGE < end; page++) {
		uint64_t from = page * MEDIUM_PAGE, to = from + MEDIUM_PAGE;
		if (op->offset <= from && end >= to) {
			pages_need(i, page + 1);
			struct page *old = i->pages[page];
			i->pages[page] = page_share(op->pages[page - op->offset / MEDIUM_PAGE]);
			page_drop(old);
			continue;
		}
		uint64_t first = (op->offset > from ? op->offset : from) / MEDIUM_SECTOR;
		uint64_t last = ((end < to ? end : to) - 1) / MEDIUM_SECTOR;
		for (uint64_t sector = first; sector <= last; sector++)
			keep_sector(i, op, sector, KEEP_ALL);
	}
}

/* The whole operation, as a sync makes it durable, or as it is seen. */
static void apply(struct image *image, const struct op *op)
{
	if (is_name(op)) {
		apply_name(image, op);
		return;
	}
	struct inode *i = inode_of(image, op->inode);
	if (op->kind == OP_WRITE)
		keep_write(i, op);
	i->size = op->size;
	cut_pages(i);
}

/* The pages of the write as they are after it, shared with what is seen. */
static void fill_pages(struct medium *m, struct op *op, struct str bytes)
{
	struct inode *i = inode_of(&m->now, op->inode);
	uint64_t first = op->offset / MEDIUM_PAGE, end = op->offset + op->length;
	op->n_pages = (size_t)((end + MEDIUM_PAGE - 1) / MEDIUM_PAGE - first);
	op->pages = must_alloc(op->n_pages * sizeof(struct page *));
	pages_need(i, first + op->n_pages);
	for (size_t k = 0; k < op->n_pages; k++) {
		uint64_t start = (first + k) * MEDIUM_PAGE;
		uint64_t from = op->offset > start ? op->offset : start;
		uint64_t to = end < start + MEDIUM_PAGE ? end : start + MEDIUM_PAGE;
		const char *source = bytes.p + (from - op->offset);
		if (i->pages[first + k] != NULL || !all_zeros(source, to - from))
			memcpy(page_own(&i->pages[first + k])->bytes + (from - start), source, to - from);
		op->pages[k] = page_share(i->pages[first + k]);
	}
}

static bool concerns(const struct op *op, uint32_t inode)
{
	return op->inode == inode || (op->kind == OP_RENAME && op->other == inode);
}

static void settle(struct medium *m, uint32_t inode, bool durable)
{
	size_t left = 0;
	for (size_t i = 0; i < m->n_pending; i++) {
		struct op *op = m->pending[i];
		if (!concerns(op, inode)) {
			m->pending[left++] = op;
			continue;
		}
		if (durable)
			apply(&m->durable, op);
		op_drop(op);
	}
	m->n_pending = left;
}

void medium_do(struct medium *m, struct op *op)
{
	switch (op->kind) {
	case OP_MAKE:
		inode_put(&m->now, op->inode, op->other != 0);
		inode_put(&m->durable, op->inode, op->other != 0);
		break;
	case OP_WRITE:
	case OP_SIZE:
	case OP_LINK:
	case OP_UNLINK:
	case OP_RENAME:
		apply(&m->now, op);
		if (m->n_pending == m->cap_pending) {
			m->cap_pending = m->cap_pending * 2 + 64;
			m->pending = must_resize(m->pending, m->cap_pending * sizeof(struct op *));
		}
		m->pending[m->n_pending++] = op_keep(op);
		break;
	case OP_SYNC:
	case OP_SYNC_FAILS:
		settle(m, op->inode, op->kind == OP_SYNC);
		break;
	case OP_MARK:
		break;
	}
	if (m->watch != NULL)
		m->watch(m->owner, op);
}

static void finish(struct medium *m, struct op *op)
{
	medium_do(m, op);
	op_drop(op);
}

static void set_name(char to[MEDIUM_NAME_MAX], struct str name)
{
	check(name.n > 0 && name.n < MEDIUM_NAME_MAX);
	memcpy(to, name.p, name.n);
	to[name.n] = '\0';
}

uint32_t medium_make(struct medium *m, bool directory)
{
	struct op *op = op_new(OP_MAKE, m->now.n);
	op->other = directory;
	uint32_t number = op->inode;
	finish(m, op);
	return number;
}

void medium_write(struct medium *m, uint32_t inode, uint64_t offset, struct str bytes)
{
	struct op *op = op_new(OP_WRITE, inode);
	uint64_t size = inode_of(&m->now, inode)->size;
	op->offset = offset;
	op->length = bytes.n;
	op->size = offset + bytes.n > size ? offset + bytes.n : size;
	if (bytes.n > 0)
		fill_pages(m, op, bytes);
	finish(m, op);
}

void medium_resize(struct medium *m, uint32_t inode, uint64_t size)
{
	struct op *op = op_new(OP_SIZE, inode);
	op->size = size;
	finish(m, op);
}

void medium_link(struct medium *m, uint32_t directory, struct str name, uint32_t inode)
{
	struct op *op = op_new(OP_LINK, directory);
	op->other = inode;
	set_name(op->name, name);
	finish(m, op);
}

void medium_unlink(struct medium *m, uint32_t directory, struct str name)
{
	struct op *op = op_new(OP_UNLINK, directory);
	set_name(op->name, name);
	finish(m, op);
}

void medium_rename(struct medium *m, uint32_t from, struct str name, uint32_t to, struct str new_name)
{
	struct op *op = op_new(OP_RENAME, from);
	op->other = to;
	set_name(op->name, name);
	set_name(op->to, new_name);
	finish(m, op);
}

void medium_sync(struct medium *m, uint32_t inode)
{
	finish(m, op_new(OP_SYNC, inode));
}

void medium_sync_fails(struct medium *m, uint32_t inode)
{
	finish(m, op_new(OP_SYNC_FAILS, inode));
}

void medium_sync_everything(struct medium *m)
{
	while (m->n_pending > 0)
		medium_sync(m, m->pending[0]->inode);
}

void medium_mark(struct medium *m, uint64_t what)
{
	struct op *op = op_new(OP_MARK, 0);
	op->size = what;
	finish(m, op);
}

/* --- a medium, and looking at it --- */

struct medium *medium_new(void)
{
	struct medium *m = NEW(struct medium);
	inode_put(&m->now, MEDIUM_ROOT, true);
	inode_put(&m->durable, MEDIUM_ROOT, true);
	return m;
}

void medium_free(struct medium **m_ref)
{
	struct medium *m = *m_ref;
	if (m == NULL)
		return;
	*m_ref = NULL;
	for (size_t i = 0; i < m->n_pending; i++)
		op_drop(m->pending[i]);
	free(m->pending);
	image_free(&m->now);
	image_free(&m->durable);
	free(m);
}

void medium_watch(struct medium *m, void (*watch)(void *owner, struct op *op), void *owner)
{
	m->watch = watch;
	m->owner = owner;
}

uint32_t medium_find(const struct medium *m, uint32_t directory, struct str name)
{
	const struct inode *d = inode_of(&m->now, directory);
	for (size_t i = 0; i < d->n_names; i++)
		if (str_eq(str_of(d->names[i].text), name))
			return d->names[i].inode;
	return 0;
}

bool medium_is_directory(const struct medium *m, uint32_t inode)
{
	return inode_of(&m->now, inode)->directory;
}

uint64_t medium_size(const struct medium *m, uint32_t inode)
{
	return inode_of(&m->now, inode)->size;
}

size_t medium_read(const struct medium *m, uint32_t inode, uint64_t offset, char *to, size_t n)
{
	const struct inode *i = inode_of(&m->now, inode);
	if (offset >= i->size)
		return 0;
	n = i->size - offset < n ? (size_t)(i->size - offset) : n;
	for (size_t done = 0; done < n;) {
		uint64_t page = (offset + done) / MEDIUM_PAGE;
		size_t at = (size_t)((offset + done) % MEDIUM_PAGE);
		size_t part = MEDIUM_PAGE - at < n - done ? MEDIUM_PAGE - at : n - done;
		const struct page *p = page < i->n_pages ? i->pages[page] : NULL;
		if (p != NULL)
			memcpy(to + done, p->bytes + at, part);
		else
			memset(to + done, 0, part);
		done += part;
	}
	return n;
}

bool medium_name(const struct medium *m, uint32_t directory, size_t at, struct str *out)
{
	const struct inode *d = inode_of(&m->now, directory);
	if (at >= d->n_names)
		return false;
	*out = str_of(d->names[at].text);
	return true;
}

/* --- the power fails --- */

size_t medium_n_pending(const struct medium *m)
{
	return m->n_pending;
}

const struct op *medium_pending(const struct medium *m, size_t i)
{
	return m->pending[i];
}

/* Sectors that no sync has ever covered: what lay there before, whosever it was. */
static void junk_under(struct inode *i, const struct op *op, uint64_t durable_size)
{
	uint64_t first = op->offset / MEDIUM_SECTOR;
	for (uint64_t s = first; s < first + op_sectors(op); s++) {
		if (s * MEDIUM_SECTOR < durable_size)
			continue;
		pages_need(i, s / SECTORS_A_PAGE + 1);
		char *to = page_own(&i->pages[s / SECTORS_A_PAGE])->bytes + s % SECTORS_A_PAGE * MEDIUM_SECTOR;
		memset(to, 'J', MEDIUM_SECTOR);
	}
}

static void keep_parts(struct image *image, const struct op *op, size_t pending, const struct fate *fate)
{
	if (is_name(op)) {
		if (fate->keeps(fate->owner, pending, op, PART_WHOLE) != KEEP_NONE)
			apply_name(image, op);
		return;
	}
	struct inode *i = inode_of(image, op->inode);
	uint64_t first = op->offset / MEDIUM_SECTOR;
	for (size_t k = 0; k < op_sectors(op); k++) {
		int kept = fate->keeps(fate->owner, pending, op, (int64_t)k);
		if (kept != KEEP_NONE)
			keep_sector(i, op, first + k, kept);
	}
	if (fate->keeps(fate->owner, pending, op, PART_WHOLE) == KEEP_NONE)
		return;
	bool shorter = op->size < i->size;
	i->size = op->size;
	if (shorter)
		cut_pages(i);
}

static void reach(const struct image *image, uint32_t number, bool *reached)
{
	const struct inode *i = image->inodes[number];
	if (reached[number])
		return;
	reached[number] = true;
	for (size_t k = 0; i != NULL && k < i->n_names; k++)
		reach(image, i->names[k].inode, reached);
}

/* Nobody has a file open any more: what has no name is gone. */
static void drop_unreachable(struct image *image)
{
	bool *reached = must_alloc(image->n * sizeof(bool));
	reach(image, MEDIUM_ROOT, reached);
	for (uint32_t i = 0; i < image->n; i++)
		if (!reached[i]) {
			inode_free(image->inodes[i]);
			image->inodes[i] = NULL;
		}
	free(reached);
}

struct medium *medium_after(const struct medium *m, const struct fate *fate)
{
	struct medium *after = NEW(struct medium);
	image_copy(&after->now, &m->durable);
	for (size_t i = 0; fate->junk && i < m->n_pending; i++)
		if (m->pending[i]->kind == OP_WRITE)
			junk_under(inode_of(&after->now, m->pending[i]->inode), m->pending[i],
			           inode_of(&m->durable, m->pending[i]->inode)->size);
	for (size_t i = 0; i < m->n_pending; i++)
		keep_parts(&after->now, m->pending[i], i, fate);
	drop_unreachable(&after->now);
	for (uint32_t i = 0; i < after->now.n; i++)
		if (after->now.inodes[i] != NULL)
			cut_pages(after->now.inodes[i]);
	image_copy(&after->durable, &after->now);
	return after;
}

static uint64_t hash_of(const struct image *image, uint32_t number)
{
	const struct inode *i = inode_of(image, number);
	uint64_t h = hash_more(i->directory, &i->size, sizeof i->size), names = 0;
	for (size_t k = 0; k < i->n_pages; k++) {
		uint64_t page = page_hash(i->pages[k]);
		if (page != 0) /* a hole is as good as zeros */
			h = hash_more(h + k, &page, sizeof page);
	}
	for (size_t k = 0; k < i->n_names; k++)
		names += hash_more(hash_of(image, i->names[k].inode), i->names[k].text, strlen(i->names[k].text));
	return hash_more(h, &names, sizeof names);
}

uint64_t medium_hash(const struct medium *m)
{
	return hash_of(&m->now, MEDIUM_ROOT);
}
