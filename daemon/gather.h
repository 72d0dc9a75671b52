/*
 * gather: reads all jobs of a selection from the store, slice by slice, without holding up anybody. Loop thread.
 */
#ifndef DAEMON_GATHER_H
#define DAEMON_GATHER_H

#include "daemon/dispatch.h"
#include "daemon/room.h"
#include "daemon/store.h"

struct gather;

struct gather_what {
	const struct id_range *ranges;         /* the caller's until done */
	size_t n_ranges;
	const struct selection_filter *filter; /* or NULL */
	const char *owner;                     /* or NULL; the caller's until done */
	unsigned fields;
	struct room *room;                     /* for what the caller makes of the rows, his until he leaves it; NULL: he keeps nothing of them */
	size_t most;                           /* that he may make of them */
	/* Each row once, by id; false: that is enough. */
	bool (*row)(const struct store_row *row, void *arg);
	/* In place of row, without filter and owner: they are only counted. Each part once, by id. */
	void (*tally)(const struct store_tally *tally, void *arg);
	/* error: 0, or -1 with the reason. The gather is gone after it. */
	void (*done)(int error, const char *reason, void *arg);
	void *arg;
};

struct gather *gather_start(struct dispatch *dispatch, const struct gather_what *what);
/* Nothing more is called but release(arg), at once or when the read under way has come back: until then the ranges must live. */
void gather_abandon(struct gather *gather, void (*release)(void *arg), void *arg);

#endif
