/*
 * dispatch: see dispatch.h. This file: birth, what requests ask, the picking of jobs, and the carrying out of fsm's actions.
 */
#include "daemon/dispatch.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dispatch_private.h"
#include "daemon/log.h"
#include "daemon/mem.h"
#include "daemon/text.h"

#define UNCOMMITTED_MAX 8192 /* changes in the open batch before reading pauses */
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

static void
dispatch_offer(struct dispatch *dispatch, struct job *job)
{
	struct line *line = queues_line(&dispatch->queues, job->queue, job->spec->pool, job->spec->owner);
	struct job *dropped;

	dispatch_count_running(dispatch, job, false);
	dispatch_no_changes(dispatch, job);
	if (!line_offer(line, job, &dropped))
		dispatch_step(dispatch, job, FSM_E_STORED_FAR);
	else if (dropped != NULL)
		dispatch_step(dispatch, dropped, FSM_E_STORED_FAR);
	queues_relist(&dispatch->queues, line); /* no refill is asked for here: a fill's leftovers come this way */
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

struct job *
dispatch_adopt(struct dispatch *dispatch, const struct store_ready *row)
{
	const struct task *task = task_find_name(dispatch->config.tasks, row->spec->task);
	struct job *job = job_new(&dispatch->jobs, row->spec, task);

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
	outcome_set_error(&job->outcome, JOB_ERROR_TASK_ERROR, "this daemon has no task %s any more", job->spec->task);
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
	struct line *line;

	if (job == NULL || (job->task != NULL && !dispatch_place(dispatch, job)))
		return false;
	line = job->line;
	queues_rotate(&dispatch->queues, pool);
	line_remove(line, job);
	queues_relist(&dispatch->queues, line);
	dispatch_want_fill(dispatch, line);
	queues_tidy_line(&dispatch->queues, line);
	if (job->task == NULL) {
		dispatch_end_taskless(dispatch, job);
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

/* ---- submissions ----------------------------------------------------------------------------------------------------------- */

static const char *
dispatch_limit_reached(struct dispatch *dispatch, const struct spec *from, int64_t count)
{
	if (dispatch->queues.pending + count > dispatch->config.pending)
		return "[limits] pending";
	if (queues_owner_pending(&dispatch->queues, from->owner) + count > dispatch->config.pending_per_owner)
		return "[limits] pending_per_owner";
	return dispatch_has_room_for_queue(dispatch, from->queue) ? NULL : "[limits] queues";
}

/* The job is added and started in one. */
static void
dispatch_put_running(struct dispatch *dispatch, struct job *job, struct store_put *put)
{
	dispatch_loosen(dispatch, job, false);
	put->place = STORE_RUNNING;
	put->token = job->token;
	put->end = (struct store_end){.attempt = job->attempts, .started_ms = job->started_ms};
	job->recorded_in = dispatch->number;
}

/*
 * Whether its queue may start a job and nothing must go before it: nothing of its pool is ready, nothing of its line is in the store alone or (a pure job's order cannot be told) on
 * its way there.
 */
static bool
dispatch_is_first(const struct dispatch *dispatch, const struct job *job)
{
	uint8_t pool = job->spec->pool;
	const struct line *line;

	if (queue_is_paused(job->queue) || queue_is_at_limit(job->queue))
		return false;
	if (queues_head(&dispatch->queues, pool) != NULL || (job->queue->lanes[pool].adding > 0 && !job->spec->pure))
		return false;
	line = queues_find_line(job->queue, pool, job->spec->owner);
	return line == NULL || line->complete;
}

/* It starts in the same commit that adds it, if nothing must go before it and there is a place. */
static void
dispatch_try_at_once(struct dispatch *dispatch, struct job *job, struct store_put *put)
{
	if (dispatch->no_room || (job->spec->pure && job->spec->key != NULL) || !dispatch_is_first(dispatch, job) ||
	    !dispatch_place(dispatch, job))
		return;
	dispatch_begin_attempt(dispatch, job);
	if (job->spec->pure && job->spec->timeout_ms == SPEC_NONE && job->spec->expires_ms == SPEC_NONE) {
		dispatch_loosen(dispatch, job, true);
		dispatch->n_early++;
		dispatch_send(dispatch, job);
		return;
	}
	dispatch_put_running(dispatch, job, put);
}

static void
dispatch_submit_one(struct dispatch *dispatch, struct spec *spec, const struct task *task, struct store_put *put,
    dispatch_submit_cb cb, void *ctx)
{
	struct job *job = job_new(&dispatch->jobs, spec, task);

	job->dispatch = dispatch;
	job->state = FSM_ADDING;
	job->queue = queues_get(&dispatch->queues, spec->queue);
	job->submit_cb = cb;
	job->submit_ctx = ctx;
	job->put_at = dispatch->open->n_put;
	put->ctx = job;
	queues_count_pending(&dispatch->queues, job->queue, spec->owner, 1);
	if (put->place == STORE_READY)
		dispatch_try_at_once(dispatch, job, put);
	job->adding = (put->place == STORE_READY || put->place == STORE_WAITING) && !job->loose;
	job->queue->lanes[spec->pool].adding += job->adding;
}

static void
dispatch_submit_map(struct dispatch *dispatch, struct spec *spec, struct store_put *put, dispatch_submit_cb cb, void *ctx)
{
	struct map_submission *map = mem_new(sizeof(*map));

	*map = (struct map_submission){.spec = spec, .count = put->count, .cb = cb, .ctx = ctx};
	map->queue = queues_get(&dispatch->queues, spec->queue);
	map->queue->lanes[spec->pool].adding++;
	put->ctx = map;
	queues_count_pending(&dispatch->queues, map->queue, spec->owner, map->count);
}

int
dispatch_submit(struct dispatch *dispatch, const struct spec *from, const struct task *task, struct span items, int64_t count,
    dispatch_submit_cb cb, void *ctx, int64_t *ret_first, const char **ret_what)
{
	struct store_put *put;
	struct spec *spec;

	if (dispatch->draining || dispatch->failed)
		return RPC_SHUTTING_DOWN;
	*ret_what = dispatch_limit_reached(dispatch, from, count);
	if (*ret_what != NULL)
		return RPC_BUSY;
	spec = spec_new(from);
	spec->id = dispatch->next_id;
	if (ret_first != NULL)
		*ret_first = spec->id;
	dispatch->next_id += count;
	dispatch->stats.submitted += count;
	put = dispatch_add_put(dispatch);
	dispatch->open_bytes += spec_size(spec) + items.len;
	put->spec = spec;
	put->items = items;
	put->count = count;
	if (spec->after.len > 0)
		put->place = STORE_WAITING; /* unless the store says otherwise */
	else
		put->place = spec->not_before_ms > loop_wall_ms() ? STORE_DELAYED : STORE_READY;
	put->key_until_ms = spec->submitted_ms + 24 * 3600 * INT64_C(1000);
	if (items.len > 0)
		dispatch_submit_map(dispatch, spec, put, cb, ctx);
	else
		dispatch_submit_one(dispatch, spec, task, put, cb, ctx);
	return 0;
}

/* ---- cancels --------------------------------------------------------------------------------------------------------------- */

static char *
dispatch_cancel_error(const char *by, const char *why)
{
	struct text text = {0};
	size_t len;

	text_add_lit(&text, "{\"type\":\"Cancelled\",\"message\":");
	if (why != NULL) {
		char *message = mem_format("cancelled by %s: %s", by, why);

		text_add_quoted(&text, message);
		free(message);
	} else {
		char *message = mem_format("cancelled by %s", by);

		text_add_quoted(&text, message);
		free(message);
	}
	text_add_lit(&text, ",\"by\":");
	text_add_quoted(&text, by);
	text_add_lit(&text, "}");
	text_add_char(&text, '\0');
	return text_steal(&text, &len);
}

void
dispatch_cancel(struct dispatch *dispatch, int64_t id, const char *owner, const char *by, const char *why, int64_t grace_ms,
    dispatch_cancel_cb cb, void *ctx)
{
	struct cancel_request *request = mem_new(sizeof(*request));
	struct job *job = job_find(&dispatch->jobs, id);

	request->id = id;
	request->owner = owner != NULL ? mem_text(owner) : NULL;
	request->error = dispatch_cancel_error(by, why);
	request->grace_ms = grace_ms;
	request->cb = cb;
	request->ctx = ctx;
	if (job != NULL)
		job->cancelling++;
	/* The store thinks that a loose job is ready and would end it at once: its start goes first. */
	if (job != NULL && job->loose && job->put_at > 0) {
		dispatch_put_running(dispatch, job, &dispatch->open->put[job->put_at - 1]);
		dispatch_add_cancel(dispatch, request);
	} else if (job != NULL && job->loose) {
		dispatch_loosen(dispatch, job, false);
		dispatch_add_start(dispatch, job);
		dispatch_changed(dispatch, job, DISPATCH_RUNNING);
		dispatch_do_later(dispatch, NULL, request);
	} else if (job != NULL && job->sent && job->recorded_in == dispatch->number) {
		dispatch_do_later(dispatch, NULL, request); /* its start goes with the open batch */
	} else {
		dispatch_add_cancel(dispatch, request);
	}
}

/* ---- reads ----------------------------------------------------------------------------------------------------------------- */

static void
dispatch_ask(struct dispatch *dispatch, enum read_kind kind, void *read)
{
	dispatch->reads = mem_room(dispatch->reads, dispatch->n_reads, &dispatch->reads_capacity, sizeof(*dispatch->reads));
	dispatch->reads[dispatch->n_reads++] = (struct read_request){kind, read};
	dispatch->n_asked++;
}

void
dispatch_read(struct dispatch *dispatch, struct store_read *read)
{
	dispatch_ask(dispatch, READ_ROWS, read);
}

void
dispatch_survey(struct dispatch *dispatch, struct store_survey *survey)
{
	dispatch_ask(dispatch, READ_SURVEY, survey);
}

void
dispatch_expired(struct dispatch *dispatch, struct store_expired *expired)
{
	dispatch_ask(dispatch, READ_EXPIRED, expired);
}

void
dispatch_webhooks(struct dispatch *dispatch, struct store_webhooks *webhooks)
{
	dispatch_ask(dispatch, READ_WEBHOOKS, webhooks);
}

void
dispatch_settle_webhook(struct dispatch *dispatch, const struct store_webhook *what)
{
	*DISPATCH_ADD(dispatch->open, webhook) = *what;
}

void
dispatch_forget(struct dispatch *dispatch, const int64_t *ids, size_t n)
{
	struct store_batch *open = dispatch->open;

	for (size_t i = 0; i < n; i++) {
		open->forget = mem_room(open->forget, open->n_forget, &open->forget_capacity, sizeof(*open->forget));
		open->forget[open->n_forget++] = ids[i];
	}
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
