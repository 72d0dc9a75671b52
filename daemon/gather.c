/*
 * gather: see gather.h.
 */
#include "daemon/gather.h"

#include <stdlib.h>

#include "daemon/mem.h"

#define GATHER_ROWS 2000
#define GATHER_BYTES ((size_t)1 << 20)

struct gather {
	struct dispatch *dispatch;
	struct gather_what what;
	struct store_read read;
	bool abandoned;
	void (*release)(void *arg);
	void *release_arg;
};

static void
gather_end(struct gather *gather, int error)
{
	if (!gather->abandoned)
		gather->what.done(error, gather->read.reason, gather->what.arg);
	else if (gather->release != NULL)
		gather->release(gather->release_arg);
	free(gather);
}

static void
gather_slice_done(struct store_read *read, void *arg)
{
	struct gather *gather = arg;
	bool more = read->more;

	if (read->error != 0) {
		gather_end(gather, -1);
		return;
	}
	for (size_t i = 0; i < read->n_rows && !gather->abandoned; i++) {
		if (!gather->what.row(&read->rows[i], gather->what.arg)) {
			more = false;
			break;
		}
	}
	read->cursor = read->next;
	store_read_done(read);
	if (more && !gather->abandoned)
		dispatch_read(gather->dispatch, read);
	else
		gather_end(gather, 0);
}

struct gather *
gather_start(struct dispatch *dispatch, const struct gather_what *what)
{
	struct gather *gather = mem_new(sizeof(*gather));
	struct store_read *read = &gather->read;

	gather->dispatch = dispatch;
	gather->what = *what;
	read->ranges = what->ranges;
	read->n_ranges = what->n_ranges;
	read->filter = what->filter;
	read->owner = what->owner;
	read->fields = what->fields;
	read->max_rows = GATHER_ROWS;
	read->max_bytes = GATHER_BYTES;
	read->done = gather_slice_done;
	read->arg = gather;
	dispatch_read(dispatch, read);
	return gather;
}

void
gather_abandon(struct gather *gather, void (*release)(void *arg), void *arg)
{
	gather->abandoned = true;
	gather->release = release;
	gather->release_arg = arg;
}
