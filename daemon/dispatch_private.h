/*
 * dispatch_private: what the files of dispatch share: dispatch.c (birth and picking), dispatch_ask.c (what requests ask),
 * dispatch_queue.c (settings of queues), dispatch_run.c (where jobs run), dispatch_end.c (how they end), dispatch_drain.c
 * (until nothing runs), dispatch_commit.c (what is sent to the store) and dispatch_answer.c (what it says).
 */
#ifndef DAEMON_DISPATCH_PRIVATE_H
#define DAEMON_DISPATCH_PRIVATE_H

#include "daemon/dispatch.h"
#include "daemon/mem.h"

/* A map that is being added. */
struct map_submission {
	struct spec *spec;
	struct queue *queue;
	int64_t count;
	dispatch_submit_cb cb;
	void *ctx;
};

/* A cancel on its way to the store. */
struct cancel_request {
	int64_t id;
	char *owner; /* or NULL */
	char *error; /* the error object */
	int64_t grace_ms;
	dispatch_cancel_cb cb;
	void *ctx;
};

/* What must wait for the batch after the open one. */
struct later {
	struct cancel_request *cancel; /* or */
	struct job *job;               /* its end is to be written */
};

enum read_kind { READ_ROWS, READ_SURVEY, READ_EXPIRED, READ_WEBHOOKS };
struct read_request {
	enum read_kind kind;
	void *read;
};

/* Who is to be told how a batch goes. */
struct commit_told {
	uint64_t number; /* of the batch */
	dispatch_commit_cb cb;
	void *ctx;
};

struct dispatch {
	struct loop *loop;
	struct dispatch_config config;
	struct dispatch_callbacks callbacks;
	struct queues queues;
	struct jobs jobs;
	struct workers *workers;
	struct iopool *iopool;
	struct waits *waits;
	unsigned threads_busy, waits_busy;

	struct store_batch batches[2];
	struct store_batch *open;   /* gathers */
	struct store_batch *flying; /* with the store, or NULL */
	uint64_t number;            /* of the open batch, from 1 */
	size_t n_early;             /* of its puts: pure jobs that were sent and have not come out */
	size_t n_folded;            /* those that have come out: their end goes with their submission */
	int64_t hold_until_us;      /* it waits so long for the former; 0: it does not */
	struct event *hold;
	size_t open_bytes;          /* of the specs and items in the open batch */
	int64_t flying_since_us;
	struct commit_told *told;   /* by number */
	size_t n_told, told_capacity;
	struct later *later;
	size_t n_later, later_capacity;
	struct read_request *reads; /* asked while the open batch was not empty */
	size_t n_reads, reads_capacity;
	int64_t next_due_ms;        /* of the delayed jobs */
	struct event *due;          /* for it */
	struct event *retry;        /* the disk was full; or loose jobs are to be recorded */
	bool retry_on;
	bool no_room;               /* the last commit did not go through */
	bool failed;                /* fatal() was called: nothing more is sent to the store */

	struct job_list loose;
	struct job_list held;
	struct job_list changed;    /* shown as running, by their last change */
	uint64_t n_changes;
	int64_t n_held;
	uint64_t token_base, token_count;
	int64_t next_id;
	bool started;
	bool draining;
	bool was_full;              /* somebody was told so, and waits for room() */
	struct store_read look;     /* at the end of the drain: behind all other reads */
	bool looking;
	uint64_t n_asked, n_asked_then; /* reads so far, and when the look was asked for */
	int64_t look_until_ms;      /* monotonic; 0: it has not been asked for */
	void (*idle)(void *arg);
	void *idle_arg;
	struct dispatch_stats stats;
};

/* dispatch.c */
void dispatch_step(struct dispatch *dispatch, struct job *job, enum fsm_event event);
void dispatch_forget_job(struct dispatch *dispatch, struct job *job);
void dispatch_count_running(struct dispatch *dispatch, struct job *job, bool running);
void dispatch_want_fill(struct dispatch *dispatch, struct line *line);
/* It stands in its line's window from now on, unless its place is behind what the window is sure of. */
void dispatch_stand_in_line(struct dispatch *dispatch, struct job *job);
void dispatch_step_out_of_line(struct dispatch *dispatch, struct job *job);
/* It has no place in the window any more: the store alone has it, or will. */
void dispatch_leave_window(struct dispatch *dispatch, struct job *job);

/* dispatch_ask.c */
/* A pure job that is placed begins, though the store does not have it yet. */
void dispatch_send_early(struct dispatch *dispatch, struct job *job);
/* A row of the store becomes a job of the window; takes the reference of row->spec. */
struct job *dispatch_adopt(struct dispatch *dispatch, const struct store_ready *row);

/* dispatch_drain.c */
/* Behind each turn. */
void dispatch_check_idle(struct dispatch *dispatch);

/* dispatch_queue.c */
void dispatch_adopt_settings(struct dispatch *dispatch, const struct store_opened *opened);
void dispatch_answer_setting(struct dispatch *dispatch, const struct store_setting *setting, enum store_verdict verdict, const char *reason);

/* The limit that keeps the queue from coming to be, or NULL. owner: who is no operator and may use as many as he leaves free; else NULL. */
const char *dispatch_why_no_queue(struct dispatch *dispatch, const char *name, const char *owner);

/* dispatch_run.c: where jobs run */
/* Whether one more could run now. */
bool dispatch_has_place(const struct dispatch *dispatch, enum pool_kind pool);
/* Reserves what the job needs to run now: false when there is none. */
bool dispatch_place(struct dispatch *dispatch, struct job *job);
/* A new attempt: token and number; the job must be placed. */
void dispatch_begin_attempt(struct dispatch *dispatch, struct job *job);
void dispatch_send(struct dispatch *dispatch, struct job *job);
void dispatch_stop(struct dispatch *dispatch, struct job *job);
/* Tells that it is shown as running (if it is, once an attempt), or that its progress has changed. */
void dispatch_changed(struct dispatch *dispatch, struct job *job, enum dispatch_change what);
/* It is running no more, or is about to be told as ended. */
void dispatch_no_changes(struct dispatch *dispatch, struct job *job);
void dispatch_loosen(struct dispatch *dispatch, struct job *job, bool loose);
void dispatch_unplace(struct dispatch *dispatch, struct job *job);
/* The job has come out (job->outcome), its tree is empty. */
void dispatch_came_out(struct dispatch *dispatch, struct job *job);
int dispatch_run_open(struct dispatch *dispatch); /* -1: no threads */
void dispatch_run_close(struct dispatch *dispatch);

/* dispatch_commit.c */
#define DISPATCH_ADD(batch, kind)                                                                                      \
	((batch)->kind = mem_room((batch)->kind, (batch)->n_##kind, &(batch)->kind##_capacity, sizeof(*(batch)->kind)), \
	    &(batch)->kind[(batch)->n_##kind++])
void dispatch_commit_open(struct dispatch *dispatch);
void dispatch_commit_close(struct dispatch *dispatch);
struct store_put *dispatch_add_put(struct dispatch *dispatch);
void dispatch_add_start(struct dispatch *dispatch, struct job *job);
void dispatch_add_cancel(struct dispatch *dispatch, struct cancel_request *request);
void dispatch_do_later(struct dispatch *dispatch, struct job *job, struct cancel_request *cancel);
void dispatch_flush(struct dispatch *dispatch);
void dispatch_cancel_request_free(struct cancel_request *request);

/* dispatch_end.c */
/* FSM_WRITE: the job's end, or its release for another attempt. */
void dispatch_write_end(struct dispatch *dispatch, struct job *job);
/* FSM_BACK: a release that does not count. */
void dispatch_write_back(struct dispatch *dispatch, struct job *job);
/* A put of the open batch is an end as well; false when the job's outcome wants more than that. */
bool dispatch_fold_end(struct dispatch *dispatch, struct job *job);
/* How the job's outcome, cause and promises read as an end; json points into job->outcome. */
struct store_end dispatch_end(struct job *job);

/* dispatch_answer.c */
void dispatch_answer_committed(struct dispatch *dispatch, struct store_batch *batch);
void dispatch_answer_refused(struct dispatch *dispatch, struct store_batch *batch);
void dispatch_answer_unknown(struct dispatch *dispatch, struct store_batch *batch);

#endif
