/* SPDX-License-Identifier: ISC */
/*
 * test/sim/image.h -- one state of a file system: inodes with their bytes and names, by number.
 *
 * A medium (medium.h) has two, what is seen and what is durable. Pages are shared by every image and operation that holds
 * them, and copied when one of these changes its own; NULL is a page of zeros.
 *
 * Tests    test/sim/medium_test.c
 */
#ifndef SIM_IMAGE_H
#define SIM_IMAGE_H

#include "base/str.h"
#include "medium.h"

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

void image_copy(struct image *to, const struct image *from);
void image_free(struct image *image);
void image_drop_unnamed(struct image *image);          /* what cannot be reached from the root */
uint64_t image_hash(const struct image *image);        /* of all that can */

struct inode *inode_of(const struct image *image, uint32_t number);
void          inode_put(struct image *image, uint32_t number, bool directory);
size_t        inode_read(const struct inode *i, uint64_t offset, char *to, size_t n);
void          inode_cut(struct inode *i);              /* what lies beyond the end reads as zeros when it grows again */

void         pages_need(struct inode *i, size_t n);
struct page *page_own(struct page **at);               /* to be written: nobody else sees the change */
struct page *page_share(struct page *p);
void         page_drop(struct page *p);
bool         all_zeros(const char *p, size_t n);

struct name *name_find(const struct inode *directory, const char *text); /* NULL: absent */
void         name_add(struct inode *directory, const char *text, uint32_t number);
void         name_remove(struct inode *directory, const char *text);

#endif
