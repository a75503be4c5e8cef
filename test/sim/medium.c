/* SPDX-License-Identifier: ISC */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SECTORS_A_PAGE = MEDIUM_PAGE / MEDIUM_SECTOR };

struct medium {
	struct image now, durable;
	struct op **pending;
	size_t n_pending, cap_pending;
	void (*watch)(void *owner, struct op *op);
	void *owner;
};

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
	inode_cut(i);
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
	return inode_read(inode_of(&m->now, inode), offset, to, n);
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
		inode_cut(i);
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
	image_drop_unnamed(&after->now);
	for (uint32_t i = 0; i < after->now.n; i++)
		if (after->now.inodes[i] != NULL)
			inode_cut(after->now.inodes[i]);
	image_copy(&after->durable, &after->now);
	return after;
}

uint64_t medium_hash(const struct medium *m)
{
	return image_hash(&m->now);
}
