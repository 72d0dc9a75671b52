/*
 * waiters: who is to be told when jobs end, or change while they run. One job's waiters hang on its id, so thousands of clients that wait cost nothing until it ends;
 * waiters for many jobs are looked through at each end, and at each change while anybody wants to know of changes. Loop thread.
 */
#ifndef DAEMON_WAITERS_H
#define DAEMON_WAITERS_H

#include <stdbool.h>
#include <sys/queue.h>

#include "daemon/dispatch.h"
#include "daemon/store.h"

struct waiters;
struct waiter_key;

struct waiter {
	const struct id_range *ranges; /* sorted, disjoint; the owner's */
	size_t n_ranges;
	/* May remove itself, or others. */
	void (*ended)(struct waiter *waiter, const struct store_row *row);
	void (*changed)(struct waiter *waiter, int64_t id, enum dispatch_change what); /* NULL: it is not told of these */
	struct waiter_key *key; /* waiters' */
	bool listed;
	TAILQ_ENTRY(waiter) link;
};

struct waiters *waiters_new(void);
void waiters_free(struct waiters *waiters);
void waiters_add(struct waiters *waiters, struct waiter *waiter);
void waiters_remove(struct waiters *waiters, struct waiter *waiter);
/* A job has ended, and that is durable. */
void waiters_tell(struct waiters *waiters, const struct store_row *row);
/* A running job has changed. */
void waiters_tell_change(struct waiters *waiters, int64_t id, enum dispatch_change what);

#endif
