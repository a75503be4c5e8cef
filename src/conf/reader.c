/* SPDX-License-Identifier: ISC */
/* conf/reader.c -- what a reader collects: members of arrays, names to look up, files to open. */
#include "conf/reader.h"

#include <string.h>

void *reader_grow(struct reader *r, void *items_field, size_t *n_field, size_t size)
{
	void **items = items_field;
	size_t n = *n_field;
	if ((n & (n - 1)) == 0) {
		char *more = arena_alloc(r->arena, (n == 0 ? 1 : 2 * n) * size);
		if (n > 0)
			memcpy(more, *items, n * size);
		*items = more;
	}
	*n_field = n + 1;
	return (char *)*items + n * size;
}

void list_add(struct reader *r, struct conf_list *list, struct str s)
{
	struct str *slot = GROW(r, list->items, list->n);
	*slot = s;
}

bool list_has(const struct conf_list *list, struct str s)
{
	for (size_t i = 0; i < list->n; i++)
		if (str_eq(list->items[i], s))
			return true;
	return false;
}

void note_reference(struct reader *r, const struct word *w, bool relay)
{
	struct reference *slot = GROW(r, r->references, r->n_references);
	*slot = (struct reference){ arena_copy(r->arena, w->text), w->at, relay };
}

void note_file(struct reader *r, struct str path, unsigned use, struct conf_place at)
{
	for (size_t i = 0; i < r->n_files; i++)
		if (str_eq(r->files[i].path, path)) {
			r->files[i].use |= use;
			return;
		}
	struct conf_file *slot = GROW(r, r->files, r->n_files);
	*slot = (struct conf_file){ path, use, at };
}
