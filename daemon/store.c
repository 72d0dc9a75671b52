/*
 * store: what every back-end shares: the life of a batch, and of the answers to reads. Memory alone, no I/O; each
 * function runs on the thread that owns the object at that time, which is nearly always the loop's.
 *
 * The arena of a read is a chain of malloc'ed blocks, each of which begins with the address of the next.
 */
#include "daemon/store.h"

#include <stdlib.h>

#define BATCH_KEPT 256 /* members: room for so many stays */

#define BATCH_REST(batch, name)                              \
	do {                                                 \
		if ((batch)->name##_capacity > BATCH_KEPT) { \
			free((batch)->name);                 \
			(batch)->name = NULL;                \
			(batch)->name##_capacity = 0;        \
		}                                            \
	} while (0)

void
store_batch_rest(struct store_batch *batch)
{
	BATCH_REST(batch, finish);
	BATCH_REST(batch, release);
	BATCH_REST(batch, put);
	BATCH_REST(batch, cancel);
	BATCH_REST(batch, start);
	BATCH_REST(batch, forget);
	BATCH_REST(batch, gone);
	BATCH_REST(batch, webhook);
}

void
store_batch_clear(struct store_batch *batch)
{
	batch->n_finish = batch->n_release = batch->n_put = batch->n_cancel = batch->n_start = 0;
	batch->n_fill = batch->n_forget = batch->n_gone = batch->n_webhook = batch->n_setting = 0;
	batch->new_webhooks = 0;
	batch->promote = (struct store_promote){0};
	batch->high_water = 0;
	batch->verdict = STORE_COMMITTED;
	batch->reason[0] = '\0';
	batch->next_due_ms = SPEC_NONE;
}

void
store_batch_done(struct store_batch *batch)
{
	free(batch->finish);
	free(batch->release);
	free(batch->put);
	free(batch->cancel);
	free(batch->start);
	free(batch->fill);
	free(batch->forget);
	free(batch->gone);
	free(batch->webhook);
	free(batch->setting);
	*batch = (struct store_batch){0};
}

bool
store_batch_empty(const struct store_batch *batch)
{
	size_t n = batch->n_finish + batch->n_release + batch->n_put + batch->n_cancel + batch->n_start + batch->n_fill;

	return n + batch->n_forget + batch->n_webhook + batch->n_setting == 0 && !batch->promote.wanted;
}

void
store_read_done(struct store_read *read)
{
	void *block = read->arena, *next;

	for (; block != NULL; block = next) {
		next = *(void **)block;
		free(block);
	}
	free(read->rows);
	read->arena = NULL;
	read->rows = NULL;
	read->n_rows = 0;
}

void
store_opened_done(struct store_opened *opened)
{
	for (size_t i = 0; i < opened->n_lines; i++) {
		free(opened->lines[i].queue);
		free(opened->lines[i].owner);
	}
	for (size_t i = 0; i < opened->n_delayed; i++) {
		free(opened->delayed[i].queue);
		free(opened->delayed[i].owner);
	}
	for (size_t i = 0; i < opened->n_queues; i++)
		free(opened->queues[i].queue);
	free(opened->lines);
	free(opened->delayed);
	free(opened->queues);
	*opened = (struct store_opened){0};
}
