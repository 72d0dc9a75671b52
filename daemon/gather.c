/*
 * gather: see gather.h.
 */
#include "daemon/gather.h"

#include <stdlib.h>

#include "daemon/mem.h"

#define GATHER_ROWS 2000
#define GATHER_BYTES ((size_t)1 << 20)
#define GATHER_ROW 512 /* what comes to the texts of a row */

struct gather {
	struct dispatch *dispatch;
	struct gather_what what;
	struct store_read read;
	bool reading; /* else it waits for room */
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
gather_read(void *arg)
{
	struct gather *gather = arg;

	gather->reading = true;
	dispatch_read(gather->dispatch, &gather->read);
}

/* The next slice, when there is room for what may come of it: most gatherings do with a little. */
static void
gather_next(struct gather *gather)
{
	const struct gather_what *what = &gather->what;
	struct store_read *read = &gather->read;
	size_t one = read->large + GATHER_ROW;

	if (!read->strict || (read->large == 0 && read->max_bytes > 0)) {
		gather_read(gather);
		return;
	}
	read->strict = false;
	read->max_bytes = GATHER_BYTES;
	if (what->n_ranges > 1 || what->ranges->first < what->ranges->last || one > what->most)
		one = what->most;
	room_take(what->room, one, gather_read, gather);
}

/* A row that has come takes its part of the small room. */
static void
gather_count(struct gather *gather, const struct store_row *row)
{
	size_t bytes = row->spec.args.len + row->json.len + GATHER_ROW;

	if (gather->read.strict)
		gather->read.max_bytes -= bytes < gather->read.max_bytes ? bytes : gather->read.max_bytes;
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
	if (read->tallies && !gather->abandoned)
		gather->what.tally(&read->tally, gather->what.arg);
	for (size_t i = 0; i < read->n_rows && !gather->abandoned; i++) {
		if (!gather->what.row(&read->rows[i], gather->what.arg)) {
			more = false;
			break;
		}
		gather_count(gather, &read->rows[i]);
	}
	read->cursor = read->next;
	store_read_done(read);
	gather->reading = false;
	if (more && !gather->abandoned)
		gather_next(gather);
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
	read->tallies = what->tally != NULL;
	read->max_rows = GATHER_ROWS;
	read->strict = what->room != NULL;
	read->max_bytes = read->strict ? ROOM_SMALL : GATHER_BYTES;
	read->done = gather_slice_done;
	read->arg = gather;
	gather_read(gather);
	return gather;
}

void
gather_abandon(struct gather *gather, void (*release)(void *arg), void *arg)
{
	gather->abandoned = true;
	gather->release = release;
	gather->release_arg = arg;
	if (!gather->reading)
		gather_end(gather, 0);
}
