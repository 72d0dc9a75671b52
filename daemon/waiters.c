/*
 * waiters: see waiters.h. A list that is being told may lose any of its members: the next to tell is kept in the head and moved on by a removal.
 */
#include "daemon/waiters.h"

#include <stdlib.h>

#include "daemon/hash.h"
#include "daemon/mem.h"

TAILQ_HEAD(waiter_list, waiter);

struct waiter_key {
	int64_t id;
	struct waiter_list list;
	UT_hash_handle hh;
};

struct waiters {
	struct waiter_key *by_id;
	struct waiter_list many;
	struct waiter *next; /* of the telling under way */
	size_t n_changed;    /* waiters that want to know of changes */
};

struct waiters *
waiters_new(void)
{
	struct waiters *waiters = mem_new(sizeof(*waiters));

	TAILQ_INIT(&waiters->many);
	return waiters;
}

void
waiters_free(struct waiters *waiters)
{
	struct waiter_key *key, *next;

	if (waiters == NULL)
		return;
	HASH_ITER(hh, waiters->by_id, key, next) {
		HASH_DEL(waiters->by_id, key);
		free(key);
	}
	free(waiters);
}

void
waiters_add(struct waiters *waiters, struct waiter *waiter)
{
	struct waiter_key *key;

	waiter->listed = true;
	waiter->key = NULL;
	waiters->n_changed += waiter->changed != NULL;
	if (waiter->n_ranges != 1 || waiter->ranges[0].first != waiter->ranges[0].last) {
		TAILQ_INSERT_TAIL(&waiters->many, waiter, link);
		return;
	}
	HASH_FIND(hh, waiters->by_id, &waiter->ranges[0].first, sizeof(int64_t), key);
	if (key == NULL) {
		key = mem_new(sizeof(*key));
		key->id = waiter->ranges[0].first;
		TAILQ_INIT(&key->list);
		HASH_ADD(hh, waiters->by_id, id, sizeof(key->id), key);
	}
	waiter->key = key;
	TAILQ_INSERT_TAIL(&key->list, waiter, link);
}

void
waiters_remove(struct waiters *waiters, struct waiter *waiter)
{
	struct waiter_key *key = waiter->key;

	if (!waiter->listed)
		return;
	waiter->listed = false;
	waiters->n_changed -= waiter->changed != NULL;
	if (waiters->next == waiter)
		waiters->next = TAILQ_NEXT(waiter, link);
	if (key == NULL) {
		TAILQ_REMOVE(&waiters->many, waiter, link);
		return;
	}
	TAILQ_REMOVE(&key->list, waiter, link);
	if (TAILQ_EMPTY(&key->list)) {
		HASH_DEL(waiters->by_id, key);
		free(key);
	}
}

static bool
waiter_has(const struct waiter *waiter, int64_t id)
{
	size_t low = 0, high = waiter->n_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (waiter->ranges[middle].last < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < waiter->n_ranges && waiter->ranges[low].first <= id;
}

/* What is told: row, or a change of id. */
struct waiters_news {
	const struct store_row *row;
	int64_t id;
	enum dispatch_change change;
};

static void
waiter_hear(struct waiter *waiter, const struct waiters_news *news)
{
	if (news->row != NULL)
		waiter->ended(waiter, news->row);
	else if (waiter->changed != NULL)
		waiter->changed(waiter, news->id, news->change);
}

static void
waiters_spread(struct waiters *waiters, const struct waiters_news *news)
{
	struct waiter_key *key;
	struct waiter *waiter;

	HASH_FIND(hh, waiters->by_id, &news->id, sizeof(news->id), key);
	for (waiter = key != NULL ? TAILQ_FIRST(&key->list) : NULL; waiter != NULL; waiter = waiters->next) {
		waiters->next = TAILQ_NEXT(waiter, link);
		waiter_hear(waiter, news);
	}
	for (waiter = TAILQ_FIRST(&waiters->many); waiter != NULL; waiter = waiters->next) {
		waiters->next = TAILQ_NEXT(waiter, link);
		if (waiter_has(waiter, news->id))
			waiter_hear(waiter, news);
	}
	waiters->next = NULL;
}

void
waiters_tell(struct waiters *waiters, const struct store_row *row)
{
	const struct waiters_news news = {.row = row, .id = row->id};

	waiters_spread(waiters, &news);
}

void
waiters_tell_change(struct waiters *waiters, int64_t id, enum dispatch_change what)
{
	const struct waiters_news news = {.id = id, .change = what};

	if (waiters->n_changed > 0)
		waiters_spread(waiters, &news);
}
