/*
 * roster: the jobs of a selection that somebody waits for: which there are, and how many of them have ended.
 *
 * It registers with the waiters and then reads the selection from the store in rising order of ids. A job counts as ended when it is told so and the
 * reading has passed it, or when the reading finds it so: the store answers in the order in which it worked, so each job is counted once and no
 * bit a job is kept. While it waits it holds ranges of ids alone: those that were asked for or, where a filter or the owner leaves some of their jobs
 * out, those that it found. They are charged to the connection, [limits] ranges_per_connection, and to its owner, who leaves as many free to others
 * as all his connections keep: beyond that it fails with RPC_BUSY. Loop thread.
 */
#ifndef DAEMON_ROSTER_H
#define DAEMON_ROSTER_H

#include "daemon/gather.h"
#include "daemon/request.h"
#include "daemon/waiters.h"
#include "proto/selection.h"

struct server;
struct roster;

/* Why it has none: an error code with a message or, for RPC_NOT_FOUND, with the ids that do not exist. */
struct roster_failure {
	int code;
	const char *message;
	const int64_t *ids;
	size_t n_ids;
};

struct roster_calls {
	/* The counts are true from now on. Called later than roster_start(), once; or failed is. */
	void (*ready)(struct roster *roster);
	void (*failed)(struct roster *roster, const struct roster_failure *failure);
	/* One of them has ended, and is counted (also before ready()). */
	void (*ended)(struct roster *roster, const struct store_row *row);
};

struct roster {
	const struct roster_calls *calls;
	struct server *server;
	struct waiter waiter;      /* its ranges are the jobs'; after ready() they end with the last that is there */
	struct selection selection;
	struct gather *gather;     /* under way */
	char *owner;               /* filter of the reads, or NULL */
	struct roster_naming *naming; /* during the reading: which of the ids that were named one by one it has found */
	struct id_range *kept;     /* these, during the reading */
	size_t n_kept, kept_capacity;
	int64_t position;          /* the last id that was read */
	struct peer *peer;         /* until it is left */
	size_t charged;            /* to it: ranges beyond the first */
	struct roster_owner *range_owner; /* while it is charged */
	bool exact;                /* it makes ranges of what it finds */
	bool over;                 /* more than it may keep */
	bool ready;
	int64_t n_found, n_ended, n_failed;
	int64_t first_seq;         /* the lowest place in the order of finishing of those that have ended; INT64_MAX: none has */
};

/*
 * Takes the content of selection. waiter.changed may have been set before; it is called only for jobs that roster_has(). Until it is left the
 * roster stays where it is.
 */
void roster_start(struct roster *roster, const struct roster_calls *calls, struct request *request, struct selection *selection);
/* The one job id, which has not ended: ready at once, without a call. */
void roster_start_fresh(struct roster *roster, const struct roster_calls *calls, struct request *request, int64_t id);
/* Whether the reading has found it; before ready() only those that it has passed. */
bool roster_has(const struct roster *roster, int64_t id);
/* Reads its jobs once more, after ready(); room as gather's. */
void roster_read(struct roster *roster, unsigned fields, struct room *room, bool (*row)(const struct store_row *row, void *arg),
    void (*done)(int error, const char *reason, void *arg), void *arg);
/* Counts them once more, after ready(): tally is called for each part. false: it cannot, for only some of the jobs in its ranges are its own. */
bool roster_count(struct roster *roster, void (*tally)(const struct store_tally *tally, void *arg),
    void (*done)(int error, const char *reason, void *arg), void *arg) __attribute__((warn_unused_result));
/* Nothing more is called, but release(arg), at once or when a reading has come back: only then the roster's memory may go. */
void roster_leave(struct roster *roster, void (*release)(void *arg), void *arg);
/* Within release(). */
void roster_done(struct roster *roster);

void roster_refuse(struct request *request, const struct roster_failure *failure);

#endif
