/*
 * ready: the queue itself: which jobs may start, line by line, in order.
 *
 * A row stands for the jobs id … id + count - 1 of one line and priority, which have all had as many attempts: what a map
 * or a flood brings is one row, and what is taken out of its front costs one change of it, however many jobs that is.
 * Invariant: no two rows have a job in common. fill reads them; nobody else writes them.
 */
#include "db.h"

/* A row of the table. */
struct ready_run {
	int64_t id, count;
	int attempts;
};

int
sq_ready_add(struct sq_db *db, int64_t line, int priority, int64_t id, int attempts)
{
	sq_bind_ready(db, SQ_READY_ADD, line, priority, id);
	sq_bind(db, SQ_READY_ADD, 4, 1);
	sq_bind(db, SQ_READY_ADD, 5, attempts);
	return sq_run(db, SQ_READY_ADD);
}

/* The run that holds id: 1, or 0 when there is none, -1. */
static int
ready_find(struct sq_db *db, int64_t line, int priority, int64_t id, struct ready_run *ret_run)
{
	sqlite3_stmt *row = db->statements[SQ_READY_AT];
	int found;

	sq_bind_ready(db, SQ_READY_AT, line, priority, id);
	found = sq_row(db, SQ_READY_AT);
	if (found <= 0)
		return found;
	*ret_run = (struct ready_run){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), sqlite3_column_int(row, 2)};
	sq_reset(db, SQ_READY_AT);
	return id - ret_run->id < ret_run->count;
}

/* Takes first … last out of the run, all of which it holds. */
static int
ready_cut(struct sq_db *db, int64_t line, int priority, const struct ready_run *run, int64_t first, int64_t last)
{
	int64_t behind = run->id + run->count - 1 - last;

	if (first == run->id) {
		sq_bind_ready(db, SQ_READY_DROP, line, priority, run->id);
		if (sq_run(db, SQ_READY_DROP) < 0)
			return -1;
	} else {
		sq_bind_ready(db, SQ_READY_SHORTEN, line, priority, run->id);
		sq_bind(db, SQ_READY_SHORTEN, 4, first - run->id);
		if (sq_run(db, SQ_READY_SHORTEN) < 0)
			return -1;
	}
	if (behind == 0)
		return 0;
	sq_bind_ready(db, SQ_READY_ADD, line, priority, last + 1);
	sq_bind(db, SQ_READY_ADD, 4, behind);
	sq_bind(db, SQ_READY_ADD, 5, run->attempts);
	return sq_run(db, SQ_READY_ADD);
}

/* Whether all of first … last are there: 1, 0, -1. *ret_run is the run that holds the first. */
static int
ready_has(struct sq_db *db, int64_t line, int priority, int64_t first, int64_t last, struct ready_run *ret_run)
{
	int found = ready_find(db, line, priority, first, ret_run);
	struct ready_run run = *ret_run;

	while (found > 0 && run.id + run.count <= last)
		found = ready_find(db, line, priority, run.id + run.count, &run);
	return found;
}

int
sq_ready_take(struct sq_db *db, int64_t line, int priority, int64_t first, int64_t last, int *ret_attempts)
{
	struct ready_run run = {0};
	int found = ready_has(db, line, priority, first, last, &run);

	if (found <= 0)
		return found;
	*ret_attempts = run.attempts;
	for (;;) {
		int64_t end = run.id + run.count - 1 < last ? run.id + run.count - 1 : last;

		if (ready_cut(db, line, priority, &run, first, end) < 0)
			return -1;
		if (end == last)
			return 1;
		first = end + 1;
		if (ready_find(db, line, priority, first, &run) < 0)
			return -1;
	}
}

int
sq_ready_behind(struct sq_db *db, int64_t line, int priority, int64_t id, int64_t *ret_id)
{
	struct ready_run run;
	int found = ready_find(db, line, priority, id, &run);

	*ret_id = found > 0 && run.id + run.count - 1 > id ? run.id : id + 1;
	return found < 0 ? -1 : 0;
}
