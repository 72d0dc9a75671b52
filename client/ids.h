/*
 * ids: a table by id whose nodes stand in what it finds. Several nodes may have the same id. Pure but for its memory;
 * zeroes are an empty table.
 */
#ifndef CLIENT_IDS_H
#define CLIENT_IDS_H

#include <stddef.h>
#include <stdint.h>

struct ids_node {
	int64_t id;
	struct ids_node *next; /* in its bucket */
};

struct ids {
	struct ids_node **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t count;
};

/* Gives back its memory; the nodes are the caller's. */
void ids_done(struct ids *ids);
/* node->id is set. 0, or -1 without memory and nothing is added. */
int ids_add(struct ids *ids, struct ids_node *node);
/* node is in the table. */
void ids_remove(struct ids *ids, struct ids_node *node);
/* A node with this id, or NULL; and the next one that has the same. */
struct ids_node *ids_find(const struct ids *ids, int64_t id);
struct ids_node *ids_find_next(const struct ids_node *node);

#endif
