/*
 * line: the window that memory holds of one line of ready jobs: those of one pool, queue and owner, by priority, then id.
 *
 * Invariant: the window is exactly the first n of the line's durable ready jobs. `complete` says that the store has no more; else `mark` is
 * the place of the last job of which the window is sure: what is put before the mark goes in, what is put behind it stays in the store. A
 * refill (`filling`) reads on behind the mark; what is put behind the mark meanwhile is kept aside until it is back. Loop thread; no I/O.
 */
#ifndef DAEMON_LINE_H
#define DAEMON_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "daemon/job.h"
#include "daemon/store.h"

struct line_bucket; /* the jobs of one priority */
TAILQ_HEAD(line_buckets, line_bucket);

struct line {
	uint8_t pool;
	bool complete;
	bool filling;
	bool missed;             /* filling from a place that lies too far behind by now */
	bool listed;             /* it is in its queue's ring of lines that have a head */
	struct store_mark mark;  /* meaningful unless complete */
	bool from_start;         /* not complete and nothing known yet: the mark is before the first */
	size_t n;                /* jobs in the window */
	size_t bytes;            /* of their specs */
	size_t window;           /* most jobs to hold */
	struct line_buckets buckets; /* by priority, highest first */
	struct job_list aside;
	const char *owner;       /* the line's own */
	struct queue *queue;
	TAILQ_ENTRY(line) ring;  /* in struct queue_lane.ring while listed */
	TAILQ_ENTRY(line) all;   /* in struct queue.lines */
};
TAILQ_HEAD(line_list, line);

struct line *line_new(struct queue *queue, uint8_t pool, const char *owner, size_t window);
void line_free(struct line *line); /* the window must be empty */

/*
 * A durable ready job of this line: true when the window took it. *ret_dropped is a job that fell out of the window for it (or NULL).
 */
bool line_offer(struct line *line, struct job *job, struct job **ret_dropped);
/*
 * The store has got ready jobs (a map) that were not offered, the first at the place first: the window is sure only of what comes before. Then
 * line_behind_mark() hands back, one by one, the jobs that are not part of it any more.
 */
void line_cut(struct line *line, const struct store_mark *first);
struct job *line_behind_mark(struct line *line);
struct job *line_head(const struct line *line);
/* The job leaves the window (picked, cancelled) or the jobs kept aside. */
void line_remove(struct line *line, struct job *job);

/* Whether a refill is due; then line_fill_begin() sets `filling`, from where and how many. */
bool line_wants_fill(const struct line *line);
void line_fill_begin(struct line *line, struct store_fill *fill);
/*
 * A row of the refill: job is in memory and becomes part of the window (it may have been aside). Afterwards line_fill_end() with whether the store
 * has no more, and the place of the last row (NULL: none); what was aside and does not belong is handed back one by one.
 */
void line_fill_add(struct line *line, struct job *job);
void line_fill_end(struct line *line, bool end, const struct store_mark *last);
struct job *line_fill_leftover(struct line *line);
/* The refill did not happen, or (line->missed) what it brought is of no use: the jobs aside are left over. */
void line_fill_failed(struct line *line);

#endif
