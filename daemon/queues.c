/*
 * queues: see queues.h.
 */
#include "daemon/queues.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

#define QUEUES_WINDOW_BUDGET 65536 /* jobs in all windows together, roughly */
#define QUEUES_WINDOW_MIN 16

void
queues_init(struct queues *queues, size_t window)
{
	*queues = (struct queues){.window = window};
	for (int i = 0; i < POOL_COUNT; i++)
		TAILQ_INIT(&queues->rings[i]);
}

static struct owner_count *
queues_owner(struct queues *queues, const char *owner)
{
	struct owner_count *count;

	HASH_FIND_STR(queues->owners, owner, count);
	if (count == NULL) {
		count = mem_new(sizeof(*count));
		count->owner = mem_text(owner);
		HASH_ADD_KEYPTR(hh, queues->owners, count->owner, strlen(count->owner), count);
	}
	return count;
}

static void
queues_tidy_owner(struct queues *queues, struct owner_count *count)
{
	if (count->pending != 0 || count->n_queues > 0)
		return;
	HASH_DEL(queues->owners, count);
	free(count->owner);
	free(count);
}

static void
queues_free_queue(struct queues *queues, struct queue *queue)
{
	if (queue->by != NULL) {
		queue->by->n_queues--;
		queues_tidy_owner(queues, queue->by);
	}
	HASH_DEL(queues->by_name, queue);
	queues->n--;
	free(queue->name);
	free(queue);
}

void
queues_done(struct queues *queues)
{
	struct queue *queue, *next;
	struct owner_count *count, *after;
	struct line *line;

	HASH_ITER(hh, queues->by_name, queue, next) {
		while ((line = TAILQ_FIRST(&queue->lines)) != NULL) {
			TAILQ_REMOVE(&queue->lines, line, all);
			line_free(line);
		}
		queues_free_queue(queues, queue);
	}
	HASH_ITER(hh, queues->owners, count, after) {
		HASH_DEL(queues->owners, count);
		free(count->owner);
		free(count);
	}
}

struct queue *
queues_find(const struct queues *queues, const char *name)
{
	struct queue *queue;

	HASH_FIND_STR(queues->by_name, name, queue);
	return queue;
}

struct queue *
queues_get(struct queues *queues, const char *name)
{
	struct queue *queue = queues_find(queues, name);

	if (queue != NULL)
		return queue;
	queue = mem_new(sizeof(*queue));
	queue->name = mem_text(name);
	TAILQ_INIT(&queue->lines);
	queue->asked = queue->durable = (struct queue_settings){.limit = SPEC_NONE};
	for (uint8_t i = 0; i < POOL_COUNT; i++) {
		TAILQ_INIT(&queue->lanes[i].ring);
		queue->lanes[i].queue = queue;
		queue->lanes[i].pool = i;
	}
	HASH_ADD_KEYPTR(hh, queues->by_name, queue->name, strlen(queue->name), queue);
	queues->n++;
	return queue;
}

static int64_t
queue_limit(const struct queue *queue)
{
	int64_t asked = queue->asked.limit, durable = queue->durable.limit;

	if (asked == SPEC_NONE || durable == SPEC_NONE)
		return asked == SPEC_NONE ? durable : asked;
	return asked < durable ? asked : durable;
}

bool
queue_is_paused(const struct queue *queue)
{
	return queue->asked.paused || queue->durable.paused;
}

bool
queue_is_at_limit(const struct queue *queue)
{
	int64_t limit = queue_limit(queue);

	return limit != SPEC_NONE && queue->running >= limit;
}

void
queues_release(struct queues *queues, struct queue *queue)
{
	if (queue->pending == 0 && queue->running == 0 && TAILQ_EMPTY(&queue->lines) && queue->changing == 0 &&
	    !queue_is_paused(queue) && queue_limit(queue) == SPEC_NONE)
		queues_free_queue(queues, queue);
}

/* The more lines there are, the less each may hold. */
static size_t
queues_line_window(const struct queues *queues)
{
	size_t fair = QUEUES_WINDOW_BUDGET / (queues->n_lines + 1);

	if (fair < QUEUES_WINDOW_MIN)
		fair = QUEUES_WINDOW_MIN;
	return fair < queues->window ? fair : queues->window;
}

struct line *
queues_find_line(const struct queue *queue, uint8_t pool, const char *owner)
{
	struct line *line;

	TAILQ_FOREACH(line, &queue->lines, all) {
		if (line->pool == pool && strcmp(line->owner, owner) == 0)
			return line;
	}
	return NULL;
}

struct line *
queues_line(struct queues *queues, struct queue *queue, uint8_t pool, const char *owner)
{
	struct line *line = queues_find_line(queue, pool, owner);

	if (line != NULL)
		return line;
	line = line_new(queue, pool, owner, queues_line_window(queues));
	TAILQ_INSERT_TAIL(&queue->lines, line, all);
	queues->n_lines++;
	return line;
}

void
queues_tidy_line(struct queues *queues, struct line *line)
{
	struct queue *queue = line->queue;

	if (line->n > 0 || !line->complete || line->filling || !TAILQ_EMPTY(&line->aside))
		return;
	assert(!line->listed);
	TAILQ_REMOVE(&queue->lines, line, all);
	queues->n_lines--;
	line_free(line);
	queues_release(queues, queue);
}

static void
queues_relist_lane(struct queues *queues, struct queue_lane *lane)
{
	bool open = !TAILQ_EMPTY(&lane->ring) && !queue_is_paused(lane->queue) && !queue_is_at_limit(lane->queue);

	if (open == lane->listed)
		return;
	if (open)
		TAILQ_INSERT_TAIL(&queues->rings[lane->pool], lane, link);
	else
		TAILQ_REMOVE(&queues->rings[lane->pool], lane, link);
	lane->listed = open;
}

void
queues_reset(struct queues *queues, struct queue *queue)
{
	for (int i = 0; i < POOL_COUNT; i++)
		queues_relist_lane(queues, &queue->lanes[i]);
}

void
queues_relist(struct queues *queues, struct line *line)
{
	struct queue_lane *lane = &line->queue->lanes[line->pool];

	if (line->n > 0 && !line->listed) {
		TAILQ_INSERT_TAIL(&lane->ring, line, ring);
		line->listed = true;
	} else if (line->n == 0 && line->listed) {
		TAILQ_REMOVE(&lane->ring, line, ring);
		line->listed = false;
	}
	queues_relist_lane(queues, lane);
}

struct job *
queues_head(const struct queues *queues, uint8_t pool)
{
	struct queue_lane *lane = TAILQ_FIRST(&queues->rings[pool]);

	return lane != NULL ? line_head(TAILQ_FIRST(&lane->ring)) : NULL;
}

void
queues_rotate(struct queues *queues, uint8_t pool)
{
	struct queue_lane *lane = TAILQ_FIRST(&queues->rings[pool]);
	struct line *line;

	if (lane == NULL)
		return;
	line = TAILQ_FIRST(&lane->ring);
	if (TAILQ_NEXT(line, ring) != NULL) {
		TAILQ_REMOVE(&lane->ring, line, ring);
		TAILQ_INSERT_TAIL(&lane->ring, line, ring);
	}
	if (TAILQ_NEXT(lane, link) != NULL) {
		TAILQ_REMOVE(&queues->rings[pool], lane, link);
		TAILQ_INSERT_TAIL(&queues->rings[pool], lane, link);
	}
}

void
queues_count_pending(struct queues *queues, struct queue *queue, const char *owner, int64_t n)
{
	struct owner_count *count = queues_owner(queues, owner);

	if (queue->by == NULL) {
		queue->by = count;
		count->n_queues++;
	}
	queue->pending += n;
	queues->pending += n;
	count->pending += n;
	queues_tidy_owner(queues, count);
}

void
queues_count_running(struct queues *queues, struct queue *queue, int64_t n)
{
	queue->running += n;
	queues->running += n;
	if (queue_limit(queue) != SPEC_NONE)
		queues_reset(queues, queue);
}

int64_t
queues_owner_pending(const struct queues *queues, const char *owner)
{
	struct owner_count *count;

	HASH_FIND_STR(queues->owners, owner, count);
	return count != NULL ? count->pending : 0;
}

size_t
queues_owner_queues(const struct queues *queues, const char *owner)
{
	const struct owner_count *count;

	HASH_FIND_STR(queues->owners, owner, count);
	return count != NULL ? count->n_queues : 0;
}
