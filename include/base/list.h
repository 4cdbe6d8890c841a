/*
 * An intrusive, circular, doubly linked list: the link is a member of what is listed, and
 * LIST_ENTRY leads back to it. A list head is a link too. Removing an element leaves its
 * link pointing at itself, so removing twice does no harm.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stddef.h>

struct link {
	struct link *prev, *next;
};

#define LIST_ENTRY(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The body may remove `it` from the list, but no other element. */
#define LIST_EACH(it, next_, head)                                                             \
	for (struct link *it = (head)->next, *next_ = it->next; it != (head);                  \
	     it = next_, next_ = it->next)

static inline void list_init(struct link *l)
{
	l->prev = l->next = l;
}

static inline int list_empty(const struct link *head)
{
	return head->next == head;
}

static inline void list_append(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

#endif
