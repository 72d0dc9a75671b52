/*
 * ring: a doubly linked list whose links stand in what it links. The list itself is a link too, so none is ever NULL.
 *
 * A link must be initialised (ring_init) before anything else; after ring_remove it is again as new, so that removing
 * twice does no harm. Pure.
 */
#ifndef CLIENT_RING_H
#define CLIENT_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring {
	struct ring *before, *behind;
};

/* The struct of this type that has link as its member. */
#define RING_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void ring_init(struct ring *link)
{
	link->before = link->behind = link;
}

/* Of a list: nothing is in it. Of a link: it is in none. */
static inline bool ring_is_empty(const struct ring *list)
{
	return list->behind == list;
}

static inline void ring_remove(struct ring *link)
{
	link->before->behind = link->behind;
	link->behind->before = link->before;
	ring_init(link);
}

/* To the end of list, out of where it was. */
static inline void ring_add(struct ring *list, struct ring *link)
{
	ring_remove(link);
	link->before = list->before;
	link->behind = list;
	list->before->behind = link;
	list->before = link;
}

/* The first of list, or NULL. */
static inline struct ring *ring_first(const struct ring *list)
{
	return ring_is_empty(list) ? NULL : list->behind;
}

#endif
