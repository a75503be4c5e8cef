/* SPDX-License-Identifier: ISC */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* --- pages --- */

void page_drop(struct page *p)
{
	if (p != NULL && --p->refs == 0)
		free(p);
}

struct page *page_share(struct page *p)
{
	if (p != NULL)
		p->refs++;
	return p;
}

struct page *page_own(struct page **at)
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

bool all_zeros(const char *p, size_t n)
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

struct inode *inode_of(const struct image *image, uint32_t number)
{
	check(number > 0 && number < image->n && image->inodes[number] != NULL);
	return image->inodes[number];
}

void inode_put(struct image *image, uint32_t number, bool directory)
{
	if (number >= image->n) {
		image->inodes = must_resize(image->inodes, (number + 1) * sizeof(struct inode *));
		while (image->n <= number)
			image->inodes[image->n++] = NULL;
	}
	image->inodes[number] = NEW(struct inode);
	image->inodes[number]->directory = directory;
}

void pages_need(struct inode *i, size_t n)
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

void inode_cut(struct inode *i)
{
	size_t whole = (size_t)((i->size + MEDIUM_PAGE - 1) / MEDIUM_PAGE), used = (size_t)(i->size % MEDIUM_PAGE);
	while (i->n_pages > whole)
		page_drop(i->pages[--i->n_pages]);
	if (used > 0 && i->n_pages == whole && i->pages[whole - 1] != NULL &&
	    !all_zeros(i->pages[whole - 1]->bytes + used, MEDIUM_PAGE - used))
		memset(page_own(&i->pages[whole - 1])->bytes + used, 0, MEDIUM_PAGE - used);
}

size_t inode_read(const struct inode *i, uint64_t offset, char *to, size_t n)
{
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

/* --- names --- */

struct name *name_find(const struct inode *directory, const char *text)
{
	for (size_t i = 0; i < directory->n_names; i++)
		if (strcmp(directory->names[i].text, text) == 0)
			return &directory->names[i];
	return NULL;
}

void name_add(struct inode *directory, const char *text, uint32_t number)
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

void name_remove(struct inode *directory, const char *text)
{
	struct name *n = name_find(directory, text);
	if (n != NULL)
		*n = directory->names[--directory->n_names];
}

/* --- all of it --- */

void image_free(struct image *image)
{
	for (uint32_t i = 0; i < image->n; i++)
		inode_free(image->inodes[i]);
	free(image->inodes);
	*image = (struct image){ NULL, 0 };
}

void image_copy(struct image *to, const struct image *from)
{
	to->n = from->n;
	to->inodes = must_alloc(from->n * sizeof(struct inode *));
	for (uint32_t i = 0; i < from->n; i++)
		to->inodes[i] = from->inodes[i] != NULL ? inode_copy(from->inodes[i]) : NULL;
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
void image_drop_unnamed(struct image *image)
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

uint64_t image_hash(const struct image *image)
{
	return hash_of(image, MEDIUM_ROOT);
}
