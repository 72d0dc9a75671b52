/*
 * What the files of the command map share: the state of its one loop.
 *
 * map.c has the loop, map_submit.c turns input into jobs, map_results.c jobs into lines of results.
 */
#ifndef CLIENT_MAP_PRIVATE_H
#define CLIENT_MAP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "futured.h"
#include "items.h"
#include "text.h"

#define MAP_WINDOW_MIN 16

struct map {
	struct items items;
	const char *task;

	/* What is being submitted: a JSON array, of which `sent` items are under way. */
	struct text batch;
	size_t batch_count, sent;
	size_t portion;  /* so many items at most in one request: fewer while the daemon is busy */
	int64_t batches; /* begun so far */
	int64_t map_request;
	int64_t retry_ms; /* not before */

	/* What was submitted and not printed yet, by rising id. */
	struct fut_range *ranges;
	size_t n_ranges, first_range;
	int64_t submitted, printed, failed;

	/* The front: either its end is awaited, or a window of states and results fetched. */
	int64_t front_request;
	bool awaiting, ended; /* the front job has not ended; it has just been awaited */
	int64_t window, asked;

	int64_t count_request, cancel_request;
	int64_t count_sent_ms, count_next_ms;
	int64_t count_printed, count_failed; /* when the count was asked for */

	bool stopped; /* by Ctrl-C, or since nobody reads the results */
	int status;
};

/* map.c */

int64_t map_now_ms(void);
/* The jobs that are submitted and not printed yet, of which the first is the front; NULL when there are none. */
struct fut_range *map_front(const struct map *map);

/* map_submit.c */

/* Submits what is left of the batch, or what was gathered. No request of map may be under way. */
void map_send_batch(struct map *map);
/* Its answer: code as of fut_receive, result where it is 0. */
void map_take_submitted(struct map *map, int code, const char *result);
/* Nothing more is read or submitted; what was is cancelled, and its end awaited. */
void map_stop(struct map *map);

/* map_results.c */

/* Asks for the end of the front job, or for results from there on, unless that is under way or there is none. */
void map_ask_front(struct map *map);
/* Its answer: prints what has ended. */
void map_take_front(struct map *map, int code, const char *result);

#endif
