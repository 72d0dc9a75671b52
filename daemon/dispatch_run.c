/*
 * dispatch_run: the part of dispatch that knows where jobs run: workers, I/O threads, waits. It reserves places, sends, stops, and takes what
 * comes back; what that means for the job is said by fsm and written by dispatch_commit.c.
 */
#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/dispatch_private.h"
#include "daemon/log.h"
#include "daemon/mem.h"

#define STOP_SLACK_MS 10000 /* a supervisor that has not ended its command so long after the grace is ended itself */

/* ---- places ---------------------------------------------------------------------------------------------------------------- */

bool
dispatch_has_place(const struct dispatch *dispatch, enum pool_kind pool)
{
	switch (pool) {
	case POOL_CPU:
	case POOL_PROCESSES: return workers_have_place(dispatch->workers, pool);
	case POOL_THREADS: return dispatch->threads_busy < dispatch->config.io_threads;
	case POOL_WAITS: return dispatch->waits_busy < dispatch->config.io_waits;
	case POOL_COUNT: break;
	}
	return false;
}

bool
dispatch_place(struct dispatch *dispatch, struct job *job)
{
	struct slot *slot;

	switch ((enum pool_kind)job->spec->pool) {
	case POOL_CPU:
	case POOL_PROCESSES:
		slot = workers_place(dispatch->workers, job);
		if (slot == NULL)
			return false;
		workers_reserve(slot, job);
		return true;
	case POOL_THREADS:
		if (dispatch->threads_busy >= dispatch->config.io_threads)
			return false;
		dispatch->threads_busy++;
		job->placed = true;
		return true;
	case POOL_WAITS:
		if (dispatch->waits_busy >= dispatch->config.io_waits)
			return false;
		dispatch->waits_busy++;
		job->placed = true;
		return true;
	case POOL_COUNT:
		break;
	}
	return false;
}

void
dispatch_unplace(struct dispatch *dispatch, struct job *job)
{
	if (job->placed && job->spec->pool == POOL_THREADS)
		dispatch->threads_busy--;
	else if (job->placed)
		dispatch->waits_busy--;
	job->placed = false;
	if (job->slot != NULL && !job->sent)
		workers_unreserve(job);
}

void
dispatch_loosen(struct dispatch *dispatch, struct job *job, bool loose)
{
	if (job->loose == loose)
		return;
	job->loose = loose;
	if (loose)
		TAILQ_INSERT_TAIL(&dispatch->loose, job, loose_link);
	else
		TAILQ_REMOVE(&dispatch->loose, job, loose_link);
}

void
dispatch_begin_attempt(struct dispatch *dispatch, struct job *job)
{
	job->token = dispatch->token_base | ++dispatch->token_count;
	job->attempts++;
	job->started_ms = loop_wall_ms();
	job->sent_ms = loop_mono_ms();
	job->recorded_in = 0;
	job->cause = CAUSE_NONE;
	dispatch_no_changes(dispatch, job);
	job->sent = job->settled = job->going_back = job->withdrawn = false;
	job->worker = 0;
	job->out_bytes[0] = job->out_bytes[1] = 0;
	free(job->progress);
	job->progress = NULL;
	dispatch->stats.started++;
	dispatch_count_running(dispatch, job, true);
}

/* The attempt did not begin after all. */
static void
dispatch_undo_attempt(struct dispatch *dispatch, struct job *job)
{
	job->attempts--;
	job->started_ms = SPEC_NONE;
	job->sent = false;
	dispatch_no_changes(dispatch, job);
	dispatch->stats.started--;
	dispatch_count_running(dispatch, job, false);
}

/* ---- time-outs ------------------------------------------------------------------------------------------------------------- */

static void
dispatch_arm(struct dispatch *dispatch, struct job *job, int64_t ms, event_callback_fn cb)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (job->timer == NULL)
		job->timer = event_new(loop_base(dispatch->loop), -1, 0, cb, job);
	event_assign(job->timer, loop_base(dispatch->loop), -1, 0, cb, job);
	event_add(job->timer, &tv);
}

static void
dispatch_disarm(struct job *job)
{
	if (job->timer != NULL)
		event_del(job->timer);
}

static void
dispatch_grace_over_cb(evutil_socket_t fd, short events, void *arg)
{
	struct job *job = arg;

	(void)fd;
	(void)events;
	if (job->slot == NULL)
		return;
	log_warning("job=%lld: its supervisor has not ended it in time and is ended itself", (long long)job->spec->id);
	workers_kill(job);
}

static void
dispatch_timed_out_cb(evutil_socket_t fd, short events, void *arg)
{
	struct job *job = arg;
	struct dispatch *dispatch = job->dispatch;

	(void)fd;
	(void)events;
	if (job->cause == CAUSE_NONE)
		job->cause = CAUSE_TIMEOUT;
	job->grace_ms = dispatch->config.grace_ms;
	dispatch_step(dispatch, job, FSM_E_STOP);
}


/* ---- sending --------------------------------------------------------------------------------------------------------------- */

static bool
dispatch_hand_over(struct dispatch *dispatch, struct job *job)
{
	switch ((enum pool_kind)job->spec->pool) {
	case POOL_CPU:
	case POOL_PROCESSES:
		return workers_send(job);
	case POOL_THREADS:
		iopool_run(
		    dispatch->iopool, job->task, (uint64_t)job->spec->id, job->token, (unsigned)job->attempts, job->spec->args);
		return true;
	case POOL_WAITS:
		waits_begin(dispatch->waits, job->task, (uint64_t)job->spec->id, job->token, (unsigned)job->attempts, job->spec->args,
		    job->spec->restricted);
		return true;
	case POOL_COUNT:
		break;
	}
	return false;
}

/* It has a place no more and has not begun: to where the store has it. */
static void
dispatch_not_begun(struct dispatch *dispatch, struct job *job)
{
	dispatch_disarm(job);
	if (job->refused) { /* it is counted nowhere */
		dispatch_unplace(dispatch, job);
		dispatch_loosen(dispatch, job, false);
		dispatch_step(dispatch, job, FSM_E_REFUSED);
		return;
	}
	if (job->state == FSM_ADDING && !job->loose) {
		job->withdrawn = true; /* goes back when the store has it */
		return;
	}
	dispatch_undo_attempt(dispatch, job);
	dispatch_unplace(dispatch, job);
	if (job->loose && job->put_at > 0 && dispatch->n_early > 0)
		dispatch->n_early--;
	if (job->loose) {
		dispatch_loosen(dispatch, job, false);
		if (job->state != FSM_ADDING)
			dispatch_step(dispatch, job, FSM_E_REFUSED);
	} else {
		dispatch_step(dispatch, job, FSM_E_WITHDRAWN);
	}
}

void
dispatch_send(struct dispatch *dispatch, struct job *job)
{
	if (job->early_outcome) {
		job->early_outcome = false;
		dispatch_came_out(dispatch, job);
		return;
	}
	if (job->withdrawn) {
		job->withdrawn = false;
		dispatch_not_begun(dispatch, job);
		return;
	}
	if (job->sent) {
		dispatch_changed(dispatch, job, DISPATCH_RUNNING);
		return;
	}
	if (queue_is_paused(job->queue)) { /* since its start was asked for */
		dispatch_not_begun(dispatch, job);
		return;
	}
	if (!dispatch_hand_over(dispatch, job)) {
		dispatch_not_begun(dispatch, job);
		return;
	}
	job->sent = true;
	job->sent_ms = loop_mono_ms();
	if (job->spec->timeout_ms != SPEC_NONE)
		dispatch_arm(dispatch, job, job->spec->timeout_ms, dispatch_timed_out_cb);
	if (job->attempts > 1)
		dispatch->callbacks.output(job->spec->id, dispatch->callbacks.arg);
	dispatch_changed(dispatch, job, DISPATCH_RUNNING);
}

/* ---- what is told of the running --------------------------------------------------------------------------------------------- */

void
dispatch_changed(struct dispatch *dispatch, struct job *job, enum dispatch_change what)
{
	if (!dispatch_is_running(job) || (what == DISPATCH_RUNNING && job->changes[what] != 0))
		return;
	if (job->changes[DISPATCH_RUNNING] != 0 || job->changes[DISPATCH_PROGRESS] != 0)
		TAILQ_REMOVE(&dispatch->changed, job, changed_link);
	TAILQ_INSERT_TAIL(&dispatch->changed, job, changed_link);
	job->changes[what] = ++dispatch->n_changes;
	dispatch->callbacks.changed(job->spec->id, what, dispatch->callbacks.arg);
}

void
dispatch_no_changes(struct dispatch *dispatch, struct job *job)
{
	if (job->changes[DISPATCH_RUNNING] != 0 || job->changes[DISPATCH_PROGRESS] != 0)
		TAILQ_REMOVE(&dispatch->changed, job, changed_link);
	job->changes[DISPATCH_RUNNING] = job->changes[DISPATCH_PROGRESS] = 0;
}

static uint64_t
dispatch_change_of(const struct job *job)
{
	return job->changes[0] > job->changes[1] ? job->changes[0] : job->changes[1];
}

void
dispatch_each_changed(const struct dispatch *dispatch, uint64_t after, bool (*cb)(const struct job *job, void *arg), void *arg)
{
	const struct job *job = TAILQ_LAST(&dispatch->changed, job_list), *first = NULL;

	for (; job != NULL && dispatch_change_of(job) > after; job = TAILQ_PREV(job, job_list, changed_link))
		first = job;
	for (job = first; job != NULL; job = TAILQ_NEXT(job, changed_link)) {
		if (dispatch_is_running(job) && !cb(job, arg))
			return;
	}
}

uint64_t
dispatch_last_change(const struct dispatch *dispatch)
{
	return dispatch->n_changes;
}

/* ---- stopping -------------------------------------------------------------------------------------------------------------- */

static void
dispatch_stop_command(struct dispatch *dispatch, struct job *job)
{
	workers_cancel(job, job->grace_ms);
	dispatch_arm(dispatch, job, job->grace_ms + STOP_SLACK_MS, dispatch_grace_over_cb);
}

void
dispatch_stop(struct dispatch *dispatch, struct job *job)
{
	dispatch_disarm(job);
	switch (job->task->kind) {
	case TASK_COMMAND:
		dispatch_stop_command(dispatch, job);
		return;
	case TASK_FUNCTION: /* it has no tree and nothing to tidy up: no grace */
		workers_kill(job);
		return;
	case TASK_BLOCKING:
		iopool_abandon(dispatch->iopool, job->token);
		dispatch_came_out(dispatch, job);
		return;
	case TASK_WAIT:
		waits_cancel(dispatch->waits, job->token);
		dispatch_came_out(dispatch, job);
		return;
	}
}

/* ---- what comes back ------------------------------------------------------------------------------------------------------- */

void
dispatch_came_out(struct dispatch *dispatch, struct job *job)
{
	dispatch_disarm(job);
	dispatch_unplace(dispatch, job);
	if (job->state != FSM_ADDING) {
		dispatch_step(dispatch, job, FSM_E_OUTCOME);
		return;
	}
	if (job->refused) {
		dispatch_loosen(dispatch, job, false);
		dispatch_step(dispatch, job, FSM_E_REFUSED);
		return;
	}
	job->early_outcome = job->put_at == 0 || !dispatch_fold_end(dispatch, job);
}

static void
dispatch_worker_outcome(struct job *job, struct outcome *outcome, void *arg)
{
	outcome_done(&job->outcome);
	job->outcome = *outcome;
	dispatch_came_out(arg, job);
}

static void
dispatch_worker_died(struct job *job, bool begun, int status, const struct usage *usage, void *arg)
{
	char name[OUTCOME_SIGNAL_SIZE];

	if (!begun && job->cause == CAUSE_NONE) {
		dispatch_not_begun(arg, job);
		return;
	}
	if (WIFSIGNALED(status)) {
		outcome_name_signal(WTERMSIG(status), name);
		outcome_set_error(&job->outcome, JOB_ERROR_WORKER_DIED, "the worker that ran it was killed by %s", name);
		outcome_add_text(&job->outcome, "signal", name, strlen(name));
	} else {
		outcome_set_error(&job->outcome, JOB_ERROR_WORKER_DIED, "the worker that ran it ended with status %d", WEXITSTATUS(status));
		outcome_add_integer(&job->outcome, "exit_status", WEXITSTATUS(status));
	}
	job->outcome.usage = *usage;
	dispatch_came_out(arg, job);
}

static void
dispatch_worker_withdrawn(struct job *job, void *arg)
{
	if (job->cause != CAUSE_NONE)
		dispatch_came_out(arg, job);
	else
		dispatch_not_begun(arg, job);
}

static void
dispatch_worker_output(struct job *job, int64_t stdout_bytes, int64_t stderr_bytes, void *arg)
{
	struct dispatch *dispatch = arg;

	job->out_bytes[0] = stdout_bytes;
	job->out_bytes[1] = stderr_bytes;
	dispatch->callbacks.output(job->spec->id, dispatch->callbacks.arg);
}

static void
dispatch_worker_progress(struct job *job, const struct progress *progress, void *arg)
{
	struct dispatch *dispatch = arg;

	if (job->progress == NULL)
		job->progress = mem_new(sizeof(*job->progress));
	*job->progress = *progress;
	dispatch_changed(dispatch, job, DISPATCH_PROGRESS);
}

static void
dispatch_worker_room(void *arg)
{
	(void)arg; /* picking follows after each turn */
}

static void
dispatch_spawner_died(void *arg)
{
	struct dispatch *dispatch = arg;

	log_error("the spawner has died: the daemon ends, the next start recovers its jobs");
	dispatch->callbacks.fatal(70, dispatch->callbacks.arg);
}

/* From the I/O threads and the waits. */
static void
dispatch_io_done(uint64_t id, uint64_t token, struct outcome *outcome, void *arg)
{
	struct dispatch *dispatch = arg;
	struct job *job = job_find(&dispatch->jobs, (int64_t)id);

	if (job == NULL || job->token != token || !job->sent || !job->placed) {
		outcome_done(outcome); /* of an attempt that is over */
		return;
	}
	outcome_done(&job->outcome);
	job->outcome = *outcome;
	if (outcome->error == JOB_ERROR_NONE && outcome->len > dispatch->config.max_result)
		outcome_set_error(&job->outcome, JOB_ERROR_RESULT_TOO_LARGE, "the result has %zu bytes, [limits] result allows %zu",
		    outcome->len, dispatch->config.max_result);
	dispatch_came_out(dispatch, job);
}

/* ---- birth and end --------------------------------------------------------------------------------------------------------- */

int
dispatch_run_open(struct dispatch *dispatch)
{
	const struct dispatch_config *config = &dispatch->config;
	const struct workers_config workers = {.cpu = config->cpu_workers,
	    .processes = config->io_processes,
	    .max_tasks = config->max_tasks_per_worker,
	    .shared = config->slots,
	    .spawner_fd = config->spawner_fd,
	    .run_as_owner = config->run_as_owner};
	const struct workers_callbacks callbacks = {dispatch_worker_outcome, dispatch_worker_died, dispatch_worker_withdrawn,
	    dispatch_worker_output, dispatch_worker_progress, dispatch_worker_room, dispatch_spawner_died, dispatch};
	const struct waits_config waits = {.local = config->http_local, .max_result = config->max_result};

	dispatch->workers = workers_new(dispatch->loop, &workers, &callbacks);
	dispatch->iopool = iopool_new(dispatch->loop, config->io_threads, dispatch_io_done, dispatch);
	dispatch->waits = waits_new(dispatch->loop, &waits, dispatch_io_done, dispatch);
	return dispatch->iopool != NULL && dispatch->waits != NULL ? 0 : -1;
}

void
dispatch_run_close(struct dispatch *dispatch)
{
	struct job *job, *next;

	HASH_ITER(hh, dispatch->jobs.by_id, job, next) {
		job->slot = NULL;
		job->placed = job->loose = false;
	}
	workers_free(dispatch->workers);
	if (dispatch->waits != NULL)
		waits_free(dispatch->waits);
	if (dispatch->iopool != NULL)
		iopool_free(dispatch->iopool, 0);
}
