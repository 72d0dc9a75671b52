/*
 * A table by id: chains in buckets, twice as many whenever there are as many nodes. Ids come one after the other, so
 * their low bits spread them.
 */
#include "ids.h"

#include <stdlib.h>

#define IDS_FIRST_BUCKETS 16

static struct ids_node **ids_bucket(const struct ids *ids, int64_t id)
{
	return &ids->buckets[(size_t)id & (ids->n_buckets - 1)];
}

void ids_done(struct ids *ids)
{
	free(ids->buckets);
	*ids = (struct ids){0};
}

static int ids_grow(struct ids *ids)
{
	struct ids old = *ids;
	struct ids_node *node, *next;

	ids->n_buckets = old.n_buckets == 0 ? IDS_FIRST_BUCKETS : old.n_buckets * 2;
	ids->buckets = calloc(ids->n_buckets, sizeof(struct ids_node *));
	if (ids->buckets == NULL) {
		*ids = old;
		return -1;
	}
	for (size_t i = 0; i < old.n_buckets; i++) {
		for (node = old.buckets[i]; node != NULL; node = next) {
			next = node->next;
			node->next = *ids_bucket(ids, node->id);
			*ids_bucket(ids, node->id) = node;
		}
	}
	free(old.buckets);
	return 0;
}

int ids_add(struct ids *ids, struct ids_node *node)
{
	if (ids->count >= ids->n_buckets && ids_grow(ids) < 0)
		return -1;
	node->next = *ids_bucket(ids, node->id);
	*ids_bucket(ids, node->id) = node;
	ids->count++;
	return 0;
}

void ids_remove(struct ids *ids, struct ids_node *node)
{
	struct ids_node **at = ids_bucket(ids, node->id);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	ids->count--;
}

struct ids_node *ids_find(const struct ids *ids, int64_t id)
{
	struct ids_node *node;

	if (ids->n_buckets == 0)
		return NULL;
	node = *ids_bucket(ids, id);
	return node == NULL || node->id == id ? node : ids_find_next(&(struct ids_node){id, node});
}

struct ids_node *ids_find_next(const struct ids_node *node)
{
	struct ids_node *next = node->next;

	while (next != NULL && next->id != node->id)
		next = next->next;
	return next;
}
