/*
 * take: many ready jobs of a batch out of their lines at once.
 *
 * Workers hand in what they have done as it comes, here some and there some; by id it is mostly neighbours, which stand in few rows
 * of ready. So all are sorted first, and each run of neighbours is taken as one; if one of a run is not there, one by one.
 */
#include "db.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

/* One that is to be taken. */
struct take {
	int64_t line, id;
	int priority;
	bool *found;
};

struct sq_takes {
	struct take *items;
	size_t n, capacity;
};

struct sq_takes *
sq_takes_new(void)
{
	return mem_new(sizeof(struct sq_takes));
}

void
sq_takes_free(struct sq_takes *takes)
{
	if (takes != NULL)
		free(takes->items);
	free(takes);
}

int
sq_takes_add(struct sq_db *db, struct sq_takes *takes, const struct spec *spec, bool *ret_found)
{
	int64_t task, line;

	if (sq_names_spec(db, spec, &task, &line) < 0)
		return -1;
	takes->items = mem_room(takes->items, takes->n, &takes->capacity, sizeof(*takes->items));
	takes->items[takes->n++] = (struct take){line, spec->id, spec->priority, ret_found};
	return 0;
}

bool *
sq_takes_begin(struct sq_db *db, size_t n)
{
	db->takes->n = 0; /* some are left of a batch that failed */
	if (n > db->flags_capacity) {
		db->flags = mem_grow(db->flags, n, sizeof(*db->flags));
		db->flags_capacity = n;
	}
	if (n > 0)
		memset(db->flags, 0, n * sizeof(*db->flags));
	return db->flags;
}

static int
take_compare(const void *a, const void *b)
{
	const struct take *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* How many of the n stand one behind the other. */
static size_t
take_run_length(const struct take *first, size_t n)
{
	size_t length = 1;

	while (length < n && first[length].line == first->line && first[length].priority == first->priority &&
	    first[length].id == first->id + (int64_t)length)
		length++;
	return length;
}

/* n neighbours; one that is asked for twice is there once. */
static int
take_run(struct sq_db *db, struct take *first, size_t n)
{
	int found, attempts;

	found = sq_ready_take(db, first->line, first->priority, first->id, first->id + (int64_t)n - 1, &attempts);
	if (found < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (found == 0 && n > 1 && take_run(db, &first[i], 1) < 0)
			return -1;
		if (found > 0 || n == 1)
			*first[i].found = found > 0;
	}
	return 0;
}

int
sq_takes_run(struct sq_db *db, struct sq_takes *takes)
{
	size_t n = takes->n, length;

	takes->n = 0;
	if (n > 1)
		qsort(takes->items, n, sizeof(*takes->items), take_compare);
	for (size_t at = 0; at < n; at += length) {
		length = take_run_length(&takes->items[at], n - at);
		if (take_run(db, &takes->items[at], length) < 0)
			return -1;
	}
	return 0;
}
