/*
 * dispatch: carries out what fsm says. It alone moves a job between states, gathers the changes of a turn into one commit, and sends
 * work to where it runs.
 *
 * What comes in during one commit goes into the next: one durability point for all. Nothing is answered before its commit has returned, and only
 * a start that the store has confirmed is sent (a pure task's may be sent before). Loop thread; nothing here blocks.
 */
#ifndef DAEMON_DISPATCH_H
#define DAEMON_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/iopool.h"
#include "daemon/job.h"
#include "daemon/loop.h"
#include "daemon/queues.h"
#include "daemon/store.h"
#include "daemon/waits.h"
#include "daemon/workers.h"

struct dispatch;

struct dispatch_config {
	const struct store_ops *ops;
	struct store *store;
	const struct store_opened *opened; /* the caller's */
	const struct task *const *tasks;
	size_t window;
	unsigned cpu_workers, io_threads, io_processes;
	unsigned io_waits;
	uint32_t max_tasks_per_worker;
	struct slots *slots;
	int spawner_fd;          /* taken */
	int64_t grace_ms;        /* of time-outs */
	int64_t pending, pending_per_owner;
	size_t n_queues;
	size_t max_result;
	bool http_local;
	bool run_as_owner;       /* commands become their owners */
};

enum dispatch_change { DISPATCH_RUNNING, DISPATCH_PROGRESS };

struct dispatch_callbacks {
	/*
	 * A job has ended, and that is durable. row is whole (with spec, args and json) when the job was in memory; else it has only id, state, seq,
	 * finished_ms and spec.retain_ms (where known), and row->spec.task is NULL. Lives during the call. Jobs come in the order of seq.
	 */
	void (*ended)(const struct store_row *row, void *arg);
	/* More output of a running command, or a new attempt of it. */
	void (*output)(int64_t id, void *arg);
	/* A job is shown as running from now on, or its progress has changed; dispatch_job() has it. */
	void (*changed)(int64_t id, enum dispatch_change what, void *arg);
	/* Reading of new requests may go on (dispatch_is_full() was true). */
	void (*room)(void *arg);
	/* Jobs that have a webhook have ended, and that is durable. */
	void (*webhooks)(void *arg);
	/* What dispatch_settle_webhook() was given with this ctx is written; or there was no room, and it is not. */
	void (*webhook_settled)(void *ctx, bool written, void *arg);
	/* The daemon cannot go on: exit status. */
	void (*fatal)(int status, void *arg);
	void *arg;
};

/* NULL: no threads could be made. */
struct dispatch *dispatch_new(struct loop *loop, const struct dispatch_config *config, const struct dispatch_callbacks *callbacks);
void dispatch_start(struct dispatch *dispatch); /* workers are asked for, jobs are picked */
/* Ends workers and threads; what runs is left to the next start. The store is the caller's to close. */
void dispatch_free(struct dispatch *dispatch);

/* ---- what requests ask ----------------------------------------------------------------------------------------------------- */

/*
 * One job (items SPAN_NONE, count 1), or a map. from is copied, its id is not looked at; items is the caller's until cb. cb is called later, once.
 * 0, or (cb is not called) RPC_BUSY with *ret_what the limit that is reached, or RPC_SHUTTING_DOWN. *ret_first (may be NULL) is the first id it will have.
 */
int dispatch_submit(struct dispatch *dispatch, const struct spec *from, const struct task *task, struct span items, int64_t count,
    dispatch_submit_cb cb, void *ctx, int64_t *ret_first, const char **ret_what);

/*
 * Asks for a job's end. cb: STORE_CANCELLED (it had not begun and has ended), STORE_REQUESTED (it runs and will end cancelled), STORE_ENDED,
 * STORE_NOT_FOUND; or STORE_FENCED: the store could not take it (verdict, reason).
 */
typedef void (*dispatch_cancel_cb)(int64_t id, enum store_answer answer, enum store_verdict verdict, const char *reason, void *ctx);
/* owner: only that owner's; NULL: anybody's. by, why (may be NULL): into the job's error. */
void dispatch_cancel(struct dispatch *dispatch, int64_t id, const char *owner, const char *by, const char *why, int64_t grace_ms,
    dispatch_cancel_cb cb, void *ctx);

/* What of a queue is to be set; what is not set here is left as it is. */
struct dispatch_setting {
	bool sets_paused, paused;
	bool sets_limit;
	int64_t limit; /* SPEC_NONE: none */
};
/* cb is told, once, later, how its commit went. */
typedef void (*dispatch_setting_cb)(enum store_verdict verdict, const char *reason, void *ctx);
/*
 * Sets a queue, which comes to be if it is new. Once cb has been told that it is durable, no job of a paused queue starts any more. 0, or (cb is not called)
 * RPC_BUSY with *ret_what the limit that is reached, or RPC_SHUTTING_DOWN.
 */
int dispatch_set_queue(struct dispatch *dispatch, const char *name, const struct dispatch_setting *what, dispatch_setting_cb cb, void *ctx,
    const char **ret_what);

/* Reads; they see all that was asked of dispatch before. */
void dispatch_read(struct dispatch *dispatch, struct store_read *read);
void dispatch_survey(struct dispatch *dispatch, struct store_survey *survey);
void dispatch_expired(struct dispatch *dispatch, struct store_expired *expired);
void dispatch_webhooks(struct dispatch *dispatch, struct store_webhooks *webhooks);
/* Deletes ended jobs. */
void dispatch_forget(struct dispatch *dispatch, const int64_t *ids, size_t n);
/* cb is told, once, later, how the commit goes that takes what was asked before this. */
typedef void (*dispatch_commit_cb)(enum store_verdict verdict, const char *reason, void *ctx);
void dispatch_tell_commit(struct dispatch *dispatch, dispatch_commit_cb cb, void *ctx);
/* What came of a webhook (copied): callbacks.webhook_settled() follows, once. */
void dispatch_settle_webhook(struct dispatch *dispatch, const struct store_webhook *what);

/* ---- what is known without asking the store -------------------------------------------------------------------------------- */

/* NULL when it is not in memory. Read it, do not keep it. */
const struct job *dispatch_job(const struct dispatch *dispatch, int64_t id);
/* Whether the job is shown as running: it is sent, and its start is written or on its way to be. */
bool dispatch_is_running(const struct job *job);
/*
 * The running jobs of which there was a change behind `after`, by their last one, rising: job->changes tells the number of the last of each kind.
 * false: that is enough.
 */
void dispatch_each_changed(const struct dispatch *dispatch, uint64_t after, bool (*job)(const struct job *job, void *arg), void *arg);
/* The number of the last change, of whatever job; the first is 1. */
uint64_t dispatch_last_change(const struct dispatch *dispatch);
/* Why a pending job waits (place as the store told it; with STORE_FIELD_SPEC). */
enum job_reason dispatch_reason(const struct dispatch *dispatch, const struct store_row *row);
/* Too much is on its way to the store: read no more requests. Whoever was told so hears room() later. */
bool dispatch_is_full(struct dispatch *dispatch);

struct dispatch_stats {
	int64_t pending, running, in_memory, held;
	int64_t submitted, started, succeeded, failed, cancelled, retried; /* since the daemon's start */
	int64_t commits, commit_max_us;
	unsigned threads_busy, waits_busy, threads_abandoned;
};
void dispatch_get_stats(const struct dispatch *dispatch, struct dispatch_stats *ret_stats);
struct queues *dispatch_queues(struct dispatch *dispatch);
const struct workers *dispatch_workers(const struct dispatch *dispatch);
struct iopool *dispatch_iopool(struct dispatch *dispatch);
struct waits *dispatch_waits(struct dispatch *dispatch);

/* The error object of a job whose parent has come to a state that does not fit; malloc'ed. Any thread. */
char *dispatch_dependency_error(int64_t parent, enum job_state state);

/* The pause before another attempt: first, doubled for each attempt, no longer than an hour, and somewhere in its upper half. */
int64_t dispatch_backoff(int64_t first_ms, int attempt);

/* Takes nothing more and starts nothing more; idle(arg) is called (once, later) when nothing runs and all is written. */
void dispatch_drain(struct dispatch *dispatch, void (*idle)(void *arg), void *arg);
bool dispatch_is_draining(const struct dispatch *dispatch);

#endif
