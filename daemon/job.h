/*
 * job: what memory holds of a job that is on its way, and the table of those by id.
 *
 * A job is here while it is being added, in a line's window, picked, running, stopping, or its end is being written. All else is in the store. It
 * belongs to dispatch; lists say which of them it is in. Loop thread.
 */
#ifndef DAEMON_JOB_H
#define DAEMON_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/fsm.h"
#include "daemon/hash.h"
#include "daemon/outcome.h"
#include "daemon/spec.h"
#include "daemon/task.h"

struct dispatch;
struct slot;
struct line;
struct queue;
struct event;

enum job_where { JOB_NOWHERE, JOB_IN_WINDOW, JOB_ASIDE };

/* What ends a running job from outside; a cancel that the store has promised wins over the others, else the first. */
enum job_cause { CAUSE_NONE, CAUSE_TIMEOUT, CAUSE_CANCEL };

/* Told, once, how a submission came out; dispatch.h says how. */
enum dispatch_answer {
	DISPATCH_ADDED,
	DISPATCH_EXISTING,     /* the key is known: first and count of the earlier submission */
	DISPATCH_KEY_CONFLICT, /* the key is known with another payload */
	DISPATCH_NO_PARENT,    /* rejected: the ids in reason (a JSON array) are unknown */
	DISPATCH_STORAGE_FULL, /* rejected */
	DISPATCH_UNAVAILABLE,  /* rejected: the store cannot take it now */
	DISPATCH_UNKNOWN,      /* perhaps accepted */
};
typedef void (*dispatch_submit_cb)(enum dispatch_answer answer, int64_t first, int64_t count, const char *reason, void *ctx);

struct job {
	struct spec *spec;
	const struct task *task; /* NULL: this daemon does not have it */
	struct dispatch *dispatch;
	struct queue *queue;     /* NULL: refused, below */
	struct line *line;       /* where it is in the window or aside; else NULL */
	enum fsm_state state;
	enum job_where where;
	enum job_cause cause;
	bool counted_running;    /* in its queue's count of running jobs, else of pending ones */
	bool sent;               /* it is where it runs, or its outcome is here */
	bool placed;             /* it holds a thread or a wait, or (by slot) a worker */
	bool loose;              /* pure: sent, and the store still has it as ready (or not yet) */
	bool withdrawn;          /* taken back before its submission was committed; the store will have it as running */
	bool going_back;         /* its release is not counted */
	bool adding;             /* counted in its queue_lane.adding */
	bool early_outcome;      /* it came out before its submission was committed */
	bool settled;            /* outcome has got its last form */
	unsigned cancelling;     /* cancels on their way to the store: it is not sent without asking */
	bool refused;            /* sent early, and its submission was refused: it goes when it has come out */
	int32_t attempts;        /* begun, this one included */
	int32_t worker;          /* pid, or 0 */
	uint64_t token;
	uint64_t recorded_in;    /* the number of the batch that makes its start durable; 0: none does */
	int64_t started_ms;      /* wall clock */
	int64_t sent_ms;         /* monotonic */
	int64_t grace_ms;        /* of the stop under way */
	int64_t out_bytes[2];    /* in the output files, as the supervisor said */
	struct progress *progress; /* what the attempt told last, or NULL */
	char *cancel_error;      /* the error object of the cancel that was promised */
	struct event *timer;     /* time-out, then the limit of the grace */
	struct outcome outcome;  /* once it has come out */
	struct slot *slot;       /* CPU, PROCESSES: where it was sent, or will be */
	uint32_t number;         /* the running number of its frame there */
	size_t put_at;           /* its place in the open batch's put array + 1; 0: not there */
	size_t finish_at;        /* the same for finish */
	dispatch_submit_cb submit_cb; /* until its submission is answered */
	void *submit_ctx;
	TAILQ_ENTRY(job) link;   /* in a line's bucket or aside, or among dispatch's held jobs */
	TAILQ_ENTRY(job) sent_link;  /* among its slot's jobs */
	TAILQ_ENTRY(job) loose_link; /* among dispatch's loose jobs */
	uint64_t changes[2];     /* by enum dispatch_change: the number of the last; 0: none, or it is running no more */
	TAILQ_ENTRY(job) changed_link; /* among dispatch's changed jobs, where one of these is not 0 */
	UT_hash_handle hh;       /* in struct jobs */
};
TAILQ_HEAD(job_list, job);

struct jobs {
	struct job *by_id;
	size_t n;
};

/* Takes one reference of spec. */
struct job *job_new(struct jobs *jobs, struct spec *spec, const struct task *task);
void job_free(struct jobs *jobs, struct job *job);
struct job *job_find(const struct jobs *jobs, int64_t id);

/* Where it is in the order of its line: negative when a comes before b. */
int job_order(const struct job *a, const struct job *b);

#endif
