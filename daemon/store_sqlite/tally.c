/*
 * tally: how many jobs of some ranges there are, and how they have ended, for a bounded time.
 *
 * It takes a thousand jobs at a time and lets SQLite count them, so that none becomes a row: whoever waits for a million jobs asks this
 * and not scan. Of a job that is there and not in done nothing is told.
 */
#include "db.h"

#include <assert.h>
#include <stdio.h>

#include "daemon/clock.h"

#define TALLY_US   2000
#define TALLY_JOBS 1000

/* Of those from low to high: 1 when there may be more behind *ret_last, 0, -1. */
static int
tally_jobs(struct sq_db *db, int64_t low, int64_t high, int64_t *ret_n, int64_t *ret_last)
{
	sqlite3_stmt *row = db->statements[SQ_TALLY_JOBS];

	sq_bind(db, SQ_TALLY_JOBS, 1, low);
	sq_bind(db, SQ_TALLY_JOBS, 2, high);
	sq_bind(db, SQ_TALLY_JOBS, 3, TALLY_JOBS);
	if (sq_row(db, SQ_TALLY_JOBS) < 0)
		return -1;
	*ret_n = sqlite3_column_int64(row, 0);
	*ret_last = sqlite3_column_int64(row, 1);
	sq_reset(db, SQ_TALLY_JOBS);
	return *ret_n == TALLY_JOBS;
}

static int
tally_done(struct sq_db *db, int64_t low, int64_t high, int64_t n, struct store_tally *tally)
{
	sqlite3_stmt *row = db->statements[SQ_TALLY_DONE];
	int64_t ended = 0, all, first_seq;

	sq_bind(db, SQ_TALLY_DONE, 1, low);
	sq_bind(db, SQ_TALLY_DONE, 2, high);
	if (sq_row(db, SQ_TALLY_DONE) < 0)
		return -1;
	all = sqlite3_column_int64(row, 0);
	first_seq = sqlite3_column_int64(row, 1);
	for (int state = JOB_SUCCEEDED; state < JOB_STATE_COUNT; state++) {
		tally->ended[state] += sqlite3_column_int64(row, 2 + state - JOB_SUCCEEDED);
		ended += sqlite3_column_int64(row, 2 + state - JOB_SUCCEEDED);
	}
	sq_reset(db, SQ_TALLY_DONE);
	if (ended != all || all > n)
		return sq_fail_corrupt(db, "of the %lld jobs from %lld to %lld %lld are told to have ended", (long long)n, (long long)low,
		    (long long)high, (long long)all);
	if (all > 0 && first_seq < tally->first_seq)
		tally->first_seq = first_seq;
	return 0;
}

/* What is left of the range, as far as time goes: 1 when it ran out, 0, -1. */
static int
tally_range(struct sq_db *db, struct store_read *read, const struct id_range *range, int64_t deadline_us)
{
	int64_t low = read->next >= range->first ? read->next + 1 : range->first, n, last;
	int more;

	do {
		more = tally_jobs(db, low, range->last, &n, &last);
		if (more < 0)
			return -1;
		if (n == 0)
			return 0;
		if (tally_done(db, low, more ? last : range->last, n, &read->tally) < 0)
			return -1;
		read->tally.n += n;
		read->tally.last = read->next = last;
		low = last + 1;
	} while (more && clock_mono_us() < deadline_us);
	return more;
}

void
sq_tally(struct sq_db *db, struct store_read *read)
{
	int64_t deadline_us = clock_mono_us() + TALLY_US;
	int more = 0;

	assert(read->filter == NULL && read->owner == NULL && !read->desc && !read->by_end);
	read->rows = NULL;
	read->n_rows = 0;
	read->arena = NULL;
	read->error = 0;
	read->tally = (struct store_tally){.first_seq = INT64_MAX};
	read->next = read->cursor;
	for (size_t i = 0; i < read->n_ranges && more == 0; i++) {
		if (read->ranges[i].last <= read->next)
			continue;
		more = tally_range(db, read, &read->ranges[i], deadline_us);
		if (more == 0)
			read->next = read->ranges[i].last;
		if (more == 0 && i + 1 < read->n_ranges && clock_mono_us() >= deadline_us)
			more = 1;
	}
	read->more = more > 0;
	if (more < 0) {
		read->error = -1;
		snprintf(read->reason, sizeof(read->reason), "%s", db->failure.text);
	}
}
