/*
 * queues: the named queues, their lines and counts, and the rings from which the next job is picked.
 *
 * Rings make turns fair: within a pool queues take turns, within a queue the owners do. A line is in its ring while its window has a head,
 * a queue is in its pool's ring while one of its lines is and its settings let it start jobs. Loop thread; no I/O.
 */
#ifndef DAEMON_QUEUES_H
#define DAEMON_QUEUES_H

#include <stdint.h>
#include <sys/queue.h>

#include "daemon/hash.h"
#include "daemon/line.h"
#include "daemon/spec.h"

struct queue_lane {
	struct line_list ring; /* lines with a head */
	struct queue *queue;
	uint8_t pool;
	bool listed;
	unsigned adding;       /* submissions on their way to the store that will stand in one of its lines */
	TAILQ_ENTRY(queue_lane) link;
};
TAILQ_HEAD(queue_lane_list, queue_lane);

struct queue_settings {
	bool paused;
	int64_t limit; /* jobs that may run at once; SPEC_NONE: any number */
};

struct queue {
	char *name;
	struct owner_count *by; /* who has brought it into being by a job; NULL: nobody */
	int64_t pending; /* not running, not ended; delayed ones too */
	int64_t running;
	struct queue_lane lanes[POOL_COUNT];
	struct line_list lines;
	struct queue_settings asked;   /* what was asked for last … */
	struct queue_settings durable; /* … and what the store has: the stricter of both holds */
	unsigned changing;             /* settings on their way to the store */
	UT_hash_handle hh;
};

/* What one owner has, for the limits. */
struct owner_count {
	char *owner;
	int64_t pending;
	size_t n_queues; /* that came to be by a job of his */
	UT_hash_handle hh;
};

struct queues {
	struct queue *by_name;
	struct owner_count *owners;
	size_t n;
	size_t n_lines;
	size_t window;   /* [store] window */
	int64_t pending; /* of all queues */
	int64_t running;
	struct queue_lane_list rings[POOL_COUNT];
};

void queues_init(struct queues *queues, size_t window);
void queues_done(struct queues *queues);

/* The queue of that name; made if it is new. */
struct queue *queues_get(struct queues *queues, const char *name);
struct queue *queues_find(const struct queues *queues, const char *name);
/* Forgets a queue that has no job, no line and no setting. */
void queues_release(struct queues *queues, struct queue *queue);

/* The line of that pool, queue and owner; made (complete, empty) if it is new. Lines that are empty and complete go with queues_tidy_line(). */
struct line *queues_find_line(const struct queue *queue, uint8_t pool, const char *owner);
struct line *queues_line(struct queues *queues, struct queue *queue, uint8_t pool, const char *owner);
void queues_tidy_line(struct queues *queues, struct line *line);

/* After a line's window changed: puts it into the rings, or takes it out. */
void queues_relist(struct queues *queues, struct line *line);

/* The next job of a pool, in turns; it stays where it is. NULL: none. queues_rotate() then gives the turn on. */
struct job *queues_head(const struct queues *queues, uint8_t pool);
void queues_rotate(struct queues *queues, uint8_t pool);

/*
 * Settings. While a queue is paused, or runs as many jobs as it may, none of its lanes is in a ring: it costs the picking nothing. The owner sets asked,
 * durable and changing, and then calls queues_reset().
 */
void queues_reset(struct queues *queues, struct queue *queue);
bool queue_is_paused(const struct queue *queue);
bool queue_is_at_limit(const struct queue *queue);

/* Counts; n may be negative. */
void queues_count_pending(struct queues *queues, struct queue *queue, const char *owner, int64_t n);
void queues_count_running(struct queues *queues, struct queue *queue, int64_t n);
int64_t queues_owner_pending(const struct queues *queues, const char *owner);
/* Of the queues that are there, those that came to be by a job of his. */
size_t queues_owner_queues(const struct queues *queues, const char *owner);

#endif
