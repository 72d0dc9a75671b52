/*
 * What the files of the command map share: the state of its one loop.
 *
 * map.c has the loop, map_submit.c turns input into jobs, map_results.c jobs into results in order, map_watch.c into
 * results as they come, map_print.c prints a result, map_stop.c ends it all before its time.
 */
#ifndef CLIENT_MAP_PRIVATE_H
#define CLIENT_MAP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "futured.h"
#include "items.h"
#include "ring.h"
#include "select.h"
#include "text.h"

#define MAP_WINDOW_MIN 16

enum map_end {
	MAP_GOES_ON,
	MAP_INTERRUPTED, /* by a signal */
	MAP_UNREAD,      /* nobody reads the results any more */
	MAP_GIVEN_UP,    /* too many have failed */
};

/* Items in their order: jobs of these ids, or so many lines (last - first + 1) that were refused. */
struct map_piece {
	struct fut_range ids;
	bool refused;
};

struct map {
	struct items items;
	const char *task;
	bool output;       /* print what the commands wrote, in place of their results */
	bool unordered;    /* print as they end */
	int64_t max_fails; /* give up once so many have failed; 0: never */

	/* What is being submitted: a JSON array, of which `sent` items are under way. */
	struct text batch;
	size_t batch_count, sent;
	size_t refused;  /* lines behind the batch */
	size_t portion;  /* so many items at most in one request: fewer while the daemon is busy */
	int64_t batches; /* begun so far */
	int64_t map_request;
	int64_t retry_ms; /* not before */

	/* What was submitted and not printed yet, in the order of the items; with unordered, all that was submitted. */
	struct map_piece *pieces;
	size_t n_pieces, first_piece;
	int64_t submitted, printed, failed;

	/* The front: either its end is awaited, or a window of states and results fetched. */
	int64_t front_request;
	bool awaiting, ended; /* the front job has not ended; it has just been awaited */
	int64_t window, asked;

	/* What was submitted and is not watched yet; how many watches there are, and what they have told. */
	struct fut_range *unwatched;
	size_t n_unwatched, watches;
	struct ring open_watches;
	int64_t seen_failed, last_failed; /* in order: how many, and the highest id of them */

	int64_t count_request;
	int64_t count_sent_ms, count_next_ms;
	int64_t count_printed, count_failed; /* when the count was asked for */

	enum map_end end;
	int64_t cancel_request, end_request; /* the rest is cancelled; its end awaited */
	int status;
};

/* map.c */

int64_t map_now_ms(void);
/* Whether so many have failed that it is to be given up. */
bool map_has_failed(const struct map *map);
/* The first piece that is not printed yet, or NULL. */
struct map_piece *map_front(const struct map *map);
void map_add_piece(struct map *map, struct fut_range ids, bool refused);
/* Takes one item off the front. */
void map_step(struct map *map);
/* All jobs that are submitted and not printed; false where there are none. ret_rest is freed with select_done. */
bool map_select_rest(const struct map *map, struct select *ret_rest);

/* map_submit.c */

/* Submits what is left of the batch, or what was gathered. No request of map may be under way. */
void map_send_batch(struct map *map);
/* Its answer: code as of fut_receive, result where it is 0. */
void map_take_submitted(struct map *map, int code, const char *result);
/* Nothing more is read or submitted. */
void map_close_input(struct map *map);

/* map_results.c */

/* Asks for the end of the front job, or for results from there on, unless that is under way or there is none. */
void map_ask_front(struct map *map);
/* Its answer: prints what has ended. */
void map_take_front(struct map *map, int code, const char *result);

/* map_watch.c */

/* Jobs were submitted: they are to be watched, if any are. */
void map_add_watched(struct map *map, struct fut_range ids);
/* Watches what is not watched yet. */
void map_ask_watch(struct map *map);
/* Gives up the watches that are not over. */
void map_drop_watches(struct map *map);

/* map_print.c */

/* Prints an ended job. item is its place in the input, from 1, or 0 where that is not known. */
void map_print_job(struct map *map, int64_t item, struct span job);
/* Prints a job that cannot be shown. */
void map_print_lost(struct map *map, int64_t item, int64_t id, const char *cause);
/* Prints a line that was refused (it was said why). */
void map_print_refused(struct map *map);

/* map_stop.c */

/*
 * Ends it before its time: nothing more is read, submitted or printed; what was submitted is cancelled and its end
 * awaited. Called again once more was submitted after all. The first reason stands.
 */
void map_stop(struct map *map, enum map_end end);
/* Cancels what was submitted and has a higher id, and goes on. */
void map_cancel_behind(struct map *map, int64_t id);
/* The answer to end_request. */
void map_take_end(struct map *map, int code, const char *result);

#endif
