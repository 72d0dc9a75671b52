/*
 * store: the queue and the memory of the daemon, behind a table of functions.
 *
 * The store is the queue: the loop holds a window of it. All changes go through store_commit(): one batch, one transaction, one durability
 * point. Reads come between commits. Every call returns at once; callbacks run later, on the loop thread, once each, in this order: what
 * was asked first is answered first among commits; a read sees all commits that were begun before it.
 *
 * At most one commit is under way: the loop gathers what comes meanwhile into the next batch. While a batch is under way the store
 * reads it (specs, spans) on its own thread: nobody changes or frees what it points to before the callback.
 *
 * The invariant of the tables: each known job is in exactly one of waiting, ready, delayed, running, done.
 */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/loop.h"
#include "daemon/outcome.h"
#include "daemon/spec.h"
#include "proto/selection.h"
#include "proto/state.h"

struct store;

/* ---- changes --------------------------------------------------------------------------------------------------------------- */

enum store_place { STORE_READY, STORE_DELAYED, STORE_RUNNING, STORE_DONE, STORE_WAITING /* for its parents */ };

enum store_answer {
	STORE_OK = 0,
	STORE_FENCED,       /* finish, release: the token is not the job's: it ended or was started anew elsewhere */
	STORE_DUPLICATE,    /* put: the owner's key is known with the same digest: existing_id */
	STORE_KEY_CONFLICT, /* put: the key is known with another digest */
	STORE_NO_PARENT,    /* put: some of spec->after are unknown: see unknown */
	STORE_CANCELLED,    /* cancel: it had not begun and has ended as cancelled now */
	STORE_REQUESTED,    /* cancel: it runs; the request is durable */
	STORE_ENDED,        /* cancel: it had ended; start: it is not ready any more, or it has expired (then it is among the gone) */
	STORE_NOT_FOUND,    /* cancel: unknown, or another owner's */
};

/* An ended attempt: what goes into `done`. */
struct store_end {
	enum job_state state;   /* succeeded, failed, cancelled */
	struct span json;       /* the result, or the error object */
	struct usage usage;
	int32_t attempt;
	int32_t worker;         /* pid, or 0 */
	int64_t started_ms;     /* wall clock, SPEC_NONE when it never was */
	int64_t finished_ms;
	int64_t until_ms;       /* when retention may delete it; SPEC_NONE: as store_open_config.retention_ms says */
	bool output;            /* there may be output files */
};

/*
 * running → done, if token is the running row's. With from_ready: ready → done (STORE_FENCED when it is not in ready): a pure task may have
 * been sent to a worker without its start having been written; its start and its end are one then.
 */
struct store_finish {
	const struct spec *spec;
	uint64_t token;
	bool from_ready;
	struct store_end end;
	void *ctx;
	enum store_answer answer;
	int64_t seq; /* answer: its place in the order of finishing */
};

/* running → delayed (run_at_ms) or, with SPEC_NONE, ready: for another attempt, or because it was taken back (then not counted). */
struct store_release {
	const struct spec *spec;
	uint64_t token;
	int64_t run_at_ms;
	int32_t attempt; /* attempts that count from now on */
	void *ctx;
	enum store_answer answer; /* STORE_FENCED; STORE_CANCELLED: a cancel request stood in the row: it has ended as cancelled (as by cancel) */
	int64_t seq;              /* STORE_CANCELLED */
};

/*
 * New: one job, or with count > 1 or items.len > 0 a map: items is a validated JSON array whose elements are the args of the jobs
 * spec->id, spec->id + 1, …; spec is their template then, place is STORE_READY or STORE_DELAYED (with spec->not_before_ms).
 *
 * With spec->after (distinct ids) the place is STORE_WAITING, and the answer may change it: to STORE_READY or STORE_DELAYED when all parents
 * have come to what spec->after_policy asks. One that waits for what cannot come ends as DependencyFailed: it is put as waiting, and is among
 * the gone of this commit or a later one. A parent must be known; to a spec that is restricted other owners' are not. Of puts with parents
 * in the same batch the ids rise.
 */
struct store_put {
	const struct spec *spec;
	struct span items;
	int64_t count;          /* 1 for one job */
	enum store_place place;
	uint64_t token;         /* RUNNING, DONE */
	struct store_end end;   /* DONE; RUNNING: attempt, worker, started_ms */
	int64_t key_until_ms;   /* with spec->key: how long the key is kept at least */
	void *ctx;
	enum store_answer answer;
	char *unknown;          /* STORE_NO_PARENT: their ids, a JSON array; malloc'ed, the loop's */
	int64_t existing_id;    /* STORE_DUPLICATE: the first job of the earlier submission */
	int64_t existing_count;
	int64_t seq;            /* DONE */
};

struct store_cancel {
	int64_t id;
	const char *owner;   /* only this owner's; NULL: anybody's. The text lives until the callback */
	struct span error;   /* the error object to store if it ends here */
	int64_t now_ms;
	void *ctx;
	enum store_answer answer;
	/* STORE_CANCELLED: where it had stood, for the counts */
	enum store_place was;
	uint8_t pool;
	char queue[128];
	char job_owner[128];
	int64_t seq;
};

/* ready → running. */
struct store_start {
	const struct spec *spec;
	uint64_t token;
	int32_t attempt; /* the number of this attempt */
	int64_t now_ms;
	void *ctx;
	enum store_answer answer; /* STORE_OK, STORE_ENDED */
};

/* A place in a line: jobs go by priority, higher first, then by id. */
struct store_mark {
	int32_t priority;
	int64_t id;
};

struct store_ready {
	struct spec *spec;    /* one reference, the callee's (the loop's) */
	int32_t attempts;     /* that it has had */
};

/* The next n ready jobs of a line behind mark (all when from_start), after all changes of the batch. */
struct store_fill {
	uint8_t pool;
	const char *queue;
	const char *owner;
	bool from_start;
	struct store_mark mark;
	size_t n;
	size_t max_bytes;     /* stops early (but not before the first) when the args exceed this */
	void *ctx;
	struct store_ready *rows; /* answer: malloc'ed, the loop's */
	size_t n_rows;
	bool end;             /* nothing is left behind the last row */
};

/* Settings of a queue; what is not set here is left as it is. */
struct store_setting {
	const char *queue; /* text lives until the callback */
	bool sets_paused, paused;
	bool sets_limit;
	int64_t limit;     /* jobs that run at once; SPEC_NONE: any number */
	void *ctx;
};

/*
 * What is due: delayed jobs whose time has come, at most n, go from delayed to ready; jobs that have not begun their first attempt by
 * spec->expires_ms end, a thousand a commit. What is left over is due at once: next_due_ms says so.
 *
 * Every commit also does a share of what the ends of parents have left to do, wanted or not: children that may go are among the rows (or
 * go to delayed), those that never may are among the gone. What is left over is due at once, too.
 */
struct store_promote {
	bool wanted;
	int64_t now_ms;
	size_t n;
	struct store_ready *rows; /* answer: malloc'ed */
	size_t n_rows, rows_capacity;
};

/* A job that had not begun and that the store itself has ended, as failed. */
struct store_gone {
	int64_t id;
	int64_t seq;
	int64_t finished_ms;
	int64_t retain_ms; /* as in its spec */
	char queue[128];
	char owner[128];
};

enum store_verdict {
	STORE_COMMITTED,
	STORE_FULL,        /* certainly not applied: no room on the disk; may be sent again */
	STORE_UNAVAILABLE, /* certainly not applied */
	STORE_UNKNOWN,     /* perhaps applied: the daemon must end */
};

/*
 * What came of the POST of an ended job's webhook. Each end of a job whose spec has one makes it due, in the same commit; from then on it
 * is here that it is put off or done with. Retention spares the job until then.
 */
struct store_webhook {
	int64_t id;
	int64_t run_at_ms; /* when it is tried again; SPEC_NONE: it is done with, sent or given up */
	int32_t tries;     /* that it has had */
	void *ctx;
};

/* Carried out in the order of its members. Arrays grow by mem_room(); the batch is the loop's again in the callback. */
struct store_batch {
	struct store_finish *finish;
	size_t n_finish, finish_capacity;
	struct store_release *release;
	size_t n_release, release_capacity;
	struct store_put *put;
	size_t n_put, put_capacity;
	struct store_cancel *cancel;
	size_t n_cancel, cancel_capacity;
	struct store_start *start;
	size_t n_start, start_capacity;
	struct store_promote promote;
	struct store_fill *fill;
	size_t n_fill, fill_capacity;
	struct store_gone *gone; /* answer: taken after that of cancel and before that of start */
	size_t n_gone, gone_capacity;
	int64_t *forget; /* ended jobs to delete (retention); those that have not ended, and parents of waiting jobs, are left */
	size_t n_forget, forget_capacity;
	struct store_webhook *webhook;
	size_t n_webhook, webhook_capacity;
	struct store_setting *setting;
	size_t n_setting, setting_capacity;
	int64_t high_water; /* the highest id handed out so far: durable with the batch */

	enum store_verdict verdict;
	char reason[256];       /* verdict other than COMMITTED: for the log and the user */
	int64_t next_due_ms;    /* answer: when promote has something to do, SPEC_NONE if never */
	size_t new_webhooks;    /* answer: jobs that have a webhook and have ended */
	void (*done)(struct store_batch *batch, void *arg);
	void *arg;
	struct mail mail; /* the store's */
	uint64_t number;  /* the store's */
};

/* Empties the arrays and keeps their memory for the next batch. rows of fill and promote must have been freed. */
void store_batch_clear(struct store_batch *batch);
/* Of an empty one: gives the memory back that a flood has left, beyond what the next small batches need. */
void store_batch_rest(struct store_batch *batch);
void store_batch_done(struct store_batch *batch);
bool store_batch_empty(const struct store_batch *batch);

/* ---- reads ----------------------------------------------------------------------------------------------------------------- */

/* Which columns a read brings beside id, place, state, attempt, seq, pool, owner and the times. */
enum store_field {
	STORE_FIELD_SPEC = 1 << 0,   /* task, queue, label, key, priority, … all of the spec but args */
	STORE_FIELD_ARGS = 1 << 1,
	STORE_FIELD_RESULT = 1 << 2, /* of succeeded jobs */
	STORE_FIELD_ERROR = 1 << 3,
};

struct store_row {
	int64_t id;
	enum store_place place;
	enum job_state state;   /* running rows: JOB_RUNNING; waiting, ready, delayed: JOB_PENDING */
	int32_t attempt;        /* attempts begun */
	bool cancel_requested;
	int64_t seq;            /* done: order of finishing, rising, unique; else 0 */
	int64_t run_at_ms;      /* delayed */
	int64_t started_ms;     /* or SPEC_NONE */
	int64_t finished_ms;    /* or SPEC_NONE */
	int32_t worker;
	bool output;
	struct usage usage;
	struct spec spec;       /* pool and owner always; the rest by STORE_FIELD_SPEC; texts NULL and args SPAN_NONE where not asked for */
	struct span json;       /* result or error object, or SPAN_NONE */
};

/* Of the jobs that a read looked at. */
struct store_tally {
	int64_t n;                      /* that there are */
	int64_t ended[JOB_STATE_COUNT]; /* by the state in which they have ended */
	int64_t last;                   /* the highest id of them; 0: there are none */
	int64_t first_seq;              /* the lowest place in the order of finishing; INT64_MAX: none has ended */
};

/*
 * Jobs whose id is in ranges and that fit the filter, by id, rising or (desc) falling, behind cursor. A read stops when it has
 * max_rows rows or max_bytes bytes of text, or when it has looked for about 2 ms: then *more is true and `next` is the cursor to go on with.
 * A strict one reads no row that would take it over max_bytes: it stops before that, and says how large the row is.
 */
struct store_read {
	const struct id_range *ranges;         /* sorted, disjoint; the caller's until done */
	size_t n_ranges;
	const struct selection_filter *filter; /* NULL: all */
	const char *owner;                     /* only this owner's; NULL: anybody's */
	bool desc;
	bool by_end;                           /* ended jobs alone, in the order of finishing: cursor and next are places in it (seq) */
	bool tallies;                          /* they are counted, in a tenth of the time: no rows. Without filter, owner, desc and by_end */
	int64_t cursor;                        /* the last id seen, 0 at first */
	size_t max_rows;
	size_t max_bytes;
	bool strict;
	unsigned fields;

	int error;              /* answer: 0, or -1: the store could not read (reason) */
	char reason[256];
	struct store_row *rows; /* answer: with all they point to they live until store_read_done() */
	size_t n_rows;
	struct store_tally tally;
	bool more;
	size_t large;           /* answer: the bytes of args and result of the row that a strict one stopped before; 0: none */
	int64_t next;
	void (*done)(struct store_read *read, void *arg);
	void *arg;
	struct mail mail;  /* the store's */
	void *arena;       /* the store's */
	uint64_t after;    /* the store's */
	struct store_read *link; /* the store's */
};
void store_read_done(struct store_read *read); /* frees the answer, not the read */

/* The oldest pending job of each queue, for `queues`. */
struct store_oldest {
	const char *queue;        /* text lives until the callback */
	int64_t submitted_ms;     /* answer; SPEC_NONE: no pending job */
};
struct store_survey {
	struct store_oldest *queues;
	size_t n_queues;
	int64_t done_rows;        /* answer: ended jobs kept (an estimate is allowed) */
	int64_t file_bytes;       /* answer: database and its log */
	int64_t webhooks;         /* answer: those of ended jobs that are not done with */
	int error;
	void (*done)(struct store_survey *survey, void *arg);
	void *arg;
	struct mail mail;
	uint64_t after;
	struct store_survey *link;
};

/*
 * Ended jobs whose time is over at now_ms, oldest first, at most max of them; has_output says which may have files. Parents of waiting jobs
 * are told apart: they are to be kept, and to forget them puts them off for an hour.
 */
struct store_expired {
	int64_t now_ms;
	size_t max;
	int64_t *ids;      /* answer: malloc'ed */
	bool *has_output;
	size_t n;
	int64_t *spared;   /* answer: malloc'ed */
	size_t n_spared;
	int64_t next_ms;   /* answer: when the next is over, SPEC_NONE if none */
	int error;
	void (*done)(struct store_expired *expired, void *arg);
	void *arg;
	struct mail mail;
	uint64_t after;
	struct store_expired *link;
};

/* Webhooks that are due at now_ms, the longest due first, at most max of them. */
struct store_webhook_due {
	int64_t id;
	int32_t tries;
};
struct store_webhooks {
	int64_t now_ms;
	size_t max;
	struct store_webhook_due *due; /* answer: malloc'ed */
	size_t n;
	int64_t next_ms;   /* answer: when the next is due, SPEC_NONE if none */
	int error;
	void (*done)(struct store_webhooks *webhooks, void *arg);
	void *arg;
	struct mail mail;
	uint64_t after;
	struct store_webhooks *link;
};

/* ---- birth ----------------------------------------------------------------------------------------------------------------- */

/* A line that has ready jobs, as recovery found it. */
struct store_line {
	uint8_t pool;
	char *queue;
	char *owner;
	int64_t ready;
};
/* Pending jobs that are not ready: delayed or waiting. */
struct store_delayed_count {
	char *queue;
	char *owner;
	int64_t delayed;
};

/* A queue that has settings. */
struct store_queue {
	char *queue;
	int64_t limit; /* or SPEC_NONE */
	bool paused;
};

struct store_open_config {
	const char *path;        /* the database file; its folder exists */
	const char *synchronous; /* "full", "normal", "off" */
	int64_t now_ms;
	int64_t retention_ms;    /* how long after its end a job is kept that gave no retain */
	/* Error object of a job that is ended as Lost, and as Cancelled (cancel was requested); attempt is added by the store's caller: a format with one %d. */
	const char *lost_error;
	const char *cancelled_error; /* used where the row holds no cancel error of its own */
	const char *expired_error;   /* of a job that the store ends as Expired */
	/* Of one that it ends as DependencyFailed, malloc'ed; called on the store's thread: parent has come to state, which does not fit. */
	char *(*dependency_error)(int64_t parent, enum job_state state);
	int64_t (*backoff_ms)(int64_t first_ms, int attempt); /* pause before the next attempt */
};

struct store_opened {
	char store_id[40];       /* made with the store, unlike any other's */
	int64_t next_id;         /* behind all that were ever handed out */
	uint64_t incarnation;    /* rising at each open: tokens begin with it */
	int64_t next_due_ms;     /* as of a batch */
	int64_t recovered_lost, recovered_again, recovered_cancelled;
	struct store_line *lines;
	size_t n_lines;
	struct store_delayed_count *delayed;
	size_t n_delayed;
	struct store_queue *queues;
	size_t n_queues;
};
void store_opened_done(struct store_opened *opened);

enum store_open_result {
	STORE_OPEN_OK = 0,
	STORE_OPEN_CORRUPT = -1, /* corrupt, newer, or not ours: nothing was touched: exit 65 */
	STORE_OPEN_FAILED = -2,  /* it could not be read or written: exit 74 */
};

struct store_ops {
	/*
	 * Opens or makes the store, takes care of what was running (recovery, committed), and starts its thread. Blocks; called before the loop runs,
	 * with no listener open. On failure *ret_reason is malloc'ed.
	 */
	enum store_open_result (*open)(struct loop *loop, const struct store_open_config *config, struct store **ret_store,
	    struct store_opened *ret_opened, char **ret_reason);
	void (*commit)(struct store *store, struct store_batch *batch);
	void (*read)(struct store *store, struct store_read *read);
	void (*survey)(struct store *store, struct store_survey *survey);
	void (*expired)(struct store *store, struct store_expired *expired);
	void (*webhooks)(struct store *store, struct store_webhooks *webhooks);
	/*
	 * Finishes what was begun, ends the thread, checkpoints, closes. Callbacks of commits are not called any more; those of reads are, within this
	 * call (with an error where the read had not been begun), and may not ask the store for more.
	 */
	void (*close)(struct store *store);
};

extern const struct store_ops store_sqlite;

#endif
