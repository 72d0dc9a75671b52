/*
 * line: see line.h. Jobs of one priority hang in one bucket by id; most come at its end, so a place is looked for from there.
 */
#include "daemon/line.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/mem.h"

#define LINE_BYTES_MAX ((size_t)8 << 20) /* of specs in one window, but always at least one job */

struct line_bucket {
	int32_t priority;
	struct job_list jobs;
	TAILQ_ENTRY(line_bucket) link;
};

struct line *
line_new(struct queue *queue, uint8_t pool, const char *owner, size_t window)
{
	struct line *line = mem_new(sizeof(*line));

	line->queue = queue;
	line->pool = pool;
	line->owner = mem_text(owner);
	line->window = window;
	line->complete = true;
	TAILQ_INIT(&line->buckets);
	TAILQ_INIT(&line->aside);
	return line;
}

void
line_free(struct line *line)
{
	assert(line->n == 0 && TAILQ_EMPTY(&line->aside));
	free((char *)(uintptr_t)line->owner);
	free(line);
}

static struct store_mark
line_place(const struct job *job)
{
	return (struct store_mark){job->spec->priority, job->spec->id};
}

/* Negative when a comes before b. */
static int
line_mark_order(const struct store_mark *a, const struct store_mark *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Whether the job stands behind the mark. */
static bool
line_is_beyond(const struct line *line, const struct job *job)
{
	struct store_mark place = line_place(job);

	return !line->complete && (line->from_start || line_mark_order(&place, &line->mark) > 0);
}

static struct line_bucket *
line_bucket_for(struct line *line, int32_t priority)
{
	struct line_bucket *bucket, *made;

	TAILQ_FOREACH(bucket, &line->buckets, link) {
		if (bucket->priority == priority)
			return bucket;
		if (bucket->priority < priority)
			break;
	}
	made = mem_new(sizeof(*made));
	made->priority = priority;
	TAILQ_INIT(&made->jobs);
	if (bucket != NULL)
		TAILQ_INSERT_BEFORE(bucket, made, link);
	else
		TAILQ_INSERT_TAIL(&line->buckets, made, link);
	return made;
}

/* By id. Looks from both ends: new jobs belong to the back, those that come back to the front. */
static void
line_insert_by_id(struct job_list *jobs, struct job *job)
{
	struct job *back = TAILQ_LAST(jobs, job_list), *front = TAILQ_FIRST(jobs);
	int64_t id = job->spec->id;

	for (; back != NULL && back->spec->id > id && front->spec->id < id; front = TAILQ_NEXT(front, link))
		back = TAILQ_PREV(back, job_list, link);
	if (back == NULL)
		TAILQ_INSERT_HEAD(jobs, job, link);
	else if (back->spec->id < id)
		TAILQ_INSERT_AFTER(jobs, back, job, link);
	else
		TAILQ_INSERT_BEFORE(front, job, link);
}

static void
line_insert(struct line *line, struct job *job)
{
	line_insert_by_id(&line_bucket_for(line, job->spec->priority)->jobs, job);
	job->where = JOB_IN_WINDOW;
	job->line = line;
	line->n++;
	line->bytes += spec_size(job->spec);
}

static struct job *
line_last(const struct line *line)
{
	struct line_bucket *bucket = TAILQ_LAST(&line->buckets, line_buckets);

	return bucket != NULL ? TAILQ_LAST(&bucket->jobs, job_list) : NULL;
}

struct job *
line_head(const struct line *line)
{
	struct line_bucket *bucket = TAILQ_FIRST(&line->buckets);

	return bucket != NULL ? TAILQ_FIRST(&bucket->jobs) : NULL;
}

static void
line_take_out(struct line *line, struct job *job)
{
	struct line_bucket *bucket = line_bucket_for(line, job->spec->priority);

	TAILQ_REMOVE(&bucket->jobs, job, link);
	if (TAILQ_EMPTY(&bucket->jobs)) {
		TAILQ_REMOVE(&line->buckets, bucket, link);
		free(bucket);
	}
	job->where = JOB_NOWHERE;
	job->line = NULL;
	line->n--;
	line->bytes -= spec_size(job->spec);
}

static bool
line_is_over(const struct line *line)
{
	return line->n > line->window || (line->n > 1 && line->bytes > LINE_BYTES_MAX);
}

void
line_cut(struct line *line, const struct store_mark *first)
{
	if (!line->complete && (line->from_start || line_mark_order(&line->mark, first) < 0))
		return;
	line->missed = line->filling;
	line->complete = false;
	line->from_start = false;
	line->mark = (struct store_mark){first->priority, first->id - 1};
}

struct job *
line_behind_mark(struct line *line)
{
	struct job *last = line_last(line);

	if (last == NULL || !line_is_beyond(line, last))
		return NULL;
	line_take_out(line, last);
	return last;
}

bool
line_offer(struct line *line, struct job *job, struct job **ret_dropped)
{
	struct job *last;

	*ret_dropped = NULL;
	if (line_is_beyond(line, job)) {
		if (!line->filling)
			return false;
		TAILQ_INSERT_TAIL(&line->aside, job, link);
		job->where = JOB_ASIDE;
		job->line = line;
		return true;
	}
	line_insert(line, job);
	if (line->filling || !line_is_over(line))
		return true;
	last = line_last(line);
	line_take_out(line, last);
	line->complete = false;
	line->from_start = false;
	line->mark = line_place(line_last(line));
	if (last == job)
		return false;
	*ret_dropped = last;
	return true;
}

void
line_remove(struct line *line, struct job *job)
{
	if (job->where == JOB_ASIDE) {
		TAILQ_REMOVE(&line->aside, job, link);
		job->where = JOB_NOWHERE;
		job->line = NULL;
	} else {
		assert(job->where == JOB_IN_WINDOW);
		line_take_out(line, job);
	}
}

bool
line_wants_fill(const struct line *line)
{
	return !line->complete && !line->filling && line->n <= line->window / 2 && line->bytes <= LINE_BYTES_MAX / 2;
}

void
line_fill_begin(struct line *line, struct store_fill *fill)
{
	assert(!line->filling && !line->complete);
	line->filling = true;
	fill->pool = line->pool;
	fill->owner = line->owner;
	fill->from_start = line->from_start;
	fill->mark = line->mark;
	fill->n = line->window - line->n;
	fill->max_bytes = LINE_BYTES_MAX - line->bytes;
	fill->ctx = line;
}

void
line_fill_add(struct line *line, struct job *job)
{
	if (job->where == JOB_ASIDE)
		line_remove(line, job);
	line_insert(line, job);
}

void
line_fill_end(struct line *line, bool end, const struct store_mark *last)
{
	line->filling = line->missed = false;
	if (end) {
		line->complete = true;
	} else if (last != NULL) {
		line->mark = *last;
		line->from_start = false;
	}
}

struct job *
line_fill_leftover(struct line *line)
{
	struct job *job = TAILQ_FIRST(&line->aside);

	if (job != NULL)
		line_remove(line, job);
	return job;
}

void
line_fill_failed(struct line *line)
{
	line->filling = line->missed = false;
}
