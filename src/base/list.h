/* SPDX-License-Identifier: ISC */
/*
 * base/list.h -- an intrusive, doubly linked list: the link lives inside the member.
 *
 * A link that is in no list points to itself after link_init or link_remove, so removing twice
 * is harmless. Inside LIST_EACH the current member may be removed and freed.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link { struct link *prev, *next; };
struct list { struct link head; };

static inline void link_init(struct link *l)
{
	l->prev = l->next = l;
}

static inline void list_init(struct list *l)
{
	link_init(&l->head);
}

static inline bool list_empty(const struct list *l)
{
	return l->head.next == &l->head;
}

static inline bool link_used(const struct link *l)
{
	return l->next != l;
}

static inline void list_add_last(struct list *l, struct link *m)
{
	m->prev = l->head.prev;
	m->next = &l->head;
	m->prev->next = m;
	l->head.prev = m;
}

static inline void list_add_first(struct list *l, struct link *m)
{
	m->next = l->head.next;
	m->prev = &l->head;
	m->next->prev = m;
	l->head.next = m;
}

static inline void link_remove(struct link *m)
{
	m->prev->next = m->next;
	m->next->prev = m->prev;
	link_init(m);
}

#define LIST_MEMBER(link_, type, field) ((type *)(void *)((char *)(link_) - offsetof(type, field)))
#define LIST_FIRST(list_, type, field) \
	(list_empty(list_) ? NULL : LIST_MEMBER((list_)->head.next, type, field))
#define LIST_EACH(l_, list_)                                                              \
	for (struct link *l_ = (list_)->head.next, *after_##l_ = l_->next; l_ != &(list_)->head; \
	     l_ = after_##l_, after_##l_ = l_->next)

#endif
