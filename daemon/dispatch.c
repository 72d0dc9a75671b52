/*
 * dispatch: see dispatch.h. This file: birth, the picking of jobs, and the carrying out of fsm's actions.
 */
#include "daemon/dispatch.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

#include "daemon/dispatch_private.h"
#include "daemon/log.h"
#include "daemon/mem.h"

/*
 * Changes in the open batch before reading pauses. Half a window: what a flood brings is run from memory then, and mostly goes to the store once, with its end.
 */
#define UNCOMMITTED_MAX 4096
#define UNCOMMITTED_BYTES ((size_t)64 << 20)

/* ---- the table's actions --------------------------------------------------------------------------------------------------- */

void
dispatch_count_running(struct dispatch *dispatch, struct job *job, bool running)
{
	if (job->counted_running == running)
		return;
	job->counted_running = running;
	queues_count_running(&dispatch->queues, job->queue, running ? 1 : -1);
	queues_count_pending(&dispatch->queues, job->queue, job->spec->owner, running ? -1 : 1);
}

void
dispatch_forget_job(struct dispatch *dispatch, struct job *job)
{
	assert(!job->placed && job->slot == NULL && !job->loose);
	dispatch_no_changes(dispatch, job);
	job_free(&dispatch->jobs, job);
}

void
dispatch_leave_window(struct dispatch *dispatch, struct job *job)
{
	if (job->state != FSM_ADDING) /* else it is offered again when the store has it */
		dispatch_step(dispatch, job, FSM_E_STORED_FAR);
}

void
dispatch_stand_in_line(struct dispatch *dispatch, struct job *job)
{
	struct line *line = queues_line(&dispatch->queues, job->queue, job->spec->pool, job->spec->owner);
	struct job *dropped;

	if (!line_offer(line, job, &dropped))
		dispatch_leave_window(dispatch, job);
	else if (dropped != NULL)
		dispatch_leave_window(dispatch, dropped);
	queues_relist(&dispatch->queues, line); /* no refill is asked for here: a fill's leftovers come this way */
}

void
dispatch_step_out_of_line(struct dispatch *dispatch, struct job *job)
{
	struct line *line = job->line;

	line_remove(line, job);
	queues_relist(&dispatch->queues, line);
	dispatch_want_fill(dispatch, line);
	queues_tidy_line(&dispatch->queues, line);
}

static void
dispatch_offer(struct dispatch *dispatch, struct job *job)
{
	dispatch_count_running(dispatch, job, false);
	dispatch_no_changes(dispatch, job);
	if (job->line == NULL) /* else it stands there already */
		dispatch_stand_in_line(dispatch, job);
}

void
dispatch_step(struct dispatch *dispatch, struct job *job, enum fsm_event event)
{
	struct fsm_step step = fsm_step(job->state, event);

	if (step.action == FSM_BUG)
		log_error("job=%lld: %s in state %s", (long long)job->spec->id, fsm_event_name(event), fsm_state_name(job->state));
	assert(step.action != FSM_BUG);
	job->state = (enum fsm_state)step.next;
	switch ((enum fsm_action)step.action) {
	case FSM_NONE:
		return;
	case FSM_OFFER:
		dispatch_offer(dispatch, job);
		return;
	case FSM_START:
		dispatch_add_start(dispatch, job);
		return;
	case FSM_RUN:
		dispatch_send(dispatch, job);
		return;
	case FSM_END:
		dispatch_stop(dispatch, job);
		return;
	case FSM_WRITE:
		dispatch_write_end(dispatch, job);
		return;
	case FSM_BACK:
		dispatch_write_back(dispatch, job);
		return;
	case FSM_TELL: /* who steps has told already: it has the row */
	case FSM_DROP:
		dispatch_forget_job(dispatch, job);
		return;
	case FSM_BUG:
		return;
	}
}

/* ---- the window ------------------------------------------------------------------------------------------------------------ */

void
dispatch_want_fill(struct dispatch *dispatch, struct line *line)
{
	struct store_batch *open = dispatch->open;
	struct store_fill *fill;

	if (!line_wants_fill(line))
		return;
	open->fill = mem_room(open->fill, open->n_fill, &open->fill_capacity, sizeof(*open->fill));
	fill = &open->fill[open->n_fill++];
	*fill = (struct store_fill){.queue = line->queue->name};
	line_fill_begin(line, fill);
}

/* An older daemon may have run it elsewhere; and what is read of a damaged store may be anything. */
static bool
dispatch_fits(const struct task *task, uint8_t pool)
{
	switch (task->kind) {
	case TASK_FUNCTION:
		return pool == POOL_CPU;
	case TASK_COMMAND:
		return pool == POOL_CPU || pool == POOL_PROCESSES;
	case TASK_BLOCKING:
		return pool == POOL_THREADS;
	case TASK_WAIT:
		return pool == POOL_WAITS;
	}
	return false;
}

struct job *
dispatch_adopt(struct dispatch *dispatch, const struct store_ready *row)
{
	const struct task *task = task_find_name(dispatch->config.tasks, row->spec->task);
	struct job *job = job_new(&dispatch->jobs, row->spec, task != NULL && dispatch_fits(task, row->spec->pool) ? task : NULL);

	job->queue = queues_get(&dispatch->queues, row->spec->queue);
	job->attempts = row->attempts;
	job->dispatch = dispatch;
	job->state = FSM_READY;
	return job;
}

/* ---- picking --------------------------------------------------------------------------------------------------------------- */

/* A job whose task this daemon does not have (an older one did): it ends, without having been started. */
static void
dispatch_end_taskless(struct dispatch *dispatch, struct job *job)
{
	outcome_set_error(&job->outcome, JOB_ERROR_TASK_ERROR, "this daemon has no task %s any more, or runs it in another place", job->spec->task);
	dispatch_begin_attempt(dispatch, job);
	job->attempts--;
	job->state = FSM_RUNNING;
	dispatch_loosen(dispatch, job, true);
	dispatch_came_out(dispatch, job);
}

static bool
dispatch_pick(struct dispatch *dispatch, uint8_t pool)
{
	struct job *job = queues_head(&dispatch->queues, pool);

	if (job == NULL || (job->task != NULL && !dispatch_place(dispatch, job)))
		return false;
	queues_rotate(&dispatch->queues, pool);
	dispatch_step_out_of_line(dispatch, job);
	if (job->task == NULL) {
		dispatch_end_taskless(dispatch, job);
		return true;
	}
	if (job->state == FSM_ADDING) {
		dispatch_send_early(dispatch, job);
		return true;
	}
	dispatch_begin_attempt(dispatch, job);
	if (job->spec->pure && job->cancelling == 0 && job->spec->expires_ms == SPEC_NONE) {
		dispatch_loosen(dispatch, job, true);
		dispatch_step(dispatch, job, FSM_E_SEND);
	} else {
		dispatch_step(dispatch, job, FSM_E_PICK);
	}
	return true;
}

static bool
dispatch_has_too_much(const struct dispatch *dispatch)
{
	return dispatch->open->n_put + dispatch->open->n_cancel + dispatch->n_reads >= UNCOMMITTED_MAX ||
	    dispatch->open_bytes >= UNCOMMITTED_BYTES;
}

static void
dispatch_turn(void *arg)
{
	struct dispatch *dispatch = arg;

	if (!dispatch->started || dispatch->failed)
		return;
	if (!dispatch->draining && !dispatch->no_room) {
		for (uint8_t pool = 0; pool < POOL_COUNT; pool++) {
			while (dispatch_pick(dispatch, pool))
				;
		}
	}
	dispatch_flush(dispatch);
	workers_flush(dispatch->workers);
	if (dispatch->was_full && !dispatch_has_too_much(dispatch)) {
		dispatch->was_full = false;
		dispatch->callbacks.room(dispatch->callbacks.arg);
	}
	dispatch_check_idle(dispatch);
}

/* ---- what is known --------------------------------------------------------------------------------------------------------- */

const struct job *
dispatch_job(const struct dispatch *dispatch, int64_t id)
{
	return job_find(&dispatch->jobs, id);
}

bool
dispatch_is_running(const struct job *job)
{
	return job->sent && !job->loose && (job->state == FSM_RUNNING || job->state == FSM_STOPPING || job->state == FSM_ENDING || job->state == FSM_HELD);
}

bool
dispatch_is_full(struct dispatch *dispatch)
{
	dispatch->was_full = dispatch->was_full || dispatch_has_too_much(dispatch);
	return dispatch_has_too_much(dispatch);
}

void
dispatch_get_stats(const struct dispatch *dispatch, struct dispatch_stats *ret_stats)
{
	*ret_stats = dispatch->stats;
	ret_stats->pending = dispatch->queues.pending;
	ret_stats->running = dispatch->queues.running;
	ret_stats->in_memory = (int64_t)dispatch->jobs.n;
	ret_stats->held = dispatch->n_held;
	ret_stats->threads_busy = dispatch->threads_busy;
	ret_stats->waits_busy = dispatch->waits_busy;
	ret_stats->threads_abandoned = iopool_abandoned(dispatch->iopool);
}

struct queues *
dispatch_queues(struct dispatch *dispatch)
{
	return &dispatch->queues;
}

const struct workers *
dispatch_workers(const struct dispatch *dispatch)
{
	return dispatch->workers;
}

struct iopool *
dispatch_iopool(struct dispatch *dispatch)
{
	return dispatch->iopool;
}

struct waits *
dispatch_waits(struct dispatch *dispatch)
{
	return dispatch->waits;
}

/* ---- birth and end --------------------------------------------------------------------------------------------------------- */

static void
dispatch_adopt_lines(struct dispatch *dispatch, const struct store_opened *opened)
{
	for (size_t i = 0; i < opened->n_lines; i++) {
		const struct store_line *known = &opened->lines[i];
		struct queue *queue = queues_get(&dispatch->queues, known->queue);
		struct line *line = queues_line(&dispatch->queues, queue, known->pool, known->owner);

		queues_count_pending(&dispatch->queues, queue, known->owner, known->ready);
		line->complete = false;
		line->from_start = true;
		dispatch_want_fill(dispatch, line);
	}
	for (size_t i = 0; i < opened->n_delayed; i++) {
		const struct store_delayed_count *known = &opened->delayed[i];

		queues_count_pending(&dispatch->queues, queues_get(&dispatch->queues, known->queue), known->owner, known->delayed);
	}
}

struct dispatch *
dispatch_new(struct loop *loop, const struct dispatch_config *config, const struct dispatch_callbacks *callbacks)
{
	struct dispatch *dispatch = mem_new(sizeof(*dispatch));

	dispatch->loop = loop;
	dispatch->config = *config;
	dispatch->config.opened = NULL;
	dispatch->callbacks = *callbacks;
	dispatch->token_base = config->opened->incarnation << 40;
	dispatch->next_id = config->opened->next_id;
	dispatch->next_due_ms = config->opened->next_due_ms;
	TAILQ_INIT(&dispatch->loose);
	TAILQ_INIT(&dispatch->held);
	TAILQ_INIT(&dispatch->changed);
	queues_init(&dispatch->queues, config->window);
	dispatch_commit_open(dispatch);
	if (dispatch_run_open(dispatch) < 0) {
		dispatch_free(dispatch);
		return NULL;
	}
	dispatch_adopt_settings(dispatch, config->opened);
	dispatch_adopt_lines(dispatch, config->opened);
	loop_after_turn(loop, dispatch_turn, dispatch);
	return dispatch;
}

void
dispatch_start(struct dispatch *dispatch)
{
	dispatch->started = true;
	workers_start(dispatch->workers);
	loop_again(dispatch->loop);
}

static void
dispatch_clear_job(struct dispatch *dispatch, struct job *job)
{
	struct line *line = job->line;

	if (job->submit_cb != NULL) /* its connection is closed: this only frees what waited */
		job->submit_cb(DISPATCH_UNKNOWN, 0, 0, "the daemon is ending", job->submit_ctx);
	if (job->where != JOB_NOWHERE) {
		line_remove(line, job);
		queues_relist(&dispatch->queues, line);
	}
	job_free(&dispatch->jobs, job);
}

void
dispatch_free(struct dispatch *dispatch)
{
	struct job *job, *next;

	if (dispatch == NULL)
		return;
	dispatch->started = false;
	dispatch_run_close(dispatch);
	dispatch_commit_close(dispatch);
	HASH_ITER(hh, dispatch->jobs.by_id, job, next)
		dispatch_clear_job(dispatch, job);
	queues_done(&dispatch->queues);
	free(dispatch);
}
